"""An operator's word on a run whose outcome nobody knows, and what follows from it."""

from dataclasses import dataclass
from enum import StrEnum

from adapters.contract import FailureClass, Phase
from scheduler.domain.outcome import Ending, Order, Outcome, decide
from scheduler.domain.states import JobState, RunState


class Resolution(StrEnum):
    """What an operator may say of a run that is UNKNOWN."""

    NEVER_STARTED = "NEVER_STARTED"  # nothing of it ever ran: its job is queued again
    LOST = "LOST"  # it ran and is gone: nothing is billed, tried again as its policy says
    CANCELLED = "CANCELLED"  # it was ended at its center: nothing is billed, its job is cancelled
    ENDED = "ENDED"  # it ran to its end: billed for its time


@dataclass(frozen=True, slots=True)
class Word:
    """What was said; ``exit_code`` and the instants are given exactly for ENDED."""

    resolution: Resolution
    message: str
    exit_code: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None


def ending_of(word: Word) -> Ending:
    """Return how the run ended by an operator's word."""
    match word.resolution:
        case Resolution.ENDED if word.exit_code == 0:
            return Ending(Phase.SUCCEEDED, None, 0, word.message)
        case Resolution.ENDED:
            failure = FailureClass.USER_CODE
            return Ending(Phase.FAILED, failure, word.exit_code, word.message)
        case Resolution.CANCELLED:
            return Ending(Phase.CANCELLED, message=word.message)
        case Resolution.NEVER_STARTED:
            return Ending(Phase.FAILED, FailureClass.CENTER, message=word.message)
        case Resolution.LOST:
            return Ending(Phase.FAILED, FailureClass.LOST, message=word.message)


def follows(
    word: Word,
    *,
    attempt: int,
    attempts_max: int,
    retry_on: frozenset[FailureClass],
    cancel_requested: bool,
    order: Order | None,
    now_ms: int,
) -> Outcome:
    """Decide what follows for the run and its job; like ``outcome.decide`` for a center's word."""
    if word.resolution is Resolution.CANCELLED:
        return Outcome(RunState.CANCELLED, JobState.CANCELLED, None, billed=False)
    return decide(
        ending_of(word),
        attempt=attempt,
        attempts_max=attempts_max,
        retry_on=retry_on,
        cancel_requested=cancel_requested,
        taken=word.resolution is not Resolution.NEVER_STARTED,
        order=order,
        now_ms=now_ms,
        jitter=0.0,
    )
