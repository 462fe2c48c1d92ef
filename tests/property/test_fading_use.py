"""I10: use fades by halves, the same however it is cut up and whenever somebody looks."""

from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement.usage import FadingUse

HALF_LIFE_MS = 7 * 86_400_000
#: A step of the table, and its rounding.
ERROR = Fraction(1, 4_000)

instants = st.integers(0, 40 * HALF_LIFE_MS)
amounts = st.integers(0, 10**15)
uses = st.lists(st.tuples(st.sampled_from(("a", "b")), amounts, instants), max_size=12)


def worth(use: FadingUse[str], name: str, at_ms: int) -> Fraction:
    """What is left of all use at an instant."""
    return Fraction(use.scores.get(name, 0), use.weight(at_ms))


def noted(given_: list[tuple[str, int, int]]) -> FadingUse[str]:
    """Use from instant 0 on."""
    use = FadingUse[str](HALF_LIFE_MS)
    use.weight(0)
    for name, amount, at_ms in given_:
        use.add(name, amount, at_ms)
    return use


@given(uses, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_use_counts_the_same_in_any_order_and_in_any_pieces(
    given_: list[tuple[str, int, int]], rng: Random
) -> None:
    """To the last unit: sampling oftener cannot change anybody's turn."""
    pieces = []
    for name, amount, at_ms in given_:
        part = rng.randint(0, amount)
        pieces += [(name, part, at_ms), (name, amount - part, at_ms)]
    rng.shuffle(pieces)
    whole, cut = noted(given_), noted(pieces)
    for name in ("a", "b"):
        assert cut.scores.get(name, 0) == whole.scores.get(name, 0)


@given(amounts.filter(bool), instants, st.lists(instants, max_size=5), instants)
@settings(max_examples=200, deadline=None)
def test_fading_goes_on_the_same_however_often_somebody_looks(
    amount: int, at_ms: int, looks: list[int], last_ms: int
) -> None:
    """u(t+d+e) is u(t+d) faded by e: there is no look that the figure depends on."""
    use = noted([("a", amount, at_ms)])
    for look_ms in looks:
        use.weight_now(look_ms)
        faded = worth(use, "a", look_ms) * Fraction(use.weight(look_ms), use.weight(last_ms))
        assert faded == worth(use, "a", last_ms)
    ideal = Fraction(2) ** ((at_ms - last_ms) // HALF_LIFE_MS)
    ratio = worth(use, "a", last_ms) / amount
    assert ideal * (1 - ERROR) <= ratio <= 2 * ideal * (1 + ERROR)
    halved = worth(use, "a", last_ms + HALF_LIFE_MS)
    assert halved * 2 == worth(use, "a", last_ms), "exactly a half in a half-life"


@given(uses, amounts.filter(bool), instants, st.integers(0, 5 * HALF_LIFE_MS), instants)
@settings(max_examples=100, deadline=None)
def test_more_use_and_later_use_never_weighs_less(
    given_: list[tuple[str, int, int]], amount: int, at_ms: int, later_ms: int, now_ms: int
) -> None:
    before, sooner, later = noted(given_), noted(given_), noted(given_)
    score = sooner.add("a", amount, at_ms)
    later.add("a", amount, at_ms + later_ms)
    assert worth(before, "a", now_ms) < worth(sooner, "a", now_ms)
    assert worth(sooner, "a", now_ms) <= worth(later, "a", now_ms)
    sooner.remove("a", score)
    assert worth(sooner, "a", now_ms) == worth(before, "a", now_ms), "and is taken back exactly"
