"""The corridor's order beside a slow one that looks at every waiting job each time.

The slow one has no masks, keeps nothing between two questions and never leaves anybody out: what it
offers is what the order is said to be. Both plan the same days, and every plan must be the same.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement.keys import CityKey
from scheduler.placement.model import (
    CORRIDOR,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseQuotaSet,
    EnterpriseSet,
    JobQueued,
    Option,
    PolicySettings,
    PoolSet,
    RunEnded,
    UsedUp,
)
from scheduler.placement.order import Order, Pass
from scheduler.placement.root import RootPlanner
from scheduler.placement.shard import ClassKey, LocalShards
from scheduler.placement.waiting import WaitingClass

CITIES = ("ezhou", "huanggang", "wuhan")
FLAVORS = ("a", "b", "c")


class SlowOrder:
    """Two tournaments, held anew for each offer."""

    def __init__(
        self,
        of: Pass,
        classes: dict[ClassKey, WaitingClass],
        enterprise_key: Callable[[str], int],
        city_key: Callable[[WaitingClass], CityKey],
    ) -> None:
        self._pass, self._classes = of, classes
        self._enterprise_key, self._city_key = enterprise_key, city_key
        self._failed: list[WaitingClass] = []

    def next(self) -> WaitingClass | None:
        """The best city's best enterprise's first job."""
        by_city: dict[str, list[WaitingClass]] = {}
        for waiting in self._classes.values():
            if waiting not in self._failed and self._passes(waiting):
                by_city.setdefault(waiting.city, []).append(waiting)
        firsts = [min(of, key=self._rank) for of in by_city.values()]
        return min(firsts, key=self._city_key, default=None)

    def _rank(self, waiting: WaitingClass) -> tuple[int, str, tuple[int, int, int]]:
        enterprise = waiting.enterprise
        return self._enterprise_key(enterprise), enterprise, waiting.turn()

    def _passes(self, waiting: WaitingClass) -> bool:
        """Whether a new class passes anywhere, another one where something moved."""
        of = self._pass
        return any(
            of.gates(spot.flavor, waiting.city, waiting.owner).passes(spot.units, spot.wall_ms)
            for spot in waiting.spots
            if spot.flavor in of.flavors or waiting in of.fresh
        )

    def settle(self, offered: WaitingClass, started: bool) -> None:
        """Go on with the next one."""
        if not started:
            self._failed.append(offered)


class SlowPlanner(RootPlanner):
    """A planner with the slow order."""

    def _order(self, of: Pass) -> Order:
        return SlowOrder(of, self.classes, self.keys.enterprise_key, self.keys.city_key)


def world(rng: Random) -> list[Delta]:
    """Three cities with up to five enterprises each, three flavors, some with caps."""
    told: list[Delta] = []
    for city in CITIES:
        told.append(CitySet(city, rng.choice((1, 2, 5))))
        told += [
            EnterpriseSet(f"{city}-{at}", city, rng.choice((1, 1, 3)))
            for at in range(rng.randint(1, 5))
        ]
    members = [one.enterprise for one in told if isinstance(one, EnterpriseSet)]
    for flavor in FLAVORS:
        units = rng.choice((8, 24, 60))
        told.append(PoolSet(flavor, "c", units))
        for city in CITIES:
            nominal, lend = rng.randint(0, units // 3), rng.choice((None, None, 0, 2))
            told.append(CityQuotaSet(city, flavor, nominal, rng.choice((None, 5, units)), lend))
        if rng.random() < 0.3:
            told.append(EnterpriseQuotaSet(rng.choice(members), flavor, rng.randint(0, 9)))
    return told


def shape(rng: Random) -> tuple[Option, ...]:
    """One to three options, not all of a power of two of units."""
    flavors = rng.sample(FLAVORS, rng.choice((1, 1, 2, 3)))
    units, wall_ms = rng.choice((1, 1, 2, 3, 4, 6, 8, 12, 20)), rng.choice((5, 20, 60)) * 1000
    return tuple(Option(flavor, units, 1, wall_ms) for flavor in flavors)


def agree(seed: int, policy: PolicySettings) -> None:
    """Both planners plan a random day the same."""
    rng = Random(seed)
    told = world(rng)
    homes = {one.enterprise: one.city for one in told if isinstance(one, EnterpriseSet)}
    shapes = [shape(rng) for _ in range(rng.randint(2, 20))]
    quick, slow = RootPlanner(policy, LocalShards(2)), SlowPlanner(policy, LocalShards(1))
    running: list[int] = []
    uid = 0
    for now_ms in range(0, rng.choice((6_000, 15_000)), 1_000):
        deltas: list[Delta] = [] if now_ms else list(told)
        for ended in rng.sample(running, len(running) // rng.choice((1, 2, 5))):
            running.remove(ended)
            deltas.append(RunEnded(ended, rng.randint(0, 9_000)))
        if rng.random() < 0.2:
            nodes = [f"enterprises/{name}" for name in homes] + [
                f"cities/{city}" for city in CITIES
            ]
            over = ((node, flavor) for node in nodes for flavor in FLAVORS if rng.random() < 0.1)
            deltas.append(UsedUp(tuple(over)))
        for _ in range(rng.choice((0, 3, 40))):
            uid += 1
            member, priority = rng.choice(sorted(homes)), rng.choice((0, 0, 0, 5))
            options = rng.choice(shapes)
            deltas.append(JobQueued(uid, homes[member], member, priority, now_ms, options))
        more = True
        while more:
            for planner in (quick, slow):
                planner.apply(deltas, now_ms)
            plan = quick.plan(now_ms)
            assert plan == slow.plan(now_ms)
            running += [start.uid for start in plan.starts]
            deltas, more = [], plan.more


POLICIES = st.sampled_from(
    [
        CORRIDOR,
        replace(CORRIDOR, ageing_ms=3_000, starving_ms=9_000),
        replace(CORRIDOR, starts_max=3),
        replace(CORRIDOR, backfill=False),
    ]
)


@given(st.integers(0, 2**32), POLICIES)
@settings(max_examples=60, deadline=None)
def test_the_quick_order_is_the_slow_one(seed: int, policy: PolicySettings) -> None:
    agree(seed, policy)


@pytest.mark.slow
@given(st.integers(0, 2**32), POLICIES)
@settings(max_examples=2_000, deadline=None)
def test_the_quick_order_is_the_slow_one_at_length(seed: int, policy: PolicySettings) -> None:
    agree(seed, policy)
