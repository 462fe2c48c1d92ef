"""What the end of a run means for its run, its job and its bill: one pure decision.

The rules are those of DESIGN.md 4: what the center's or the platform's fault cost is not billed;
user code is not tried again, nodes and centers are, with growing pauses.
"""

from dataclasses import dataclass
from typing import Final

from adapters.contract import FailureClass, Phase
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
class Outcome:
    """The consequence: new states, whether use is billed, and when the job may start again.

    ``not_before_ms`` is set exactly when ``job_state`` is QUEUED.
    """

    run_state: RunState
    job_state: JobState
    failure: FailureClass | None
    billed: bool
    not_before_ms: int | None = None


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
) -> Outcome:
    """Decide what follows from the end of attempt ``attempt`` (1 for the first).

    A run that its center proved never ``taken`` cost the job none of its attempts: it is queued
    again whatever its retry policy says.
    """
    if ending.phase is Phase.SUCCEEDED:
        return Outcome(RunState.SUCCEEDED, JobState.SUCCEEDED, None, billed=True)
    if ending.phase is Phase.CANCELLED and cancel_requested:
        return Outcome(RunState.CANCELLED, JobState.CANCELLED, None, billed=True)
    failure = ending.failure or _implied(ending.phase)
    billed = failure not in NOT_BILLED
    run_state = _run_state(ending.phase, failure)
    if cancel_requested:
        return Outcome(run_state, JobState.CANCELLED, failure, billed)
    if not taken or (failure in retry_on and attempt < attempts_max):
        again = now_ms + backoff_ms(attempt, jitter)
        return Outcome(run_state, JobState.QUEUED, failure, billed, again)
    return Outcome(run_state, JobState.FAILED, failure, billed)


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
