"""Periods and years are cut at midnight in Shanghai, eight hours before UTC."""

from datetime import UTC, date, datetime, timedelta

import pytest

from quota.calendar import after_months, day_ms, months_of, natural_year, period_bounds


def utc_ms(year: int, month: int, day: int, hour: int) -> int:
    """Epoch milliseconds of a UTC hour."""
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 1000


def test_the_year_changes_at_midnight_in_shanghai() -> None:
    midnight_ms = utc_ms(2026, 12, 31, 16)
    assert natural_year(midnight_ms) == 2027
    assert natural_year(midnight_ms - 1) == 2026


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("2026", (2025, 12, 31, 16), (2026, 12, 31, 16)),
        ("2026Q1", (2025, 12, 31, 16), (2026, 3, 31, 16)),
        ("2026Q4", (2026, 9, 30, 16), (2026, 12, 31, 16)),
        ("2026-02", (2026, 1, 31, 16), (2026, 2, 28, 16)),
        ("2028-02", (2028, 1, 31, 16), (2028, 2, 29, 16)),
        ("2026-12", (2026, 11, 30, 16), (2026, 12, 31, 16)),
    ],
)
def test_bounds_are_half_open_and_in_shanghai(
    name: str, start: tuple[int, int, int, int], end: tuple[int, int, int, int]
) -> None:
    assert period_bounds(name) == (utc_ms(*start), utc_ms(*end))


def test_the_parts_of_a_year_join_without_gap() -> None:
    for parts in (
        [f"2026Q{quarter}" for quarter in range(1, 5)],
        [f"2026-{month:02d}" for month in range(1, 13)],
    ):
        bounds = [period_bounds(part) for part in parts]
        assert [end for _, end in bounds[:-1]] == [start for start, _ in bounds[1:]]
        assert (bounds[0][0], bounds[-1][1]) == period_bounds("2026")


@pytest.mark.parametrize("name", ["", "26", "2026Q5", "2026-13", "2026-1", "2026-00", "2026Q1x"])
def test_a_wrong_name_is_refused_with_what_to_write(name: str) -> None:
    with pytest.raises(ValueError, match="2026Q1"):
        period_bounds(name)


def test_every_instant_of_a_year_is_in_one_month() -> None:
    start_ms, end_ms = period_bounds("2026")
    step_ms = int(timedelta(hours=7).total_seconds()) * 1000
    months = [period_bounds(f"2026-{month:02d}") for month in range(1, 13)]
    for at_ms in range(start_ms, end_ms, step_ms):
        assert sum(first <= at_ms < last for first, last in months) == 1


@pytest.mark.parametrize(
    ("name", "months"),
    [
        ("2026-03", ["2026-03"]),
        ("2026Q4", ["2026-10", "2026-11", "2026-12"]),
        ("2026", [f"2026-{month:02d}" for month in range(1, 13)]),
    ],
)
def test_a_period_is_made_of_months(name: str, months: list[str]) -> None:
    assert months_of(name) == months


@pytest.mark.parametrize(
    ("first", "hours", "months", "over"),
    [
        (date(2026, 5, 1), 0, 6, date(2026, 11, 1)),
        (date(2026, 5, 26), 9, 6, date(2026, 11, 27)),
        (date(2026, 12, 31), 0, 12, date(2027, 12, 31)),
        (date(2026, 8, 31), 1, 6, date(2027, 3, 1)),
        (date(2027, 8, 31), 0, 6, date(2028, 2, 29)),
    ],
)
def test_months_are_over_at_a_midnight_in_shanghai(
    first: date, hours: int, months: int, over: date
) -> None:
    assert after_months(day_ms(first) + hours * 3_600_000, months) == day_ms(over)


def test_a_day_begins_at_midnight_in_shanghai() -> None:
    assert day_ms(date(2026, 11, 26)) == utc_ms(2026, 11, 25, 16)
