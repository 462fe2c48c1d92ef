"""Time of a run cut into slices: at ends of periods and years, and where another price begins."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from quota.calendar import natural_year, period_bounds
from quota.charges import FOREVER_MS, Draw, Leg, Slice, Source


class Span(NamedTuple):
    """One uninterrupted stretch of use, half-open, in epoch milliseconds."""

    segment: int
    start_ms: int
    end_ms: int
    units: int


class PriceFrom(NamedTuple):
    """A price from an instant on."""

    from_ms: int
    price_ufen: int
    price_id: str = ""


class Cuts(NamedTuple):
    """Where to cut: at ``bounds``, and where each of ``prices`` begins; both in order.

    The first price holds also for what is before it. Years are always cut.
    """

    prices: tuple[PriceFrom, ...]
    bounds: tuple[int, ...] = ()


class Piece(NamedTuple):
    """Part of a stretch of use that lies in one slice."""

    segment: int
    slice: int
    start_ms: int
    end_ms: int
    seconds: int
    units: int


class Cut(NamedTuple):
    """Slices in order of time, and the pieces of use of which they consist."""

    slices: tuple[Slice, ...]
    pieces: tuple[Piece, ...]


def cut(spans: Sequence[Span], cuts: Cuts) -> Cut:
    """Cut stretches of use; those that touch no cut between them share a slice.

    Whole seconds of each stretch are counted from its start, so that cutting loses none. Raises
    ValueError for a stretch that ends before it starts.
    """
    if len(spans) == 1 and len(cuts.prices) == 1 and not _inside(spans[0], cuts.bounds):
        return _whole(spans[0], cuts)
    raw: list[Piece] = []
    for span in spans:
        if span.end_ms < span.start_ms:
            raise ValueError(f"segment {span.segment} ends before it starts")
        for start_ms, end_ms in pairwise(_edges(span, cuts)):
            seconds = (end_ms - span.start_ms) // 1000 - (start_ms - span.start_ms) // 1000
            raw.append(Piece(span.segment, 0, start_ms, end_ms, seconds, span.units))
    raw.sort(key=lambda one: (one.start_ms, one.segment))
    slices: list[Slice] = []
    pieces: list[Piece] = []
    place = (-1, -1, -1)
    for one in raw:
        year = _year(one.start_ms)
        price = max(0, bisect_right(cuts.prices, one.start_ms, key=lambda p: p.from_ms) - 1)
        here = (year, price, bisect_right(cuts.bounds, one.start_ms))
        if here != place:
            _, price_ufen, price_id = cuts.prices[price]
            slices.append(Slice(one.start_ms, one.end_ms, 0, year, price_ufen, price_id))
            place = here
        last = slices[-1]
        slices[-1] = last._replace(
            end_ms=max(last.end_ms, one.end_ms),
            unit_seconds=last.unit_seconds + one.seconds * one.units,
        )
        pieces.append(one._replace(slice=len(slices) - 1))
    return Cut(tuple(slices), tuple(pieces))


def _inside(span: Span, bounds: Sequence[int]) -> bool:
    """Whether a stretch is cut by a bound or a New Year, or ends before it starts."""
    start_ms, end_ms = span.start_ms, span.end_ms
    return (
        end_ms <= start_ms
        or bisect_right(bounds, start_ms) != bisect_left(bounds, end_ms)
        or _year(start_ms) != _year(end_ms - 1)
    )


def _whole(span: Span, cuts: Cuts) -> Cut:
    """One stretch that nothing cuts, as most runs are."""
    number, start_ms, end_ms, units = span
    seconds = (end_ms - start_ms) // 1000
    _, price_ufen, price_id = cuts.prices[0]
    at = Slice(start_ms, end_ms, seconds * units, _year(start_ms), price_ufen, price_id)
    return Cut((at,), (Piece(number, 0, start_ms, end_ms, seconds, units),))


def _edges(span: Span, cuts: Cuts) -> list[int]:
    """Start, cuts within, and end of a stretch; a stretch of no length has one piece too."""
    inside = {price.from_ms for price in cuts.prices[1:]}.union(cuts.bounds)
    inside.update(period_bounds(str(year))[0] for year in _years(span.start_ms, span.end_ms))
    within = sorted(at_ms for at_ms in inside if span.start_ms < at_ms < span.end_ms)
    return [span.start_ms, *within, span.end_ms]


def _years(start_ms: int, end_ms: int) -> range:
    """The natural years that begin in a stretch."""
    return range(_year(start_ms) + 1, _year(max(start_ms, end_ms - 1)) + 1)


def _year(at_ms: int) -> int:
    return _year_of_hour(at_ms // 3_600_000)


@lru_cache(maxsize=4_096)
def _year_of_hour(hour: int) -> int:
    """Natural years begin at full hours, also in UTC."""
    return natural_year(hour * 3_600_000)


def bounds_of(sources: Iterable[Source | Draw | Leg]) -> tuple[int, ...]:
    """Return where sources, or what was drawn from them, begin and end, in order."""
    found = {at_ms for source in sources for at_ms in (source.from_ms, source.to_ms)}
    return tuple(sorted(found - {0, FOREVER_MS}))
