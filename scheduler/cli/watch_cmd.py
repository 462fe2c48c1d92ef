"""``corridor watch`` and ``corridor logs``: what happens as it happens, what a job writes."""

import sys
import time
from typing import Annotated, Any

import grpc
import typer
from corridor.v1 import job_pb2
from corridor.v1.job_service_pb2 import (
    GetJobRequest,
    ReadJobLogsRequest,
    ReadJobLogsResponse,
    WatchJobsRequest,
)
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.cli import amounts, exits, job_views, watching
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.lines import one_line
from scheduler.cli.message_json import print_json_line, to_json
from scheduler.cli.output import Cell
from scheduler.cli.session import Session
from scheduler.problem import problem_of

PANEL = "Jobs"
#: What is longer than thirty years is no span but an instant.
_INSTANT_MS = 10**12
LOG_PIECE_BYTES = 1 << 20
#: Pause between looks at a log that grows, in seconds.
LOG_PAUSE_S = 1.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add(app, "watch", watch, panel=PANEL)
    add(app, "logs", logs, panel=PANEL)


def watch(
    session: Session,
    jobs: Annotated[
        list[str] | None, typer.Argument(metavar="JOB", help="Only these jobs.")
    ] = None,
    enterprise: Annotated[
        str | None, typer.Option("--enterprise", help="Only this enterprise.")
    ] = None,
    city: Annotated[str | None, typer.Option("--city", help="Only this city.")] = None,
    until_ended: Annotated[
        bool, typer.Option("--until-ended", help="End when all named jobs have ended.")
    ] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin with the first event there is.")
    ] = False,
    resume: Annotated[
        str, typer.Option("--resume", metavar="TOKEN", help="Go on from an earlier watch.")
    ] = "",
) -> int:
    """Show events as they come, until interrupted; a lost connection is taken up again.

    With --until-ended the exit code is 0 if all jobs succeeded, else 1 (3: all were rejected).
    """
    named = jobs or []
    if until_ended and not named:
        raise Failed("option.jobs_needed", exits.USAGE)
    request = WatchJobsRequest(
        job_ids=named,
        enterprise=enterprise or "",
        city=city or "",
        resume_token=resume,
        from_start=from_start,
        until_ended=until_ended,
    )
    states: dict[str, int] = {}
    for answer in session.client.watch(
        request, on_lost=lambda error: watching.lost(session, error)
    ):
        for event in answer.events:
            states[event.job_id] = event.state
            _show(session, event, answer.resume_token, with_job=len(named) != 1)
        sys.stdout.flush()
    return watching.outcome_code(_final(session, one, states) for one in named)


def _final(session: Session, job_id: str, states: dict[str, int]) -> int:
    """Return the state a job ended in; asked for if it had ended before the watch began."""
    state = states.get(job_id, 0)
    if state not in job_views.ENDED:
        state = session.client.jobs.GetJob(GetJobRequest(job_id=job_id)).job.state
    return state


def _show(session: Session, event: job_pb2.JobEvent, resume_token: str, *, with_job: bool) -> None:
    if session.as_json:
        print_json_line({**to_json(event), "resume_token": resume_token})
        return
    out = session.out
    attempt = f"#{event.attempt}" if event.attempt else ""
    cells: list[tuple[str | Cell, int | None]] = [
        (out.clock(event.time), None),
        *([(event.job_id, 14)] if with_job else []),
        (out.word("event.", event.kind), out.width_of("event.")),
        (attempt, 2),
        (out.state(job_views.state_word(event.state)), out.width_of("state.")),
        (Cell(_detail(session, event), "dim"), None),
    ]
    out.row([cell for cell, _ in cells], [width for _, width in cells])


def _detail(session: Session, event: job_pb2.JobEvent) -> str:
    """Return the facts of an event, money and spans as people read them."""
    facts = []
    for key, value in sorted(event.detail.items()):
        if key.endswith("_fen") and value.lstrip("-").isdecimal():
            facts.append(f"{key.removesuffix('_fen')}={amounts.money(int(value))}")
        elif key.endswith("_ms") and value.isdecimal() and int(value) > _INSTANT_MS:
            at = session.out.clock(Timestamp(seconds=int(value) // 1000))
            facts.append(f"{key.removesuffix('_ms')}={at}")
        elif key.endswith("_ms") and value.isdecimal():
            span = session.out.span(int(value) // 1000).replace(" ", "")
            facts.append(f"{key.removesuffix('_ms')}={span}")
        elif value:
            facts.append(f"{key}={value}")
    return one_line(" ".join(facts))


def logs(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as it grows, until its end.")
    ] = False,
    attempt: Annotated[
        int, typer.Option("--attempt", min=0, help="Of this attempt; default: the last.")
    ] = 0,
    offset: Annotated[int, typer.Option("--offset", min=0, help="From this byte on.")] = 0,
) -> int:
    """Print what a job wrote, as its center has it."""
    request = ReadJobLogsRequest(
        job_id=job_id, attempt=attempt, offset=offset, limit_bytes=LOG_PIECE_BYTES
    )
    while True:
        piece = _piece(session, request, follow)
        if piece is not None:
            _write(session, piece.data)
            request.offset = piece.next_offset
            if piece.end or (not piece.data and not follow):
                return exits.OK
        if piece is None or not piece.data:
            time.sleep(LOG_PAUSE_S)


def _piece(
    session: Session, request: ReadJobLogsRequest, follow: bool
) -> ReadJobLogsResponse | None:
    """Return the next piece; None if there is none yet and the log is followed."""
    try:
        return session.client.jobs.ReadJobLogs(request)
    except grpc.RpcError as error:
        if follow and problem_of(error).reason == "NO_RUN":
            found: Any = session.client.jobs.GetJob(GetJobRequest(job_id=request.job_id))
            if found.job.state not in job_views.ENDED:
                return None
        raise


def _write(session: Session, data: bytes) -> None:
    if session.as_json:
        print_json_line({"data": data.decode("utf-8", "replace")})
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
