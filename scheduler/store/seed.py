"""Puts the data files into the store: cities, centers, quotas, prices, programmes, enterprises.

Loading adds what is missing and changes nothing that is there: quotas and prices that were set
since stay as they are, and no fund is paid into twice.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from quota.transfers import payable_account
from scheduler.domain.events import EventKind
from scheduler.store import catalog, feed, funds, links, prices, seed_money, seed_quotas
from scheduler.store.identity import insert_enterprises
from scheduler.store.job_tables import Link
from scheduler.store.seed_files import BadSeed, Seed, SeedCenter, read
from scheduler.store.seed_quotas import known
from scheduler.store.tables import (
    Account,
    Center,
    City,
    Enterprise,
    Flavor,
    PriceVersion,
    table,
)

T = TypeVar("T")
DATA: Final = Path(__file__).parent.parent / "data"
_ACTOR: Final = "data files"


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many rows of each kind were new."""

    cities: int
    centers: int
    flavors: int
    quotas: int
    prices: int
    programmes: int
    enterprises: int
    links: int = 0
    flavor_quotas: int = 0


def load(connection: Connection, directory: Path, now_ms: int) -> Loaded:
    """Load the data files of ``directory`` in the caller's transaction, at scheduling time.

    Raises ``BadSeed`` for a file that is not in order; then nothing may be committed.
    """
    return load_seed(connection, read(directory), now_ms)


def load_seed(connection: Connection, seed: Seed, now_ms: int) -> Loaded:
    """Load what files said, or what a demonstration made up."""
    cities = _load_cities(connection, seed)
    centers, flavors = _load_centers(connection, seed)
    loaded = Loaded(
        cities,
        centers,
        flavors,
        seed_quotas.load(connection, seed, now_ms),
        _load_prices(connection, seed),
        seed_money.load_programmes(connection, seed.programmes, now_ms),
        _load_enterprises(connection, seed, now_ms),
        _load_links(connection, seed),
        seed_quotas.load_flavors(connection, seed, now_ms),
    )
    seed_money.load_rights(connection, seed.programmes, now_ms)
    seed_money.load_facts(connection, seed.facts)
    rules = loaded.quotas, loaded.flavor_quotas, loaded.links
    if any((cities, centers, flavors, loaded.enterprises, *rules)):
        told = feed.EventRow(EventKind.CATALOG_CHANGED, 0, 0, "", "", "", now_ms)
        feed.append(connection, [told])
    return loaded


def _load_cities(connection: Connection, seed: Seed) -> int:
    new = _missing(connection, table(City).c.code, seed.cities, lambda one: one.city)
    return _insert(
        connection,
        table(City),
        [
            {"code": one.city, "name_zh": one.name_zh, "name_en": one.name_en, "weight": one.weight}
            for one in new
        ],
    )


def _load_centers(connection: Connection, seed: Seed) -> tuple[int, int]:
    new = _missing(connection, table(Center).c.code, seed.centers, lambda one: one.center)
    _insert(
        connection,
        table(Center),
        [
            {
                "code": one.center,
                "name_zh": one.name_zh,
                "name_en": one.name_en,
                "kind": one.kind,
                "simulated": one.simulated,
                "state": "OPEN",
                "settings": settings_json(one),
            }
            for one in new
        ],
    )
    owed = [one.center for one in seed.centers]
    account = table(Account).c.account_id
    for center in _missing(connection, account, owed, payable_account):
        funds.open_payable(connection, center)
    flavors = [flavor for one in seed.centers for flavor in one.flavors]
    rows = []
    for one in _missing(connection, table(Flavor).c.code, flavors, lambda f: f.flavor):
        values = one._asdict()
        values["code"] = values.pop("flavor")
        rows.append(values)
    return len(new), _insert(connection, table(Flavor), rows)


def settings_json(center: SeedCenter) -> str:
    """Return the adapter's settings; a simulated center is given its flavors unless it has some."""
    settings = dict(center.settings)
    if center.kind == "simulated":
        settings.setdefault(
            "flavors",
            [
                {
                    "flavor": one.flavor,
                    "units": one.capacity_units,
                    "units_per_node": one.units_per_node,
                    "architecture": one.architecture,
                }
                for one in center.flavors
            ],
        )
    return json.dumps(settings, ensure_ascii=False, sort_keys=True)


def _load_prices(connection: Connection, seed: Seed) -> int:
    flavors = {one.flavor: one for one in catalog.flavors(connection)}
    for one in seed.prices:
        known(one.flavor, flavors, "prices.yaml: flavor")
    column = table(PriceVersion).c.flavor
    new = _missing(connection, column, seed.prices, lambda price: price.flavor)
    for one in sorted(new, key=lambda price: price.effective_from_ms):
        prices.set_price(
            connection,
            center=flavors[one.flavor].center,
            flavor=one.flavor,
            unit=flavors[one.flavor].unit,
            price_ufen=one.price_ufen,
            effective_from_ms=one.effective_from_ms,
            actor=_ACTOR,
        )
    return len(new)


def _load_enterprises(connection: Connection, seed: Seed, now_ms: int) -> int:
    codes = {one.city for one in catalog.cities(connection)}
    for one in seed.enterprises:
        known(one.city, codes, "enterprises.yaml: city")
    column = table(Enterprise).c.code
    new = _missing(connection, column, seed.enterprises, lambda one: one.enterprise)
    insert_enterprises(connection, new, now_ms)
    return len(new)


def _load_links(connection: Connection, seed: Seed) -> int:
    nodes = links.load(connection).nodes
    pairs: list[tuple[str, str]] = []
    for one in seed.links:
        known(one.one, nodes, "links.yaml: from")
        known(one.other, nodes, "links.yaml: to")
        pair = (min(one[:2]), max(one[:2]))
        if pair[0] == pair[1] or pair in pairs:
            raise BadSeed(f"links.yaml: {one.one} to {one.other}: is given twice, or leads nowhere")
        pairs.append(pair)
    there = {
        tuple(row) for row in connection.execute(sa.select(table(Link).c.one, table(Link).c.other))
    }
    new = [
        {"one": pair[0], "other": pair[1], "mbit_s": one.mbit_s}
        for pair, one in zip(pairs, seed.links, strict=True)
        if pair not in there
    ]
    return _insert(connection, table(Link), new)


def _missing(
    connection: Connection,
    column: sa.ColumnElement[str],
    rows: Sequence[T],
    key: Callable[[T], str],
) -> list[T]:
    """Return the rows whose key the column does not hold yet."""
    there = set(connection.execute(sa.select(column)).scalars())
    return [row for row in rows if key(row) not in there]


def _insert(connection: Connection, target: sa.Table, rows: list[dict[str, Any]]) -> int:
    if rows:
        connection.execute(sa.insert(target), rows)
    return len(rows)
