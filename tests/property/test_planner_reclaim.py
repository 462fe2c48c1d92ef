"""Plans while lent units are called back, with stops, sizes, emergencies and guarantees about.

Every plan is proven by ``IdleChecker`` and ``EvictionChecker``; here is what they cannot see in one
plan: how long an owner waits, that all is started in the end, and that neither the number of shards
nor the order of what happens in one instant matters.
"""

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scheduler.placement.model import (
    CORRIDOR,
    EASY,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    PolicySettings,
    PoolSet,
    ReclaimSet,
)
from tests.property.idle_checker import IdleChecker, least
from tests.property.planner_course import (
    CITIES,
    HASTY,
    MEMBERS,
    Course,
    Happening,
    Machine,
    machines,
    workloads,
)

POLICIES = st.sampled_from([CORRIDOR, EASY, HASTY])


@settings(max_examples=150, deadline=None)
@given(machines(limits=True, reclaim=True), workloads(rich=True), POLICIES, st.integers(0, 3))
def test_nothing_idles_and_no_promise_is_missed(
    machine: Machine, workload: list[Happening], policy: PolicySettings, anew: int
) -> None:
    told, checker = machine
    Course(told, checker, policy, anew=anew, asks=0).run(workload)
    assert not left_that_could_start(checker)


def left_that_could_start(checker: IdleChecker) -> list[int]:
    """Jobs that wait though nothing runs and their limits allow them to start."""
    found = []
    for job in checker.waiting.values():
        for option in map(least, job.options):
            flavor = option.flavor
            is_short = (
                not checker.is_lease(flavor) or option.wall_ms <= checker.reclaim[flavor].lease_ms
            )
            if checker.fits((), job, option) and (is_short or checker.is_within((), job, option)):
                found.append(job.uid)
    return found


@settings(max_examples=150, deadline=None)
@given(machines(limits=True, reclaim=True), workloads(rich=True), POLICIES)
def test_an_owner_waits_at_most_for_the_lease(
    machine: Machine, workload: list[Happening], policy: PolicySettings
) -> None:
    """I6: no quota changes, and runs end at their limits at the latest."""
    told, checker = machine
    course = Course(told, checker, policy, asks=0)
    course.run(workload)
    for flavor, longest_ms in course.longest_ms.items():
        assert longest_ms <= checker.reclaim[flavor].lease_ms


@settings(max_examples=60, deadline=None)
@given(st.data(), POLICIES, st.integers(1, 7))
def test_plans_depend_on_their_input_alone(
    data: st.DataObject, policy: PolicySettings, turn: int
) -> None:
    """Invariant 10, I11: any number of shards, any order of what happens in one instant."""
    told, checker = data.draw(machines(limits=True, reclaim=True))
    workload = data.draw(workloads(rich=True))
    courses = []
    for shards, turned in ((1, 0), (2, 0), (5, 0), (1, turn)):
        course = Course(told, checker.anew(), policy, every=10**6, shards=shards, turn=turned)
        course.run(workload)
        courses.append(course.plans)
    first = courses[0]
    assert courses[1] == first
    assert courses[2] == first
    assert [(plan.starts, plan.evictions) for plan in courses[3]] == [
        (plan.starts, plan.evictions) for plan in first
    ]


def test_evictions_keep_to_their_rules() -> None:
    """Crowded pools, in which owners often come upon what they lent."""
    seen = 0
    for seed in range(60):
        told, checker, workload = crowded(Random(seed))
        Course(told, checker, CORRIDOR, turn=seed % 3, asks=0).run(workload)
        assert not left_that_could_start(checker)
        seen += checker.evictions.seen
    assert seen > 40


def crowded(random: Random) -> tuple[list[Delta], IdleChecker, list[Happening]]:
    """One pool of mode evict, and long jobs that may be interrupted."""
    units = 12
    cuts = sorted(random.randint(0, units) for _ in range(2))
    nominal = [cuts[0], cuts[1] - cuts[0], units - cuts[1]]
    quotas = {
        (city, "a"): CityQuotaSet(city, "a", own, None, random.choice([None, own, own // 2]))
        for city, own in zip(CITIES, nominal, strict=True)
    }
    reclaim = ReclaimSet(
        "a", "evict", run_min_ms=3_000, grace_ms=random.choice([500, 4_000]), rate_ms=9_000,
        rate_bps=random.choice([2_500, 4_000, 6_000]),
    )  # fmt: skip
    told: list[Delta] = [CitySet(city, 1 + at) for at, city in enumerate(CITIES)]
    told += [EnterpriseSet(name, city) for name, city in MEMBERS.items()]
    told += [PoolSet("a", "c", units), *quotas.values(), reclaim]
    workload: list[Happening] = []
    at_ms = 0
    for uid in range(1, 31):
        at_ms += random.choice([0, 0, 500, 4_000])
        member, wall_ms = random.choice(sorted(MEMBERS)), 1000 * random.randint(5, 40)
        option = Option("a", random.randint(1, 6), 1, wall_ms)
        job = JobQueued(
            uid, MEMBERS[member], member, random.choice([0, 5]), at_ms, (option,),
            interruptible=random.random() < 0.8,
        )  # fmt: skip
        workload.append((at_ms, job, wall_ms - random.randint(0, 4_000)))
    return told, IdleChecker({"a": units}, quotas, reclaim={"a": reclaim}), workload


@pytest.mark.slow
@settings(
    max_examples=1_500, deadline=None, phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(machines(limits=True, reclaim=True), workloads(rich=True), POLICIES, st.integers(0, 3))
def test_nothing_idles_at_length(
    machine: Machine, workload: list[Happening], policy: PolicySettings, anew: int
) -> None:
    told, checker = machine
    course = Course(told, checker, policy, anew=anew, asks=0)
    course.run(workload)
    assert not left_that_could_start(checker)
    for flavor, longest_ms in course.longest_ms.items():
        assert anew or longest_ms <= checker.reclaim[flavor].lease_ms
