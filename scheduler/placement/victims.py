"""Whose runs are stopped so that one job can start: the least harm within what the rate leaves.

First the run that does the least harm, then the next, until the job fits; then those are spared
again without which it fits too. If it does not fit when no city borrows any more by runs that may
be stopped, nobody is: what it lacks was not lent. If the runs are more than the rate leaves, or
would not let more be held within nominal quotas, other sets are looked at, those with the least
harm first: depth first over runs, of which those of one city and size are taken for alike.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from quota.instant import FlavorBook
from scheduler.placement.rules import ActiveRun

#: So many sets are given up before nobody is evicted now.
_GIVEN_UP_MAX: Final = 256


class Victim(NamedTuple):
    """A run that may be evicted."""

    uid: int
    run: ActiveRun

    @property
    def units(self) -> int:
        """What it holds."""
        return self.run.option.units


class Asked(NamedTuple):
    """Who is to start, on how many units."""

    city: str
    enterprise: str
    units: int


#: How much harm the end of a run does, by the book as it is then; the least is the first.
Harm = Callable[[FlavorBook, Victim], tuple[int, ...]]
#: City, enterprise (if its city keeps units for it, else "") and units of alike runs.
_Kind = tuple[str, str, int]


def choose(
    book: FlavorBook, asked: Asked, victims: Sequence[Victim], room: int, harm: Harm
) -> list[Victim]:
    """Return runs of at most ``room`` units whose end lets the job start, none of them needless.

    Each belongs to a city that borrows at that moment, and more units are held within nominal
    quotas afterwards. Empty if there are none.
    """
    found = _least_harm(book.copy(), asked, victims, harm)
    if sum(one.units for one in found) <= room and rises(book, asked.units, found):
        return found
    if not found or lacking(book, asked) > room:
        return []
    return _Search(book.copy(), asked, victims, room, harm).first()


def lacking(book: FlavorBook, asked: Asked) -> int:
    """How many units have to be given back at least: one that is, makes room for one at most."""
    return asked.units - book.pool_room(asked.city, asked.enterprise)


def rises(book: FlavorBook, gained: int, chosen: Iterable[Victim]) -> bool:
    """Whether more units will be held within nominal quotas than now."""
    evicted: dict[str, int] = {}
    for victim in chosen:
        city = victim.run.city
        evicted[city] = evicted.get(city, 0) + victim.units
    lost = sum(max(0, units - book.borrowed_after(city, 0)) for city, units in evicted.items())
    return gained > lost


def _least_harm(
    book: FlavorBook, asked: Asked, victims: Sequence[Victim], harm: Harm
) -> list[Victim]:
    # Of one city and size the same goes first whoever went before: only the first are compared.
    left: dict[tuple[str, int], list[Victim]] = {}
    for one in sorted(victims, key=lambda one: harm(book, one), reverse=True):
        left.setdefault((one.run.city, one.units), []).append(one)
    chosen: list[Victim] = []
    while not book.fits(*asked):
        heads = [of[-1] for (city, _), of in left.items() if of and book.borrowed_after(city, 0)]
        if not heads:
            return []
        victim = min(heads, key=lambda one: harm(book, one))
        left[victim.run.city, victim.units].pop()
        chosen.append(victim)
        _give_back(book, victim)
    return _spared(book, asked, chosen)


def _spared(book: FlavorBook, asked: Asked, chosen: list[Victim]) -> list[Victim]:
    """Spare what is not needed, the last first; the very last is."""
    for victim in reversed(chosen[:-1]):
        _take(book, victim)
        if book.fits(*asked):
            chosen.remove(victim)
        else:
            _give_back(book, victim)
    return chosen


class _Search:
    """Sets of runs, one run more or less at a time."""

    def __init__(
        self, book: FlavorBook, asked: Asked, victims: Sequence[Victim], room: int, harm: Harm
    ) -> None:
        self._book, self._asked, self._room, self._harm = book, asked, room, harm
        self._borrowed = {one.run.city: book.borrowed_after(one.run.city, 0) for one in victims}
        self._left: dict[_Kind, list[Victim]] = {}
        # The last of a list is taken first.
        for one in sorted(victims, key=lambda one: harm(book, one), reverse=True):
            self._left.setdefault(self._kind(one), []).append(one)
        self._barred: set[_Kind] = set()
        self._chosen: list[Victim] = []
        self._gone: dict[str, list[int]] = {city: [] for city in self._borrowed}

    def first(self) -> list[Victim]:
        """The first set that will do."""
        levels, given_up = [self._candidates()], 0
        while levels:
            kind = next(levels[-1], None)
            if kind is None:
                levels.pop()
                given_up += 1
                if not levels or given_up > _GIVEN_UP_MAX:
                    break
                self._undo()
                continue
            self._do(kind)
            if not self._rises():
                levels.append(iter(()))
            elif self._book.fits(*self._asked):
                found = _spared(self._book, self._asked, self._chosen)
                # The largest of a city is the last: before it the city still borrows.
                return sorted(found, key=lambda one: one.units)
            else:
                levels.append(self._candidates())
        return []

    def _kind(self, victim: Victim) -> _Kind:
        city, enterprise = victim.run.city, victim.run.enterprise
        return city, enterprise if enterprise in self._book.kept else "", victim.units

    def _candidates(self) -> Iterator[_Kind]:
        """Of which kind the next run may be, the least harm first.

        When one was looked at, sets with a run of its kind are done with.
        """
        kinds = [kind for kind in self._left if self._may_go(kind)]
        if sum(kind[2] * len(self._left[kind]) for kind in kinds) < lacking(
            self._book, self._asked
        ):
            return
        kinds.sort(key=lambda kind: self._harm(self._book, self._left[kind][-1]))
        for kind in kinds:
            yield kind
            self._barred.add(kind)
        self._barred.difference_update(kinds)

    def _may_go(self, kind: _Kind) -> bool:
        """Whether a run of this kind may be one of the set: without the largest of a city's, those
        that go are less than it borrows."""
        city, _, units = kind
        if kind in self._barred or not self._left[kind] or units > self._room:
            return False
        gone = [*self._gone[city], units]
        return sum(gone) - max(gone) < self._borrowed[city]

    def _do(self, kind: _Kind) -> None:
        victim = self._left[kind].pop()
        self._chosen.append(victim)
        self._gone[victim.run.city].append(victim.units)
        self._room -= victim.units
        _give_back(self._book, victim)

    def _undo(self) -> None:
        victim = self._chosen.pop()
        self._gone[victim.run.city].pop()
        self._room += victim.units
        self._left[self._kind(victim)].append(victim)
        _take(self._book, victim)

    def _rises(self) -> bool:
        lost = sum(max(0, sum(units) - self._borrowed[city]) for city, units in self._gone.items())
        return self._asked.units > lost


def _give_back(book: FlavorBook, victim: Victim) -> None:
    book.give_back(victim.run.city, victim.run.enterprise, victim.units)


def _take(book: FlavorBook, victim: Victim) -> None:
    book.take(victim.run.city, victim.run.enterprise, victim.units)
