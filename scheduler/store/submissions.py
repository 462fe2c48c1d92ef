"""Stores submitted jobs: many calls in one transaction, each under its request key.

A request key is (enterprise, request id) with the digest of what was sent and the answer that was
given. Who sends the same again gets the same answer; who sends another payload is refused. The
key, the jobs and their events are stored together or not at all.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.arrays import ArraySpec
from scheduler.domain.events import EventKind
from scheduler.domain.ids import job_id, replica_of, tick_of
from scheduler.domain.principal import Principal, Scope
from scheduler.domain.traces import FOLLOWED_MAX, TraceContext
from scheduler.store import audit_trail, elements, feed, submission_book, traces
from scheduler.store.bulk import bulk_read, driver_of
from scheduler.store.engine import translated
from scheduler.store.job_filter import KEPT
from scheduler.store.job_tables import JobArray, JobDependency
from scheduler.store.submission_book import Revision
from scheduler.store.tables import Job, RequestKey, table
from scheduler.store.write_batch import WriteBatch

_LISTED_MAX: Final = 5_000


class More(NamedTuple):
    """What only some jobs say; the rest stores nothing for it.

    ``waits_for`` has (uid, condition) of jobs that have to end first; they are there, or come with
    the same call.
    """

    not_before_ms: int = 0
    finish_by_ms: int | None = None
    notice_s: int = 0
    interruptible: bool = False
    emergency: bool = False
    array: ArraySpec | None = None
    waits_for: tuple[tuple[int, str], ...] = ()
    contract: str = ""
    project: str = ""


class NewJob(NamedTuple):
    """A job to store. ``options`` is the planner's form, ``spec`` the message as it was sent."""

    uid: int
    enterprise: str
    city: str
    state: str
    priority: int
    submit_ms: int
    deadline_ms: int | None
    display_name: str
    options: str
    labels: str
    spec: bytes
    subsidy: str
    self_pay_max_fen: int | None
    attempts_max: int
    retry_on: str
    user_name: str = ""
    more: More | None = None


class Key(NamedTuple):
    """A caller's key for one call and the SHA-256 of what it sent."""

    enterprise: str
    request_id: str
    payload_sha256: bytes


@dataclass(frozen=True, slots=True)
class Submission:
    """The accepted jobs of one call, the answer to it, and the book they were judged by.

    ``actor`` is who called, at ``wall_ms`` of wall-clock time: that emergencies come is audited.
    ``trace`` is the call's span, if its jobs are to be followed.
    """

    key: Key
    revision: Revision
    jobs: Sequence[NewJob]
    answer: bytes
    now_ms: int
    actor: Principal | None = None
    wall_ms: int = 0
    trace: TraceContext | None = None


class Earlier(NamedTuple):
    """What was stored under a key before."""

    payload_sha256: bytes
    answer: bytes


class Fate(Enum):
    """What became of a submission that was not stored before."""

    STORED = "STORED"
    STALE = "STALE"  # settings changed since it was judged; nothing was stored


Outcome = Fate | Earlier


def find(connection: Connection, keys: Iterable[Key]) -> dict[tuple[str, str], Earlier]:
    """Return what is stored under these keys, by (enterprise, request id)."""
    pairs = [(key.enterprise, key.request_id) for key in keys]
    # The join is written in its order: SQLite would scan all keys for `IN (VALUES ...)`.
    rows = connection.exec_driver_sql(
        f"WITH asked (enterprise, request_id) AS (VALUES {', '.join(['(?, ?)'] * len(pairs))})"
        " SELECT k.enterprise, k.request_id, k.payload_sha256, k.answer"
        " FROM asked CROSS JOIN request_key k"
        " WHERE k.enterprise = asked.enterprise AND k.request_id = asked.request_id",
        tuple(chain.from_iterable(pairs)),
    )
    return _earlier(rows)


def _earlier(rows: Iterable[Any]) -> dict[tuple[str, str], Earlier]:
    return {(row[0], row[1]): Earlier(bytes(row[2]), bytes(row[3])) for row in rows}


#: The same for any number of keys, so that it stays prepared (PostgreSQL).
_FIND: Final = translated(
    "SELECT k.enterprise, k.request_id, k.payload_sha256, k.answer"
    " FROM unnest((SELECT ?::text[]), (SELECT ?::text[])) AS asked (enterprise, request_id)"
    " JOIN request_key k"
    " ON k.enterprise = asked.enterprise AND k.request_id = asked.request_id"
)


def _look(
    connection: Connection, submissions: Sequence[Submission]
) -> tuple[dict[tuple[str, str], Earlier], set[Revision]]:
    """Return what is stored under the keys, and which books are current: one way there and back."""
    keys, judged = [one.key for one in submissions], {one.revision for one in submissions}
    if connection.dialect.name == "sqlite":
        current = {one for one in judged if submission_book.is_current(connection, one)}
        return find(connection, keys), current
    named = [one.enterprise for one in keys], [one.request_id for one in keys]
    with driver_of(connection, _FIND) as driver, driver.pipeline():
        found = driver.execute(_FIND, named)
        asked = [(one, driver.execute(submission_book.changed_since(one))) for one in judged]
    changed = {one: tuple(seq for (seq,) in rows.fetchall()) for one, rows in asked}
    return _earlier(found.fetchall()), {one for one in judged if changed[one] == one.beyond}


def store(connection: Connection, submissions: Sequence[Submission]) -> list[Outcome]:
    """Store the submissions of several calls at once; gives each its outcome, in their order.

    Of two with one key the first is stored and the second finds it. One that was judged by
    another book than the present one is not stored.
    """
    known, current = _look(connection, submissions)
    outcomes: list[Outcome] = []
    fresh: list[Submission] = []
    for one in submissions:
        pair = (one.key.enterprise, one.key.request_id)
        earlier = known.get(pair)
        if earlier is not None:
            outcomes.append(earlier)
        elif one.revision not in current:
            outcomes.append(Fate.STALE)
        else:
            known[pair] = Earlier(one.key.payload_sha256, one.answer)
            fresh.append(one)
            outcomes.append(Fate.STORED)
    _insert(connection, fresh)
    return outcomes


#: What a job begins with beside the columns of ``NewJob``.
_BEGINNING: Final = {
    "version": "1",
    "not_before_ms": "0",
    "attempt": "0",
    "cancel_requested": "FALSE",
    "message": "''",
    "gross_fen": "0",
    "subsidy_fen": "0",
    "self_pay_fen": "0",
    "settled": "FALSE",
}
_KEY_COLUMNS: Final = ("enterprise", "request_id", "payload_sha256", "answer", "created_ms")


#: Columns that every job states, and those that only some do.
_PLAIN: Final = NewJob._fields[:-1]
_SOME: Final = (
    *_PLAIN, "not_before_ms", "finish_by_ms", "notice_s", "interruptible", "emergency", "gated",
    "array_uid", "contract", "project",
)  # fmt: skip


def _insert(connection: Connection, fresh: Sequence[Submission]) -> None:
    jobs = [job for one in fresh for job in one.jobs]
    keys: list[tuple[Any, ...]] = [(*one.key, one.answer, one.now_ms) for one in fresh]
    for one in fresh:
        _audit_emergencies(connection, one)
        if one.trace is not None:
            followed = [(job.uid, job.more and job.more.array) for job in one.jobs[:FOLLOWED_MAX]]
            traces.follow(connection, followed, one.trace)
    plain = [job[:-1] for job in jobs if job.more is None]
    batch = WriteBatch()
    batch.insert(table(RequestKey), _KEY_COLUMNS, keys)
    batch.insert(table(Job), _PLAIN, plain, _BEGINNING)
    if len(plain) == len(jobs):
        events = [(job.uid, job.enterprise, job.city, job.state, job.submit_ms) for job in jobs]
        feed.add_alike(batch, EventKind.SUBMITTED, events)
    else:
        _add_some(batch, jobs)
    batch.write(connection)
    # Whoever is waited for is a job like any other.
    waited = {on_uid for job in jobs if job.more is not None for on_uid, _ in job.more.waits_for}
    if waited:
        named = elements.find(connection, waited)
        elements.make_rows(connection, list(named.values()), jobs[0].submit_ms)


def _audit_emergencies(connection: Connection, one: Submission) -> None:
    """Note who let jobs of a call go before all others."""
    urgent = [job for job in one.jobs if job.more is not None and job.more.emergency]
    if urgent and one.actor is not None:
        owners = [
            audit_trail.Owner(
                job.city, job.enterprise, f"jobs/{job_id(job.uid)}", {"emergency": True}
            )
            for job in urgent
        ]
        audit_trail.record_owners(
            connection, one.actor, EventKind.EMERGENCY_GRANTED, owners, at_ms=one.wall_ms,
            reason="submitted as an emergency",
        )  # fmt: skip


def _add_some(batch: WriteBatch, jobs: Sequence[NewJob]) -> None:
    """Add those of the jobs that say more, and the events of all in their order."""
    some = [(job, job.more) for job in jobs if job.more is not None]
    rows = [
        (
            *job[:-1], more.not_before_ms, more.finish_by_ms, more.notice_s, more.interruptible,
            more.emergency, bool(more.waits_for), job.uid if more.array else None,
            more.contract, more.project,
        )
        for job, more in some
    ]  # fmt: skip
    fixed = {name: value for name, value in _BEGINNING.items() if name != "not_before_ms"}
    batch.insert(table(Job), _SOME, rows, fixed)
    waits = [(job.uid, *one) for job, more in some for one in more.waits_for]
    batch.insert(table(JobDependency), ("job_uid", "on_uid", "condition"), waits)
    arrays = [
        (
            job.uid, replica_of(job.uid), tick_of(job.uid), more.array.size,
            more.array.concurrency_max or None, job.state,
        )
        for job, more in some
        if more.array
    ]  # fmt: skip
    batch.insert(table(JobArray), _ARRAY_COLUMNS, arrays, _ARRAY_BEGINNING)
    events = [
        feed.EventRow(
            EventKind.SUBMITTED, job.uid, 0, job.enterprise, job.city, job.state, job.submit_ms,
            _detail(job.more),
        )
        for job in jobs
    ]  # fmt: skip
    feed.add(batch, events)


_ARRAY_COLUMNS: Final = (
    "array_uid", "replica", "first_tick", "size", "concurrency_max", "rest_state",
)  # fmt: skip
_ARRAY_BEGINNING: Final = {"opened": "0", "made": "0", "ahead": "0"}


def _detail(more: More | None) -> str:
    """What the event says: never empty for arrays and for jobs that wait for others, as those are
    found by it."""
    found: dict[str, str] = {}
    if more is not None and more.array is not None:
        found["array_size"] = str(more.array.size)
    if more is not None and more.waits_for:
        found["depends_on"] = str(len(more.waits_for))
    return json.dumps(found) if found else ""


def known_jobs(
    connection: Connection, enterprise: str, named: Mapping[int, int | None]
) -> set[int]:
    """Return which of these jobs an enterprise has, elements that have no row yet among them.

    ``named`` gives for each the array whose element it is said to be, None if none is named.
    """
    found: set[int] = set()
    rows: set[int] = set()
    listed = sorted(named)
    for first in range(0, len(listed), _LISTED_MAX):
        some = ", ".join(map(str, listed[first : first + _LISTED_MAX]))
        query = f"SELECT uid, enterprise FROM job WHERE uid IN ({some}) AND {KEPT}"
        for uid, owner in bulk_read(connection, query):
            rows.add(uid)
            if owner == enterprise:
                found.add(uid)
    left = [uid for uid in listed if uid not in rows]
    found.update(
        one.uid for one in elements.find(connection, left).values() if one.enterprise == enterprise
    )
    pairs = [(array, uid) for uid, array in named.items() if array is not None]
    wrong = elements.not_of_arrays(connection, Scope(enterprise=enterprise), pairs)
    return found - {uid for _, uid in wrong}
