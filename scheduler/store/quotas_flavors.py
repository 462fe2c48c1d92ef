"""The corridor's own part of a flavor: its pool, and how lent units come back to their city."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from scheduler.domain.events import EventKind
from scheduler.errors import NotFound, QuotaExceeded
from scheduler.store import feed, leader, pools
from scheduler.store.pools import Pool
from scheduler.store.quotas_telling import (
    Change,
    Told,
    check_corridor,
    check_etag,
    check_flavor,
    check_written,
    lock_flavor,
    tell,
)


@dataclass(frozen=True, slots=True)
class Reclaim:
    """How lent units come back: ``mode`` is churn, lease or evict; see ``ReclaimSet``."""

    mode: str = "churn"
    lease_s: int = 4 * 3600
    run_min_s: int = 30 * 60
    grace_s: int = 5 * 60
    rate_bps: int = 1_000
    rate_s: int = 5 * 60


DEFAULTS: Final = Reclaim()
#: From least to most of what can be set of a ``Reclaim``.
_YEAR_S: Final = 366 * 86_400
RECLAIM_RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "lease_s": (1, _YEAR_S),
    "run_min_s": (0, _YEAR_S),
    "grace_s": (0, _YEAR_S),
    "rate_bps": (1, 10_000),
    "rate_s": (1, _YEAR_S),
}


@dataclass(frozen=True, slots=True)
class FlavorLimits:
    """What can be set of a flavor; corridor None: what the nominal quotas leave."""

    granted_units: int
    corridor_units: int | None
    reclaim: Reclaim


@dataclass(frozen=True, slots=True)
class FlavorQuotaRow:
    """A flavor's pool, what of it is promised, guaranteed and in use, and its rules."""

    pool: Pool
    reclaim: Reclaim
    guaranteed_units: int
    used_units: int
    etag: str
    updated_ms: int

    @property
    def limits(self) -> FlavorLimits:
        """The part that can be set."""
        return FlavorLimits(self.pool.granted_units, self.pool.corridor_units, self.reclaim)


def list_flavor_quotas(connection: Connection) -> list[FlavorQuotaRow]:
    """Return all flavors; their sums tell of no single city, so everybody may see them."""
    rules = {
        row.flavor: row
        for row in connection.execute(
            text(
                "SELECT flavor, reclaim, lease_s, run_min_s, grace_s, rate_bps, rate_s, version,"
                " updated_ms FROM flavor_quota"
            )
        )
    }
    sums = {
        flavor: (int(used), int(guaranteed))
        for flavor, used, guaranteed in connection.execute(
            text(
                "SELECT flavor, sum(used_units),"
                " sum(nominal_units - coalesce(lend_limit_units, nominal_units))"
                " FROM city_quota GROUP BY flavor"
            )
        )
    }
    found = []
    for flavor, pool in pools.read(connection).items():
        used, guaranteed = sums.get(flavor, (0, 0))
        row = rules.get(flavor)
        if row is None:
            found.append(FlavorQuotaRow(pool, DEFAULTS, guaranteed, used, "", 0))
            continue
        reclaim = Reclaim(*row[1:7])
        found.append(
            FlavorQuotaRow(pool, reclaim, guaranteed, used, str(row.version), row.updated_ms)
        )
    return found


def get_flavor_quota(connection: Connection, flavor: str) -> FlavorQuotaRow:
    """Return one flavor; ``NotFound`` names those there are."""
    rows = list_flavor_quotas(connection)
    for row in rows:
        if row.pool.flavor == flavor:
            return row
    known = ", ".join(row.pool.flavor for row in rows) or "none"
    raise NotFound(f"there is no flavor {flavor!r}; known are {known}")


def update_flavor_quota(
    connection: Connection, flavor: str, limits: FlavorLimits, change: Change
) -> FlavorQuotaRow:
    """Set what the center grants, the corridor's own units and the reclaim rule of a flavor.

    Raises ``NotFound`` for anybody but an operator, ``InvalidRequest`` for an unknown flavor,
    ``Conflict`` for a stale etag, ``QuotaExceeded`` if the corridor's units are raised above what
    the cities leave. Granting less than is promised is legal: it is shown as overcommitted, and
    the capacity alone says what may start.
    """
    check_corridor(change.actor.scope, f"flavor quota {flavor!r}")
    check_flavor(connection, flavor)
    lock_flavor(connection, flavor)
    before = get_flavor_quota(connection, flavor)
    check_etag(change.etag, before.etag, f"the quota of {flavor}")
    _check_corridor_units(before.pool, limits)
    _write(connection, flavor, limits, before.etag, change.now_ms)
    told = Told(
        EventKind.FLAVOR_QUOTA_CHANGED,
        f"flavors/{flavor}/quota",
        "",
        "",
        flavor,
        _figures(before.limits),
        _figures(limits),
    )
    tell(connection, told, change)
    return get_flavor_quota(connection, flavor)


def _check_corridor_units(pool: Pool, limits: FlavorLimits) -> None:
    corridor = limits.corridor_units or 0
    if corridor <= (pool.corridor_units or 0):
        return
    if corridor + pool.nominal_units > limits.granted_units:
        left = max(0, limits.granted_units - pool.nominal_units)
        raise QuotaExceeded(
            f"{corridor} units of {pool.flavor} for the corridor do not fit: the center grants"
            f" {limits.granted_units}, the cities have {pool.nominal_units}; set at most {left}, or"
            " lower a city's quota first",
            subject="corridor",
            reason="CORRIDOR_ABOVE_CAPACITY",
        )


def _write(
    connection: Connection, flavor: str, limits: FlavorLimits, etag: str, now_ms: int
) -> None:
    connection.execute(
        text("UPDATE flavor SET capacity_units = :granted WHERE code = :flavor"),
        {"flavor": flavor, "granted": limits.granted_units},
    )
    reclaim = limits.reclaim
    written = connection.execute(
        text(
            "INSERT INTO flavor_quota (flavor, corridor_units, reclaim, lease_s, run_min_s,"
            " grace_s, rate_bps, rate_s, version, updated_ms) VALUES (:flavor, :corridor, :mode,"
            " :lease, :run_min, :grace, :bps, :rate, 1, :now)"
            " ON CONFLICT (flavor) DO UPDATE SET corridor_units = excluded.corridor_units,"
            " reclaim = excluded.reclaim, lease_s = excluded.lease_s,"
            " run_min_s = excluded.run_min_s, grace_s = excluded.grace_s,"
            " rate_bps = excluded.rate_bps, rate_s = excluded.rate_s,"
            " version = flavor_quota.version + 1, updated_ms = excluded.updated_ms"
            " WHERE flavor_quota.version = :version"
        ),
        {
            "flavor": flavor,
            "corridor": limits.corridor_units,
            "mode": reclaim.mode,
            "lease": reclaim.lease_s,
            "run_min": reclaim.run_min_s,
            "grace": reclaim.grace_s,
            "bps": reclaim.rate_bps,
            "rate": reclaim.rate_s,
            "now": now_ms,
            "version": int(etag or 0),
        },
    )
    check_written(written.rowcount, f"the quota of {flavor}")


def _figures(limits: FlavorLimits) -> dict[str, str | int | None]:
    reclaim = limits.reclaim
    return {
        "granted_units": limits.granted_units,
        "corridor_units": limits.corridor_units,
        "reclaim": reclaim.mode,
        "lease_s": reclaim.lease_s,
        "run_min_s": reclaim.run_min_s,
        "grace_s": reclaim.grace_s,
        "rate_bps": reclaim.rate_bps,
        "rate_s": reclaim.rate_s,
    }


# --- what centers report --------------------------------------------------------------------------


def report_capacity(
    connection: Connection, epoch: int, center: str, reported: Mapping[str, int], now_ms: int
) -> list[str]:
    """Keep what a center says that it has; returns the flavors of which that is news.

    ``reported`` is units by flavor; what is not a flavor of this center is passed over, what the
    center leaves out stays as it was. News is an event: the planner's pools follow. Raises
    ``leader.Fenced``.
    """
    leader.check(connection, epoch)
    known = pools.read(connection)
    news = [
        flavor
        for flavor, units in sorted(reported.items())
        if flavor in known
        and known[flavor].center == center
        and known[flavor].reported_units != units
    ]
    for flavor in news:
        connection.execute(
            text(
                "INSERT INTO pool_report (flavor, units, changed_ms) VALUES (:flavor, :units, :now)"
                " ON CONFLICT (flavor) DO UPDATE SET units = excluded.units,"
                " changed_ms = excluded.changed_ms"
            ),
            {"flavor": flavor, "units": reported[flavor], "now": now_ms},
        )
    details = [{"center": center, "flavor": one, "units": str(reported[one])} for one in news]
    feed.append(
        connection,
        [
            feed.EventRow(EventKind.CAPACITY_CHANGED, 0, 0, "", "", "", now_ms, json.dumps(detail))
            for detail in details
        ],
    )
    return news
