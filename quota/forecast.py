"""When a fund will be spent, foreseen from how it was spent.

The likely day comes from the mean of each weekday over the last four weeks; the range from weeks
drawn at random from the same days (bootstrap, 10 % and 90 %). Nothing is foreseen from less than
seven days. Forecasts are for people: they are the one place near money with floats, and gate
nothing.
"""

import random
from collections.abc import Sequence
from typing import Final, NamedTuple

#: So many days are looked back over, at least and at most.
DAYS_LEAST: Final = 7
DAYS_MOST: Final = 28
#: A fund that lasts longer than this is not foreseen to end.
HORIZON_DAYS: Final = 3_660
_DRAWS: Final = 200


class Forecast(NamedTuple):
    """Days from today until the money is spent: as it was spent, and 10 % and 90 % of draws.

    None where it is not spent within the horizon.
    """

    likely_days: int | None
    early_days: int | None
    late_days: int | None


def until_spent(
    available_fen: int, daily_fen: Sequence[int], weekday: int, seed: int
) -> Forecast | None:
    """Return in how many days ``available_fen`` is spent; None if too little is known.

    ``daily_fen`` is what each of the last days spent, the oldest first, yesterday last; only the
    newest 28 count, corrections may make a day negative. ``weekday`` is today's (0 for Monday).
    The same arguments give the same answer.
    """
    days = list(daily_fen[-DAYS_MOST:])
    if len(days) < DAYS_LEAST:
        return None
    by_weekday: list[list[int]] = [[] for _ in range(7)]
    for back, fen in enumerate(reversed(days), 1):
        by_weekday[(weekday - back) % 7].append(fen)
    means = [sum(one) / len(one) for one in by_weekday]
    draw = random.Random(seed)
    ends = sorted(
        _days(available_fen, [sum(draw.choices(one, k=len(one))) / len(one) for one in by_weekday],
              weekday)
        for _ in range(_DRAWS)
    )  # fmt: skip
    return Forecast(
        _within(_days(available_fen, means, weekday)),
        _within(ends[_DRAWS // 10]),
        _within(ends[_DRAWS - 1 - _DRAWS // 10]),
    )


def _within(days: int) -> int | None:
    return days if days <= HORIZON_DAYS else None


def _days(available_fen: int, week: Sequence[float], weekday: int) -> int:
    """Count the days, of which each spends its weekday's mean, that the money lasts."""
    if available_fen <= 0:
        return 0
    whole = sum(week)
    if whole <= 0:
        return HORIZON_DAYS + 1
    weeks = int(available_fen // whole)
    if weeks * 7 > HORIZON_DAYS:
        return HORIZON_DAYS + 1
    # The last weeks are gone through day by day: within a week money may go and come back.
    weeks = max(0, weeks - 1)
    left, days = available_fen - weeks * whole, weeks * 7
    while left > 0 and days <= HORIZON_DAYS:
        left -= week[(weekday + days) % 7]
        days += 1
    return days
