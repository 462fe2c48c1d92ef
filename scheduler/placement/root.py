"""The root planner: pools, quotas, order and reservations; the decisions of one cycle.

It looks only at what can have changed: classes whose first jobs are new, and, where a run ended or
a limit moved, the classes that ask for that flavor. A cycle in which nothing changed costs
nothing, whatever the number of waiting jobs. Started jobs count as running at once; if admission
refuses one it comes back as ``StartRefused``.
"""

from collections.abc import Iterable
from typing import NamedTuple

from scheduler.placement.intake import Intake
from scheduler.placement.model import Option, Plan, Reservation, Start
from scheduler.placement.order import CorridorOrder, FifoOrder, Order, WaitingClass
from scheduler.placement.pools import Holder, Pool


class _Choice(NamedTuple):
    """An option that can start now; the least is the best fit."""

    borrows: bool
    left: int
    place: int


class RootPlanner(Intake):
    """Decides; what it is told is taken in by ``Intake``."""

    def plan(self, now_ms: int) -> Plan:
        """Plan until nothing more can start; state and plan depend on what was told alone."""
        self._now_ms = now_ms
        self._starts: list[Start] = []
        self._looked_at = 0
        while (self.dirty or self.fresh) and len(self._starts) < self.policy.starts_max:
            self._pass()
        more = bool(self.dirty or self.fresh)
        reservations = tuple(
            Reservation(h.entry[2], pool.flavor, h.units, h.start_ms)
            for _, pool in sorted(self.pools.items())
            if (h := pool.holder) is not None
        )
        return Plan(
            now_ms, tuple(self._starts), reservations, self._looked_at, more, self.wake_ms()
        )

    def _pass(self) -> None:
        dirty, fresh = sorted(self.dirty), self.fresh
        self.dirty, self.fresh = set(), {}
        for flavor in dirty:
            pool = self.pools.get(flavor)
            if pool is not None:
                self._serve_holder(pool)
        order = self._order(self._candidates(dirty, fresh))
        while (offered := order.next()) is not None:
            if len(self._starts) >= self.policy.starts_max:
                self.dirty.update(dirty)
                self.fresh.update(fresh)
                return
            self._looked_at += 1
            started = self._try(offered)
            order.settle(offered, started)

    # --- reservations -----------------------------------------------------------------------------

    def _serve_holder(self, pool: Pool) -> None:
        """Start the promised job if it fits, else renew the promise; find an aged job for none."""
        holder = pool.holder
        if holder is not None and pool.is_open:
            waiting = self.classes[holder.key]
            option = next(o for o in waiting.options if o.flavor == pool.flavor)
            if pool.book.fits(holder.city, holder.enterprise, holder.units):
                self._start(waiting, holder.entry, option, pool)
            else:
                self._promise(pool, holder)
        if pool.holder is None and self.policy.order == "corridor" and self.policy.backfill:
            self._reserve_for_aged(pool)

    def _promise(self, pool: Pool, holder: Holder) -> None:
        if not self.policy.backfill:
            return
        pool.promise(self._now_ms)
        if pool.promised is None:  # a quota was cut: it cannot start however many runs end
            self.release_holder(pool)

    def _reserve_for_aged(self, pool: Pool) -> None:
        """Promise the pool to the oldest job that it blocks and that has waited for long."""
        limit_ms = self._now_ms - self.policy.ageing_ms
        oldest: tuple[int, int, WaitingClass] | None = None
        for units, classes in self.by_flavor.get(pool.flavor, {}).items():
            if units <= pool.book.free:
                continue
            for waiting in classes:
                _, queued_ms, uid = waiting.window[0]
                if queued_ms > limit_ms or uid in self.holders or waiting.stalled:
                    continue
                if oldest is None or (queued_ms, uid) < oldest[:2]:
                    oldest = (queued_ms, uid, waiting)
        if oldest is not None:
            waiting = oldest[2]
            option = next(o for o in waiting.options if o.flavor == pool.flavor)
            self._reserve(waiting, option, pool)

    def _reserve(self, waiting: WaitingClass, option: Option, pool: Pool) -> None:
        """Promise the pool to the first job of a class, if it can be promised anything."""
        entry = waiting.window[0]
        if not pool.is_open or option.units > pool.book.capacity:
            return
        holder = Holder(waiting.key, entry, option.units, waiting.city, waiting.enterprise)
        pool.holder = holder
        self.holders[entry[2]] = pool.flavor
        self._promise(pool, holder)

    # --- candidates -------------------------------------------------------------------------------

    def _candidates(
        self, dirty: Iterable[str], fresh: dict[WaitingClass, None]
    ) -> dict[WaitingClass, None]:
        """Classes that might start: new ones, and those for which a pool has the units.

        A pool without a promise needs all its classes, to find the first that it blocks.
        """
        found = {waiting: None for waiting in fresh if waiting.window}
        for flavor in dirty:
            pool = self.pools.get(flavor)
            if pool is None or not pool.is_open:
                continue
            free = pool.book.free if pool.holder is not None else None
            if free is not None and (free <= 0 or not self.policy.backfill):
                continue
            for units, classes in self.by_flavor.get(flavor, {}).items():
                if free is None or units <= free:
                    found.update(classes)
        if self.parking.stalled:
            return {waiting: None for waiting in found if not waiting.stalled}
        return found

    def _order(self, classes: dict[WaitingClass, None]) -> Order:
        if self.policy.order == "fifo":
            return FifoOrder(classes)
        return CorridorOrder(classes, self.enterprise_key, self.city_key, self._is_dead)

    def _is_dead(self, waiting: WaitingClass) -> bool:
        """Whether no pool can take the class's first job, nor promise it anything."""
        for option in waiting.options:
            pool = self.pools.get(option.flavor)
            if pool is None or not pool.is_open:
                continue
            if pool.holder is None or option.units <= pool.book.free:
                return False
        return True

    # --- one candidate ----------------------------------------------------------------------------

    def _try(self, waiting: WaitingClass) -> bool:
        """Start the first job of a class on its best option, or promise it a pool."""
        city, enterprise = waiting.city, waiting.enterprise
        best: tuple[_Choice, Option, Pool] | None = None
        for index, option in enumerate(waiting.options):
            pool = self.pools.get(option.flavor)
            if pool is None or not pool.is_open:
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
        if waiting.window[0][2] in self.holders:
            return
        soonest: tuple[int, int, Option, Pool] | None = None
        for index, option in enumerate(waiting.options):
            pool = self.pools.get(option.flavor)
            if pool is None or not pool.is_open or pool.holder is not None:
                continue
            if option.units > pool.book.capacity:
                continue
            if not self.policy.backfill or len(waiting.options) == 1:
                self._reserve(waiting, option, pool)
                return
            at_ms, book = pool.earliest(
                waiting.city, waiting.enterprise, option.units, self._now_ms
            )
            if book is not None and (soonest is None or (at_ms, index) < soonest[:2]):
                soonest = (at_ms, index, option, pool)
        if soonest is not None:
            self._reserve(waiting, soonest[2], soonest[3])

    def _start(
        self, waiting: WaitingClass, entry: tuple[int, int, int], option: Option, pool: Pool
    ) -> None:
        city, enterprise, uid = waiting.city, waiting.enterprise, entry[2]
        end_ms = self._now_ms + option.wall_ms
        book = pool.book
        held = book.borrowed_after(city, 0)
        borrowed = book.borrowed_after(city, option.units) - held
        self.free_holder(uid)
        pool.passed(city, enterprise, option.units, end_ms)
        self.begin(waiting, entry, option, self._now_ms)
        if not waiting.window and waiting.count:
            self.refill(waiting)
        self._starts.append(Start(uid, city, enterprise, option, borrowed))
