"""Caps and guarantees of enterprises inside their city, and how much of each they hold.

A row that admission made to count use has version 0: nobody ever set it, so no etag is asked for
to set it first.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from scheduler.domain.events import EventKind
from scheduler.domain.principal import Scope
from scheduler.errors import QuotaExceeded
from scheduler.store import scoping
from scheduler.store.quotas_telling import (
    Change,
    Told,
    check_etag,
    check_flavor,
    check_written,
    city_of,
    lock_flavor,
    tell,
)

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class EnterpriseQuotaRow:
    """An enterprise's cap (None: none of its own), its guarantee, and its use of one flavor."""

    enterprise: str
    city: str
    flavor: str
    cap_units: int | None
    guarantee_units: int
    used_units: int
    etag: str
    updated_ms: int


_COLUMNS = (
    "q.enterprise, e.city, q.flavor, q.cap_units, q.guarantee_units, q.used_units, q.version,"
    " q.updated_ms"
)
_FROM = "FROM enterprise_quota q JOIN enterprise e ON e.code = q.enterprise"


def get_enterprise_quota(
    connection: Connection, scope: Scope, enterprise: str, flavor: str
) -> EnterpriseQuotaRow:
    """Return one quota, without an etag if nobody set it yet.

    ``NotFound`` for an enterprise outside the scope, ``InvalidRequest`` for an unknown flavor.
    """
    city = city_of(connection, scope, enterprise)
    check_flavor(connection, flavor)
    row = connection.execute(_ONE, _key(enterprise, flavor)).first()
    if row is None:
        return EnterpriseQuotaRow(enterprise, city, flavor, None, 0, 0, "", 0)
    return _row(row)


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
            f"SELECT {_COLUMNS} {_FROM}"
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
    return [_row(row) for row in rows]


def update_enterprise_quota(
    connection: Connection,
    enterprise: str,
    flavor: str,
    cap_units: int | None,
    change: Change,
    guarantee_units: int = 0,
) -> EnterpriseQuotaRow:
    """Set an enterprise's cap and guarantee; an empty etag sets what nobody set before.

    Raises ``NotFound`` for an enterprise or flavor outside the scope, ``Conflict`` for a stale
    etag, ``QuotaExceeded`` if the guarantees of the city's enterprises together came to more than
    what is guaranteed to the city. A cap below what is in use is legal: nothing is stopped,
    nothing new starts.
    """
    city = city_of(connection, change.actor.scope, enterprise)
    check_flavor(connection, flavor)
    lock_flavor(connection, flavor)
    before = connection.execute(_ONE, _key(enterprise, flavor)).first()
    what = f"the quota of {enterprise} for {flavor}"
    if before is None or (before.version == 0 and not change.etag):
        check_etag(change.etag, "", what)
    else:
        check_etag(change.etag, str(before.version), what)
    if guarantee_units > (0 if before is None else before.guarantee_units):
        _check_guarantee(connection, city, enterprise, flavor, guarantee_units)
    written = connection.execute(
        text(
            "INSERT INTO enterprise_quota (enterprise, flavor, cap_units, guarantee_units,"
            " used_units, version, updated_ms) VALUES (:owner, :flavor, :cap, :guarantee, 0, 1,"
            " :now) ON CONFLICT (enterprise, flavor) DO UPDATE SET cap_units = excluded.cap_units,"
            " guarantee_units = excluded.guarantee_units, version = enterprise_quota.version + 1,"
            " updated_ms = excluded.updated_ms WHERE enterprise_quota.version = :version"
        ),
        {
            **_key(enterprise, flavor),
            "version": 0 if before is None else before.version,
            "cap": cap_units,
            "guarantee": guarantee_units,
            "now": change.now_ms,
        },
    )
    check_written(written.rowcount, what)
    told = Told(
        EventKind.ENTERPRISE_QUOTA_CHANGED,
        f"enterprises/{enterprise}/quotas/{flavor}",
        city,
        enterprise,
        flavor,
        None
        if before is None
        else {"cap_units": before.cap_units, "guarantee_units": before.guarantee_units},
        {"cap_units": cap_units, "guarantee_units": guarantee_units},
    )
    tell(connection, told, change)
    (after,) = connection.execute(_ONE, _key(enterprise, flavor))
    return _row(after)


def guaranteed(connection: Connection, city: str, flavor: str, but_for: str = "") -> int:
    """Return what the enterprises of a city are guaranteed together, but for one of them."""
    return int(
        connection.execute(
            text(
                f"SELECT coalesce(sum(q.guarantee_units), 0) {_FROM} WHERE q.flavor = :flavor"
                " AND q.guarantee_units > 0 AND e.city = :city AND e.code <> :but"
            ),
            {"flavor": flavor, "city": city, "but": but_for},
        ).scalar_one()
    )


def _check_guarantee(
    connection: Connection, city: str, enterprise: str, flavor: str, units: int
) -> None:
    row = connection.execute(
        text(
            "SELECT nominal_units - coalesce(lend_limit_units, nominal_units) FROM city_quota"
            " WHERE city = :city AND flavor = :flavor"
        ),
        {"city": city, "flavor": flavor},
    ).first()
    own = 0 if row is None else int(row[0])
    others = guaranteed(connection, city, flavor, enterprise)
    if units + others > own:
        raise QuotaExceeded(
            f"a guarantee of {units} units of {flavor} does not fit: {own} are guaranteed to"
            f" {city} (nominal less lend limit), its other enterprises have {others} of them; set"
            f" at most {max(0, own - others)}, or lower the city's lend limit first",
            subject=f"cities/{city}",
            reason="GUARANTEE_ABOVE_CITY",
        )


_ONE = text(f"SELECT {_COLUMNS} {_FROM} WHERE q.enterprise = :owner AND q.flavor = :flavor")


def _key(owner: str, flavor: str) -> dict[str, str]:
    return {"owner": owner, "flavor": flavor}


def _row(row: Row[Any]) -> EnterpriseQuotaRow:
    return EnterpriseQuotaRow(
        row.enterprise,
        row.city,
        row.flavor,
        row.cap_units,
        row.guarantee_units,
        row.used_units,
        str(row.version),
        row.updated_ms,
    )
