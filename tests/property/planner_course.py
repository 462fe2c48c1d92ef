"""Random corridors and workloads, and a planner driven through them beside a checker."""

import heapq

from hypothesis import strategies as st

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseQuotaSet,
    EnterpriseSet,
    Evicted,
    JobQueued,
    JobRemoved,
    Option,
    Plan,
    PolicySettings,
    PoolSet,
    Promised,
    ReclaimSet,
    RunActive,
    RunEnded,
)
from tests.property.idle_checker import IdleChecker

CITIES = ("ezhou", "huanggang", "wuhan")
MEMBERS = {"e1": "ezhou", "e2": "huanggang", "e3": "wuhan", "e4": "wuhan"}
#: Ageing within the few minutes of a random day, so that every rank of promises is met.
HASTY = PolicySettings(ageing_ms=5_000, starving_ms=40_000, starts_max=3)

Happening = tuple[int, JobQueued | JobRemoved, int]
Machine = tuple[list[Delta], IdleChecker]


class Course:
    """A planner driven through happenings (instant, delta, run time), followed by a checker.

    It proves every so many instants; every so many (0: never) another planner takes over. What
    happens in one instant is told from another place on for each ``turn``. Questions are asked
    after every so many proofs (0: never).
    """

    def __init__(
        self, told: list[Delta], checker: IdleChecker, policy: PolicySettings, every: int = 1,
        anew: int = 0, shards: int = 3, turn: int = 0, asks: int = 1,
    ) -> None:  # fmt: skip
        self._core, self._told, self._policy = PlanningCore(policy, shards), told, policy
        self._turn, self._asks, self._proofs = turn, asks, 0
        self.plans: list[Plan] = []
        #: By blocked job and flavor: since when it lacks units that its city owns.
        self.blocked_ms: dict[tuple[int, str], int] = {}
        self.longest_ms: dict[str, int] = {}
        self._core.load(0, told)
        self._checker, self._every, self._anew = checker, every, anew
        self._ends: list[tuple[int, int]] = []
        self._end_ms: dict[int, int] = {}
        self._jobs: dict[int, JobQueued] = {}
        self._promises: list[Delta] = []
        self._revision = 0

    def run(self, happenings: list[Happening]) -> None:
        """Drive to the end."""
        run_ms: dict[int, int] = {}
        at = instants = 0
        checker = self._checker
        while at < len(happenings) or self._ends:
            coming = [happenings[at][0]] if at < len(happenings) else []
            now_ms = min(coming + [end for end, _ in self._ends[:1]])
            deltas: list[Delta] = []
            while self._ends and self._ends[0][0] == now_ms:
                end_ms, uid = heapq.heappop(self._ends)
                if self._end_ms.get(uid) == end_ms:
                    deltas += self._end(uid, now_ms)
            while at < len(happenings) and happenings[at][0] == now_ms:
                _, delta, long_ms = happenings[at]
                at += 1
                if isinstance(delta, JobQueued):
                    checker.queued(delta)
                    self._jobs[delta.uid] = delta
                    run_ms[delta.uid] = long_ms
                elif delta.uid in checker.waiting:
                    checker.gone(delta.uid)
                else:
                    continue
                deltas.append(delta)
            instants += 1
            if self._anew and instants % self._anew == 0:
                self._move()
                deltas = []  # the snapshot has them in it
            ended = {one.uid for one in deltas if isinstance(one, RunEnded)}
            again = any(isinstance(one, JobQueued) and one.uid in ended for one in deltas)
            gone = any(isinstance(one, JobRemoved) for one in deltas)
            if self._turn and not gone and not again:  # of one job the order is what it is
                at_turn = self._turn % max(1, len(deltas))
                deltas = deltas[at_turn:] + deltas[:at_turn]
            self._plan(deltas, now_ms, run_ms, prove=instants % self._every == 0)

    def _end(self, uid: int, now_ms: int) -> list[Delta]:
        """A run ends; one that was evicted is queued again."""
        del self._end_ms[uid]
        checker, job = self._checker, self._jobs[uid]
        run, is_evicted = checker.running[uid], uid in checker.evictions.ending
        checker.ended(uid)
        deltas: list[Delta] = [RunEnded(uid, now_ms - run.start_ms)]
        if is_evicted:
            job = self._jobs[uid] = job._replace(evictions=job.evictions + 1)
            checker.queued(job)
            deltas.append(job)
        return deltas

    def _will_end(self, uid: int, end_ms: int) -> None:
        """A run ends then, and not when it would have."""
        self._end_ms[uid] = end_ms
        heapq.heappush(self._ends, (end_ms, uid))

    def _move(self) -> None:
        """Go on with another planner: a snapshot, and what was promised."""
        told = list(self._told)
        for uid, run in self._checker.running.items():
            _, for_uid = self._checker.evictions.ending.get(uid, ("", 0))
            is_ending = uid in self._checker.evictions.ending
            told.append(
                RunActive(
                    uid, run.city, run.enterprise, run.option, run.start_ms, run.priority, "",
                    run.interruptible, run.evictions, run.limit_ms if is_ending else 0, for_uid,
                )
            )  # fmt: skip
        told += [
            Evicted(uid, flavor, units, at_ms)
            for at_ms, uid, flavor, units in self._checker.evictions.done
        ]
        told += [*self._checker.waiting.values(), *self._promises]
        self._core = PlanningCore(self._policy, shards=2)
        self._core.load(self._revision, told)

    def _plan(self, deltas: list[Delta], now_ms: int, run_ms: dict[int, int], prove: bool) -> None:
        more = True
        while more:
            plan = self._core.cycle(self._revision, deltas, self._revision + 1, now_ms)
            self._revision += 1
            deltas, more = [], plan.more
            self.plans.append(plan)
            self._checker.planned(plan)
            for start in plan.starts:
                self._will_end(start.uid, now_ms + run_ms[start.uid])
            for one in plan.evictions:  # some at once, some at the end of their grace
                end_ms = now_ms + (one.uid % 3 + 1) * one.grace_ms // 3
                self._will_end(one.uid, min(self._end_ms[one.uid], end_ms))
        self._promises = [Promised(*one[:3], one.evicts) for one in plan.reservations]
        self._note_blocked(now_ms)
        if prove:
            self._checker.settled(plan)
            self._proofs += 1
            if self._asks and self._proofs % self._asks == 0:
                self._ask(now_ms)

    def _note_blocked(self, now_ms: int) -> None:
        """How long jobs lack units of leases that their own cities own."""
        checker = self._checker
        blocked = {
            (job.uid, flavor)
            for flavor in checker.reclaim
            if checker.is_lease(flavor)
            for job in checker.blocked_owners(flavor)
        }
        self.blocked_ms = {key: self.blocked_ms.get(key, now_ms) for key in blocked}
        for (_, flavor), since_ms in self.blocked_ms.items():
            longest_ms = max(self.longest_ms.get(flavor, 0), now_ms - since_ms)
            self.longest_ms[flavor] = longest_ms

    def _ask(self, now_ms: int) -> None:
        """Questions are answered, and change nothing: the next plans are proven too."""
        waiting = self._checker.waiting
        assert sum(self._core.counts(now_ms).jobs.values()) == len(waiting)
        asked = next(iter(waiting.values()), None)
        if asked is not None:
            for uid in (asked.uid, 0):
                explained = self._core.explain(uid, now_ms)
                assert (explained is not None) == (uid in waiting)
            in_city = sum(job.city == asked.city for job in waiting.values())
            estimate = self._core.estimate(asked._replace(uid=10**6), now_ms)
            assert 1 <= estimate.position_in_city <= estimate.waiting_in_city == in_city + 1


@st.composite
def machines(draw: st.DrawFn, limits: bool, reclaim: bool = False) -> Machine:
    """A corridor with two flavors, three cities and four enterprises."""
    capacities = {flavor: draw(st.integers(3, 16)) for flavor in ("a", "b")}
    quotas: dict[tuple[str, str], CityQuotaSet] = {}
    caps: dict[tuple[str, str], int] = {}
    kept: dict[tuple[str, str], int] = {}
    corridor: dict[str, int] = {}
    for flavor, units in capacities.items():
        left = units
        for city in CITIES:
            nominal = draw(st.integers(0, left))
            left -= nominal
            borrow = draw(st.none() | st.integers(0, units)) if limits else None
            lend = draw(st.none() | st.integers(0, nominal)) if limits else None
            quotas[city, flavor] = CityQuotaSet(city, flavor, nominal, borrow, lend)
        if limits and draw(st.booleans()):
            caps[draw(st.sampled_from(sorted(MEMBERS))), flavor] = draw(st.integers(0, 10))
        if limits and draw(st.booleans()):
            member = draw(st.sampled_from(sorted(MEMBERS)))
            quota = quotas[MEMBERS[member], flavor]
            lend = quota.nominal_units if quota.lend_limit_units is None else quota.lend_limit_units
            kept[member, flavor] = draw(st.integers(0, quota.nominal_units - lend))
        if limits and draw(st.booleans()):
            corridor[flavor] = draw(st.integers(0, left))
    modes = [draw(_reclaims(flavor)) for flavor in capacities] if reclaim else []
    told: list[Delta] = [CitySet(city, 1 + 3 * at) for at, city in enumerate(CITIES)]
    told += [EnterpriseSet(name, city) for name, city in MEMBERS.items()]
    told += [
        PoolSet(flavor, "c", units, corridor_units=corridor.get(flavor))
        for flavor, units in capacities.items()
    ]
    told += quotas.values()
    told += [
        EnterpriseQuotaSet(*key, caps.get(key), kept.get(key, 0))
        for key in sorted(caps.keys() | kept.keys())
    ]
    told += modes
    called = {one.flavor: one for one in modes if one.mode != "churn"}
    return told, IdleChecker(capacities, quotas, caps, kept, MEMBERS, corridor, called)


@st.composite
def _reclaims(draw: st.DrawFn, flavor: str) -> ReclaimSet:
    """A mode, with times of the order of the jobs'."""
    return ReclaimSet(
        flavor, draw(st.sampled_from(["churn", "lease", "evict", "evict"])),
        lease_ms=draw(st.sampled_from([5_000, 20_000])), rate_ms=10_000,
        rate_bps=draw(st.sampled_from([4_000, 10_000])), grace_ms=draw(st.sampled_from([3, 3_000])),
        run_min_ms=draw(st.sampled_from([0, 3_000])),
    )  # fmt: skip


@st.composite
def workloads(draw: st.DrawFn, rich: bool = False) -> list[Happening]:
    """Jobs with one to three options, also several of one flavor; some are cancelled.

    In ``rich`` ones jobs may be elastic, interruptible or emergencies.
    """
    shapes = draw(st.lists(_options(rich), min_size=1, max_size=8))
    happenings: list[Happening] = []
    at_s = 0
    for uid in range(1, draw(st.integers(1, 45)) + 1):
        at_s += draw(st.sampled_from([0, 0, 0, 1, 2, 7]))
        options = draw(st.sampled_from(shapes))
        member = draw(st.sampled_from(sorted(MEMBERS)))
        priority = draw(st.sampled_from([0, 0, 0, 5]))
        job = JobQueued(uid, MEMBERS[member], member, priority, at_s * 1000, options)
        if rich:
            soft, urgent = draw(st.integers(0, 3)) > 0, draw(st.integers(0, 14)) == 0
            job = job._replace(interruptible=soft, emergency=urgent)
        least_ms = min(option.wall_ms for option in options)
        happenings.append((at_s * 1000, job, draw(st.integers(1, least_ms))))
        if draw(st.integers(0, 9)) == 0:
            happenings.append(((at_s + draw(st.integers(0, 20))) * 1000, JobRemoved(uid), 0))
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
