"""``corridor reconcile``: our records of use beside a center's own, and the differences."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from corridor.v1 import reconciliation_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quota.calendar import period_bounds
from quota.usage_files import BadUsageFile, FileRecord, read
from scheduler.cli import approve_cmd, exits
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session, paged

PANEL = "Quotas and money"
#: A month of a center may be much to compare.
TIMEOUT_S = 300.0
_KIND = pb.Difference.DESCRIPTOR.fields_by_name["kind"]
_HOW = {
    "ours": "OURS", "theirs": "THEIRS", "corrected": "CORRECTED", "explained": "EXPLAINED",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=ClientGroup,
        help="Our records of use beside the centers' own.",
        no_args_is_help=True,
    )
    add(group, "run", run)
    add(group, "list", list_differences)
    add(group, "history", history)
    add(group, "resolve", resolve)
    app.add_typer(group, name="reconcile", rich_help_panel=PANEL)


Center = Annotated[str, typer.Option("--center", help="Only this center.")]


def run(
    session: Session,
    center: Annotated[str, typer.Argument(metavar="CENTER", help="The center.")],
    period: Annotated[
        str,
        typer.Option("--period", help="What ended in this month, quarter or year, as 2026-03."),
    ],
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            exists=True,
            dir_okay=False,
            help="The center's own records; without it its adapter is asked.",
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--form", help="sacct: of sacct -X --duplicates -P; csv: name, native_id, ..."
        ),
    ] = "sacct",
    zone: Annotated[
        str, typer.Option("--zone", help="Time zone of times in the file that have none.")
    ] = "Asia/Shanghai",
    seconds: Annotated[
        int, typer.Option("--seconds", min=0, help="Seconds of use that may differ.")
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be found; keep nothing.")
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ] = "reconciliation",
) -> int:
    """Compare a period's use with the center's own records; exit code 1 if anything differs."""
    try:
        from_ms, to_ms = period_bounds(period)
    except ValueError as error:
        raise Failed("reconcile.bad", exits.USAGE, why=error) from error
    now_ms = session.now_ms
    request = pb.ReconcileCenterRequest(
        center=center,
        from_time=_time(from_ms),
        to_time=_time(min(to_ms, now_ms)),
        source=file.name if file is not None else "",
        records=[_use(one) for one in _records(file, form, zone)] if file is not None else [],
        ask_adapter=file is None,
        submit_tolerance=Duration(seconds=60),
        tolerance_seconds=seconds,
        validate_only=dry_run,
        reason=reason,
    )
    timeout_s = session.given.timeout_s or TIMEOUT_S
    found = session.client.centers.ReconcileCenter(request, timeout=timeout_s)
    if session.as_json:
        print_json(
            {
                "reconciliation": to_json(found.reconciliation),
                "differences": [_json(one) for one in found.differences],
            }
        )
    else:
        _told(session, found)
    return exits.ERROR if found.reconciliation.difference_count else exits.OK


def _records(file: Path, form: str, zone: str) -> list[FileRecord]:
    try:
        return read(file.read_text(encoding="utf-8"), form, ZoneInfo(zone))
    except (BadUsageFile, UnicodeDecodeError) as error:
        raise Failed("reconcile.bad_file", exits.USAGE, file=file, why=error) from error
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Failed("reconcile.bad", exits.USAGE, why=f"--zone: {error}") from error


def _use(one: FileRecord) -> pb.CenterUse:
    return pb.CenterUse(
        name=one.name,
        native_id=one.native_id,
        submit_time=_time(one.submit_ms),
        start_time=_time(one.start_ms),
        end_time=_time(one.end_ms),
        cores=one.cores,
        cards=one.cards,
        amount_fen=one.amount_fen,
    )


def _time(at_ms: int) -> Timestamp:
    return Timestamp(seconds=at_ms // 1000, nanos=at_ms % 1000 * 1_000_000)


def _told(session: Session, found: pb.ReconcileCenterResponse) -> None:
    out, told = session.out, found.reconciliation
    out.facts(
        [
            ("reconcile.compared", session.name(told.center)),
            ("reconcile.records", f"{told.record_count:,}"),
            ("reconcile.agreed", f"{told.agreed_count:,}"),
            ("reconcile.differ", f"{told.difference_count:,}"),
            ("reconcile.new", f"{told.new_count:,}"),
            ("reconcile.ended", f"{told.ended_count:,}" if told.ended_count else ""),
            ("reconcile.unsettled", f"{told.unsettled_count:,}" if told.unsettled_count else ""),
            ("reconcile.foreign", f"{told.foreign_count:,}" if told.foreign_count else ""),
        ]
    )
    if found.differences:
        out.line()
        _table(session, list(found.differences))


def _table(session: Session, rows: list[pb.Difference]) -> None:
    out = session.out
    columns = [
        Column("difference.number", right=True),
        Column("difference.center", rank=3),
        Column("difference.kind"),
        Column("difference.run", rank=1),
        Column("difference.native", rank=3),
        Column("difference.use", rank=2),
        Column("difference.here", flex=16),
        Column("difference.there", flex=16),
        Column("difference.resolution", flex=16, rank=2),
        Column("difference.revision", right=True, rank=3),
    ]
    cells: list[list[str | Cell]] = [
        [
            str(one.difference_id or "-"),
            one.center,
            Cell(out.t(f"difference.{enum_word(_KIND, one.kind)}"), "red" if one.open else ""),
            one.run_id,
            one.native_id,
            out.when(one.use_time),
            _side(session, one.here),
            _side(session, one.there),
            f"{one.resolution} ({one.resolved_by})" if one.resolution else "",
            str(one.charge_revision) if one.HasField("charge_revision") else "",
        ]
        for one in rows
    ]
    out.table(columns, cells, "difference.none")


def _side(session: Session, said: str) -> str:
    if not said:
        return "-"
    side = json.loads(said)
    if "seconds" not in side:
        return said
    began = datetime.fromtimestamp(side["start_ms"] / 1000, UTC)
    return str(
        session.t(
            "difference.side",
            units=side["units"],
            seconds=f"{side['seconds']:,}",
            start=began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
    )


def _json(one: pb.Difference) -> dict[str, Any]:
    """A difference with both sides as objects, not as texts."""
    said = to_json(one)
    for side in ("here", "there"):
        said[side] = json.loads(said[side]) if said.get(side) else None
    return said


def list_differences(
    session: Session,
    center: Center = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are resolved.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")
    ] = 100,
) -> None:
    """List differences with centers' own records that wait for somebody, newest first."""
    request = pb.ListDifferencesRequest(center=center, show_resolved=everything)
    found = paged(session.client.centers.ListDifferences, request, "differences", limit)
    if session.as_json:
        print_json({"differences": [_json(one) for one in found]})
    else:
        _table(session, found)


def history(
    session: Session,
    center: Center = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")
    ] = 100,
) -> None:
    """List comparisons that were made, newest first."""
    request = pb.ListReconciliationsRequest(center=center)
    found = paged(session.client.centers.ListReconciliations, request, "reconciliations", limit)
    if session.as_json:
        print_json({"reconciliations": [to_json(one) for one in found]})
        return
    out = session.out
    columns = [
        Column("reconcile.number", right=True),
        Column("difference.center"),
        Column("reconcile.from"),
        Column("reconcile.to", rank=1),
        Column("reconcile.source", flex=12, rank=2),
        Column("reconcile.n_agreed", right=True),
        Column("reconcile.n_differ", right=True),
        Column("reconcile.when", rank=1),
        Column("reconcile.who", rank=3),
    ]
    rows: list[list[str | Cell]] = [
        [
            str(one.number),
            one.center,
            out.when(one.from_time),
            out.when(one.to_time),
            one.source,
            f"{one.agreed_count:,}",
            Cell(f"{one.difference_count:,}", "red" if one.difference_count else ""),
            out.when(one.create_time),
            one.actor,
        ]
        for one in found
    ]
    out.table(columns, rows, "reconcile.none")


def resolve(
    session: Session,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the difference.")],
    how: Annotated[
        str,
        typer.Argument(
            metavar="ours|theirs|corrected|explained",
            help="Our record is right; the center's is taken over, and charged; the charge was"
            " corrected; or both are right.",
        ),
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ],
) -> None:
    """Resolve a difference, so that its month can be closed.

    By theirs the charge follows the center's record; a large amount waits for another person.
    """
    if how not in _HOW:
        raise Failed("reconcile.how", exits.USAGE, given=how, known=", ".join(_HOW))
    resolution = pb.DifferenceResolution.Value(f"DIFFERENCE_RESOLUTION_{_HOW[how]}")
    request = pb.ResolveDifferenceRequest(
        difference_id=number, resolution=resolution, reason=reason
    )
    answer = session.client.centers.ResolveDifference(request)
    if session.as_json:
        waits = answer.HasField("change_request")
        asked = {"change_request": to_json(answer.change_request)} if waits else {}
        print_json({"difference": _json(answer.difference), **asked})
    elif answer.HasField("change_request"):
        approve_cmd.shown(session, answer.change_request)
    else:
        _table(session, [answer.difference])
