"""Periods and years are cut at midnight in Shanghai, eight hours before UTC."""

from datetime import UTC, datetime, timedelta

import pytest

from quota.calendar import natural_year, period_bounds


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
