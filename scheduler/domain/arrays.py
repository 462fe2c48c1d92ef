"""Arrays: one job that stands for many, its states, and how its end follows from its elements'.

Elements that were not started, held or cancelled by themselves are the *rest*: they have no rows
and share one state. The array is QUEUED or HELD as its rest is, RUNNING once there is no rest, and
ends when all elements have ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scheduler.domain.states import JOB_TERMINAL, JobState

SIZE_MAX: Final = 10_000
#: Elements that one call may bring, in all its arrays together.
ELEMENTS_MAX: Final = 100_000

ARRAY_MOVES: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.QUEUED: frozenset(
        {JobState.HELD, JobState.RUNNING, JobState.CANCELLED, JobState.EXPIRED}
    ),
    JobState.HELD: frozenset(
        {JobState.QUEUED, JobState.RUNNING, JobState.CANCELLED, JobState.EXPIRED}
    ),
    JobState.RUNNING: frozenset(
        {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
    ),
    **{state: frozenset() for state in JOB_TERMINAL},
}

#: What the program of an element finds in its environment.
INDEX_VARIABLE: Final = "CORRIDOR_ARRAY_INDEX"
SIZE_VARIABLE: Final = "CORRIDOR_ARRAY_SIZE"
ID_VARIABLE: Final = "CORRIDOR_ARRAY_ID"


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """So many elements, of which at most ``concurrency_max`` wait for placement or run at once
    (0: no limit)."""

    size: int
    concurrency_max: int = 0


def end_of(counts: Mapping[JobState, int], cancelled: bool) -> JobState:
    """Return how an array ended, of which ``counts`` elements ended in each state.

    ``cancelled`` says that its end was asked for as a whole. It succeeded only if all elements
    did; if all ended alike, it ended so too.
    """
    found = {state for state, count in counts.items() if count}
    if found == {JobState.SUCCEEDED}:
        return JobState.SUCCEEDED
    if cancelled:
        return JobState.CANCELLED
    if len(found) == 1 and (alike := next(iter(found))) in (JobState.CANCELLED, JobState.EXPIRED):
        return alike
    return JobState.FAILED


def counts_text(counts: Mapping[JobState, int]) -> str:
    """Return ``3 FAILED, 7 SUCCEEDED of 10``, the states in their fixed order."""
    parts = [f"{counts[state]} {state}" for state in JobState if counts.get(state)]
    return f"{', '.join(parts)} of {sum(counts.values())}"


def room(concurrency_max: int | None, size: int, active: int) -> int:
    """Return how many more elements may wait for placement or run, of which ``active`` do."""
    most = size if concurrency_max is None else concurrency_max
    return max(0, most - active)
