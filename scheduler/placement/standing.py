"""Where a job stands in the queue of its city: how many are taken before it if nothing is short.

In the corridor's order the enterprise with the least faded use per weight offers its next job, and
a start raises its use by units times limit. So the enterprises of a city take turns; a job's place
counts those turns. Of classes with many jobs the first ones are known to the root planner, the
others count with what the known ones ask for on average.
"""

from collections import Counter
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple

from scheduler.placement.intake import is_emergency
from scheduler.placement.model import Option
from scheduler.placement.root import RootPlanner
from scheduler.placement.shard import ClassKey, Entry
from scheduler.placement.waiting import WaitingClass

#: Jobs of one enterprise that are looked at one by one.
_LOOKED_AT_MAX: Final = 64


class _Turn(NamedTuple):
    """A waiting job and by how much its start raises the key of its enterprise."""

    entry: Entry
    rise: int


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
        members = root.census.by_member.get(city) or Counter[str]()
        others = [name for name, jobs in members.items() if jobs and name != enterprise]
        if root.policy.order == "fifo":
            asked = ((city, other, ()) for other in others)
            return before + 1 + sum(root.shards.before(shard, one, entry) for one in asked)
        turns: dict[str, list[WaitingClass]] = {}
        for waiting in root.classes.values():
            if waiting.city == city and waiting.spots:
                turns.setdefault(waiting.enterprise, []).append(waiting)
        if is_emergency(entry):
            urgent = (
                one.entry < entry and is_emergency(one.entry)
                for other in others
                for one in self._turns(turns.get(other, []))
            )
            return before + 1 + sum(urgent)
        mine = self._key_after(enterprise, turns.get(enterprise, []), before)
        return (
            before
            + 1
            + sum(self._taken(other, turns.get(other, []), (mine, enterprise)) for other in others)
        )

    def _turns(self, classes: list[WaitingClass]) -> Iterator[_Turn]:
        """The first jobs of an enterprise in order."""
        lines = [self._line(waiting) for waiting in classes]
        return islice(merge(*lines), _LOOKED_AT_MAX)

    def _line(self, waiting: WaitingClass) -> Iterator[_Turn]:
        of = waiting.enterprise, waiting.options[0]
        rise = self._rises.get(of)
        if rise is None:
            rise = self._rises[of] = self._root.keys.rise(*of, self._now_ms)
        for entry in waiting.window:
            yield _Turn(entry, rise)

    def _key_after(self, enterprise: str, classes: list[WaitingClass], jobs: int) -> int:
        """The key of an enterprise once so many of its jobs were taken."""
        key = self._root.keys.enterprise_key(enterprise)
        known = risen = 0
        for turn in self._turns(classes):
            if known == jobs:
                break
            known += 1
            risen += turn.rise
        return key + risen + (jobs - known) * (risen // max(1, known))

    def _taken(self, other: str, classes: list[WaitingClass], mine: tuple[int, str]) -> int:
        """How many jobs of another enterprise are taken while it comes before ``mine``."""
        key = self._root.keys.enterprise_key(other)
        count = sum(waiting.count for waiting in classes)
        taken = risen = 0
        for turn in self._turns(classes):
            if (key + risen, other) >= mine and not is_emergency(turn.entry):
                return taken
            taken += 1
            risen += turn.rise
        if taken == count or (key + risen, other) >= mine:
            return taken
        each = max(1, risen // max(1, taken))
        return min(count, taken + -(-(mine[0] - key - risen) // each))
