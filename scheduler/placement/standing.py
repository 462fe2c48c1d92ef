"""Where a job stands in the queue of its city: how many are taken before it if nothing is short.

In the corridor's order the enterprise with the least faded use per weight goes first, with the
first of its jobs by priority and turn; a start raises its use by units times limit. So the
enterprises of a city take turns; a job's place counts those turns. Of classes with many jobs the
first ones are known to the root planner. The others of its own enterprise are counted by the shard,
those of others are taken to come at the pace of those that are known; of very many turns the first
ones are counted.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import chain
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
        if root.policy.order == "fifo":
            if before is None:
                before = root.shards.before(shard, key, entry)
            members = root.census.by_member.get(city) or Counter[str]()
            others = [(city, other, (), "") for other in members if other != enterprise]
            return before + 1 + sum(root.shards.before(shard, one, entry) for one in others)
        # Each enterprise's classes in the order of the turns of their first jobs.
        in_line = root.lines.members.get(city, {})
        classes = {name: member.classes for name, member in in_line.items()}
        mine = classes.pop(enterprise, [])
        rise = root.keys.rise(enterprise, key[2][0], self._now_ms)
        asked = _Job(self._turn(key, entry), rise)
        lines = {name: self._line(of) for name, of in classes.items()}
        before_it = self._before(shard, mine, asked.turn)
        own = self._line([one for one, _ in before_it], [count for _, count in before_it])
        lines[enterprise] = chain(own, [asked])
        found = self._tournament(lines, enterprise, asked)
        counts = sum(waiting.count for of in (mine, *classes.values()) for waiting in of)
        return min(found, max(1, counts if key in root.classes else counts + 1))

    def _before(
        self, shard: int, mine: Sequence[WaitingClass], turn: Turn
    ) -> list[tuple[WaitingClass, int]]:
        """The classes of an enterprise, with how many jobs of each have their turn before one.

        In a class jobs have their turns in the order in which they were queued.
        """
        counts: list[int] = []
        beyond: list[int] = []
        bounds: list[tuple[ClassKey, Entry]] = []
        for at, waiting in enumerate(mine):
            bound = (turn[0], turn[1] - waiting.delay_ms, turn[2], 0)
            counts.append(bisect_left(waiting.window, bound))
            if counts[at] == len(waiting.window) < waiting.count:
                beyond.append(at)
                bounds.append((waiting.key, bound))
        if beyond:
            told = self._root.shards.before_each(shard, bounds)
            for at, count in zip(beyond, told, strict=True):
                counts[at] = count
        return [(waiting, count) for waiting, count in zip(mine, counts, strict=True) if count]

    def _line(
        self, classes: Sequence[WaitingClass], counts: Sequence[int] | None = None
    ) -> Iterator[_Job]:
        """The jobs of classes by turn, so many of each (None: all).

        Classes come in the order of the turns of their first jobs, so that one is looked at only
        when its first job may be the next. Jobs that are not known are taken to have been queued at
        the pace of those that are.
        """
        heads: list[tuple[Turn, int, int]] = []
        let_in = 0
        while True:
            while let_in < len(classes):
                first = classes[let_in].turn()
                if heads and heads[0][0] < first:
                    break
                heappush(heads, (first, let_in, 0))
                let_in += 1
            if not heads:
                return
            turn, at, number = heads[0]
            waiting = classes[at]
            yield _Job(turn, self._rise(waiting))
            number += 1
            if number >= (waiting.count if counts is None else counts[at]):
                heappop(heads)
                continue
            if number < len(waiting.window):
                turn = waiting.turn_of(waiting.window[number])
            else:
                window = waiting.window
                pace_ms = (window[-1][1] - window[0][1]) // len(window)
                turn = (turn[0], turn[1] + pace_ms, turn[2])
            heapreplace(heads, (turn, at, number))

    def _rise(self, waiting: WaitingClass) -> int:
        of = waiting.enterprise, waiting.options[0]
        rise = self._rises.get(of)
        if rise is None:
            rise = self._rises[of] = self._root.keys.rise(*of, self._now_ms)
        return rise

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


def _rank(job: _Job, key: int, enterprise: str) -> _Rank:
    return _Rank(not is_emergency((*job.turn, 0)), key, enterprise)
