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
    #: The option at full size, where it was promised fewer units.
    full: Option
    start_ms: int = 0
    #: Whether runs are or were evicted for it.
    evicts: bool = False
    #: Whether its city keeps what it was promised for its enterprise alone.
    is_kept: bool = False

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

_CHURN: Final = ReclaimSet("")
#: Evictions are known for a day, or for the span of the rate if that is longer.
_EVICTED_KEPT_MS: Final = 86_400_000


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
    #: Gates by city; another dict when something changed.
    gates: dict[str, Gate] = field(default_factory=dict)
    #: How lent units come back.
    reclaim: ReclaimSet = _CHURN
    #: Whether what borrows must be short.
    leases: bool = False
    #: Whether the pool is promised only to starts within nominal quotas (lease and evict).
    for_owners: bool = False
    #: Whether nothing new may borrow: a job that its city's own quota allows is blocked (lease).
    frozen: bool = False
    #: Runs that are being evicted, and for which job each is.
    ending: dict[int, int] = field(default_factory=dict)
    #: (instant, run, units) of late evictions, in order; they count against the rate.
    evicted: list[tuple[int, int, int]] = field(default_factory=list)
    #: Runs that could not be evicted, and until when they are spared.
    spared: dict[int, int] = field(default_factory=dict)
    #: When an eviction may be possible that is not now.
    evict_ms: int | None = None
    #: Runs that have not begun: on their way to the center, or in its own queue; and how many may.
    unbegun: set[int] = field(default_factory=set)
    queue_max: int | None = None
    #: Whether so many have not begun that nothing more is sent there.
    is_full: bool = False

    def sent(self, uid: int) -> None:
        """A run is on its way to the center."""
        self.unbegun.add(uid)
        self._fill()

    def begun(self, uid: int) -> bool:
        """A run began, or is gone; whether there is room in the center's queue again."""
        if uid not in self.unbegun:
            return False
        self.unbegun.discard(uid)
        return self._fill()

    def set_queue(self, most: int | None) -> None:
        """Change how many runs may not have begun."""
        self.queue_max = most
        self._fill()

    def _fill(self) -> bool:
        """Find out whether the center's queue is full; whether it was and is no more."""
        was_full = self.is_full
        self.is_full = self.queue_max is not None and len(self.unbegun) >= self.queue_max
        if self.is_full != was_full:
            self.gates = {}
        return was_full and not self.is_full

    def note_evicted(self, at_ms: int, uid: int, units: int) -> None:
        """A run was evicted at that instant; what is long ago is forgotten."""
        kept_ms = max(_EVICTED_KEPT_MS, self.reclaim.rate_ms)
        if self.evicted and self.evicted[0][0] <= at_ms - kept_ms:
            self.evicted = self.evicted_since(at_ms - kept_ms)
        insort(self.evicted, (at_ms, uid, units))

    def forget_evicted(self, uid: int) -> None:
        """The last eviction of a job's runs was not begun."""
        for at in reversed(range(len(self.evicted))):
            if self.evicted[at][1] == uid:
                del self.evicted[at]
                return

    def evicted_since(self, since_ms: int) -> list[tuple[int, int, int]]:
        """What was evicted after an instant, the first first."""
        return [one for one in self.evicted if one[0] > since_ms]

    def set_reclaim(self, reclaim: ReclaimSet) -> None:
        """Change how lent units come back."""
        self.reclaim = reclaim
        self.leases = reclaim.mode == "lease"
        self.for_owners = reclaim.mode != "churn"
        self.frozen &= self.leases
        self.evict_ms = None
        self.gates = {}

    def may_borrow(self, wall_ms: int) -> bool:
        """Whether a start with this limit may take units that its city does not own."""
        return not self.leases or (not self.frozen and wall_ms <= self.reclaim.lease_ms)

    def admits(self, city: str, enterprise: str, units: int, wall_ms: int, now_ms: int) -> bool:
        """Whether a start now breaks no limit and delays no promise."""
        if not self.book.fits(city, enterprise, units):
            return False
        if self.leases and self.may_not_borrow(city, enterprise, units, wall_ms):
            return False
        return self.holder is None or self.may_pass(city, enterprise, units, now_ms + wall_ms)

    def surely_admits(
        self, city: str, enterprise: str, units: int, wall_ms: int, now_ms: int
    ) -> bool:
        """Whether a start passes the gate of its city beyond doubt: told without the gate."""
        if self.waits or self.leases or self.is_full or not self.is_open:
            return False
        if not self.book.fits(city, enterprise, units):
            return False
        holder, promised = self.holder, self.promised
        if holder is None:
            return True
        if promised is None:
            return False
        return now_ms + wall_ms <= holder.start_ms or promised.fits(city, enterprise, units)

    def fits(self, city: str, enterprise: str, units: int, wall_ms: int) -> bool:
        """Whether a start now breaks no limit."""
        return self.book.fits(city, enterprise, units) and not (
            self.leases and self.may_not_borrow(city, enterprise, units, wall_ms)
        )

    def may_not_borrow(self, city: str, enterprise: str, units: int, wall_ms: int) -> bool:
        """Whether a start would borrow that may not."""
        return not self.may_borrow(wall_ms) and units > self.book.nominal_room(city, enterprise)

    def free_room(self, city: str, enterprise: str, wall_ms: int) -> int:
        """The most units of a start that breaks no limit."""
        book = self.book
        room = min(book.pool_room(city, enterprise), book.own_room(city, enterprise))
        if not self.may_borrow(wall_ms):
            room = min(room, book.nominal_room(city, enterprise))
        return room

    def room(self, city: str, enterprise: str, wall_ms: int, now_ms: int) -> int:
        """The most units that are admitted now."""
        room, holder, promised = (
            self.free_room(city, enterprise, wall_ms),
            self.holder,
            self.promised,
        )
        if holder is None or now_ms + wall_ms <= holder.start_ms:
            return room
        if promised is None:
            return 0
        room = min(room, promised.pool_room(city, enterprise), promised.own_room(city, enterprise))
        if self._is_own(holder, city, enterprise):
            room = min(room, promised.nominal_room(city, enterprise))
        return room

    def take(self, uid: int, end_ms: int, units: int, city: str, enterprise: str) -> None:
        """Hold units for a run until its limit."""
        self.book.take(city, enterprise, units)
        insort(self.ends, (end_ms, uid, units, city, enterprise))
        self.gates = {}

    def give_back(self, uid: int, end_ms: int, units: int, city: str, enterprise: str) -> None:
        """A run ended."""
        self.book.give_back(city, enterprise, units)
        self._forget(uid, end_ms)
        self.gates = {}

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
        self.gates = {}

    def promise(self, now_ms: int) -> None:
        """Compute anew when the holder can start, and the book at that instant."""
        holder = self.holder
        self.gates = {}
        if holder is None:
            self.promised = None
            return
        holder.start_ms, self.promised = self.earliest(
            holder.city, holder.enterprise, holder.units, now_ms
        )
        if self.promised is not None:
            gap = self.promised.own_gap(holder.city, holder.enterprise, holder.units)
            holder.is_kept = gap == holder.units
            self.promised.take(holder.city, holder.enterprise, holder.units)

    def earliest(
        self, city: str, enterprise: str, units: int, now_ms: int
    ) -> tuple[int, FlavorBook | None]:
        """Return when ``units`` fit if runs end at their limits, and the book then.

        The book is None when they do not fit even with nothing running (a quota forbids it): the
        instant is then the last end. In a pool for owners they fit within the nominal quota.
        """
        book = self.book.copy()
        if self._suits(book, city, enterprise, units):
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
            if self._suits(book, city, enterprise, units):
                return ends[at - 1][0], book
            at += 1
        return (ends[-1][0] if ends else now_ms), None

    def _suits(self, book: FlavorBook, city: str, enterprise: str, units: int) -> bool:
        """Whether units can be promised for the instant of a book."""
        return book.fits(city, enterprise, units) and (
            not self.for_owners or units <= book.nominal_room(city, enterprise)
        )

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
        if promised is None or not promised.fits(city, enterprise, units):
            return False
        if not self._is_own(holder, city, enterprise):
            return True
        return units <= promised.nominal_room(city, enterprise)

    def _is_own(self, holder: Holder, city: str, enterprise: str) -> bool:
        """Whether a start may take of its city's own what the holder was promised of it."""
        if not self.for_owners or city != holder.city:
            return False
        return not holder.is_kept or enterprise == holder.enterprise

    def passed(self, city: str, enterprise: str, units: int, end_ms: int) -> None:
        """Note a start that was let pass and lasts beyond the promise."""
        holder = self.holder
        if holder is not None and self.promised is not None and end_ms > holder.start_ms:
            self.promised.take(city, enterprise, units)
            self.gates = {}


def _end(book: FlavorBook, ends: Sequence[RunEnd]) -> None:
    """Take runs out of a book."""
    by_owner: dict[tuple[str, str], int] = {}
    for _, _, units, city, enterprise in ends:
        owner = (city, enterprise)
        by_owner[owner] = by_owner.get(owner, 0) + units
    for (city, enterprise), units in by_owner.items():
        book.give_back(city, enterprise, units)
