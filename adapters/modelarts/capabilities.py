"""Which of the newer calls this installation has, found out when it is first spoken to."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final, TypeVar

from adapters.modelarts.errors import CallFailed, ErrorClass

T = TypeVar("T")


class Feature(StrEnum):
    """A call that an older installation may lack; without it the adapter does with less."""

    POOLS = "pools"  # how many cards are there: the settings say
    WORKLOADS = "workloads"  # who waits and runs in a pool: not told
    NAMES = "training-job-names"  # whether a name is taken: only by search
    EVENTS = "events"  # why a job ended: only by its exit code
    LINES = "logs"  # lines of a long log before its last 5 MB: not had


class Capabilities:
    """What is absent, as far as it is known. A call that was never made counts as there."""

    def __init__(self) -> None:
        self._absent: set[Feature] = set()

    @property
    def absent(self) -> tuple[Feature, ...]:
        """What this installation lacks."""
        return tuple(sorted(self._absent))

    def has(self, feature: Feature) -> bool:
        """Whether a call is worth making."""
        return feature not in self._absent

    async def ask(self, feature: Feature, call: Callable[[], Awaitable[T]]) -> T | None:
        """Make a call; None if the installation lacks it. Other failures are raised."""
        if not self.has(feature):
            return None
        try:
            return await call()
        except CallFailed as failed:
            if failed.kind is not ErrorClass.ABSENT:
                raise
            self._absent.add(feature)
            return None

    async def probe(self, feature: Feature, call: Callable[[], Awaitable[object]]) -> None:
        """Find out by a call whose answer does not matter. Raises only if nobody answered."""
        try:
            await self.ask(feature, call)
        except CallFailed as failed:
            if failed.kind in _UNANSWERED:
                raise


_UNANSWERED: Final = frozenset(
    {ErrorClass.NOT_SENT, ErrorClass.RETRYABLE, ErrorClass.THROTTLED, ErrorClass.AUTH}
)
