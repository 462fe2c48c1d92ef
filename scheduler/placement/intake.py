"""What the root planner is told of jobs and runs, taken into its state; rules are its base's."""

from collections.abc import Iterable
from typing import Final
from zlib import crc32

from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.census import Census
from scheduler.placement.choosing import least_units
from scheduler.placement.columns import JobColumns, Told
from scheduler.placement.lines import WaitingLines
from scheduler.placement.model import (
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
from scheduler.placement.parking import Parking
from scheduler.placement.rules import ActiveRun
from scheduler.placement.runs import Runs
from scheduler.placement.shard import WINDOW, ClassKey, Entry, HeadUpdate, Shards
from scheduler.placement.waiting import TURN_RUNS, Spot, WaitingClass

#: Added to the priority of an emergency: it comes before all that its enterprise has waiting.
EMERGENCY: Final = 1 << 32

_WINDOW_MAX: Final = 4096


def is_emergency(entry: Entry) -> bool:
    """Whether an entry is that of an emergency."""
    return entry[0] <= -EMERGENCY // 2


class Intake(Runs):
    """State of the root planner and how deltas change it."""

    def __init__(self, policy: PolicySettings, shards: Shards) -> None:
        super().__init__(policy)
        self.shards = shards
        self.classes: dict[ClassKey, WaitingClass] = {}
        self.lines = WaitingLines(is_fifo=policy.order == "fifo")
        self.census = Census()
        self.parking = Parking()
        #: Promises of another planner, to be kept by the next plan.
        self.promised: list[Promised] = []
        #: Classes by (enterprise, user).
        self._of_user: dict[tuple[str, str], dict[WaitingClass, None]] = {}
        #: Classes with new first jobs.
        self.fresh: dict[WaitingClass, None] = {}
        #: Classes whose first job is an emergency.
        self.emergencies: dict[WaitingClass, None] = {}
        #: Interruptible waiting jobs, and how often each was evicted.
        self._stoppable: dict[int, int] = {}
        self._taken: list[list[int]] = [[] for _ in range(shards.count)]
        self._shard_of: dict[str, int] = {}
        #: Spots of classes that are alike in it: (city, capped enterprise, options).
        self._spots: dict[tuple[str, str, tuple[Option, ...]], tuple[Spot, ...]] = {}
        self._capped: set[str] = set()
        #: Delays by limits alone, each once: there are far more classes.
        self._delays_ms: dict[int, int] = {}

    # --- taking in --------------------------------------------------------------------------------

    def apply(self, deltas: Iterable[Told], now_ms: int) -> None:
        """Take in what happened, in order."""
        queued: dict[int, JobQueued] = {}
        columns: list[JobColumns] = []
        removed: list[int] = []
        for delta in deltas:
            match delta:
                case JobQueued():
                    self._queue(delta, now_ms, queued)
                case RunEnded():
                    self._ended(*delta, now_ms)
                case JobColumns():
                    if self._are_new(delta, queued):
                        columns.append(delta)
                        self._stoppable.update(delta.stoppable())
                    else:
                        for job in delta.jobs():
                            self._queue(job, now_ms, queued)
                case JobRemoved(uid):
                    for one in columns:  # shards take out before they take in
                        for job in one.jobs():
                            queued.setdefault(job.uid, job)
                    columns.clear()
                    if uid in self.active:
                        self._release(uid)
                    self._leave_parked(uid)
                    queued.pop(uid, None)
                    self._stoppable.pop(uid, None)
                    removed.append(uid)
                    self.free_holder(uid)
                case RunStarted(uid, start_ms):
                    self._started(uid, start_ms)
                case StartRefused(uid, reason, retry_ms):
                    self._refused(uid, reason, retry_ms)
                case EvictionRefused(uid):
                    self._not_evicted(uid, now_ms)
                case RunActive(uid):
                    if uid not in self.active:
                        self._occupy(delta, now_ms)
                case RunHistory():
                    self._learn(delta)
                case Promised():
                    self.promised.append(delta)
                case Unparked(city):
                    self._unpark(self.parking.refused_in(city), queued)
                case _:
                    self._rule(delta)
        if self._limits_moved:
            self._reline()
        self._unpark(self.parking.due(now_ms), queued)
        self._retime()
        self._tell_shards([*columns, *queued.values()], removed)

    def _are_new(self, columns: JobColumns, queued: dict[int, JobQueued]) -> bool:
        """Whether jobs may go to their shard as they are: nothing is known of any of them."""
        if self.policy.order == "fifo":
            return False
        known = self.active, self.parking.jobs, self.holders, self._stoppable, queued
        return all(not one or one.keys().isdisjoint(columns.uids()) for one in known)

    def _queue(self, job: JobQueued, now_ms: int, queued: dict[int, JobQueued]) -> None:
        uid = job.uid
        if self.policy.order == "fifo":
            if job.priority or job.user:
                job = job._replace(priority=0, user="")
        elif job.emergency:
            job = job._replace(priority=job.priority + EMERGENCY, emergency=False)
        if uid in self.active:
            self._release(uid)
        if uid in self.parking.jobs:
            self._leave_parked(uid)
        if uid in self.holders:
            self.free_holder(uid)
        if job.not_before_ms > now_ms:
            reason = PendingReason(
                ReasonCode.NOT_BEFORE if job.wished else ReasonCode.RETRY_BACKOFF,
                node=f"enterprises/{job.enterprise}",
                next_event_ms=job.not_before_ms,
                start_earliest_ms=job.not_before_ms,
            )
            self.parking.park(job, reason, job.not_before_ms)
        else:
            self._wait(job, queued)

    def _wait(self, job: JobQueued, queued: dict[int, JobQueued]) -> None:
        queued[job.uid] = job
        if job.interruptible:
            self._stoppable[job.uid] = job.evictions
        elif self._stoppable:
            self._stoppable.pop(job.uid, None)

    def _refused(self, uid: int, reason: PendingReason, retry_ms: int) -> None:
        run = self._release(uid)
        if run is None or not run.options:
            return
        key = run.key
        self.parking.park(run.job(uid), reason, retry_ms)
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
            self._wait(job, queued)

    # --- classes ----------------------------------------------------------------------------------

    def begin(self, waiting: WaitingClass, entry: Entry, option: Option, now_ms: int) -> None:
        """A waiting job starts: it leaves its class and holds units from now on."""
        uid = entry[2]
        self._taken[waiting.shard].append(uid)
        self.census.add(waiting, -1)
        window = waiting.window
        if window[0] == entry:
            self._thaw(waiting)
            self.lines.take(waiting, entry)
            del window[0]
            self._next_head(waiting)
        else:
            if entry in window:  # a promised job may stand behind the window
                window.remove(entry)
            waiting.count -= 1
        city, enterprise, wall_ms = waiting.city, waiting.enterprise, option.wall_ms
        evictions = self._stoppable.pop(uid, None) if self._stoppable else None
        end_ms = now_ms + wall_ms
        pool = self.pools[option.flavor]
        pool.take(uid, end_ms, option.units, city, enterprise)
        pool.sent(uid)
        score = self.keys.charge(city, enterprise, option, wall_ms, now_ms)
        self.active[uid] = ActiveRun(
            city, enterprise, option, now_ms, score, waiting.user, end_ms, -entry[0],
            evictions is not None, evictions or 0, entry[1], waiting.options,
        )  # fmt: skip

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
        if self.emergencies:
            self._note_emergency(waiting)

    def _note_emergency(self, waiting: WaitingClass) -> None:
        if is_emergency(waiting.window[0]):
            self.emergencies[waiting] = None
        else:
            self.emergencies.pop(waiting, None)

    def _thaw(self, waiting: WaitingClass) -> None:
        """The first job of a class goes or moves: what it froze may be free to borrow."""
        if not self.leased:
            return
        for spot in waiting.spots:
            if self.pools[spot.flavor].frozen:
                self.dirty.add(spot.flavor)

    def delay_ms(self, key: ClassKey) -> int:
        """How much later than it was queued a job of a class has its turn in its enterprise."""
        if self.policy.order != "corridor":
            return 0
        _, enterprise, options, user = key
        wall_ms = options[0].wall_ms
        known_ms = self.run_times.of_user(enterprise, user)
        delay_ms = TURN_RUNS * (wall_ms if known_ms is None else min(wall_ms, known_ms))
        return delay_ms if known_ms else self._delays_ms.setdefault(delay_ms, delay_ms)

    def _retime(self) -> None:
        """Runs of some users took longer or less than was thought: turns come anew."""
        for member in self._learned:
            for waiting in self._of_user.get(member, ()):
                delay_ms = self.delay_ms(waiting.key)
                if delay_ms != waiting.delay_ms:
                    self.lines.take(waiting, waiting.window[0])
                    waiting.delay_ms = delay_ms
                    self.lines.put(waiting)
        self._learned.clear()

    def _reline(self) -> None:
        """Limits moved: which classes could ever start, and whose caps bind, is found anew."""
        self._limits_moved = False
        self.lines.clear()
        self._spots.clear()
        self._delays_ms.clear()
        self._capped = {name for pool in self.pools.values() for name in pool.book.capped_used}
        self.census = Census()
        for pool in self.pools.values():
            pool.gates = {}
            if pool.frozen:
                self.dirty.add(pool.flavor)
        for waiting in self.classes.values():
            self._spot(waiting)
            self.lines.put(waiting)
            self.census.add(waiting, waiting.count)

    def _respot(self, waiting: WaitingClass) -> None:
        """Let a class stand where it should stand now."""
        self._thaw(waiting)
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
        self.lines.stand(waiting)
        self.census.stands(waiting, somewhere=bool(waiting.spots))

    def _spots_of(
        self, city: str, enterprise: str, options: tuple[Option, ...]
    ) -> tuple[Spot, ...]:
        spots: dict[tuple[str, int], Spot] = {}
        for option in options:
            flavor, wall_ms, units = option.flavor, option.wall_ms, least_units(option)
            pool = self.pools.get(flavor)
            if pool is None or units > pool.book.most(city, enterprise):
                continue
            is_long = pool.leases and wall_ms > pool.reclaim.lease_ms
            if is_long and units > pool.book.nominal_most(city, enterprise):
                continue
            known = spots.get((flavor, units))
            if known is not None:
                wall_ms = min(wall_ms, known.wall_ms)
            capped = enterprise if enterprise in pool.book.capped_used else ""
            spots[flavor, units] = Spot(flavor, units, wall_ms, capped)
        return tuple(spots.values())

    def _tell_shards(self, queued: list[JobQueued | JobColumns], removed: list[int]) -> None:
        if not queued and not removed:
            return
        count = self.shards.count
        by_shard: list[list[JobQueued | JobColumns]] = [[] for _ in range(count)]
        for job in queued:
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
            waiting.delay_ms = self.delay_ms(update.key)
            if waiting.user:
                self._of_user.setdefault((waiting.enterprise, waiting.user), {})[waiting] = None
            self._spot(waiting)
        first = waiting.window[0] if waiting.window else None
        self.census.add(waiting, update.total - waiting.count)
        waiting.window, waiting.count = list(update.window), update.total
        waiting.wanted = WINDOW
        head = waiting.window[0] if waiting.window else None
        if head == first:
            return
        if first is not None:
            self._thaw(waiting)
            self.lines.take(waiting, first)
        if head is None:
            self._drop(waiting)
        else:
            self.lines.put(waiting)
            self.fresh[waiting] = None
            if self.emergencies or is_emergency(head):
                self._note_emergency(waiting)

    def _drop(self, waiting: WaitingClass) -> None:
        del self.classes[waiting.key]
        if waiting.user:
            member = waiting.enterprise, waiting.user
            del self._of_user[member][waiting]
            if not self._of_user[member]:
                del self._of_user[member]
        self.fresh.pop(waiting, None)
        self.emergencies.pop(waiting, None)
        self.census.stands(waiting, somewhere=True)

    def pending_takes(self) -> list[list[int]]:
        """Hand over, by shard, the started jobs that the shards were not told of yet."""
        taken, self._taken = self._taken, [[] for _ in range(self.shards.count)]
        return taken
