"""Prints a digest of the plans of made-up days, and whether what planned them was compiled.

Run by ``test_native_planner`` in a process of its own, for either planner.
"""

import hashlib
from dataclasses import replace
from random import Random

from benchmarks import workload
from scheduler.placement import tournament
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    EASY,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseQuotaSet,
    EnterpriseSet,
    JobQueued,
    Option,
    Plan,
    PolicySettings,
    PoolSet,
    ReclaimSet,
    RunEnded,
)

_DAYS = 120
_CITIES = ("ezhou", "huanggang", "wuhan")
_FLAVORS = ("a", "b", "c")
_POLICIES = (
    CORRIDOR,
    EASY,
    replace(CORRIDOR, ageing_ms=3_000, starving_ms=9_000),
    replace(CORRIDOR, patience_ms=20_000, starts_max=7),
)


def _world(rng: Random) -> list[Delta]:
    """Three cities and three flavors with limits of all kinds."""
    told: list[Delta] = [CitySet(city, rng.choice((1, 2, 5))) for city in _CITIES]
    members = [(f"{city}-{at}", city) for city in _CITIES for at in range(4)]
    told += [EnterpriseSet(name, city) for name, city in members]
    for flavor in _FLAVORS:
        units = rng.choice((8, 24, 60))
        told.append(PoolSet(flavor, "c", units))
        for city in _CITIES:
            nominal, lend = rng.randint(0, units // 3), rng.choice((None, None, 0, 2))
            told.append(CityQuotaSet(city, flavor, nominal, rng.choice((None, 5, units)), lend))
        if rng.random() < 0.4:
            told.append(EnterpriseQuotaSet(rng.choice(members)[0], flavor, rng.randint(0, 9)))
        mode = rng.choice(("churn", "lease", "evict", "evict"))
        told.append(ReclaimSet(flavor, mode, 20_000, 1_000, 1_000, 10_000, 1_000))
    return told


def _shape(rng: Random) -> tuple[Option, ...]:
    """One to three options, some of them elastic."""
    flavors = rng.sample(_FLAVORS, rng.choice((1, 1, 2, 3)))
    nodes, wall_ms = rng.choice((1, 1, 2, 3, 6, 12)), rng.choice((5, 20, 60)) * 1000
    least = rng.choice((0, 0, 1))
    return tuple(Option(flavor, 2 * nodes, nodes, wall_ms, units_min=least) for flavor in flavors)


def day(seed: int, policy: PolicySettings) -> list[Plan]:
    """The plans of one day."""
    rng = Random(seed)
    told, shapes, plans = _world(rng), [_shape(rng) for _ in range(12)], list[Plan]()
    homes = {one.enterprise: one.city for one in told if isinstance(one, EnterpriseSet)}
    core, running, uid = PlanningCore(policy, 2), list[int](), 0
    core.load(0, told)
    for now_ms in range(0, 20_000, 1_000):
        deltas: list[Delta] = []
        for ended in rng.sample(running, len(running) // rng.choice((1, 2, 5))):
            running.remove(ended)
            deltas.append(RunEnded(ended, rng.randint(0, 9_000)))
        for _ in range(rng.choice((0, 3, 40))):
            uid += 1
            member, soft = rng.choice(sorted(homes)), rng.random() < 0.9
            deltas.append(
                JobQueued(
                    uid, homes[member], member, rng.choice((0, 0, 5)), now_ms, rng.choice(shapes),
                    user=rng.choice(("", "u")), interruptible=soft,
                    emergency=rng.random() < 0.02,
                )
            )  # fmt: skip
        plans.append(core.cycle(core.revision, deltas, core.revision + 1, now_ms))
        running += [start.uid for start in plans[-1].starts]
    return plans


def full_day() -> list[Plan]:
    """The plans of the benchmark's load: all pools are filled anew, again and again."""
    core, arrivals, started = PlanningCore(CORRIDOR), workload.Arrivals(), list[int]()
    core.load(0, [*workload.rules(), *arrivals.take(3_000)])
    plans: list[Plan] = []
    for at in range(6):
        ended: list[Delta] = [RunEnded(uid, 1_000 * at) for uid in started]
        now_ms = workload.BEGIN_MS + 1_000 * at
        plans.append(core.cycle(at, [*ended, *arrivals.take(100, now_ms)], at + 1, now_ms))
        started = [start.uid for start in plans[-1].starts]
    return plans


def main() -> None:
    """Print whether the planner is compiled, how much it planned, and the digest."""
    plans = full_day()
    for seed in range(_DAYS):
        plans += day(seed, _POLICIES[seed % len(_POLICIES)])
    starts = sum(len(plan.starts) for plan in plans)
    evictions = sum(len(plan.evictions) for plan in plans)
    is_compiled = not str(tournament.__file__).endswith(".py")
    print(is_compiled, starts, evictions, hashlib.sha256(repr(plans).encode()).hexdigest())


if __name__ == "__main__":
    main()
