"""After which failures a job is tried again, and how often after each, as text for the store.

``CENTER,NODE:2`` says: after failures of the center as often as there are attempts, after those of
a node twice, after others never.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from adapters.contract import FailureClass
from scheduler.errors import FieldViolation

ATTEMPTS_MAX: Final = 20
ATTEMPTS_DEFAULT: Final = 3
_FIELD: Final = "retry_policy"


class RetryLimit(NamedTuple):
    """At most so many retries after failures of one class; 0 for none."""

    failure: FailureClass
    retries_max: int


def attempts_for(limits: Iterable[RetryLimit]) -> int:
    """Return how many attempts a job has that does not say: three, or what its limits need."""
    needed = max((1 + one.retries_max for one in limits), default=0)
    return min(ATTEMPTS_MAX, max(ATTEMPTS_DEFAULT, needed))


def check_retries(attempts_max: int, limits: Sequence[RetryLimit]) -> list[FieldViolation]:
    """Check how many attempts a job has, and its limits by class."""
    wrong = []
    if not 1 <= attempts_max <= ATTEMPTS_MAX:
        problem = f"must be 1..{ATTEMPTS_MAX}, not {attempts_max}"
        wrong.append(FieldViolation(f"{_FIELD}.attempts_max", problem))
    seen: set[FailureClass] = set()
    for index, (failure, retries_max) in enumerate(limits):
        path = f"{_FIELD}.limits[{index}]"
        if failure in seen:
            problem = f"{failure} has a limit already; give one for each class"
            wrong.append(FieldViolation(f"{path}.failure_class", problem))
        seen.add(failure)
        if not 0 <= retries_max < ATTEMPTS_MAX:
            problem = f"must be 0..{ATTEMPTS_MAX - 1}, not {retries_max}"
            wrong.append(FieldViolation(f"{path}.retries_max", problem))
        elif 1 <= attempts_max <= retries_max:
            problem = (
                f"{retries_max} retries need {retries_max + 1} attempts in all, and attempts_max"
                f" is {attempts_max}; raise that or leave it out"
            )
            wrong.append(FieldViolation(f"{path}.retries_max", problem))
    return wrong


def retries_text(retry_on: Iterable[FailureClass], limits: Iterable[RetryLimit]) -> str:
    """Return the classes after which a job is tried again, in order, with their limits."""
    most: dict[FailureClass, int | None] = dict.fromkeys(retry_on)
    most.update((one.failure, one.retries_max) for one in limits)
    return ",".join(
        failure if retries is None else f"{failure}:{retries}"
        for failure, retries in sorted(most.items())
        if retries != 0
    )


@lru_cache(maxsize=4_096)
def retries_of(text: str) -> Mapping[FailureClass, int | None]:
    """Return the classes of such a text, each with its limit or None."""
    found: dict[FailureClass, int | None] = {}
    for part in filter(None, text.split(",")):
        failure, _, retries = part.partition(":")
        found[FailureClass(failure)] = int(retries) if retries else None
    return found


@lru_cache(maxsize=4_096)
def left(text: str, failures: str) -> frozenset[FailureClass]:
    """Return the classes after which a job is tried again that failed so often already.

    ``failures`` counts, as text like that of the limits, the runs after which it was.
    """
    before = retries_of(failures)
    return frozenset(
        failure
        for failure, most in retries_of(text).items()
        if most is None or (before.get(failure) or 0) < most
    )


def counted(failures: str, failure: FailureClass) -> str:
    """Return the counts with one failure more."""
    counts = {of: count or 0 for of, count in retries_of(failures).items()}
    counts[failure] = counts.get(failure, 0) + 1
    return ",".join(f"{of}:{count}" for of, count in sorted(counts.items()))
