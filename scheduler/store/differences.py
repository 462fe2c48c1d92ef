"""Differences with centers' own records: shown to whom they concern, resolved by somebody."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from scheduler.domain.principal import Principal, Scope
from scheduler.errors import NotFound, WrongState
from scheduler.store import audit_trail, scoping
from scheduler.store.change_requests import Act
from scheduler.store.database import bulk_execute


class DifferenceRow(NamedTuple):
    """A difference as it is kept; ``diff_id`` 0 if it was not.

    ``charge_revision`` is the revision of the run's charge by which it was resolved, if any.
    """

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
    charge_revision: int | None = None

    @property
    def subject(self) -> str:
        """What errors and the audit log call it."""
        return f"differences/{self.diff_id}"


_COLUMNS: Final = (
    "d.diff_id, d.center, d.kind, d.job_uid, d.attempt, d.native_id, d.use_ms, d.here, d.there,"
    " d.state, d.found_ms, d.resolved_ms, d.resolved_by, d.resolution, d.charge_revision"
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


def end(
    connection: Connection,
    numbers: Sequence[int],
    now_ms: int,
    actor: str,
    how: str,
    revision: int | None = None,
) -> None:
    """Resolve open differences, by a revision of the charge if there is one."""
    bulk_execute(
        connection,
        "UPDATE recon_diff SET state = 'RESOLVED', resolved_ms = ?, resolved_by = ?,"
        " resolution = ?, charge_revision = ? WHERE diff_id = ? AND state = 'OPEN'",
        [(now_ms, actor, how, revision, number) for number in numbers],
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
    """How a difference is resolved: OURS, CORRECTED or EXPLAINED, or THEIRS (``revised_use``)."""

    diff_id: int
    how: str
    reason: str
    actor: Principal
    now_ms: int
    wall_ms: int

    @property
    def act(self) -> Act:
        """Who does it, why and when."""
        return Act(self.actor, self.reason, self.now_ms, self.wall_ms)


def resolve(connection: Connection, decision: Decision) -> DifferenceRow:
    """Resolve a difference; again in the same way changes nothing.

    Raises ``NotFound``, and ``WrongState`` for one that was resolved otherwise, or for CORRECTED
    where the charge was not corrected since it was found.
    """
    found = get(connection, decision.diff_id)
    if resolved_before(found, decision):
        return found
    revision = None
    if decision.how == "CORRECTED":
        revision = _corrected(connection, found)
        if revision is None:
            raise WrongState(
                "the charge was not corrected since the difference was found: correct it first, or"
                " say OURS, THEIRS or EXPLAINED",
                subject=found.subject,
                reason="NOT_CORRECTED",
            )
    return settle(connection, found, decision, revision)


def resolved_before(found: DifferenceRow, decision: Decision) -> bool:
    """Whether a difference was resolved so already; raises ``WrongState`` if otherwise."""
    if found.state != "RESOLVED":
        return False
    if found.resolution == f"{decision.how}: {decision.reason}":
        return True
    raise WrongState(
        f"difference {found.diff_id} was resolved by {found.resolved_by}: {found.resolution}",
        subject=found.subject,
        reason="DIFFERENCE_RESOLVED",
    )


def settle(
    connection: Connection, found: DifferenceRow, decision: Decision, revision: int | None
) -> DifferenceRow:
    """Resolve an open difference, by a revision of the run's charge if there is one."""
    end(
        connection,
        [found.diff_id],
        decision.now_ms,
        decision.actor.subject,
        f"{decision.how}: {decision.reason}",
        revision,
    )
    by = {} if revision is None else {"charge_revision": revision}
    audit_trail.record(
        connection,
        decision.actor,
        "DIFFERENCE_RESOLVED",
        f"centers/{found.center}/{found.subject}",
        at_ms=decision.wall_ms,
        before={"state": "OPEN", "kind": found.kind},
        after={"state": "RESOLVED", "resolution": decision.how, **by},
        reason=decision.reason,
    )
    return get(connection, found.diff_id)


def get(connection: Connection, number: int) -> DifferenceRow:
    """Return a difference; raises ``NotFound``."""
    row = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM recon_diff d WHERE d.diff_id = {number}"
    ).first()
    if row is None:
        raise NotFound(f"there is no difference {number}; `corridor reconcile list` shows them")
    return DifferenceRow(*row)


def _corrected(connection: Connection, found: DifferenceRow) -> int | None:
    """The last revision of the charge of a difference's run, if it was corrected since."""
    if not found.job_uid:
        return None
    revision: int | None = connection.exec_driver_sql(
        f"SELECT max(revision) FROM correction WHERE job_uid = {found.job_uid}"
        f" AND attempt = {found.attempt} AND booked_ms >= {found.found_ms}"
    ).scalar_one()
    return revision


def open_by_center(connection: Connection) -> Mapping[tuple[str, str], int]:
    """Return how many differences are open, by (center, kind)."""
    rows: Iterable[Any] = connection.exec_driver_sql(
        "SELECT center, kind, count(*) FROM recon_diff WHERE state = 'OPEN' GROUP BY center, kind"
    )
    return {(center, kind): int(count) for center, kind, count in rows}
