"""Reports of runs made durable: one transaction for many, monotonic, idempotent.

What a report means is decided by ``scheduler.domain.outcome``; here it becomes a change of the
run and its job, which ``scheduler.store.run_changes`` writes: run, job, quota given back, use
counted, money settled, events, all or nothing. Late and repeated reports change nothing, for a
state is left only as ``RUN_MOVES`` allows and a sequence only grows.
"""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection

from adapters.contract import ACTIVE_PHASES, FailureClass, Observation, Phase, Usage
from scheduler.domain.events import EventKind
from scheduler.domain.evicting import EvictCause
from scheduler.domain.outcome import Ending, Outcome, decide
from scheduler.domain.reports import Report, ReportKind
from scheduler.domain.retries import counted
from scheduler.domain.states import JOB_MOVES, RUN_MOVES, RUN_TERMINAL, JobState, RunState
from scheduler.store import leader, usage_revisions
from scheduler.store.charge_rows import Run
from scheduler.store.run_changes import Changes, Ingested, write
from scheduler.store.run_state import RunKey, RunNow, load_runs
from scheduler.store.usage_records import sound

__all__ = ["Ingested", "RunKey", "end_unsent", "ingest"]

_MESSAGE_MAX = 500
_FORGETTABLE = frozenset({RunState.ACCEPTED, RunState.UNKNOWN})
#: What a run that the platform ended says of it.
_BY_ORDER = {
    EvictCause.RECLAIM: "ended to give lent units back; it is not billed",
    EvictCause.DRAIN: "ended as its center, city or enterprise is emptied; it is not billed",
    EvictCause.START_TIMEOUT: "taken back as its center did not begin it",
    EvictCause.UNPAID: "ended beyond its wall limit, as nobody could pay for more of it",
}


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
    changes = Changes(now_ms)
    reader = _Reader(changes, jitter)
    for report in reports:
        run = runs.get((report.uid, report.attempt))
        if run is not None:
            reader.take(run, report)
    write(connection, changes, runs)
    usage_revisions.take(connection, reader.late, now_ms)
    usage_revisions.note_differences(connection, reader.odd)
    known = {(report.uid, report.attempt) for report in reports}
    changes.result.done = [key for key in known if key not in runs or runs[key].over]
    return changes.result


def end_unsent(connection: Connection, epoch: int, keys: Iterable[RunKey], now_ms: int) -> Ingested:
    """End runs that are certainly not at a center, as they are not wanted any more: not billed."""
    leader.check(connection, epoch)
    ending = list(keys)
    runs = load_runs(connection, {uid for uid, _ in ending})
    changes = Changes(now_ms)
    reader = _Reader(changes, lambda: 0.0)
    for key in ending:
        reader.end_unsent(runs[key])
    write(connection, changes, runs)
    changes.result.done = ending
    return changes.result


class _Reader:
    """Applies reports to runs, one by one."""

    def __init__(self, changes: Changes, jitter: Callable[[], float]) -> None:
        self._changes, self._jitter = changes, jitter
        #: Use of runs that are settled, and differences: use that makes no sense.
        self.late: dict[RunKey, tuple[Usage, ...]] = {}
        self.odd: list[tuple[object, ...]] = []

    def take(self, run: RunNow, report: Report) -> None:
        """Apply one report to a run."""
        if run.state in RUN_TERMINAL:
            if report.usage is not None:
                self._metered(run, report.usage)
            return
        match report.kind:
            case ReportKind.ACCEPTED:
                self._accept(run, report)
            case ReportKind.OBSERVED if report.observation is not None:
                self._observe(run, report, report.observation)
            case ReportKind.NOTICED:
                self._noticed(run)
            case ReportKind.REFUSED:
                message = f"{report.reason}: {report.message}"
                self._fail(run, FailureClass.REJECTED_BY_CENTER, message)
            case ReportKind.NEVER_TAKEN:
                self._fail(run, FailureClass.CENTER, report.message, taken=False)
            case ReportKind.VANISHED:
                self._fail(run, FailureClass.LOST, report.message)
            case ReportKind.FORGOTTEN:
                self._forgotten(run, report)
            case ReportKind.SILENT:
                self._silent(run, report)

    def end_unsent(self, run: RunNow) -> None:
        """End a run that its center never saw."""
        if run.evict_cause is not None:
            self._end(run, Ending(Phase.PREEMPTED, message="taken back before it was sent"), ())
            return
        outcome = Outcome(RunState.CANCELLED, JobState.CANCELLED, None, billed=False)
        finish(
            self._changes, run, outcome,
            Ending(Phase.CANCELLED, message="cancelled before it was sent"), (),
        )  # fmt: skip

    def _move(self, run: RunNow, state: RunState) -> bool:
        if state not in RUN_MOVES[run.state]:
            return False
        if run.state is RunState.UNKNOWN:
            run.message = ""  # it told of the silence, which is over
        run.state, run.changed = state, True
        return True

    def _accept(self, run: RunNow, report: Report) -> None:
        if not self._move(run, RunState.ACCEPTED):
            return
        run.native_id, run.accept_ms = report.native_id, report.submit_ms
        self._changes.event(
            run,
            EventKind.RUN_ACCEPTED,
            report.submit_ms,
            center=run.center,
            native_id=report.native_id,
        )

    def _observe(self, run: RunNow, report: Report, seen: Observation) -> None:
        known = run.state is not RunState.UNKNOWN
        if seen.sequence < run.sequence or (known and seen.sequence == run.sequence):
            return
        run.sequence = seen.sequence
        if run.accept_ms is None:
            self._accept(run, report)
        elif (run.native_id, run.accept_ms) != (report.native_id, report.submit_ms):
            # What the center has is the run, whatever it was called when it was taken.
            run.native_id, run.accept_ms, run.changed = report.native_id, report.submit_ms, True
        if seen.phase is Phase.WAITING and run.start_ms is None:
            self._move(run, RunState.ACCEPTED)
            return
        if seen.start_ms is not None and run.start_ms is None:
            self._started(run, seen.start_ms)
        else:
            _begun_anew(run, seen)
        if seen.phase in ACTIVE_PHASES:  # also if its center queued it again: it is no step back
            self._move(run, RunState.RUNNING)
            return
        run.end_ms = seen.end_ms
        ending = Ending(seen.phase, seen.failure, seen.exit_code, seen.message)
        usage = None if report.usage is None else self._sound(run, report.usage)
        self._end(run, ending, usage)

    def _metered(self, run: RunNow, usage: tuple[Usage, ...]) -> None:
        """Settle a run by use that comes late, or correct what it was settled by."""
        if run.settled_ms is None and run.settle_usage is None:
            run.settle_usage = self._sound(run, usage)
        elif run.settled_ms is not None:
            self.late[run.key] = usage

    def _sound(self, run: RunNow, usage: tuple[Usage, ...]) -> tuple[Usage, ...] | None:
        """Use that makes sense; what makes none is for people to look at."""
        billed = sound(run.key, usage)
        if billed is None:
            who = Run(run.uid, run.attempt, run.center, run.enterprise, run.city)
            self.odd += usage_revisions.odd(who, usage, self._changes.now_ms)
        return billed

    def _started(self, run: RunNow, start_ms: int) -> None:
        run.start_ms = start_ms
        self._move(run, RunState.RUNNING)
        if JobState.RUNNING in JOB_MOVES[run.job_state]:
            run.job_state = JobState.RUNNING
        run.start_tries = 0
        run.begun_in_time()
        self._changes.event(run, EventKind.RUN_STARTED, start_ms, center=run.center)
        if run.attempt == 1:
            wait_ms = max(0, start_ms - run.submit_ms)
            self._changes.result.waits.append((run.city, run.flavor, wait_ms))

    def _noticed(self, run: RunNow) -> None:
        """The grace is counted from when the program was told; a later notice changes nothing."""
        if run.evict_cause is None or run.notice_ms is not None:
            return
        run.notice_ms, run.changed = self._changes.now_ms, True
        run.evict_deadline_ms = run.notice_ms + (run.evict_grace_ms or 0)
        self._changes.event(
            run,
            EventKind.EVICTION_NOTICED,
            run.notice_ms,
            cause=run.evict_cause,
            end_ms=str(run.evict_deadline_ms),
        )

    def _forgotten(self, run: RunNow, report: Report) -> None:
        """The center has no record of what it took: as if it had never answered.

        Nothing of a run that was seen to begin is forgotten, nor of one that was taken again since.
        """
        known = run.native_id, run.accept_ms
        if run.state not in _FORGETTABLE or run.start_ms is not None or run.accept_ms is None:
            return
        if report.native_id and (report.native_id, report.submit_ms) != known:
            return
        run.state, run.message, run.changed = RunState.UNKNOWN, report.message[:_MESSAGE_MAX], True
        self._changes.event(
            run,
            EventKind.RUN_FORGOTTEN,
            self._changes.now_ms,
            center=run.center,
            native_id=run.native_id,
        )
        self._changes.result.forgotten.append(run.center)
        run.native_id, run.accept_ms, run.sequence = "", None, 0

    def _silent(self, run: RunNow, report: Report) -> None:
        if self._move(run, RunState.UNKNOWN):
            run.message = report.message[:_MESSAGE_MAX]
            message = report.message[:200]
            self._changes.event(run, EventKind.RUN_UNKNOWN, self._changes.now_ms, message=message)

    def _fail(
        self, run: RunNow, failure: FailureClass, message: str, *, taken: bool = True
    ) -> None:
        self._end(run, Ending(Phase.FAILED, failure, message=message), (), taken=taken)

    def _end(
        self,
        run: RunNow,
        ending: Ending,
        usage: tuple[Usage, ...] | None,
        *,
        taken: bool = True,
    ) -> None:
        outcome = decide(
            ending,
            attempt=run.attempt - run.attempts_free,
            attempts_max=run.attempts_max,
            retry_on=run.retry_on,
            cancel_requested=run.cancel_requested,
            taken=taken,
            order=run.order,
            now_ms=self._changes.now_ms,
            jitter=self._jitter(),
        )
        finish(self._changes, run, outcome, ending, usage)


def _begun_anew(run: RunNow, seen: Observation) -> None:
    """Note that a center queued a run again (-1), and when it began it anew."""
    before = run.restart_ms
    if seen.phase is Phase.WAITING:
        run.restart_ms = -1
    elif seen.start_ms is not None and run.start_ms is not None and seen.start_ms > run.start_ms:
        run.restart_ms = seen.start_ms
    run.changed = run.changed or run.restart_ms != before


def finish(
    changes: Changes,
    run: RunNow,
    outcome: Outcome,
    ending: Ending,
    usage: tuple[Usage, ...] | None,
) -> None:
    """Note the end of a run and what follows for its job.

    Raises RuntimeError for an end that the tables of moves forbid.
    """
    if outcome.run_state not in RUN_MOVES[run.state]:
        raise RuntimeError(f"run {run.key} is {run.state} and cannot end {outcome.run_state}")
    if outcome.job_state not in JOB_MOVES[run.job_state]:
        raise RuntimeError(f"job {run.uid} is {run.job_state}, not {outcome.job_state}")
    end_ms = run.end_ms = run.end_ms or changes.now_ms
    run.state, run.changed = outcome.run_state, True
    run.failure, run.exit_code = outcome.failure, ending.exit_code
    run.message = ending.message[:_MESSAGE_MAX]
    used_ms = 0 if run.start_ms is None else max(0, end_ms - run.start_ms)
    changes.event(
        run,
        EventKind.RUN_ENDED,
        end_ms,
        used_ms=str(used_ms),
        run_state=run.state,
        failure=outcome.failure or "",
    )
    changes.release(run, end_ms, used_ms)
    run.job_state = outcome.job_state
    _count(changes, run, outcome)
    if outcome.failure is not None:
        changes.result.failures.append((run.center, outcome.failure))
    if outcome.not_before_ms is not None:
        run.not_before_ms = outcome.not_before_ms
        changes.event(
            run,
            EventKind.REQUEUED,
            changes.now_ms,
            failure=outcome.failure or "",
            not_before_ms=str(outcome.not_before_ms),
        )
    elif outcome.job_state is JobState.HELD:
        run.deactivated = True
        run.message = f"{run.start_tries} runs in a row were not begun by their center"
        changes.event(run, EventKind.HELD, changes.now_ms, reason=run.message)
    else:
        run.job_end_ms = end_ms
        changes.event(run, EventKind(outcome.job_state), end_ms, message=run.message[:200])
        changes.result.ended.append((run.city, run.center, outcome.job_state))
    run.settle_usage = usage if outcome.billed or usage is not None else ()


def _count(changes: Changes, run: RunNow, outcome: Outcome) -> None:
    """Count for the job what ended its run, and tell the metrics."""
    run.attempts_free += outcome.free
    if outcome.job_state is JobState.QUEUED and outcome.failure is not None and not outcome.free:
        run.failures = counted(run.failures, outcome.failure)
    cause = outcome.by_order
    if cause is None:
        return
    run.message = _BY_ORDER[cause]
    run.evictions += cause is EvictCause.RECLAIM
    run.start_tries += cause is EvictCause.START_TIMEOUT
    if run.notice_ms is not None:
        passed_ms = max(0, changes.now_ms - run.notice_ms)
        changes.result.evicted.append((run.flavor, cause, passed_ms))
