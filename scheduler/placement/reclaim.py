"""How lent units come back to the city that owns them, beside the natural course of things.

In a pool of mode ``lease`` nothing new borrows while a job is blocked that its city's own nominal
quota allows. As whoever borrows ends within the lease, such a job waits at most for that and the
grace of the center.

In a pool of mode ``evict`` runs are stopped for the job that the pool is promised to, if that job
stays within its city's nominal quota: interruptible runs of cities that borrow, which ran for a
minimum time and were evicted less than twice. One set of evictions a pool at a time, within a
rate; the units are for the job that they are for. Each set lets the potential
``sum over cities of min(U, N)`` rise, so evictions come to an end, and two jobs never evict each
other in turn.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from quota.instant import FlavorBook
from scheduler.placement.intake import is_emergency
from scheduler.placement.model import Eviction
from scheduler.placement.pools import Holder, Pool
from scheduler.placement.reserving import Reserving
from scheduler.placement.victims import Asked, Victim, choose, lacking
from scheduler.placement.waiting import WaitingClass

#: A job that was evicted so often is evicted no more.
EVICTIONS_MAX: Final = 2


class Reclaiming(Reserving):
    """Freezes borrowing, and evicts."""

    # --- lease ------------------------------------------------------------------------------------

    def freeze(self, pools: Iterable[Pool], fresh: Iterable[WaitingClass]) -> None:
        """Find out for pools of leases in which something moved whether an owner is blocked."""
        if not self.leased:
            return
        moved = {pool.flavor for pool in pools}
        moved.update(spot.flavor for waiting in fresh for spot in waiting.spots)
        for flavor in moved:
            pool = self.pools[flavor]
            if pool.leases:
                pool.frozen = self._is_owner_blocked(pool)
                pool.gates = {}

    def _is_owner_blocked(self, pool: Pool) -> bool:
        """Whether a waiting job lacks units that its city's own nominal quota allows it."""
        book = pool.book
        for city, capped, units in self._asked(pool.flavor):
            own = min(book.own_room(city, capped), book.nominal_room(city, capped))
            if book.pool_room(city, capped) < units <= own:
                return True
        return False

    def _asked(self, flavor: str) -> Iterator[tuple[str, str, int]]:
        """Yield (city, capped enterprise or "", units) of all that waits for its turn of a flavor.

        Who is over budget has none.
        """
        if self.policy.order == "corridor":
            for line in self.lines.oldest(flavor):
                if not self.used_up or any(
                    is_emergency(waiting.window[0])
                    or not self.comes_last(flavor, line.city, waiting.enterprise)
                    for waiting in line.classes
                ):
                    yield line.city, line.capped, line.units
            return
        for spot, waiting in self.lines.asking(flavor):
            if not self.comes_last(flavor, waiting.city, waiting.enterprise):
                yield waiting.city, spot.capped, spot.units

    # --- evict ------------------------------------------------------------------------------------

    def evictions_due(self) -> bool:
        """Whether an eviction may be possible now that was not before."""
        return any(
            pool.evict_ms is not None and pool.evict_ms <= self._now_ms
            for pool in self.pools.values()
        )

    def wake_ms(self) -> int | None:
        """When planning again may matter without any delta."""
        times = [pool.evict_ms for pool in self.pools.values() if pool.evict_ms is not None]
        parked_ms = self.parking.wake_ms()
        return min([*times, parked_ms] if parked_ms is not None else times, default=None)

    def evict(self) -> list[Eviction]:
        """Stop runs for the jobs that pools are promised to, where that is allowed."""
        found: list[Eviction] = []
        for _, pool in sorted(self.pools.items()):
            if pool.reclaim.mode == "evict":
                pool.evict_ms = None
                holder = pool.holder
                if holder is not None and self._may_evict(pool, holder):
                    found += self._evict_for(pool, holder)
        return found

    def _may_evict(self, pool: Pool, holder: Holder) -> bool:
        """Whether units that others borrowed are all that a promised job lacks."""
        if holder.evicts or pool.ending or pool.is_full or not pool.is_open:
            return False
        city, enterprise, book = holder.city, holder.enterprise, pool.book
        if book.borrowed_after(city, holder.units):
            return False
        own = min(book.own_room(city, enterprise), book.nominal_room(city, enterprise))
        return book.pool_room(city, enterprise) < holder.units <= own

    def _evict_for(self, pool: Pool, holder: Holder) -> list[Eviction]:
        now_ms, reclaim = self._now_ms, pool.reclaim
        uid, asked = holder.entry[2], Asked(holder.city, holder.enterprise, holder.units)
        most = pool.book.owned * reclaim.rate_bps // 10_000
        late = pool.evicted_since(now_ms - reclaim.rate_ms)
        room = most - sum(one[2] for one in late)
        harm = partial(self._harm, pool.flavor)
        chosen = choose(pool.book, asked, self._victims(pool, holder), room, harm)
        if not chosen:
            if late and lacking(pool.book, asked) <= most:
                self._evict_at(pool, late[0][0] + reclaim.rate_ms)
            return []
        for victim in chosen:
            self._end(pool, victim, uid)
        holder.evicts = True
        self.promise(pool)
        self.dirty.add(pool.flavor)
        return [
            Eviction(victim.uid, pool.flavor, victim.units, uid, reclaim.grace_ms)
            for victim in chosen
        ]

    def _end(self, pool: Pool, victim: Victim, for_uid: int) -> None:
        run, now_ms = victim.run, self._now_ms
        pool.ending[victim.uid] = for_uid
        pool.note_evicted(now_ms, victim.uid, victim.units)
        self._move_end(victim.uid, min(run.end_ms, now_ms + pool.reclaim.grace_ms))

    @staticmethod
    def _evict_at(pool: Pool, at_ms: int) -> None:
        pool.evict_ms = at_ms if pool.evict_ms is None else min(at_ms, pool.evict_ms)

    def _victims(self, pool: Pool, holder: Holder) -> list[Victim]:
        """Runs that may be evicted; those that may be later are noted by when.

        None that starts at this very instant, however short the minimum is.
        """
        found: list[Victim] = []
        now_ms, run_min_ms = self._now_ms, max(1, pool.reclaim.run_min_ms)
        for _, uid, _, city, _ in pool.ends:
            run = self.active[uid]
            if not run.interruptible or run.evictions >= EVICTIONS_MAX or city == holder.city:
                continue
            if not pool.book.borrowed_after(city, 0):
                continue
            ripe_ms = max(run.start_ms + run_min_ms, pool.spared.get(uid, 0))
            if ripe_ms <= now_ms:
                found.append(Victim(uid, run))
            elif ripe_ms < run.end_ms:
                self._evict_at(pool, ripe_ms)
        return found

    def _harm(self, flavor: str, book: FlavorBook, victim: Victim) -> tuple[int, ...]:
        """Least harm first: to the city's own quota, to who borrows least, to what ran long."""
        uid, run = victim
        borrowed = book.borrowed_after(run.city, 0)
        share = self.keys.borrowed_share(run.city, flavor, borrowed)
        overshoot = max(0, run.option.units - borrowed)
        return overshoot, -share, run.priority, -run.start_ms, uid
