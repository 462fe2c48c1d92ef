"""Where a job stands in the queue of its city: how many are taken before it if nothing is short.

In the corridor's order the enterprise with the least faded use per weight goes first, with the
first of its jobs by priority and turn; a start raises its use by units times limit. So the
enterprises of a city take turns; a job's place counts those turns. Of classes with many jobs the
first ones are known to the root planner, the others are taken to be like them; of very many turns
the first ones are counted.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace, merge
from itertools import repeat
from typing import Final, NamedTuple

from scheduler.placement.intake import is_emergency
from scheduler.placement.model import Option
from scheduler.placement.root import RootPlanner
from scheduler.placement.shard import ClassKey, Entry
from scheduler.placement.waiting import Turn, WaitingClass

_TURNS_MAX: Final = 2_000


class _Job(NamedTuple):
    """A waiting job, and by how much its start raises the key of its enterprise."""

    turn: Turn
    rise: int


class _Rank(NamedTuple):
    """Where an enterprise stands among those of its city; the least is taken from next."""

    is_calm: bool
    key: int
    enterprise: str


class Standing:
    """Places in the queues of a root planner at one instant."""

    def __init__(self, root: RootPlanner, now_ms: int) -> None:
        self._root, self._now_ms = root, now_ms
        self._rises: dict[tuple[str, Option], int] = {}

    def waiting_in(self, city: str) -> int:
        """Return how many jobs of a city wait, parked ones included."""
        members = self._root.census.by_member.get(city) or Counter[str]()
        parked = sum(1 for one in self._root.parking.jobs.values() if one.job.city == city)
        return sum(members.values()) + parked

    def place(self, key: ClassKey, entry: Entry, before: int | None) -> int:
        """Return the place of a job in its city, 1 for the next.

        ``before`` is how many of its enterprise are before it, None if that is not known yet.
        """
        root, city, enterprise = self._root, key[0], key[1]
        shard = root.shard_of(city)
        if before is None:
            before = root.shards.before(shard, key, entry)
        if root.policy.order == "fifo":
            members = root.census.by_member.get(city) or Counter[str]()
            others = [(city, other, (), "") for other in members if other != enterprise]
            return before + 1 + sum(root.shards.before(shard, one, entry) for one in others)
        classes: dict[str, list[WaitingClass]] = {enterprise: []}
        for waiting in root.classes.values():
            if waiting.city == city and waiting.spots:
                classes.setdefault(waiting.enterprise, []).append(waiting)
        lines: dict[str, Iterator[_Job]] = {
            name: merge(*map(self._line, of)) for name, of in classes.items()
        }
        rise = root.keys.rise(enterprise, key[2][0], self._now_ms)
        asked, mine = _Job(self._turn(key, entry), rise), classes[enterprise]
        known = sum(bisect_left(waiting.window, entry) for waiting in mine)
        line = merge(*(self._known(waiting) for waiting in mine))
        own = self._own(line, asked, max(0, before - known))
        found = self._tournament({**lines, enterprise: own}, enterprise, asked)
        counts = sum(waiting.count for of in classes.values() for waiting in of)
        return min(found, max(1, counts if key in root.classes else counts + 1))

    def _own(self, line: Iterator[_Job], asked: _Job, unknown: int) -> Iterator[_Job]:
        """The jobs of its own enterprise up to the one that is asked for.

        ``unknown`` more of them are before it.
        """
        for job in line:
            if job.turn >= asked.turn:
                break
            yield job
        yield from repeat(_Job((*asked.turn[:2], -1), asked.rise), unknown)
        yield asked

    def _tournament(self, lines: dict[str, Iterator[_Job]], mine: str, asked: _Job) -> int:
        """Take job by job until the one that is asked for."""
        ranks: list[tuple[_Rank, _Job]] = []
        for name, line in lines.items():
            job = next(line, None)
            if job is not None:
                ranks.append((_rank(job, self._root.keys.enterprise_key(name), name), job))
        heapify(ranks)
        taken = 0
        while taken < _TURNS_MAX:
            rank, job = ranks[0]
            taken += 1
            if job is asked:
                return taken
            name = rank.enterprise
            following = next(lines[name], None)
            if following is None:
                heappop(ranks)
            else:
                heapreplace(ranks, (_rank(following, rank.key + job.rise, name), following))
        # As many of each other enterprise go on to be taken as of its own.
        left = sum(1 for _ in lines[mine])
        return taken + (left + 1) * max(1, len(ranks))

    def _turn(self, key: ClassKey, entry: Entry) -> Turn:
        waiting = self._root.classes.get(key)
        delay_ms = self._root.delay_ms(key) if waiting is None else waiting.delay_ms
        return entry[0], entry[1] + delay_ms, entry[2]

    def _line(self, waiting: WaitingClass) -> Iterator[_Job]:
        """The jobs of a class; those that are not known are like the last one that is."""
        job = None
        for job in self._known(waiting):
            yield job
        if job is not None:
            yield from repeat(job, waiting.count - len(waiting.window))

    def _known(self, waiting: WaitingClass) -> Iterator[_Job]:
        """The known jobs of a class."""
        of = waiting.enterprise, waiting.options[0]
        rise = self._rises.get(of)
        if rise is None:
            rise = self._rises[of] = self._root.keys.rise(*of, self._now_ms)
        for entry in waiting.window:
            yield _Job(waiting.turn_of(entry), rise)


def _rank(job: _Job, key: int, enterprise: str) -> _Rank:
    return _Rank(not is_emergency((*job.turn, 0)), key, enterprise)
