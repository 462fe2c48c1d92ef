"""What the end of a run means for its run, its job and its bill: one pure decision.

The rules are those of DESIGN.md 4: what the center's or the platform's fault cost is not billed;
user code is not tried again, nodes and centers are, with growing pauses. What the platform itself
ended costs a job neither money nor one of its attempts.
"""

from dataclasses import dataclass
from typing import Final

from adapters.contract import FailureClass, Phase
from scheduler.domain.evicting import START_TRIES_MAX, TOLD, EvictCause
from scheduler.domain.states import NOT_BILLED, JobState, RunState

BACKOFF_FIRST_MS: Final = 60_000
BACKOFF_MAX_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, as the center or the dispatcher states it."""

    phase: Phase
    failure: FailureClass | None = None
    exit_code: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """The platform's word that a run is to end: why, and whether its program was told.

    ``start_tries`` counts the job's runs in a row before this one that no center began.
    """

    cause: EvictCause
    noticed: bool = False
    start_tries: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The consequence: new states, whether use is billed, and when the job may start again.

    ``not_before_ms`` is set exactly when ``job_state`` is QUEUED. ``free`` says that the attempt
    costs the job none of those it has, ``by_order`` which order of the platform ended the run.
    """

    run_state: RunState
    job_state: JobState
    failure: FailureClass | None
    billed: bool
    not_before_ms: int | None = None
    free: bool = False
    by_order: EvictCause | None = None


def backoff_ms(attempt: int, jitter: float) -> int:
    """Pause before attempt ``attempt + 1``: 60 s doubling to an hour, plus up to a quarter.

    ``jitter`` is a number in [0, 1) that the caller draws.
    """
    base = min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS << min(attempt - 1, 10))
    return base + int(base * jitter / 4)


def decide(
    ending: Ending,
    *,
    attempt: int,
    attempts_max: int,
    retry_on: frozenset[FailureClass],
    cancel_requested: bool,
    now_ms: int,
    jitter: float,
    taken: bool = True,
    order: Order | None = None,
) -> Outcome:
    """Decide what follows from the end of attempt ``attempt`` (1 for the first) that counts.

    A run that its center proved never ``taken`` cost the job none of its attempts: it is queued
    again whatever its retry policy says. So is one that ends by ``order`` of the platform.
    """
    if ending.phase is Phase.SUCCEEDED:
        return Outcome(RunState.SUCCEEDED, JobState.SUCCEEDED, None, billed=True)
    if order is not None and _obeys(ending, order):
        if order.cause is EvictCause.START_TIMEOUT:
            return _not_begun(ending, order, cancel_requested, now_ms, jitter)
        if order.cause is EvictCause.UNPAID:
            return _unpaid(order, cancel_requested)
        return _evicted(order, cancel_requested, now_ms)
    if ending.phase is Phase.CANCELLED and cancel_requested:
        return Outcome(RunState.CANCELLED, JobState.CANCELLED, None, billed=True)
    failure = ending.failure or _implied(ending.phase)
    billed = failure not in NOT_BILLED
    run_state = _run_state(ending.phase, failure)
    if cancel_requested:
        return Outcome(run_state, JobState.CANCELLED, failure, billed)
    if not taken or (failure in retry_on and attempt < attempts_max):
        again = now_ms + backoff_ms(attempt, jitter)
        return Outcome(run_state, JobState.QUEUED, failure, billed, again, free=not taken)
    return Outcome(run_state, JobState.FAILED, failure, billed)


def _obeys(ending: Ending, order: Order) -> bool:
    """Whether a run that did not succeed ended because it was told to.

    A program that was told saves its work and exits; that its exit is no success is no fault.
    """
    if order.cause not in TOLD or ending.phase is Phase.CANCELLED:
        return ending.phase is Phase.CANCELLED
    if ending.phase is Phase.PREEMPTED:
        return order.cause is not EvictCause.UNPAID
    return order.noticed and ending.failure is FailureClass.USER_CODE


def _evicted(order: Order, cancel_requested: bool, now_ms: int) -> Outcome:
    """Queued again at once, in its old place."""
    if cancel_requested:
        return _by(order, RunState.PREEMPTED, JobState.CANCELLED, FailureClass.PREEMPTED, None)
    return _by(order, RunState.PREEMPTED, JobState.QUEUED, FailureClass.PREEMPTED, now_ms)


def _unpaid(order: Order, cancel_requested: bool) -> Outcome:
    """It went on beyond its wall limit: what it used is billed, and it is not tried again."""
    state = JobState.CANCELLED if cancel_requested else JobState.FAILED
    return Outcome(
        RunState.FAILED, state, FailureClass.TIME_LIMIT, billed=True, by_order=order.cause
    )


def _not_begun(
    ending: Ending, order: Order, cancel_requested: bool, now_ms: int, jitter: float
) -> Outcome:
    """Queued again after a pause that doubles; held once it was tried too often."""
    run_state = _run_state(ending.phase, FailureClass.CENTER)
    tries = order.start_tries + 1
    if cancel_requested:
        return _by(order, run_state, JobState.CANCELLED, FailureClass.CENTER, None)
    if tries >= START_TRIES_MAX:
        return _by(order, run_state, JobState.HELD, FailureClass.CENTER, None)
    again = now_ms + backoff_ms(tries, jitter)
    return _by(order, run_state, JobState.QUEUED, FailureClass.CENTER, again)


def _by(
    order: Order, run_state: RunState, job_state: JobState, failure: FailureClass,
    not_before_ms: int | None,
) -> Outcome:  # fmt: skip
    return Outcome(
        run_state, job_state, failure, billed=False, not_before_ms=not_before_ms, free=True,
        by_order=order.cause,
    )  # fmt: skip


def _implied(phase: Phase) -> FailureClass:
    """The class of an ending whose center named none: a cancel we never asked for is theirs."""
    return FailureClass.PREEMPTED if phase is Phase.PREEMPTED else FailureClass.CENTER


def _run_state(phase: Phase, failure: FailureClass) -> RunState:
    if failure is FailureClass.LOST:
        return RunState.LOST
    return {
        Phase.PREEMPTED: RunState.PREEMPTED,
        Phase.CANCELLED: RunState.CANCELLED,
    }.get(phase, RunState.FAILED)
