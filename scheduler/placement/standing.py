"""Where a job stands in the queue of its city: how many are taken before it if nothing is short.

In the corridor's order the enterprise with the least faded use per weight offers its next job, and
a start raises its use by units times limit. So the enterprises of a city take turns; a job's place
counts those turns. Of classes with many jobs the first ones are known to the root planner, the
others are taken to be like them; of very many turns the first ones are counted.
"""

from collections import Counter
from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace, merge
from itertools import chain, repeat
from typing import Final, NamedTuple

from scheduler.placement.intake import is_emergency
from scheduler.placement.model import Option
from scheduler.placement.root import RootPlanner
from scheduler.placement.shard import ClassKey, Entry
from scheduler.placement.waiting import WaitingClass

_TURNS_MAX: Final = 2_000


class _Turn(NamedTuple):
    """A waiting job, and by how much its start raises the key of its enterprise."""

    entry: Entry
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
            others = [(city, other, ()) for other in members if other != enterprise]
            return before + 1 + sum(root.shards.before(shard, one, entry) for one in others)
        classes: dict[str, list[WaitingClass]] = {enterprise: []}
        for waiting in root.classes.values():
            if waiting.city == city and waiting.spots:
                classes.setdefault(waiting.enterprise, []).append(waiting)
        return self._tournament(classes, enterprise, _Turn(entry, 0), before)

    def _tournament(
        self, classes: dict[str, list[WaitingClass]], mine: str, asked: _Turn, before: int
    ) -> int:
        """Take job by job until the one that is asked for."""
        lines: dict[str, Iterator[_Turn]] = {
            name: merge(*map(self._line, of)) for name, of in classes.items()
        }
        own = (turn for turn in lines[mine] if turn.entry[2] != asked.entry[2])
        firsts = [next(own, asked) for _ in range(min(before, _TURNS_MAX))]
        lines[mine] = chain(firsts, [asked])
        ranks: list[tuple[_Rank, _Turn]] = []
        for name, line in lines.items():
            turn = next(line, None)
            if turn is not None:
                ranks.append((self._rank(turn, self._root.keys.enterprise_key(name), name), turn))
        heapify(ranks)
        taken = own_taken = 0
        while taken < _TURNS_MAX:
            rank, turn = ranks[0]
            taken += 1
            name = rank.enterprise
            if name == mine:
                own_taken += 1
                if own_taken > before:
                    return taken
            following = next(lines[name], None)
            if following is None:
                heappop(ranks)
            else:
                rise = rank.key + turn.rise
                heapreplace(ranks, (self._rank(following, rise, name), following))
        # As it went until here, so it goes on.
        return max(taken, taken * (before + 1) // max(1, own_taken))

    def _rank(self, turn: _Turn, key: int, enterprise: str) -> _Rank:
        return _Rank(not is_emergency(turn.entry), key, enterprise)

    def _line(self, waiting: WaitingClass) -> Iterator[_Turn]:
        """The jobs of a class; those that are not known are like the last one that is."""
        of = waiting.enterprise, waiting.options[0]
        rise = self._rises.get(of)
        if rise is None:
            rise = self._rises[of] = self._root.keys.rise(*of, self._now_ms)
        for entry in waiting.window:
            yield _Turn(entry, rise)
        yield from repeat(_Turn(waiting.window[-1], rise), waiting.count - len(waiting.window))
