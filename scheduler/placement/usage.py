"""Past use that fades: a score per name that halves with every half-life, in exact integers.

Instead of fading all scores at every look, what is added later is added larger:
``score += amount * 2**((t - base) / half_life)``. Two scores compare at any instant as their faded
values do, a score is touched only when its owner uses something, and what was added can be taken
away again to the last unit. The power of two is fixed-point: exact in its whole part, from a
table of 4,096 steps within one doubling for the rest.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

_STEPS: Final = 4096
_BITS: Final = 32
#: round(2**(i / 4096) * 2**32)
_TABLE: Final = tuple(round(2 ** (_BITS + i / _STEPS)) for i in range(_STEPS))


_Name = TypeVar("_Name", bound=Hashable)


class FadingUse(Generic[_Name]):
    """Scores by name, counted from the first instant at which something is used."""

    def __init__(self, half_life_ms: int) -> None:
        self._half_life_ms = half_life_ms
        self._base_ms: int | None = None
        self.scores: dict[_Name, int] = {}
        #: The last instant that was asked for, and its weight.
        self._asked: tuple[int | None, int] = (None, 0)

    def weight(self, at_ms: int) -> int:
        """Return what one unit of use at ``at_ms`` counts, in 2**-32."""
        asked_ms, weight = self._asked
        if asked_ms == at_ms:
            return weight
        if self._base_ms is None:
            self._base_ms = at_ms
        whole, rest = divmod(at_ms - self._base_ms, self._half_life_ms)
        step = _TABLE[rest * _STEPS // self._half_life_ms]
        weight = step << whole if whole >= 0 else step >> -whole
        self._asked = at_ms, weight
        return weight

    def weight_now(self, at_ms: int) -> int:
        """Return the same, and change nothing: of a first use it is one."""
        if self._base_ms is None:
            return _TABLE[0]
        return self.weight(at_ms)

    def add(self, name: _Name, amount: int, at_ms: int, instead: int = 0) -> int:
        """Add use as of ``at_ms``; returns the score added, to be taken away by ``remove``.

        ``instead`` is a score to be taken away at once.
        """
        asked_ms, weight = self._asked
        score = amount * (weight if asked_ms == at_ms else self.weight(at_ms))
        scores = self.scores
        scores[name] = scores.get(name, 0) + score - instead
        return score

    def remove(self, name: _Name, score: int) -> None:
        """Take away a score that ``add`` returned."""
        self.scores[name] = self.scores.get(name, 0) - score

    def copy(self) -> "FadingUse[_Name]":
        """Return one of equal scores that goes its own way."""
        other = FadingUse[_Name](self._half_life_ms)
        other._base_ms, other.scores = self._base_ms, self.scores.copy()
        return other
