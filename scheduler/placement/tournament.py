"""The corridor's order within one pass: two tournaments.

Inside a city the enterprise with the least faded use per weight goes first (Fair Tree), with the
first of its jobs by priority and turn. Between the cities the least of (whether it has what it
owns, faded use of the flavor per weight, queue time, uid) goes first. Every key is made of exact
integers and ends in the uid: the order is total.

Within a pass units and quotas only shrink. So an enterprise that has nothing that passes the gates
of its city is out for the rest of the pass, as is what stands in its line before what passed; and
the first of a city is asked for again only when it started, failed, or its gate moved. Who may have
something that passes is told by masks (``lines``), which are looked at more closely one by one.
"""

from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heapreplace
from typing import Final

from scheduler.placement.keys import CityKey
from scheduler.placement.lines import Member
from scheduler.placement.order import Pass
from scheduler.placement.pools import Gate, Pool
from scheduler.placement.waiting import Spot, WaitingClass

_NOWHERE: Final = Spot("", 0, 0, "")
_NO_GATES: Final[Mapping[str, Gate]] = {}


class _City:
    """A city in a pass: its enterprises by use, and the class that it offers."""

    __slots__ = ("at", "first", "fresh", "gates", "key", "mask", "name", "pool", "ranked", "spot")

    def __init__(self, name: str, mask: int) -> None:
        self.name = name
        #: Bits of what its gates may let pass; gates that shrank since may let pass less.
        self.mask = mask
        #: (use, name) of enterprises that may have something to offer.
        self.ranked: list[tuple[int, str, Member]] = []
        #: New classes by enterprise, which are tried with all their options.
        self.fresh: dict[str, list[WaitingClass]] = {}
        #: How far the lines of enterprises are searched.
        self.at: dict[str, int] = {}
        self.first: WaitingClass | None = None
        self.key: CityKey | None = None
        #: Where the first one passes, the pool of it, and its gates until something moves; no pool
        #: if it is to be looked for anew in any case.
        self.spot = _NOWHERE
        self.pool: Pool | None = None
        self.gates: Mapping[str, Gate] = _NO_GATES


class CorridorOrder:
    """Cities by what they own and used, enterprises by use, then priority and turn."""

    def __init__(
        self,
        of: Pass,
        enterprise_key: Callable[[str], int],
        city_key: Callable[[WaitingClass], CityKey],
    ) -> None:
        self._pass = of
        self._enterprise_key, self._city_key = enterprise_key, city_key
        self._masks = of.lines.masks
        #: Bits of all flavors of the pass.
        self._all = 0
        for flavor in of.flavors:
            self._all |= self._masks.all(flavor)
        fresh: dict[str, dict[str, list[WaitingClass]]] = {}
        for waiting in of.fresh:
            fresh.setdefault(waiting.city, {}).setdefault(waiting.owner, []).append(waiting)
        self._cities: dict[str, _City] = {}
        for name, members in of.lines.members.items():
            if self._all or name in fresh:
                city = self._city(name, members, fresh.get(name, {}))
                if city.ranked:
                    self._cities[name] = city

    def _city(
        self, name: str, members: dict[str, Member], fresh: dict[str, list[WaitingClass]]
    ) -> _City:
        mask, pools, gates = 0, self._pass.pools, self._pass.gates
        for flavor in self._pass.flavors:
            gate = pools[flavor].gates.get(name) or gates(flavor, name, "\0")
            mask |= self._masks.up_to(flavor, gate.most)
        city = _City(name, mask)
        city.fresh = fresh
        every, key = self._all, self._enterprise_key
        city.ranked = [
            (key(owner), owner, member)
            for owner, member in members.items()
            if member.mask & (every if member.is_capped else mask) or owner in fresh
        ]
        heapify(city.ranked)
        return city

    def next(self) -> WaitingClass | None:
        """The best city's best enterprise's first job."""
        best: WaitingClass | None = None
        best_key: CityKey | None = None
        is_out = False
        for city in self._cities.values():
            first, pool = city.first, city.pool
            # A gate that moved may have shut out what stood first.
            if (
                first is None
                or pool is None
                or (pool.gates is not city.gates and not self._still_passes(city, first, pool))
            ):
                first = self._find(city)
                if first is None:
                    city.first, is_out = None, True
                    continue
                if first is not city.first:
                    city.first, city.key = first, None
            key = city.key
            if key is None:
                key = city.key = self._city_key(first)
            if best_key is None or key < best_key:
                best, best_key = first, key
        if is_out:
            self._cities = {
                name: city for name, city in self._cities.items() if city.first is not None
            }
        return best

    def settle(self, offered: WaitingClass, started: bool) -> None:
        """Go on; a start raised its enterprise's use, so the enterprise is ranked anew."""
        city = self._cities[offered.city]
        city.first = city.key = city.pool = None
        if not started:
            self._pass.failed.add(offered)
            return
        _, owner, member = city.ranked[0]
        if city.fresh and owner in city.fresh:  # it may stand before what was searched
            city.at.pop(owner, None)
        heapreplace(city.ranked, (self._enterprise_key(owner), owner, member))

    def _still_passes(self, city: _City, first: WaitingClass, pool: Pool) -> bool:
        """Whether what stood first in a city passes as before beyond doubt."""
        city.gates = pool.gates
        _, units, wall_ms, _ = city.spot
        return pool.surely_admits(city.name, first.owner, units, wall_ms, self._pass.now_ms)

    def _find(self, city: _City) -> WaitingClass | None:
        """The first class of a city that may start, leaving out enterprises that have none."""
        ranked = city.ranked
        while ranked:
            _, owner, member = ranked[0]
            found = None
            if member.mask & (self._all if member.is_capped else city.mask):
                found = self._in_line(city, owner, member)
            if city.fresh and owner in city.fresh:
                found = self._or_fresh(city, owner, found)
            if found is not None:
                return found
            heappop(ranked)
        return None

    def _in_line(self, city: _City, owner: str, member: Member) -> WaitingClass | None:
        """The first of an enterprise's line that passes in a flavor of the pass."""
        mask = self._all if member.is_capped else city.mask
        classes, failed = member.classes, self._pass.failed
        is_clean, first = False, city.at.get(owner, 0)
        masks = member.masks
        for at in range(first, len(masks)):
            if not masks[at] & mask:
                continue
            is_clean, waiting = True, classes[at]
            if waiting not in failed and self._passes(city, waiting, member):
                city.at[owner] = member.at = at
                return waiting
            mask = self._all if member.is_capped else city.mask
        if not is_clean:
            member.clean()
        return None

    def _passes(self, city: _City, waiting: WaitingClass, member: Member) -> bool:
        """Whether a class passes a gate of the pass; what the city's mask has too much goes."""
        of, name = self._pass, city.name
        for spot in waiting.spots:
            flavor, units, limit_ms, _ = spot
            if flavor not in of.flavors:
                continue
            if member.is_capped:
                if of.gates(flavor, name, waiting.owner).passes(spot.units, spot.wall_ms):
                    city.pool = None
                    return True
                continue
            if of.spares is not None and of.spares(flavor, name, waiting.owner):
                continue
            pool = of.pools[flavor]
            gate = pool.gates.get(name)
            if gate is None:
                if pool.surely_admits(name, waiting.owner, units, limit_ms, of.now_ms):
                    city.pool, city.spot, city.gates = pool, spot, pool.gates
                    return True
                gate = of.gates(flavor, name, waiting.owner)
            most, beside, wall_ms = gate
            if units <= most:
                if units <= beside or limit_ms <= wall_ms:
                    city.pool, city.spot, city.gates = pool, spot, pool.gates
                    return True
            else:
                city.mask = self._masks.without(city.mask, flavor, most)
        return False

    def _or_fresh(self, city: _City, owner: str, found: WaitingClass | None) -> WaitingClass | None:
        """The first of what was found and of an enterprise's new classes that pass anywhere."""
        for waiting in city.fresh[owner]:
            if not waiting.window or waiting in self._pass.failed:
                continue
            if found is not None and waiting.turn() >= found.turn():
                continue
            if self._pass.passing(waiting) is not None:
                found = waiting
                city.pool = None
        return found
