"""Growing pauses with full jitter, so that nobody calls a center in step with others."""

from collections.abc import Callable
from typing import Final

_DOUBLINGS_MAX: Final = 16
_LEAST_S: Final = 0.001


class Backoff:
    """Draws pauses between nothing and a bound that doubles from ``first_s`` up to ``most_s``.

    ``draw`` gives numbers in [0, 1]. Real seconds.
    """

    def __init__(self, first_s: float, most_s: float, draw: Callable[[], float]) -> None:
        self._first_s, self._most_s, self._draw = first_s, most_s, draw
        self._failures = 0

    def next_s(self) -> float:
        """Return the pause after one more failure."""
        pause_s = self.after_s(self._failures)
        self._failures += 1
        return pause_s

    def after_s(self, failures: int) -> float:
        """Return a pause after one failure and ``failures`` more before it."""
        bound_s = self._first_s * float(2 ** min(failures, _DOUBLINGS_MAX))
        return max(_LEAST_S, min(bound_s, self._most_s) * self._draw())

    def reset(self) -> None:
        """A call was answered: the next failure is the first again."""
        self._failures = 0
