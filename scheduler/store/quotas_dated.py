"""Changes of quotas that were ordered for later: kept, applied when due, in order, or refused.

A change is judged when it is due, by what is in force then: whoever ordered it may still set that
quota, and it fits. What does not is refused with a trace in the audit log and the feed. Changes
that are due together apply in the order of their instants, then of their orders; each stands for
itself.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import IntegrityError

from scheduler.domain.events import EventKind
from scheduler.domain.principal import EVERYTHING, Principal, Role, Scope
from scheduler.errors import CorridorError, NotFound, WrongState
from scheduler.store import leader, quotas, quotas_enterprises, quotas_flavors, scoping
from scheduler.store.quotas import CityLimits
from scheduler.store.quotas_flavors import FlavorLimits, Reclaim
from scheduler.store.quotas_telling import (
    Change,
    Told,
    check_city,
    check_corridor,
    check_etag,
    check_flavor,
    city_of,
    tell,
)


@dataclass(frozen=True, slots=True)
class EnterpriseLimits:
    """What can be set of an enterprise's quota."""

    cap_units: int | None
    guarantee_units: int


Limits = CityLimits | EnterpriseLimits | FlavorLimits


@dataclass(frozen=True, slots=True)
class Order:
    """What is to change at ``effective_ms`` (scheduling time): the limits of whose quota.

    ``owner`` is the city or the enterprise, empty for the flavor's own.
    """

    owner: str
    flavor: str
    limits: Limits
    effective_ms: int


@dataclass(frozen=True, slots=True)
class DatedChange:
    """An ordered change; ``state`` is PENDING, APPLIED, REFUSED (``message`` says why) or
    CANCELLED."""

    change_id: int
    city: str
    enterprise: str
    flavor: str
    limits: Limits
    effective_ms: int
    state: str
    reason: str
    actor: str
    created_ms: int
    decided_ms: int | None
    message: str


_COLUMNS = (
    "q.change_id, q.kind, q.city, q.enterprise, q.flavor, q.figures, q.effective_ms, q.state,"
    " q.reason, q.actor, q.role, q.scope_city, q.created_ms, q.decided_ms, q.message"
)


def schedule(connection: Connection, order: Order, change: Change) -> DatedChange:
    """Keep a change until its time.

    The scope, the flavor and the etag are checked now, whether it fits when it is due. Raises
    ``NotFound``, ``InvalidRequest`` and ``Conflict``.
    """
    kind, city, enterprise = _whose(connection, order, change)
    scope = change.actor.scope
    change_id = connection.execute(
        text(
            "INSERT INTO quota_change (kind, city, enterprise, flavor, figures, effective_ms,"
            " state, reason, actor, role, scope_city, created_ms, message) VALUES (:kind, :city,"
            " :enterprise, :flavor, :figures, :effective, 'PENDING', :reason, :actor, :role,"
            " :scope_city, :now, '') RETURNING change_id"
        ),
        {
            "kind": kind,
            "city": city,
            "enterprise": enterprise,
            "flavor": order.flavor,
            "figures": json.dumps(asdict(order.limits), separators=(",", ":")),
            "effective": order.effective_ms,
            "reason": change.reason,
            "actor": change.actor.subject,
            "role": str(change.actor.role),
            "scope_city": scope.city,
            "now": change.now_ms,
        },
    ).scalar_one()
    kept = _get(connection, EVERYTHING, int(change_id))
    _tell(connection, EventKind.QUOTA_CHANGE_ORDERED, kept, change)
    return kept


def _whose(connection: Connection, order: Order, change: Change) -> tuple[str, str, str]:
    """Return (kind, city, enterprise) of a change once the caller may order it as read."""
    scope, owner, flavor = change.actor.scope, order.owner, order.flavor
    match order.limits:
        case CityLimits():
            check_city(connection, scope, owner)
            check_flavor(connection, flavor)
            found = ("CITY", owner, "")
            etag = _city_etag(connection, owner, flavor)
        case EnterpriseLimits():
            found = ("ENTERPRISE", city_of(connection, scope, owner), owner)
            check_flavor(connection, flavor)
            row = quotas_enterprises.get_enterprise_quota(connection, scope, owner, flavor)
            etag = "" if row.etag == "0" and not change.etag else row.etag
        case FlavorLimits():
            check_corridor(scope, f"flavor quota {flavor!r}")
            check_flavor(connection, flavor)
            found = ("FLAVOR", "", "")
            etag = quotas_flavors.get_flavor_quota(connection, flavor).etag
    check_etag(change.etag, etag, f"the quota of {owner or 'the corridor'} for {flavor}")
    return found


def _city_etag(connection: Connection, city: str, flavor: str) -> str:
    try:
        return quotas.get_city_quota(connection, EVERYTHING, city, flavor).etag
    except NotFound:
        return ""


# --- shown and cancelled --------------------------------------------------------------------------


def list_changes(
    connection: Connection,
    scope: Scope,
    *,
    all_states: bool = False,
    limit: int = 1000,
    after: int = 0,
) -> list[DatedChange]:
    """Return at most ``limit`` changes by id after ``after``: those that wait, or all.

    A city sees its own and those of its enterprises, an enterprise its own and its city's; those
    of flavors are seen by who sees everything.
    """
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM quota_change q WHERE q.change_id > :after"
            f" AND (:all_states OR q.state = 'PENDING') AND {_seen(scope)}"
            " ORDER BY q.change_id LIMIT :limit"
        ),
        {"after": after, "all_states": all_states, "limit": limit, **scoping.values(scope)},
    )
    return [_change(row) for row in rows]


def cancel(connection: Connection, change_id: int, change: Change) -> DatedChange:
    """Take back a change that waits; one of a city or a flavor is the operators' to cancel.

    Raises ``NotFound`` outside the scope and ``WrongState`` for one that waits no more.
    """
    scope = change.actor.scope
    before = _get(connection, scope, change_id)
    if not before.enterprise:
        check_corridor(scope, f"change {change_id} of a city's or flavor's quota")
    _decide(connection, before, "CANCELLED", "", change.now_ms)
    after = _get(connection, scope, change_id)
    _tell(connection, EventKind.QUOTA_CHANGE_CANCELLED, after, change)
    return after


def _decide(
    connection: Connection, one: DatedChange, state: str, message: str, now_ms: int
) -> None:
    written = connection.execute(
        text(
            "UPDATE quota_change SET state = :state, decided_ms = :now, message = :message"
            " WHERE change_id = :change AND state = 'PENDING'"
        ),
        {"state": state, "now": now_ms, "message": message, "change": one.change_id},
    )
    if written.rowcount != 1:
        raise WrongState(
            f"change {one.change_id} is {one.state} and waits no more; `corridor quota changes"
            " --all` shows what became of it",
            subject=f"quotaChanges/{one.change_id}",
        )


# --- when due -------------------------------------------------------------------------------------


def any_due(connection: Connection, now_ms: int) -> bool:
    """Whether a change waits whose time has come."""
    query = f"SELECT 1 FROM quota_change WHERE state = 'PENDING' AND effective_ms <= {now_ms}"
    return connection.exec_driver_sql(f"{query} LIMIT 1").first() is not None


def apply_due(
    connection: Connection, epoch: int, now_ms: int, wall_ms: int, limit: int = 200
) -> list[DatedChange]:
    """Apply what is due, in order, at most ``limit`` of it; returns what became of each.

    Raises ``leader.Fenced``.
    """
    leader.check(connection, epoch)
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM quota_change q WHERE q.state = 'PENDING'"
            " AND q.effective_ms <= :now ORDER BY q.effective_ms, q.change_id LIMIT :limit"
        ),
        {"now": now_ms, "limit": limit},
    ).all()
    return [_apply(connection, row, now_ms, wall_ms) for row in rows]


def _apply(connection: Connection, row: Row[Any], now_ms: int, wall_ms: int) -> DatedChange:
    one = _change(row)
    actor = Principal(row.actor, Role(row.role), row.scope_city, None, None, "", 0)
    change = Change(
        actor, None, f"{row.reason} (ordered as change {one.change_id})", now_ms, wall_ms
    )
    savepoint = connection.begin_nested()
    try:
        _set(connection, one, change)
    except (CorridorError, IntegrityError) as error:  # no change may bar those behind it
        savepoint.rollback()
        message = error.message if isinstance(error, CorridorError) else str(error.orig)
        _decide(connection, one, "REFUSED", message, now_ms)
        after = _get(connection, EVERYTHING, one.change_id)
        _tell(connection, EventKind.QUOTA_CHANGE_REFUSED, after, change)
        return after
    savepoint.commit()
    _decide(connection, one, "APPLIED", "", now_ms)
    return _get(connection, EVERYTHING, one.change_id)


def _set(connection: Connection, one: DatedChange, change: Change) -> None:
    match one.limits:
        case CityLimits():
            quotas.update_city_quota(connection, one.city, one.flavor, one.limits, change)
        case EnterpriseLimits(cap, guarantee):
            quotas_enterprises.update_enterprise_quota(
                connection, one.enterprise, one.flavor, cap, change, guarantee
            )
        case FlavorLimits():
            quotas_flavors.update_flavor_quota(connection, one.flavor, one.limits, change)


# --- shared ---------------------------------------------------------------------------------------


def _seen(scope: Scope) -> str:
    """Condition on what a scope may see; a change of a flavor is of no city and no enterprise."""
    mine = scoping.enterprises(scope, "q.city", "q.enterprise")
    return f"({mine} OR (q.kind = 'CITY' AND {scoping.cities(scope, 'q.city')}))"


def _get(connection: Connection, scope: Scope, change_id: int) -> DatedChange:
    row = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM quota_change q WHERE q.change_id = :change AND {_seen(scope)}"
        ),
        {"change": change_id, **scoping.values(scope)},
    ).first()
    if row is None:
        raise NotFound(f"no change {change_id} of a quota that you may see")
    return _change(row)


def _tell(connection: Connection, kind: EventKind, one: DatedChange, change: Change) -> None:
    figures: dict[str, str | int | bool | None] = {
        "change": one.change_id,
        "effective_ms": one.effective_ms,
        "state": one.state,
        "message": one.message,
        "limits": json.dumps(asdict(one.limits), separators=(",", ":")),
    }
    target = target_of(one)
    told = Told(kind, target, one.city, one.enterprise, one.flavor, None, figures)
    tell(connection, told, change)


def target_of(one: DatedChange) -> str:
    """Return the name of the quota that a change is of."""
    if one.enterprise:
        return f"enterprises/{one.enterprise}/quotas/{one.flavor}"
    return f"cities/{one.city}/quotas/{one.flavor}" if one.city else f"flavors/{one.flavor}/quota"


def _change(row: Row[Any]) -> DatedChange:
    return DatedChange(
        row.change_id,
        row.city,
        row.enterprise,
        row.flavor,
        _limits(row.kind, json.loads(row.figures)),
        row.effective_ms,
        row.state,
        row.reason,
        row.actor,
        row.created_ms,
        row.decided_ms,
        row.message,
    )


def _limits(kind: str, figures: dict[str, Any]) -> Limits:
    if kind == "CITY":
        return CityLimits(**figures)
    if kind == "ENTERPRISE":
        return EnterpriseLimits(**figures)
    return FlavorLimits(**{**figures, "reclaim": Reclaim(**figures["reclaim"])})
