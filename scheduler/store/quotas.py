"""Instant quotas of cities and enterprises: shown within a scope, set under an etag.

The etag of a quota is its version as text; the statement that writes is conditional on it, so of
two callers who read the same etag one wins. A row of an enterprise's quota that admission made to
count use has version 0: nobody ever set it, so no etag is asked for to set it first.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from scheduler.domain.events import EventKind
from scheduler.domain.principal import Principal, Scope
from scheduler.errors import Conflict, FieldViolation, InvalidRequest, NotFound, QuotaExceeded
from scheduler.store import audit_trail, catalog, feed, scoping

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CityLimits:
    """What can be set of a city's quota; None: no borrow limit, all lendable."""

    nominal_units: int
    borrow_limit_units: int | None
    lend_limit_units: int | None


@dataclass(frozen=True, slots=True)
class CityQuotaRow:
    """A city's quota and use of one flavor."""

    city: str
    flavor: str
    limits: CityLimits
    used_units: int
    etag: str
    updated_ms: int

    @property
    def borrowed_units(self) -> int:
        """Units in use above nominal."""
        return max(0, self.used_units - self.limits.nominal_units)


@dataclass(frozen=True, slots=True)
class EnterpriseQuotaRow:
    """An enterprise's cap (None: none of its own) and use of one flavor."""

    enterprise: str
    flavor: str
    cap_units: int | None
    used_units: int
    etag: str
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes what is read with ``etag``, why, and when (scheduling and wall time)."""

    actor: Principal
    etag: str
    reason: str
    now_ms: int
    wall_ms: int


# --- cities ---------------------------------------------------------------------------------------

_CITY_COLUMNS = (
    "q.city, q.flavor, q.nominal_units, q.borrow_limit_units, q.lend_limit_units, q.used_units,"
    " q.version, q.updated_ms"
)


def get_city_quota(connection: Connection, scope: Scope, city: str, flavor: str) -> CityQuotaRow:
    """Return one quota; ``NotFound`` if there is none within the scope."""
    row = connection.execute(
        text(
            f"SELECT {_CITY_COLUMNS} FROM city_quota q WHERE q.city = :city"
            f" AND q.flavor = :flavor AND {scoping.cities(scope, 'q.city')}"
        ),
        {"city": city, "flavor": flavor, **scoping.values(scope)},
    ).first()
    if row is None:
        raise NotFound(f"no quota of city {city!r} for flavor {flavor!r} that you may see")
    return _city_row(row)


def list_city_quotas(
    connection: Connection, scope: Scope, city: str = "", limit: int = 1000, after: Key = ("", "")
) -> list[CityQuotaRow]:
    """Return at most ``limit`` quotas by (city, flavor) after the key ``after``."""
    rows = connection.execute(
        text(
            f"SELECT {_CITY_COLUMNS} FROM city_quota q WHERE {scoping.cities(scope, 'q.city')}"
            " AND (:city = '' OR q.city = :city)"
            " AND (q.city > :a OR (q.city = :a AND q.flavor > :b))"
            " ORDER BY q.city, q.flavor LIMIT :limit"
        ),
        {"city": city, "a": after[0], "b": after[1], "limit": limit, **scoping.values(scope)},
    )
    return [_city_row(row) for row in rows]


def update_city_quota(
    connection: Connection, city: str, flavor: str, limits: CityLimits, change: Change
) -> CityQuotaRow:
    """Set a city's quota; an empty etag makes one that there was not yet.

    Raises ``NotFound`` for a city or flavor outside the scope, ``Conflict`` for a stale etag,
    ``QuotaExceeded`` if the cities' nominal quotas together came to more than the center grants.
    Lowering below what is in use is legal: nothing is stopped, nothing new starts.
    """
    _check_city(connection, change.actor.scope, city)
    _check_flavor(connection, flavor)
    before = connection.execute(_CITY_QUOTA, _key(city, flavor)).first()
    etag = "" if before is None else str(before.version)
    _check_etag(change.etag, etag, f"{city} {flavor}")
    _check_nominal(connection, city, flavor, limits.nominal_units)
    written = connection.execute(
        text(
            "INSERT INTO city_quota (city, flavor, nominal_units, borrow_limit_units,"
            " lend_limit_units, used_units, version, updated_ms)"
            " VALUES (:owner, :flavor, :nominal, :borrow, :lend, 0, 1, :now)"
            " ON CONFLICT (city, flavor) DO UPDATE SET nominal_units = excluded.nominal_units,"
            " borrow_limit_units = excluded.borrow_limit_units,"
            " lend_limit_units = excluded.lend_limit_units, version = city_quota.version + 1,"
            " updated_ms = excluded.updated_ms WHERE city_quota.version = :version"
        ),
        {
            **_key(city, flavor),
            "version": 0 if before is None else before.version,
            "nominal": limits.nominal_units,
            "borrow": limits.borrow_limit_units,
            "lend": limits.lend_limit_units,
            "now": change.now_ms,
        },
    )
    _check_written(written.rowcount, f"{city} {flavor}")
    told = _Told(
        EventKind.QUOTA_CHANGED,
        f"cities/{city}/quotas/{flavor}",
        city,
        "",
        flavor,
        None if before is None else asdict(_city_row(before).limits),
        asdict(limits),
    )
    _tell(connection, told, change)
    (after,) = connection.execute(_CITY_QUOTA, _key(city, flavor))
    return _city_row(after)


_CITY_QUOTA = text(
    f"SELECT {_CITY_COLUMNS} FROM city_quota q WHERE q.city = :owner AND q.flavor = :flavor"
)


def _check_nominal(connection: Connection, city: str, flavor: str, nominal: int) -> None:
    # Writing the flavor's row serializes changes of its quotas; all databases can do that.
    connection.execute(
        text("UPDATE flavor SET capacity_units = capacity_units WHERE code = :flavor"),
        {"flavor": flavor},
    )
    capacity, others = connection.execute(
        text(
            "SELECT f.capacity_units, coalesce(sum(q.nominal_units), 0) FROM flavor f"
            " LEFT JOIN city_quota q ON q.flavor = f.code AND q.city <> :city"
            " WHERE f.code = :flavor GROUP BY f.capacity_units"
        ),
        {"city": city, "flavor": flavor},
    ).one()
    if nominal + others > capacity:
        raise QuotaExceeded(
            f"nominal quota {nominal} of {flavor} does not fit: the center grants {capacity}, the"
            f" other cities have {others}; set at most {capacity - others}, or lower another city"
            " first",
            subject=f"cities/{city}",
            reason="NOMINAL_ABOVE_CAPACITY",
        )


def _city_row(row: Row[Any]) -> CityQuotaRow:
    limits = CityLimits(row.nominal_units, row.borrow_limit_units, row.lend_limit_units)
    return CityQuotaRow(
        row.city, row.flavor, limits, row.used_units, str(row.version), row.updated_ms
    )


# --- enterprises ----------------------------------------------------------------------------------

_ENTERPRISE_COLUMNS = "q.enterprise, q.flavor, q.cap_units, q.used_units, q.version, q.updated_ms"


def list_enterprise_quotas(
    connection: Connection,
    scope: Scope,
    enterprise: str = "",
    city: str = "",
    limit: int = 1000,
    after: Key = ("", ""),
) -> list[EnterpriseQuotaRow]:
    """Return at most ``limit`` quotas by (enterprise, flavor) after the key ``after``."""
    rows = connection.execute(
        text(
            f"SELECT {_ENTERPRISE_COLUMNS} FROM enterprise_quota q"
            " JOIN enterprise e ON e.code = q.enterprise"
            f" WHERE {scoping.enterprises(scope, 'e.city', 'e.code')}"
            " AND (:enterprise = '' OR e.code = :enterprise) AND (:city = '' OR e.city = :city)"
            " AND (q.enterprise > :a OR (q.enterprise = :a AND q.flavor > :b))"
            " ORDER BY q.enterprise, q.flavor LIMIT :limit"
        ),
        {
            "enterprise": enterprise,
            "city": city,
            "a": after[0],
            "b": after[1],
            "limit": limit,
            **scoping.values(scope),
        },
    )
    return [_enterprise_row(row) for row in rows]


def update_enterprise_quota(
    connection: Connection, enterprise: str, flavor: str, cap_units: int | None, change: Change
) -> EnterpriseQuotaRow:
    """Set an enterprise's cap; an empty etag sets one that nobody set before.

    Raises ``NotFound`` for an enterprise or flavor outside the scope, ``Conflict`` for a stale
    etag. A cap below what is in use is legal: nothing is stopped, nothing new starts.
    """
    scope = change.actor.scope
    city = connection.execute(
        text(
            "SELECT e.city FROM enterprise e WHERE e.code = :enterprise"
            f" AND {scoping.enterprises(scope, 'e.city', 'e.code')}"
        ),
        {"enterprise": enterprise, **scoping.values(scope)},
    ).scalar()
    if city is None:
        raise NotFound(f"no enterprise {enterprise!r} that you may manage")
    _check_flavor(connection, flavor)
    before = connection.execute(_ENTERPRISE_QUOTA, _key(enterprise, flavor)).first()
    never_set = before is None or before.version == 0
    if before is not None and (change.etag or not never_set):
        _check_etag(change.etag, str(before.version), f"{enterprise} {flavor}")
    elif change.etag:
        _check_etag(change.etag, "", f"{enterprise} {flavor}")
    written = connection.execute(
        text(
            "INSERT INTO enterprise_quota (enterprise, flavor, cap_units, used_units, version,"
            " updated_ms) VALUES (:owner, :flavor, :cap, 0, 1, :now)"
            " ON CONFLICT (enterprise, flavor) DO UPDATE SET cap_units = excluded.cap_units,"
            " version = enterprise_quota.version + 1, updated_ms = excluded.updated_ms"
            " WHERE enterprise_quota.version = :version"
        ),
        {
            **_key(enterprise, flavor),
            "version": 0 if before is None else before.version,
            "cap": cap_units,
            "now": change.now_ms,
        },
    )
    _check_written(written.rowcount, f"{enterprise} {flavor}")
    _tell(
        connection,
        _Told(
            EventKind.ENTERPRISE_QUOTA_CHANGED,
            f"enterprises/{enterprise}/quotas/{flavor}",
            str(city),
            enterprise,
            flavor,
            None if before is None else {"cap_units": before.cap_units},
            {"cap_units": cap_units},
        ),
        change,
    )
    (after,) = connection.execute(_ENTERPRISE_QUOTA, _key(enterprise, flavor))
    return _enterprise_row(after)


_ENTERPRISE_QUOTA = text(
    f"SELECT {_ENTERPRISE_COLUMNS} FROM enterprise_quota q"
    " WHERE q.enterprise = :owner AND q.flavor = :flavor"
)


def _enterprise_row(row: Row[Any]) -> EnterpriseQuotaRow:
    return EnterpriseQuotaRow(
        row.enterprise,
        row.flavor,
        row.cap_units,
        row.used_units,
        str(row.version),
        row.updated_ms,
    )


# --- shared ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Told:
    """What the feed and the audit log are told of a change."""

    kind: EventKind
    target: str
    city: str
    enterprise: str
    flavor: str
    before: audit_trail.Figures | None
    after: audit_trail.Figures


def _tell(connection: Connection, told: _Told, change: Change) -> None:
    detail = json.dumps({"flavor": told.flavor}, separators=(",", ":"))
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


def _key(owner: str, flavor: str) -> dict[str, str]:
    return {"owner": owner, "flavor": flavor}


def _check_city(connection: Connection, scope: Scope, city: str) -> None:
    if not scope.covers(city, "") or not catalog.has_city(connection, city):
        raise NotFound(f"no city {city!r} that you may manage; `corridor city list` shows all")


def _check_flavor(connection: Connection, flavor: str) -> None:
    known = [row.flavor for row in catalog.flavors(connection)]
    if flavor not in known:
        raise InvalidRequest(
            [FieldViolation("quota.flavor", f"unknown {flavor!r}; known are {', '.join(known)}")]
        )


def _check_written(rows: int, what: str) -> None:
    if rows != 1:
        raise Conflict(f"the quota {what} changed at this moment; read it again, then decide")


def _check_etag(given: str, current: str, what: str) -> None:
    if given != current:
        raise Conflict(
            f"the quota {what} is not as you read it (your etag {given!r}, now {current!r}); read"
            " it again, then decide",
            metadata={"etag": current},
        )
