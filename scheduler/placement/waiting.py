"""Which waiting classes ask for a flavor, kept in the orders in which the planner looks at them.

For each flavor there are lines by city and owner (the enterprise), ordered by the turns of the
classes' first jobs, and lines by city and size, ordered by age alone. So a cycle finds the few
classes that might start without a look at the many that cannot. A class stands in a line only
with an option that could start if nothing ran: what asks for more than any quota allows costs
nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from scheduler.placement.shard import ClassKey, Entry

#: Inside an enterprise a job's turn comes so many of its expected runs after it was queued: the
#: shortest goes first among jobs of about the same age, any job is passed by for a bounded time
#: only.
TURN_RUNS: Final = 20

_Any = TypeVar("_Any")


class Spot(NamedTuple):
    """Where a class stands: flavor, units, least wall limit, and whose cap binds there."""

    flavor: str
    units: int
    wall_ms: int
    capped: str


#: (-priority, time of the turn, uid) of a waiting job: the order within an owner.
Turn = tuple[int, int, int]
#: Turn of a class's first job, where it stands, the class.
Item = tuple[Turn, Spot, "WaitingClass"]
#: By owner, then size.
Owners = dict[str, dict[int, list[Item]]]
#: First entry of a class, where it stands, the class.
Aged = tuple[Entry, Spot, "WaitingClass"]
#: By capped enterprise, then size.
Ages = dict[str, dict[int, list[Aged]]]


class WaitingClass:
    """The root planner's mirror of a class: its first entries, and how many there are in all."""

    __slots__ = (
        "capped", "city", "count", "delay_ms", "enterprise", "key", "options", "owner",
        "shard", "spots", "user", "wanted", "window",
    )  # fmt: skip

    def __init__(self, key: ClassKey, shard: int) -> None:
        self.key, self.shard = key, shard
        self.city, self.enterprise, self.options, self.user = key
        self.owner = self.enterprise
        #: The enterprise, if it has a limit of its own on any flavor.
        self.capped = ""
        self.spots: tuple[Spot, ...] = ()
        self.window: list[Entry] = []
        self.count = 0
        #: How many entries are asked for when the window is used up.
        self.wanted = 0
        #: How much later than it was queued a job of the class has its turn in its enterprise.
        self.delay_ms = 0

    def turn(self) -> Turn:
        """The turn of the first job."""
        return self.turn_of(self.window[0])

    def turn_of(self, entry: Entry) -> Turn:
        """The turn of a job of the class."""
        return entry[0], entry[1] + self.delay_ms, entry[2]


@dataclass(slots=True)
class FlavorLines:
    """Lines of one flavor: ``owners`` by city, owner, size; ``ages`` by city, capped, units."""

    owners: dict[str, Owners] = field(default_factory=dict)
    ages: dict[str, Ages] = field(default_factory=dict)


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
            line = _line(lines.owners, city, waiting.owner, self.size(spot))
            insort(line, (waiting.turn_of(entry), spot, waiting))
            if self._by_age:
                aged = _line(lines.ages, city, spot.capped, spot.units)
                insort(aged, (entry, spot, waiting), key=_age)

    def take(self, waiting: WaitingClass, entry: Entry) -> None:
        """Take a class out of its lines, in which it stood with ``entry``."""
        city = waiting.city
        for spot in waiting.spots:
            lines = self.flavors[spot.flavor]
            line = lines.owners[city][waiting.owner][self.size(spot)]
            del line[bisect_left(line, (waiting.turn_of(entry), spot))]
            if not line:
                _forget(lines.owners, city, waiting.owner, self.size(spot))
            if self._by_age:
                aged = lines.ages[city][spot.capped][spot.units]
                del aged[bisect_left(aged, entry[1:3], key=_age)]
                if not aged:
                    _forget(lines.ages, city, spot.capped, spot.units)

    def owners(self, flavor: str) -> dict[str, Owners]:
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

    def oldest(self, flavor: str) -> Iterator[tuple[str, str, int, list[Aged]]]:
        """Yield (city, capped enterprise or "", units, classes by age)."""
        lines = self.flavors.get(flavor)
        if lines is not None:
            for city, by_capped in lines.ages.items():
                for capped, sizes in by_capped.items():
                    for units, line in sizes.items():
                        yield city, capped, units, line


def _age(item: Aged) -> tuple[int, int]:
    """Queue time and uid: what orders lines by age."""
    return item[0][1:3]


def _line(
    lines: dict[str, dict[str, dict[int, list[_Any]]]], city: str, name: str, size: int
) -> list[_Any]:
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


def _forget(
    lines: dict[str, dict[str, dict[int, list[_Any]]]], city: str, name: str, size: int
) -> None:
    """Forget an empty line, and what is empty without it."""
    names = lines[city]
    del names[name][size]
    if not names[name]:
        del names[name]
        if not names:
            del lines[city]
