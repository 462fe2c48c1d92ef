"""How a kind's capacity was shared between the cities, beside what each was entitled to.

Per day, a city's demand is the work (unit-seconds) of its jobs that could have run that day: of
each job at most what was left of it at the start of the day, and no more than the day is long after
its submission. Its entitlement is the weighted max-min share of the day's capacity over the
demands. Shortfall is ``sum max(0, E - got) / sum E`` over days and cities. A narrow job's demand is
an upper bound, so the shortfall of the best policy is not 0: compare, do not aim at 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY_S = 86_400.0
_WINDOW_DAYS = 7


class Shares(NamedTuple):
    """``shortfall`` and ``deviation`` in 0..1 (less is fairer), ``jain`` in 1/cities..1."""

    shortfall: float
    deviation: float
    jain: float


class Work(NamedTuple):
    """Jobs of one kind as columns: seconds, units and the number of the city."""

    submit_s: Floats
    start_s: Floats
    run_s: Floats
    units: Floats
    city: NDArray[np.int64]


def water_fill(capacity: float, demand: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the weighted max-min share of each: none above its demand, none idle while wanted."""
    share = [0.0] * len(demand)
    left = capacity
    # By demand per weight: who is filled first leaves the rest to the others.
    order = sorted(range(len(demand)), key=lambda i: demand[i] / weights[i])
    weight_left = sum(weights)
    for i in order:
        share[i] = min(demand[i], left * weights[i] / weight_left)
        left -= share[i]
        weight_left -= weights[i]
    return share


def shares(
    work: Work, weights: Sequence[float], capacity: int, first_day: int, days: int
) -> Shares:
    """Compare what each city got in ``days`` days from ``first_day`` with its entitlement."""
    got = np.zeros((days, len(weights)))
    entitled = np.zeros((days, len(weights)))
    for day in range(days):
        from_s = (first_day + day) * DAY_S
        got[day], demand = _one_day(work, from_s, len(weights))
        entitled[day] = water_fill(capacity * DAY_S, demand.tolist(), weights)
    total = entitled.sum()
    if not total:
        return Shares(0.0, 0.0, 1.0)
    shortfall = float(np.maximum(0.0, entitled - got).sum() / total)
    return Shares(
        shortfall, _deviation(got, entitled), _jain(got.sum(axis=0), entitled.sum(axis=0))
    )


def _one_day(work: Work, from_s: float, cities: int) -> tuple[Floats, Floats]:
    """Unit-seconds that each city got and could have used on the day that starts at ``from_s``."""
    to_s = from_s + DAY_S
    end_s = work.start_s + work.run_s
    got = np.clip(np.minimum(end_s, to_s) - np.maximum(work.start_s, from_s), 0.0, None)
    done = np.clip(from_s - work.start_s, 0.0, work.run_s)
    able = np.clip(to_s - np.maximum(work.submit_s, from_s), 0.0, None)
    wanted = np.minimum(work.run_s - done, able)
    return (
        np.bincount(work.city, got * work.units, cities).astype(np.float64),
        np.bincount(work.city, wanted * work.units, cities).astype(np.float64),
    )


def _deviation(got: Floats, entitled: Floats) -> float:
    """Largest distance of a city's part of what was got from its part of the entitlement.

    Over any seven days in a row (over all if there are fewer).
    """
    days = len(got)
    width = min(_WINDOW_DAYS, days)
    worst = 0.0
    for first in range(days - width + 1):
        had = got[first : first + width].sum(axis=0)
        due = entitled[first : first + width].sum(axis=0)
        if had.sum() and due.sum():
            worst = max(worst, float(np.abs(had / had.sum() - due / due.sum()).max()))
    return worst


def _jain(got: Floats, entitled: Floats) -> float:
    """Jain's index of got per entitlement, capped at 1, over cities that were entitled."""
    asked = entitled > 0
    ratio = np.minimum(1.0, got[asked] / entitled[asked])
    squares = float((ratio**2).sum())
    return float(ratio.sum()) ** 2 / (len(ratio) * squares) if squares else 1.0
