"""I11: between equal cities time and then the job's number decide, however the jobs were told."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    PoolSet,
)

CITIES = ("east", "mid", "north", "south", "west")
HOUR_MS = 3_600_000
NOW_MS = 100 * HOUR_MS


def equals() -> list[Delta]:
    """Five cities that differ in nothing but their names."""
    told: list[Delta] = [PoolSet("a", "c", 50)]
    told += [CitySet(city, 1) for city in CITIES]
    told += [CityQuotaSet(city, "a", 10) for city in CITIES]
    return told + [EnterpriseSet(f"of {city}", city) for city in CITIES]


@given(
    st.lists(st.tuples(st.sampled_from(CITIES), st.integers(0, 3)), unique_by=lambda one: one[0]),
    st.randoms(use_true_random=False),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_of_equal_cities_the_older_job_starts_first_then_the_lower_number(
    asked: list[tuple[str, int]], rng: Random, together: bool
) -> None:
    jobs = [
        JobQueued(
            uid, city, f"of {city}", 0, NOW_MS - waited_h * HOUR_MS, (Option("a", 2, 1, HOUR_MS),)
        )
        for uid, (city, waited_h) in enumerate(asked)
    ]
    told, rules = list(jobs), equals()
    rng.shuffle(told)
    rng.shuffle(rules)
    core = PlanningCore(CORRIDOR, rng.choice((1, 2, 4)))
    core.load(0, [*rules, *(told if together else [])], NOW_MS)
    plan = core.cycle(0, () if together else told, 1, NOW_MS)
    in_turn = sorted(jobs, key=lambda job: (job.queued_ms, job.uid))
    assert [start.uid for start in plan.starts] == [job.uid for job in in_turn]
