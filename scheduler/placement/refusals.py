"""What admission refused last, by class: so that a job that is tried anew keeps its reason.

Between a refusal and the next one a job is parked, tried, counted as running and refused again. Who
asks in the midst of that is told what keeps it from its start, not that nobody looked at it.
"""

from typing import Final

from scheduler.domain.reasons import PendingReason
from scheduler.placement.shard import ClassKey

_CLASSES_MAX: Final = 10_000


class Refusals:
    """The last refusal of each class, until a job of the class really starts."""

    def __init__(self) -> None:
        self.last: dict[ClassKey, PendingReason] = {}

    def note(self, key: ClassKey, reason: PendingReason) -> None:
        """A start of this class was refused; of too many classes the oldest is forgotten."""
        self.last.pop(key, None)
        self.last[key] = reason
        if len(self.last) > _CLASSES_MAX:
            del self.last[next(iter(self.last))]

    def forget(self, key: ClassKey) -> None:
        """A start of this class was not refused."""
        self.last.pop(key, None)
