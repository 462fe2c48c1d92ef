"""What the planner is told of waiting jobs: those with rows, and elements that have none yet.

An element without a row is told with its own uid and all that its array says. Which elements are
told is a function of the store alone: those below ``opened`` that have no row, of an array that is
queued.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection

from scheduler.domain.evicting import may_be_interrupted
from scheduler.domain.ids import element_uid
from scheduler.placement.model import JobQueued, Option
from scheduler.store.database import bulk_read, bulk_stream
from scheduler.store.job_filter import OPEN

#: What ``job_of`` reads, of table ``job`` as ``j``.
COLUMNS: Final = (
    "j.uid, j.city, j.enterprise, j.priority, j.submit_ms, j.options, j.not_before_ms, j.subsidy,"
    " j.self_pay_max_fen, j.user_name, j.interruptible, j.evictions, j.emergency,"
    " j.attempt = 0"
)
#: Jobs the planner may be told of by their own rows: queued, waiting for no other, no array.
TOLD: Final = "j.state = 'QUEUED' AND NOT j.gated AND (j.array_uid IS NULL OR j.array_uid <> j.uid)"


@lru_cache(maxsize=65_536)
def options_of(
    compact: str, subsidy: str = "PREFERRED", self_pay_max_fen: int | None = None
) -> tuple[Option, ...]:
    """Return the planner's options from their compact JSON and the job's terms of payment.

    Equal arguments give the same object.
    """
    terms = ""
    if subsidy != "PREFERRED" or self_pay_max_fen is not None:
        terms = subsidy if self_pay_max_fen is None else f"{subsidy} {self_pay_max_fen}"
    return tuple(
        Option(
            flavor, units, nodes, wall_s * 1000, terms, index,
            units_min=more[0] if more else 0, stage_ms=more[1] * 1000 if more else 0,
        )
        for index, (flavor, units, nodes, wall_s, *more) in enumerate(json.loads(compact))
    )  # fmt: skip


def job_of(row: Sequence[Any]) -> JobQueued:
    """Return a job as the planner is told of it; ``row`` begins with ``COLUMNS``."""
    (
        uid, city, enterprise, priority, submit_ms, options, not_before_ms, subsidy, self_pay,
        user, interruptible, evictions, emergency, untried,
    ) = row[:14]  # fmt: skip
    found = options_of(options, subsidy, self_pay)
    return JobQueued(
        uid, city, enterprise, priority, submit_ms, found, not_before_ms, user,
        may_be_interrupted(bool(interruptible), evictions), evictions, bool(emergency),
        bool(untried and not_before_ms),
    )  # fmt: skip


def waiting(connection: Connection) -> Iterator[JobQueued]:
    """Yield every job that the planner is to be told of, elements without rows last."""
    rows = bulk_stream(
        connection, f"SELECT {COLUMNS} FROM job j WHERE {OPEN} AND {TOLD} ORDER BY j.uid"
    )
    for row in rows:
        yield job_of(row)
    opened = bulk_read(
        connection,
        f"SELECT a.array_uid FROM job j JOIN job_array a ON a.array_uid = j.uid WHERE {OPEN}"
        " AND a.opened > 0 ORDER BY a.array_uid",
    )
    for array in arrays(connection, [uid for (uid,) in opened]).values():
        yield from array.waiting()


@dataclass(slots=True)
class ArrayNow:
    """An array as it stands: what its elements are told as, and which of them have rows."""

    job: JobQueued
    is_queued: bool
    opened: int
    rows: set[int]

    def without_rows(self, first: int = 0, until: int | None = None) -> Iterator[int]:
        """Yield the uids of opened elements from ``first`` up to ``until`` that have no row."""
        end = self.opened if until is None else min(until, self.opened)
        for index in range(first, end):
            if index not in self.rows:
                yield element_uid(self.job.uid, index)

    def waiting(self, first: int = 0, until: int | None = None) -> Iterator[JobQueued]:
        """Yield those of them that wait to be placed."""
        if self.is_queued:
            for uid in self.without_rows(first, until):
                yield self.job._replace(uid=uid)


def arrays(connection: Connection, uids: Iterable[int]) -> dict[int, ArrayNow]:
    """Return those of these jobs that are arrays, as they stand."""
    listed = ", ".join(map(str, sorted(set(uids))))
    if not listed:
        return {}
    found = {
        row[0]: ArrayNow(job_of(row), row[14] == "QUEUED" and not row[15], row[16], set())
        for row in bulk_read(
            connection,
            f"SELECT {COLUMNS}, j.state, j.gated, a.opened FROM job_array a"
            f" JOIN job j ON j.uid = a.array_uid WHERE a.array_uid IN ({listed})",
        )
    }
    if found:
        listed = ", ".join(map(str, sorted(found)))
        for array_uid, index in bulk_read(
            connection,
            "SELECT array_uid, array_index FROM job WHERE array_uid IS NOT NULL"
            f" AND array_uid IN ({listed}) AND array_index IS NOT NULL",
        ):
            found[array_uid].rows.add(index)
    return found


def next_element(connection: Connection, array_uid: int) -> int | None:
    """Return the first element of an array that waits to be placed; None if none does."""
    row = connection.exec_driver_sql(
        "SELECT min(uid) FROM job j WHERE j.array_uid IS NOT NULL"
        f" AND j.array_uid = {array_uid} AND j.array_index IS NOT NULL AND {TOLD}"
    ).scalar()
    array = arrays(connection, [array_uid]).get(array_uid)
    without_row = None if array is None else next(array.waiting(), None)
    return min(
        (uid for uid in (row, None if without_row is None else without_row.uid) if uid is not None),
        default=None,
    )
