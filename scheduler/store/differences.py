"""Differences with centers' own records: shown to whom they concern, resolved by somebody."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from scheduler.domain.principal import Principal, Scope
from scheduler.errors import NotFound, WrongState
from scheduler.store import audit_trail, scoping
from scheduler.store.database import bulk_execute


class DifferenceRow(NamedTuple):
    """A difference as it is kept; ``diff_id`` 0 if it was not."""

    diff_id: int
    center: str
    kind: str
    job_uid: int
    attempt: int
    native_id: str
    use_ms: int
    here: str
    there: str
    state: str
    found_ms: int
    resolved_ms: int | None = None
    resolved_by: str = ""
    resolution: str = ""


_COLUMNS: Final = (
    "d.diff_id, d.center, d.kind, d.job_uid, d.attempt, d.native_id, d.use_ms, d.here, d.there,"
    " d.state, d.found_ms, d.resolved_ms, d.resolved_by, d.resolution"
)


def known(connection: Connection, keys: Sequence[str]) -> dict[str, DifferenceRow]:
    """Return those of some keys that are kept already."""
    found: dict[str, DifferenceRow] = {}
    for first in range(0, len(keys), 500):
        part = keys[first : first + 500]
        marks = ", ".join("?" * len(part))
        rows = connection.exec_driver_sql(
            f"SELECT d.idem_key, {_COLUMNS} FROM recon_diff d WHERE d.idem_key IN ({marks})",
            tuple(part),
        )
        found.update({key: DifferenceRow(*row) for key, *row in rows})
    return found


def end(connection: Connection, numbers: Sequence[int], now_ms: int, actor: str, how: str) -> None:
    """Resolve open differences."""
    bulk_execute(
        connection,
        "UPDATE recon_diff SET state = 'RESOLVED', resolved_ms = ?, resolved_by = ?,"
        " resolution = ? WHERE diff_id = ? AND state = 'OPEN'",
        [(now_ms, actor, how, number) for number in numbers],
    )


def list_differences(
    connection: Connection, scope: Scope, *, center: str, open_only: bool, limit: int, before: int
) -> list[DifferenceRow]:
    """Return differences within the scope, newest first, of numbers below ``before`` (0: all).

    A city sees those of its own jobs; what no job of ours is behind is the operator's.
    """
    where = scoping.enterprises(scope, "j.city", "j.enterprise")
    values: dict[str, object] = dict(scoping.values(scope))
    if center:
        where, values["center"] = f"{where} AND d.center = :center", center
    if open_only:
        where += " AND d.state = 'OPEN'"
    if before:
        where += f" AND d.diff_id < {before}"
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM recon_diff d LEFT JOIN job j ON j.uid = d.job_uid"
            f" WHERE {where} ORDER BY d.diff_id DESC LIMIT {limit}"
        ),
        values,
    )
    return [DifferenceRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Decision:
    """How a difference is resolved: OURS, CORRECTED or EXPLAINED."""

    diff_id: int
    how: str
    reason: str
    actor: Principal
    now_ms: int
    wall_ms: int


def resolve(connection: Connection, decision: Decision) -> DifferenceRow:
    """Resolve a difference; again in the same way changes nothing.

    Raises ``NotFound``, and ``WrongState`` for one that was resolved otherwise, or for CORRECTED
    where the charge was not corrected since it was found.
    """
    found = _get(connection, decision.diff_id)
    how = f"{decision.how}: {decision.reason}"
    subject = f"differences/{decision.diff_id}"
    if found.state == "RESOLVED":
        if found.resolution == how:
            return found
        raise WrongState(
            f"difference {decision.diff_id} was resolved by {found.resolved_by}:"
            f" {found.resolution}",
            subject=subject,
            reason="DIFFERENCE_RESOLVED",
        )
    if decision.how == "CORRECTED" and not _corrected(connection, found):
        raise WrongState(
            "the charge was not corrected since the difference was found: correct it first, or"
            " say OURS or EXPLAINED",
            subject=subject,
            reason="NOT_CORRECTED",
        )
    end(connection, [decision.diff_id], decision.now_ms, decision.actor.subject, how)
    audit_trail.record(
        connection,
        decision.actor,
        "DIFFERENCE_RESOLVED",
        f"centers/{found.center}/{subject}",
        at_ms=decision.wall_ms,
        before={"state": "OPEN", "kind": found.kind},
        after={"state": "RESOLVED", "resolution": decision.how},
        reason=decision.reason,
    )
    return _get(connection, decision.diff_id)


def _get(connection: Connection, number: int) -> DifferenceRow:
    row = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM recon_diff d WHERE d.diff_id = {number}"
    ).first()
    if row is None:
        raise NotFound(f"there is no difference {number}; `corridor reconcile list` shows them")
    return DifferenceRow(*row)


def _corrected(connection: Connection, found: DifferenceRow) -> bool:
    """Whether the run of a difference was corrected since; one that we had not, that we have it."""
    if not found.job_uid:
        return False
    return bool(
        connection.exec_driver_sql(
            f"SELECT count(*) FROM correction WHERE job_uid = {found.job_uid}"
            f" AND attempt = {found.attempt} AND booked_ms >= {found.found_ms}"
        ).scalar_one()
    )


def open_by_center(connection: Connection) -> Mapping[tuple[str, str], int]:
    """Return how many differences are open, by (center, kind)."""
    rows: Iterable[Any] = connection.exec_driver_sql(
        "SELECT center, kind, count(*) FROM recon_diff WHERE state = 'OPEN' GROUP BY center, kind"
    )
    return {(center, kind): int(count) for center, kind, count in rows}
