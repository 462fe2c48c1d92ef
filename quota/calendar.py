"""Periods of money: cut at midnight of Asia/Shanghai, half-open, named 2026, 2026Q1 or 2026-03."""

import re
from calendar import monthrange
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
_NAME: Final = re.compile(r"(\d{4})(?:Q([1-4])|-(0[1-9]|1[0-2]))?")


def in_shanghai(at_ms: int) -> datetime:
    """Return an instant as it is read in Shanghai, where money is counted."""
    return datetime.fromtimestamp(at_ms / 1000, SHANGHAI)


def natural_year(at_ms: int) -> int:
    """Return the calendar year in Shanghai at an instant."""
    return datetime.fromtimestamp(at_ms // 1000, SHANGHAI).year


def period_of(at_ms: int, months: int) -> str:
    """Return the name of the month (``months`` 1) or quarter (3) in Shanghai at an instant."""
    at = datetime.fromtimestamp(at_ms // 1000, SHANGHAI)
    if months == 3:
        return f"{at.year}Q{(at.month + 2) // 3}"
    return f"{at.year}-{at.month:02d}"


@lru_cache(maxsize=1_024)
def period_bounds(name: str) -> tuple[int, int]:
    """Return (start, end) of a period in epoch milliseconds; ValueError for a wrong name."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is not a period: write 2026, 2026Q1 or 2026-03")
    year, quarter, month = int(found[1]), found[2], found[3]
    if quarter is not None:
        first, months = 3 * int(quarter) - 2, 3
    elif month is not None:
        first, months = int(month), 1
    else:
        first, months = 1, 12
    return _midnight_ms(year, first), _midnight_ms(year, first + months)


def months_of(name: str) -> list[str]:
    """Return the months of a period, such as 2026-01 to 2026-03 of 2026Q1; ValueError as above."""
    start_ms, end_ms = period_bounds(name)
    months = []
    while start_ms < end_ms:
        months.append(period_of(start_ms, 1))
        start_ms = period_bounds(months[-1])[1]
    return months


def day_ms(day: date) -> int:
    """Return the midnight in Shanghai with which a day begins, in epoch milliseconds."""
    return int(datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).timestamp()) * 1000


def after_months(start_ms: int, months: int) -> int:
    """Return when so many months from an instant are over: a midnight in Shanghai.

    Six months from any time of 26 May are over at the end of 26 November; from the midnight with
    which 1 May begins, at the end of 31 October. A day that the last month has not is its last.
    """
    at = datetime.fromtimestamp(start_ms // 1000, SHANGHAI)
    year, month = at.year + (at.month - 1 + months) // 12, (at.month - 1 + months) % 12 + 1
    day = date(year, month, min(at.day, monthrange(year, month)[1]))
    if start_ms != day_ms(at.date()):
        day += timedelta(days=1)
    return day_ms(day)


def _midnight_ms(year: int, month: int) -> int:
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return int(datetime(year, month, 1, tzinfo=SHANGHAI).timestamp()) * 1000
