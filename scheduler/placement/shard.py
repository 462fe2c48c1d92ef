"""One shard's queues: all waiting jobs of some cities, by enterprise and shape.

A waiting class is the jobs of one user with equal options; they can start for the same reasons and
are expected to run for as long, so the planner looks at the first of a class and knows about all.
The shard keeps every job, the root planner only the first few of each class (a window), and asks
for more when it has started them all: so what is planned does not depend on how cities are spread
over shards.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from scheduler.placement.columns import JobColumns
from scheduler.placement.model import JobQueued, Option

#: Entries of a class that are told unasked; a class that starts more asks for more each time.
WINDOW: Final = 16

#: (city, enterprise, options, user): what makes jobs alike.
ClassKey = tuple[str, str, tuple[Option, ...], str]
#: (-priority, queued_ms, uid, number of the class in its shard): the order within an enterprise.
#: Uids differ, so the number never decides; four integers cost the garbage collector nothing.
Entry = tuple[int, int, int, int]


#: (shard, queued, removed, taken).
Batch = tuple[int, list[JobQueued | JobColumns], list[int], list[int]]

_GONE: Final[Entry] = (0, 0, 0, 0)


class HeadUpdate(NamedTuple):
    """The first entries of a class and how many there are; none are left when ``total`` is 0."""

    key: ClassKey
    window: tuple[Entry, ...]
    total: int


class Place(NamedTuple):
    """Where a job waits: its class, its entry, and how many of its enterprise are before it."""

    key: ClassKey
    entry: Entry
    before_in_enterprise: int


class Shards(Protocol):
    """The queues by shard: in this process or actors of Ray."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def apply(self, batches: list[Batch]) -> list[HeadUpdate]:
        """Apply (shard, queued, removed, taken) batches."""
        ...

    def more(self, shard: int, key: ClassKey, taken: list[int], size: int) -> HeadUpdate:
        """The next ``size`` entries of a class."""
        ...

    def locate(self, uid: int, taken: list[list[int]]) -> Place | None:
        """Where a job waits."""
        ...

    def before(self, shard: int, key: ClassKey, entry: Entry) -> int:
        """How many waiting jobs of the same city and enterprise come before an entry."""
        ...

    def before_each(self, shard: int, bounds: Sequence[tuple[ClassKey, Entry]]) -> list[int]:
        """How many waiting jobs of each class come before an entry."""
        ...


class _Queue(list[Entry]):
    """The jobs of one class in order from ``first`` on: it is cheap to take from the front."""

    __slots__ = ("first", "key", "number")

    def __init__(self, key: ClassKey, number: int) -> None:
        self.key, self.number = key, number
        self.first = 0

    def left(self) -> int:
        """How many jobs wait."""
        return len(self) - self.first

    def arrange(self) -> None:
        """Bring entries in order that were appended."""
        del self[: self.first]
        self.first = 0
        self.sort()

    def add(self, entry: Entry) -> None:
        """Insert in order."""
        insort(self, entry, lo=self.first)

    def discard(self, entry: Entry) -> None:
        """Remove an entry."""
        at = bisect_left(self, entry, lo=self.first)
        if at == self.first:
            self[at] = _GONE
            self.first += 1
            if self.first > 64 and self.first * 2 > len(self):
                del self[: self.first]
                self.first = 0
        else:
            del self[at]

    def before(self, entry: Entry) -> int:
        """How many entries come before ``entry``."""
        return bisect_left(self, entry, lo=self.first) - self.first

    def window(self, size: int) -> tuple[Entry, ...]:
        """The first entries."""
        return tuple(self[self.first : self.first + size])


class CityShard:
    """All waiting jobs of this shard's cities. Pure: no clock, no I/O."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], dict[ClassKey, _Queue]] = {}
        self._by_number: list[_Queue | None] = []
        self._free_numbers: list[int] = []
        self._jobs: dict[int, Entry] = {}
        #: Options that came as columns, each once.
        self._shared: dict[tuple[Option, ...], tuple[Option, ...]] = {}

    def apply(
        self,
        queued: Iterable[JobQueued | JobColumns],
        removed: Iterable[int],
        taken: Iterable[int],
    ) -> list[HeadUpdate]:
        """Take jobs out, then in; returns the heads of classes whose window or count changed."""
        touched: dict[int, _Queue] = {}
        self._take(taken)
        for uid in removed:
            self._remove(uid, touched)
        jobs, queues = self._jobs, self._queues
        for job in queued:
            if isinstance(job, JobColumns):
                self._add(job, touched)
                continue
            uid, city, enterprise, priority, queued_ms, options, _, user, *_ = job
            if uid in jobs:
                self._remove(uid, touched)
            member = queues.get((city, enterprise))
            queue = None if member is None else member.get((city, enterprise, options, user))
            if queue is None:
                queue = self._queue((city, enterprise, options, user))
            number = queue.number
            entry = jobs[uid] = (-priority, queued_ms, uid, number)
            if not queue or queue[-1] < entry:
                queue.append(entry)
            else:
                queue.add(entry)
            touched[number] = queue
        return [self._head(queue, WINDOW) for queue in touched.values()]

    def _add(self, columns: JobColumns, touched: dict[int, _Queue]) -> None:
        """Take jobs in that come as columns."""
        jobs, city, shared = self._jobs, columns.city, self._shared
        if not jobs.keys().isdisjoint(columns.uids()):
            for uid in columns.uids():
                self._remove(uid, touched)
        asked = [shared.setdefault(options, options) for options in columns.options]
        known: dict[tuple[int, int, int], _Queue] = {}
        unsorted: dict[int, _Queue] = {}
        for uid, priority, queued_ms, enterprise, user, option in columns.rows():
            queue = known.get((enterprise, user, option))
            if queue is None:
                names = columns.enterprises[enterprise], columns.users[user]
                queue = self._queue((city, names[0], asked[option], names[1]))
                known[enterprise, user, option] = touched[queue.number] = queue
            entry = jobs[uid] = (-priority, queued_ms, uid, queue.number)
            if queue and queue[-1] > entry:
                unsorted[queue.number] = queue
            queue.append(entry)
        for queue in unsorted.values():
            queue.arrange()

    def more(self, key: ClassKey, taken: Iterable[int], size: int) -> HeadUpdate:
        """Take out what was started and return the next entries of a class."""
        self._take(taken)
        queue = self._queues.get(key[:2], {}).get(key)
        return HeadUpdate(key, (), 0) if queue is None else self._head(queue, size)

    def locate(self, uid: int, taken: Iterable[int]) -> Place | None:
        """Return where a job waits, None if it does not wait here."""
        self._take(taken)
        entry = self._jobs.get(uid)
        if entry is None:
            return None
        queue = self._numbered(entry)
        return Place(queue.key, entry, self.before(queue.key, entry))

    def before(self, key: ClassKey, entry: Entry) -> int:
        """How many waiting jobs of the same city and enterprise come before ``entry``."""
        queues = self._queues.get(key[:2], {})
        return sum(queue.before(entry) for queue in queues.values())

    def before_each(self, bounds: Sequence[tuple[ClassKey, Entry]]) -> list[int]:
        """How many waiting jobs of each class come before an entry."""
        found: list[int] = []
        for key, entry in bounds:
            queue = self._queues.get(key[:2], {}).get(key)
            found.append(0 if queue is None else queue.before(entry))
        return found

    def _take(self, taken: Iterable[int]) -> None:
        """Forget jobs that the root planner started: it knows that already."""
        touched: dict[int, _Queue] = {}
        for uid in taken:
            self._remove(uid, touched)
        for queue in touched.values():
            self._prune(queue)

    def _head(self, queue: _Queue, size: int) -> HeadUpdate:
        head = HeadUpdate(queue.key, queue.window(size), queue.left())
        self._prune(queue)
        return head

    def _prune(self, queue: _Queue) -> None:
        if queue.left() or self._by_number[queue.number] is not queue:
            return
        self._by_number[queue.number] = None
        self._free_numbers.append(queue.number)
        city, enterprise, *_ = queue.key
        member = self._queues[city, enterprise]
        del member[queue.key]
        if not member:
            del self._queues[city, enterprise]

    def _queue(self, key: ClassKey) -> _Queue:
        """The queue of a class, made if there is none."""
        found = self._queues.get(key[:2], {}).get(key)
        if found is not None:
            return found
        if self._free_numbers:
            number = self._free_numbers.pop()
        else:
            number = len(self._by_number)
            self._by_number.append(None)
        queue = self._by_number[number] = _Queue(key, number)
        self._queues.setdefault(key[:2], {})[key] = queue
        return queue

    def _numbered(self, entry: Entry) -> _Queue:
        queue = self._by_number[entry[3]]
        assert queue is not None, "a queue keeps its number while a job waits in it"
        return queue

    def _remove(self, uid: int, touched: dict[int, _Queue]) -> None:
        entry = self._jobs.pop(uid, None)
        if entry is None:
            return
        queue = self._numbered(entry)
        queue.discard(entry)
        touched[queue.number] = queue


class LocalShards:
    """Shards in this process; ``RayShards`` has the same methods over actors."""

    def __init__(self, count: int) -> None:
        self._shards = [CityShard() for _ in range(count)]

    @property
    def count(self) -> int:
        """How many shards there are."""
        return len(self._shards)

    def apply(
        self,
        batches: Sequence[
            tuple[int, Sequence[JobQueued | JobColumns], Sequence[int], Sequence[int]]
        ],
    ) -> list[HeadUpdate]:
        """Apply (shard, queued, removed, taken) batches."""
        updates: list[HeadUpdate] = []
        for shard, queued, removed, taken in batches:
            updates += self._shards[shard].apply(queued, removed, taken)
        return updates

    def more(self, shard: int, key: ClassKey, taken: Sequence[int], size: int) -> HeadUpdate:
        """Return the next entries of a class."""
        return self._shards[shard].more(key, taken, size)

    def locate(self, uid: int, taken: Sequence[Sequence[int]]) -> Place | None:
        """Return where a job waits; every shard hears what was started."""
        places = [shard.locate(uid, gone) for shard, gone in zip(self._shards, taken, strict=True)]
        return next((place for place in places if place is not None), None)

    def before(self, shard: int, key: ClassKey, entry: Entry) -> int:
        """How many waiting jobs of the same city and enterprise come before ``entry``."""
        return self._shards[shard].before(key, entry)

    def before_each(self, shard: int, bounds: Sequence[tuple[ClassKey, Entry]]) -> list[int]:
        """How many waiting jobs of each class come before an entry."""
        return self._shards[shard].before_each(bounds)
