"""In what order waiting classes are tried within one pass.

``FifoOrder`` is submission order alone. ``CorridorOrder`` is two tournaments. Inside a city the
enterprise with the least faded use per weight goes first (Fair Tree), with the first of its jobs by
priority and turn. Between the cities the least of (balance halfway through the start per weight,
weighted borrowed dominant share, faded use per weight, queue time, uid) goes first. Every key is
made of exact integers and ends in the uid: the order is total.

Within a pass units and quotas only shrink. So what a gate shut out once is never looked at again,
and a pass costs what it starts, not what waits.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, Protocol

from scheduler.placement.keys import CityKey
from scheduler.placement.pools import Gate
from scheduler.placement.waiting import Item, Owners, Spot, Turn, WaitingClass, WaitingLines

#: Flavor, city, owner to what passes there now.
Gates = Callable[[str, str, str], Gate]
#: Turn, where it stands, the class; (turn, ("",), class) of one that is tried anywhere.
_Offer = tuple[Turn, Spot, WaitingClass]

_ANYWHERE: Final = Spot("", 0, 0, "")


class Pass:
    """What one pass looks at: flavors where something moved, classes with new first jobs."""

    def __init__(
        self,
        lines: WaitingLines,
        flavors: Mapping[str, None],
        fresh: Iterable[WaitingClass],
        gates: Gates,
    ) -> None:
        self.lines, self.flavors, self.gates = lines, flavors, gates
        #: Those that the lines of the flavors do not offer in any case.
        self.fresh = [
            waiting
            for waiting in fresh
            if waiting.window and any(spot.flavor not in flavors for spot in waiting.spots)
        ]
        #: Classes that were offered and can start no more.
        self.failed: set[WaitingClass] = set()
        self._in_city: dict[str, list[tuple[str, Owners]]] = {}

    def members(self) -> dict[str, set[str]]:
        """Owners by city that may have something to offer."""
        found: dict[str, set[str]] = {}
        for flavor in self.flavors:
            for city, owners in self.lines.owners(flavor).items():
                if self.gates(flavor, city, "").most > 0:
                    found.setdefault(city, set()).update(owners)
                    self._in_city.setdefault(city, []).append((flavor, owners))
        for waiting in self.fresh:
            found.setdefault(waiting.city, set()).add(waiting.owner)
        return found

    def offered(self, city: str, owner: str) -> list[_Offer]:
        """What passes first in each line of an owner.

        To be asked once, before any of the owner's jobs starts in this pass.
        """
        found: list[_Offer] = []
        for flavor, owners in self._in_city.get(city, ()):
            sizes = owners.get(owner)
            if sizes is not None:
                gate = self.gates(flavor, city, owner)
                for size, line in sizes.items():
                    if size <= gate.most and (first := self.next(line, 0, gate)) is not None:
                        found.append(first)
        return found

    def next(self, line: Sequence[Item], at: int, gate: Gate) -> _Offer | None:
        """The first of a line from ``at`` on that passes the gate."""
        most, beside, wall_most_ms = gate
        if most <= 0:
            return None
        failed = self.failed
        for index in range(at, len(line)):
            item = line[index]
            _, units, wall_ms, _ = item[1]
            passes = units <= most and (units <= beside or wall_ms <= wall_most_ms)
            if passes and item[2] not in failed:
                return item
        return None


class Offers:
    """Candidates in the order of their turns; those that a gate shuts out are passed over."""

    def __init__(self, of: Pass) -> None:
        self._pass = of
        self._heap: list[_Offer] = []

    def add_lines(self, city: str, owner: str) -> None:
        """Add what an owner has waiting for the flavors of the pass."""
        self._heap += self._pass.offered(city, owner)
        heapify(self._heap)

    def add(self, waiting: WaitingClass) -> None:
        """Add a class that is tried with all its options."""
        heappush(self._heap, (waiting.turn(), _ANYWHERE, waiting))

    def best(self) -> WaitingClass | None:
        """The first class that may start, or be promised something."""
        heap, of = self._heap, self._pass
        while heap:
            turn, spot, waiting = heap[0]
            same = bool(waiting.window) and waiting.window[0][2] == turn[2]
            same = same and waiting not in of.failed
            if spot is _ANYWHERE:
                if same and self._passes_any(waiting):
                    return waiting
                if waiting.window and not same and waiting not in of.failed:
                    heapreplace(heap, (waiting.turn(), spot, waiting))
                else:
                    heappop(heap)
                continue
            gate = of.gates(spot.flavor, waiting.city, waiting.owner)
            if same and gate.passes(spot.units, spot.wall_ms):
                return waiting
            following = self._following(turn, spot, waiting, gate)
            if following is None:
                heappop(heap)
            else:
                heapreplace(heap, following)
        return None

    def _following(
        self, turn: Turn, spot: Spot, waiting: WaitingClass, gate: Gate
    ) -> _Offer | None:
        """The next of the line in which an offer stood."""
        if gate.most <= 0:
            return None
        sizes = self._pass.lines.owners(spot.flavor).get(waiting.city, {}).get(waiting.owner, {})
        line = sizes.get(self._pass.lines.size(spot))
        if line is None:
            return None
        at = bisect_left(line, (turn, spot))
        if at < len(line) and line[at][:2] == (turn, spot):
            at += 1
        return self._pass.next(line, at, gate)

    def _passes_any(self, waiting: WaitingClass) -> bool:
        gates, city, owner = self._pass.gates, waiting.city, waiting.owner
        return any(
            gates(spot.flavor, city, owner).passes(spot.units, spot.wall_ms)
            for spot in waiting.spots
        )


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

    def __init__(self, of: Pass) -> None:
        self._pass, self._offers = of, Offers(of)
        for city, owners in of.members().items():
            for owner in owners:
                self._offers.add_lines(city, owner)
        for waiting in of.fresh:
            self._offers.add(waiting)

    def next(self) -> WaitingClass | None:
        """The class with the oldest first job."""
        return self._offers.best()

    def settle(self, offered: WaitingClass, started: bool) -> None:
        """Go on with the next one."""
        if not started:
            self._pass.failed.add(offered)


class CorridorOrder:
    """Cities by balance and use, enterprises by use, then priority and turn."""

    def __init__(
        self,
        of: Pass,
        enterprise_key: Callable[[str], int],
        city_key: Callable[[WaitingClass], CityKey],
    ) -> None:
        self._pass = of
        self._enterprise_key, self._city_key = enterprise_key, city_key
        self._fresh: dict[tuple[str, str], list[WaitingClass]] = {}
        for waiting in of.fresh:
            self._fresh.setdefault((waiting.city, waiting.owner), []).append(waiting)
        self._offers: dict[tuple[str, str], Offers] = {}
        #: Owners by (use, name).
        self._ranked: dict[str, list[tuple[int, str]]] = {}
        for city, owners in of.members().items():
            ranked = self._ranked[city] = [(enterprise_key(owner), owner) for owner in owners]
            heapify(ranked)
        self._keys: dict[str, tuple[CityKey, WaitingClass]] = {}

    def next(self) -> WaitingClass | None:
        """The best city's best enterprise's first job."""
        best: tuple[CityKey, WaitingClass] | None = None
        for city in tuple(self._ranked):
            waiting = self._first(city)
            if waiting is None:
                del self._ranked[city]
                continue
            found = self._keys.get(city)
            if found is None or found[1] is not waiting:
                found = self._keys[city] = (self._city_key(waiting), waiting)
            if best is None or found[0] < best[0]:
                best = found
        return None if best is None else best[1]

    def _first(self, city: str) -> WaitingClass | None:
        """The first class of a city that may start, leaving out enterprises that have none."""
        ranked = self._ranked[city]
        while ranked:
            found = self._of(city, ranked[0][1]).best()
            if found is not None:
                return found
            heappop(ranked)
        return None

    def _of(self, city: str, owner: str) -> Offers:
        offers = self._offers.get((city, owner))
        if offers is None:
            offers = self._offers[city, owner] = Offers(self._pass)
            offers.add_lines(city, owner)
            for waiting in self._fresh.get((city, owner), ()):
                offers.add(waiting)
        return offers

    def settle(self, offered: WaitingClass, started: bool) -> None:
        """Go on; a start raised its enterprise's use, so the enterprise is ranked anew."""
        self._keys.pop(offered.city, None)
        if not started:
            self._pass.failed.add(offered)
            return
        city, owner = offered.city, offered.owner
        found = self._of(city, owner).best()
        if found is None:
            heappop(self._ranked[city])
        else:
            heapreplace(self._ranked[city], (self._enterprise_key(owner), owner))
