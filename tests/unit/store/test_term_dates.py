"""When versions may follow one another, against a calendar that is looked at moment by moment."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.store import terms
from scheduler.store.terms import Span

NOW_MS: Final = 5
LAST: Final = 14
moments = st.integers(0, LAST)
ends = st.none() | moments


def covered(from_ms: int, to_ms: int | None) -> set[int]:
    """The moments of a version; one without an end lasts."""
    return set(range(from_ms, LAST + 2 if to_ms is None else to_ms))


@st.composite
def kept(draw: st.DrawFn) -> list[Span]:
    """Versions as the store keeps them: without overlap, at most the last one without an end."""
    cuts = sorted(draw(st.sets(moments, max_size=6)))
    spans = []
    for at, from_ms in enumerate(cuts):
        until = cuts[at + 1] if at + 1 < len(cuts) else None
        to_ms = draw(st.sampled_from([until, from_ms]))
        spans.append(Span(f"v{at}", from_ms, to_ms))
    return draw(st.permutations(spans))


@given(kept(), st.integers(NOW_MS, LAST), st.none() | st.integers(1, LAST))
@settings(max_examples=400)
def test_a_version_may_follow_if_no_moment_would_have_two(
    spans: list[Span], from_ms: int, length: int | None
) -> None:
    to_ms = None if length is None else from_ms + length
    found = terms.clash(from_ms, to_ms, spans, began_ms=NOW_MS)
    mine = covered(from_ms, to_ms)
    clashes = set()
    for one in spans:
        # What has begun and has no end makes room; so does what is planned for a later day only
        # if it is dropped, which is not this function's to do.
        makes_room = one.to_ms is None and (
            one.from_ms < from_ms or (one.from_ms == from_ms and from_ms <= NOW_MS)
        )
        if not makes_room and mine & covered(one.from_ms, one.to_ms):
            clashes.add(one.name)
    assert (found is None) == (not clashes)
    if found is not None:
        assert any(f"would overlap {name}," in found.description for name in clashes)
        assert found.field in ("effective_time", "end_time")


@given(ends, ends)
def test_dates_lie_ahead_and_in_order(from_ms: int | None, to_ms: int | None) -> None:
    wrong = {one.field for one in terms.check_dates(from_ms, to_ms, NOW_MS)}
    assert ("effective_time" in wrong) == (from_ms is not None and from_ms < NOW_MS)
    begin = NOW_MS if from_ms is None else from_ms
    assert ("end_time" in wrong) == (to_ms is not None and (to_ms < NOW_MS or to_ms <= begin))


@given(moments, ends, moments)
def test_a_version_is_to_come_in_force_or_over(from_ms: int, to_ms: int | None, now: int) -> None:
    state = terms.state(from_ms, to_ms, now)
    assert (state == terms.IN_FORCE) == (now in covered(from_ms, to_ms))
    later = any(at > now for at in covered(from_ms, to_ms))
    assert (state == terms.PLANNED) == (later and now < from_ms)
