"""One flavor's pool as the planner sees it: its book, the runs in it, and its one reservation.

The reservation is EASY's: the first job that the pool blocks is promised the earliest instant at
which its units, its quota and its cap would suffice if all runs ended at their limits. Others may
start before it only if they end by then, or if at that instant the promised job fits beside them.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field

from quota.instant import FlavorBook
from scheduler.placement.shard import ClassKey, Entry

#: A run past its limit is expected to take as long again as it is late, at least this.
_LATE_MIN_MS = 60_000


@dataclass(slots=True)
class Holder:
    """The job a pool is promised to."""

    key: ClassKey
    entry: Entry
    units: int
    city: str
    enterprise: str
    start_ms: int = 0


@dataclass(slots=True)
class Pool:
    """A flavor's units and runs. ``ends`` holds (end at limit, uid, units, city, enterprise)."""

    flavor: str
    center: str
    book: FlavorBook
    is_open: bool = True
    ends: list[tuple[int, int, int, str, str]] = field(default_factory=list)
    holder: Holder | None = None
    #: The book at the instant of the promise with the promised job in it; None without backfill.
    promised: FlavorBook | None = None
    #: What jobs of one unit-second of this flavor weigh against those of others, in 2**-40.
    norm: int = 0

    def take(self, uid: int, end_ms: int, units: int, city: str, enterprise: str) -> None:
        """Hold units for a run until its limit."""
        self.book.take(city, enterprise, units)
        insort(self.ends, (end_ms, uid, units, city, enterprise))

    def give_back(self, uid: int, end_ms: int, units: int, city: str, enterprise: str) -> None:
        """A run ended."""
        self.book.give_back(city, enterprise, units)
        self._forget(uid, end_ms)

    def move_end(
        self, uid: int, old_ms: int, new_ms: int, units: int, city: str, enterprise: str
    ) -> None:
        """A run's limit ends at another instant than was thought."""
        self._forget(uid, old_ms)
        insort(self.ends, (new_ms, uid, units, city, enterprise))

    def _forget(self, uid: int, end_ms: int) -> None:
        at = bisect_left(self.ends, (end_ms, uid))
        del self.ends[at]

    def promise(self, now_ms: int) -> None:
        """Compute anew when the holder can start, and the book at that instant."""
        holder = self.holder
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
        ends = self._expected_ends(now_ms)
        book = self.book.copy()
        if book.fits(city, enterprise, units):
            return now_ms, book
        used, capped = book.used, book.capped_used
        last = len(ends) - 1
        for at, (end_ms, _, freed, owner, member) in enumerate(ends):
            limits = book.limits.get(owner)
            guarantee = 0 if limits is None else limits.guarantee
            before = used[owner]
            used[owner] = before - freed
            book.free += freed
            book.committed += max(before - freed, guarantee) - max(before, guarantee)
            if member in capped:
                capped[member] -= freed
            if book.free < units or (at < last and ends[at + 1][0] == end_ms):
                continue
            if book.fits(city, enterprise, units):
                return end_ms, book
        return (ends[-1][0] if ends else now_ms), None

    def _expected_ends(self, now_ms: int) -> list[tuple[int, int, int, str, str]]:
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
