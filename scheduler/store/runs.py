"""Runs on their way to a center: what is still to be sent, what is to be followed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.states import JobState, RunState
from scheduler.store import feed, leader
from scheduler.store.database import bulk_execute
from scheduler.store.ingest import Ingested, RunKey, cancel_unsent, load_runs


@dataclass(frozen=True, slots=True)
class ToSend:
    """A run whose intent is durable, with what its center must be told; ``spec`` as submitted."""

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


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended or is not settled: what a worker takes over at its start."""

    uid: int
    attempt: int
    center: str
    state: RunState
    sequence: int
    sent_ms: int
    cancel: bool


def mark_submitting(
    connection: Connection, epoch: int, keys: Sequence[RunKey], now_ms: int
) -> tuple[list[ToSend], Ingested]:
    """Make the intent to send durable; runs whose jobs were cancelled meanwhile end unsent.

    The caller gives runs that are certainly not at the center: never sent, or sent without effect,
    or looked up and proven absent; the last two are sent again under the same name. Raises
    ``leader.Fenced``.
    """
    leader.check(connection, epoch)
    runs = load_runs(connection, {uid for uid, _ in keys})
    mine = [runs[key] for key in keys if key in runs]
    sendable = (RunState.PENDING, RunState.SUBMITTING, RunState.UNKNOWN)
    waiting = [run for run in mine if run.state in sendable]
    unsent = [run for run in waiting if run.cancel_requested]
    going = [run for run in waiting if not run.cancel_requested]
    ended = cancel_unsent(connection, epoch, unsent, now_ms) if unsent else Ingested()
    first = [run for run in going if run.state is RunState.PENDING]
    bulk_execute(
        connection,
        "UPDATE run SET state = 'SUBMITTING', submitting_ms = ?, epoch = ?"
        " WHERE job_uid = ? AND attempt = ?",
        [(now_ms, epoch, *run.key) for run in going],
    )
    feed.append(
        connection,
        [
            feed.EventRow(
                EventKind.RUN_SUBMITTED,
                run.uid,
                run.attempt,
                run.enterprise,
                run.city,
                JobState.ADMITTED,
                now_ms,
                "",
            )
            for run in first
        ],
    )
    return _to_send(connection, [run.key for run in going]), ended


def _to_send(connection: Connection, keys: Sequence[RunKey]) -> list[ToSend]:
    if not keys:
        return []
    listed = ", ".join(str(uid) for uid, _ in keys)
    rows = connection.exec_driver_sql(
        "SELECT r.job_uid, r.attempt, r.city, r.enterprise, r.flavor, r.option_index, r.units,"
        " r.nodes, r.wall_limit_s, j.spec FROM run r JOIN job j ON j.uid = r.job_uid"
        f" WHERE r.job_uid IN ({listed}) AND r.state = 'SUBMITTING'"
    )
    found = {(row[0], row[1]): ToSend(*row) for row in rows}
    return [found[key] for key in keys if key in found]


def open_runs(connection: Connection) -> list[OpenRun]:
    """Return all runs that have not ended or are not settled, oldest first."""
    rows = connection.exec_driver_sql(
        "SELECT r.job_uid, r.attempt, r.center, r.state, r.sequence,"
        " coalesce(r.submitting_ms, r.admit_ms), j.cancel_requested"
        " FROM run r JOIN job j ON j.uid = r.job_uid WHERE r.settled_ms IS NULL"
        " ORDER BY r.job_uid, r.attempt"
    )
    return [
        OpenRun(uid, attempt, center, RunState(state), sequence, sent_ms, bool(cancel))
        for uid, attempt, center, state, sequence, sent_ms, cancel in rows
    ]


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


def expire(connection: Connection, epoch: int, now_ms: int, limit: int = 1_000) -> int:
    """End waiting jobs whose queue deadline has passed; returns how many."""
    leader.check(connection, epoch)
    rows = connection.exec_driver_sql(
        "SELECT uid, enterprise, city, state FROM job"
        f" WHERE state IN ('QUEUED', 'HELD') AND deadline_ms IS NOT NULL"
        f" AND deadline_ms <= {now_ms} ORDER BY deadline_ms, uid LIMIT {limit}"
    ).all()
    bulk_execute(
        connection,
        "UPDATE job SET state = 'EXPIRED', version = version + 1, end_ms = ?, settled = ?,"
        " message = ? WHERE uid = ? AND state = ?",
        [
            (now_ms, True, "its queue deadline passed before it could start", uid, state)
            for uid, _, _, state in rows
        ],
    )
    feed.append(
        connection,
        [
            feed.EventRow(EventKind.EXPIRED, uid, 0, enterprise, city, JobState.EXPIRED, now_ms, "")
            for uid, enterprise, city, _ in rows
        ],
    )
    return len(rows)


def any_expired(connection: Connection, now_ms: int) -> bool:
    """Whether a waiting job's queue deadline has passed."""
    found = connection.exec_driver_sql(
        "SELECT 1 FROM job WHERE state IN ('QUEUED', 'HELD') AND deadline_ms IS NOT NULL"
        f" AND deadline_ms <= {now_ms} LIMIT 1"
    ).first()
    return found is not None
