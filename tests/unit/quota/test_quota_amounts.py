"""Money in integers: rounding, slices, splits."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota.amounts import gross_fen, round_fen, share_fen, slices_fen, split, yuan


@given(st.integers(0, 10**15))
def test_rounding_is_half_up(ufen: int) -> None:
    exact = Fraction(ufen, 1_000_000)
    assert round_fen(ufen) == int(exact + Fraction(1, 2))


@pytest.mark.parametrize(
    ("ufen", "fen"), [(0, 0), (499_999, 0), (500_000, 1), (1_499_999, 1), (1_500_000, 2)]
)
def test_rounding_at_the_half(ufen: int, fen: int) -> None:
    assert round_fen(ufen) == fen


@given(st.lists(st.integers(0, 10**9), max_size=50))
def test_slices_add_up_to_the_rounded_whole_and_none_is_off_by_more_than_one(
    ufens: list[int],
) -> None:
    slices = slices_fen(ufens)
    assert sum(slices) == round_fen(sum(ufens))
    for fen, ufen in zip(slices, ufens, strict=True):
        assert abs(fen - Fraction(ufen, 1_000_000)) <= 1


def test_43200_minutes_cost_what_the_month_costs() -> None:
    """Rounding each minute by itself would give nothing at all."""
    minute = 4_000  # micro-fen: far below half a fen
    assert sum(slices_fen([minute] * 43_200)) == round_fen(minute * 43_200) == 173


def test_the_largest_run_of_the_corridor_does_not_overflow_a_64_bit_column() -> None:
    year_s, cores, yuan_per_core_second_ufen = 366 * 86_400, 100_000, 100_000_000
    assert gross_fen(cores, year_s, yuan_per_core_second_ufen) < 2**63


@given(st.integers(0, 10**12), st.integers(0, 10_000))
def test_a_share_is_rounded_down(amount: int, rate_bp: int) -> None:
    assert share_fen(amount, rate_bp) == int(Fraction(amount * rate_bp, 10_000))


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10_000), min_size=1, max_size=6))
def test_a_split_gives_everything_away_and_nobody_a_whole_fen_too_much(
    total: int, weights: list[int]
) -> None:
    if not sum(weights):
        with pytest.raises(ValueError, match="more than 0"):
            split(total, weights)
        return
    parts = split(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        exact = Fraction(total * weight, sum(weights))
        assert part >= 0
        assert abs(part - exact) < 1


def test_ties_of_a_split_go_to_the_earlier() -> None:
    assert split(5, [1, 1, 1]) == [2, 2, 1]


def test_yuan_are_written_with_sign_and_groups() -> None:
    assert [yuan(fen) for fen in (0, 5, 123_405, -123_456_789)] == [
        "¥0.00", "¥0.05", "¥1,234.05", "-¥1,234,567.89",
    ]  # fmt: skip
