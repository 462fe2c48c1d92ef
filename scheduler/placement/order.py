"""In what order waiting classes are tried within one pass: that of their submission.

The corridor's own order is in ``tournament``. Within a pass units and quotas only shrink. So what a
gate shut out once is never looked at again, and a pass costs what it starts, not what waits.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from typing import Final, Protocol

from scheduler.placement.lines import Item, Owners, WaitingLines
from scheduler.placement.pools import Gate, Pool
from scheduler.placement.waiting import Spot, Turn, WaitingClass

#: Flavor, city, owner to what passes there now.
Gates = Callable[[str, str, str], Gate]
#: Flavor, city, owner to whether nothing of it is tried.
Spares = Callable[[str, str, str], bool]
#: Turn, where it stands, the class; (turn, ("",), class) of one that is tried anywhere.
_Offer = tuple[Turn, Spot, WaitingClass]

_ANYWHERE: Final = Spot("", 0, 0, "")


class Pass:
    """What one pass looks at: flavors where something moved, classes with new first jobs."""

    def __init__(
        self,
        lines: WaitingLines,
        pools: Mapping[str, Pool],
        flavors: Mapping[str, None],
        fresh: Iterable[WaitingClass],
        gates: Gates,
        now_ms: int,
        spares: Spares | None = None,
    ) -> None:
        self.lines, self.pools, self.flavors, self.gates = lines, pools, flavors, gates
        self.now_ms = now_ms
        #: Whose gates are shut for the whole of the pass, whatever those of their cities are.
        self.spares = spares
        #: Those that the lines of the flavors do not offer in any case.
        self.fresh = [
            waiting
            for waiting in fresh
            if waiting.window and any(spot.flavor not in flavors for spot in waiting.spots)
        ]
        #: Classes that were offered and can start no more.
        self.failed: set[WaitingClass] = set()

    def passing(self, waiting: WaitingClass) -> Spot | None:
        """The first spot of a class that passes its gate now, of whatever flavor."""
        gates, city, owner = self.gates, waiting.city, waiting.owner
        for spot in waiting.spots:
            if gates(spot.flavor, city, owner).passes(spot.units, spot.wall_ms):
                return spot
        return None


class Order(Protocol):
    """Candidates one by one: ``next`` offers, ``settle`` says what became of the offer."""

    def next(self) -> WaitingClass | None:
        """The class whose first job is to be tried now."""
        ...

    def settle(self, offered: WaitingClass, started: bool) -> None:
        """The offered job was started (its class may offer the next one) or cannot start."""
        ...


class FifoOrder:
    """Submission order, whatever the city or enterprise; what gates shut out is passed over."""

    def __init__(self, of: Pass) -> None:
        self._pass = of
        self._lines: dict[str, list[tuple[str, Owners]]] = {}
        self._heap: list[_Offer] = []
        for city, owners in self._members().items():
            for owner in owners:
                self._heap += self._offered(city, owner)
        self._heap += [(waiting.turn(), _ANYWHERE, waiting) for waiting in of.fresh]
        heapify(self._heap)

    def _members(self) -> dict[str, set[str]]:
        """Owners by city that may have something to offer."""
        found: dict[str, set[str]] = {}
        of = self._pass
        for flavor in of.flavors:
            for city, owners in of.lines.owners(flavor).items():
                if of.gates(flavor, city, "").most > 0:
                    found.setdefault(city, set()).update(owners)
                    self._lines.setdefault(city, []).append((flavor, owners))
        return found

    def _offered(self, city: str, owner: str) -> list[_Offer]:
        """What passes first in each line of an owner."""
        found: list[_Offer] = []
        for flavor, owners in self._lines.get(city, ()):
            sizes = owners.get(owner)
            if sizes is not None:
                gate = self._pass.gates(flavor, city, owner)
                for size, line in sizes.items():
                    if size <= gate.most and (first := self._next(line, 0, gate)) is not None:
                        found.append(first)
        return found

    def _next(self, line: Sequence[Item], at: int, gate: Gate) -> _Offer | None:
        """The first of a line from ``at`` on that passes the gate."""
        most, beside, wall_most_ms = gate
        if most <= 0:
            return None
        failed = self._pass.failed
        for index in range(at, len(line)):
            item = line[index]
            _, units, wall_ms, _ = item[1]
            passes = units <= most and (units <= beside or wall_ms <= wall_most_ms)
            if passes and item[2] not in failed:
                return item
        return None

    def next(self) -> WaitingClass | None:
        """The class with the oldest first job that may start, or be promised something."""
        heap, of = self._heap, self._pass
        while heap:
            turn, spot, waiting = heap[0]
            same = bool(waiting.window) and waiting.window[0][2] == turn[2]
            same = same and waiting not in of.failed
            if spot is _ANYWHERE:
                if same and of.passing(waiting) is not None:
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
        line = sizes.get(spot.units)
        if line is None:
            return None
        at = bisect_left(line, (turn, spot))
        if at < len(line) and line[at][:2] == (turn, spot):
            at += 1
        return self._next(line, at, gate)

    def settle(self, offered: WaitingClass, started: bool) -> None:
        """Go on with the next one."""
        if not started:
            self._pass.failed.add(offered)
