"""Which waiting classes ask for a flavor, kept in the orders in which the planner looks at them.

For each flavor there are lines by city and owner (the enterprise), ordered by the first job of
each class, and lines by city and size, ordered by age alone. So a cycle finds the few classes
that might start without a look at the many that cannot. A class stands in a line only with an
option that could start if nothing ran: what asks for more than any quota allows costs nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from scheduler.placement.shard import ClassKey, Entry


class Spot(NamedTuple):
    """Where a class stands: flavor, units, least wall limit, and whose cap binds there."""

    flavor: str
    units: int
    wall_ms: int
    capped: str


#: First entry of a class, where it stands, the class.
Item = tuple[Entry, Spot, "WaitingClass"]
#: By owner or capped enterprise, then size.
Owners = dict[str, dict[int, list[Item]]]
#: By city.
_Lines = dict[str, Owners]


class WaitingClass:
    """The root planner's mirror of a class: its first entries, and how many there are in all."""

    __slots__ = (
        "capped", "city", "count", "enterprise", "key", "options", "owner", "shard", "spots",
        "wanted", "window",
    )  # fmt: skip

    def __init__(self, key: ClassKey, shard: int) -> None:
        self.key, self.shard = key, shard
        self.city, self.enterprise, self.options = key
        self.owner = self.enterprise
        #: The enterprise, if it has a limit of its own on any flavor.
        self.capped = ""
        self.spots: tuple[Spot, ...] = ()
        self.window: list[Entry] = []
        self.count = 0
        #: How many entries are asked for when the window is used up.
        self.wanted = 0


@dataclass(slots=True)
class FlavorLines:
    """Lines of one flavor: ``owners`` by city, owner, size; ``ages`` by city, capped, units."""

    owners: _Lines = field(default_factory=dict)
    ages: _Lines = field(default_factory=dict)


class WaitingLines:
    """All lines, by age too if ``by_age``.

    With ``by_size`` an owner has a line for each number of units, for owners of many classes; its
    one line stands under 0 otherwise.
    """

    def __init__(self, by_age: bool, by_size: bool) -> None:
        self._by_age, self._by_size = by_age, by_size
        self.flavors: dict[str, FlavorLines] = {}

    def clear(self) -> None:
        """Forget all lines."""
        self.flavors.clear()

    def size(self, spot: Spot) -> int:
        """Under which size of its owner a spot's line stands."""
        return spot.units if self._by_size else 0

    def put(self, waiting: WaitingClass) -> None:
        """Let a class with a first job stand in its lines."""
        entry, city = waiting.window[0], waiting.city
        for spot in waiting.spots:
            lines = self.flavors.get(spot.flavor)
            if lines is None:
                lines = self.flavors[spot.flavor] = FlavorLines()
            item = (entry, spot, waiting)
            insort(_line(lines.owners, city, waiting.owner, self.size(spot)), item)
            if self._by_age:
                insort(_line(lines.ages, city, spot.capped, spot.units), item, key=_age)

    def take(self, waiting: WaitingClass, entry: Entry) -> None:
        """Take a class out of its lines, in which it stood with ``entry``."""
        city = waiting.city
        for spot in waiting.spots:
            lines = self.flavors[spot.flavor]
            line = lines.owners[city][waiting.owner][self.size(spot)]
            del line[bisect_left(line, (entry, spot))]
            if not line:
                _forget(lines.owners, city, waiting.owner, self.size(spot))
            if self._by_age:
                line = lines.ages[city][spot.capped][spot.units]
                del line[bisect_left(line, entry[1:3], key=_age)]
                if not line:
                    _forget(lines.ages, city, spot.capped, spot.units)

    def owners(self, flavor: str) -> _Lines:
        """Lines of a flavor by city, owner and size."""
        lines = self.flavors.get(flavor)
        return {} if lines is None else lines.owners

    def oldest_ms(self, flavor: str, city: str) -> Iterator[int]:
        """Yield queue times, that of the oldest job of a flavor and city among them."""
        lines = self.flavors.get(flavor)
        if lines is None:
            return
        if self._by_age:
            for ages in lines.ages.get(city, {}).values():
                yield from (line[0][0][1] for line in ages.values())
        else:  # then entries are in the order of time
            for sizes in lines.owners.get(city, {}).values():
                yield from (line[0][0][1] for line in sizes.values())

    def oldest(self, flavor: str) -> Iterator[tuple[str, str, int, list[Item]]]:
        """Yield (city, capped enterprise or "", units, classes by age)."""
        lines = self.flavors.get(flavor)
        if lines is not None:
            for city, by_capped in lines.ages.items():
                for capped, sizes in by_capped.items():
                    for units, line in sizes.items():
                        yield city, capped, units, line


def _age(item: Item) -> tuple[int, int]:
    """Queue time and uid: what orders lines by age."""
    return item[0][1:3]


def _line(lines: _Lines, city: str, name: str, size: int) -> list[Item]:
    """The line of a name and size, made if there is none."""
    names = lines.get(city)
    if names is None:
        names = lines[city] = {}
    sizes = names.get(name)
    if sizes is None:
        sizes = names[name] = {}
    line = sizes.get(size)
    if line is None:
        line = sizes[size] = []
    return line


def _forget(lines: _Lines, city: str, name: str, size: int) -> None:
    """Forget an empty line, and what is empty without it."""
    names = lines[city]
    del names[name][size]
    if not names[name]:
        del names[name]
        if not names:
            del lines[city]
