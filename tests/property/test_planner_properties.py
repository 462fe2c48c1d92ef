"""What must hold of every plan, checked on random corridors driven through random days."""

import heapq
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    EASY,
    FCFS,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseQuotaSet,
    EnterpriseSet,
    JobQueued,
    JobRemoved,
    Option,
    Plan,
    PolicySettings,
    PoolSet,
    RunEnded,
)

CITIES = ("ezhou", "huanggang", "wuhan")
FLAVORS = ("a", "b")
MEMBERS = {"e1": "ezhou", "e2": "huanggang", "e3": "wuhan", "e4": "wuhan"}


@dataclass(frozen=True)
class Arrival:
    """A job to come: when, whose, its options, and how long it really runs."""

    at_s: int
    member: str
    options: tuple[Option, ...]
    run_s: int
    priority: int
    cancelled_after_s: int | None


@dataclass
class Day:
    """A corridor and the jobs that come to it."""

    capacity: dict[str, int]
    quotas: list[CityQuotaSet]
    caps: list[EnterpriseQuotaSet]
    arrivals: list[Arrival]

    def rules(self) -> list[Delta]:
        """The deltas of a snapshot."""
        told: list[Delta] = [CitySet(city, 1 + i * 3) for i, city in enumerate(CITIES)]
        told += [EnterpriseSet(name, city) for name, city in MEMBERS.items()]
        told += [PoolSet(flavor, "c", units) for flavor, units in self.capacity.items()]
        return [*told, *self.quotas, *self.caps]


@st.composite
def days(draw: st.DrawFn, limits: bool = True) -> Day:
    """Random corridors with two flavors and at most 40 jobs."""
    capacity = {flavor: draw(st.integers(4, 20)) for flavor in FLAVORS}
    quotas: list[CityQuotaSet] = []
    for flavor, units in capacity.items():
        left = units
        for city in CITIES:
            nominal = draw(st.integers(0, left))
            left -= nominal
            borrow = draw(st.none() | st.integers(0, units)) if limits else None
            lend = draw(st.none() | st.integers(0, nominal)) if limits else None
            quotas.append(CityQuotaSet(city, flavor, nominal, borrow, lend))
    caps = (
        draw(st.lists(st.builds(EnterpriseQuotaSet, st.sampled_from(sorted(MEMBERS)),
                                st.sampled_from(FLAVORS), st.integers(0, 15), st.just(0)),
                      max_size=2))
        if limits else []
    )  # fmt: skip
    arrivals = draw(st.lists(_arrivals(capacity), max_size=40))
    return Day(capacity, quotas, caps, sorted(arrivals, key=lambda a: a.at_s))


@st.composite
def _arrivals(draw: st.DrawFn, capacity: dict[str, int]) -> Arrival:
    wall_s = draw(st.integers(1, 60))
    flavors = draw(st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a")]))
    options = tuple(
        Option(flavor, draw(st.integers(1, capacity[flavor])), 1, wall_s * 1000)
        for flavor in flavors
    )
    return Arrival(
        draw(st.integers(0, 50)), draw(st.sampled_from(sorted(MEMBERS))), options,
        draw(st.integers(1, wall_s)), draw(st.sampled_from([0, 0, 0, 5])),
        draw(st.sampled_from([None, None, None, 3])),
    )  # fmt: skip


@dataclass
class Drive:
    """Drives a planner through a day and keeps books of its own, by the rules alone."""

    day: Day
    policy: PolicySettings
    shards: int = 1
    shuffle: int = 0
    starts: dict[int, int] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)

    def run(self) -> "Drive":
        """Drive to the end, checking every plan."""
        core = PlanningCore(self.policy, self.shards)
        core.load(0, self.day.rules())
        revision = 0
        ends: list[tuple[int, int]] = []
        self.waiting: dict[int, JobQueued] = {}
        self.running: dict[int, tuple[str, str, Option]] = {}
        begun: dict[int, int] = {}
        events = self._events()
        while events or ends:
            now_s = min([t for t, _ in events[:1]] + [t for t, _ in ends[:1]])
            deltas: list[Delta] = []
            while ends and ends[0][0] == now_s:
                _, uid = heapq.heappop(ends)
                deltas.append(RunEnded(uid, (now_s - begun[uid]) * 1000))
                del self.running[uid]
            while events and events[0][0] == now_s:
                delta = events.pop(0)[1]
                if isinstance(delta, JobQueued):
                    self.waiting[delta.uid] = delta
                elif isinstance(delta, JobRemoved):
                    if delta.uid not in self.waiting:
                        continue
                    del self.waiting[delta.uid]
                deltas.append(delta)
            if deltas and self.shuffle and not any(isinstance(d, JobRemoved) for d in deltas):
                deltas = deltas[self.shuffle % len(deltas) :] + deltas[: self.shuffle % len(deltas)]
            plan = core.cycle(revision, deltas, revision + 1, now_s * 1000)
            revision += 1
            self.plans.append(plan)
            for start in plan.starts:
                del self.waiting[start.uid]
                self.running[start.uid] = (start.city, start.enterprise, start.option)
                self.starts[start.uid] = begun[start.uid] = now_s
                heapq.heappush(ends, (now_s + self.day.arrivals[start.uid - 1].run_s, start.uid))
            self.check(plan)
        return self

    def _events(self) -> list[tuple[int, Delta]]:
        events: list[tuple[int, Delta]] = []
        for index, a in enumerate(self.day.arrivals):
            uid = index + 1
            job = JobQueued(uid, MEMBERS[a.member], a.member, a.priority, a.at_s * 1000, a.options)
            events.append((a.at_s, job))
            if a.cancelled_after_s is not None:
                events.append((a.at_s + a.cancelled_after_s, JobRemoved(uid)))
        return sorted(events, key=lambda event: event[0])

    def used(self, flavor: str, city: str = "", member: str = "") -> int:
        """Units that runs hold, counted one by one."""
        return sum(
            option.units
            for of, by, option in self.running.values()
            if option.flavor == flavor and city in ("", of) and member in ("", by)
        )

    def allowed(self, job: JobQueued, option: Option) -> bool:
        """The quota rules A1, A2, A3, A5 written out plainly."""
        flavor, x = option.flavor, option.units
        if self.used(flavor) + x > self.day.capacity[flavor]:
            return False
        for cap in {(c.enterprise, c.flavor): c for c in self.day.caps}.values():
            if (cap.enterprise, cap.flavor) == (job.enterprise, flavor):
                assert cap.cap_units is not None
                if self.used(flavor, member=job.enterprise) + x > cap.cap_units:
                    return False
        held = 0
        for quota in self.day.quotas:
            if quota.flavor != flavor:
                continue
            mine = x if quota.city == job.city else 0
            use = self.used(flavor, city=quota.city) + mine
            limit = quota.borrow_limit_units
            if mine and limit is not None and use > quota.nominal_units + limit:
                return False
            lend = quota.lend_limit_units
            guarantee = 0 if lend is None else quota.nominal_units - lend
            held += max(use, guarantee)
        return held <= self.day.capacity[flavor]

    def check(self, plan: Plan) -> None:
        """Limits hold, and no unit idles that a waiting job could use beside the promises."""
        for flavor, capacity in self.day.capacity.items():
            assert self.used(flavor) <= capacity
            for quota in self.day.quotas:
                limit = quota.borrow_limit_units
                if quota.flavor == flavor and limit is not None:
                    assert self.used(flavor, city=quota.city) <= quota.nominal_units + limit
        if not self.policy.backfill:
            return
        promised = {r.flavor: r for r in plan.reservations}
        for job in self.waiting.values():
            for option in job.options:
                if not self.allowed(job, option):
                    continue
                # It could start now; only a promise that it would delay may keep it waiting.
                promise = promised.get(option.flavor)
                assert promise is not None
                assert plan.now_ms + option.wall_ms > promise.start_ms


@settings(max_examples=150, deadline=None)
@given(days())
def test_limits_hold_and_nothing_idles(day: Day) -> None:
    Drive(day, CORRIDOR).run()


@settings(max_examples=100, deadline=None)
@given(days(), st.sampled_from([CORRIDOR, EASY, FCFS]), st.integers(1, 7))
def test_plan_depends_on_its_input_alone(day: Day, policy: PolicySettings, turn: int) -> None:
    one = Drive(day, policy, shards=1).run()
    assert Drive(day, policy, shards=2).run().plans == one.plans
    assert Drive(day, policy, shards=5).run().plans == one.plans
    assert Drive(day, policy, shards=1, shuffle=turn).run().starts == one.starts


@settings(max_examples=600, deadline=None)
@given(days(limits=False))
def test_a_promise_is_never_missed(day: Day) -> None:
    """With exact limits (no run beyond its limit) a promise only ever moves earlier."""
    for policy in (CORRIDOR, EASY):
        promised: dict[tuple[int, str], int] = {}
        drive = Drive(day, policy).run()
        for plan in drive.plans:
            for start in plan.starts:
                key = (start.uid, start.option.flavor)
                assert plan.now_ms <= promised.get(key, plan.now_ms)
            for one in plan.reservations:
                key = (one.uid, one.flavor)
                assert one.start_ms <= promised.get(key, one.start_ms)
                promised[key] = one.start_ms


@settings(max_examples=100, deadline=None)
@given(days(limits=False))
def test_every_job_that_stays_is_started(day: Day) -> None:
    drive = Drive(day, CORRIDOR).run()
    assert not drive.waiting
