"""The root planner: pools, quotas, order and reservations; the decisions of one cycle.

It looks only at what can have changed: classes whose first jobs are new, and, where a run ended or
a limit moved, the classes that ask for that flavor. A cycle in which nothing changed costs
nothing, whatever the number of waiting jobs. Started jobs count as running at once; if admission
refuses one it comes back as ``StartRefused``.
"""

from typing import Final, NamedTuple

from scheduler.placement.model import Option, Plan, Reservation, Start
from scheduler.placement.order import CorridorOrder, FifoOrder, Order, Pass
from scheduler.placement.pools import Pool
from scheduler.placement.reserving import Reserving
from scheduler.placement.shard import Entry
from scheduler.placement.waiting import WaitingClass

_FRESH_MAX: Final = 256


class _Choice(NamedTuple):
    """An option that can start now; the least is the best fit."""

    borrows: bool
    left: int
    place: int


class RootPlanner(Reserving):
    """Decides; what it is told is taken in by ``Intake``, pools are promised by ``Reserving``."""

    def plan(self, now_ms: int) -> Plan:
        """Plan until nothing more can start; state and plan depend on what was told alone."""
        self._now_ms = now_ms
        self._starts: list[Start] = []
        self._looked_at = 0
        for pool in self.pools.values():
            pool.gates.clear()
            # Runs are late and the promise is due: say anew when, so that it bars no more than it
            # must.
            if pool.promised is not None and pool.holder and pool.holder.start_ms <= now_ms:
                self.dirty.add(pool.flavor)
        if self.promised:
            self.keep_promises()
        while (self.dirty or self.fresh) and len(self._starts) < self.policy.starts_max:
            self._pass()
        more = bool(self.dirty or self.fresh)
        reservations = tuple(
            Reservation(h.entry[2], pool.flavor, h.units, h.start_ms)
            for _, pool in sorted(self.pools.items())
            if (h := pool.holder) is not None
        )
        return Plan(
            now_ms, tuple(self._starts), reservations, self._looked_at, more, self.parking.wake_ms()
        )

    def _pass(self) -> None:
        dirty, fresh = self.dirty, self.fresh
        self.dirty, self.fresh = set(), {}
        if len(fresh) > _FRESH_MAX:  # lines are walked sooner than many classes one by one
            dirty |= {spot.flavor for waiting in fresh for spot in waiting.spots}
            fresh = {}
        pools = [
            pool
            for flavor in sorted(dirty)
            if (pool := self.pools.get(flavor)) is not None and pool.is_open
        ]
        ages = self.policy.order == "corridor" and self.policy.backfill
        for pool in pools:
            pool.waits = False
        for pool in pools:
            self._serve_holder(pool)
            if ages and pool.holder is None:
                self.reserve_for_aged(pool)
        flavors = dict.fromkeys(pool.flavor for pool in pools)
        order = self._order(Pass(self.lines, flavors, fresh, self.gate))
        while (offered := order.next()) is not None:
            if len(self._starts) >= self.policy.starts_max:
                self.dirty.update(dirty)
                self.fresh.update(fresh)
                return
            self._looked_at += 1
            order.settle(offered, self._try(offered))
        for pool in pools:
            if ages and pool.holder is None:
                self.reserve_for_limited(pool)

    def _order(self, of: Pass) -> Order:
        if self.policy.order == "fifo":
            return FifoOrder(of)
        return CorridorOrder(of, self.keys.enterprise_key, self.keys.city_key)

    def _serve_holder(self, pool: Pool) -> None:
        """Start the promised job if it fits, else renew the promise."""
        holder = pool.holder
        if holder is None:
            return
        if pool.book.fits(holder.city, holder.enterprise, holder.units):
            self.release_holder(pool)
            self._start(self.classes[holder.key], holder.entry, holder.option, pool)
        else:
            self.promise(pool)

    # --- one candidate ----------------------------------------------------------------------------

    def _try(self, waiting: WaitingClass) -> bool:
        """Start the first job of a class on its best option, or promise it a pool."""
        city, enterprise = waiting.city, waiting.enterprise
        best: tuple[_Choice, Option, Pool] | None = None
        for index, option in enumerate(waiting.options):
            pool = self.pools.get(option.flavor)
            if pool is None or not pool.is_open or pool.waits:
                continue
            book = pool.book
            if not book.fits(city, enterprise, option.units):
                continue
            end_ms = self._now_ms + option.wall_ms
            if pool.holder is not None and not pool.may_pass(
                city, enterprise, option.units, end_ms
            ):
                continue
            if len(waiting.options) == 1:
                self._start(waiting, waiting.window[0], option, pool)
                return True
            left = ((book.free - option.units) << 32) // book.capacity
            borrows = book.borrowed_after(city, option.units) > 0
            choice = _Choice(borrows, left, index)
            if best is None or choice < best[0]:
                best = (choice, option, pool)
        if best is not None:
            self._start(waiting, waiting.window[0], best[1], best[2])
            return True
        self._block(waiting)
        return False

    def _block(self, waiting: WaitingClass) -> None:
        """The first job of a class cannot start: promise it the pool that it can have soonest."""
        entry = waiting.window[0]
        if entry[2] in self.holders:
            return
        soonest: tuple[int, int, Option] | None = None
        for index, option in enumerate(waiting.options):
            pool = self.pools.get(option.flavor)
            if pool is None or pool.holder is not None:
                continue
            if option.units > self.gate(option.flavor, waiting.city, waiting.enterprise).most:
                continue
            if not self.policy.backfill or len(waiting.options) == 1:
                self.reserve(waiting, entry, option)
                return
            at_ms, book = pool.earliest(
                waiting.city, waiting.enterprise, option.units, self._now_ms
            )
            if book is not None and (soonest is None or (at_ms, index) < soonest[:2]):
                soonest = (at_ms, index, option)
        if soonest is not None:
            self.reserve(waiting, entry, soonest[2])

    def _start(self, waiting: WaitingClass, entry: Entry, option: Option, pool: Pool) -> None:
        city, enterprise, uid = waiting.city, waiting.enterprise, entry[2]
        end_ms = self._now_ms + option.wall_ms
        book = pool.book
        held = book.borrowed_after(city, 0)
        borrowed = book.borrowed_after(city, option.units) - held
        self.free_holder(uid)
        pool.passed(city, enterprise, option.units, end_ms)
        self.begin(waiting, entry, option, self._now_ms)
        self._starts.append(Start(uid, city, enterprise, option, borrowed))
