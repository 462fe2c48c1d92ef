"""The root planner: pools, quotas, order and reservations; the decisions of one cycle.

It looks only at what can have changed: classes whose first jobs are new, and, where a run ended or
a limit moved, the classes that ask for that flavor. A cycle in which nothing changed costs
nothing, whatever the number of waiting jobs. Started jobs count as running at once; if admission
refuses one it comes back as ``StartRefused``.
"""

from typing import Final

from scheduler.placement.choosing import sized
from scheduler.placement.model import Plan, Reservation
from scheduler.placement.order import FifoOrder, Order, Pass
from scheduler.placement.pools import SHUT, Gate, Pool
from scheduler.placement.rescuing import Rescuing
from scheduler.placement.tournament import CorridorOrder
from scheduler.placement.waiting import WaitingClass

_FRESH_MAX: Final = 256


class RootPlanner(Rescuing):
    """Decides: passes over all that may have changed until nothing more can start.

    Its bases: ``Rules`` and ``Intake`` take in, ``Reserving`` promises pools, ``Reclaiming`` calls
    lent units back, ``Starting`` tries one candidate, ``Rescuing`` serves emergencies.
    """

    def plan(self, now_ms: int) -> Plan:
        """Plan until nothing more can start; state and plan depend on what was told alone."""
        self._now_ms, self._starts, self._looked_at = now_ms, [], 0
        for pool in self.pools.values():
            pool.gates = {}
            # Runs are late and the promise is due: say anew when, so that it bars no more than it
            # must.
            if pool.promised is not None and pool.holder and pool.holder.start_ms <= now_ms:
                self.dirty.add(pool.flavor)
        if self.promised:
            self.keep_promises()
        is_quiet = not (self.dirty or self.fresh)
        evictions = self.evict() if is_quiet and self.evictions_due() else []
        while (self.dirty or self.fresh) and len(self._starts) < self.policy.starts_max:
            self._pass()
            if not (self.dirty or self.fresh):
                evictions += self.evict()
        more = bool(self.dirty or self.fresh)
        reservations = tuple(
            Reservation(h.entry[2], pool.flavor, h.units, h.start_ms, h.evicts)
            for _, pool in sorted(self.pools.items())
            if (h := pool.holder) is not None
        )
        return Plan(
            now_ms, tuple(self._starts), reservations, self._looked_at, more,
            self.wake_ms(), tuple(evictions),
        )  # fmt: skip

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
        self.freeze(pools, fresh)
        if self.emergencies:
            for pool in pools:
                self.promise(pool)
            self.rescue()
            if len(self._starts) >= self.policy.starts_max:
                self.dirty.update(dirty)
                self.fresh.update(fresh)
                return
        for pool in pools:
            self._serve_holder(pool)
            if ages and pool.holder is None:
                self.reserve_for_aged(pool)
        flavors = dict.fromkeys(pool.flavor for pool in pools)
        for spares in (True, False) if self.used_up else (False,):
            self._spares = spares
            order = self._order(self._look(flavors, fresh))
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

    def _look(self, flavors: dict[str, None], fresh: dict[WaitingClass, None]) -> Pass:
        """What a pass looks at, those who come last left out while they are spared."""
        if not self._spares:
            return Pass(self.lines, self.pools, flavors, fresh, self.gate, self._now_ms)
        gates = self._gate_within
        return Pass(self.lines, self.pools, flavors, fresh, gates, self._now_ms, self.comes_last)

    def _gate_within(self, flavor: str, city: str, owner: str) -> Gate:
        """What may start now of those whose budgets have something left."""
        if self.comes_last(flavor, city, owner):
            return SHUT
        return self.gate(flavor, city, owner)

    def _order(self, of: Pass) -> Order:
        if self.policy.order == "fifo":
            return FifoOrder(of)
        return CorridorOrder(of, self.keys.enterprise_key, self.keys.city_key)

    def _serve_holder(self, pool: Pool) -> None:
        """Start the promised job if it fits, else renew the promise."""
        holder = pool.holder
        if holder is None:
            return
        city, enterprise, wall_ms = holder.city, holder.enterprise, holder.option.wall_ms
        if pool.is_full or not pool.fits(city, enterprise, holder.units, wall_ms):
            self.promise(pool)
            return
        self.release_holder(pool)
        room = pool.room(city, enterprise, wall_ms, self._now_ms)
        option = sized(holder.full, room) or holder.option
        self._start(self.classes[holder.key], holder.entry, option, pool)
