"""``corridor center resolve``: an operator's word on a run whose outcome nobody knows."""

from typing import Annotated, Final

import typer
from corridor.v1 import resolution_pb2 as pb

from scheduler.cli import amounts, exits, moments
from scheduler.cli.failures import Failed
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.session import Session

_HOW: Final = {
    "never-started": pb.RUN_RESOLUTION_NEVER_STARTED,
    "lost": pb.RUN_RESOLUTION_LOST,
    "cancelled": pb.RUN_RESOLUTION_CANCELLED,
    "ended": pb.RUN_RESOLUTION_ENDED,
}


def resolve(
    session: Session,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="The run, as JOB.ATTEMPT; it must be UNKNOWN.")
    ],
    how: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="WHAT",
            help="What became of it: never-started, lost, cancelled or ended.",
        ),
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ],
    exit_code: Annotated[
        int | None, typer.Option("--exit-code", help="Of what ended: its exit code.")
    ] = None,
    started: Annotated[
        str | None,
        typer.Option(
            "--started",
            metavar="TIME",
            help="Of what ended: when it began, unless it was seen; as 2027-01-01T09:00:00+08:00.",
        ),
    ] = None,
    ended: Annotated[
        str | None,
        typer.Option("--ended", metavar="TIME", help="Of what ended: when it ended."),
    ] = None,
) -> None:
    """Say what became of a run that is UNKNOWN, after looking at its center.

    never-started: its job is queued again; lost: tried again as its retry policy says; cancelled:
    its job is cancelled; of these nothing is billed. ended: billed for its time. What the center
    says first counts; what it states later is for people to look at.
    """
    if how not in _HOW:
        raise Failed("resolved.how", exits.USAGE, given=how, known=", ".join(_HOW))
    request = pb.ResolveRunRequest(
        run_id=run,
        resolution=_HOW[how],
        exit_code=exit_code,
        start_time=moments.option(session, "--started", started),
        end_time=moments.option(session, "--ended", ended),
        reason=reason,
    )
    done = session.client.centers.ResolveRun(request)
    if session.as_json:
        print_json(to_json(done))
        return
    out = session.out
    out.facts(
        [
            ("resolved.run", done.run_id),
            ("resolved.center", session.name(done.center)),
            ("resolved.its_state", out.word("state.", done.run_state)),
            ("resolved.job", out.word("state.", done.job_state)),
            ("resolved.charged", amounts.money(done.gross_fen)),
        ]
    )
