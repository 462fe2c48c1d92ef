"""Runs and their jobs as they stand in the store, loaded to be changed by reports."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from adapters.contract import FailureClass, Usage
from scheduler.domain import retries
from scheduler.domain.evicting import EvictCause
from scheduler.domain.outcome import Order
from scheduler.domain.spec_rules import Times
from scheduler.domain.states import RUN_TERMINAL, JobState, RunState
from scheduler.store.database import among, bulk_read
from scheduler.store.planner_jobs import options_of

RunKey = tuple[int, int]


@dataclass(slots=True)
class RunNow:
    """A run and its job as they stand in the store, and as the reports leave them.

    ``job_end_ms`` and ``not_before_ms`` are for the job; ``settle_usage`` is the metered use by
    which the run is to be settled now. What the platform ordered of the run is in ``evict_cause``
    to ``evict_deadline_ms`` (see ``tables.Run``), what that did to its job in the counts.
    ``resolution`` is the word of the operator who ends it now.
    """

    uid: int
    attempt: int
    state: RunState
    sequence: int
    center: str
    flavor: str
    units: int
    city: str
    enterprise: str
    start_ms: int | None
    end_ms: int | None
    native_id: str
    accept_ms: int | None
    failure: str | None
    exit_code: int | None
    message: str
    settled_ms: int | None
    job_state: JobState
    cancel_requested: bool
    attempts_max: int
    #: Classes after which it is tried again still.
    retry_on: frozenset[FailureClass]
    submit_ms: int
    evict_cause: EvictCause | None
    evict_grace_ms: int | None
    notice_ms: int | None
    evict_deadline_ms: int | None
    evictions: int
    attempts_free: int
    start_tries: int
    failures: str
    deadline_ms: int | None
    finish_by_ms: int | None
    options: str
    met_deadline_ms: int | None
    restart_ms: int | None
    was: tuple[RunState, JobState]
    deactivated: bool = False
    job_end_ms: int | None = None
    not_before_ms: int = 0
    resolution: str = ""
    changed: bool = False
    settle_usage: tuple[Usage, ...] | None = None

    @property
    def key(self) -> RunKey:
        """(job uid, attempt)."""
        return self.uid, self.attempt

    def begun_in_time(self) -> None:
        """A run began: the job's queue deadline means nothing any more, its ``finish_by`` does."""
        if self.deadline_ms is not None and self.met_deadline_ms is None:
            self.met_deadline_ms = self.deadline_ms
            walls_ms = [option.wall_ms for option in options_of(self.options or "[]")]
            times = Times(None, None, self.finish_by_ms)
            self.deadline_ms = times.deadline_ms(min(walls_ms, default=0) // 1000)

    @property
    def order(self) -> Order | None:
        """What the platform ordered of it."""
        if self.evict_cause is None:
            return None
        return Order(self.evict_cause, self.notice_ms is not None, self.start_tries)

    @property
    def unwanted(self) -> bool:
        """Whether it is to end: by its user's wish or by order of the platform."""
        return self.cancel_requested or self.evict_cause is not None

    @property
    def over(self) -> bool:
        """Whether nothing more can come of it: ended and settled."""
        return self.settled_ms is not None and self.state in RUN_TERMINAL


_COLUMNS: Final = (
    "r.job_uid, r.attempt, r.state, r.sequence, r.center, r.flavor, r.units, r.city,"
    " r.enterprise, r.start_ms, r.end_ms, r.native_id, r.accept_ms, r.failure_class, r.exit_code,"
    " r.message, r.settled_ms, j.state, j.cancel_requested, j.attempts_max, j.retry_on,"
    " j.submit_ms, r.evict_cause, r.evict_grace_ms, r.notice_ms, r.evict_deadline_ms, j.evictions,"
    " j.attempts_free, j.start_tries, j.failures, j.deadline_ms, j.finish_by_ms,"
    " CASE WHEN j.finish_by_ms IS NULL THEN '' ELSE j.options END, j.met_deadline_ms,"
    " r.restart_ms"
)
_RUN_STATES: Final = {str(state): state for state in RunState}
_JOB_STATES: Final = {str(state): state for state in JobState}


def load_runs(connection: Connection, uids: Iterable[int]) -> dict[RunKey, RunNow]:
    """Load all runs of some jobs; at most the last of a job is active."""
    of_jobs, marks = among(connection, "r.job_uid", sorted(set(uids)) or [0])
    rows = bulk_read(
        connection,
        f"SELECT {_COLUMNS} FROM run r JOIN job j ON j.uid = r.job_uid WHERE {of_jobs}",
        marks,
    )
    runs: dict[RunKey, RunNow] = {}
    for row in rows:
        values: list[Any] = list(row)
        state, job_state = _RUN_STATES[row[2]], _JOB_STATES[row[17]]
        values[2], values[17] = state, job_state
        values[18], values[20] = bool(row[18]), retries.left(row[20], row[29])
        values[22] = None if row[22] is None else EvictCause(row[22])
        values.append((state, job_state))
        runs[row[0], row[1]] = RunNow(*values)
    return runs
