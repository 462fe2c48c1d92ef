"""Comparisons with centers' own records, kept with their differences until somebody resolves them.

A difference is known by what both sides say: found again, it is the same one, and one that was
resolved stays so until a side says something else. An open one that a later comparison of the same
time no longer finds is resolved by that comparison. While one is open the month of its use is not
closed (``book_months``).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from adapters.contract import RunRef
from quota.reconciling import Comparison, Difference, Tolerance, UseRecord, Window, compare
from scheduler.domain.ids import center_name, run_id
from scheduler.domain.principal import Principal
from scheduler.domain.states import NOT_BILLED
from scheduler.store import audit_trail, differences
from scheduler.store.charge_tables import ReconDiff
from scheduler.store.database import bulk_insert, bulk_read
from scheduler.store.differences import DifferenceRow
from scheduler.store.recon_tables import ReconRun
from scheduler.store.tables import table

#: Records of ours so far around the window find their pair, too.
_AROUND_MS: Final = 2 * 86_400_000
_UNBILLED: Final = ", ".join(f"'{failure}'" for failure in sorted(NOT_BILLED))
_DIFF_COLUMNS: Final = (
    "center", "kind", "native_id", "submit_ms", "segment", "job_uid", "attempt", "use_ms", "here",
    "there", "found_ms", "idem_key",
)  # fmt: skip
_RUN_COLUMNS: Final = (
    "center", "from_ms", "to_ms", "source", "sha256", "record_count", "foreign_count",
    "unsettled_count", "agreed_count", "difference_count", "new_count", "ended_count", "actor",
    "reason", "created_ms",
)  # fmt: skip


class CenterRecord(NamedTuple):
    """A stretch of use as a center has it; which of ``cores`` and ``cards`` counts, the flavor
    says."""

    name: str
    native_id: str
    submit_ms: int
    start_ms: int
    end_ms: int
    cores: int
    cards: int
    amount_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be compared, with what, by whom and why."""

    center: str
    window: Window
    tolerance: Tolerance
    source: str
    records: Sequence[CenterRecord]
    actor: Principal
    reason: str
    now_ms: int
    wall_ms: int


class Reconciliation(NamedTuple):
    """One comparison; ``number`` 0 if it was not kept."""

    number: int
    center: str
    from_ms: int
    to_ms: int
    source: str
    record_count: int
    foreign_count: int
    unsettled_count: int
    agreed_count: int
    difference_count: int
    new_count: int
    ended_count: int
    actor: str
    created_ms: int


class _Sides(NamedTuple):
    here: list[UseRecord]
    there: list[UseRecord]
    foreign: int
    unsettled: int


# --- comparing ------------------------------------------------------------------------------------


def settled_runs(connection: Connection, center: str, window: Window) -> list[RunRef]:
    """Return the runs of a center that ended in a window and are settled, in order.

    Those that its fault ended, and of whose use nothing was kept, are left out: whatever it says of
    them by now, they cost nothing.
    """
    rows = bulk_read(
        connection,
        "SELECT r.job_uid, r.attempt, r.native_id, coalesce(r.accept_ms, 0) FROM run r"
        f" WHERE r.center = ? AND r.end_ms >= {window.from_ms} AND r.end_ms < {window.to_ms}"
        " AND r.settled_ms IS NOT NULL AND r.start_ms IS NOT NULL"
        f" AND (coalesce(r.failure_class, '') NOT IN ({_UNBILLED}) OR EXISTS (SELECT 1 FROM"
        " usage_record u WHERE u.job_uid = r.job_uid AND u.attempt = r.attempt))"
        " ORDER BY r.job_uid, r.attempt",
        (center,),
    )
    return [
        RunRef(run_id(uid, attempt), center_name(run_id(uid, attempt)), native_id or "", submit_ms)
        for uid, attempt, native_id, submit_ms in rows
    ]


def preview(connection: Connection, order: Order) -> tuple[Reconciliation, list[DifferenceRow]]:
    """Compare, and keep nothing."""
    sides = _sides(connection, order)
    found = compare(sides.here, sides.there, order.window, order.tolerance)
    rows = [_row(order, one) for one in found.differences]
    known = differences.known(connection, [row[-1] for row in rows])
    new = sum(row[-1] not in known for row in rows)
    return _told(0, order, sides, found, new, 0), [_difference(row) for row in rows]


def reconcile(connection: Connection, order: Order) -> tuple[Reconciliation, list[DifferenceRow]]:
    """Compare and keep what is found; returns it with all its differences, those of before too."""
    sides = _sides(connection, order)
    found = compare(sides.here, sides.there, order.window, order.tolerance)
    rows = [_row(order, one) for one in found.differences]
    keys = [row[-1] for row in rows]
    known = differences.known(connection, keys)
    new = [row for row in rows if row[-1] not in known]
    bulk_insert(
        connection, table(ReconDiff), _DIFF_COLUMNS, new,
        {"state": "'OPEN'", "resolved_by": "''", "resolution": "''"},
    )  # fmt: skip
    ended = _end_others(connection, order, set(keys))
    told = _told(0, order, sides, found, len(new), ended)
    number = _keep(connection, order, told)
    audit_trail.record(
        connection,
        order.actor,
        "CENTER_RECONCILED",
        f"centers/{order.center}",
        at_ms=order.wall_ms,
        after={
            "number": number,
            "agreed": told.agreed_count,
            "differences": told.difference_count,
            "new": told.new_count,
        },
        reason=order.reason,
    )
    kept = differences.known(connection, keys)
    return told._replace(number=number), [kept[key] for key in keys]


def _sides(connection: Connection, order: Order) -> _Sides:
    """Return both sides' records of our runs, and what of the center's is not compared."""
    window = order.window
    rows = bulk_read(
        connection,
        "SELECT u.job_uid, u.attempt, u.native_id, u.submit_ms, u.segment, u.start_ms, u.end_ms,"
        " u.units, (SELECT coalesce(sum(l.gross_fen), 0) FROM rated_line l"
        " WHERE l.job_uid = u.job_uid AND l.attempt = u.attempt AND l.segment = u.segment)"
        " FROM usage_record u WHERE u.center = ?"
        f" AND u.end_ms >= {window.from_ms - _AROUND_MS} AND u.end_ms < {window.to_ms + _AROUND_MS}"
        " AND u.revision = (SELECT max(n.revision) FROM usage_record n WHERE n.center = u.center"
        " AND n.native_id = u.native_id AND n.submit_ms = u.submit_ms AND n.segment = u.segment)",
        (order.center,),
    )
    here = [
        UseRecord(
            center_name(run_id(uid, attempt)), native, submit_ms, start_ms, end_ms, units,
            int(gross), uid, attempt, segment,
        )
        for uid, attempt, native, submit_ms, segment, start_ms, end_ms, units, gross in rows
    ]  # fmt: skip
    names = _runs(connection, order)
    there: list[UseRecord] = []
    foreign = unsettled = 0
    for one in order.records:
        known = names.get(one.name)
        if known is None and not one.name.startswith(center_name("")):
            foreign += 1
        elif known is not None and not known.settled:
            unsettled += 1
        else:
            uid, attempt, unit = (0, 0, "card") if known is None else known[:3]
            units = one.cores if unit == "core" else one.cards
            there.append(
                UseRecord(
                    one.name, one.native_id, one.submit_ms, one.start_ms, one.end_ms, units,
                    one.amount_fen, uid, attempt,
                )
            )  # fmt: skip
    return _Sides(here, there, foreign, unsettled)


class _Run(NamedTuple):
    uid: int
    attempt: int
    unit: str
    settled: bool


def _runs(connection: Connection, order: Order) -> dict[str, _Run]:
    """Return the runs that a center was given up to the window's end, by their names there."""
    rows = bulk_read(
        connection,
        "SELECT r.job_uid, r.attempt, f.unit, r.settled_ms IS NOT NULL FROM run r"
        " JOIN flavor f ON f.code = r.flavor WHERE r.center = ? AND r.admit_ms < "
        f"{order.window.to_ms + _AROUND_MS} AND (r.end_ms IS NULL OR r.end_ms >="
        f" {order.window.from_ms - _AROUND_MS})",
        (order.center,),
    )
    return {
        center_name(run_id(uid, attempt)): _Run(uid, attempt, unit, bool(settled))
        for uid, attempt, unit, settled in rows
    }


def _row(order: Order, one: Difference) -> tuple[Any, ...]:
    side = one.here or one.there
    assert side is not None, "a difference has a side"
    here, there = _json(one.here), _json(one.there)
    said = "\n".join((order.center, str(one.kind), side.name, here, there))
    return (
        order.center, str(one.kind), side.native_id, side.submit_ms, side.segment, side.job_uid,
        side.attempt, one.end_ms, here, there, order.now_ms, sha256(said.encode()).hexdigest(),
    )  # fmt: skip


def _json(side: UseRecord | None) -> str:
    if side is None:
        return ""
    said: dict[str, object] = {
        "name": side.name,
        "native_id": side.native_id,
        "submit_ms": side.submit_ms,
        "start_ms": side.start_ms,
        "end_ms": side.end_ms,
        "seconds": side.seconds,
        "units": side.units,
    }
    if side.amount_fen is not None:
        said["amount_fen"] = side.amount_fen
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _told(
    number: int, order: Order, sides: _Sides, found: Comparison, new: int, ended: int
) -> Reconciliation:
    return Reconciliation(
        number, order.center, order.window.from_ms, order.window.to_ms, order.source,
        len(order.records), sides.foreign, sides.unsettled, found.agreed, len(found.differences),
        new, ended, order.actor.subject, order.now_ms,
    )  # fmt: skip


# --- keeping --------------------------------------------------------------------------------------


def _end_others(connection: Connection, order: Order, keys: set[str]) -> int:
    """Resolve open differences of the window that are gone; RECORD is no comparison's."""
    rows = connection.exec_driver_sql(
        "SELECT diff_id, idem_key FROM recon_diff WHERE state = 'OPEN' AND center = ?"
        f" AND kind <> 'RECORD' AND use_ms >= {order.window.from_ms}"
        f" AND use_ms < {order.window.to_ms}",
        (order.center,),
    )
    gone = [number for number, key in rows if key not in keys]
    how = "AGREED: compared again"
    differences.end(connection, gone, order.now_ms, order.actor.subject, how)
    return len(gone)


def _keep(connection: Connection, order: Order, told: Reconciliation) -> int:
    lines = "\n".join("\t".join(map(str, one)) for one in sorted(order.records, key=str))
    bulk_insert(
        connection, table(ReconRun), _RUN_COLUMNS,
        [
            (
                *told[1:5], sha256(lines.encode()).hexdigest(), *told[5:12], told.actor,
                order.reason, told.created_ms,
            )
        ],
    )  # fmt: skip
    return int(connection.exec_driver_sql("SELECT max(number) FROM recon_run").scalar_one())


def _difference(row: Sequence[Any]) -> DifferenceRow:
    center, kind, native, _, _, uid, attempt, use_ms, here, there, found_ms, _ = row
    return DifferenceRow(
        0, center, kind, uid, attempt, native, use_ms, here, there, "OPEN", found_ms
    )


def list_reconciliations(
    connection: Connection, center: str, limit: int, before: int
) -> list[Reconciliation]:
    """Return comparisons, newest first, of numbers below ``before`` (0 for all)."""
    where, values = "1 = 1", list[object]()
    if center:
        where, values = "center = ?", [center]
    if before:
        where += f" AND number < {before}"
    rows = connection.exec_driver_sql(
        "SELECT number, center, from_ms, to_ms, source, record_count, foreign_count,"
        " unsettled_count, agreed_count, difference_count, new_count, ended_count, actor,"
        f" created_ms FROM recon_run WHERE {where} ORDER BY number DESC LIMIT {limit}",
        tuple(values),
    )
    return [Reconciliation(*row) for row in rows]
