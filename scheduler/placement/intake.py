"""What the root planner is told of jobs and runs, taken into its state; rules are its base's."""

from collections.abc import Iterable
from typing import Final
from zlib import crc32

from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.census import Census
from scheduler.placement.model import (
    Delta,
    EvictionRefused,
    JobQueued,
    JobRemoved,
    Option,
    PolicySettings,
    Promised,
    RunActive,
    RunEnded,
    RunHistory,
    RunStarted,
    StartRefused,
    Unparked,
)
from scheduler.placement.parking import Parking, class_of
from scheduler.placement.refusals import Refusals
from scheduler.placement.rules import ActiveRun, Rules
from scheduler.placement.run_times import RecentRuns
from scheduler.placement.shard import WINDOW, ClassKey, Entry, HeadUpdate, Shards
from scheduler.placement.waiting import Spot, WaitingClass, WaitingLines

_WINDOW_MAX: Final = 4096


class Intake(Rules):
    """State of the root planner and how deltas change it."""

    def __init__(self, policy: PolicySettings, shards: Shards) -> None:
        super().__init__(policy)
        self.shards = shards
        self.classes: dict[ClassKey, WaitingClass] = {}
        is_fifo = policy.order == "fifo"
        self.lines = WaitingLines(by_age=policy.backfill and not is_fifo, by_size=is_fifo)
        self.census = Census()
        self.parking = Parking()
        self.refusals = Refusals()
        self.run_times = RecentRuns()
        #: Promises of another planner, to be kept by the next plan.
        self.promised: list[Promised] = []
        #: Classes with new first jobs.
        self.fresh: dict[WaitingClass, None] = {}
        self._taken: list[list[int]] = [[] for _ in range(shards.count)]
        self._shard_of: dict[str, int] = {}
        #: Spots of classes that are alike in it: (city, capped enterprise, options).
        self._spots: dict[ClassKey, tuple[Spot, ...]] = {}
        self._capped: set[str] = set()

    # --- taking in --------------------------------------------------------------------------------

    def apply(self, deltas: Iterable[Delta], now_ms: int) -> None:
        """Take in what happened, in order."""
        queued: dict[int, JobQueued] = {}
        removed: list[int] = []
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
                case EvictionRefused():
                    pass
                case RunActive(uid, city, enterprise, option, start_ms):
                    if uid not in self.active:
                        self._occupy(uid, city, enterprise, option, start_ms, now_ms, None)
                case RunHistory():
                    self.run_times.learn(delta)
                case Promised():
                    self.promised.append(delta)
                case Unparked(city):
                    self._unpark(self.parking.refused_in(city), queued)
                case _:
                    self._rule(delta)
        if self._limits_moved:
            self._reline()
        self._unpark(self.parking.due(now_ms), queued)
        self._tell_shards(queued, removed)

    def _queue(self, job: JobQueued, now_ms: int, queued: dict[int, JobQueued]) -> None:
        uid = job.uid
        if job.priority and self.policy.order == "fifo":
            job = job._replace(priority=0)
        if uid in self.active:
            self._release(uid)
        if uid in self.parking.jobs:
            self._leave_parked(uid)
        if uid in self.holders:
            self.free_holder(uid)
        if job.not_before_ms > now_ms:
            reason = PendingReason(
                ReasonCode.RETRY_BACKOFF,
                node=f"enterprises/{job.enterprise}",
                next_event_ms=job.not_before_ms,
                start_earliest_ms=job.not_before_ms,
            )
            self.parking.park(job, reason, job.not_before_ms)
        else:
            queued[uid] = job

    def _refused(self, uid: int, reason: PendingReason, retry_ms: int) -> None:
        run = self._release(uid)
        if run is None or run.job is None:
            return
        self.parking.park(run.job, reason, retry_ms)
        key = class_of(run.job)
        self.refusals.note(key, reason)
        if key not in self.parking.stalled:
            return
        if key in self.classes:
            self._respot(self.classes[key])
        for pool in self.pools.values():  # nothing is kept for what cannot be paid
            if pool.holder is not None and pool.holder.key == key:
                self.free_holder(pool.holder.entry[2])

    def _leave_parked(self, uid: int) -> None:
        """A job is parked no more, and the class that waited with it may be tried again."""
        key = self.parking.leave(uid)
        if key is not None and key in self.classes:
            waiting = self.classes[key]
            self._respot(waiting)
            self.fresh[waiting] = None

    def _unpark(self, jobs: Iterable[JobQueued], queued: dict[int, JobQueued]) -> None:
        for job in jobs:
            self._leave_parked(job.uid)
            queued[job.uid] = job

    # --- runs -------------------------------------------------------------------------------------

    def _occupy(
        self, uid: int, city: str, enterprise: str, option: Option, start_ms: int, now_ms: int,
        job: JobQueued | None,
    ) -> None:  # fmt: skip
        pool = self._pool(option.flavor)
        pool.take(uid, start_ms + option.wall_ms, option.units, city, enterprise)
        score = self.keys.charge(city, enterprise, option, option.wall_ms, now_ms)
        self.keys.held(city, pool)
        self.active[uid] = ActiveRun(city, enterprise, option, start_ms, score, job)

    def _release(self, uid: int) -> ActiveRun | None:
        """Free a run's units and take its charge away."""
        run = self.active.pop(uid, None)
        if run is None:
            return None
        pool, option = self._pool(run.option.flavor), run.option
        pool.give_back(uid, run.start_ms + option.wall_ms, option.units, run.city, run.enterprise)
        self.keys.refund(run.city, run.enterprise, run.score)
        self.keys.held(run.city, pool)
        self.dirty.add(option.flavor)
        return run

    def _ended(self, uid: int, used_ms: int, now_ms: int) -> None:
        run = self._release(uid)
        if run is not None and used_ms > 0:
            option, user = run.option, "" if run.job is None else run.job.user
            self.run_times.learn(
                RunHistory(
                    run.enterprise, user, option.flavor, option.units, option.wall_ms, used_ms
                )
            )
            self.keys.charge(run.city, run.enterprise, run.option, used_ms, now_ms)

    def _started(self, uid: int, start_ms: int) -> None:
        run = self.active.get(uid)
        if run is None:
            return
        if run.job is not None:
            self.refusals.forget(class_of(run.job))
        if run.start_ms == start_ms:
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
        self._taken[waiting.shard].append(uid)
        self.census.add(waiting, -1)
        window = waiting.window
        if window[0] == entry:
            self.lines.take(waiting, entry)
            del window[0]
            self._next_head(waiting)
        else:
            if entry in window:  # a promised job may stand behind the window
                window.remove(entry)
            waiting.count -= 1
        job = JobQueued(uid, waiting.city, waiting.enterprise, -entry[0], entry[1], waiting.options)
        self._occupy(uid, waiting.city, waiting.enterprise, option, now_ms, now_ms, job)

    def _next_head(self, waiting: WaitingClass) -> None:
        """The first of a class left: the next one stands in its lines."""
        waiting.count -= 1
        if not waiting.count:
            self._drop(waiting)
            return
        if not waiting.window:
            waiting.wanted = min(_WINDOW_MAX, 4 * waiting.wanted)
            taken, self._taken[waiting.shard] = self._taken[waiting.shard], []
            update = self.shards.more(waiting.shard, waiting.key, taken, waiting.wanted)
            waiting.window = list(update.window)
        self.lines.put(waiting)

    # --- classes ----------------------------------------------------------------------------------

    def _reline(self) -> None:
        """Limits moved: which classes could ever start, and whose caps bind, is found anew."""
        self._limits_moved = False
        self.lines.clear()
        self._spots.clear()
        self._capped = {name for pool in self.pools.values() for name in pool.book.capped_used}
        self.census = Census()
        for pool in self.pools.values():
            pool.gates.clear()
        for waiting in self.classes.values():
            self._spot(waiting)
            self.lines.put(waiting)
            self.census.add(waiting, waiting.count)

    def _respot(self, waiting: WaitingClass) -> None:
        """Let a class stand where it should stand now."""
        self.lines.take(waiting, waiting.window[0])
        self._spot(waiting)
        self.lines.put(waiting)

    def _spot(self, waiting: WaitingClass) -> None:
        """Find where a class stands: one spot for each flavor and size that could ever start.

        A class that waits with a parked job for want of money, or is stopped, stands nowhere.
        """
        city, enterprise = waiting.city, waiting.enterprise
        is_capped = enterprise in self._capped
        # One line for all enterprises is enough where neither order nor caps tell them apart.
        waiting.owner = enterprise if is_capped or self.policy.order == "corridor" else ""
        is_told_apart = is_capped or f"enterprises/{enterprise}" in self.stops
        waiting.capped = enterprise if is_told_apart else ""
        if waiting.key in self.parking.stalled or self.stopped(city, enterprise):
            waiting.spots = ()
        else:
            shape = (city, enterprise if is_capped else "", waiting.options)
            known = self._spots.get(shape)
            if known is None:
                known = self._spots[shape] = self._spots_of(city, enterprise, waiting.options)
            waiting.spots = known
        self.census.stands(waiting, somewhere=bool(waiting.spots))

    def _spots_of(
        self, city: str, enterprise: str, options: tuple[Option, ...]
    ) -> tuple[Spot, ...]:
        spots: dict[tuple[str, int], Spot] = {}
        for flavor, units, _, wall_ms, *_ in options:
            pool = self.pools.get(flavor)
            if pool is None:
                continue
            capped = enterprise if enterprise in pool.book.capped_used else ""
            known = spots.get((flavor, units))
            if known is not None:
                wall_ms = min(wall_ms, known.wall_ms)
            if units <= pool.book.most(city, enterprise):
                spots[flavor, units] = Spot(flavor, units, wall_ms, capped)
        return tuple(spots.values())

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
        shard = self._shard_of.get(city)
        if shard is None:
            shard = self._shard_of[city] = crc32(city.encode()) % self.shards.count
        return shard

    def _mirror(self, update: HeadUpdate) -> None:
        waiting = self.classes.get(update.key)
        if waiting is None:
            if not update.total:
                return
            waiting = self.classes[update.key] = WaitingClass(
                update.key, self.shard_of(update.key[0])
            )
            self._spot(waiting)
        first = waiting.window[0] if waiting.window else None
        self.census.add(waiting, update.total - waiting.count)
        waiting.window, waiting.count = list(update.window), update.total
        waiting.wanted = WINDOW
        head = waiting.window[0] if waiting.window else None
        if head == first:
            return
        if first is not None:
            self.lines.take(waiting, first)
        if head is None:
            self._drop(waiting)
        else:
            self.lines.put(waiting)
            self.fresh[waiting] = None

    def _drop(self, waiting: WaitingClass) -> None:
        del self.classes[waiting.key]
        self.fresh.pop(waiting, None)
        self.census.stands(waiting, somewhere=True)

    def pending_takes(self) -> list[list[int]]:
        """Hand over, by shard, the started jobs that the shards were not told of yet."""
        taken, self._taken = self._taken, [[] for _ in range(self.shards.count)]
        return taken
