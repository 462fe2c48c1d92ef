"""Centers with what they offer and hold now; opened and closed by an operator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

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


class RunCounts(NamedTuple):
    """Runs at a center that have not ended, by state; of all of them ``ending`` are ordered to.

    ``pending`` wait here to be sent, ``accepted`` in the center's own queue.
    """

    pending: int = 0
    submitting: int = 0
    accepted: int = 0
    running: int = 0
    unknown: int = 0
    ending: int = 0


_NO_RUNS: Final = RunCounts()


@dataclass(frozen=True, slots=True)
class CenterRow:
    """A center; ``state`` is OPEN, CORDONED or DRAINING, ``settings`` its adapter's JSON.

    ``drain_deadline_ms`` is until when it is to be empty, None for at once.
    """

    center: str
    name_zh: str
    name_en: str
    kind: str
    simulated: bool
    state: str
    settings: str
    flavors: Sequence[OfferedFlavor]
    active_runs: int
    runs: RunCounts = _NO_RUNS
    drain_deadline_ms: int | None = None


def list_centers(connection: Connection, now_ms: int) -> list[CenterRow]:
    """Return all centers by code, with the prices in force at ``now_ms`` (scheduling time)."""
    offered = _offered(connection, now_ms)
    counts = _run_counts(connection)
    rows = connection.execute(
        text(
            "SELECT code, name_zh, name_en, kind, simulated, state, settings, drain_deadline_ms"
            " FROM center ORDER BY code"
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
            sum(counts.get(row.code, _NO_RUNS)[:-1]),
            counts.get(row.code, _NO_RUNS),
            row.drain_deadline_ms,
        )
        for row in rows
    ]


def _run_counts(connection: Connection) -> dict[str, RunCounts]:
    over = ", ".join(f"'{state}'" for state in sorted(RUN_TERMINAL))
    rows = connection.execute(
        text(
            "SELECT center, state, count(*), count(evict_cause) FROM run"
            f" WHERE settled_ms IS NULL AND state NOT IN ({over}) GROUP BY center, state"
        )
    )
    found: dict[str, RunCounts] = {}
    for center, state, count, ending in rows:
        counts = found.get(center, _NO_RUNS)
        found[center] = counts._replace(**{state.lower(): count}, ending=counts.ending + ending)
    return found


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
    deadline_ms: int | None = None,
) -> CenterRow:
    """Open, cordon or drain a center; one that is so already stays, and nothing is noted.

    What runs at one that is drained is ended by the leader, at once or so that it is empty at
    ``deadline_ms`` (scheduling time); else it goes on. Raises ``NotFound``.
    """
    before = get_center(connection, center, now_ms)
    if (before.state, before.drain_deadline_ms) == (state, deadline_ms):
        return before
    connection.execute(
        text(
            "UPDATE center SET state = :state, drain_deadline_ms = :deadline WHERE code = :center"
        ),
        {"state": state, "center": center, "deadline": deadline_ms},
    )
    row = feed.EventRow(EventKind.CENTER_CHANGED, 0, 0, "", "", state, now_ms)
    feed.append(connection, [row])
    audit_trail.record(
        connection,
        actor,
        str(EventKind.CENTER_CHANGED),
        f"centers/{center}",
        at_ms=wall_ms,
        before=_figures(before.state, before.drain_deadline_ms),
        after=_figures(state, deadline_ms),
        reason=reason,
    )
    return get_center(connection, center, now_ms)


def _figures(state: str, deadline_ms: int | None) -> audit_trail.Figures:
    return {"state": state} | ({} if deadline_ms is None else {"drain_deadline_ms": deadline_ms})


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
