"""Workloads in which things go wrong: what must hold at every instant, whatever goes wrong."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import CityQuotaSet
from scheduler.replay.faults import Failing, Faults, lives_of
from scheduler.replay.lives import Cut, Lived, Outage
from scheduler.replay.setup import Setup, corridor
from scheduler.replay.simulate import POLICIES, simulate
from scheduler.replay.trace import TraceJob
from scheduler.replay.world import World
from tests.property.fault_checker import Limits, check

CAPACITY = {"cpu": 16, "npu": 6}
WEIGHTS = {"east": 3, "north": 2, "west": 1}
MINUTE_MS = 60_000


@st.composite
def workloads(draw: st.DrawFn, most: int = 40) -> tuple[TraceJob, ...]:
    """Jobs of three cities within some hours, ordered by submission."""
    count = draw(st.integers(1, most))
    found = []
    for number in range(count):
        kind = draw(st.sampled_from(sorted(CAPACITY)))
        city = draw(st.sampled_from(sorted(WEIGHTS)))
        run = draw(st.integers(1, 120))
        found.append(
            TraceJob(
                number, draw(st.integers(0, 300)) * MINUTE_MS, run * MINUTE_MS,
                (run + draw(st.integers(0, 60))) * MINUTE_MS,
                draw(st.integers(1, CAPACITY[kind])), 1, city, f"{city}-{number % 2}", "u", kind,
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda job: (job.submit_ms, job.job_id)))


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    """Quotas with and without limits; some cities keep a part for themselves."""
    quotas = {}
    for kind, capacity in CAPACITY.items():
        left = capacity
        for city in sorted(WEIGHTS):
            nominal = draw(st.integers(0, left))
            left -= nominal
            borrow = draw(st.none() | st.integers(0, capacity))
            lend = draw(st.none() | st.integers(0, nominal))
            quotas[city, kind] = CityQuotaSet(city, kind, nominal, borrow, lend)
    return corridor(CAPACITY, WEIGHTS, quotas)


@st.composite
def troubles(draw: st.DrawFn) -> tuple[Outage | Cut, ...]:
    """Outages and cuts, also at the same time."""
    found: list[Outage | Cut] = []
    for kind, capacity in CAPACITY.items():
        for _ in range(draw(st.integers(0, 2))):
            from_ms = draw(st.integers(0, 500)) * MINUTE_MS
            to_ms = from_ms + draw(st.integers(1, 200)) * MINUTE_MS
            if draw(st.booleans()):
                found.append(Cut(kind, from_ms, to_ms, draw(st.integers(0, capacity))))
            else:
                found.append(Outage(frozenset({kind}), from_ms, to_ms, draw(st.booleans())))
    return tuple(found)


def fates(seed: int) -> Faults:
    """Far more goes wrong than in reality."""
    classes = {"USER_CODE": 2, "NODE": 3, "CENTER": 2, "TIME_LIMIT": 1}
    return Faults(
        seed, {"*": Failing(5_000, classes)}, waiting_bp=2_000, patience_ms=90 * MINUTE_MS,
        running_bp=1_500, outages=(), cuts=(),
    )  # fmt: skip


def live(
    jobs: Sequence[TraceJob], setup: Setup, faults: Faults, outside: Sequence[Outage | Cut],
    policy: str,
) -> Lived:  # fmt: skip
    return World(
        lives_of(jobs, faults), setup.deltas(jobs), PlanningCore(POLICIES[policy]), outside
    ).run()


def limits(setup: Setup) -> dict[tuple[str, str], Limits]:
    found = {}
    for key, quota in setup.quotas.items():
        nominal, borrow, lend = quota[2:5]
        found[key] = Limits(
            nominal,
            None if borrow is None else nominal + borrow,
            0 if lend is None else nominal - lend,
        )
    return found


def holds(jobs: Sequence[TraceJob], setup: Setup, seed: int, outside: Sequence[Outage | Cut],
          policy: str) -> None:  # fmt: skip
    lived = live(jobs, setup, fates(seed), outside, policy)
    assert check(lived, CAPACITY, limits(setup), outside) == []


ANYTHING = (workloads(), setups(), st.integers(0, 1 << 30), troubles(),
            st.sampled_from(sorted(POLICIES)))  # fmt: skip
QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large)


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(*ANYTHING)
def test_what_must_hold_holds_whatever_goes_wrong(
    jobs: tuple[TraceJob, ...], setup: Setup, seed: int, outside: tuple[Outage | Cut, ...],
    policy: str,
) -> None:  # fmt: skip
    holds(jobs, setup, seed, outside, policy)


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None, suppress_health_check=QUIET)
@given(*ANYTHING)
def test_it_holds_for_thousands_of_worlds(
    jobs: tuple[TraceJob, ...], setup: Setup, seed: int, outside: tuple[Outage | Cut, ...],
    policy: str,
) -> None:  # fmt: skip
    holds(jobs, setup, seed, outside, policy)


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(workloads(), setups(), st.sampled_from(sorted(POLICIES)))
def test_without_faults_a_world_decides_as_the_plain_replay(
    jobs: tuple[TraceJob, ...], setup: Setup, policy: str
) -> None:
    kept, _ = setup.placeable(jobs)
    plain = simulate(kept, setup, PlanningCore(POLICIES[policy]))
    lived = live(kept, setup, Faults(failures={}, waiting_bp=0, running_bp=0), (), policy)
    assert [lived.first_ms[place] for place in range(len(kept))] == list(plain.start_ms)
    assert {one.place: one.promised_ms for one in lived.promises} == plain.promised_ms


@settings(max_examples=20, deadline=None, suppress_health_check=QUIET)
@given(*ANYTHING)
def test_the_same_seed_tells_the_same(
    jobs: tuple[TraceJob, ...], setup: Setup, seed: int, outside: tuple[Outage | Cut, ...],
    policy: str,
) -> None:  # fmt: skip
    one, two = (live(jobs, setup, fates(seed), outside, policy) for _ in range(2))
    assert (one.stays, one.states, one.promises) == (two.stays, two.states, two.promises)
