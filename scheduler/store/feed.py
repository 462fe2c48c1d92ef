"""The event feed: what happened, in an order that never changes and has no holes.

A reader that has seen sequence n never later finds an event below n. On SQLite one writer commits
at a time, so a sequence number is visible only once all lower ones are. On PostgreSQL nobody reads
beyond the horizon (``scheduler.store.horizon``): what reads on along the feed is called by
``Database.read_feed``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, text

from scheduler.domain.events import EventKind
from scheduler.domain.principal import Scope
from scheduler.store import horizon, scoping
from scheduler.store.database import bulk_insert, bulk_read
from scheduler.store.job_filter import OPEN
from scheduler.store.tables import Event, table
from scheduler.store.write_batch import WriteBatch

_COLUMNS: Final = (
    "kind", "job_uid", "attempt", "enterprise", "city", "state", "at_ms", "detail",
)  # fmt: skip


class EventRow(NamedTuple):
    """An event to append; ``detail`` is a JSON object of texts, or empty."""

    kind: EventKind
    job_uid: int
    attempt: int
    enterprise: str
    city: str
    state: str
    at_ms: int
    detail: str = ""


def append(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Append events in order, in the caller's transaction."""
    bulk_insert(connection, table(Event), _COLUMNS, rows)


def add(batch: WriteBatch, rows: Sequence[EventRow]) -> None:
    """Add events to what is written, in order."""
    batch.insert(table(Event), _COLUMNS, rows)


# --- reading --------------------------------------------------------------------------------------

#: Events after which a job's state never changes again.
ENDS: Final = frozenset(
    {
        EventKind.SUCCEEDED,
        EventKind.FAILED,
        EventKind.CANCELLED,
        EventKind.EXPIRED,
        EventKind.REJECTED,
    }
)


class JobEvent(NamedTuple):
    """An event about a job, at its place in the feed."""

    seq: int
    kind: str
    uid: int
    attempt: int
    enterprise: str
    city: str
    state: str
    at_ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class Interest:
    """Which events of jobs are wanted, within a scope: of some jobs (None: of all), of an
    enterprise, of a city."""

    scope: Scope
    uids: frozenset[int] | None = None
    enterprise: str = ""
    city: str = ""

    def covers(self, event: JobEvent) -> bool:
        """Whether an event is wanted and may be seen."""
        return (
            (self.uids is None or event.uid in self.uids)
            and self.enterprise in ("", event.enterprise)
            and self.city in ("", event.city)
            and self.scope.covers(event.city, event.enterprise)
        )


_NO_BOUND: Final = (1 << 63) - 1
_EVENTS: Final = (
    "SELECT seq, kind, job_uid, attempt, enterprise, city, state, at_ms, detail FROM event"
)


def newest(connection: Connection) -> int:
    """Return the highest sequence that is seen, 0 if there is none; there may be holes below it."""
    return int(connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM event").scalar_one())


def head(connection: Connection) -> int:
    """Return the sequence of the last event below which there are no holes, 0 if there is none."""
    found = connection.exec_driver_sql(
        f"SELECT coalesce(max(seq), 0) FROM event WHERE seq <= {bound(connection)}"
    )
    return int(found.scalar_one())


def bound(connection: Connection) -> int:
    """Return the sequence beyond which nobody reads on along the feed in this transaction."""
    upto = horizon.of(connection)
    return _NO_BOUND if upto is None else upto


def is_held_up(connection: Connection) -> bool:
    """Whether events are seen that nobody may read on to, for others may come before them."""
    upto = horizon.of(connection)
    return upto is not None and newest(connection) > upto


def beyond(connection: Connection) -> frozenset[int]:
    """Return the events that are seen beyond the bound: whoever takes all that is seen for a state
    at the bound has had these already.
    """
    upto = horizon.of(connection)
    if upto is None:
        return frozenset()
    rows = bulk_read(connection, f"SELECT seq FROM event WHERE seq > {upto}")
    return frozenset(seq for (seq,) in rows)


def read_all(connection: Connection, after: int, limit: int) -> tuple[int, list[JobEvent]]:
    """Return how far was read, at most ``limit`` events after ``after``, and those about jobs."""
    rows = bulk_read(
        connection,
        f"{_EVENTS} WHERE seq > {after} AND seq <= {bound(connection)} ORDER BY seq LIMIT {limit}",
    )
    if not rows:
        return after, []
    return rows[-1][0], [JobEvent(*row) for row in rows if row[2]]


def read(
    connection: Connection, interest: Interest, after: int, until: int, limit: int
) -> tuple[int, list[JobEvent]]:
    """Return how far was read towards ``until``, and what of it is of interest, in order.

    Some jobs are found by index, at most ``limit`` of their events at once; else the next
    ``limit`` events of the feed are looked through, however few of them are of interest.
    """
    scope = interest.scope
    parts = [scoping.enterprises(scope, "city", "enterprise")]
    binds: dict[str, Any] = {"after": after, "limit": limit, **scoping.values(scope)}
    for column in ("enterprise", "city"):
        if value := getattr(interest, column):
            parts.append(f"{column} = :{column}")
            binds[column] = value
    by_job = interest.uids is not None
    reach = until if by_job else min(until, after + limit)
    parts.append("job_uid IN :uids" if by_job else "job_uid <> 0")
    query = text(
        f"{_EVENTS} WHERE seq > :after AND seq <= :reach AND {' AND '.join(parts)}"
        " ORDER BY seq LIMIT :limit"
    )
    if interest.uids is not None:
        query = query.bindparams(sa.bindparam("uids", expanding=True))
        binds["uids"] = sorted(interest.uids)
    events = [JobEvent(*row) for row in connection.execute(query, {**binds, "reach": reach})]
    return (events[-1].seq if len(events) == limit else reach), events


def ended_by(connection: Connection, uids: Collection[int], seq: int) -> set[int]:
    """Return which of these jobs had ended when event ``seq`` was the last.

    The event of the end may be gone by now: those are over whose end is not told after it.
    """
    kinds = ", ".join(repr(str(kind)) for kind in sorted(ENDS))
    query = text(
        f"SELECT uid FROM job WHERE uid IN :uids AND NOT ({OPEN}) AND NOT EXISTS (SELECT 1 FROM"
        f" event e WHERE e.job_uid = job.uid AND e.seq > :seq AND e.kind IN ({kinds}))"
    ).bindparams(sa.bindparam("uids", expanding=True))
    return set(connection.execute(query, {"uids": sorted(uids), "seq": seq}).scalars())


_ALIKE_COLUMNS: Final = ("job_uid", "enterprise", "city", "state", "at_ms")


def add_alike(
    batch: WriteBatch, kind: EventKind, rows: Sequence[tuple[int, str, str, str, int]]
) -> None:
    """Add an event of one kind for each of many jobs to what is written, in order: nothing about a
    run, no detail.

    Rows are (job uid, enterprise, city, state, instant).
    """
    fixed = {"kind": f"'{kind}'", "attempt": "0", "detail": "''"}
    batch.insert(table(Event), _ALIKE_COLUMNS, rows, fixed)
