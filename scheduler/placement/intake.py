"""What the root planner is told, taken into its state: pools, runs, classes, parked jobs, use."""

from collections.abc import Iterable
from math import lcm
from typing import NamedTuple, Protocol
from zlib import crc32

from quota.instant import CityLimits, FlavorBook
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.model import (
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseQuotaSet,
    EnterpriseSet,
    JobQueued,
    JobRemoved,
    Option,
    PolicySettings,
    PoolSet,
    RunActive,
    RunEnded,
    RunStarted,
    StartRefused,
    Unparked,
    UsageSet,
)
from scheduler.placement.order import CityKey, WaitingClass
from scheduler.placement.parking import Parking, class_of
from scheduler.placement.pools import Pool
from scheduler.placement.shard import ClassKey, Entry, HeadUpdate, Place
from scheduler.placement.usage import FadingUse

_NORM_BITS = 40


Batch = tuple[int, list[JobQueued], list[int], list[int]]


class Shards(Protocol):
    """The queues by shard: in this process or actors of Ray."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def apply(self, batches: list[Batch]) -> list[HeadUpdate]:
        """Apply (shard, queued, removed, taken) batches."""
        ...

    def more(self, shard: int, key: ClassKey, taken: list[int]) -> HeadUpdate:
        """The next entries of a class."""
        ...

    def locate(self, uid: int, taken: list[list[int]]) -> Place | None:
        """Where a job waits."""
        ...

    def before(self, shard: int, key: ClassKey, entry: Entry) -> int:
        """How many waiting jobs of the same city and enterprise come before an entry."""
        ...


class ActiveRun(NamedTuple):
    """A run that holds units, with what is needed to undo its start."""

    city: str
    enterprise: str
    option: Option
    start_ms: int
    score: int
    job: JobQueued | None


class Intake:
    """State of the root planner and how deltas change it."""

    def __init__(self, policy: PolicySettings, shards: Shards) -> None:
        self.policy, self.shards = policy, shards
        self.pools: dict[str, Pool] = {}
        self.city_weights: dict[str, int] = {}
        self.enterprise_weights: dict[str, int] = {}
        self.classes: dict[ClassKey, WaitingClass] = {}
        #: flavor -> units -> classes that ask for them.
        self.by_flavor: dict[str, dict[int, dict[WaitingClass, None]]] = {}
        self.active: dict[int, ActiveRun] = {}
        self.parking = Parking()
        self.holders: dict[int, str] = {}
        #: Flavors where something was freed or moved, classes with new first jobs.
        self.dirty: set[str] = set()
        self.fresh: dict[WaitingClass, None] = {}
        self._taken: list[list[int]] = [[] for _ in range(shards.count)]
        self._quotas: dict[tuple[str, str], CityLimits] = {}
        self._caps: dict[tuple[str, str], int] = {}
        self._member_use = FadingUse(policy.usage_half_life_ms)
        self._city_use = FadingUse(policy.usage_half_life_ms)
        self._shares: dict[str, int] = {}
        self._share_unit = 1
        self._weights_lcm: tuple[int, int] = (1, 1)

    # --- taking in --------------------------------------------------------------------------------

    def apply(self, deltas: Iterable[Delta], now_ms: int) -> None:
        """Take in what happened, in order."""
        queued: dict[int, JobQueued] = {}
        removed: list[int] = []
        rules_changed = False
        for delta in deltas:
            match delta:
                case JobQueued():
                    self._queue(delta, now_ms, queued)
                case JobRemoved(uid):
                    if uid in self.active:
                        self._release(uid)
                    self._leave_parked(uid)
                    queued.pop(uid, None)
                    removed.append(uid)
                    self.free_holder(uid)
                case RunEnded(uid, used_ms):
                    self._ended(uid, used_ms, now_ms)
                case RunStarted(uid, start_ms):
                    self._started(uid, start_ms)
                case StartRefused(uid, reason, retry_ms):
                    self._refused(uid, reason, retry_ms)
                case RunActive(uid, city, enterprise, option, start_ms):
                    if uid not in self.active:
                        self._occupy(uid, city, enterprise, option, start_ms, now_ms, None)
                case Unparked(city):
                    self._unpark(self.parking.refused_in(city), queued)
                case _:
                    rules_changed = True
                    self._rule(delta)
        if rules_changed:
            self._reweigh()
        self._unpark(self.parking.due(now_ms), queued)
        self._tell_shards(queued, removed)

    def _queue(self, job: JobQueued, now_ms: int, queued: dict[int, JobQueued]) -> None:
        if self.policy.order == "fifo":
            job = job._replace(priority=0)
        if job.uid in self.active:
            self._release(job.uid)
        self._leave_parked(job.uid)
        if job.not_before_ms > now_ms:
            reason = PendingReason(
                ReasonCode.RETRY_BACKOFF,
                node=f"enterprises/{job.enterprise}",
                next_event_ms=job.not_before_ms,
                start_earliest_ms=job.not_before_ms,
            )
            self.parking.park(job, reason, job.not_before_ms)
        else:
            queued[job.uid] = job

    def _refused(self, uid: int, reason: PendingReason, retry_ms: int) -> None:
        run = self.active.get(uid)
        self._release(uid)
        if run is None or run.job is None:
            return
        self.parking.park(run.job, reason, retry_ms)
        key = class_of(run.job)
        if key in self.parking.stalled:
            if key in self.classes:
                self.classes[key].stalled = True
            for pool in self.pools.values():  # nothing is kept for what cannot be paid
                if pool.holder is not None and pool.holder.key == key:
                    self.free_holder(pool.holder.entry[2])

    def _leave_parked(self, uid: int) -> None:
        """A job is parked no more, and the class that waited with it may be tried again."""
        key = self.parking.leave(uid)
        if key is not None and key in self.classes:
            waiting = self.classes[key]
            waiting.stalled = False
            self.fresh[waiting] = None

    def _unpark(self, jobs: Iterable[JobQueued], queued: dict[int, JobQueued]) -> None:
        for job in jobs:
            self._leave_parked(job.uid)
            queued[job.uid] = job

    def wake_ms(self) -> int | None:
        """When a parked job becomes due; None if none is parked."""
        return self.parking.wake_ms()

    # --- rules ------------------------------------------------------------------------------------

    def _rule(self, delta: Delta) -> None:
        match delta:
            case PoolSet(flavor, center, capacity, is_open):
                pool = self._pool(flavor)
                pool.center, pool.is_open = center, is_open
                pool.book.set_capacity(capacity)
                self.dirty.add(flavor)
            case CitySet(city, weight):
                self.city_weights[city] = weight
            case EnterpriseSet(enterprise, _, weight):
                self.enterprise_weights[enterprise] = weight
            case CityQuotaSet(city, flavor, nominal, borrow, lend):
                self._pool(flavor).book.set_limits(city, CityLimits(nominal, borrow, lend))
                self.dirty.add(flavor)
            case EnterpriseQuotaSet(enterprise, flavor, cap):
                self._pool(flavor).book.set_cap(enterprise, cap, self._held(enterprise, flavor))
                self.dirty.add(flavor)
            case UsageSet(enterprise, unit_seconds, at_ms):
                self._note_use(enterprise, unit_seconds << _NORM_BITS, at_ms)
            case _:
                raise TypeError(f"not a delta: {delta!r}")

    def _pool(self, flavor: str) -> Pool:
        pool = self.pools.get(flavor)
        if pool is None:
            # Capacity unknown yet: closed until its PoolSet comes.
            pool = self.pools[flavor] = Pool(flavor, "", FlavorBook.empty(0), is_open=False)
        return pool

    def _held(self, enterprise: str, flavor: str) -> int:
        return sum(
            run.option.units
            for run in self.active.values()
            if run.enterprise == enterprise and run.option.flavor == flavor
        )

    def _note_use(self, enterprise: str, amount: int, at_ms: int) -> None:
        self._member_use.add(enterprise, amount, at_ms)

    def _reweigh(self) -> None:
        """Recompute the common multiples that keep comparisons of shares in exact integers."""
        capacities = [pool.book.capacity for pool in self.pools.values() if pool.book.capacity]
        cities = list(self.city_weights.values()) or [1]
        members = list(self.enterprise_weights.values()) or [1]
        self._share_unit = lcm(*capacities, 1) * lcm(*cities)
        self._weights_lcm = (lcm(*cities), lcm(*members))
        for pool in self.pools.values():
            pool.norm = (1 << _NORM_BITS) // max(1, pool.book.capacity)
        self._shares.clear()

    # --- runs -------------------------------------------------------------------------------------

    def _occupy(
        self, uid: int, city: str, enterprise: str, option: Option, start_ms: int, now_ms: int,
        job: JobQueued | None,
    ) -> None:  # fmt: skip
        pool = self._pool(option.flavor)
        pool.take(uid, start_ms + option.wall_ms, option.units, city, enterprise)
        score = self._charge(city, enterprise, option, option.wall_ms, now_ms)
        self.active[uid] = ActiveRun(city, enterprise, option, start_ms, score, job)
        self._shares.pop(city, None)

    def _charge(self, city: str, enterprise: str, option: Option, used_ms: int, now_ms: int) -> int:
        amount = option.units * used_ms * self._pool(option.flavor).norm // 1000
        self._city_use.add(city, amount, now_ms)
        return self._member_use.add(enterprise, amount, now_ms)

    def _release(self, uid: int) -> ActiveRun | None:
        """Free a run's units and take its charge away."""
        run = self.active.pop(uid, None)
        if run is None:
            return None
        pool, option = self._pool(run.option.flavor), run.option
        pool.give_back(uid, run.start_ms + option.wall_ms, option.units, run.city, run.enterprise)
        self._member_use.remove(run.enterprise, run.score)
        self._city_use.remove(run.city, run.score)
        self._shares.pop(run.city, None)
        self.dirty.add(option.flavor)
        return run

    def _ended(self, uid: int, used_ms: int, now_ms: int) -> None:
        run = self._release(uid)
        if run is not None and used_ms > 0:
            self._charge(run.city, run.enterprise, run.option, used_ms, now_ms)

    def _started(self, uid: int, start_ms: int) -> None:
        run = self.active.get(uid)
        if run is None or run.start_ms == start_ms:
            return
        pool, option = self._pool(run.option.flavor), run.option
        pool.move_end(
            uid, run.start_ms + option.wall_ms, start_ms + option.wall_ms, option.units,
            run.city, run.enterprise,
        )  # fmt: skip
        self.active[uid] = run._replace(start_ms=start_ms, job=None)
        if pool.holder is not None:
            self.dirty.add(option.flavor)

    def begin(self, waiting: WaitingClass, entry: Entry, option: Option, now_ms: int) -> None:
        """A waiting job starts: it leaves its class and holds units from now on."""
        uid = entry[2]
        if entry in waiting.window:  # a promised job may stand behind the window
            waiting.window.remove(entry)
        waiting.count -= 1
        self._taken[waiting.shard].append(uid)
        if not waiting.count:
            self._drop(waiting)
        job = JobQueued(uid, waiting.city, waiting.enterprise, -entry[0], entry[1], waiting.options)
        self._occupy(uid, waiting.city, waiting.enterprise, option, now_ms, now_ms, job)

    # --- classes ----------------------------------------------------------------------------------

    def _tell_shards(self, queued: dict[int, JobQueued], removed: list[int]) -> None:
        if not queued and not removed:
            return
        count = self.shards.count
        by_shard: list[list[JobQueued]] = [[] for _ in range(count)]
        for job in queued.values():
            by_shard[self.shard_of(job.city)].append(job)
        batches = []
        for shard, jobs in enumerate(by_shard):
            if jobs or removed:
                batches.append((shard, jobs, removed, self._taken[shard]))
                self._taken[shard] = []
        for update in self.shards.apply(batches):
            self._mirror(update)

    def shard_of(self, city: str) -> int:
        """Which shard keeps a city's queues."""
        return crc32(city.encode()) % self.shards.count

    def _mirror(self, update: HeadUpdate) -> None:
        waiting = self.classes.get(update.key)
        if waiting is None:
            if not update.total:
                return
            waiting = self.classes[update.key] = WaitingClass(
                update.key, self.shard_of(update.key[0])
            )
            waiting.stalled = update.key in self.parking.stalled
            for option in waiting.options:
                index = self.by_flavor.setdefault(option.flavor, {})
                index.setdefault(option.units, {})[waiting] = None
        first = waiting.window[0] if waiting.window else None
        waiting.window, waiting.count = list(update.window), update.total
        if not waiting.count:
            self._drop(waiting)
        elif waiting.window[0] != first:
            self.fresh[waiting] = None

    def _drop(self, waiting: WaitingClass) -> None:
        del self.classes[waiting.key]
        self.fresh.pop(waiting, None)
        for option in waiting.options:
            index = self.by_flavor[option.flavor]
            same = index.get(option.units)  # options of one size on more or fewer nodes share one
            if same is not None:
                same.pop(waiting, None)
                if not same:
                    del index[option.units]

    def refill(self, waiting: WaitingClass) -> None:
        """Ask the shard for more entries of a class whose window was used up."""
        taken, self._taken[waiting.shard] = self._taken[waiting.shard], []
        update = self.shards.more(waiting.shard, waiting.key, taken)
        waiting.window, waiting.count = list(update.window), update.total

    def pending_takes(self) -> list[list[int]]:
        """Hand over, by shard, the started jobs that the shards were not told of yet."""
        taken, self._taken = self._taken, [[] for _ in range(self.shards.count)]
        return taken

    # --- reservations and keys ------------------------------------------------------------------

    def free_holder(self, uid: int) -> None:
        """A promised job needs its promise no more."""
        flavor = self.holders.get(uid)
        if flavor is not None:
            self.release_holder(self.pools[flavor])
            self.dirty.add(flavor)

    def release_holder(self, pool: Pool) -> None:
        """A pool is promised to nobody."""
        if pool.holder is not None:
            self.holders.pop(pool.holder.entry[2], None)
        pool.holder = pool.promised = None

    def enterprise_key(self, enterprise: str) -> int:
        """Faded use per weight, scaled to an integer."""
        score = self._member_use.scores.get(enterprise, 0)
        return score * (self._weights_lcm[1] // self.enterprise_weights.get(enterprise, 1))

    def city_key(self, waiting: WaitingClass) -> CityKey:
        """The key of a city's head between the cities."""
        city = waiting.city
        weight = self.city_weights.get(city, 1)
        share = min(
            (
                pool.book.borrowed_after(city, option.units)
                * (self._share_unit // (pool.book.capacity * weight or 1))
                for option in waiting.options
                if (pool := self.pools.get(option.flavor)) is not None
            ),
            default=0,
        )
        score = self._city_use.scores.get(city, 0) * (self._weights_lcm[0] // weight)
        _, queued_ms, uid = waiting.window[0]
        if not share:
            return 0, 0, score, queued_ms, uid
        return 1, max(share, self._dominant(city, weight)), score, queued_ms, uid

    def _dominant(self, city: str, weight: int) -> int:
        """The city's largest borrowed share of any flavor, per weight."""
        share = self._shares.get(city)
        if share is None:
            share = max(
                pool.book.borrowed_after(city, 0)
                * (self._share_unit // (pool.book.capacity * weight or 1))
                for pool in self.pools.values()
            )
            self._shares[city] = share
        return share
