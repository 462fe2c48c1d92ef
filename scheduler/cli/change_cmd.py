"""``corridor cancel``, ``hold`` and ``release``: jobs by id or by filter; and ``emergency``."""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import typer
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.cli import exits, job_filters
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.job_filters import Filter, with_filter
from scheduler.cli.lines import complain
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.session import Session

PANEL = "Jobs"
IDS_MAX: Final = 10_000
#: Jobs counted for the question whether so many shall be changed.
COUNT_MAX: Final = 1000
#: States of jobs that a verb changes, for that count.
_CHANGES: Final[dict[str, "tuple[job_pb2.JobState.ValueType, ...]"]] = {
    "cancel": (
        job_pb2.JOB_STATE_QUEUED,
        job_pb2.JOB_STATE_HELD,
        job_pb2.JOB_STATE_ADMITTED,
        job_pb2.JOB_STATE_RUNNING,
    ),
    "hold": (job_pb2.JOB_STATE_QUEUED,),
    "release": (job_pb2.JOB_STATE_HELD,),
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, function in (("cancel", cancel), ("hold", hold), ("release", release)):
        add(app, name, with_filter(function), panel=PANEL)
    add(app, "emergency", emergency, panel=PANEL)


Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="JOB", help="Ids of jobs; - reads them from standard input."),
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def cancel(
    session: Session, chosen: Filter, jobs: Ids = None, reason: Reason = "", yes: Yes = False
) -> int:
    """Cancel jobs by id, or all that a filter chooses."""

    def call(selection: pb.JobSelection) -> pb.CancelJobsResponse:
        request = pb.CancelJobsRequest(selection=selection, reason=reason)
        return session.client.jobs.CancelJobs(request)

    return _change(session, "cancel", chosen, jobs, yes, call)


def hold(
    session: Session, chosen: Filter, jobs: Ids = None, reason: Reason = "", yes: Yes = False
) -> int:
    """Hold queued jobs: they wait until they are released."""

    def call(selection: pb.JobSelection) -> pb.HoldJobsResponse:
        request = pb.HoldJobsRequest(selection=selection, reason=reason)
        return session.client.jobs.HoldJobs(request)

    return _change(session, "hold", chosen, jobs, yes, call)


def release(
    session: Session, chosen: Filter, jobs: Ids = None, reason: Reason = "", yes: Yes = False
) -> int:
    """Release held jobs."""

    def call(selection: pb.JobSelection) -> pb.ReleaseJobsResponse:
        request = pb.ReleaseJobsRequest(selection=selection, reason=reason)
        return session.client.jobs.ReleaseJobs(request)

    return _change(session, "release", chosen, jobs, yes, call)


def emergency(
    session: Session,
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ],
    revoke: Annotated[bool, typer.Option("--revoke", help="Take it back.")] = False,
) -> None:
    """Let a waiting job go before all others; for operators."""
    request = pb.GrantEmergencyRequest(job_id=job, reason=reason, revoke=revoke)
    found = session.client.jobs.GrantEmergency(request).job
    if session.as_json:
        print_json(to_json(found))
        return
    key = "changed.emergency" if found.emergency else "changed.no_emergency"
    session.out.line(session.t(key, job=found.job_id))


def _change(
    session: Session,
    verb: str,
    chosen: Filter,
    jobs: Sequence[str] | None,
    yes: bool,
    call: Callable[[pb.JobSelection], Any],
) -> int:
    """Call for each selection and print the sums; returns 1 if an id was not found."""
    counts: dict[str, int] = {}
    missing: list[str] = []
    for selection in _selections(session, verb, chosen, jobs, yes):
        answer = call(selection)
        missing += answer.not_found_job_ids
        for field in answer.DESCRIPTOR.fields:
            if field.name.endswith("_count"):
                counts[field.name] = counts.get(field.name, 0) + getattr(answer, field.name)
    if session.as_json:
        print_json({**counts, "not_found_job_ids": missing})
    else:
        said = [session.t(f"changed.{name}", n=n) for name, n in counts.items() if n]
        session.out.line(", ".join(said) or session.t("changed.none"))
        for job_id in missing:
            complain(session.t("call.job_not_found", job=job_id))
    return exits.ERROR if missing else exits.OK


def _selections(
    session: Session, verb: str, chosen: Filter, jobs: Sequence[str] | None, yes: bool
) -> list[pb.JobSelection]:
    """Return the jobs meant, in parts the service takes; raises ``Failed``."""
    ids = list(jobs or ())
    if ids == ["-"]:
        ids = sys.stdin.read().split()
    if jobs and not chosen.is_empty():
        raise Failed("option.ids_or_filter", exits.USAGE)
    if jobs:
        return [
            pb.JobSelection(job_ids=ids[at : at + IDS_MAX]) for at in range(0, len(ids), IDS_MAX)
        ]
    if chosen.is_empty():
        raise Failed("option.nothing_selected", exits.USAGE)
    wanted = job_filters.message(session, chosen)
    if not yes:
        _ask(session, verb, wanted)
    return [pb.JobSelection(filter=wanted)]


def _ask(session: Session, verb: str, wanted: pb.JobFilter) -> None:
    """Ask on a terminal whether so many jobs shall be changed; raises ``Failed``."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or session.as_json:
        raise Failed("option.yes_needed", exits.USAGE)
    request = pb.ListJobsRequest(filter=wanted, page_size=COUNT_MAX)
    if not request.filter.states:
        request.filter.states.extend(_CHANGES[verb])
    answer = session.client.jobs.ListJobs(request)
    number = f"{len(answer.jobs)}" + ("+" if answer.next_page_token else "")
    question = session.t("changed.ask", what=session.t(f"verb.{verb}"), n=number)
    if not typer.confirm(question, err=True):
        raise Failed("call.aborted")
