"""From quote to settlement: sums, who pays what, and that splitting a run changes nothing."""

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from quota.amounts import gross_fen
from quota.settlement import Leg, Segment, settle, void
from quota.subsidy import Left, Rule, quote

CASES = settings(max_examples=400)
PRICES = st.sampled_from((0, 1, 2_778, 166_667, 222_222, 999_999, 1_000_000, 123_456_789))


@st.composite
def rules_of(draw: st.DrawFn) -> tuple[list[Rule], dict[str, Left]]:
    """Up to three stacking rules with all kinds of limits."""
    rules = [
        Rule(
            f"p{number}", 1, "wuhan", draw(st.integers(0, 10_000)), priority=number,
            base=draw(st.sampled_from(("GROSS", "REMAINING"))),
            job_cap_fen=draw(st.none() | st.integers(0, 10**6)),
            minimum_fen=draw(st.sampled_from((0, 0, 500))),
            ceiling_bp=draw(st.integers(1, 10_000)),
        )
        for number in range(draw(st.integers(0, 3)))
    ]  # fmt: skip
    left = {
        rule.programme: Left(draw(st.integers(0, 10**7)), draw(st.none() | st.integers(0, 10**7)))
        for rule in rules
    }
    return rules, left


def hold(gross: int, rules: Sequence[Rule], left: dict[str, Left]) -> list[Leg]:
    """The legs that admission would hold."""
    legs: list[Leg] = []
    for part in quote(gross, rules, left):
        if part.amount_fen:
            legs.append(Leg(len(legs), part.amount_fen, part.programme, part.rule_version))
    self_pay = gross - sum(leg.amount_fen for leg in legs)
    if self_pay:
        legs.append(Leg(len(legs), self_pay, None, None))
    return legs


def by_version(rules: Sequence[Rule]) -> dict[tuple[str, int], Rule]:
    """Rules as settlement looks them up."""
    return {(rule.programme, rule.version): rule for rule in rules}


@st.composite
def cases(
    draw: st.DrawFn,
) -> tuple[list[Rule], list[Leg], int, list[Segment]]:
    """A held run and its metered segments, also beyond its wall limit."""
    rules, left = draw(rules_of())
    units, wall_s, price = draw(st.integers(1, 64)), draw(st.integers(1, 90_000)), draw(PRICES)
    legs = hold(gross_fen(units, wall_s, price), rules, left)
    seconds = draw(st.lists(st.integers(0, 50_000), max_size=4))
    segments = [Segment(number, one, units) for number, one in enumerate(seconds)]
    return rules, legs, price, segments


@CASES
@given(cases())
def test_what_is_posted_adds_up_to_the_charge(
    case: tuple[list[Rule], list[Leg], int, list[Segment]],
) -> None:
    """I7 and I16: gross = subsidies + self-pay + debt; segments add up to gross."""
    rules, legs, price, segments = case
    bill = settle(legs, by_version(rules), segments, price)
    assert bill.gross_fen == gross_fen(1, sum(s.units * s.seconds for s in segments), price)
    assert sum(bill.segments_fen) == bill.gross_fen
    assert sum(bill.posted_fen.values()) + bill.receivable_fen == bill.gross_fen
    funds = {leg.leg for leg in legs if leg.programme is not None}
    assert bill.subsidy_fen == sum(fen for leg, fen in bill.posted_fen.items() if leg in funds)


@CASES
@given(cases())
def test_no_leg_posts_more_than_it_held(
    case: tuple[list[Rule], list[Leg], int, list[Segment]],
) -> None:
    """I4; what goes beyond the hold is the enterprise's debt, never a fund's."""
    rules, legs, price, segments = case
    bill = settle(legs, by_version(rules), segments, price)
    assert set(bill.posted_fen) == {leg.leg for leg in legs}
    for leg in legs:
        assert 0 <= bill.posted_fen[leg.leg] <= leg.amount_fen
    held = sum(leg.amount_fen for leg in legs)
    assert bill.receivable_fen == max(0, bill.gross_fen - held)


@CASES
@given(cases())
def test_a_fund_gives_what_its_rule_says_of_the_metered_charge(
    case: tuple[list[Rule], list[Leg], int, list[Segment]],
) -> None:
    """Rate, base and ceiling hold for what was used, not only for what was expected.

    Each fund may round by one fen, and gives no more than a fen a fund beyond its rule.
    """
    rules, legs, price, segments = case
    bill = settle(legs, by_version(rules), segments, price)
    charge = min(bill.gross_fen, sum(leg.amount_fen for leg in legs))
    before = 0
    for leg in legs:
        if leg.programme is None:
            continue
        rule = by_version(rules)[leg.programme, 1]
        base = bill.gross_fen if rule.base == "GROSS" else bill.gross_fen - before
        slack = len(legs)
        posted = bill.posted_fen[leg.leg]
        assert posted * 10_000 <= base * rule.rate_bp + slack * 10_000
        assert (before + posted) * 10_000 <= bill.gross_fen * rule.ceiling_bp + (
            slack * 10_000 if posted else before * 10_000
        )
        assert before + posted <= charge
        before += posted


@CASES
@given(cases(), st.randoms(use_true_random=False))
def test_splitting_a_run_into_segments_changes_nothing(
    case: tuple[list[Rule], list[Leg], int, list[Segment]], rng: random.Random
) -> None:
    """I13: the same seconds in other slices give the same bill but for its lines."""
    rules, legs, price, segments = case
    whole = settle(legs, by_version(rules), segments, price)
    slices: list[Segment] = []
    for one in segments:
        cut = rng.randint(0, one.seconds)
        slices += [one._replace(seconds=cut), one._replace(seconds=one.seconds - cut)]
    sliced = settle(legs, by_version(rules), slices, price)
    assert sliced._replace(segments_fen=()) == whole._replace(segments_fen=())


@CASES
@given(cases(), st.integers(0, 200_000))
def test_a_longer_run_never_costs_less(
    case: tuple[list[Rule], list[Leg], int, list[Segment]], more_s: int
) -> None:
    rules, legs, price, segments = case
    longer = [*segments, Segment(len(segments), more_s, 1)]
    short = settle(legs, by_version(rules), segments, price)
    long = settle(legs, by_version(rules), longer, price)
    assert long.gross_fen >= short.gross_fen
    assert long.receivable_fen >= short.receivable_fen


def test_a_second_rule_on_the_rest_takes_the_rest_of_what_was_used() -> None:
    """Held for 1000: 500, then half of the other 500. Used 600: 300, then half of the other 300."""
    rules = [
        Rule("first", 1, "wuhan", 5000),
        Rule("second", 1, "wuhan", 5000, priority=1, base="REMAINING"),
    ]
    legs = hold(1000, rules, {"first": Left(10_000), "second": Left(10_000)})
    assert [leg.amount_fen for leg in legs] == [500, 250, 250]
    bill = settle(legs, by_version(rules), [Segment(1, 600, 1)], 1_000_000)
    assert bill.posted_fen == {0: 300, 1: 150, 2: 150}


def test_a_ceiling_holds_for_what_was_used() -> None:
    rules = [
        Rule("first", 1, "wuhan", 6000),
        Rule("second", 1, "wuhan", 6000, priority=1, ceiling_bp=8000),
    ]
    legs = hold(1000, rules, {"first": Left(10_000), "second": Left(10_000)})
    assert [leg.amount_fen for leg in legs] == [600, 200, 200]
    bill = settle(legs, by_version(rules), [Segment(1, 500, 1)], 1_000_000)
    assert bill.posted_fen == {0: 300, 1: 100, 2: 100}


def test_an_overrun_is_the_enterprises_debt() -> None:
    rules = [Rule("p", 1, "wuhan", 5000)]
    legs = hold(1000, rules, {"p": Left(10_000)})
    bill = settle(legs, by_version(rules), [Segment(1, 1500, 1)], 1_000_000)
    assert (bill.gross_fen, bill.posted_fen, bill.receivable_fen) == (1500, {0: 500, 1: 500}, 500)


def test_a_minimum_met_at_admission_is_not_asked_for_again() -> None:
    """Else a run that ends early would cost its enterprise more than it was quoted."""
    rules = [Rule("p", 1, "wuhan", 5000, minimum_fen=400)]
    legs = hold(1000, rules, {"p": Left(10_000)})
    bill = settle(legs, by_version(rules), [Segment(1, 700, 1)], 1_000_000)
    assert bill.posted_fen == {0: 350, 1: 350}


def test_a_void_frees_everything() -> None:
    legs = [Leg(0, 5, "p", 1), Leg(1, 7, None, None)]
    assert void(legs).posted_fen == {0: 0, 1: 0}
    assert void(legs).gross_fen == 0
