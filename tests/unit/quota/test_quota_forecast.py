"""Forecasts of the day on which a fund is spent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota.forecast import DAYS_LEAST, HORIZON_DAYS, Forecast, until_spent

MONDAY = 0


def test_nothing_is_foreseen_from_less_than_a_week() -> None:
    assert until_spent(1_000, [100] * (DAYS_LEAST - 1), MONDAY, 1) is None


def test_even_days_end_on_one_day() -> None:
    assert until_spent(1_000, [100] * 28, MONDAY, 1) == Forecast(10, 10, 10)
    assert until_spent(1_001, [100] * 28, MONDAY, 1) == Forecast(11, 11, 11)
    assert until_spent(0, [100] * 28, MONDAY, 1) == Forecast(0, 0, 0)


def test_weekdays_are_foreseen_as_such() -> None:
    week = [100] * 5 + [0, 0]  # Monday to Friday
    four = week * 4
    assert until_spent(500, four, MONDAY, 1) == Forecast(5, 5, 5)
    assert until_spent(600, four, MONDAY, 1) == Forecast(8, 8, 8)


def test_only_the_last_four_weeks_count() -> None:
    assert until_spent(280, [10**9] * 50 + [10] * 28, MONDAY, 1) == Forecast(28, 28, 28)


@pytest.mark.parametrize("daily", [[0] * 28, [-5] * 28, [1] + [0] * 27])
def test_what_is_hardly_spent_lasts(daily: list[int]) -> None:
    found = until_spent(10**9, daily, MONDAY, 1)
    assert found is not None
    assert found.likely_days is None


@given(
    st.integers(1, 10**9),
    st.lists(st.integers(-1_000, 10**6), min_size=7, max_size=40),
    st.integers(0, 6),
)
def test_the_likely_day_is_the_one_a_diary_gives(
    available: int, daily: list[int], weekday: int
) -> None:
    """Beside a diary that goes on day by day with the means of weekdays."""
    found = until_spent(available, daily, weekday, 7)
    assert found == until_spent(available, daily, weekday, 7)
    assert found is not None
    past = list(reversed(daily[-28:]))
    means = []
    for ahead in range(7):
        same = [fen for back, fen in enumerate(past, 1) if (back + ahead) % 7 == 0]
        means.append(sum(same) / len(same))
    left, day = float(available), 0
    while left > 0 and day <= HORIZON_DAYS:
        left -= means[day % 7]
        day += 1
    likely = found.likely_days
    if sum(means) > 0 and likely is not None and day <= HORIZON_DAYS:
        assert abs(likely - day) <= 1  # where sums of floats meet the last fen
    else:
        assert likely is None
    if found.early_days is not None and found.late_days is not None:
        assert found.early_days <= found.late_days


def test_uneven_days_give_a_range() -> None:
    daily = [50, 150] * 14
    found = until_spent(3_000, daily, MONDAY, 3)
    assert found is not None
    assert found.early_days is not None
    assert found.late_days is not None
    assert found.early_days < 30 < found.late_days
