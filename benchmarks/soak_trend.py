"""Whether something grows: a line through samples that a few wild ones do not bend. Pure.

The slope is that of Theil and Sen: the median of the slopes between all pairs of samples. Its
bounds are Sen's, from the distribution of Kendall's tau (P. K. Sen, Journal of the American
Statistical Association 63, 1968), at 95 %; samples that follow each other are alike, so the true
bounds are somewhat wider.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Final

_Z: Final = 1.96


@dataclass(frozen=True, slots=True)
class Trend:
    """Growth a unit of x: the slope, its bounds, and how much there was in the middle."""

    slope: float
    least: float
    most: float
    level: float


def trend(xs: Sequence[float], ys: Sequence[float]) -> Trend:
    """Return the trend of samples; raises ``ValueError`` for fewer than three different xs."""
    slopes = sorted(
        (y2 - y1) / (x2 - x1)
        for (x1, y1), (x2, y2) in combinations(zip(xs, ys, strict=True), 2)
        if x1 != x2
    )
    count = len(xs)
    if len(set(xs)) < 3:
        raise ValueError(f"{len(set(xs))} samples say nothing of growth")
    spread = _Z * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    return Trend(median(slopes), slopes[low], slopes[high], median(ys))


def settled_part(xs: Sequence[float]) -> int:
    """Return where the last two thirds of ascending xs begin: before, caches fill."""
    first = xs[0] + (xs[-1] - xs[0]) / 3
    return next(number for number, x in enumerate(xs) if x >= first)
