"""One flavor's pool as the planner sees it: its book, the runs in it, and its one reservation.

The reservation is EASY's: the first job that the pool blocks is promised the earliest instant at
which its units, its quota and its cap would suffice if all runs ended at their limits. Others may
start before it only if they end by then, or if at that instant the promised job fits beside them.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from quota.instant import FlavorBook
from scheduler.placement.model import Option, ReclaimSet
from scheduler.placement.shard import ClassKey, Entry

#: A run past its limit is expected to take as long again as it is late, at least this.
_LATE_MIN_MS: Final = 60_000

#: (end at limit, uid, units, city, enterprise) of a run.
RunEnd = tuple[int, int, int, str, str]


@dataclass(slots=True)
class Holder:
    """The job a pool is promised to, and the option that is meant."""

    key: ClassKey
    entry: Entry
    option: Option
    start_ms: int = 0

    @property
    def city(self) -> str:
        """The city of the job."""
        return self.key[0]

    @property
    def enterprise(self) -> str:
        """The enterprise of the job."""
        return self.key[1]

    @property
    def units(self) -> int:
        """The units it was promised."""
        return self.option.units


class Gate(NamedTuple):
    """What may start now: up to ``most`` units; above ``beside`` only with a limit in ``wall_ms``.

    While a pool is promised to nobody also what is blocked passes, to be promised the pool.
    """

    most: int
    beside: int
    wall_ms: int

    def passes(self, units: int, wall_ms: int) -> bool:
        """Whether a start of this size and limit is to be tried."""
        return units <= self.most and (units <= self.beside or wall_ms <= self.wall_ms)


SHUT: Final = Gate(0, 0, 0)


@dataclass(slots=True)
class Pool:
    """A flavor's units and runs; ``ends`` are in order."""

    flavor: str
    center: str
    book: FlavorBook
    is_open: bool = True
    ends: list[RunEnd] = field(default_factory=list)
    holder: Holder | None = None
    #: The book at the instant of the promise with the promised job in it; None without backfill.
    promised: FlavorBook | None = None
    #: Freed in the midst of a pass: it is for the next one, in which all may ask for it.
    waits: bool = False
    #: Promises made to starving jobs: every other one may go to a job that its own quota blocks.
    turns: int = 0
    #: What jobs of one unit-second of this flavor weigh against those of others, in 2**-40.
    norm: int = 0
    #: Gates by city until something changes.
    gates: dict[str, Gate] = field(default_factory=dict)
    #: How lent units come back.
    reclaim: ReclaimSet = ReclaimSet("")

    def take(self, uid: int, end_ms: int, units: int, city: str, enterprise: str) -> None:
        """Hold units for a run until its limit."""
        self.book.take(city, enterprise, units)
        insort(self.ends, (end_ms, uid, units, city, enterprise))
        self.gates.clear()

    def give_back(self, uid: int, end_ms: int, units: int, city: str, enterprise: str) -> None:
        """A run ended."""
        self.book.give_back(city, enterprise, units)
        self._forget(uid, end_ms)
        self.gates.clear()

    def move_end(
        self, uid: int, old_ms: int, new_ms: int, units: int, city: str, enterprise: str
    ) -> None:
        """A run's limit ends at another instant than was thought."""
        self._forget(uid, old_ms)
        insort(self.ends, (new_ms, uid, units, city, enterprise))

    def _forget(self, uid: int, end_ms: int) -> None:
        at = bisect_left(self.ends, (end_ms, uid))
        del self.ends[at]

    def hold(self, holder: Holder | None) -> None:
        """Mean the pool for this job, or for nobody; nothing is promised yet."""
        self.holder, self.promised = holder, None
        self.gates.clear()

    def promise(self, now_ms: int) -> None:
        """Compute anew when the holder can start, and the book at that instant."""
        holder = self.holder
        self.gates.clear()
        if holder is None:
            self.promised = None
            return
        holder.start_ms, self.promised = self.earliest(
            holder.city, holder.enterprise, holder.units, now_ms
        )
        if self.promised is not None:
            self.promised.take(holder.city, holder.enterprise, holder.units)

    def earliest(
        self, city: str, enterprise: str, units: int, now_ms: int
    ) -> tuple[int, FlavorBook | None]:
        """Return when ``units`` fit if runs end at their limits, and the book then.

        The book is None when they do not fit even with nothing running (a quota forbids it): the
        instant is then the last end.
        """
        book = self.book.copy()
        if book.fits(city, enterprise, units):
            return now_ms, book
        ends = self._expected_ends(now_ms)
        count = len(ends)
        # No instant will do before enough units are free: skip to it.
        at, free = 0, book.free
        while at < count and free < units:
            free += ends[at][2]
            at += 1
        done = 0
        while at <= count:
            while 0 < at < count and ends[at][0] == ends[at - 1][0]:
                at += 1  # all that end at one instant
            _end(book, ends[done:at])
            done = at
            if book.fits(city, enterprise, units):
                return ends[at - 1][0], book
            at += 1
        return (ends[-1][0] if ends else now_ms), None

    def _expected_ends(self, now_ms: int) -> list[RunEnd]:
        """Ends in order; those that are past their limit are expected later than now."""
        if not self.ends or self.ends[0][0] > now_ms:
            return self.ends
        late = bisect_left(self.ends, (now_ms + 1,))
        moved = [
            (now_ms + max(_LATE_MIN_MS, now_ms - end[0]), *end[1:]) for end in self.ends[:late]
        ]
        return sorted([*self.ends[late:], *moved])

    def may_pass(self, city: str, enterprise: str, units: int, end_ms: int) -> bool:
        """Whether a start that fits now leaves the promise untouched."""
        holder = self.holder
        if holder is None or end_ms <= holder.start_ms:
            return True
        promised = self.promised
        return promised is not None and promised.fits(city, enterprise, units)

    def passed(self, city: str, enterprise: str, units: int, end_ms: int) -> None:
        """Note a start that was let pass and lasts beyond the promise."""
        holder = self.holder
        if holder is not None and self.promised is not None and end_ms > holder.start_ms:
            self.promised.take(city, enterprise, units)
            self.gates.clear()


def _end(book: FlavorBook, ends: Sequence[RunEnd]) -> None:
    """Take runs out of a book."""
    by_owner: dict[tuple[str, str], int] = {}
    for _, _, units, city, enterprise in ends:
        owner = (city, enterprise)
        by_owner[owner] = by_owner.get(owner, 0) + units
    for (city, enterprise), units in by_owner.items():
        book.give_back(city, enterprise, units)
