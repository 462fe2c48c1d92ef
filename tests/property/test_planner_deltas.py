"""Whatever the planner is told, in whatever order: no limit breaks, nothing starts twice or idles.

Rules move, centers go and come back, cities and enterprises are stopped and opened, lent units are
called back by leases and evictions, starts and evictions are refused, budgets are used up, jobs
back off, are queued anew and cancelled, runs begin late and end early, and questions are asked
between.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    EASY,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseQuotaSet,
    EnterpriseSet,
    EvictionRefused,
    JobQueued,
    JobRemoved,
    Option,
    PolicySettings,
    PoolSet,
    ReclaimSet,
    RunEnded,
    RunStarted,
    StartRefused,
    StopSet,
    Unparked,
    UsedUp,
)
from tests.property.idle_checker import IdleChecker

CITIES = ("ezhou", "wuhan")
MEMBERS = {"e1": "ezhou", "w1": "wuhan", "w2": "wuhan"}
FLAVORS = ("a", "b")
HASTY = PolicySettings(ageing_ms=5_000, starving_ms=40_000, starts_max=2)
#: For want of money all of a class waits, for want of budget the job alone.
REASONS = (ReasonCode.WALLET_SHORT, ReasonCode.POOL_FULL)


class Told:
    """A planner, what it is told next, and books of its own."""

    def __init__(self, draw: Callable[[int, int], int], policy: PolicySettings):
        self._draw = draw
        self.now_ms, self._revision, self._uids = 0, 0, 0
        self.capacities = dict.fromkeys(FLAVORS, 10)
        self.quotas: dict[tuple[str, str], CityQuotaSet] = {}
        self.caps: dict[tuple[str, str], int] = {}
        self.kept: dict[tuple[str, str], int] = {}
        self.corridor: dict[str, int] = {}
        self.reclaimed: dict[str, ReclaimSet] = {}
        self.checker = IdleChecker(
            self.capacities, self.quotas, self.caps, self.kept, MEMBERS, self.corridor,
            self.reclaimed, steady=False,
        )  # fmt: skip
        self._due_ms: dict[int, tuple[int, ReasonCode]] = {}
        #: Classes that wait for money.
        self._broke: set[tuple[str, tuple[Option, ...]]] = set()
        self.deltas: list[Delta] = [CitySet(city, 2) for city in CITIES]
        self.deltas += [EnterpriseSet(name, city) for name, city in MEMBERS.items()]
        self.deltas += [PoolSet(flavor, "c", 10) for flavor in FLAVORS]
        for city in CITIES:
            for flavor in FLAVORS:
                self.quotas[city, flavor] = CityQuotaSet(city, flavor, 5)
        self.deltas += self.quotas.values()
        self.reclaim()
        self.reclaim()
        self._core = PlanningCore(policy, shards=2)
        self._core.load(0, [], 0)

    def pick(self, *choices: object) -> int:
        """An index into the choices."""
        return self._draw(0, len(choices) - 1)

    # --- what may happen --------------------------------------------------------------------------

    def job(self) -> None:
        """A new job, which may have to back off first."""
        self._uids += 1
        member = sorted(MEMBERS)[self._draw(0, 2)]
        flavors = (("a",), ("b",), ("a", "b"), ("a", "a"))[self._draw(0, 3)]
        options = tuple(self._option(flavor) for flavor in flavors)
        later_ms = self.now_ms + 3_000 if self._one_in(6) else 0
        job = JobQueued(
            self._uids, MEMBERS[member], member, 5 * self._draw(0, 1), self.now_ms,
            options, later_ms, interruptible=not self._one_in(3), emergency=self._one_in(9),
        )  # fmt: skip
        self.checker.queued(job)
        self._park(job, later_ms, ReasonCode.RETRY_BACKOFF)
        self.deltas.append(job)

    def _option(self, flavor: str) -> Option:
        """One option; it may be elastic, dear or far."""
        units, wall_ms = self._draw(1, 6), 1000 * self._draw(1, 9)
        if not self._one_in(3):
            return Option(flavor, units, 1, wall_ms)
        least, far_ms = self._draw(0, units), self._draw(0, 1) * 700
        fen = self._draw(0, 2)
        return Option(flavor, units, units, wall_ms, units_min=least, net_fen=fen, stage_ms=far_ms)

    def _park(self, job: JobQueued, due_ms: int, reason: ReasonCode) -> None:
        self._leave(job)
        if due_ms > self.now_ms:
            self._due_ms[job.uid] = (due_ms, reason)
            if reason == ReasonCode.WALLET_SHORT:
                self._broke.add((job.enterprise, job.options))

    def _leave(self, job: JobQueued) -> None:
        """A job is parked no more; if for money, its class is tried again with it."""
        _, reason = self._due_ms.pop(job.uid, (0, None))
        if reason == ReasonCode.WALLET_SHORT:
            self._broke.discard((job.enterprise, job.options))

    def cancel(self) -> None:
        """A waiting job is cancelled."""
        if self.checker.waiting:
            uid = sorted(self.checker.waiting)[self.pick(*self.checker.waiting)]
            self._leave(self.checker.waiting[uid])
            self.checker.gone(uid)
            self.deltas.append(JobRemoved(uid))

    def end(self) -> None:
        """A run ends, and its job may be queued anew."""
        if not self.checker.running:
            return
        self._end(sorted(self.checker.running)[self.pick(*self.checker.running)], 500)

    def _end(self, uid: int, used_ms: int) -> None:
        """A run ends; what was evicted is queued again, other jobs may be."""
        run, is_evicted = self.checker.running[uid], uid in self.checker.evictions.ending
        self.checker.ended(uid)
        self.deltas.append(RunEnded(uid, used_ms))
        if is_evicted or self._one_in(5):
            job = JobQueued(
                uid, run.city, run.enterprise, run.priority, self.now_ms, (run.option,),
                interruptible=run.interruptible, evictions=run.evictions + is_evicted,
            )  # fmt: skip
            self.checker.queued(job)
            self.deltas.append(job)

    def begin(self) -> None:
        """A run begins later than it was started."""
        if self.checker.running:
            uid = sorted(self.checker.running)[self.pick(*self.checker.running)]
            run = replace(self.checker.running[uid], start_ms=self.now_ms)
            if uid not in self.checker.evictions.ending:
                run = replace(run, limit_ms=self.now_ms + run.option.wall_ms)
            self.checker.running[uid] = run
            self.deltas.append(RunStarted(uid, self.now_ms))

    def pool(self) -> None:
        """A center grants another capacity, goes or comes back."""
        flavor = FLAVORS[self._draw(0, 1)]
        units = self._draw(0, 12)
        is_open = not self._one_in(3)
        own = self._draw(-1, 4)
        self.capacities[flavor] = units
        self.corridor.pop(flavor, None)
        if own >= 0:
            self.corridor[flavor] = own
        (self.checker.closed.discard if is_open else self.checker.closed.add)(flavor)
        self.deltas.append(PoolSet(flavor, "c", units, is_open, self.corridor.get(flavor)))

    def quota(self) -> None:
        """A city's quota moves."""
        city, flavor = CITIES[self._draw(0, 1)], FLAVORS[self._draw(0, 1)]
        nominal = self._draw(0, 6)
        borrow, lend = (self._draw(-1, nominal) for _ in range(2))
        quota = CityQuotaSet(
            city, flavor, nominal, None if borrow < 0 else borrow, None if lend < 0 else lend
        )
        self.quotas[city, flavor] = quota
        self.deltas.append(quota)

    def cap(self) -> None:
        """An enterprise's cap, and what is kept for it, move or go."""
        member, flavor = sorted(MEMBERS)[self._draw(0, 2)], FLAVORS[0]
        units, kept = self._draw(-1, 8), self._draw(0, 3)
        self.caps.pop((member, flavor), None)
        if units >= 0:
            self.caps[member, flavor] = units
        self.kept[member, flavor] = kept
        self.deltas.append(EnterpriseQuotaSet(member, flavor, None if units < 0 else units, kept))

    def reclaim(self) -> None:
        """How lent units of a flavor come back."""
        flavor = FLAVORS[self._draw(0, 1)]
        mode = ("churn", "lease", "evict", "evict")[self._draw(0, 3)]
        rate_bps = (5_000, 10_000)[self._draw(0, 1)]
        reclaim = ReclaimSet(flavor, mode, 2_000, 1_000, 1_000, rate_bps, 3_000)
        self.reclaimed.pop(flavor, None)
        if mode != "churn":
            self.reclaimed[flavor] = reclaim
        self.deltas.append(reclaim)

    def stop(self) -> None:
        """A city or an enterprise is stopped or opened."""
        nodes = [*(f"cities/{city}" for city in CITIES), "enterprises/w1"]
        node, state = nodes[self.pick(*nodes)], ("OPEN", "HOLD")[self._draw(0, 1)]
        (self.checker.stopped.discard if state == "OPEN" else self.checker.stopped.add)(node)
        self.deltas.append(StopSet(node, state))

    def budget(self) -> None:
        """Budgets are used up, or have something left again: others go first, nothing idles."""
        nodes = ("cities/wuhan", "enterprises/w1", "enterprises/e1")
        used_up = [(node, flavor) for node in nodes for flavor in FLAVORS if self._one_in(4)]
        self.checker.used_up = set(used_up)
        self.deltas.append(UsedUp(tuple(used_up)))

    def money(self) -> None:
        """Money of a city came back: what admission refused is tried again."""
        city = CITIES[self._draw(0, 1)]
        for uid, (_, reason) in list(self._due_ms.items()):
            job = self.checker.waiting[uid]
            if job.city == city and reason != ReasonCode.RETRY_BACKOFF:
                self._leave(job)
        self.deltas.append(Unparked(city))

    # --- one cycle --------------------------------------------------------------------------------

    def plan(self) -> None:
        """Plan until nothing more starts, refuse some starts, and prove the rest."""
        self.now_ms += 1000 * self._draw(0, 3)
        self._end_what_is_due()
        more = True
        while more:
            self._tell_parked()
            plan = self._core.cycle(self._revision, self.deltas, self._revision + 1, self.now_ms)
            self._revision += 1
            jobs = {start.uid: self.checker.waiting[start.uid] for start in plan.starts}
            self.checker.planned(plan)
            self.deltas = [self._refuse(job) for job in jobs.values() if self._one_in(6)]
            self.deltas += [self._spare(one.uid) for one in plan.evictions if self._one_in(4)]
            more = plan.more
        if not self.deltas:  # what was refused leaves units that the next plan gives away
            self.checker.settled(plan)
        counted = sum(self._core.counts(self.now_ms).jobs.values())
        refused = sum(isinstance(delta, StartRefused) for delta in self.deltas)
        assert counted == len(self.checker.waiting) - refused
        for uid in sorted(self.checker.waiting)[:2]:
            self._core.explain(uid, self.now_ms)

    def _one_in(self, number: int) -> bool:
        return self._draw(1, number) == 1

    def _refuse(self, job: JobQueued) -> Delta:
        """Admission does not take a start."""
        reason = REASONS[self._draw(0, 1)]
        due_ms = self.now_ms + 2_000
        self.checker.ended(job.uid)
        self.checker.queued(job)
        self._park(job, due_ms, reason)
        return StartRefused(job.uid, PendingReason(reason), due_ms)

    def _spare(self, uid: int) -> Delta:
        """An eviction is not begun: the run goes on to its own limit."""
        run = self.checker.running[uid]
        self.checker.evictions.refused(uid)
        limit_ms = run.start_ms + run.option.wall_ms
        self.checker.running[uid] = replace(run, limit_ms=limit_ms)
        return EvictionRefused(uid)

    def _end_what_is_due(self) -> None:
        """No run is late: then a promise would be for an instant that nobody can know."""
        for uid, run in sorted(self.checker.running.items()):
            if run.limit_ms <= self.now_ms:
                self._end(uid, run.option.wall_ms)

    def _tell_parked(self) -> None:
        """Which jobs wait for their time, and those of a class that waits for money."""
        waiting = self.checker.waiting
        for uid, (due_ms, _) in list(self._due_ms.items()):
            if due_ms <= self.now_ms:
                self._leave(waiting[uid])
        self.checker.parked = set(self._due_ms) | {
            job.uid for job in waiting.values() if (job.enterprise, job.options) in self._broke
        }

    def happenings(self) -> list[Callable[[], None]]:
        """What may happen, the more often the more likely."""
        found = [self.job] * 9 + [self.end, self.end, self.begin, self.cancel, self.money]
        found += [self.pool, self.quota, self.quota, self.cap, self.reclaim, self.stop]
        return [*found, self.budget]

    def follow(self, steps: int) -> None:
        """Let things happen, and plan after each few of them."""
        happenings = self.happenings()
        for _ in range(steps):
            for _ in range(self._draw(0, 5)):
                happenings[self.pick(*happenings)]()
            self.plan()


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from([CORRIDOR, EASY, HASTY]), st.integers(1, 25))
def test_no_limit_breaks_and_nothing_idles(
    data: st.DataObject, policy: PolicySettings, steps: int
) -> None:
    Told(lambda least, most: data.draw(st.integers(least, most)), policy).follow(steps)


@pytest.mark.slow
@pytest.mark.parametrize("policy", [CORRIDOR, EASY, HASTY], ids=["corridor", "easy", "hasty"])
def test_no_limit_breaks_in_many_long_courses(policy: PolicySettings) -> None:
    evictions = 0
    for seed in range(500):
        random = Random(seed)
        told = Told(random.randint, policy)
        told.follow(40)
        evictions += told.checker.evictions.seen
    assert evictions > 5
