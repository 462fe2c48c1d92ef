"""What every change of the quota book shares: who, under which etag, and who is told."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, text

from scheduler.domain.events import EventKind
from scheduler.domain.principal import EVERYTHING, Principal, Scope
from scheduler.errors import Conflict, FieldViolation, InvalidRequest, NotFound
from scheduler.store import audit_trail, catalog, feed, scoping


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes what is read with ``etag``, why, and when (scheduling and wall time).

    An etag of None changes whatever is there: a change ordered before, whose time has come.
    """

    actor: Principal
    etag: str | None
    reason: str
    now_ms: int
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Told:
    """What the feed and the audit log are told of a change."""

    kind: EventKind
    target: str
    city: str
    enterprise: str
    flavor: str
    before: audit_trail.Figures | None
    after: audit_trail.Figures


def tell(connection: Connection, told: Told, change: Change) -> None:
    """Add the event and the audit row in the transaction of the change."""
    detail = json.dumps({"flavor": told.flavor}, separators=(",", ":")) if told.flavor else ""
    row = feed.EventRow(told.kind, 0, 0, told.enterprise, told.city, "", change.now_ms, detail)
    feed.append(connection, [row])
    audit_trail.record(
        connection,
        change.actor,
        str(told.kind),
        told.target,
        at_ms=change.wall_ms,
        before=told.before,
        after=told.after,
        reason=change.reason,
        city=told.city,
        enterprise=told.enterprise,
    )


def lock_flavor(connection: Connection, flavor: str) -> None:
    """Let no other transaction change quotas of a flavor until this one ends."""
    # A write of the flavor's row does it on every database.
    connection.execute(
        text("UPDATE flavor SET capacity_units = capacity_units WHERE code = :flavor"),
        {"flavor": flavor},
    )


def check_city(connection: Connection, scope: Scope, city: str) -> None:
    """Raise ``NotFound`` unless the city is there and within the scope."""
    if not scope.covers(city, "") or not catalog.has_city(connection, city):
        raise NotFound(f"no city {city!r} that you may manage; `corridor city list` shows all")


def city_of(connection: Connection, scope: Scope, enterprise: str) -> str:
    """Return the city of an enterprise; ``NotFound`` unless it is within the scope."""
    city = connection.execute(
        text(
            "SELECT e.city FROM enterprise e WHERE e.code = :enterprise"
            f" AND {scoping.enterprises(scope, 'e.city', 'e.code')}"
        ),
        {"enterprise": enterprise, **scoping.values(scope)},
    ).scalar()
    if city is None:
        raise NotFound(f"no enterprise {enterprise!r} that you may manage")
    return str(city)


def check_corridor(scope: Scope, what: str) -> None:
    """Raise ``NotFound`` for anybody whose scope is less than the whole corridor."""
    if scope != EVERYTHING:
        raise NotFound(f"no {what} that you may manage; ask an operator")


def check_flavor(connection: Connection, flavor: str) -> None:
    """Raise ``InvalidRequest`` for a flavor that there is not."""
    known = [row.flavor for row in catalog.flavors(connection)]
    if flavor not in known:
        raise InvalidRequest(
            [FieldViolation("quota.flavor", f"unknown {flavor!r}; known are {', '.join(known)}")]
        )


def check_written(rows: int, what: str) -> None:
    """Raise ``Conflict`` if the conditional write met nothing."""
    if rows != 1:
        raise Conflict(f"{what} changed at this moment; read it again, then decide")


def check_etag(given: str | None, current: str, what: str) -> None:
    """Raise ``Conflict`` unless the etag is that of what is stored."""
    if given is not None and given != current:
        raise Conflict(
            f"{what} is not as you read it (your etag {given!r}, now {current!r}); read it again,"
            " then decide",
            metadata={"etag": current},
        )
