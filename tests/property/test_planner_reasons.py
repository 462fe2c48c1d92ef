"""What is said of waiting jobs: counts and explanations agree, a plain second opinion finds the
same reasons, bands are in order, places are those of the turns, and what is exact is foreseen.
"""

import heapq
from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.reasons import ReasonCode
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    EASY,
    FCFS,
    Delta,
    Explanation,
    JobQueued,
    Option,
    PolicySettings,
    RunEnded,
)
from tests.property.idle_checker import IdleChecker
from tests.property.test_planner_idle import HASTY, MEMBERS, Happening, machines, workloads

WEIGHTS = {"ezhou": 1, "huanggang": 4, "wuhan": 7}


class Asked:
    """A planner through happenings, as far as an instant; runs take their limits."""

    def __init__(self, told: list[Delta], checker: IdleChecker, policy: PolicySettings) -> None:
        self.core = PlanningCore(policy, shards=2)
        self.core.load(0, told, 0)
        self.checker, self.policy = checker, policy
        self.waiting: dict[int, JobQueued] = {}
        self.running: dict[int, tuple[JobQueued, Option, int]] = {}
        self.start_ms: dict[int, int] = {}
        self.promised: set[str] = set()
        self.now_ms = self._revision = 0

    def live(self, happenings: Iterable[Happening]) -> None:
        """Take in what happens, in order."""
        for at_ms, delta, _ in happenings:
            self.wait_until(at_ms)
            if isinstance(delta, JobQueued):
                self.waiting[delta.uid] = delta
            elif self.waiting.pop(delta.uid, None) is None:
                continue
            self._plan([delta], at_ms)

    def wait_until(self, at_ms: int | None) -> None:
        """Let runs end until an instant; None: until nothing runs any more."""
        while self.running:
            end_ms = min(end for _, _, end in self.running.values())
            if at_ms is not None and end_ms > at_ms:
                break
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
        books, flavor, units = self.checker, option.flavor, option.units
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
    machine: tuple[list[Delta], IdleChecker], workload: list[Happening], policy: PolicySettings
) -> None:
    asked = Asked(*machine, policy)
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
@given(machines(limits=True), workloads(), st.sampled_from([CORRIDOR, EASY, HASTY]))
def test_a_band_is_in_order_and_only_what_can_start_has_one(
    machine: tuple[list[Delta], IdleChecker], workload: list[Happening], policy: PolicySettings
) -> None:
    asked = Asked(*machine, policy)
    asked.live(workload)
    explained = asked.explained()
    for found in explained.values():
        reason = found.reason
        if reason.start_likely_ms is None:
            continue
        assert reason.start_earliest_ms is not None
        assert reason.start_latest_ms is not None
        assert asked.now_ms <= reason.start_earliest_ms <= reason.start_likely_ms
        assert reason.start_likely_ms <= reason.start_latest_ms
    asked.wait_until(None)
    for uid, found in explained.items():
        assert (found.reason.start_likely_ms is not None) == (uid in asked.start_ms)


@settings(max_examples=40, deadline=None)
@given(machines(limits=True), workloads(), st.sampled_from([EASY, FCFS, CORRIDOR]))
def test_with_exact_limits_and_nobody_to_come_the_likely_start_is_the_start(
    machine: tuple[list[Delta], IdleChecker], workload: list[Happening], policy: PolicySettings
) -> None:
    asked = Asked(*machine, policy)
    asked.live(workload)
    said = {uid: found.reason.start_likely_ms for uid, found in asked.explained().items()}
    asked.wait_until(None)
    assert said == {uid: asked.start_ms.get(uid) for uid in said}


@settings(max_examples=40, deadline=None)
@given(machines(limits=False), workloads(), st.sampled_from([EASY, CORRIDOR]))
def test_places_are_the_turns_of_enterprises(
    machine: tuple[list[Delta], IdleChecker], workload: list[Happening], policy: PolicySettings
) -> None:
    asked = Asked(*machine, policy)
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
            if all(option.units <= asked.checker.capacities[option.flavor] for one in jobs
                   for option in one.options):  # fmt: skip
                assert found.position_in_city == places[job.uid]


def _age(job: JobQueued) -> tuple[int, int]:
    return job.queued_ms, job.uid


def _in_turns(asked: Asked, jobs: list[JobQueued]) -> list[JobQueued]:
    """Take job by job: the enterprise of least use first, which each taken job raises."""
    keys = asked.core._root.keys
    queues: dict[str, list[JobQueued]] = {name: [] for name in MEMBERS}
    for job in sorted(jobs, key=lambda job: (-job.priority, *_age(job))):
        queues[job.enterprise].append(job)
    turns = [(keys.enterprise_key(name), name) for name, queue in queues.items() if queue]
    heapq.heapify(turns)
    order = []
    while turns:
        key, name = heapq.heappop(turns)
        job = queues[name].pop(0)
        order.append(job)
        if queues[name]:
            heapq.heappush(turns, (key + keys.rise(name, job.options[0], asked.now_ms), name))
    return order
