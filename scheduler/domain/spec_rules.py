"""Rules of when a job may start and end, of arrays and of interruptible jobs."""

from typing import Final, NamedTuple

from scheduler.domain.arrays import SIZE_MAX, ArraySpec
from scheduler.errors import FieldViolation

NOTICE_MAX_S: Final = 3_600
NAMED_MAX: Final = 256


class Times(NamedTuple):
    """When a job may start and must have ended, in epoch milliseconds; None for whenever."""

    start_not_before_ms: int | None
    queue_deadline_ms: int | None
    finish_by_ms: int | None

    def deadline_ms(self, wall_s: int) -> int | None:
        """Return when it is too late to start a job whose shortest limit is ``wall_s``."""
        found = [self.queue_deadline_ms]
        if self.finish_by_ms is not None:
            found.append(self.finish_by_ms - wall_s * 1000 + 1)
        return min((at_ms for at_ms in found if at_ms is not None), default=None)


def check_times(times: Times, wall_s: int, now_ms: int) -> list[FieldViolation]:
    """Check that there is a moment ahead at which the job could start; ``wall_s`` is the shortest
    limit of its options."""
    wrong = []
    start_ms, deadline_ms, finish_ms = times
    first_ms = max(now_ms, start_ms or now_ms)
    if deadline_ms is not None and deadline_ms <= now_ms:
        problem = "lies in the past; give a later time or leave it out"
        wrong.append(FieldViolation("queue_deadline", problem))
    elif deadline_ms is not None and deadline_ms <= first_ms:
        problem = "does not lie after start_not_before: it could never start"
        wrong.append(FieldViolation("queue_deadline", problem))
    if finish_ms is not None and first_ms + wall_s * 1000 > finish_ms:
        problem = (
            f"cannot be kept: the wall limit of {wall_s} s from the earliest start on ends later;"
            " give a later time or a shorter limit"
        )
        wrong.append(FieldViolation("finish_by", problem))
    return wrong


def check_array(array: ArraySpec) -> list[FieldViolation]:
    """Check the size of an array."""
    wrong = []
    if not 1 <= array.size <= SIZE_MAX:
        problem = f"must be 1..{SIZE_MAX}, not {array.size}"
        wrong.append(FieldViolation("array.size", problem))
    if not 0 <= array.concurrency_max <= SIZE_MAX:
        problem = f"must be 0 (no limit) or up to {SIZE_MAX}, not {array.concurrency_max}"
        wrong.append(FieldViolation("array.concurrency_max", problem))
    return wrong


def check_interruption(interruptible: bool, notice_s: int) -> list[FieldViolation]:
    """Check the notice that an interruptible job wishes."""
    if not 0 <= notice_s <= NOTICE_MAX_S:
        problem = f"must be 0..{NOTICE_MAX_S} s, not {notice_s}"
    elif notice_s and not interruptible:
        problem = "is for interruptible jobs; set interruptible as well"
    else:
        return []
    return [FieldViolation("checkpoint_notice", problem)]


def check_named(field: str, name: str) -> list[FieldViolation]:
    """Check the number of a contract or the name of a project: money is decided by what it is."""
    if len(name) > NAMED_MAX:
        problem = f"must not be above {NAMED_MAX} characters"
    elif name != name.strip() or not name.isprintable():
        problem = "must have no blanks around it, and no control characters"
    else:
        return []
    return [FieldViolation(field, problem)]
