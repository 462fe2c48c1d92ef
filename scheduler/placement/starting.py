"""One candidate of a pass: start it on its best option, or promise it a pool."""

from scheduler.placement.choosing import Choice, cost, least_units, sized
from scheduler.placement.model import Option, PolicySettings, Start
from scheduler.placement.pools import Pool
from scheduler.placement.reclaim import Reclaiming
from scheduler.placement.shard import Entry, Shards
from scheduler.placement.waiting import WaitingClass


class Starting(Reclaiming):
    """Starts, and promises to who cannot start."""

    def __init__(self, policy: PolicySettings, shards: Shards) -> None:
        super().__init__(policy, shards)
        self._starts: list[Start] = []
        self._looked_at = 0
        #: Whether those whose budget is used up are passed over for now.
        self._spares = False

    def _try(self, waiting: WaitingClass) -> bool:
        """Start the first job of a class on its best option, or promise it a pool."""
        best: tuple[Choice, Option, Pool] | None = None
        is_only = len(waiting.options) == 1
        for place, option in enumerate(waiting.options):
            pool = self.pools.get(option.flavor)
            if pool is None or not pool.is_open or pool.waits or pool.is_full:
                continue
            if self._spares and self.comes_last(option.flavor, waiting.city, waiting.enterprise):
                continue
            fitting = self._fitting(waiting, option, pool)
            if fitting is None:
                continue
            if is_only:
                self._start(waiting, waiting.window[0], fitting, pool)
                return True
            choice = self._choice(waiting, place, fitting, pool)
            if best is None or choice < best[0]:
                best = (choice, fitting, pool)
        if best is not None and not self._waits(waiting, best[0]):
            self._start(waiting, waiting.window[0], best[1], best[2])
            return True
        if best is None:
            self._block(waiting)
        return False

    def _fitting(self, waiting: WaitingClass, option: Option, pool: Pool) -> Option | None:
        """An option as large as it may start now; None if it may not."""
        city, enterprise, now_ms = waiting.city, waiting.enterprise, self._now_ms
        if pool.admits(city, enterprise, option.units, option.wall_ms, now_ms):
            return option
        if not option.units_min:
            return None
        return sized(option, pool.room(city, enterprise, option.wall_ms, now_ms))

    def _choice(self, waiting: WaitingClass, place: int, fitting: Option, pool: Pool) -> Choice:
        book, units = pool.book, fitting.units
        return Choice(
            units < waiting.options[place].units,
            cost(fitting, 0, self.policy),
            book.borrowed_after(waiting.city, units) > 0,
            ((book.free - units) << 32) // book.capacity,
            place,
        )

    def _waits(self, waiting: WaitingClass, now: Choice) -> bool:
        """Whether a job waits for an option that is better than what it could have now."""
        if not self.policy.patience_ms:
            return False
        entry = waiting.window[0]
        held = self.holders.get(entry[2], "")
        best: tuple[int, int, Option] | None = None
        for place, option in enumerate(waiting.options):
            pool = self.pools.get(option.flavor)
            if pool is None or ((held or pool.holder is not None) and pool.flavor != held):
                continue
            if not self._may_hold(waiting, option, pool):
                continue
            at_ms, book = pool.earliest(
                waiting.city, waiting.enterprise, option.units, self._now_ms
            )
            later_ms = at_ms - self._now_ms
            if book is None or not 0 < later_ms <= self.policy.patience_ms:
                continue
            found = cost(option, later_ms, self.policy), place, option
            if found[0] < now.cost and (best is None or found[:2] < best[:2]):
                best = found
        if best is None:
            return False
        if not held:
            self.reserve(waiting, entry, best[2])
        return True

    def _block(self, waiting: WaitingClass) -> None:
        """The first job of a class cannot start: promise it the pool that it can have soonest."""
        entry = waiting.window[0]
        if entry[2] in self.holders:
            return
        best: tuple[int, int, Option] | None = None
        for place, option in enumerate(waiting.options):
            pool = self.pools.get(option.flavor)
            if pool is None or pool.holder is not None or not self._may_hold(waiting, option, pool):
                continue
            if not self.policy.backfill or len(waiting.options) == 1:
                self.reserve(waiting, entry, option)
                return
            at_ms, book = pool.earliest(
                waiting.city, waiting.enterprise, least_units(option), self._now_ms
            )
            if book is None:
                continue
            found = cost(option, at_ms - self._now_ms, self.policy), place, option
            if best is None or found[:2] < best[:2]:
                best = found
        if best is not None:
            self.reserve(waiting, entry, best[2])

    def _may_hold(self, waiting: WaitingClass, option: Option, pool: Pool) -> bool:
        """Whether a job waits for want of units alone, of its city's own if only owners may."""
        city, enterprise, units = waiting.city, waiting.enterprise, least_units(option)
        if self.comes_last(option.flavor, city, enterprise):
            return False
        if units > self.gate(option.flavor, city, enterprise).most:
            return False
        if not self.only_owners(pool):
            return True
        return units <= pool.book.nominal_room(city, enterprise)

    def _start(self, waiting: WaitingClass, entry: Entry, option: Option, pool: Pool) -> None:
        city, enterprise, uid = waiting.city, waiting.enterprise, entry[2]
        end_ms = self._now_ms + option.wall_ms
        book = pool.book
        borrowed = min(option.units, book.borrowed_after(city, option.units))
        if uid in self.holders:
            self.free_holder(uid)
        if pool.holder is not None:
            pool.passed(city, enterprise, option.units, end_ms)
        if pool.frozen:  # a blocked owner may lack its own city's quota now
            self.dirty.add(pool.flavor)
        self.begin(waiting, entry, option, self._now_ms)
        self._starts.append(Start(uid, city, enterprise, option, borrowed))
