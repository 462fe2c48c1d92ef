"""Puts the quotas of the data files into the store: those of cities, and of flavors as a whole."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from quota.amounts import split
from scheduler.store import catalog
from scheduler.store.quota_tables import FlavorQuota
from scheduler.store.seed_files import BadSeed, Seed
from scheduler.store.tables import CityQuota, table


class _Limits(NamedTuple):
    """Units of a city's quota; None for no borrow limit, and for all lendable."""

    nominal: int
    borrow: int | None = None
    lend: int | None = None


def load(connection: Connection, seed: Seed, now_ms: int) -> int:
    """Add quotas of cities: those given, and for a flavor that has none what is there by weight.

    What the corridor keeps of a flavor for itself is not divided. Returns how many are new; raises
    ``BadSeed``.
    """
    cities = catalog.cities(connection)
    capacity = {one.flavor: one.capacity_units for one in catalog.flavors(connection)}
    columns = table(CityQuota).c
    there = {
        (city, flavor): _Limits(*limits)
        for city, flavor, *limits in connection.execute(
            sa.select(
                columns.city, columns.flavor, columns.nominal_units, columns.borrow_limit_units,
                columns.lend_limit_units,
            )
        )
    }  # fmt: skip
    corridor, fresh = _corridor(connection, seed, capacity)
    wanted: dict[tuple[str, str], _Limits] = {}
    codes = {one.city for one in cities}
    for given in seed.quotas:
        known(given.city, codes, "quotas.yaml: city")
        known(given.flavor, capacity, "quotas.yaml: flavor")
        wanted[given.city, given.flavor] = _Limits(
            given.nominal_units, given.borrow_limit_units, given.lend_limit_units
        )
    named = {flavor for _, flavor in wanted} | {flavor for _, flavor in there}
    for flavor, units in capacity.items():
        shares = [0] * len(cities)
        if flavor not in named and cities:
            left = max(0, units - corridor.get(flavor, 0))
            shares = split(left, [one.weight for one in cities])
        for one, share in zip(cities, shares, strict=True):
            wanted.setdefault((one.city, flavor), _Limits(share))
    _check_sums(wanted, corridor, capacity)
    # What is new must fit beside what is stored; what is stored alone may be too much by now.
    fresh |= {key[1] for key, limits in wanted.items() if key not in there and limits.nominal}
    stored = {key: limits for key, limits in (wanted | there).items() if key[1] in fresh}
    _check_sums(stored, corridor, capacity)
    rows = [
        {
            "city": city,
            "flavor": flavor,
            "nominal_units": limits.nominal,
            "borrow_limit_units": limits.borrow,
            "lend_limit_units": limits.lend,
            "used_units": 0,
            "version": 1,
            "updated_ms": now_ms,
        }
        for (city, flavor), limits in wanted.items()
        if (city, flavor) not in there
    ]
    if rows:
        connection.execute(sa.insert(table(CityQuota)), rows)
    return len(rows)


def load_flavors(connection: Connection, seed: Seed, now_ms: int) -> int:
    """Add the settings of flavors that have none; returns how many are new."""
    there = set(connection.execute(sa.select(table(FlavorQuota).c.flavor)).scalars())
    rows = [
        {
            "flavor": one.flavor,
            "corridor_units": one.corridor_units,
            "reclaim": one.reclaim.mode,
            "lease_s": one.reclaim.lease_s,
            "run_min_s": one.reclaim.run_min_s,
            "grace_s": one.reclaim.grace_s,
            "rate_bps": one.reclaim.rate_bps,
            "rate_s": one.reclaim.rate_s,
            "version": 1,
            "updated_ms": now_ms,
        }
        for one in seed.flavor_quotas
        if one.flavor not in there
    ]
    if rows:
        connection.execute(sa.insert(table(FlavorQuota)), rows)
    return len(rows)


def _corridor(
    connection: Connection, seed: Seed, capacity: Mapping[str, int]
) -> tuple[dict[str, int], set[str]]:
    """The corridor's own units by flavor, as stored, else as given; and which are new."""
    found: dict[str, int] = {}
    for one in seed.flavor_quotas:
        known(one.flavor, capacity, "quotas.yaml: flavors: flavor")
        if one.flavor in found:
            raise BadSeed(f"quotas.yaml: flavors: {one.flavor} is given twice")
        found[one.flavor] = one.corridor_units or 0
    columns = table(FlavorQuota).c
    rows = connection.execute(sa.select(columns.flavor, columns.corridor_units))
    stored = {flavor: units or 0 for flavor, units in rows}
    fresh = {flavor for flavor, units in found.items() if units and flavor not in stored}
    return found | stored, fresh


def _check_sums(
    wanted: Mapping[tuple[str, str], _Limits],
    corridor: Mapping[str, int],
    capacity: Mapping[str, int],
) -> None:
    sums: dict[str, int] = {}
    for (city, flavor), (nominal, _, lend) in wanted.items():
        sums[flavor] = sums.get(flavor, 0) + nominal
        if lend is not None and lend > nominal:
            raise BadSeed(f"quotas.yaml: {city} {flavor}: lends {lend} of {nominal}")
    for flavor, total in sums.items():
        own = corridor.get(flavor, 0)
        if total + own > capacity[flavor]:
            more = f" and the corridor's own to {own}" if own else ""
            raise BadSeed(
                f"quotas.yaml: {flavor}: the nominal quotas come to {total}{more}, the center"
                f" grants {capacity[flavor]}"
            )


def known(name: str, names: Iterable[str], where: str) -> None:
    """Raise ``BadSeed`` for a name that there is not."""
    if name not in set(names):
        raise BadSeed(f"{where} {name!r} is not known; known are {', '.join(sorted(names))}")
