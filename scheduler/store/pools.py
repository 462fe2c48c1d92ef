"""Pools as they stand: what is granted, what the center reports, and what is promised of it."""

from typing import NamedTuple

from sqlalchemy import Connection


class Pool(NamedTuple):
    """A flavor's pool. ``reported_units`` None: its center has not said yet.

    ``corridor_units`` None: what the cities' nominal quotas leave. ``state`` is the center's.
    """

    flavor: str
    center: str
    state: str
    granted_units: int
    reported_units: int | None
    corridor_units: int | None
    nominal_units: int

    @property
    def effective_units(self) -> int:
        """Units that may be held: what is granted, or less if the center has less."""
        if self.reported_units is None:
            return self.granted_units
        return min(self.granted_units, self.reported_units)

    @property
    def promised_units(self) -> int:
        """Units of the cities and of the corridor together (K)."""
        if self.corridor_units is None:
            return max(self.effective_units, self.nominal_units)
        return self.nominal_units + self.corridor_units

    @property
    def overcommitted_units(self) -> int:
        """Promised units that are not there; then the capacity alone says what may start."""
        return max(0, self.promised_units - self.effective_units)


def read(connection: Connection) -> dict[str, Pool]:
    """Return all pools by flavor, in the caller's transaction."""
    rows = connection.exec_driver_sql(
        "SELECT f.code, f.center, c.state, f.capacity_units, r.units, q.corridor_units,"
        " (SELECT coalesce(sum(nominal_units), 0) FROM city_quota n WHERE n.flavor = f.code)"
        " FROM flavor f JOIN center c ON c.code = f.center"
        " LEFT JOIN pool_report r ON r.flavor = f.code"
        " LEFT JOIN flavor_quota q ON q.flavor = f.code ORDER BY f.code"
    )
    return {
        flavor: Pool(flavor, center, state, granted, reported, corridor, int(nominal))
        for flavor, center, state, granted, reported, corridor, nominal in rows
    }
