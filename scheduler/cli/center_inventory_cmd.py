"""``corridor center reconcile``: what a center has under our mark beside what we think, now."""

from typing import Annotated, Final

import typer
from corridor.v1 import inventory_pb2 as pb

from scheduler.cli import exits
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session

#: A whole look at a center may take long.
TIMEOUT_S: Final = 90.0
_RUN: Final = pb.InventoryRun.DESCRIPTOR.fields_by_name
#: What somebody has to look at; the rest is seen to by itself.
_OPEN: Final = frozenset({pb.INVENTORY_STANDING_STRAY, pb.INVENTORY_STANDING_MISSING})
_STYLES: Final = {"STRAY": "red", "MISSING": "yellow", "ORPHAN": "magenta", "ADOPTED": "green"}


def reconcile(
    session: Session,
    center: Annotated[str, typer.Argument(metavar="CENTER", help="Code of the center.")],
) -> int:
    """Take stock of a center: all it has under our mark, now, beside what we think it has.

    The service does so by itself, again and again; this has it look at once, and tells what it
    found. ADOPTED: we did not know what had become of the run, and the center has it. ENDED: the
    center says that it is over, which is booked now. ORPHAN: the center has a run that is over for
    us, and cancels it. STRAY: it carries our mark and we know nothing of it: find out whose it is
    before you cancel it. MISSING: we think it active and the center has no record of it, which is
    judged once its settle window is over.

    For records of use and money see `corridor reconcile`. Exit code 0: nothing open; 1: there are
    strays, or runs are missing.
    """
    request = pb.TakeInventoryRequest(center=center)
    timeout_s = session.given.timeout_s or TIMEOUT_S
    found = session.client.centers.TakeInventory(request, timeout=timeout_s)
    if session.as_json:
        print_json(to_json(found))
    else:
        _show(session, found)
    return exits.ERROR if any(run.standing in _OPEN for run in found.runs) else exits.OK


def _show(session: Session, found: pb.TakeInventoryResponse) -> None:
    out = session.out
    out.line(
        session.t(
            "stock.agreed",
            at=out.clock(found.look_time),
            center=session.name(found.center),
            agreed=f"{found.agreed_count:,}",
            unsent=f"{found.unsent_count:,}",
        )
    )
    if not found.run_count:
        out.line(session.t("stock.none"), "green")
        return
    columns = [
        Column("stock.run"),
        Column("stock.standing"),
        Column("stock.native", flex=12, rank=1),
        Column("stock.ours", rank=2),
        Column("stock.theirs", rank=2),
    ]
    rows: list[list[str | Cell]] = []
    for run in found.runs:
        word = enum_word(_RUN["standing"], run.standing) or ""
        ours, theirs = (
            out.state(enum_word(_RUN[name], getattr(run, name)))
            for name in ("our_state", "center_state")
        )
        standing = Cell(out.word("standing.", word), _STYLES.get(word, ""))
        rows.append([run.run_id, standing, run.native_id, ours, theirs])
    out.line()
    out.table(columns, rows)
    if found.run_count > len(found.runs):
        out.line(session.t("stock.more", n=f"{found.run_count - len(found.runs):,}"))
