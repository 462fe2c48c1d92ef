"""Who uses what now: each city and its enterprises by flavor, with what is borrowed and lent."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from quota import lending
from quota.lending import Standing
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.store import pools, quotas, scoping
from scheduler.store.quotas import CityQuotaRow

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Use of one flavor by a city (``enterprise`` empty) or by an enterprise of it, in units.

    Of a city: its nominal quota, what it holds above it, what of its own others hold, and what is
    guaranteed to it. Of an enterprise: its cap (None: none) and its guarantee.
    """

    city: str
    enterprise: str
    flavor: str
    used_units: int
    guaranteed_units: int
    nominal_units: int = 0
    borrowed_units: int = 0
    lent_units: int = 0
    cap_units: int | None = None

    @property
    def key(self) -> Key:
        """The place in a list: by city, the city itself first, then by flavor."""
        return self.city, self.enterprise, self.flavor


def list_usage(
    connection: Connection,
    scope: Scope,
    *,
    city: str = "",
    flavor: str = "",
    limit: int = 1000,
    after: Key = ("", "", ""),
) -> list[UsageRow]:
    """Return at most ``limit`` rows within the scope by key after ``after``, on one snapshot.

    An enterprise is listed if it holds something, or has a cap or a guarantee.
    """
    rows = city_usage(connection, scope) + _enterprises(connection, scope)
    wanted = [
        row
        for row in rows
        if city in ("", row.city) and flavor in ("", row.flavor) and row.key > after
    ]
    return sorted(wanted, key=lambda row: row.key)[:limit]


def city_usage(connection: Connection, scope: Scope) -> list[UsageRow]:
    """Return the use of the cities of a scope; what they lend is counted over all cities."""
    seen = {row.city for row in quotas.list_city_quotas(connection, scope)}
    every: dict[str, list[CityQuotaRow]] = {}
    for row in quotas.list_city_quotas(connection, EVERYTHING, limit=1_000_000):
        every.setdefault(row.flavor, []).append(row)
    found = []
    for flavor, pool in pools.read(connection).items():
        standing = {
            row.city: Standing(
                row.limits.nominal_units, row.limits.lend_limit_units, row.used_units
            )
            for row in every.get(flavor, ())
        }
        left = max(0, pool.promised_units - pool.nominal_units)
        lent = lending.lent(standing, left)
        found += [
            UsageRow(
                row.city, "", flavor, row.used_units, row.limits.guaranteed_units,
                row.limits.nominal_units, row.borrowed_units, lent[row.city],
            )
            for row in every.get(flavor, ())
            if row.city in seen
        ]  # fmt: skip
    return found


def _enterprises(connection: Connection, scope: Scope) -> list[UsageRow]:
    rows = connection.execute(
        text(
            "SELECT e.city, q.enterprise, q.flavor, q.used_units, q.guarantee_units, q.cap_units"
            " FROM enterprise_quota q JOIN enterprise e ON e.code = q.enterprise"
            f" WHERE {scoping.enterprises(scope, 'e.city', 'e.code')}"
            " AND (q.used_units > 0 OR q.guarantee_units > 0 OR q.cap_units IS NOT NULL)"
        ),
        scoping.values(scope),
    )
    return [
        UsageRow(city, enterprise, flavor, used, guarantee, cap_units=cap)
        for city, enterprise, flavor, used, guarantee, cap in rows
    ]
