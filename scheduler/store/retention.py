"""Lets go of what is old: events, jobs that ended, and the keys of requests; never of the books.

The leader does so a little at a time. Of a job that had runs a small rest stays (``Job.pruned``),
and its runs: entries, charges, statements and what centers still have are read together with them.
Everything else of it goes: what was asked for, its events, its place in an array, what it waited
for. A job that never ran goes as a whole.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.ids import element_uid
from scheduler.domain.states import JOB_TERMINAL
from scheduler.store import leader, traces
from scheduler.store.database import bulk_read
from scheduler.store.job_filter import OPEN

#: Rows that one call looks at, so that nobody waits for long.
EVENTS_MAX: Final = 2_000
JOBS_MAX: Final = 200
KEYS_MAX: Final = 1_000
_OVER: Final = f"j.settled AND j.state IN ({', '.join(map(repr, map(str, sorted(JOB_TERMINAL))))})"
_AFTER: Final = "coalesce((SELECT events_upto_seq FROM retention WHERE one = 1), 0)"
#: Spans in which a job was held: what-ifs play them, and they are few. They go with their job.
_WITH_JOBS: Final = "('HELD', 'RELEASED')"


class Kept(NamedTuple):
    """Up to where what is old was let go of (``retention_tables.Retention``); all 0 at first."""

    events_upto_seq: int
    events_upto_ms: int
    jobs_upto_uid: int
    jobs_upto_ms: int


@dataclass(frozen=True, slots=True)
class Gone:
    """How many one call went through, and of which tables how many rows went or were emptied."""

    count: int
    rows: Mapping[str, int]


_NOTHING: Final = Gone(0, {})


def kept(connection: Connection) -> Kept:
    """Return up to where what is old was let go of."""
    row = connection.exec_driver_sql(f"SELECT {', '.join(Kept._fields)} FROM retention").first()
    return Kept(0, 0, 0, 0) if row is None else Kept(*row)


def _keep(connection: Connection, now: Kept) -> None:
    columns = ", ".join(Kept._fields)
    changed = ", ".join(f"{name} = excluded.{name}" for name in Kept._fields)
    connection.exec_driver_sql(
        f"INSERT INTO retention (one, {columns}) VALUES (1, ?, ?, ?, ?)"
        f" ON CONFLICT (one) DO UPDATE SET {changed}",
        tuple(now),
    )


def may_be_pruned(connection: Connection, uids: Collection[int]) -> bool:
    """Whether one of these jobs, of which there is nothing, may have been let go of."""
    return bool(uids) and min(uids) <= kept(connection).jobs_upto_uid


# --- events ---------------------------------------------------------------------------------------


def forget_events(connection: Connection, epoch: int, before_ms: int) -> Gone:
    """Let go of the next events of before an instant; counts those that were looked at.

    In order, and of each once: those of jobs that are not over stay until the job goes. None is
    let go of that a center was not told of, nor the last of all. Raises ``leader.Fenced``.
    """
    leader.check(connection, epoch)
    upto = _next_event(connection, before_ms)
    if upto is None:
        return _NOTHING
    seq, at_ms, count = upto
    known = kept(connection)
    gone = connection.exec_driver_sql(
        f"DELETE FROM event WHERE seq > {known.events_upto_seq} AND seq <= {seq}"
        f" AND kind NOT IN {_WITH_JOBS}"
        " AND NOT EXISTS (SELECT 1 FROM job j WHERE j.uid = event.job_uid"
        f" AND NOT ({_OVER}))"
    ).rowcount
    _keep(connection, known._replace(events_upto_seq=seq, events_upto_ms=at_ms))
    return Gone(count, {"event": gone})


def old_event(connection: Connection, before_ms: int) -> int | None:
    """Return the instant of the first event that is to be let go of; None if none is."""
    first = _next_events(connection, 1)
    return first[0][1] if first and first[0][1] < before_ms else None


def _next_events(connection: Connection, limit: int) -> list[tuple[int, int]]:
    rows = bulk_read(
        connection,
        f"SELECT seq, at_ms FROM event WHERE seq > {_AFTER}"
        " AND seq < (SELECT max(seq) FROM event)"
        " AND seq <= coalesce((SELECT min(upto_seq) FROM acknowledgement),"
        f" (SELECT max(seq) FROM event)) ORDER BY seq LIMIT {limit}",
    )
    return [(seq, at_ms) for seq, at_ms in rows]


def _next_event(connection: Connection, before_ms: int) -> tuple[int, int, int] | None:
    """Return the last of the next events of before an instant, its own, and how many they are."""
    found = None
    for count, (seq, at_ms) in enumerate(_next_events(connection, EVENTS_MAX), 1):
        if at_ms >= before_ms:
            break
        found = seq, at_ms, count
    return found


# --- jobs -----------------------------------------------------------------------------------------

#: An element goes before its array, once that is over; a job goes after those that wait for it;
#: the newest stays, from which the ids of a new process go on.
_OLD: Final = (
    "SELECT j.uid, j.end_ms FROM job j WHERE j.settled AND NOT j.pruned AND j.end_ms < {before_ms}"
    f" AND {_OVER}"
    " AND (j.array_index IS NULL OR NOT EXISTS (SELECT 1 FROM job a WHERE a.uid = j.array_uid"
    f" AND (NOT a.settled OR a.{OPEN} OR a.end_ms >= {{before_ms}})))"
    " AND (j.array_uid IS NULL OR j.array_uid <> j.uid OR NOT EXISTS (SELECT 1 FROM job e"
    " WHERE e.array_uid IS NOT NULL AND e.array_uid = j.uid AND e.array_index IS NOT NULL"
    " AND NOT e.pruned))"
    " AND NOT EXISTS (SELECT 1 FROM job_dependency d JOIN job w ON w.uid = d.job_uid"
    f" WHERE d.on_uid = j.uid AND w.{OPEN})"
    " AND j.uid < (SELECT max(uid) FROM job) ORDER BY j.end_ms LIMIT {limit}"
)


def old_job(connection: Connection, before_ms: int) -> int | None:
    """Return when the first job ended that is to be let go of; None if none is."""
    found = bulk_read(connection, _OLD.format(before_ms=before_ms, limit=1))
    return int(found[0][1]) if found else None


def forget_jobs(connection: Connection, epoch: int, before_ms: int) -> Gone:
    """Let go of some jobs that ended before an instant, and count them. Raises ``leader.Fenced``.

    Those stay that are not settled, and that others wait for which are not over.
    """
    leader.check(connection, epoch)
    rows = bulk_read(connection, _OLD.format(before_ms=before_ms, limit=JOBS_MAX))
    if not rows:
        return _NOTHING
    uids = [uid for uid, _ in rows]
    known = kept(connection)
    last_uid = max(known.jobs_upto_uid, *uids, *_last_elements(connection, uids))
    last_ms = max(known.jobs_upto_ms, rows[-1][1] + 1)
    gone = _forget(connection, uids)
    _keep(connection, known._replace(jobs_upto_uid=last_uid, jobs_upto_ms=last_ms))
    return Gone(len(uids), gone)


def _last_elements(connection: Connection, uids: Sequence[int]) -> list[int]:
    """Return the last elements of those of these jobs that are arrays; they may have no rows."""
    listed = ", ".join(map(str, uids))
    query = f"SELECT array_uid, size FROM job_array WHERE array_uid IN ({listed})"
    return [element_uid(uid, size - 1) for uid, size in bulk_read(connection, query)]


def _forget(connection: Connection, uids: Sequence[int]) -> dict[str, int]:
    """Let go of these jobs; returns how many rows went, by table."""
    run = connection.exec_driver_sql
    listed = ", ".join(map(str, sorted(uids)))
    subjects = ", ".join(f"'j{uid}'" for uid in sorted(uids))
    traces.forget(connection, uids)  # before its arrays, and also while nobody tells of traces
    gone = {
        name: run(f"DELETE FROM {name} WHERE {which}").rowcount
        for name, which in (
            ("event", f"job_uid IN ({listed})"),
            ("reason_spell", f"subject IN ({subjects})"),
            ("job_dependency", f"job_uid IN ({listed}) OR on_uid IN ({listed})"),
            ("job_array", f"array_uid IN ({listed})"),
        )
    }
    ran = "EXISTS (SELECT 1 FROM run r WHERE r.job_uid = job.uid)"
    run(f"DELETE FROM job WHERE uid IN ({listed}) AND NOT {ran}")
    run(
        "UPDATE job SET pruned = TRUE, version = version + 1, display_name = '', options = '[]',"
        f" labels = '{{}}', spec = ?, message = '', failures = '' WHERE uid IN ({listed})",
        (b"",),
    )
    run(f"UPDATE run SET message = '' WHERE job_uid IN ({listed}) AND message <> ''")
    return {**gone, "job": len(uids)}


# --- keys of requests -----------------------------------------------------------------------------


def old_key(connection: Connection, before_ms: int) -> int | None:
    """Return the instant of one of the requests of before an instant; None if there is none.

    Looks through all there are.
    """
    found = bulk_read(
        connection, f"SELECT created_ms FROM request_key WHERE created_ms < {before_ms} LIMIT 1"
    )
    return int(found[0][0]) if found else None


def forget_keys(connection: Connection, epoch: int, before_ms: int) -> Gone:
    """Let go of some requests of before an instant, and count them. Raises ``leader.Fenced``.

    One that is sent again later is a new one.
    """
    leader.check(connection, epoch)
    gone = connection.exec_driver_sql(
        "DELETE FROM request_key WHERE (enterprise, request_id) IN (SELECT enterprise, request_id"
        f" FROM request_key WHERE created_ms < {before_ms} LIMIT {KEYS_MAX})"
    ).rowcount
    return Gone(gone, {"request_key": gone})
