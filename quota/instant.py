"""Instant quota of one flavor: who holds how many units now, and who may take more.

The rules are those of the reference model: A1, a city holds at most nominal plus borrow limit;
A2, the units held or guaranteed by all cities together never exceed what there is,
``sum(max(U, G)) <= K`` with the guarantee ``G`` = nominal minus lend limit; A3, an enterprise
holds at most its cap; A5, the pool has the units free. A2 is the closed form, for this two-level
tree, of the recursion that Kueue walks (a test compares both).
"""

from dataclasses import dataclass
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
    capped_used: dict[str, int]
    committed: int  # sum over cities of max(U, G)
    total: int  # K
    guaranteed: int = 0  # sum over cities of G

    @classmethod
    def empty(cls, capacity: int) -> "FlavorBook":
        """Return a book of a pool in which nothing is held."""
        return cls(capacity, capacity, {}, {}, {}, {}, 0, capacity)

    def copy(self) -> "FlavorBook":
        """Return a book that shares the limits and has its own holdings."""
        return FlavorBook(
            self.capacity, self.free, self.used.copy(), self.limits, self.caps,
            self.capped_used.copy(), self.committed, self.total, self.guaranteed,
        )  # fmt: skip

    def set_capacity(self, capacity: int) -> None:
        """Change what the center grants; free may fall below zero, then nothing is taken."""
        self.free += capacity - self.capacity
        self.capacity = capacity
        self._recount()

    def set_limits(self, city: str, limits: CityLimits) -> None:
        """Change a city's quota."""
        self.limits[city] = limits
        self._recount()

    def set_cap(self, enterprise: str, cap: int | None, used: int) -> None:
        """Change an enterprise's cap; ``used`` is what it holds now."""
        if cap is None:
            self.caps.pop(enterprise, None)
            self.capped_used.pop(enterprise, None)
            return
        self.caps[enterprise] = cap
        self.capped_used[enterprise] = used

    def _recount(self) -> None:
        guarantees = {city: limits.guarantee for city, limits in self.limits.items()}
        cities = set(self.used) | set(guarantees)
        self.committed = sum(max(self.used.get(c, 0), guarantees.get(c, 0)) for c in cities)
        self.guaranteed = sum(guarantees.values())
        nominal = sum(limits.nominal for limits in self.limits.values())
        # More may be promised than the center grants: then its capacity alone gates.
        self.total = max(self.capacity, nominal)

    def take(self, city: str, enterprise: str, units: int) -> None:
        """Hold units, whether or not a limit allows it (runs that exist are facts)."""
        before = self.used.get(city, 0)
        self.used[city] = before + units
        self.free -= units
        guarantee = self.limits.get(city, NO_LIMITS).guarantee
        self.committed += max(before + units, guarantee) - max(before, guarantee)
        if enterprise in self.caps:
            self.capped_used[enterprise] += units

    def give_back(self, city: str, enterprise: str, units: int) -> None:
        """Hold units no more."""
        self.take(city, enterprise, -units)

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
        if lend is None:
            return self.committed + units <= self.total
        guarantee = nominal - lend if nominal > lend else 0
        grown = max(used + units, guarantee) - max(used, guarantee)
        return self.committed + grown <= self.total

    def pool_room(self, city: str) -> int:
        """Units that others leave to the city: those free and guaranteed to no other (A2, A5)."""
        left = self.total - self.committed
        if left < 0:
            return 0
        guarantee = self.limits.get(city, NO_LIMITS).guarantee
        left += max(0, guarantee - self.used.get(city, 0))
        return left if left < self.free else self.free

    def own_room(self, city: str, enterprise: str) -> int:
        """Units up to which no limit of the city's or the enterprise's own binds (A1, A3)."""
        room = self.capacity
        nominal, borrow, _ = self.limits.get(city, NO_LIMITS)
        if borrow is not None:
            room = min(room, nominal + borrow - self.used.get(city, 0))
        cap = self.caps.get(enterprise)
        return room if cap is None else min(room, cap - self.capped_used[enterprise])

    def most(self, city: str, enterprise: str) -> int:
        """Units that would fit if nothing were held: what asks for more never can start."""
        nominal, borrow, lend = self.limits.get(city, NO_LIMITS)
        guarantee = 0 if lend is None else max(0, nominal - lend)
        most = min(self.capacity, self.total - self.guaranteed + guarantee)
        if borrow is not None:
            most = min(most, nominal + borrow)
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
        used = self.used.get(city, 0)
        limits = self.limits.get(city, NO_LIMITS)
        if limits.borrow is not None:
            most = limits.nominal + limits.borrow
            if used + units > most:
                node = f"cities/{city}"
                return Bound(Limit.BORROW_LIMIT, node, most, used, used + units - most)
        guarantee = limits.guarantee
        grown = max(used + units, guarantee) - max(used, guarantee)
        if units <= self.free and self.committed + grown > self.total:
            short = self.committed + grown - self.total
            return Bound(Limit.CORRIDOR_FULL, "corridor", self.total, self.committed, short)
        if units > self.free:
            held = self.capacity - self.free
            return Bound(Limit.POOL_FULL, "corridor", self.capacity, held, units - self.free)
        return None
