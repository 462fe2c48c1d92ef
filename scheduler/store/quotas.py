"""Instant quotas of cities: shown within a scope, set under an etag.

The etag of a quota is its version as text; the statement that writes is conditional on it, so of
two callers who read the same etag one wins. What an enterprise may hold is in
``quotas_enterprises``, the corridor's own part in ``quotas_flavors``, what is ordered for later in
``quotas_dated``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from scheduler.domain.events import EventKind
from scheduler.domain.principal import Scope
from scheduler.errors import NotFound, QuotaExceeded
from scheduler.store import pools, scoping
from scheduler.store.pools import Pool
from scheduler.store.quotas_enterprises import Key as Key
from scheduler.store.quotas_enterprises import guaranteed
from scheduler.store.quotas_enterprises import update_enterprise_quota as update_enterprise_quota
from scheduler.store.quotas_telling import Change as Change
from scheduler.store.quotas_telling import (
    Told,
    check_city,
    check_etag,
    check_flavor,
    check_written,
    lock_flavor,
    tell,
)


@dataclass(frozen=True, slots=True)
class CityLimits:
    """What can be set of a city's quota; None: no borrow limit, all lendable."""

    nominal_units: int
    borrow_limit_units: int | None
    lend_limit_units: int | None

    @property
    def guaranteed_units(self) -> int:
        """Units that no other city may hold (G)."""
        return self.nominal_units - (
            self.nominal_units if self.lend_limit_units is None else self.lend_limit_units
        )


@dataclass(frozen=True, slots=True)
class CityQuotaRow:
    """A city's quota and use of one flavor; ``overcommitted_units`` is the flavor's as a whole."""

    city: str
    flavor: str
    limits: CityLimits
    used_units: int
    etag: str
    updated_ms: int
    overcommitted_units: int = 0

    @property
    def borrowed_units(self) -> int:
        """Units in use above nominal."""
        return max(0, self.used_units - self.limits.nominal_units)


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
    return _city_row(row, pools.read(connection))


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
    found = pools.read(connection)
    return [_city_row(row, found) for row in rows]


def update_city_quota(
    connection: Connection, city: str, flavor: str, limits: CityLimits, change: Change
) -> CityQuotaRow:
    """Set a city's quota; an empty etag makes one that there was not yet.

    Raises ``NotFound`` for a city or flavor outside the scope, ``Conflict`` for a stale etag,
    ``QuotaExceeded`` if it is raised above what the center grants, or if less were guaranteed than
    the city promised its enterprises. Lowering below what is in use is legal: nothing is stopped,
    nothing new starts.
    """
    check_city(connection, change.actor.scope, city)
    check_flavor(connection, flavor)
    lock_flavor(connection, flavor)
    before = connection.execute(_CITY_QUOTA, _key(city, flavor)).first()
    etag = "" if before is None else str(before.version)
    check_etag(change.etag, etag, f"the quota of {city} for {flavor}")
    _check_nominal(connection, city, flavor, limits, 0 if before is None else before.nominal_units)
    _check_guarantees(connection, city, flavor, limits)
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
    check_written(written.rowcount, f"the quota of {city} for {flavor}")
    told = Told(
        EventKind.QUOTA_CHANGED,
        f"cities/{city}/quotas/{flavor}",
        city,
        "",
        flavor,
        None if before is None else asdict(_limits(before)),
        asdict(limits),
    )
    tell(connection, told, change)
    (after,) = connection.execute(_CITY_QUOTA, _key(city, flavor))
    return _city_row(after, pools.read(connection))


_CITY_QUOTA = text(
    f"SELECT {_CITY_COLUMNS} FROM city_quota q WHERE q.city = :owner AND q.flavor = :flavor"
)


def _check_nominal(
    connection: Connection, city: str, flavor: str, limits: CityLimits, before_units: int
) -> None:
    """Refuse a higher nominal quota that the pool has not; a lower one is always in order."""
    nominal = limits.nominal_units
    if nominal <= before_units:
        return
    pool = pools.read(connection)[flavor]
    corridor = pool.corridor_units or 0
    others = pool.nominal_units - before_units
    if nominal + others + corridor > pool.granted_units:
        own = f" and the corridor itself {corridor}" if corridor else ""
        raise QuotaExceeded(
            f"nominal quota {nominal} of {flavor} does not fit: the center grants"
            f" {pool.granted_units}, the other cities have {others}{own}; set at most"
            f" {max(0, pool.granted_units - others - corridor)}, or lower another city first",
            subject=f"cities/{city}",
            reason="NOMINAL_ABOVE_CAPACITY",
        )


def _check_guarantees(connection: Connection, city: str, flavor: str, limits: CityLimits) -> None:
    """A city promises its enterprises no more than what is guaranteed to itself."""
    promised = guaranteed(connection, city, flavor)
    if promised > limits.guaranteed_units:
        raise QuotaExceeded(
            f"{limits.guaranteed_units} units of {flavor} would be guaranteed to {city} (nominal"
            f" less lend limit), and its enterprises are guaranteed {promised} of them; keep at"
            f" least {promised} from being lent, or lower their guarantees first",
            subject=f"cities/{city}",
            reason="GUARANTEES_ABOVE_CITY",
        )


def _city_row(row: Row[Any], found: Mapping[str, Pool]) -> CityQuotaRow:
    return CityQuotaRow(
        row.city,
        row.flavor,
        _limits(row),
        row.used_units,
        str(row.version),
        row.updated_ms,
        found[row.flavor].overcommitted_units,
    )


def _limits(row: Row[Any]) -> CityLimits:
    return CityLimits(row.nominal_units, row.borrow_limit_units, row.lend_limit_units)


def _key(owner: str, flavor: str) -> dict[str, str]:
    return {"owner": owner, "flavor": flavor}
