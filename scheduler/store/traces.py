"""Which jobs are followed in traces, and what the feed has that was not told of them yet."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.arrays import ArraySpec
from scheduler.domain.ids import element_uid
from scheduler.domain.job_spans import Followed, News, RunFacts
from scheduler.domain.states import JOB_TERMINAL
from scheduler.domain.traces import FOLLOWED_MAX, TraceContext
from scheduler.store import feed, leader
from scheduler.store.database import among, bulk_insert, bulk_read
from scheduler.store.tables import table
from scheduler.store.trace_tables import JobTrace

#: Events that are looked through at once.
EVENTS_MAX: Final = 20_000
_OVER: Final = ", ".join(repr(str(state)) for state in sorted(JOB_TERMINAL))


class Untold(NamedTuple):
    """Events of followed jobs, in order, after one of the feed up to ``upto_seq``."""

    upto_seq: int
    news: list[News]


def follow(
    connection: Connection, jobs: Iterable[tuple[int, ArraySpec | None]], submitted: TraceContext
) -> None:
    """Note that the first jobs of a call, and the first elements of arrays, are followed."""
    uids: list[int] = []
    for uid, array in jobs:
        uids.append(uid)
        if array is not None:
            uids += [element_uid(uid, index) for index in range(min(array.size, FOLLOWED_MAX))]
        if len(uids) >= FOLLOWED_MAX:
            break
    rows = [(uid, submitted.trace_id, submitted.span_id) for uid in uids[:FOLLOWED_MAX]]
    bulk_insert(connection, table(JobTrace), ("job_uid", "trace_id", "span_id"), rows)


def of(connection: Connection, uids: Collection[int]) -> dict[int, TraceContext]:
    """Return the spans that submitted those of these jobs which are followed."""
    if not uids:
        return {}
    listed, values = among(connection, "job_uid", list(uids))
    rows = bulk_read(
        connection, f"SELECT job_uid, trace_id, span_id FROM job_trace WHERE {listed}", values
    )
    return {uid: TraceContext(trace_id, span_id) for uid, trace_id, span_id in rows}


def begin(connection: Connection, epoch: int) -> int:
    """Return up to where it was told; at first all that there is counts as told.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    connection.exec_driver_sql(
        "INSERT INTO trace_mark (one, upto_seq) VALUES (1, ?) ON CONFLICT DO NOTHING",
        (feed.head(connection),),
    )
    [(upto,)] = bulk_read(connection, "SELECT upto_seq FROM trace_mark WHERE one = 1")
    return int(upto)


def untold(connection: Connection, after: int) -> Untold:
    """Return what the next events after one of the feed say of followed jobs."""
    upto = min(feed.head(connection), after + EVENTS_MAX)
    if upto <= after or not bulk_read(connection, "SELECT 1 FROM job_trace LIMIT 1"):
        return Untold(max(upto, after), [])
    rows = bulk_read(
        connection,
        "SELECT t.trace_id, t.span_id, e.job_uid, e.enterprise, e.city, j.submit_ms, j.attempt,"
        f" j.array_uid, j.array_index, j.settled AND j.state IN ({_OVER}), e.kind, e.attempt,"
        " e.at_ms, e.state, coalesce((SELECT p.end_ms FROM run p WHERE p.job_uid = r.job_uid"
        " AND p.attempt = r.attempt - 1), j.submit_ms), r.center, r.flavor, r.units, r.nodes,"
        " r.state, r.native_id, coalesce(r.failure_class, ''), r.admit_ms, r.accept_ms, r.start_ms,"
        " r.end_ms FROM event e JOIN job_trace t ON t.job_uid = e.job_uid"
        " JOIN job j ON j.uid = e.job_uid LEFT JOIN run r ON r.job_uid = e.job_uid"
        f" AND r.attempt = e.attempt WHERE e.seq > {after} AND e.seq <= {upto} ORDER BY e.seq",
    )
    return Untold(upto, [_news(row) for row in rows])


def _news(row: tuple[Any, ...]) -> News:
    trace_id, span_id, uid, enterprise, city, submit_ms, attempts, array, index, over = row[:10]
    kind, attempt, at_ms, state = row[10:14]
    job = Followed(
        TraceContext(trace_id, span_id), uid, enterprise, city, submit_ms, attempts, array, index,
        bool(over),
    )  # fmt: skip
    run = None if row[15] is None else RunFacts(*row[14:])
    return News(job, kind, attempt, at_ms, state, run)


def keep(connection: Connection, epoch: int, upto_seq: int, over: Sequence[int]) -> None:
    """Keep up to where it was told, and follow no more what is over.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    connection.exec_driver_sql(
        "UPDATE trace_mark SET upto_seq = ? WHERE one = 1 AND upto_seq < ?", (upto_seq, upto_seq)
    )
    forget(connection, over)


def forget(connection: Connection, uids: Collection[int]) -> None:
    """Follow these jobs no more, nor elements of those of them that are arrays."""
    if not uids or not bulk_read(connection, "SELECT 1 FROM job_trace LIMIT 1"):
        return
    arrays, values = among(connection, "array_uid", list(uids))
    going = set(uids)
    for uid, size in bulk_read(
        connection, f"SELECT array_uid, size FROM job_array WHERE {arrays}", values
    ):
        going |= {element_uid(uid, index) for index in range(min(size, FOLLOWED_MAX))}
    listed, values = among(connection, "job_uid", sorted(going))
    # An element that is not settled yet is over for itself.
    connection.exec_driver_sql(
        f"DELETE FROM job_trace WHERE {listed} AND NOT EXISTS (SELECT 1 FROM job j"
        " WHERE j.uid = job_trace.job_uid AND j.array_index IS NOT NULL"
        f" AND NOT (j.settled AND j.state IN ({_OVER})))",
        values,
    )
