"""Very many waiting jobs as columns: what a snapshot is sent and taken in as.

A million jobs one by one cost seconds to pack, to send and to look at; as columns with tables of
what repeats in them (enterprises, users, options) they cost a few bytes and no look each until a
shard makes its queues of them.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from scheduler.placement.model import Delta, JobQueued, Option

_Any = TypeVar("_Any")

_ROWS_MAX: Final = 50_000
#: In the column of evictions: a job that may not be interrupted.
_FIRM: Final = -1


class JobColumns(NamedTuple):
    """Jobs of one city that may start at once and are no emergencies; their uids differ.

    Columns are packed arrays: places in the tables as unsigned of 4 bytes, the others signed of 8.
    ``evictions`` is empty if none may be interrupted, else -1 for those that may not.
    """

    city: str
    enterprises: tuple[str, ...]
    users: tuple[str, ...]
    options: tuple[tuple[Option, ...], ...]
    enterprise: bytes
    user: bytes
    option: bytes
    uid: bytes
    priority: bytes
    queued_ms: bytes
    evictions: bytes = b""

    def uids(self) -> Sequence[int]:
        """Return the uids of the jobs."""
        return unpacked("q", self.uid)

    def stoppable(self) -> Iterator[tuple[int, int]]:
        """Yield the uid of each job that may be interrupted, and how often it was evicted."""
        for uid, evictions in zip(self.uids(), unpacked("q", self.evictions), strict=False):
            if evictions != _FIRM:
                yield uid, evictions

    def rows(self) -> Iterator[tuple[int, int, int, int, int, int]]:
        """Yield (uid, priority, queue time, places of enterprise, user and options) of each job."""
        return zip(
            self.uids(), unpacked("q", self.priority), unpacked("q", self.queued_ms),
            unpacked("I", self.enterprise), unpacked("I", self.user),
            unpacked("I", self.option), strict=True,
        )  # fmt: skip

    def jobs(self) -> Iterator[JobQueued]:
        """Yield the jobs one by one."""
        stoppable = dict(self.stoppable())
        for uid, priority, queued_ms, enterprise, user, option in self.rows():
            yield JobQueued(
                uid, self.city, self.enterprises[enterprise], priority, queued_ms,
                self.options[option], 0, self.users[user], uid in stoppable, stoppable.get(uid, 0),
            )  # fmt: skip


#: What a planner may be told.
Told = Delta | JobColumns


def in_columns(deltas: Iterable[Delta]) -> Iterator[Told]:
    """Yield the deltas of a snapshot, with jobs in columns where they can be, after the others."""
    plain: dict[str, list[JobQueued]] = {}
    for delta in deltas:
        if not isinstance(delta, JobQueued) or delta.not_before_ms or delta.emergency:
            yield delta
            continue
        rows = plain.setdefault(delta.city, [])
        rows.append(delta)
        if len(rows) >= _ROWS_MAX:
            yield columns_of(plain.pop(delta.city))
    for jobs in plain.values():
        yield columns_of(jobs)


def columns_of(jobs: Sequence[JobQueued]) -> JobColumns:
    """Return jobs of one city as columns; none has a time before which it may not start."""
    columns = list(zip(*jobs, strict=True))
    uids, cities, names, priorities, queued_ms, asked, _, user_names, soft, evicted, *_ = columns
    enterprises, enterprise = _table(names)
    users, user = _table(user_names)
    # Options are long to compare, and mostly the same object.
    objects, option = _table(list(map(id, asked)))
    by_id = dict(zip(map(id, asked), asked, strict=True))
    options = tuple(by_id[one] for one in objects)
    evictions = b""
    if any(soft):
        evictions = packed("q", (n if may else _FIRM for n, may in zip(evicted, soft, strict=True)))
    return JobColumns(
        cities[0], enterprises, users, options, packed("I", enterprise), packed("I", user),
        packed("I", option), packed("q", uids), packed("q", priorities),
        packed("q", queued_ms), evictions,
    )  # fmt: skip


def _table(values: Sequence[_Any]) -> tuple[tuple[_Any, ...], Iterable[int]]:
    """The values that differ, and each value's place among them."""
    table = dict.fromkeys(values)
    places = {value: at for at, value in enumerate(table)}
    return tuple(table), map(places.__getitem__, values)


def packed(code: str, values: Iterable[Any]) -> bytes:
    """Return numbers as an array of this type code, packed."""
    return array(code, values).tobytes()


def unpacked(code: str, column: bytes) -> "array[int]":
    """Return the numbers that ``packed`` was given."""
    values: array[int] = array(code)
    values.frombytes(column)
    return values
