"""Runs on their way to a center: what is still to be sent, what is to be followed."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.evicting import EvictCause
from scheduler.domain.states import JobState, RunState
from scheduler.domain.traces import TraceContext
from scheduler.store import array_commands, feed, leader, write_batch
from scheduler.store.database import among, bulk_read, bulk_update
from scheduler.store.ingest import end_unsent
from scheduler.store.run_changes import Ingested
from scheduler.store.run_state import RunKey, load_runs

_SENDABLE = frozenset({RunState.PENDING, RunState.SUBMITTING, RunState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class ToSend:
    """A run whose intent is durable, with what its center must be told; ``spec`` as submitted.

    Of an element: its array's spec and uid, its index, and how many elements there are. ``fresh``
    says that no intent to send it was ever made durable before.
    """

    uid: int
    attempt: int
    city: str
    enterprise: str
    flavor: str
    option_index: int
    units: int
    nodes: int
    wall_limit_s: int
    spec: bytes
    array_uid: int | None = None
    array_index: int = 0
    array_size: int = 0
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended or is not settled: what a worker takes over at its start.

    ``taken`` says that its center once had it, under ``native_id`` since ``submit_ms``, ``begun``
    that it was seen to run there. ``cause`` is that of the platform's order to end it, its grace,
    and when it is due, None until its program was told. ``trace`` is the span of its submission, if
    it is followed.
    """

    uid: int
    attempt: int
    center: str
    state: RunState
    sequence: int
    taken: bool
    cancel: bool
    cause: EvictCause | None = None
    grace_ms: int = 0
    deadline_ms: int | None = None
    native_id: str = ""
    submit_ms: int = 0
    begun: bool = False
    city: str = ""
    enterprise: str = ""
    trace: TraceContext | None = None


def mark_submitting(
    connection: Connection, epoch: int, keys: Sequence[RunKey], now_ms: int
) -> tuple[list[ToSend], Ingested]:
    """Make the intent to send durable; runs that are to end meanwhile do so unsent.

    The caller gives runs that are certainly not at the center: never sent, or sent without effect,
    or looked up and proven absent; the last two are sent again under the same name, not ``fresh``.
    A run that its center has, by what is stored, is never sent again, whatever the caller thinks:
    what a center forgot is reported before. Gives what to send, and what ended; ``done`` of it
    also names runs that are over anyhow. Raises ``leader.Fenced``.
    """
    leader.check(connection, epoch)
    runs = load_runs(connection, {uid for uid, _ in keys})
    mine = [runs[key] for key in dict.fromkeys(keys) if key in runs]
    waiting = [run for run in mine if run.state in _SENDABLE and run.accept_ms is None]
    unsent = [run.key for run in waiting if run.unwanted]
    going = [run for run in waiting if not run.unwanted]
    ended = end_unsent(connection, epoch, unsent, now_ms) if unsent else Ingested()
    ended.done += [key for key in keys if key not in runs or runs[key].over]
    fresh = {run.key: run.state is RunState.PENDING for run in going}
    with write_batch.going(connection) as batch:
        batch.update(
            "UPDATE run SET state = 'SUBMITTING', message = '', submitting_ms = v.column4,"
            " epoch = v.column5 FROM {values} WHERE job_uid = v.column1 AND attempt = v.column2"
            " AND state = v.column3",
            [(*run.key, run.state, now_ms, epoch) for run in going],
            "runs moved beside the leader",
        )
        feed.add(
            batch,
            [
                feed.EventRow(
                    EventKind.RUN_SUBMITTED, run.uid, run.attempt, run.enterprise, run.city,
                    JobState.ADMITTED, now_ms,
                )
                for run in going
                if fresh[run.key]
            ],
        )  # fmt: skip
    return _to_send(connection, fresh), ended


def _to_send(connection: Connection, fresh: Mapping[RunKey, bool]) -> list[ToSend]:
    """Return what is to be sent of some runs, and whether each is ``fresh``."""
    if not fresh:
        return []
    of_runs, values = among(connection, "r.job_uid", [uid for uid, _ in fresh])
    rows = bulk_read(
        connection,
        "SELECT r.job_uid, r.attempt, r.city, r.enterprise, r.flavor, r.option_index, r.units,"
        " r.nodes, r.wall_limit_s, coalesce(a.spec, j.spec), a.uid, j.array_index, b.size"
        " FROM run r JOIN job j ON j.uid = r.job_uid LEFT JOIN job a ON a.uid = j.array_uid"
        " LEFT JOIN job_array b ON b.array_uid = a.uid"
        f" WHERE {of_runs} AND r.state = 'SUBMITTING'",
        values,
    )
    found = {key: ToSend(*[*row, fresh[key]]) for row in rows if (key := (row[0], row[1])) in fresh}
    return [found[key] for key in fresh if key in found]


def open_runs(connection: Connection) -> list[OpenRun]:
    """Return all runs that have not ended or are not settled, oldest first."""
    rows = connection.exec_driver_sql(
        "SELECT r.job_uid, r.attempt, r.center, r.state, r.sequence, r.accept_ms IS NOT NULL,"
        " j.cancel_requested, r.evict_cause, r.evict_grace_ms, r.evict_deadline_ms, r.native_id,"
        " coalesce(r.accept_ms, 0), r.start_ms IS NOT NULL, r.city, r.enterprise, t.trace_id,"
        " t.span_id FROM run r JOIN job j ON j.uid = r.job_uid"
        " LEFT JOIN job_trace t ON t.job_uid = r.job_uid"
        " WHERE r.settled_ms IS NULL ORDER BY r.job_uid, r.attempt"
    )
    return [_open_run(*row) for row in rows]


def _open_run(
    uid: int, attempt: int, center: str, state: str, sequence: int, taken: int, cancel: int,
    cause: str | None, grace_ms: int | None, deadline_ms: int | None, native_id: str | None,
    submit_ms: int, begun: int, city: str, enterprise: str, trace_id: str | None,
    span_id: str | None,
) -> OpenRun:  # fmt: skip
    return OpenRun(
        uid, attempt, center, RunState(state), sequence, bool(taken), bool(cancel),
        EvictCause(cause) if cause else None, grace_ms or 0, deadline_ms, native_id or "",
        submit_ms, bool(begun), sys.intern(city), sys.intern(enterprise),
        TraceContext(trace_id, span_id) if trace_id and span_id else None,
    )  # fmt: skip


def finished(connection: Connection, keys: Sequence[RunKey]) -> set[RunKey]:
    """Return which of these runs the store knows and holds to be ended."""
    if not keys:
        return set()
    listed = ", ".join(str(uid) for uid, _ in keys)
    rows = connection.exec_driver_sql(
        f"SELECT job_uid, attempt FROM run WHERE job_uid IN ({listed})"
        " AND state IN ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PREEMPTED', 'LOST')"
    )
    return {(uid, attempt) for uid, attempt in rows} & set(keys)


def cancel_wanted(connection: Connection, after: int, upto: int) -> list[int]:
    """Return jobs whose end was asked for by events after ``after`` up to ``upto``."""
    rows = connection.exec_driver_sql(
        f"SELECT job_uid FROM event WHERE seq > {after} AND seq <= {upto}"
        f" AND kind = '{EventKind.CANCEL_REQUESTED}' ORDER BY seq"
    )
    return [uid for (uid,) in rows]


def expire(connection: Connection, epoch: int, now_ms: int, limit: int = 1_000) -> int:
    """End waiting jobs that it is too late to start; returns how many.

    One that ran before is settled only once its runs are. Of an array of which some elements were
    started the others expire, and it ends with the last of those.
    """
    leader.check(connection, epoch)
    rows = connection.exec_driver_sql(
        "SELECT uid, enterprise, city, state, NOT EXISTS (SELECT 1 FROM run r"
        " WHERE r.job_uid = job.uid AND r.settled_ms IS NULL), coalesce(finish_by_ms, 0),"
        " coalesce((SELECT a.made FROM job_array a WHERE a.array_uid = job.uid), 0) FROM job"
        " WHERE state IN ('QUEUED', 'HELD') AND deadline_ms IS NOT NULL"
        f" AND deadline_ms <= {now_ms} ORDER BY deadline_ms, uid LIMIT {limit}"
    ).all()
    changed = bulk_update(
        connection,
        "UPDATE job SET state = v.column3, version = version + 1, end_ms = v.column4,"
        " settled = v.column5, message = v.column6 FROM {values}"
        " WHERE uid = v.column1 AND state = v.column2",
        [_expired(row, now_ms) for row in rows],
    )
    if changed != len(rows):
        raise RuntimeError(f"{len(rows) - changed} jobs moved beside the leader")
    array_commands.follow_rest(connection, [row[0] for row in rows], JobState.EXPIRED)
    events = []
    for uid, enterprise, city, _, _, _, made in rows:
        kind, state = EventKind.EXPIRED, JobState.EXPIRED
        if made:
            kind, state = EventKind.REST_EXPIRED, JobState.RUNNING
        events.append(feed.EventRow(kind, uid, 0, enterprise, city, state, now_ms))
    feed.append(connection, events)
    return len(rows)


def _expired(row: Any, now_ms: int) -> tuple[Any, ...]:
    """What becomes of one job: uid, old and new state, end, whether it is settled, message."""
    uid, _, _, state, settled, finish_by_ms, made = row
    if made:
        return uid, state, JobState.RUNNING, None, False, ""
    message = "its queue deadline passed before it could start"
    if finish_by_ms:
        message = "it could not end by its finish_by, or not start by its queue deadline, any more"
    return uid, state, JobState.EXPIRED, now_ms, bool(settled), message


def any_expired(connection: Connection, now_ms: int) -> bool:
    """Whether a waiting job's queue deadline has passed."""
    found = connection.exec_driver_sql(
        "SELECT 1 FROM job WHERE state IN ('QUEUED', 'HELD') AND deadline_ms IS NOT NULL"
        f" AND deadline_ms <= {now_ms} LIMIT 1"
    ).first()
    return found is not None
