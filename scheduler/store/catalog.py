"""Cities and flavors: the corridor's small, public master data."""

from typing import NamedTuple

from sqlalchemy import Connection, text

from scheduler.domain.spec import Catalog, FlavorLimits


class CityRow(NamedTuple):
    """A city with its weight in the order between cities."""

    city: str
    name_zh: str
    name_en: str
    weight: int


class FlavorRow(NamedTuple):
    """A flavor with its names and the pool of it that the corridor may use."""

    flavor: str
    center: str
    name_zh: str
    name_en: str
    unit: str
    architecture: str
    capacity_units: int
    units_per_node: int
    wall_limit_max_s: int
    memory_mib_per_node: int
    domestic: bool = False


def load(connection: Connection) -> Catalog:
    """Return what jobs are validated against, by flavor."""
    return {
        row.flavor: FlavorLimits(
            row.flavor,
            row.center,
            row.architecture,
            row.capacity_units,
            row.units_per_node,
            row.wall_limit_max_s,
            row.memory_mib_per_node,
        )
        for row in flavors(connection)
    }


def cities(connection: Connection) -> list[CityRow]:
    """Return all cities by code."""
    rows = connection.execute(text("SELECT code, name_zh, name_en, weight FROM city ORDER BY code"))
    return [CityRow(*row) for row in rows]


def flavors(connection: Connection) -> list[FlavorRow]:
    """Return all flavors by code."""
    rows = connection.execute(
        text(
            "SELECT code, center, name_zh, name_en, unit, architecture, capacity_units,"
            " units_per_node, wall_limit_max_s, memory_mib_per_node, domestic FROM flavor"
            " ORDER BY code"
        )
    )
    return [FlavorRow(*row)._replace(domestic=bool(row.domestic)) for row in rows]


def has_city(connection: Connection, city: str) -> bool:
    """Whether there is a city of this code."""
    found = connection.execute(text("SELECT 1 FROM city WHERE code = :city"), {"city": city})
    return found.first() is not None


def has_flavor(connection: Connection, flavor: str) -> bool:
    """Whether there is a flavor of this code."""
    found = connection.execute(text("SELECT 1 FROM flavor WHERE code = :code"), {"code": flavor})
    return found.first() is not None
