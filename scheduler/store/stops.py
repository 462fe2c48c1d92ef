"""Stops of cities and enterprises: OPEN, on HOLD (starts nothing) or DRAIN (runs are ended too).

What an operator stopped only an operator opens; a city's admin stops and opens the own city and
its enterprises.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from scheduler.domain.events import EventKind
from scheduler.domain.principal import Role, Scope
from scheduler.errors import FieldViolation, Forbidden, InvalidRequest
from scheduler.store import scoping
from scheduler.store.quotas_telling import (
    Change,
    Told,
    check_city,
    check_etag,
    check_written,
    city_of,
    tell,
)

OPEN: Final = "OPEN"
HOLD: Final = "HOLD"
DRAIN: Final = "DRAIN"


@dataclass(frozen=True, slots=True)
class StopRow:
    """A node's state, and who set it why; a node that was never stopped has no etag."""

    node: str
    city: str
    enterprise: str
    state: str
    reason: str
    actor: str
    role: str
    etag: str
    updated_ms: int


_SELECT = (
    "SELECT s.node, coalesce(s.city, e.city) AS city, coalesce(s.enterprise, '') AS enterprise,"
    " s.state, s.reason, s.actor, s.role, s.version, s.updated_ms"
    " FROM stop_state s LEFT JOIN enterprise e ON e.code = s.enterprise"
)


def stopped(connection: Connection) -> dict[str, str]:
    """Return the nodes that are not open, with HOLD or DRAIN."""
    rows = connection.exec_driver_sql("SELECT node, state FROM stop_state WHERE state <> 'OPEN'")
    return {row[0]: row[1] for row in rows}


def list_stops(
    connection: Connection,
    scope: Scope,
    *,
    all_states: bool = False,
    limit: int = 1000,
    after: str = "",
) -> list[StopRow]:
    """Return at most ``limit`` nodes by name after ``after``: those stopped, or ever stopped.

    An enterprise sees its own and that of its city.
    """
    binds = scoping.values(scope)
    rows = connection.execute(
        text(
            f"{_SELECT} WHERE s.node > :after AND (:all_states OR s.state <> 'OPEN')"
            " AND ((s.enterprise IS NOT NULL"
            f" AND {scoping.enterprises(scope, 'e.city', 'e.code')})"
            f" OR (s.city IS NOT NULL AND {scoping.cities(scope, 's.city')}))"
            " ORDER BY s.node LIMIT :limit"
        ),
        {"after": after, "all_states": all_states, "limit": limit, **binds},
    )
    return [_row(row) for row in rows]


def set_stop(connection: Connection, node: str, state: str, change: Change) -> StopRow:
    """Open, hold or drain a city or an enterprise.

    Raises ``InvalidRequest`` for a node of another kind, ``NotFound`` for one outside the scope,
    ``Conflict`` for a stale etag, and ``Forbidden`` for a city's admin who would change what an
    operator stopped.
    """
    kind, _, code = node.partition("/")
    scope = change.actor.scope
    if kind == "cities":
        check_city(connection, scope, code)
        city, enterprise = code, ""
    elif kind == "enterprises":
        city, enterprise = city_of(connection, scope, code), code
    else:
        what = "must be cities/CODE or enterprises/CODE; centers are cordoned and drained by name"
        raise InvalidRequest([FieldViolation("node", what)])
    before = _one(connection, node)
    check_etag(change.etag, "" if before is None else before.etag, f"the state of {node}")
    _check_right(before, change)
    written = connection.execute(
        text(
            "INSERT INTO stop_state (node, city, enterprise, state, reason, actor, role, version,"
            " updated_ms) VALUES (:node, :city, :enterprise, :state, :reason, :actor, :role, 1,"
            " :now) ON CONFLICT (node) DO UPDATE SET state = excluded.state,"
            " reason = excluded.reason, actor = excluded.actor, role = excluded.role,"
            " version = stop_state.version + 1, updated_ms = excluded.updated_ms"
            " WHERE stop_state.version = :version"
        ),
        {
            "node": node,
            "city": None if enterprise else city,
            "enterprise": enterprise or None,
            "state": state,
            "reason": change.reason,
            "actor": change.actor.subject,
            "role": str(change.actor.role),
            "now": change.now_ms,
            "version": 0 if before is None else int(before.etag),
        },
    )
    check_written(written.rowcount, f"the state of {node}")
    figures = {"state": OPEN if before is None else before.state}
    told = Told(EventKind.STOP_CHANGED, node, city, enterprise, "", figures, {"state": state})
    tell(connection, told, change)
    after = _one(connection, node)
    assert after is not None, "it was written"
    return after


def _check_right(before: StopRow | None, change: Change) -> None:
    if before is None or before.state == OPEN or change.actor.role is Role.OPERATOR:
        return
    if before.role == Role.OPERATOR:
        raise Forbidden(
            f"an operator has set {before.node} to {before.state} ({before.reason}); ask an"
            " operator to open it",
            reason="STOPPED_BY_OPERATOR",
        )


def _one(connection: Connection, node: str) -> StopRow | None:
    row = connection.execute(text(f"{_SELECT} WHERE s.node = :node"), {"node": node}).first()
    return None if row is None else _row(row)


def _row(row: Row[Any]) -> StopRow:
    return StopRow(
        row.node,
        row.city,
        row.enterprise,
        row.state,
        row.reason,
        row.actor,
        row.role,
        str(row.version),
        row.updated_ms,
    )
