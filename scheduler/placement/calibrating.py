"""How far bands have to be widened so that nine starts in ten are in them: learned from starts.

A band knows nothing of jobs to come, and runs end earlier or later than any guess. So by flavor the
edges move as it went of late: the earliest start so far back that one start in twenty was before
it, the latest so far out that one in twenty was after it. Bands are only ever widened.
"""

from bisect import insort
from collections import deque
from typing import Final

_ONE: Final = 1 << 10
_KEPT: Final = 400
#: So few starts teach nothing.
_LEAST: Final = 40
#: However it went of late: no edge moves further than by this factor.
_MOST: Final = 8
_TAIL: Final = 20


class _Edge:
    """The last ratios of real to said waits at one edge, in 1/1024."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque()
        self._sorted: list[int] = []

    def note(self, said_ms: int, waited_ms: int) -> None:
        """Take in a start."""
        ratio = min(_MOST * _ONE, waited_ms * _ONE // max(1, said_ms))
        self._recent.append(ratio)
        insort(self._sorted, ratio)
        if len(self._recent) > _KEPT:
            self._sorted.remove(self._recent.popleft())

    def low(self) -> int:
        """The ratio below which one in twenty was, at most 1."""
        count = len(self._sorted)
        return _ONE if count < _LEAST else min(_ONE, self._sorted[count // _TAIL])

    def high(self) -> int:
        """The ratio above which one in twenty was, at least 1."""
        count = len(self._sorted)
        return _ONE if count < _LEAST else max(_ONE, self._sorted[count - 1 - count // _TAIL])


class Calibration:
    """What starts taught, by flavor."""

    def __init__(self) -> None:
        self._earliest: dict[str, _Edge] = {}
        self._latest: dict[str, _Edge] = {}

    def note(self, flavor: str, earliest_ms: int, latest_ms: int | None, waited_ms: int) -> None:
        """A job waited so long that was said to wait between ``earliest_ms`` and ``latest_ms``.

        ``latest_ms`` is None where it was a promise, or nothing was said.
        """
        if earliest_ms > 0:
            self._earliest.setdefault(flavor, _Edge()).note(earliest_ms, waited_ms)
        if latest_ms is not None:
            self._latest.setdefault(flavor, _Edge()).note(latest_ms, waited_ms)

    def earliest(self, flavor: str, wait_ms: int) -> int:
        """The wait from now on until the earliest start, widened."""
        edge = self._earliest.get(flavor)
        return wait_ms if edge is None else wait_ms * edge.low() // _ONE

    def latest(self, flavor: str, wait_ms: int) -> int:
        """The wait from now on until the latest start, widened."""
        edge = self._latest.get(flavor)
        return wait_ms if edge is None else wait_ms * edge.high() // _ONE
