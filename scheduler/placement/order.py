"""In what order waiting classes are tried within one cycle.

``FifoOrder`` is submission order alone. ``CorridorOrder`` is two tournaments: inside a city the
enterprise with the least faded use per weight offers its next job; between the cities the least
of (borrows, weighted borrowed dominant share after the start, faded use per weight, queue time,
uid) goes first. Every key is made of exact integers and ends in the uid: the order is total.
"""

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Protocol

from scheduler.placement.shard import ClassKey, Entry

CityKey = tuple[int, int, int, int, int]


class WaitingClass:
    """The root planner's mirror of a class: its first entries, and how many there are in all."""

    __slots__ = (
        "city", "count", "enterprise", "key", "looked", "options", "shard", "stalled", "window",
    )  # fmt: skip

    def __init__(self, key: ClassKey, shard: int) -> None:
        self.key, self.shard = key, shard
        self.city, self.enterprise, self.options = key
        self.window: list[Entry] = []
        self.count = 0
        #: Reason code given when it was last looked at, empty if it never was.
        self.looked = ""
        #: Whether admission refused one of it for want of money: then none of it is tried.
        self.stalled = False


class Order(Protocol):
    """Candidates one by one: ``next`` offers, ``settle`` says what became of the offer."""

    def next(self) -> WaitingClass | None:
        """The class whose first job is to be tried now."""
        ...

    def settle(self, offered: WaitingClass, started: bool) -> None:
        """The offered job was started (its class may offer the next one) or cannot start."""
        ...


class FifoOrder:
    """Submission order, whatever the city or enterprise."""

    def __init__(self, classes: Iterable[WaitingClass]) -> None:
        self._heap = [(c.window[0][1], c.window[0][2], c) for c in classes if c.window]
        heapify(self._heap)

    def next(self) -> WaitingClass | None:
        """The class with the oldest first job."""
        return self._heap[0][2] if self._heap else None

    def settle(self, offered: WaitingClass, started: bool) -> None:
        """Go on with the next one."""
        heappop(self._heap)
        if started and offered.window:
            _, queued_ms, uid = offered.window[0]
            heappush(self._heap, (queued_ms, uid, offered))


class CorridorOrder:
    """Cities by borrowing and use, enterprises by use, then priority and time."""

    def __init__(
        self,
        classes: Iterable[WaitingClass],
        enterprise_key: Callable[[str], int],
        city_key: Callable[[WaitingClass], CityKey],
        is_dead: Callable[[WaitingClass], bool],
    ) -> None:
        self._enterprise_key, self._city_key, self._is_dead = enterprise_key, city_key, is_dead
        self._members: dict[tuple[str, str], list[tuple[Entry, WaitingClass]]] = {}
        for waiting in classes:
            if waiting.window:
                member = self._members.setdefault((waiting.city, waiting.enterprise), [])
                member.append((waiting.window[0], waiting))
        self._cities: dict[str, list[tuple[int, str]]] = {}
        for (city, enterprise), heap in self._members.items():
            heapify(heap)
            self._cities.setdefault(city, []).append((enterprise_key(enterprise), enterprise))
        for ranked in self._cities.values():
            heapify(ranked)
        self._keys: dict[str, tuple[CityKey, WaitingClass] | None] = dict.fromkeys(
            sorted(self._cities)
        )

    def next(self) -> WaitingClass | None:
        """The best city's best enterprise's first job."""
        best: tuple[CityKey, WaitingClass] | None = None
        for city, cached in list(self._keys.items()):
            found = cached
            if found is None or self._is_dead(found[1]):
                found = self._head(city)
                if found is None:
                    del self._keys[city]
                    continue
                self._keys[city] = found
            if best is None or found[0] < best[0]:
                best = found
        return None if best is None else best[1]

    def _head(self, city: str) -> tuple[CityKey, WaitingClass] | None:
        """The first class of a city that may still start, dropping those that cannot."""
        ranked = self._cities[city]
        while ranked:
            heap = self._members[city, ranked[0][1]]
            while heap:
                waiting = heap[0][1]
                if not self._is_dead(waiting):
                    return self._city_key(waiting), waiting
                heappop(heap)
            heappop(ranked)
        return None

    def settle(self, offered: WaitingClass, started: bool) -> None:
        """Go on; a start raised its enterprise's use, so the enterprise is ranked anew."""
        city = offered.city
        self._keys[city] = None
        ranked = self._cities[city]
        heap = self._members[city, offered.enterprise]
        heappop(heap)
        if not started:
            return
        if offered.window:
            heappush(heap, (offered.window[0], offered))
        heappop(ranked)
        heappush(ranked, (self._enterprise_key(offered.enterprise), offered.enterprise))
