"""Instant quota of one flavor: who holds how many units now, and who may take more.

The rules are those of the reference model. ``U`` is what a city (an enterprise) holds, ``g`` what
a city keeps for one of its enterprises alone, ``V = sum(max(U, g))`` over its enterprises what a
city holds or keeps. A1: a city holds at most nominal plus borrow limit. A2: what all cities hold or
are guaranteed never exceeds what there is, ``sum(max(V, G)) <= K`` with the guarantee ``G`` =
nominal minus lend limit. A3: an enterprise holds at most its cap, and ``V`` is at most nominal
plus borrow limit. A5: the pool has the units free.

``K`` is what the cities own and what the corridor owns. If the center grants less (OVERCOMMITTED),
what it grants gates in its place; but who stays within a guarantee passes A2 in any case, so a
guarantee is never lent away. Limits may be cut below what is held: then nobody raises the excess.
A2 is the closed form, for this three-level tree, of the recursion that Kueue walks (a test compares
both).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple


class Limit(StrEnum):
    """The limit that binds; the words are those of pending reasons."""

    EXCEEDS_MAX = "EXCEEDS_MAX"
    CAP_ENTERPRISE = "CAP_ENTERPRISE"
    BORROW_LIMIT = "BORROW_LIMIT"
    CORRIDOR_FULL = "CORRIDOR_FULL"
    POOL_FULL = "POOL_FULL"


class Bound(NamedTuple):
    """How a limit binds: its height, what is used of it and what the request lacks."""

    limit: Limit
    node: str
    height: int
    used: int
    short_by: int


class CityLimits(NamedTuple):
    """Quota of one city; ``borrow`` None is no limit, ``lend`` None lends all."""

    nominal: int
    borrow: int | None = None
    lend: int | None = None

    @property
    def guarantee(self) -> int:
        """Units no other city may hold (G = N - L)."""
        return 0 if self.lend is None else max(0, self.nominal - self.lend)


#: A city without a row owns nothing and may borrow what is idle.
NO_LIMITS: Final = CityLimits(0)


@dataclass(slots=True)
class FlavorBook:
    """Units of one flavor: capacity, limits and what is held, with O(1) checks.

    A book is cheap to copy: the planner copies it to look at a later instant.
    """

    capacity: int
    free: int
    used: dict[str, int]
    limits: dict[str, CityLimits]
    caps: dict[str, int]
    #: What enterprises with a cap or a guarantee hold.
    capped_used: dict[str, int]
    committed: int  # sum over cities of max(V, G)
    total: int  # K, or the capacity if that is less
    guaranteed: int = 0  # what would be committed if nothing were held
    corridor: int | None = None  # units of the corridor's own
    owned: int = 0  # K
    #: Units kept for an enterprise alone, and by which city.
    kept: dict[str, tuple[int, str]] = field(default_factory=dict)
    #: By city: units kept for its enterprises that these do not hold (V - U).
    gaps: dict[str, int] = field(default_factory=dict)

    @classmethod
    def empty(cls, capacity: int) -> "FlavorBook":
        """Return a book of a pool in which nothing is held."""
        return cls(capacity, capacity, {}, {}, {}, {}, 0, capacity, owned=capacity)

    def copy(self) -> "FlavorBook":
        """Return a book that shares the limits and has its own holdings."""
        return FlavorBook(
            self.capacity, self.free, self.used.copy(), self.limits, self.caps,
            self.capped_used.copy(), self.committed, self.total, self.guaranteed, self.corridor,
            self.owned, self.kept, self.gaps.copy(),
        )  # fmt: skip

    @property
    def overcommitted(self) -> int:
        """Units that are owned but not granted by the center; what it grants gates then."""
        return max(0, self.owned - self.capacity)

    # --- limits -----------------------------------------------------------------------------------

    def set_capacity(self, capacity: int) -> None:
        """Change what the center grants; free may fall below zero, then nothing is taken."""
        self.free += capacity - self.capacity
        self.capacity = capacity
        self._recount()

    def set_corridor(self, units: int | None) -> None:
        """Change what the corridor owns itself; None for what the nominal quotas leave."""
        self.corridor = units
        self._recount()

    def set_limits(self, city: str, limits: CityLimits) -> None:
        """Change a city's quota."""
        self.limits[city] = limits
        self._recount()

    def set_cap(self, enterprise: str, cap: int | None, used: int) -> None:
        """Change an enterprise's cap; ``used`` is what it holds now."""
        if cap is not None:
            self.caps[enterprise] = cap
            self.capped_used[enterprise] = used
        else:
            self.caps.pop(enterprise, None)
            if enterprise not in self.kept:
                self.capped_used.pop(enterprise, None)

    def set_guarantee(self, city: str, enterprise: str, units: int, used: int) -> None:
        """Change what a city keeps for one of its enterprises, which holds ``used`` now."""
        if units:
            self.kept[enterprise] = (units, city)
            self.capped_used[enterprise] = used
        else:
            self.kept.pop(enterprise, None)
            if enterprise not in self.caps:
                self.capped_used.pop(enterprise, None)
        self._recount()

    def _recount(self) -> None:
        self.gaps.clear()
        kept: dict[str, int] = {}
        for enterprise, (units, city) in self.kept.items():
            gap = max(0, units - self.capped_used[enterprise])
            self.gaps[city] = self.gaps.get(city, 0) + gap
            kept[city] = kept.get(city, 0) + units
        guarantees = {city: limits.guarantee for city, limits in self.limits.items()}
        self.committed = sum(
            max(self.used.get(city, 0) + self.gaps.get(city, 0), guarantees.get(city, 0))
            for city in {*self.used, *self.gaps, *guarantees}
        )
        self.guaranteed = sum(
            max(kept.get(city, 0), guarantees.get(city, 0)) for city in {*kept, *guarantees}
        )
        nominal = sum(limits.nominal for limits in self.limits.values())
        rest = max(0, self.capacity - nominal) if self.corridor is None else self.corridor
        self.owned = nominal + rest
        self.total = min(self.capacity, self.owned)

    # --- holding ----------------------------------------------------------------------------------

    def take(self, city: str, enterprise: str, units: int) -> None:
        """Hold units, whether or not a limit allows it (runs that exist are facts)."""
        if enterprise in self.capped_used:
            self._take_own(enterprise, units)
        used = self.used.get(city, 0)
        self.used[city] = used + units
        self.free -= units
        limits = self.limits.get(city, NO_LIMITS)
        if limits[2] is None:  # it lends all: its guarantee is 0
            self.committed += units
            return
        before = used + self.gaps.get(city, 0) if self.gaps else used
        guarantee = limits.guarantee
        self.committed += max(before + units, guarantee) - max(before, guarantee)

    def _take_own(self, enterprise: str, units: int) -> None:
        """Note what an enterprise holds; what it holds of its guarantee is kept no more."""
        before = self.capped_used[enterprise]
        self.capped_used[enterprise] = before + units
        if enterprise not in self.kept:
            return
        kept, city = self.kept[enterprise]
        shrunk = max(0, kept - before) - max(0, kept - before - units)
        if shrunk:
            gap = self.gaps[city]
            self.gaps[city] = gap - shrunk
            held = self.used.get(city, 0) + gap
            guarantee = self.limits.get(city, NO_LIMITS).guarantee
            self.committed += max(held - shrunk, guarantee) - max(held, guarantee)

    def give_back(self, city: str, enterprise: str, units: int) -> None:
        """Hold units no more."""
        self.take(city, enterprise, -units)

    # --- asking -----------------------------------------------------------------------------------

    def fits(self, city: str, enterprise: str, units: int) -> bool:
        """Whether ``units`` more may be held now: A1, A2, A3 and A5 together."""
        if units > self.free:
            return False
        cap = self.caps.get(enterprise)
        if cap is not None and self.capped_used[enterprise] + units > cap:
            return False
        used = self.used.get(city, 0)
        nominal, borrow, lend = self.limits.get(city, NO_LIMITS)
        if borrow is not None and used + units > nominal + borrow:
            return False
        if self.gaps and (gap := self.gaps.get(city)):
            used += gap
            units -= self.own_gap(city, enterprise, units)
            if borrow is not None and units and used + units > nominal + borrow:
                return False
        if lend is None:
            return not units or self.committed + units <= self.total
        guarantee = nominal - lend if nominal > lend else 0
        grown = max(used + units, guarantee) - max(used, guarantee)
        return not grown or self.committed + grown <= self.total

    def own_gap(self, city: str, enterprise: str, units: int) -> int:
        """How many of ``units`` more an enterprise would take of what its city keeps for it."""
        kept = self.kept.get(enterprise)
        if kept is None or kept[1] != city:
            return 0
        return min(units, max(0, kept[0] - self.capped_used[enterprise]))

    def _holds_or_keeps(self, city: str) -> int:
        """V of a city."""
        used = self.used.get(city, 0)
        return used + self.gaps.get(city, 0) if self.gaps else used

    def pool_room(self, city: str, enterprise: str = "") -> int:
        """Units that others leave: those free, and guaranteed to no other city (A2, A5)."""
        left = self.total - self.committed
        if left < 0:
            left = 0
        limits = self.limits.get(city, NO_LIMITS)
        if limits[2] is not None:
            left += max(0, limits.guarantee - self._holds_or_keeps(city))
        if self.gaps:
            left += self.own_gap(city, enterprise, self.capacity)
        return left if left < self.free else self.free

    def own_room(self, city: str, enterprise: str) -> int:
        """Units up to which no limit of the city's or the enterprise's own binds (A1, A3)."""
        room = self.capacity
        nominal, borrow, _ = self.limits.get(city, NO_LIMITS)
        if borrow is not None:
            room = min(room, nominal + borrow - self.used.get(city, 0))
            if self.gaps:
                above = max(0, nominal + borrow - self._holds_or_keeps(city))
                room = min(room, above + self.own_gap(city, enterprise, self.capacity))
        cap = self.caps.get(enterprise)
        return room if cap is None else min(room, cap - self.capped_used[enterprise])

    def nominal_room(self, city: str, enterprise: str) -> int:
        """Units that the city may take of its own: up to its nominal, kept units included."""
        room = max(0, self.limits.get(city, NO_LIMITS).nominal - self._holds_or_keeps(city))
        return room + self.own_gap(city, enterprise, self.capacity) if self.gaps else room

    def rooms(self, city: str, enterprise: str) -> tuple[int, int, int]:
        """Return ``own_room``, ``pool_room`` and ``nominal_room``, all at once."""
        if self.gaps or enterprise in self.capped_used:
            return (
                self.own_room(city, enterprise),
                self.pool_room(city, enterprise),
                self.nominal_room(city, enterprise),
            )
        nominal, borrow, lend = self.limits.get(city, NO_LIMITS)
        left, own, above = self.total - self.committed, self.capacity, self.used.get(city, 0)
        if borrow is not None and nominal + borrow - above < own:
            own = nominal + borrow - above
        if left < 0:
            left = 0
        if lend is not None and lend + above < nominal:
            left += nominal - lend - above
        return (
            own,
            left if left < self.free else self.free,
            nominal - above if nominal > above else 0,
        )

    def nominal_most(self, city: str, enterprise: str) -> int:
        """What ``nominal_room`` would be if nothing were held."""
        nominal = self.limits.get(city, NO_LIMITS).nominal
        if not self.kept:
            return nominal
        own, kept = self._kept_of(city, enterprise)
        return max(0, nominal - kept) + min(own, self.capacity)

    def _kept_of(self, city: str, enterprise: str) -> tuple[int, int]:
        """What a city keeps for one of its enterprises, and for all of them."""
        own, home = self.kept.get(enterprise, (0, ""))
        return own if home == city else 0, sum(n for n, by in self.kept.values() if by == city)

    def most(self, city: str, enterprise: str) -> int:
        """Units that would fit if nothing were held: what asks for more never can start."""
        nominal, borrow, lend = self.limits.get(city, NO_LIMITS)
        guarantee = 0 if lend is None else max(0, nominal - lend)
        own, kept = self._kept_of(city, enterprise) if self.kept else (0, 0)
        left = max(0, self.total - self.guaranteed) + max(0, guarantee - kept)
        most = min(self.capacity, left + own)
        if borrow is not None:
            most = min(most, nominal + borrow, max(0, nominal + borrow - kept) + own)
        cap = self.caps.get(enterprise)
        return most if cap is None else min(most, cap)

    def borrowed_after(self, city: str, units: int) -> int:
        """Units above nominal that the city would hold after taking ``units`` more."""
        nominal = self.limits.get(city, NO_LIMITS).nominal
        above = self.used.get(city, 0) + units - nominal
        return above if above > 0 else 0

    def bound(self, city: str, enterprise: str, units: int) -> Bound | None:
        """Say which limit binds ``units`` more, the most lasting first; None if none does."""
        if units > self.capacity:
            short = units - self.capacity
            return Bound(Limit.EXCEEDS_MAX, "corridor", self.capacity, 0, short)
        cap = self.caps.get(enterprise)
        if cap is not None and self.capped_used[enterprise] + units > cap:
            held = self.capped_used[enterprise]
            node = f"enterprises/{enterprise}"
            return Bound(Limit.CAP_ENTERPRISE, node, cap, held, held + units - cap)
        limits = self.limits.get(city, NO_LIMITS)
        used, held = self.used.get(city, 0), self._holds_or_keeps(city)
        new = units - self.own_gap(city, enterprise, units)
        if limits.borrow is not None:
            most = limits.nominal + limits.borrow
            # Above it by what is held, or by that and what is kept for other enterprises.
            taken = max(used, held + new - units if new else used)
            if taken + units > most:
                short = taken + units - most
                return Bound(Limit.BORROW_LIMIT, f"cities/{city}", most, taken, short)
        grown = max(held + new, limits.guarantee) - max(held, limits.guarantee)
        if units <= self.free and grown and self.committed + grown > self.total:
            short = self.committed + grown - self.total
            return Bound(Limit.CORRIDOR_FULL, "corridor", self.total, self.committed, short)
        if units > self.free:
            taken = self.capacity - self.free
            return Bound(Limit.POOL_FULL, "corridor", self.capacity, taken, units - self.free)
        return None
