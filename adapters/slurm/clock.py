"""The center's clock, as far as its answers tell."""

from collections import deque
from collections.abc import Callable

_SAMPLES_MAX = 32


class CenterClock:
    """Never ahead of the center, and at most about a second behind.

    The center states whole seconds, and an answer has been under way: each sample is a lower bound
    of how far its clock is ahead of ours; the best of the newest ones is used.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._samples: deque[float] = deque(maxlen=_SAMPLES_MAX)

    def heard(self, at_s: int) -> None:
        """Note what the center's clock said in an answer that arrived just now."""
        if at_s > 0:
            self._samples.append(at_s - self._now_s())

    @property
    def ahead_s(self) -> float:
        """How far the center's clock is ahead of ours (behind: negative), at least."""
        return max(self._samples, default=0.0)

    def now_s(self) -> int:
        """The center's time in epoch seconds, never one that has not come."""
        return int(self._now_s() + self.ahead_s)
