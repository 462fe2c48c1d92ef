"""Runs cut into slices: at ends of periods and years, and where another price begins."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quota.calendar import natural_year, period_bounds
from quota.charges import FOREVER_MS, Slice, Source
from quota.slices import Cuts, Piece, PriceFrom, Span, bounds_of, cut

NEW_YEAR_MS = period_bounds("2027")[0]
PRICE = PriceFrom(0, 7, "f@1")
INSTANTS = st.integers(-5_000, 5_000).map(lambda at: NEW_YEAR_MS + at)


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """Up to three stretches around New Year, also of no length and overlapping."""
    found = []
    for number in range(draw(st.integers(0, 3))):
        start, end = sorted((draw(INSTANTS), draw(INSTANTS)))
        found.append(Span(number, start, end, draw(st.integers(1, 9))))
    return found


def by_the_millisecond(of: list[Span], cuts: Cuts) -> dict[tuple[int, int, int], int]:
    """Unit-seconds by (year, price, bounds passed): each second belongs to where it ends."""
    found: dict[tuple[int, int, int], int] = {}
    for span in of:
        for second in range(1, (span.end_ms - span.start_ms) // 1000 + 1):
            # A second is counted in the slice in which it becomes whole.
            at = span.start_ms + second * 1000 - 1
            price = max([p.price_ufen for p in cuts.prices if p.from_ms <= at] or [7])
            key = natural_year(at), price, sum(bound <= at for bound in cuts.bounds)
            found[key] = found.get(key, 0) + span.units
    return found


@settings(max_examples=200)
@given(spans(), st.lists(INSTANTS, max_size=3), st.lists(INSTANTS, max_size=2))
def test_no_second_is_lost_and_each_slice_lies_in_one_year_period_and_price(
    of: list[Span], bounds: list[int], later: list[int]
) -> None:
    prices = (PRICE, *(PriceFrom(at, 8 + n, "x") for n, at in enumerate(sorted(set(later)))))
    cuts = Cuts(prices, tuple(sorted(set(bounds))))
    found = cut(of, cuts)
    got: dict[tuple[int, int, int], int] = {}
    for one in found.slices:
        assert one.year == natural_year(one.start_ms)
        assert one.end_ms <= one.start_ms or natural_year(one.end_ms - 1) == one.year
        assert not any(one.start_ms < bound < one.end_ms for bound in (*cuts.bounds, *later))
        key = one.year, one.price_ufen, sum(bound <= one.start_ms for bound in cuts.bounds)
        assert key not in got, "what lies in one year, period and price is one slice"
        got[key] = one.unit_seconds
    assert {key: n for key, n in got.items() if n} == by_the_millisecond(of, cuts)
    assert [one.start_ms for one in found.slices] == sorted(one.start_ms for one in found.slices)
    for span in of:
        mine = [piece for piece in found.pieces if piece.segment == span.segment]
        assert sum(piece.seconds for piece in mine) == (span.end_ms - span.start_ms) // 1000
        assert (mine[0].start_ms, mine[-1].end_ms) == (span.start_ms, span.end_ms)
    for number, one in enumerate(found.slices):
        inside = [piece for piece in found.pieces if piece.slice == number]
        assert sum(piece.seconds * piece.units for piece in inside) == one.unit_seconds


@settings(max_examples=100)
@given(INSTANTS, INSTANTS, st.lists(INSTANTS, max_size=2))
def test_one_stretch_is_cut_as_any_other(one: int, other: int, bounds: list[int]) -> None:
    """A price that begins long after takes the way of many prices, and changes nothing."""
    span = Span(4, min(one, other), max(one, other), 3)
    edges = tuple(sorted(set(bounds)))
    later = PriceFrom(FOREVER_MS, 9)
    assert cut([span], Cuts((PRICE,), edges)) == cut([span], Cuts((PRICE, later), edges))


def test_new_year_cuts_a_run_in_two() -> None:
    span = Span(0, NEW_YEAR_MS - 1_500, NEW_YEAR_MS + 1_500, 2)
    found = cut([span], Cuts((PRICE,)))
    assert found.slices == (
        Slice(NEW_YEAR_MS - 1_500, NEW_YEAR_MS, 2, 2026, 7, "f@1"),
        Slice(NEW_YEAR_MS, NEW_YEAR_MS + 1_500, 4, 2027, 7, "f@1"),
    )
    assert found.pieces == (
        Piece(0, 0, NEW_YEAR_MS - 1_500, NEW_YEAR_MS, 1, 2),
        Piece(0, 1, NEW_YEAR_MS, NEW_YEAR_MS + 1_500, 2, 2),
    )


def test_a_stretch_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="segment 3 ends before it starts"):
        cut([Span(3, 5_000, 4_999, 1)], Cuts((PRICE,)))


def test_bounds_are_those_of_sources_that_have_some() -> None:
    sources = [Source("voucher:a"), Source("fund:a", "", 100, 200), Source("fund:b", "", 200, 300)]
    assert bounds_of(sources) == (100, 200, 300)
