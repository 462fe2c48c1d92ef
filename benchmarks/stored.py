"""Jobs put straight into a store, far faster than a client would submit them."""

import uuid
from collections.abc import Iterator
from time import time_ns
from typing import Final, NamedTuple

from benchmarks.load import spec
from benchmarks.workload import members
from scheduler.domain.ids import IdGenerator
from scheduler.placement.model import Option
from scheduler.store import submission_book, submissions
from scheduler.store.database import Connection, Database
from scheduler.store.submissions import Fate, Key, NewJob, Submission

_CALL: Final = 5_000
_SPECS: Final = 240


class Waiting(NamedTuple):
    """A job that waits in the store."""

    uid: int
    city: str
    enterprise: str
    option: Option


def now_ms() -> int:
    """The wall clock."""
    return time_ns() // 1_000_000


def fill(db: Database, count: int) -> list[Waiting]:
    """Put so many queued jobs into the store of a site, through the store's own submission."""
    made: list[Waiting] = []
    ids = IdGenerator(0, now_ms)
    for first in range(0, count, _CALL):
        uids = ids.take(min(_CALL, count - first))
        jobs = list(_jobs(uids, first))
        made += [one for _, one in jobs]
        rows = [row for row, _ in jobs]
        db.write_future(lambda c, rows=rows: _store(c, rows)).result()  # type: ignore[misc]
    return made


def _jobs(uids: list[int], first: int) -> Iterator[tuple[NewJob, Waiting]]:
    messages = [spec(number) for number in range(_SPECS)]
    stored = [message.SerializeToString(deterministic=True) for message in messages]
    known = members()
    at_ms = now_ms()
    for number, uid in enumerate(uids, first):
        message = messages[number % _SPECS]
        enterprise, city = known[number * 7 % len(known)]
        asked, wall_s = message.options[0], message.wall_limit.seconds
        option = Option(asked.flavor, asked.units_per_node, 1, wall_s * 1000)
        compact = f'[["{asked.flavor}",{option.units},1,{wall_s}]]'
        yield (
            NewJob(
                uid, enterprise, city, "QUEUED", 0, at_ms, None, message.display_name, compact,
                '{"stage":"benchmark","team":"vision"}', stored[number % _SPECS], "PREFERRED",
                None, 3, "NODE,CENTER",
            ),
            Waiting(uid, city, enterprise, option),
        )  # fmt: skip


def _store(connection: Connection, jobs: list[NewJob]) -> None:
    key = Key(jobs[0].enterprise, str(uuid.uuid4()), bytes(32))
    revision = submission_book.revision(connection)
    (fate,) = submissions.store(connection, [Submission(key, revision, jobs, b"", now_ms())])
    if fate is not Fate.STORED:
        raise RuntimeError(f"the jobs were not stored: {fate}")
