"""Emergencies, granted by an operator: they come before all other jobs of all cities.

Quotas bind them as they bind others. But no promise to another job holds them up, unless runs were
evicted for it, and of what frees they are promised first.
"""

from scheduler.placement.choosing import Choice, cost, least_units, sized
from scheduler.placement.intake import is_emergency
from scheduler.placement.model import Option
from scheduler.placement.pools import Pool
from scheduler.placement.starting import Starting
from scheduler.placement.waiting import WaitingClass


class Rescuing(Starting):
    """Starts emergencies before a pass begins."""

    def rescue(self) -> None:
        """Start what fits of the emergencies, the first first; promise pools to the others."""
        failed: set[WaitingClass] = set()
        while len(self._starts) < self.policy.starts_max:
            left = [one for one in self.emergencies if one.spots and one not in failed]
            if not left:
                return
            first = min(left, key=lambda one: one.window[0])
            self._looked_at += 1
            if not self._rescue(first):
                failed.add(first)

    def _rescue(self, waiting: WaitingClass) -> bool:
        """Start the first job of a class, or promise it a pool."""
        entry = waiting.window[0]
        best: tuple[Choice, Option, Pool] | None = None
        for place, option in enumerate(waiting.options):
            pool = self.pools.get(option.flavor)
            if pool is None or not pool.is_open or pool.is_full:
                continue
            fitting = self._fitting(waiting, option, pool)
            if fitting is None and self._yields(pool, entry[2]):
                fitting = self._beside_nothing(waiting, option, pool)
            if fitting is not None:
                choice = self._choice(waiting, place, fitting, pool)
                if best is None or choice < best[0]:
                    best = (choice, fitting, pool)
        if best is None:
            self._promise_first(waiting)
            return False
        _, option, pool = best
        end_ms = self._now_ms + option.wall_ms
        if not pool.may_pass(waiting.city, waiting.enterprise, option.units, end_ms):
            self._oust(pool)
        self._start(waiting, entry, option, pool)
        return True

    @staticmethod
    def _yields(pool: Pool, uid: int) -> bool:
        """Whether the job that a pool is promised to must stand back."""
        holder = pool.holder
        if holder is None or holder.entry[2] == uid:
            return True
        return not holder.evicts and not is_emergency(holder.entry)

    def _beside_nothing(self, waiting: WaitingClass, option: Option, pool: Pool) -> Option | None:
        """An option as large as it may start if the pool were promised to nobody."""
        city, enterprise = waiting.city, waiting.enterprise
        return sized(option, pool.free_room(city, enterprise, option.wall_ms))

    def _oust(self, pool: Pool) -> None:
        """A pool is promised to another job no more; that one is promised anew in its turn."""
        self.release_holder(pool)
        self.dirty.add(pool.flavor)

    def _promise_first(self, waiting: WaitingClass) -> None:
        entry = waiting.window[0]
        if entry[2] in self.holders:
            return
        city, enterprise = waiting.city, waiting.enterprise
        best: tuple[int, int, Option, Pool] | None = None
        for place, option in enumerate(waiting.options):
            pool, units = self.pools.get(option.flavor), least_units(option)
            if pool is None or not pool.is_open or not self._yields(pool, entry[2]):
                continue
            if units > pool.book.own_room(city, enterprise):
                continue
            if pool.for_owners and units > pool.book.nominal_room(city, enterprise):
                continue
            at_ms, book = pool.earliest(city, enterprise, units, self._now_ms)
            if book is not None:
                found = cost(option, at_ms - self._now_ms, self.policy), place, option, pool
                if best is None or found[:2] < best[:2]:
                    best = found
        if best is not None:
            _, _, option, pool = best
            if pool.holder is not None:
                self._oust(pool)
            self.reserve(waiting, entry, option)
