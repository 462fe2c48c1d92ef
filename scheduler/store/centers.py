"""Centers with what they offer and hold now; opened and closed by an operator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, text

from quota.rules import CORRIDOR
from scheduler.domain.events import EventKind
from scheduler.domain.principal import Principal
from scheduler.domain.states import RUN_TERMINAL
from scheduler.errors import NotFound
from scheduler.store import audit_trail, bookings, catalog, feed, pools
from scheduler.store.catalog import FlavorRow
from scheduler.store.change_requests import Act
from scheduler.store.pools import Pool

OPEN = "OPEN"
CORDONED = "CORDONED"
DRAINING = "DRAINING"


class Price(NamedTuple):
    """A price in force, in micro-fen per unit and second; version empty if there is none."""

    version: str
    ufen: int


@dataclass(frozen=True, slots=True)
class OfferedFlavor:
    """A flavor, the units of it that runs hold now, its price in force, and its pool."""

    flavor: FlavorRow
    used_units: int
    price: Price
    pool: Pool


@dataclass(frozen=True, slots=True)
class CenterRow:
    """A center; ``state`` is OPEN, CORDONED or DRAINING, ``settings`` its adapter's JSON."""

    center: str
    name_zh: str
    name_en: str
    kind: str
    simulated: bool
    state: str
    settings: str
    flavors: Sequence[OfferedFlavor]
    active_runs: int


def list_centers(connection: Connection, now_ms: int) -> list[CenterRow]:
    """Return all centers by code, with the prices in force at ``now_ms`` (scheduling time)."""
    offered = _offered(connection, now_ms)
    over = ", ".join(f"'{state}'" for state in sorted(RUN_TERMINAL))
    active = {
        row[0]: row[1]
        for row in connection.execute(
            text(f"SELECT center, count(*) FROM run WHERE state NOT IN ({over}) GROUP BY center")
        )
    }
    rows = connection.execute(
        text(
            "SELECT code, name_zh, name_en, kind, simulated, state, settings FROM center"
            " ORDER BY code"
        )
    )
    return [
        CenterRow(
            row.code,
            row.name_zh,
            row.name_en,
            row.kind,
            bool(row.simulated),
            row.state,
            row.settings,
            tuple(offered.get(row.code, ())),
            active.get(row.code, 0),
        )
        for row in rows
    ]


def active_runs(connection: Connection, center: str) -> int:
    """Return how many runs at a center have not ended."""
    over = ", ".join(f"'{state}'" for state in sorted(RUN_TERMINAL))
    found = connection.execute(
        text(f"SELECT count(*) FROM run WHERE center = :center AND state NOT IN ({over})"),
        {"center": center},
    )
    return int(found.scalar_one())


def get_center(connection: Connection, center: str, now_ms: int) -> CenterRow:
    """Return one center; ``NotFound`` names those there are."""
    rows = list_centers(connection, now_ms)
    for row in rows:
        if row.center == center:
            return row
    known = ", ".join(row.center for row in rows) or "none"
    raise NotFound(f"there is no center {center!r}; known are {known}")


def _offered(connection: Connection, now_ms: int) -> dict[str, list[OfferedFlavor]]:
    used = {
        row[0]: int(row[1])
        for row in connection.execute(
            text("SELECT flavor, sum(used_units) FROM city_quota GROUP BY flavor")
        )
    }
    prices = {
        row.flavor: Price(row.price_id, row.price_ufen)
        for row in connection.execute(
            text(
                "SELECT flavor, price_id, price_ufen FROM price_version"
                " WHERE effective_from_ms <= :now"
                " AND (effective_to_ms IS NULL OR effective_to_ms > :now)"
                " ORDER BY effective_from_ms"
            ),
            {"now": now_ms},
        )
    }
    offered: dict[str, list[OfferedFlavor]] = {}
    found = pools.read(connection)
    for flavor in catalog.flavors(connection):
        price = prices.get(flavor.flavor, Price("", 0))
        code = flavor.flavor
        one = OfferedFlavor(flavor, used.get(code, 0), price, found[code])
        offered.setdefault(flavor.center, []).append(one)
    return offered


def set_state(
    connection: Connection,
    actor: Principal,
    center: str,
    state: str,
    *,
    reason: str,
    now_ms: int,
    wall_ms: int,
) -> CenterRow:
    """Open, cordon or drain a center; one that is so already stays, and nothing is noted.

    What runs at one that is drained is ended by the leader; else it goes on. Raises ``NotFound``.
    """
    before = get_center(connection, center, now_ms)
    if before.state == state:
        return before
    connection.execute(
        text("UPDATE center SET state = :state WHERE code = :center"),
        {"state": state, "center": center},
    )
    row = feed.EventRow(EventKind.CENTER_CHANGED, 0, 0, "", "", state, now_ms)
    feed.append(connection, [row])
    audit_trail.record(
        connection,
        actor,
        str(EventKind.CENTER_CHANGED),
        f"centers/{center}",
        at_ms=wall_ms,
        before={"state": before.state},
        after={"state": state},
        reason=reason,
    )
    return get_center(connection, center, now_ms)


def set_domestic(connection: Connection, flavor: str, domestic: bool, act: Act) -> None:
    """Say whether a flavor's hardware is of domestic make; as it is already changes nothing.

    It is asked at admission: what was held or charged until then stays. Raises ``NotFound``.
    """
    known = {one.flavor: one for one in catalog.flavors(connection)}
    if flavor not in known:
        raise NotFound(f"there is no flavor {flavor!r}; known are {', '.join(sorted(known))}")
    if known[flavor].domestic == domestic:
        return
    connection.execute(
        text("UPDATE flavor SET domestic = :domestic WHERE code = :flavor"),
        {"domestic": domestic, "flavor": flavor},
    )
    audit_trail.record(
        connection,
        act.actor,
        "FLAVOR_DOMESTIC_SET",
        f"centers/{known[flavor].center}/flavors/{flavor}",
        at_ms=act.wall_ms,
        before={"domestic": not domestic},
        after={"domestic": domestic},
        reason=act.reason,
    )
    bookings.tell(connection, (CORRIDOR,), act.now_ms)
