"""Reports of runs made durable: one transaction for many, monotonic, idempotent.

What a report means is decided by ``scheduler.domain.outcome``; here the decision is written: run,
job, quota given back, use counted, money settled, events, all or nothing. Late and repeated
reports change nothing, for a state is left only as ``RUN_MOVES`` allows and a sequence only grows.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from adapters.contract import ACTIVE_PHASES, FailureClass, Observation, Phase, Usage
from scheduler.domain.events import EventKind
from scheduler.domain.outcome import Ending, Outcome, decide
from scheduler.domain.reports import Report, ReportKind
from scheduler.domain.states import (
    JOB_MOVES,
    JOB_TERMINAL,
    NOT_BILLED,
    RUN_MOVES,
    RUN_TERMINAL,
    JobState,
    RunState,
)
from scheduler.store import feed, leader, ledger
from scheduler.store.database import bulk_execute

RunKey = tuple[int, int]
DAY_MS: Final = 86_400_000


@dataclass(slots=True)
class RunNow:
    """A run and its job as they stand in the store, and as the reports leave them."""

    uid: int
    attempt: int
    state: RunState
    sequence: int
    center: str
    flavor: str
    units: int
    city: str
    enterprise: str
    admit_ms: int
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
    retry_on: frozenset[FailureClass]
    submit_ms: int
    was: tuple[RunState, JobState] = (RunState.PENDING, JobState.QUEUED)
    job_end_ms: int | None = None
    not_before_ms: int = 0
    changed: bool = False
    settle_usage: tuple[Usage, ...] | None = None

    @property
    def key(self) -> RunKey:
        """(job uid, attempt)."""
        return self.uid, self.attempt


@dataclass(slots=True)
class Ingested:
    """What came of a batch: new states for those who follow, and figures for the metrics."""

    #: Runs that need no following any more: ended and settled.
    done: list[RunKey] = field(default_factory=list)
    #: (city, flavor, wait in ms) of jobs whose first run began.
    waits: list[tuple[str, str, int]] = field(default_factory=list)
    #: (city, center, job state) of jobs that ended, and runs that ended badly by class.
    ended: list[tuple[str, str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    #: Cities into whose funds or wallets money came back.
    cities: set[str] = field(default_factory=set)


class _Batch:
    """Collects what a batch of reports changes, then writes it set-based."""

    def __init__(self, now_ms: int, jitter: Callable[[], float]) -> None:
        self.now_ms, self.jitter = now_ms, jitter
        self.events: list[feed.EventRow] = []
        self.result = Ingested()
        self.released: Counter[tuple[str, str, str]] = Counter()
        self.used: Counter[tuple[str, str, int]] = Counter()

    def event(self, run: RunNow, kind: EventKind, at_ms: int, **detail: str) -> None:
        """Note an event of the run's job in the state it has now."""
        self.events.append(
            feed.EventRow(
                kind,
                run.uid,
                run.attempt,
                run.enterprise,
                run.city,
                run.job_state,
                at_ms,
                json.dumps(detail, separators=(",", ":")) if detail else "",
            )
        )

    def take(self, run: RunNow, report: Report) -> None:
        """Apply one report to a run."""
        if run.state in RUN_TERMINAL:
            if run.settled_ms is None and report.usage is not None:
                run.settle_usage = report.usage
            return
        match report.kind:
            case ReportKind.ACCEPTED:
                self._accept(run, report)
            case ReportKind.OBSERVED if report.observation is not None:
                self._observe(run, report, report.observation)
            case ReportKind.REFUSED:
                self._end(
                    run,
                    Ending(
                        Phase.FAILED,
                        FailureClass.REJECTED_BY_CENTER,
                        message=f"{report.reason}: {report.message}",
                    ),
                    (),
                )
            case ReportKind.NEVER_TAKEN:
                self._end(
                    run, Ending(Phase.FAILED, FailureClass.CENTER, message=report.message), ()
                )
            case ReportKind.VANISHED:
                self._end(run, Ending(Phase.FAILED, FailureClass.LOST, message=report.message), ())
            case ReportKind.SILENT:
                self._silent(run, report)

    def _move(self, run: RunNow, state: RunState) -> bool:
        if state not in RUN_MOVES[run.state]:
            return False
        run.state, run.changed = state, True
        return True

    def _job(self, run: RunNow, state: JobState) -> None:
        if state is not run.job_state and state in JOB_MOVES[run.job_state]:
            run.job_state = state

    def _accept(self, run: RunNow, report: Report) -> None:
        if not self._move(run, RunState.ACCEPTED):
            return
        run.native_id, run.accept_ms = report.native_id, report.submit_ms
        self.event(
            run,
            EventKind.RUN_ACCEPTED,
            report.submit_ms,
            center=run.center,
            native_id=report.native_id,
        )

    def _observe(self, run: RunNow, report: Report, seen: Observation) -> None:
        if seen.sequence <= run.sequence and run.state is not RunState.UNKNOWN:
            return
        run.sequence = max(run.sequence, seen.sequence)
        if run.accept_ms is None:
            self._accept(run, report)
        if seen.phase is Phase.WAITING:
            self._move(run, RunState.ACCEPTED)
            return
        if seen.start_ms is not None and run.start_ms is None:
            self._started(run, seen.start_ms)
        if seen.phase in ACTIVE_PHASES:
            self._move(run, RunState.RUNNING)
            return
        ending = Ending(seen.phase, seen.failure, seen.exit_code, seen.message)
        run.end_ms = seen.end_ms
        self._end(run, ending, report.usage)

    def _started(self, run: RunNow, start_ms: int) -> None:
        run.start_ms = start_ms
        self._move(run, RunState.RUNNING)
        self._job(run, JobState.RUNNING)
        self.event(run, EventKind.RUN_STARTED, start_ms, center=run.center)
        if run.attempt == 1:
            self.result.waits.append((run.city, run.flavor, start_ms - run.submit_ms))

    def _silent(self, run: RunNow, report: Report) -> None:
        if self._move(run, RunState.UNKNOWN):
            run.message = report.message
            self.event(run, EventKind.RUN_UNKNOWN, self.now_ms, message=report.message[:200])

    def _end(self, run: RunNow, ending: Ending, usage: tuple[Usage, ...] | None) -> None:
        outcome = decide(
            ending,
            attempt=run.attempt,
            attempts_max=run.attempts_max,
            retry_on=run.retry_on,
            cancel_requested=run.cancel_requested,
            now_ms=self.now_ms,
            jitter=self.jitter(),
        )
        self.finish(run, outcome, ending, usage)

    def finish(
        self, run: RunNow, outcome: Outcome, ending: Ending, usage: tuple[Usage, ...] | None
    ) -> None:
        """Write down the end of a run and what follows for its job."""
        end_ms = run.end_ms = run.end_ms or self.now_ms
        used_ms = max(0, end_ms - run.start_ms) if run.start_ms is not None else 0
        run.state, run.changed = outcome.run_state, True
        run.failure = outcome.failure
        run.exit_code, run.message = ending.exit_code, ending.message[:500]
        self.event(
            run,
            EventKind.RUN_ENDED,
            end_ms,
            used_ms=str(used_ms),
            run_state=run.state,
            failure=outcome.failure or "",
        )
        self.released[run.city, run.enterprise, run.flavor] += run.units
        if used_ms:
            day = end_ms // DAY_MS
            self.used[run.enterprise, run.flavor, day] += run.units * (used_ms // 1000)
        run.job_state = outcome.job_state
        if outcome.failure is not None:
            self.result.failures.append((run.center, outcome.failure))
        if outcome.not_before_ms is not None:
            run.not_before_ms = outcome.not_before_ms
            self.event(
                run,
                EventKind.REQUEUED,
                self.now_ms,
                failure=outcome.failure or "",
                not_before_ms=str(outcome.not_before_ms),
            )
        else:
            run.job_end_ms = end_ms
            self.event(run, EventKind(outcome.job_state), end_ms, message=run.message[:200])
            self.result.ended.append((run.city, run.center, outcome.job_state))
        run.settle_usage = usage if outcome.billed or usage is not None else ()


def ingest(
    connection: Connection,
    epoch: int,
    reports: Sequence[Report],
    now_ms: int,
    jitter: Callable[[], float],
) -> Ingested:
    """Apply reports in order; raises ``leader.Fenced`` if ``epoch`` leads no more."""
    leader.check(connection, epoch)
    runs = load_runs(connection, {report.uid for report in reports})
    batch = _Batch(now_ms, jitter)
    for report in reports:
        run = runs.get((report.uid, report.attempt))
        if run is not None:
            batch.take(run, report)
    touched = [run for run in runs.values() if run.changed or run.settle_usage is not None]
    write(connection, batch, touched)
    known = {(report.uid, report.attempt) for report in reports}
    batch.result.done = [
        key
        for key in known
        if key not in runs or (runs[key].state in RUN_TERMINAL and runs[key].settled_ms is not None)
    ]
    return batch.result


def cancel_unsent(
    connection: Connection, epoch: int, runs: Iterable[RunNow], now_ms: int
) -> Ingested:
    """End runs that were never sent because their jobs were cancelled: nothing is billed."""
    leader.check(connection, epoch)
    batch = _Batch(now_ms, lambda: 0.0)
    ended = list(runs)
    outcome = Outcome(RunState.CANCELLED, JobState.CANCELLED, None, billed=False)
    for run in ended:
        batch.finish(
            run, outcome, Ending(Phase.CANCELLED, message="cancelled before it was sent"), ()
        )
    write(connection, batch, ended)
    batch.result.done = [run.key for run in ended]
    return batch.result


def write(connection: Connection, batch: _Batch, runs: list[RunNow]) -> None:
    """Write changed runs, their jobs, quota, use, money and events."""
    settled = ledger.settle(
        connection,
        [
            ledger.Ended(
                run.uid,
                run.attempt,
                run.center,
                run.enterprise,
                run.city,
                run.native_id,
                billed=run.failure is None or FailureClass(run.failure) not in NOT_BILLED,
                usage=run.settle_usage,
            )
            for run in runs
            if run.settle_usage is not None and run.settled_ms is None
        ],
        batch.now_ms,
    )
    for run in runs:
        money = settled.get(run.key)
        if money is not None:
            run.settled_ms = batch.now_ms
            batch.result.cities.add(run.city)
            batch.event(
                run,
                EventKind.SETTLED,
                batch.now_ms,
                gross_fen=str(money.gross_fen),
                subsidy_fen=str(money.subsidy_fen),
                self_pay_fen=str(money.self_pay_fen),
            )
    _write_runs(connection, runs)
    _write_jobs(connection, runs, settled)
    _write_quota(connection, batch)
    feed.append(connection, batch.events)


def _write_runs(connection: Connection, runs: list[RunNow]) -> None:
    rows = [
        (
            run.state,
            run.sequence,
            run.native_id,
            run.accept_ms,
            run.start_ms,
            run.end_ms,
            run.failure,
            run.exit_code,
            run.message,
            run.settled_ms,
            run.uid,
            run.attempt,
            run.was[0],
        )
        for run in runs
    ]
    changed = bulk_execute(
        connection,
        "UPDATE run SET state = ?, sequence = ?, native_id = ?, accept_ms = ?, start_ms = ?,"
        " end_ms = ?, failure_class = ?, exit_code = ?, message = ?, settled_ms = ?"
        " WHERE job_uid = ? AND attempt = ? AND state = ?",
        rows,
    )
    if changed != len(rows):
        raise RuntimeError(f"{len(rows) - changed} runs moved beside the leader")


def _write_jobs(
    connection: Connection, runs: list[RunNow], settled: dict[RunKey, ledger.Settled]
) -> None:
    rows, late = [], []
    for run in runs:
        money = settled.get(run.key, ledger.NOTHING)
        sums = (money.gross_fen, money.subsidy_fen, money.self_pay_fen)
        ended = run.job_state in JOB_TERMINAL and run.settled_ms is not None
        if not run.changed:  # settled late: the job may be on its way again, or long ended
            late.append((*sums, ended, run.uid))
            continue
        rows.append(
            (
                run.job_state,
                run.start_ms,
                run.job_end_ms,
                run.failure,
                run.message,
                run.not_before_ms,
                *sums,
                ended,
                run.uid,
                run.was[1],
            )
        )
    changed = bulk_execute(
        connection,
        "UPDATE job SET state = ?, version = version + 1, start_ms = ?, end_ms = ?,"
        " failure_class = ?, message = ?, not_before_ms = ?,"
        " gross_fen = gross_fen + ?, subsidy_fen = subsidy_fen + ?,"
        " self_pay_fen = self_pay_fen + ?, settled = ? WHERE uid = ? AND state = ?",
        rows,
    )
    if changed != len(rows):
        raise RuntimeError(f"{len(rows) - changed} jobs moved beside the leader")
    bulk_execute(
        connection,
        "UPDATE job SET version = version + 1, gross_fen = gross_fen + ?,"
        " subsidy_fen = subsidy_fen + ?, self_pay_fen = self_pay_fen + ?, settled = ?"
        " WHERE uid = ?",
        late,
    )


def _write_quota(connection: Connection, batch: _Batch) -> None:
    cities: Counter[tuple[str, str]] = Counter()
    enterprises: Counter[tuple[str, str]] = Counter()
    for (city, enterprise, flavor), units in batch.released.items():
        cities[city, flavor] += units
        enterprises[enterprise, flavor] += units
    bulk_execute(
        connection,
        "UPDATE city_quota SET used_units = used_units - ? WHERE city = ? AND flavor = ?",
        [(units, *key) for key, units in sorted(cities.items())],
    )
    bulk_execute(
        connection,
        "UPDATE enterprise_quota SET used_units = used_units - ?"
        " WHERE enterprise = ? AND flavor = ?",
        [(units, *key) for key, units in sorted(enterprises.items())],
    )
    bulk_execute(
        connection,
        "INSERT INTO enterprise_usage (enterprise, flavor, day, unit_seconds)"
        " VALUES (?, ?, ?, ?) ON CONFLICT (enterprise, flavor, day)"
        " DO UPDATE SET unit_seconds = enterprise_usage.unit_seconds + excluded.unit_seconds",
        [(*key, seconds) for key, seconds in sorted(batch.used.items())],
    )


_COLUMNS: Final = (
    "r.job_uid, r.attempt, r.state, r.sequence, r.center, r.flavor, r.units, r.city,"
    " r.enterprise, r.admit_ms, r.start_ms, r.end_ms, r.native_id, r.accept_ms,"
    " r.failure_class, r.exit_code, r.message, r.settled_ms, j.state, j.cancel_requested,"
    " j.attempts_max, j.retry_on, j.submit_ms"
)


def load_runs(connection: Connection, uids: Iterable[int]) -> dict[RunKey, RunNow]:
    """Load the latest run of each job (the only one that may be active or unsettled)."""
    listed = ", ".join(map(str, sorted(uids))) or "0"
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM run r JOIN job j ON j.uid = r.job_uid"
        f" WHERE r.job_uid IN ({listed})"
    )
    runs: dict[RunKey, RunNow] = {}
    for row in rows:
        values = list(row)
        values[2], values[18] = RunState(values[2]), JobState(values[18])
        values[19] = bool(values[19])
        values[21] = parse_retry_on(values[21])
        run = RunNow(*values)
        run.was = (run.state, run.job_state)
        runs[run.key] = run
    return runs


def parse_retry_on(stored: str) -> frozenset[FailureClass]:
    """Return the classes of a job's ``retry_on`` column (comma-separated)."""
    return frozenset(FailureClass(word) for word in stored.split(",") if word)
