"""The order of starts beside a slow, obvious one: exact fractions, everything looked at each time.

Nothing is short here, so every job starts at once and only the order is judged: between cities
whether one holds what it owns, then the faded use; inside a city Fair Tree over the enterprises;
inside an enterprise priority and turn. Past use is of whole half-lives ago, so that what fades is
exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

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
    UsageSet,
)

HOUR_MS = 3_600_000
#: Use of cities and of enterprises fades alike here.
HALF_LIFE_MS = CORRIDOR.usage_half_life_ms
POLICY = replace(CORRIDOR, city_half_life_ms=HALF_LIFE_MS)
NOW_MS = 8 * HALF_LIFE_MS
UNITS = 1024
CITIES = ("east", "north", "west")


class Past(NamedTuple):
    """Use of an enterprise, so many half-lives ago."""

    enterprise: str
    unit_hours: int
    half_lives: int


@dataclass
class World:
    """Cities with weight and nominal, enterprises with city and weight, past use, waiting jobs."""

    cities: dict[str, tuple[int, int]]
    members: dict[str, tuple[str, int]]
    past: list[Past]
    jobs: list[JobQueued]
    use: dict[str, Fraction] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)

    def told(self) -> list[Delta]:
        found: list[Delta] = [PoolSet("a", "c", UNITS)]
        found += [CitySet(city, weight) for city, (weight, _) in self.cities.items()]
        found += [CityQuotaSet(city, "a", nominal) for city, (_, nominal) in self.cities.items()]
        found += [EnterpriseSet(name, *where) for name, where in self.members.items()]
        # The first use is the oldest that there is.
        found += [UsageSet("x", "a", 0, 0)]
        found += [
            UsageSet(name, "a", hours * 3600, NOW_MS - ago * HALF_LIFE_MS)
            for name, hours, ago in self.past
        ]
        return found

    # --- the slow way -----------------------------------------------------------------------------

    def slow_starts(self) -> list[int]:
        for name, hours, ago in self.past:
            used = Fraction(hours * 3_600_000, 2**ago)
            self.use[name] = self.use.get(name, Fraction(0)) + used
        waiting, found = list(self.jobs), []
        while waiting:
            heads = [self.head(city, waiting) for city in {job.city for job in waiting}]
            first = min(heads, key=self.city_key)
            waiting.remove(first)
            found.append(first.uid)
            option = first.options[0]
            self.held[first.city] = self.held.get(first.city, 0) + option.units
            held = self.use.get(first.enterprise, Fraction(0))
            self.use[first.enterprise] = held + option.units * option.wall_ms
        return found

    def head(self, city: str, waiting: Sequence[JobQueued]) -> JobQueued:
        """The first job of the enterprise that used least."""
        of_city = [job for job in waiting if job.city == city]
        return min(of_city, key=lambda job: (self.fair(job.enterprise), turn(job)))

    def fair(self, enterprise: str) -> tuple[Fraction, str]:
        return self.use.get(enterprise, Fraction(0)) / self.members[enterprise][1], enterprise

    def city_key(self, job: JobQueued) -> tuple[object, ...]:
        weight, nominal = self.cities[job.city]
        held = self.held.get(job.city, 0)
        used = sum(use for name, use in self.use.items() if self.members[name][0] == job.city)
        return held >= nominal, Fraction(used, weight), job.queued_ms, job.uid


def turn(job: JobQueued) -> tuple[int, int, int]:
    late_ms = 20 * job.options[0].wall_ms
    return -job.priority, job.queued_ms + late_ms, job.uid


@st.composite
def worlds(draw: st.DrawFn) -> World:
    whole = st.integers
    cities = {city: (draw(whole(1, 5)), draw(whole(0, 300))) for city in CITIES}
    members = {
        f"{city}-{number}": (city, draw(whole(1, 3)))
        for city in CITIES
        for number in range(draw(whole(1, 3)))
    }
    names = st.sampled_from(sorted(members))
    past = draw(st.lists(st.builds(Past, names, whole(0, 50), whole(0, 3)), max_size=5))
    jobs = []
    for uid in range(draw(whole(1, 14))):
        name = draw(names)
        option = Option("a", draw(whole(1, 70)), 1, HOUR_MS * draw(whole(1, 4)))
        queued_ms = NOW_MS - HOUR_MS * draw(whole(0, 9))
        priority = draw(st.sampled_from((0, 0, 50)))
        jobs.append(JobQueued(uid, members[name][0], name, priority, queued_ms, (option,)))
    return World(cities, members, past, jobs)


@settings(max_examples=150, deadline=None)
@given(worlds(), st.booleans(), st.sampled_from([1, 3]))
def test_jobs_start_in_the_order_of_a_slow_second_implementation(
    world: World, together: bool, shards: int
) -> None:
    """Told with the pool (its lines are walked), or later (each new class is tried)."""
    core = PlanningCore(POLICY, shards)
    core.load(0, [*world.told(), *(world.jobs if together else [])], NOW_MS)
    later: list[JobQueued] = [] if together else world.jobs
    if not together:
        core.cycle(0, (), 0, NOW_MS)
    plan = core.cycle(0, later, 1, NOW_MS)
    assert [start.uid for start in plan.starts] == world.slow_starts()
