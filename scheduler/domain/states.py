"""States of jobs and runs, the only moves between them, and classes of failure.

The tables ``JOB_MOVES`` and ``RUN_MOVES`` are the published state machines (DESIGN.md 4); the
store applies a change only where they allow it, by a conditional UPDATE on the state it left.
"""

from enum import StrEnum
from typing import Final

from adapters.contract import FailureClass as FailureClass


class JobState(StrEnum):
    """Where a job stands; it survives retries and preemption of its runs."""

    QUEUED = "QUEUED"  # waits for placement
    HELD = "HELD"  # by its user or by policy; not placed until released
    ADMITTED = "ADMITTED"  # quota and money are held, a run is on its way to a center
    RUNNING = "RUNNING"  # the center runs it
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"  # its queue deadline passed before it started
    REJECTED = "REJECTED"  # it can never fit


class RunState(StrEnum):
    """Where one attempt at one center stands."""

    PENDING = "PENDING"  # admitted, nothing sent yet
    SUBMITTING = "SUBMITTING"  # the intent is durable; the center may or may not know it
    ACCEPTED = "ACCEPTED"  # the center gave a native id
    RUNNING = "RUNNING"
    UNKNOWN = "UNKNOWN"  # only the center's word or an operator's ends this
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    PREEMPTED = "PREEMPTED"
    LOST = "LOST"  # the center says it has no such run and never ran it to an end


JOB_TERMINAL: Final = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.EXPIRED,
        JobState.REJECTED,
    }
)
RUN_TERMINAL: Final = frozenset(
    {
        RunState.SUCCEEDED,
        RunState.FAILED,
        RunState.CANCELLED,
        RunState.PREEMPTED,
        RunState.LOST,
    }
)
RUN_ACTIVE: Final = frozenset(RunState) - RUN_TERMINAL

JOB_MOVES: Final[dict[JobState, frozenset[JobState]]] = {
    JobState.QUEUED: frozenset(
        {
            JobState.ADMITTED,
            JobState.HELD,
            JobState.CANCELLED,
            JobState.EXPIRED,
            JobState.REJECTED,
        }
    ),
    JobState.HELD: frozenset({JobState.QUEUED, JobState.CANCELLED, JobState.EXPIRED}),
    JobState.ADMITTED: frozenset(
        {
            JobState.RUNNING,
            JobState.QUEUED,
            JobState.HELD,  # no center begins it: somebody has to look
            JobState.SUCCEEDED,
            JobState.FAILED,
            JobState.CANCELLED,
        }
    ),
    JobState.RUNNING: frozenset(
        {JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    ),
    **{state: frozenset() for state in JOB_TERMINAL},
}

_RUN_ENDS: Final = RUN_TERMINAL
RUN_MOVES: Final[dict[RunState, frozenset[RunState]]] = {
    RunState.PENDING: frozenset(
        {RunState.SUBMITTING, RunState.CANCELLED, RunState.PREEMPTED, RunState.LOST}
    ),
    RunState.SUBMITTING: frozenset({RunState.ACCEPTED, RunState.RUNNING, RunState.UNKNOWN})
    | _RUN_ENDS,
    RunState.ACCEPTED: frozenset({RunState.RUNNING, RunState.UNKNOWN}) | _RUN_ENDS,
    RunState.RUNNING: frozenset({RunState.UNKNOWN}) | _RUN_ENDS,
    # Back to SUBMITTING: its center does not have it and never took it, by its own word.
    RunState.UNKNOWN: frozenset({RunState.SUBMITTING, RunState.ACCEPTED, RunState.RUNNING})
    | _RUN_ENDS,
    **{state: frozenset() for state in RUN_TERMINAL},
}

RETRIED_BY_DEFAULT: Final = frozenset(
    {
        FailureClass.NODE,
        FailureClass.CENTER,
        FailureClass.PREEMPTED,
        FailureClass.LOST,
    }
)
#: What the center's or the platform's fault cost is not billed (DESIGN.md 4).
NOT_BILLED: Final = frozenset(
    {
        FailureClass.NODE,
        FailureClass.CENTER,
        FailureClass.PREEMPTED,
        FailureClass.LOST,
        FailureClass.REJECTED_BY_CENTER,
    }
)


def job_sources(target: JobState) -> tuple[JobState, ...]:
    """Return the states from which a job may move to ``target``, in a fixed order."""
    return tuple(state for state in JobState if target in JOB_MOVES[state])


def run_sources(target: RunState) -> tuple[RunState, ...]:
    """Return the states from which a run may move to ``target``, in a fixed order."""
    return tuple(state for state in RunState if target in RUN_MOVES[state])
