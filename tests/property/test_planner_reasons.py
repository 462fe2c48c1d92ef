"""What is said of waiting jobs: counts and explanations agree, a plain second opinion finds the
same reasons, bands are in order, places are those of the turns, and what is exact is foreseen.
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.reasons import ReasonCode, StartOutlook
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
    Explanation,
    JobQueued,
    JobRemoved,
    Option,
    PolicySettings,
    PoolSet,
    RunEnded,
)

WEIGHTS = {"ezhou": 1, "huanggang": 4, "wuhan": 7}
MEMBERS = {"e1": "ezhou", "e2": "huanggang", "e3": "wuhan", "e4": "wuhan"}
#: Ageing within the few minutes of a random day, so that every rank of promises is met.
HASTY = PolicySettings(ageing_ms=5_000, starving_ms=40_000, starts_max=3)

Happening = tuple[int, JobQueued | JobRemoved]


@dataclass(frozen=True)
class Machine:
    """Two flavors, three cities, four enterprises: capacities, quotas and caps."""

    capacities: dict[str, int]
    quotas: dict[tuple[str, str], CityQuotaSet]
    caps: dict[tuple[str, str], int]

    def told(self) -> list[Delta]:
        """What the planner is told of it."""
        told: list[Delta] = [CitySet(city, weight) for city, weight in WEIGHTS.items()]
        told += [EnterpriseSet(name, city) for name, city in MEMBERS.items()]
        told += [PoolSet(flavor, "c", units) for flavor, units in self.capacities.items()]
        told += self.quotas.values()
        return told + [EnterpriseQuotaSet(*key, cap) for key, cap in self.caps.items()]


@st.composite
def machines(draw: st.DrawFn, limits: bool) -> Machine:
    """Random ones, with borrow limits, lend limits and caps if asked for."""
    made = Machine({flavor: draw(st.integers(3, 16)) for flavor in ("a", "b")}, {}, {})
    for flavor, units in made.capacities.items():
        left = units
        for city in WEIGHTS:
            nominal = draw(st.integers(0, left))
            left -= nominal
            borrow = draw(st.none() | st.integers(0, units)) if limits else None
            lend = draw(st.none() | st.integers(0, nominal)) if limits else None
            made.quotas[city, flavor] = CityQuotaSet(city, flavor, nominal, borrow, lend)
        if limits and draw(st.booleans()):
            made.caps[draw(st.sampled_from(sorted(MEMBERS))), flavor] = draw(st.integers(0, 10))
    return made


@st.composite
def workloads(draw: st.DrawFn, rich: bool = False) -> list[Happening]:
    """Jobs with one to three options, also several of one flavor; some are cancelled.

    In ``rich`` ones jobs may be elastic, or not to start before some time.
    """
    shapes = draw(st.lists(_options(rich), min_size=1, max_size=8))
    happenings: list[Happening] = []
    at_ms = 0
    for uid in range(1, draw(st.integers(1, 45)) + 1):
        at_ms += 1000 * draw(st.sampled_from([0, 0, 0, 1, 2, 7]))
        member = draw(st.sampled_from(sorted(MEMBERS)))
        priority = draw(st.sampled_from([0, 0, 0, 5]))
        options = draw(st.sampled_from(shapes))
        job = JobQueued(uid, MEMBERS[member], member, priority, at_ms, options)
        if rich and draw(st.integers(0, 3)) == 0:
            later_ms = at_ms + 1000 * draw(st.integers(1, 90))
            job = job._replace(not_before_ms=later_ms, wished=True)
        happenings.append((at_ms, job))
        if draw(st.integers(0, 9)) == 0:
            happenings.append((at_ms + 1000 * draw(st.integers(0, 20)), JobRemoved(uid)))
    return sorted(happenings, key=lambda one: one[0])


@st.composite
def _options(draw: st.DrawFn, rich: bool) -> tuple[Option, ...]:
    flavors = draw(
        st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a"), ("a", "a"), ("a", "a", "b")])
    )
    options = []
    for flavor in flavors:
        units, wall_ms = draw(st.integers(1, 12)), draw(st.integers(1, 60)) * 1000
        least = draw(st.integers(1, units)) if rich and draw(st.booleans()) else 0
        options.append(Option(flavor, units, units if least else 1, wall_ms, units_min=least))
    return tuple(options)


class Asked:
    """A planner through happenings, as far as an instant; runs take their limits."""

    def __init__(self, machine: Machine, policy: PolicySettings) -> None:
        self.core = PlanningCore(policy, shards=2)
        self.core.load(0, machine.told(), 0)
        self.machine, self.policy = machine, policy
        self.waiting: dict[int, JobQueued] = {}
        self.running: dict[int, tuple[JobQueued, Option, int]] = {}
        self.start_ms: dict[int, int] = {}
        self.promised: set[str] = set()
        self.now_ms = self._revision = 0

    def live(self, happenings: Iterable[Happening]) -> None:
        """Take in what happens, in order."""
        for at_ms, delta in happenings:
            self.wait_until(at_ms)
            if isinstance(delta, JobQueued):
                self.waiting[delta.uid] = delta
            elif self.waiting.pop(delta.uid, None) is None:
                continue
            self._plan([delta], at_ms)

    def wait_until(self, at_ms: int | None) -> None:
        """Let runs end and pauses pass until an instant; None: until nothing more happens."""
        while True:
            due = [end for _, _, end in self.running.values()]
            wishes = (job.not_before_ms for job in self.waiting.values())
            due += [wish for wish in wishes if wish > self.now_ms]
            if not due or (at_ms is not None and min(due) > at_ms):
                break
            end_ms = min(due)
            ended = [uid for uid, (_, _, end) in self.running.items() if end == end_ms]
            deltas: list[Delta] = []
            for uid in ended:
                _, option, _ = self.running.pop(uid)
                deltas.append(RunEnded(uid, option.wall_ms))
            self._plan(deltas, end_ms)

    def _plan(self, deltas: list[Delta], now_ms: int) -> None:
        self.now_ms, more = now_ms, True
        while more:
            plan = self.core.cycle(self._revision, deltas, self._revision + 1, now_ms)
            self._revision, deltas, more = self._revision + 1, [], plan.more
            for start in plan.starts:
                job = self.waiting.pop(start.uid)
                self.start_ms[job.uid] = now_ms
                self.running[job.uid] = (job, start.option, now_ms + start.option.wall_ms)
        self.promised = {one.flavor for one in plan.reservations}

    def explained(self) -> dict[int, Explanation]:
        """What is said of all that wait."""
        found = {}
        for uid in self.waiting:
            told = self.core.explain(uid, self.now_ms)
            assert told is not None
            found[uid] = told
        return found

    # --- a second opinion -------------------------------------------------------------------------

    def reason(self, job: JobQueued, option: Option) -> ReasonCode:
        """What keeps an option from its start, counted anew."""
        books, flavor, units = self.machine, option.flavor, option.units
        capacity = books.capacities[flavor]
        used: Counter[str] = Counter()
        own = 0
        for holder, taken, _ in self.running.values():
            if taken.flavor == flavor:
                used[holder.city] += taken.units
                own += taken.units * (holder.enterprise == job.enterprise)
        quotas = {city: books.quotas[city, flavor] for city in WEIGHTS}
        kept = {
            city: 0 if q.lend_limit_units is None else max(0, q.nominal_units - q.lend_limit_units)
            for city, q in quotas.items()
        }
        total = max(capacity, sum(q.nominal_units for q in quotas.values()))
        quota, cap = quotas[job.city], books.caps.get((job.enterprise, flavor))
        hard = None
        if quota.borrow_limit_units is not None:
            hard = quota.nominal_units + quota.borrow_limit_units
        others = sum(kept.values()) - kept[job.city]
        if (
            units > capacity
            or (cap is not None and units > cap)
            or (hard is not None and units > hard)
            or units + others > total
        ):
            return ReasonCode.EXCEEDS_MAX
        if cap is not None and own + units > cap:
            return ReasonCode.CAP_ENTERPRISE
        if hard is not None and used[job.city] + units > hard:
            return ReasonCode.BORROW_LIMIT
        is_short = units > capacity - sum(used.values())
        after = {city: max(used[city] + units * (city == job.city), kept[city]) for city in kept}
        if is_short or sum(after.values()) > total:
            is_owed = used[job.city] + units <= quota.nominal_units
            lends = [c for c in WEIGHTS if c != job.city and used[c] > quotas[c].nominal_units]
            if is_owed and lends:
                return ReasonCode.WAITING_RECLAIM
            return ReasonCode.POOL_FULL if is_short else ReasonCode.CORRIDOR_FULL
        if flavor in self.promised:
            waits, stands = ReasonCode.WAITING_RESERVATION, ReasonCode.BEHIND_HEAD
            return waits if self.policy.backfill else stands
        return ReasonCode.NOT_EVALUATED


@settings(max_examples=40, deadline=None)
@given(machines(limits=True), workloads(), st.sampled_from([CORRIDOR, EASY, FCFS, HASTY]))
def test_counts_explanations_and_a_second_opinion_agree(
    machine: Machine, workload: list[Happening], policy: PolicySettings
) -> None:
    asked = Asked(machine, policy)
    asked.live(workload)
    told: Counter[tuple[str, str, str]] = Counter()
    for uid, found in asked.explained().items():
        job = asked.waiting[uid]
        own = [asked.reason(job, option) for option in job.options]
        assert [one.code for one in found.options] == own
        assert found.reason.code is max(own, key=list(ReasonCode).index)
        told[job.city, job.options[0].flavor, found.reason.code] += 1
    assert asked.core.counts(asked.now_ms).reasons == told


@settings(max_examples=40, deadline=None)
@given(machines(limits=True), workloads(rich=True), st.sampled_from([CORRIDOR, EASY, HASTY]))
def test_a_band_is_in_order_and_only_what_can_start_has_one(
    machine: Machine, workload: list[Happening], policy: PolicySettings
) -> None:
    asked = Asked(machine, policy)
    asked.live(workload)
    explained = asked.explained()
    for found in explained.values():
        reason = found.reason
        if reason.start_likely_ms is None:
            assert (reason.start_earliest_ms, reason.start_latest_ms) == (None, None)
            assert reason.outlook is StartOutlook.NONE
            continue
        assert reason.outlook in (StartOutlook.FORESEEN, StartOutlook.PROMISED)
        assert reason.start_earliest_ms is not None
        assert reason.start_latest_ms is not None
        assert asked.now_ms <= reason.start_earliest_ms <= reason.start_likely_ms
        assert reason.start_likely_ms <= reason.start_latest_ms
    asked.wait_until(None)
    for uid, found in explained.items():
        assert (found.reason.start_likely_ms is not None) == (uid in asked.start_ms)


@settings(max_examples=40, deadline=None)
@given(machines(limits=True), workloads(rich=True), st.sampled_from([EASY, FCFS, CORRIDOR]))
def test_with_exact_limits_and_nobody_to_come_the_likely_start_is_the_start(
    machine: Machine, workload: list[Happening], policy: PolicySettings
) -> None:
    if policy is CORRIDOR:  # what is used of one flavor says who is next on another
        workload = [one for one in workload if not _asks_for(one, "b")]
    asked = Asked(machine, policy)
    asked.live(workload)
    said = {uid: found.reason.start_likely_ms for uid, found in asked.explained().items()}
    asked.wait_until(None)
    assert said == {uid: asked.start_ms.get(uid) for uid in said}


@settings(max_examples=40, deadline=None)
@given(machines(limits=False), workloads(), st.sampled_from([EASY, CORRIDOR]))
def test_places_are_the_turns_of_enterprises(
    machine: Machine, workload: list[Happening], policy: PolicySettings
) -> None:
    asked = Asked(machine, policy)
    asked.live(workload)
    by_city: dict[str, list[JobQueued]] = {}
    for job in asked.waiting.values():
        by_city.setdefault(job.city, []).append(job)
    for jobs in by_city.values():
        order = _in_turns(asked, jobs) if policy is CORRIDOR else sorted(jobs, key=_age)
        places = {job.uid: place for place, job in enumerate(order, 1)}
        for job in jobs:
            found = asked.core.explain(job.uid, asked.now_ms)
            assert found is not None
            assert found.waiting_in_city == len(jobs)
            if all(option.units <= asked.machine.capacities[option.flavor] for one in jobs
                   for option in one.options):  # fmt: skip
                assert found.position_in_city == places[job.uid]


def _asks_for(happening: Happening, flavor: str) -> bool:
    _, delta = happening
    if not isinstance(delta, JobQueued):
        return False
    return any(option.flavor == flavor for option in delta.options)


def _age(job: JobQueued) -> tuple[int, int]:
    return job.queued_ms, job.uid


def _in_turns(asked: Asked, jobs: list[JobQueued]) -> list[JobQueued]:
    """Take job by job, of the enterprise of least use; each raises the use of its enterprise."""
    keys = asked.core._root.keys
    queues: dict[str, list[JobQueued]] = {name: [] for name in MEMBERS}
    for job in sorted(jobs, key=_turn):
        queues[job.enterprise].append(job)
    turns = [(keys.enterprise_key(name), name) for name, queue in queues.items() if queue]
    heapq.heapify(turns)
    order = []
    while turns:
        key, name = heapq.heappop(turns)
        job = queues[name].pop(0)
        order.append(job)
        if queues[name]:
            raised = key + keys.rise(name, job.options[0], asked.now_ms)
            heapq.heappush(turns, (raised, name))
    return order


def _turn(job: JobQueued) -> tuple[int, int, int]:
    """Priority, queue time and twenty limits, uid."""
    return -job.priority, job.queued_ms + 20 * job.options[0].wall_ms, job.uid
