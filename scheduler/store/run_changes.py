"""Changes of runs and jobs, written set-based in one transaction with quota, use and money."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted
from typing import Final

from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.states import JOB_TERMINAL, NOT_BILLED
from scheduler.store import feed, settlements, write_batch
from scheduler.store.run_state import RunKey, RunNow
from scheduler.store.settlements import Ended, Moved, Settled
from scheduler.store.write_batch import WriteBatch

DAY_MS: Final = 86_400_000
_NOTHING: Final = Settled(0, 0, 0)
_UNBILLED: Final = frozenset(map(str, NOT_BILLED))


@dataclass(slots=True)
class Ingested:
    """What came of a batch: new states for those who follow, and figures for the metrics."""

    #: Runs that need no following any more: ended and settled.
    done: list[RunKey] = field(default_factory=list)
    #: Runs whose money is settled now, for something or for nothing.
    settled: int = 0
    #: (city, flavor, wait in ms) of jobs whose first run began.
    waits: list[tuple[str, str, int]] = field(default_factory=list)
    #: (city, center, job state) of jobs that ended, and runs that ended badly by class.
    ended: list[tuple[str, str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    #: Centers that forgot runs which they had taken, once for each run.
    forgotten: list[str] = field(default_factory=list)
    #: Cities into whose funds or wallets money came back.
    cities: set[str] = field(default_factory=set)
    #: (flavor, cause, ms since its program was told) of runs ended by order.
    evicted: list[tuple[str, str, int]] = field(default_factory=list)


@dataclass(slots=True)
class Changes:
    """Collects what a batch changes beside the runs themselves."""

    now_ms: int
    events: list[feed.EventRow] = field(default_factory=list)
    result: Ingested = field(default_factory=Ingested)
    cities: Counter[tuple[str, str]] = field(default_factory=Counter)
    enterprises: Counter[tuple[str, str]] = field(default_factory=Counter)
    used: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def event(self, run: RunNow, kind: EventKind, at_ms: int, **detail: str) -> None:
        """Note an event of the run's job in the state it has now."""
        text = ",".join(f'"{key}":{quoted(value)}' for key, value in detail.items())
        self.events.append(
            feed.EventRow(
                kind, run.uid, run.attempt, run.enterprise, run.city, run.job_state, at_ms,
                f"{{{text}}}",
            )
        )  # fmt: skip

    def release(self, run: RunNow, end_ms: int, used_ms: int) -> None:
        """Give a run's units back and count its use, by the UTC days it lay in."""
        self.cities[run.city, run.flavor] += run.units
        self.enterprises[run.enterprise, run.flavor] += run.units
        for day, seconds in by_day(end_ms - used_ms, end_ms):
            self.used[run.enterprise, run.flavor, day] += run.units * seconds


def by_day(start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    """Yield (UTC day, whole seconds) of a stretch; the seconds add up to those of the whole."""
    at_ms, counted_s = start_ms, 0
    while at_ms < end_ms:
        day = at_ms // DAY_MS
        at_ms = min(end_ms, (day + 1) * DAY_MS)
        total_s = (at_ms - start_ms) // 1000
        if total_s > counted_s:
            yield day, total_s - counted_s
        counted_s = total_s


def write(connection: Connection, changes: Changes, runs: Mapping[RunKey, RunNow]) -> None:
    """Write what changed of ``runs``, which are all runs of the jobs concerned."""
    touched = [run for run in runs.values() if run.changed or run.settle_usage is not None]
    settled = _settle(connection, changes, touched)
    with write_batch.going(connection) as batch:
        _add_runs(batch, touched)
        _add_jobs(batch, runs, touched, settled)
        _add_quota(batch, changes)
        feed.add(batch, changes.events)


def _settle(
    connection: Connection, changes: Changes, touched: Sequence[RunNow]
) -> Mapping[RunKey, Settled]:
    settling = [run for run in touched if run.settle_usage is not None]
    found = settlements.settle(
        connection,
        [
            Ended(
                run.uid, run.attempt, run.center, run.enterprise, run.city,
                run.failure not in _UNBILLED, run.settle_usage or (),
            )
            for run in settling
        ],
        changes.now_ms,
    )  # fmt: skip
    changes.result.cities.update(found.freed_cities)
    changes.result.settled += len(settling)
    # A run that is settled late tells of its job as it is by now.
    states = {run.uid: run.job_state for run in touched if run.changed}
    for run in settling:
        run.settled_ms = changes.now_ms
        run.job_state = states.get(run.uid, run.job_state)
        money = found.settled[run.key]
        changes.event(
            run,
            EventKind.SETTLED,
            changes.now_ms,
            gross_fen=str(money.gross_fen),
            subsidy_fen=str(money.subsidy_fen),
            self_pay_fen=str(money.self_pay_fen),
        )
    return found.settled


def _add_runs(batch: WriteBatch, touched: Sequence[RunNow]) -> None:
    rows = [
        (
            run.uid, run.attempt, run.was[0], run.state, run.sequence, run.native_id,
            run.accept_ms, run.start_ms, run.end_ms, run.failure, run.exit_code, run.message,
            run.settled_ms, run.notice_ms, run.evict_deadline_ms, run.restart_ms,
        )
        for run in touched
    ]  # fmt: skip
    batch.update(
        "UPDATE run SET state = v.column4, sequence = v.column5, native_id = v.column6,"
        " accept_ms = v.column7, start_ms = v.column8, end_ms = v.column9,"
        " failure_class = v.column10, exit_code = v.column11, message = v.column12,"
        " settled_ms = v.column13, notice_ms = v.column14, evict_deadline_ms = v.column15,"
        " restart_ms = v.column16"
        " FROM {values} WHERE run.job_uid = v.column1"
        " AND run.attempt = v.column2 AND run.state = v.column3",
        rows,
        Moved("runs moved beside the leader"),
    )


def _add_jobs(
    batch: WriteBatch,
    runs: Mapping[RunKey, RunNow],
    touched: Sequence[RunNow],
    settled: Mapping[RunKey, Settled],
) -> None:
    unsettled = {run.uid for run in runs.values() if run.settled_ms is None}
    moved, late = [], []
    for run in touched:
        sums = settled.get(run.key, _NOTHING)
        over = run.job_state in JOB_TERMINAL and run.uid not in unsettled
        if not run.changed:  # settled late: the job may be on its way again, or long ended
            late.append((run.uid, *sums, over))
        elif run.job_state is not run.was[1]:  # that a center took its run, a job does not show
            moved.append(
                (
                    run.uid, run.was[1], run.job_state, run.start_ms, run.job_end_ms, run.failure,
                    run.message, run.not_before_ms, *sums, over, run.evictions,
                    run.attempts_free, run.start_tries, run.deactivated, run.failures,
                    run.deadline_ms, run.met_deadline_ms,
                )
            )  # fmt: skip
    batch.update(
        "UPDATE job SET state = v.column3, version = version + 1, start_ms = v.column4,"
        " end_ms = v.column5, failure_class = v.column6, message = v.column7,"
        " not_before_ms = v.column8, gross_fen = gross_fen + v.column9,"
        " subsidy_fen = subsidy_fen + v.column10, self_pay_fen = self_pay_fen + v.column11,"
        " settled = v.column12, evictions = v.column13, attempts_free = v.column14,"
        " start_tries = v.column15, deactivated = v.column16, failures = v.column17,"
        " deadline_ms = v.column18, met_deadline_ms = v.column19 FROM {values}"
        " WHERE job.uid = v.column1 AND job.state = v.column2",
        moved,
        Moved("jobs moved beside the leader"),
    )
    batch.update(
        "UPDATE job SET version = version + 1, gross_fen = gross_fen + v.column2,"
        " subsidy_fen = subsidy_fen + v.column3, self_pay_fen = self_pay_fen + v.column4,"
        " settled = v.column5 FROM {values} WHERE uid = v.column1",
        late,
    )


def _add_quota(batch: WriteBatch, changes: Changes) -> None:
    batch.update(
        "UPDATE city_quota SET used_units = used_units - v.column3 FROM {values}"
        " WHERE city = v.column1 AND flavor = v.column2",
        [(*key, units) for key, units in sorted(changes.cities.items())],
    )
    batch.update(
        "UPDATE enterprise_quota SET used_units = used_units - v.column3 FROM {values}"
        " WHERE enterprise = v.column1 AND flavor = v.column2",
        [(*key, units) for key, units in sorted(changes.enterprises.items())],
    )
    batch.update(
        "INSERT INTO enterprise_usage (enterprise, flavor, day, unit_seconds)"
        " SELECT v.column1, v.column2, v.column3, v.column4 FROM {values} WHERE true"
        " ON CONFLICT (enterprise, flavor, day)"
        " DO UPDATE SET unit_seconds = enterprise_usage.unit_seconds + excluded.unit_seconds",
        [(*key, seconds) for key, seconds in sorted(changes.used.items())],
    )
