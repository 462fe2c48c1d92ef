"""Runs whose outcome nobody knows, ended by an operator's word: guarded, billed once, audited.

Only UNKNOWN is left this way, and only as long as the center has not said anything itself: whoever
comes first counts. Use that the center states later is for people to look at (``usage_revisions``).
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection

from adapters.contract import Usage
from scheduler.domain.events import EventKind
from scheduler.domain.ids import run_id
from scheduler.domain.principal import Principal
from scheduler.domain.resolving import Resolution, Word, ending_of, follows
from scheduler.domain.states import RunState
from scheduler.errors import FieldViolation, InvalidRequest, NotFound, WrongState
from scheduler.store import audit_trail
from scheduler.store.database import bulk_read
from scheduler.store.ingest import finish
from scheduler.store.run_changes import Changes, write
from scheduler.store.run_state import RunKey, RunNow, load_runs

#: What the record of use says that it is from.
SOURCE: Final = "operator"


@dataclass(frozen=True, slots=True)
class Order:
    """An operator's word on one run: who says it, why, and when (scheduling and wall time)."""

    key: RunKey
    word: Word
    actor: Principal
    reason: str
    now_ms: int
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """A run and its job after it was resolved; what was charged, in fen."""

    key: RunKey
    center: str
    run_state: str
    job_state: str
    resolution: str
    gross_fen: int


def resolve(connection: Connection, order: Order) -> Resolved:
    """End an UNKNOWN run as an operator says; the same word again changes nothing.

    Raises ``NotFound``, ``WrongState`` for a run that is not UNKNOWN or was seen to run though it
    never started, ``InvalidRequest`` for times that cannot be, and ``run_changes.Moved`` if the
    center's own word came between: then the caller asks again.
    """
    runs = load_runs(connection, [order.key[0]])
    run = runs.get(order.key)
    name = run_id(*order.key)
    if run is None:
        raise NotFound(f"there is no run {name}; `corridor job show` names a job's runs")
    said = _said(connection, order.key)
    if said == str(order.word.resolution) and run.state is not RunState.UNKNOWN:
        return _resolved(connection, run, said)
    _check(run, order)
    return end(connection, runs, order)


def end(connection: Connection, runs: dict[RunKey, RunNow], order: Order) -> Resolved:
    """End a run that was read and may be resolved, with what follows for its job, and tell of it.

    Raises ``run_changes.Moved`` if it is not as it was read any more.
    """
    run, word = runs[order.key], order.word
    if word.resolution is Resolution.ENDED and word.start_ms is None:
        word = replace(word, start_ms=run.start_ms)
    before = {"state": str(run.state), "job_state": str(run.job_state), "native_id": run.native_id}
    changes = Changes(order.now_ms)
    _end(changes, run, word)
    write(connection, changes, runs)
    connection.exec_driver_sql(
        "UPDATE run SET resolution = ? WHERE job_uid = ? AND attempt = ?",
        (str(word.resolution), *order.key),
    )
    done = _resolved(connection, run, str(word.resolution))
    name = run_id(*order.key)
    audit_trail.record(
        connection,
        order.actor,
        "RUN_RESOLVED",
        f"jobs/{name.partition('.')[0]}/runs/{order.key[1]}",
        at_ms=order.wall_ms,
        before=before,
        after={
            "state": done.run_state,
            "job_state": done.job_state,
            "resolution": done.resolution,
            "exit_code": word.exit_code,
            "start_ms": word.start_ms,
            "end_ms": word.end_ms,
            "gross_fen": done.gross_fen,
        },
        reason=order.reason,
        city=run.city,
        enterprise=run.enterprise,
    )
    return done


def _said(connection: Connection, key: RunKey) -> str:
    [(said,)] = bulk_read(
        connection, f"SELECT resolution FROM run WHERE job_uid = {key[0]} AND attempt = {key[1]}"
    )
    return str(said)


def _check(run: RunNow, order: Order) -> None:
    """Refuse what an operator cannot say of a run as it stands."""
    name, word = run_id(*run.key), order.word
    if run.state is not RunState.UNKNOWN:
        raise WrongState(
            f"run {name} is {run.state}: only a run that is UNKNOWN can be resolved by hand; of the"
            " others their center speaks",
            subject=f"jobs/{name.partition('.')[0]}",
            reason="RUN_NOT_UNKNOWN",
        )
    if word.resolution is Resolution.NEVER_STARTED and run.start_ms is not None:
        raise WrongState(
            f"run {name} was seen to run, so it did start: say lost, cancelled or ended",
            subject=f"jobs/{name.partition('.')[0]}",
            reason="RUN_HAS_STARTED",
        )
    if word.resolution is not Resolution.ENDED:
        return
    started_ms = run.start_ms if word.start_ms is None else word.start_ms
    wrong = []
    if started_ms is None:
        wrong.append(FieldViolation("start_time", "is needed: it was never seen to run"))
    if word.end_ms is None or word.end_ms > order.now_ms:
        wrong.append(FieldViolation("end_time", "is needed, and must not lie in the future"))
    elif started_ms is not None and word.end_ms < started_ms:
        wrong.append(FieldViolation("end_time", "must not be before the start"))
    if started_ms is not None and started_ms < run.submit_ms:
        wrong.append(FieldViolation("start_time", "must not be before its job was submitted"))
    if wrong:
        raise InvalidRequest(wrong)


def _end(changes: Changes, run: RunNow, word: Word) -> None:
    usage: tuple[Usage, ...] = ()
    changes.event(run, EventKind.RUN_RESOLVED, changes.now_ms, resolution=str(word.resolution))
    if word.start_ms is not None and word.end_ms is not None:  # of ENDED
        run.start_ms, run.end_ms = word.start_ms, word.end_ms
        usage = (_use(run, word.start_ms, word.end_ms),)
    outcome = follows(
        word,
        attempt=run.attempt - run.attempts_free,
        attempts_max=run.attempts_max,
        retry_on=run.retry_on,
        cancel_requested=run.cancel_requested,
        order=run.order,
        now_ms=changes.now_ms,
    )
    finish(changes, run, outcome, ending_of(word), usage)


def _use(run: RunNow, start_ms: int, end_ms: int) -> Usage:
    said = f"{run_id(*run.key)} {start_ms} {end_ms} {run.units}"
    return Usage(
        run_id(*run.key), run.native_id, run.accept_ms or 0, 1, 1, start_ms, end_ms, run.units,
        sha256(said.encode()).hexdigest(), SOURCE,
    )  # fmt: skip


def _resolved(connection: Connection, run: RunNow, said: str) -> Resolved:
    uid, attempt = run.key
    [(run_state, job_state, gross_fen)] = bulk_read(
        connection,
        "SELECT r.state, j.state, (SELECT coalesce(sum(h.posted_fen), 0) FROM hold h"
        " WHERE h.job_uid = r.job_uid AND h.attempt = r.attempt) FROM run r"
        f" JOIN job j ON j.uid = r.job_uid WHERE r.job_uid = {uid} AND r.attempt = {attempt}",
    )
    return Resolved(run.key, run.center, run_state, job_state, said, int(gross_fen))
