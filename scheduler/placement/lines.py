"""Which waiting classes ask for a flavor, kept in the orders in which the planner looks at them.

In the corridor's order each enterprise has one line, ordered by the turns of its classes' first
jobs; each flavor has lines by city and size, ordered by age alone. In the order of submission each
flavor has lines by city, owner and size. So a cycle finds the few classes that might start without
a look at the many that cannot. A class stands in a line only with an option that could start if
nothing ran: what asks for more than any quota allows costs nothing.

A mask has a bit for each flavor and power of two of units. An enterprise's mask has all the bits of
its classes, so that a pass finds who may have something that fits by one look at each enterprise,
and in its line by one look at each class. A mask may have more bits than it should, never fewer:
who has one is looked at closely.
"""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Final

from scheduler.placement.shard import Entry
from scheduler.placement.waiting import Spot, Turn, WaitingClass

#: Turn of a class's first job, where it stands, the class.
Item = tuple[Turn, Spot, WaitingClass]
#: By owner, then size.
Owners = dict[str, dict[int, list[Item]]]

#: Widths that are told apart: up to 2**15 units.
_WIDTHS: Final = 16
_ALL: Final = (1 << _WIDTHS) - 1


class Masks:
    """Bits by flavor and width."""

    def __init__(self) -> None:
        self._shifts: dict[str, int] = {}

    def shift(self, flavor: str) -> int:
        """Return where the bits of a flavor begin."""
        shift = self._shifts.get(flavor)
        if shift is None:
            shift = self._shifts[flavor] = len(self._shifts) * _WIDTHS
        return shift

    def of(self, spots: Iterable[Spot]) -> int:
        """Return the bits of all that is asked for."""
        mask = 0
        for spot in spots:
            mask |= 1 << (self.shift(spot.flavor) + min(spot.units.bit_length(), _WIDTHS - 1))
        return mask

    def all(self, flavor: str) -> int:
        """Return all bits of a flavor."""
        return _ALL << self.shift(flavor)

    def up_to(self, flavor: str, most: int) -> int:
        """Return the bits of those widths of which some may ask for ``most`` units or fewer."""
        if most <= 0:
            return 0
        return ((2 << min(most.bit_length(), _WIDTHS - 1)) - 1) << self.shift(flavor)

    def without(self, mask: int, flavor: str, most: int) -> int:
        """Return a mask without the bits of those widths that all ask for more than ``most``."""
        width = min(most.bit_length(), _WIDTHS - 1) + 1 if most > 0 else 0
        return mask & ~((_ALL >> width) << (width + self._shifts[flavor]))


class Member:
    """The classes of one enterprise with a first job each, in the order of their turns."""

    __slots__ = ("_priorities", "_times", "_uids", "at", "classes", "is_capped", "mask", "masks")

    def __init__(self) -> None:
        #: The turns of the first jobs.
        self._priorities, self._times, self._uids = array("q"), array("q"), array("q")
        self.classes: list[WaitingClass] = []
        self.masks: list[int] = []
        self.mask = 0
        #: Where a class was found last: if one is taken out it is mostly that one.
        self.at = 0
        #: Whether it has limits of its own, so that what its city may do says nothing of it.
        self.is_capped = False

    def put(self, waiting: WaitingClass, entry: Entry) -> None:
        """Let a class stand by the turn of an entry."""
        turn = waiting.turn_of(entry)
        at = self._place(turn)
        self._priorities.insert(at, turn[0])
        self._times.insert(at, turn[1])
        self._uids.insert(at, turn[2])
        self.classes.insert(at, waiting)
        self.masks.insert(at, waiting.mask)
        self.mask |= waiting.mask

    def take(self, waiting: WaitingClass, entry: Entry) -> None:
        """Take a class out, which stood by the turn of an entry."""
        at, classes = self.at, self.classes
        if at >= len(classes) or classes[at] is not waiting:
            at = self._place(waiting.turn_of(entry))
        del classes[at], self.masks[at], self._priorities[at], self._times[at], self._uids[at]
        if not classes:
            self.mask = 0

    def _place(self, turn: Turn) -> int:
        """Where a turn is, or would be."""
        priority, at_ms, uid = turn
        at = bisect_left(self._priorities, priority)
        end = bisect_right(self._priorities, priority, at)
        return _among(self._times, self._uids, at_ms, uid, at, end)

    def clean(self) -> None:
        """Leave out the bits that no class has any more."""
        mask = 0
        for one in self.masks:
            mask |= one
        self.mask = mask


def _among(times: "array[int]", uids: "array[int]", at_ms: int, uid: int, at: int, end: int) -> int:
    """Where a time and uid are between two places, or would be."""
    at = bisect_left(times, at_ms, at, end)
    if at < end and times[at] == at_ms and uids[at] < uid:
        at = bisect_left(uids, uid, at, bisect_right(times, at_ms, at, end))
    return at


class AgedLine:
    """Classes of a city that ask for as much of a flavor under the same cap, the oldest first."""

    __slots__ = ("_times", "_uids", "capped", "city", "classes", "flavor", "units")

    def __init__(self, city: str, spot: Spot) -> None:
        self.city, (self.flavor, self.units, _, self.capped) = city, spot
        self._times, self._uids = array("q"), array("q")
        self.classes: list[WaitingClass] = []

    def put(self, waiting: WaitingClass, entry: Entry) -> None:
        """Let a class stand by the age of an entry."""
        _, at_ms, uid, _ = entry
        at = _among(self._times, self._uids, at_ms, uid, 0, len(self.classes))
        self._times.insert(at, at_ms)
        self._uids.insert(at, uid)
        self.classes.insert(at, waiting)

    def take(self, entry: Entry) -> None:
        """Take out the class that stood by the age of an entry."""
        _, at_ms, uid, _ = entry
        times, uids = self._times, self._uids
        at = bisect_left(times, at_ms)
        if uids[at] != uid:  # several are as old
            at = bisect_left(uids, uid, at, bisect_right(times, at_ms, at))
        del self.classes[at], times[at], uids[at]

    def spot(self, waiting: WaitingClass) -> Spot:
        """Where one of its classes stands in it."""
        for spot in waiting.spots:
            if spot.units == self.units and spot.flavor == self.flavor:
                return spot
        raise LookupError("it does not stand here")


class WaitingLines:
    """All lines: those of the order of submission, or those of the corridor's order."""

    def __init__(self, is_fifo: bool) -> None:
        self._is_fifo = is_fifo
        self.masks = Masks()
        #: By city and enterprise. Who has nothing left stays: there are not many enterprises.
        self.members: dict[str, dict[str, Member]] = {}
        self._owners: dict[str, dict[str, Owners]] = {}
        #: By flavor, those in which somebody stands.
        self._ages: dict[str, dict[AgedLine, None]] = {}
        self._known_ages: dict[tuple[str, Spot], AgedLine] = {}
        #: Mask and lines of classes that are alike in it.
        self._known: dict[tuple[str, tuple[Spot, ...]], tuple[int, tuple[AgedLine, ...]]] = {}

    def clear(self) -> None:
        """Forget all lines; classes find their places anew."""
        self.members.clear()
        self._owners.clear()
        self._ages.clear()
        self._known_ages.clear()
        self._known.clear()

    def stand(self, waiting: WaitingClass) -> None:
        """Find the lines of a class by its spots."""
        city, spots = waiting.city, waiting.spots
        known = self._known.get((city, spots))
        if known is None:
            lines = () if self._is_fifo else tuple(self._aged(city, spot) for spot in spots)
            known = self._known[city, spots] = self.masks.of(spots), lines
        waiting.mask, waiting.aged = known
        waiting.member = None
        if spots and not self._is_fifo:
            waiting.member = self._member(waiting)

    def _aged(self, city: str, spot: Spot) -> AgedLine:
        key = city, spot._replace(wall_ms=0)
        line = self._known_ages.get(key)
        if line is None:
            line = self._known_ages[key] = AgedLine(city, spot)
        return line

    def _member(self, waiting: WaitingClass) -> Member:
        members = self.members.get(waiting.city)
        if members is None:
            members = self.members[waiting.city] = {}
        member = members.get(waiting.owner)
        if member is None:
            member = members[waiting.owner] = Member()
            member.is_capped = bool(waiting.capped)
        return member

    def put(self, waiting: WaitingClass) -> None:
        """Let a class with a first job stand in its lines."""
        entry = waiting.window[0]
        if waiting.member is not None:
            waiting.member.put(waiting, entry)
            for line in waiting.aged:
                if not line.classes:
                    self._ages.setdefault(line.flavor, {})[line] = None
                line.put(waiting, entry)
            return
        for spot in waiting.spots:
            owners = self._owners.setdefault(spot.flavor, {})
            sizes = owners.setdefault(waiting.city, {}).setdefault(waiting.owner, {})
            insort(sizes.setdefault(spot.units, []), (waiting.turn_of(entry), spot, waiting))

    def take(self, waiting: WaitingClass, entry: Entry) -> None:
        """Take a class out of its lines, in which it stood with ``entry``."""
        if waiting.member is not None:
            waiting.member.take(waiting, entry)
            for aged in waiting.aged:
                aged.take(entry)
                if not aged.classes:
                    del self._ages[aged.flavor][aged]
            return
        for spot in waiting.spots:
            owners = self._owners[spot.flavor]
            line = owners[waiting.city][waiting.owner][spot.units]
            del line[bisect_left(line, (waiting.turn_of(entry), spot))]
            if not line:
                _forget(owners, waiting.city, waiting.owner, spot.units)

    def owners(self, flavor: str) -> dict[str, Owners]:
        """Lines of a flavor by city, owner and size, in the order of submission."""
        return self._owners.get(flavor, {})

    def asking(self, flavor: str) -> Iterator[tuple[Spot, WaitingClass]]:
        """Yield all classes that ask for a flavor, and what each asks for."""
        for owners in self.owners(flavor).values():
            for sizes in owners.values():
                for items in sizes.values():
                    yield from (item[1:] for item in items)
        for line in self._ages.get(flavor, ()):
            yield from ((line.spot(waiting), waiting) for waiting in line.classes)

    def oldest_ms(self, flavor: str, city: str) -> Iterator[int]:
        """Yield queue times, that of the oldest job of a flavor and city among them."""
        for line in self._ages.get(flavor, ()):
            if line.city == city:
                yield line.classes[0].window[0][1]
        for sizes in self.owners(flavor).get(city, {}).values():  # in the order of time
            yield from (items[0][0][1] for items in sizes.values())

    def oldest(self, flavor: str) -> Iterable[AgedLine]:
        """Return the lines by age of a flavor."""
        return self._ages.get(flavor, ())


def _forget(owners: dict[str, Owners], city: str, name: str, size: int) -> None:
    """Forget an empty line, and what is empty without it."""
    names = owners[city]
    del names[name][size]
    if not names[name]:
        del names[name]
        if not names:
            del owners[city]
