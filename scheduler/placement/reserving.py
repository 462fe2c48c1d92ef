"""Who is promised a pool: one job of those that it blocks, by EASY, with ageing.

A pool is promised to a job for want of units alone, whose own quota and cap allow it: a city or an
enterprise at its limit must not bar others from a pool by a promise. The first in order is promised
it if it takes what its city owns (what frees goes to the lender first); who would borrow is
promised it only when due. Due are wide jobs, for narrow ones start by themselves: the sooner the
less their city used of its part, and the sooner the less is waiting. In a crowd who used more waits
longer for his wide jobs, so that they cost the others less. Who has waited so long that he would
starve comes before all. A job that its own limit blocks is promised a pool that nobody else waits
for, and every other turn of the starving.
"""

from typing import Final, NamedTuple

from scheduler.placement.choosing import least
from scheduler.placement.intake import Intake
from scheduler.placement.keys import PAR
from scheduler.placement.lines import AgedLine
from scheduler.placement.model import Option
from scheduler.placement.pools import SHUT, Gate, Holder, Pool
from scheduler.placement.shard import Entry
from scheduler.placement.waiting import WaitingClass

#: A pool that nobody waits for is promised to a job at its own limit after this part of the ageing.
_LIMITED: Final = 18

#: A pool is crowded if so many times its units are asked for.
_CROWDED: Final = 12

#: Wide jobs of a city that used less than its part are due sooner, at the soonest in a quarter; of
#: one that used more where a pool is crowded later, at the latest in four times the time.
_PART_LEAST: Final = PAR // 4
_PART_MOST: Final = 4 * PAR


class _Blocked(NamedTuple):
    """The oldest blocked class of a line, and the units it asks for."""

    queued_ms: int
    uid: int
    units: int
    waiting: WaitingClass

    def or_older(self, other: "_Blocked | None") -> "_Blocked":
        """The older of two."""
        return self if other is None or self[:2] < other[:2] else other


class Reserving(Intake):
    """The promises of pools."""

    _now_ms = 0

    def gate(self, flavor: str, city: str, owner: str) -> Gate:
        """What of a city's (and a capped owner's) waiting jobs may start now on a flavor."""
        pool = self.pools.get(flavor)
        if pool is None or not pool.is_open or pool.waits or pool.is_full:
            return SHUT
        gate = pool.gates.get(city)
        if gate is None:
            gate = pool.gates[city] = self._gate(pool, city)
        book = pool.book
        if gate is SHUT or not book.capped_used:
            return gate
        if owner in book.capped_used:
            return self._gate(pool, city, owner)
        gap = book.gaps.get(city)
        if not gap or owner:
            return gate
        # Of whatever enterprise: it may be kept all that its city keeps for enterprises.
        return Gate(max(0, gate.most) + gap, max(0, gate.beside) + gap, gate.wall_ms)

    def only_owners(self, pool: Pool) -> bool:
        """Whether the first in order is promised a pool only if its city owns the units."""
        return pool.for_owners or self.policy.order == "corridor"

    def _gate(self, pool: Pool, city: str, owner: str = "") -> Gate:
        book = pool.book
        own, room, nominal = book.rooms(city, owner)
        if pool.holder is None:
            # By submission order whatever is blocked first blocks; else only for want of units.
            if self.policy.order == "fifo":
                cap = book.caps.get(owner)
                own = book.capacity if cap is None else cap - book.capped_used[owner]
            if not self.only_owners(pool):
                return Gate(own, own, 0)
            # Who would borrow passes only if it fits: it is promised nothing.
            room = max(nominal, room)
            most = own if own < room else room
            if not pool.leases:
                return Gate(most, most, 0)
            if pool.frozen:
                most = min(most, nominal)
            return Gate(most, min(most, nominal), pool.reclaim.lease_ms)
        if pool.promised is None:
            return SHUT
        room = min(room, own)
        beside = min(pool.promised.rooms(city, owner)[:2])
        wall_ms = pool.holder.start_ms - self._now_ms
        if pool.leases:
            if pool.frozen:
                return Gate(min(room, nominal), min(beside, nominal), wall_ms)
            # Some that both limits together shut out pass, to be refused when they are tried.
            return Gate(room, max(beside, nominal), min(wall_ms, pool.reclaim.lease_ms))
        return Gate(room, beside, wall_ms)

    def reserve(self, waiting: WaitingClass, entry: Entry, option: Option) -> None:
        """Promise an option's pool to a waiting job, if it can be promised anything."""
        pool = self.pools[option.flavor]
        holder = Holder(waiting.key, entry, least(option), option)
        holder.evicts = entry[2] in pool.ending.values()
        pool.hold(holder)
        self.holders[entry[2]] = pool.flavor
        self.promise(pool)

    def promise(self, pool: Pool) -> None:
        """Say anew when the holder starts; a pool that can promise it nothing is freed."""
        if not self.policy.backfill or pool.holder is None:
            return
        pool.promise(self._now_ms)
        if pool.promised is None:  # a quota was cut: it cannot start however many runs end
            self.release_holder(pool)

    def keep_promises(self) -> None:
        """Make the promises of another planner one's own, as far as the jobs still wait."""
        promised, self.promised = self.promised, []
        for one in promised:
            pool = self.pools.get(one.flavor)
            if pool is not None and not pool.is_open:
                self.promised.append(one)  # its center does not answer yet
                continue
            place = self.shards.locate(one.uid, self.pending_takes())
            if pool is None or pool.holder is not None or place is None:
                continue
            waiting = self.classes[place.key]
            asked = (one.flavor, one.units)
            options = (one for one in waiting.options if least(one)[:2] == asked)
            option = next(options, None)
            if option is not None and waiting.spots:
                self.reserve(waiting, place.entry, option)
                holder = self.pools[one.flavor].holder
                if holder is not None:
                    holder.evicts |= one.evicts

    def reserve_for_aged(self, pool: Pool) -> None:
        """Promise a pool to a job that it blocks and that is due, if there is one."""
        now_ms, book = self._now_ms, pool.book
        starving_ms = now_ms - self.policy.starving_ms
        (ageing_ms, part_most), wide = self._ageing(pool), 0
        # Who is younger is neither starving nor due.
        aged_ms = max(starving_ms, now_ms - ageing_ms * _PART_LEAST // PAR)
        starving = limited = lacking = other = None
        for line in self.lines.oldest(pool.flavor):
            city, units = line.city, line.units
            if line.classes[0].window[0][1] > aged_ms:
                continue
            wide = wide or self._wide(pool)
            room, own = book.pool_room(city, line.capped), self._own_room(pool, line)
            if own is None or (units <= room and units <= own):
                continue
            found = self._oldest(line)
            if found is None:
                continue
            if units > own:
                if found.queued_ms <= starving_ms:
                    limited = found.or_older(limited)
                continue
            if found.queued_ms <= starving_ms:
                starving = found.or_older(starving)
            if units < wide:
                continue
            use = self.keys.city_use(city, pool.flavor, now_ms)
            part = max(_PART_LEAST, min(use, part_most))
            if found.queued_ms + ageing_ms * part // PAR > now_ms:
                continue
            if use < PAR:
                lacking = found.or_older(lacking)
            else:
                other = found.or_older(other)
        if limited is not None:
            pool.turns += 1
            if not pool.turns % 2:
                starving = limited
        chosen = starving or lacking or other
        if chosen is not None:
            self._reserve_blocked(chosen, pool)

    def _wide(self, pool: Pool) -> int:
        """From how many units on a job is wide: two thirds of the widest that waits or runs."""
        waiting = (line.units for line in self.lines.oldest(pool.flavor))
        running = (units for _, _, units, *_ in pool.ends)
        widest = max(max(waiting, default=0), max(running, default=0))
        return -(-2 * widest // 3)

    def _ageing(self, pool: Pool) -> tuple[int, int]:
        """How long a wide job waits before it is due in ms, and the most that use makes of it.

        If its city used what it is entitled to, the whole of the policy's ageing if twelve times
        the pool's units are asked for or more; in proportion less where less waits, and so
        everybody's wait is shorter. There who used more is not made to wait longer for it.
        """
        whole = _CROWDED * max(1, pool.book.capacity)
        asked = min(self.census.units[pool.flavor], whole)
        return self.policy.ageing_ms * asked // whole, max(PAR, _PART_MOST * asked // whole)

    def reserve_for_limited(self, pool: Pool) -> None:
        """Promise a pool that nobody waits for to the oldest job that its own limit blocks."""
        aged_ms = self._now_ms - self.policy.ageing_ms // _LIMITED
        oldest = None
        for line in self.lines.oldest(pool.flavor):
            own = self._own_room(pool, line)
            if own is not None and line.units > own:
                found = self._oldest(line)
                if found is not None and found.queued_ms <= aged_ms:
                    oldest = found.or_older(oldest)
        if oldest is not None:
            self._reserve_blocked(oldest, pool)

    @staticmethod
    def _own_room(pool: Pool, line: AgedLine) -> int | None:
        """Units up to which a line's own limits do not bind; None if it can be promised nothing.

        In a pool for owners who cannot borrow now waits for what its city owns.
        """
        book, city, capped, units = pool.book, line.city, line.capped, line.units
        own = book.own_room(city, capped)
        if not pool.for_owners:
            return own
        if pool.fits(city, capped, units, line.spot(line.classes[0]).wall_ms):
            return own
        if units > book.nominal_most(city, capped):
            return None
        return min(own, book.nominal_room(city, capped))

    def _oldest(self, line: AgedLine) -> _Blocked | None:
        """The oldest of a line that is promised nothing yet."""
        for waiting in line.classes:
            if self.comes_last(line.flavor, line.city, waiting.enterprise):
                continue
            _, queued_ms, uid, _ = waiting.window[0]
            if uid not in self.holders:
                return _Blocked(queued_ms, uid, line.units, waiting)
        return None

    def _reserve_blocked(self, blocked: _Blocked, pool: Pool) -> None:
        asked = (pool.flavor, blocked.units)
        option = next(one for one in blocked.waiting.options if least(one)[:2] == asked)
        self.reserve(blocked.waiting, blocked.waiting.window[0], option)
