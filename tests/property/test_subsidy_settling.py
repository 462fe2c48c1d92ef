"""From quote to settlement: sums, who pays what, and that splitting a run changes nothing."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from quota.charges import FOREVER_MS, Binding, Left, Leg, Quote, Source
from quota.eligibility import Admitted
from quota.quoting import quote
from quota.rules import Funder, Rule
from quota.settling import settle, settle_in_full, void
from quota.slices import Cut, Cuts, PriceFrom, Span, bounds_of, cut
from tests.property.subsidy_oracle import left_drawn, rules_drawn

CASES = settings(max_examples=150)
PRICES = st.sampled_from((0, 333_333, 999_999, 1_000_000, 2_777_778))
#: Where the periods of the oracle's funds end; a year has no end near it.
ENDS = (1_000, 2_000)


class Case(NamedTuple):
    """A held run with its rules, and the metered use that came of it, also beyond its limit."""

    admitted: list[Admitted]
    legs: list[Leg]
    quoted: Quote
    price_ufen: int
    spans: list[Span]
    units: int

    @property
    def cut(self) -> Cut:
        """The metered use, cut where its legs end."""
        return cut(self.spans, Cuts((PriceFrom(0, self.price_ufen),), bounds_of(self.legs)))


def legs_of(found: Quote) -> list[Leg]:
    """The legs that admission holds: one for each draw, and the wallet's."""
    legs: list[Leg] = []
    for part in found.parts:
        for draw in part.draws:
            legs.append(
                Leg(
                    len(legs), draw.amount, part.programme, part.rule_version, draw.account,
                    draw.funder, part.claim, bool(part.unit_seconds), draw.from_ms, draw.to_ms,
                    draw.cap_year, draw.cap_reserved, 0, part.binding,
                )
            )  # fmt: skip
    if found.wallet_fen:
        legs.append(Leg(len(legs), found.wallet_fen))
    return legs


def held(run: Cut, admitted: Sequence[Admitted], left: Left) -> tuple[list[Leg], list[Admitted]]:
    """The legs of a run, and the rules that gave something for it."""
    found = quote(run.slices, admitted, left)
    gave = {part.programme for part in found.parts}
    return legs_of(found), [one for one in admitted if one.rule.programme in gave]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Runs over up to three periods, held at their limit; what is metered is often something else.

    Times are in milliseconds as everywhere; a second is as long as a period here, so that units
    stand for what is long.
    """
    admitted = draw(rules_drawn())
    price = draw(PRICES)
    units, periods = draw(st.integers(1, 30)), draw(st.integers(1, 3))
    left = draw(left_drawn(admitted, periods))
    run = cut([Span(0, 0, periods * 1_000, units)], Cuts((PriceFrom(0, price),), ENDS))
    found = quote(run.slices, admitted, left)
    gave = {part.programme for part in found.parts}
    spans = []
    start = 0
    for number in range(draw(st.integers(0, 3))):
        start += draw(st.sampled_from((0, 0, 1_000)))
        end = start + draw(st.sampled_from((0, 1_000, 1_000, 2_000)))
        spans.append(Span(number, start, end, draw(st.integers(1, 30))))
        start = end
    kept = [one for one in admitted if one.rule.programme in gave]
    return Case(kept, legs_of(found), found, price, spans, units)


def posted_by(case: Case, posted: dict[tuple[int, int], int]) -> dict[str, int]:
    """What is posted by kind of leg: to the center by programmes and wallet, claims, grants."""
    sums = {"deduct": 0, "claim": 0, "grant": 0, "wallet": 0}
    for leg in case.legs:
        kind = "wallet" if leg.programme is None else "deduct"
        kind = "claim" if leg.claim else "grant" if leg.grant else kind
        sums[kind] += posted[leg.rev, leg.leg]
    return sums


@CASES
@given(cases())
def test_what_is_posted_adds_up_to_the_charge(case: Case) -> None:
    """I7: gross = subsidies + self-pay + debt; lines add up to gross; claims stand beside it."""
    bill = settle(case.legs, case.admitted, case.cut)
    sums = posted_by(case, dict(bill.posted))
    charge = bill.quote
    assert sum(line.gross_fen for line in bill.lines) == charge.gross_fen
    assert sums["deduct"] + sums["wallet"] + bill.receivable_fen == charge.gross_fen
    assert sums["deduct"] + sums["claim"] == charge.subsidy_fen
    assert sums["claim"] == charge.advance_fen
    assert sums["grant"] == charge.unit_seconds == sum(line.free for line in bill.lines)
    assert not bill.direct
    assert not bill.wallet_fen


@CASES
@given(cases())
def test_no_leg_posts_more_than_it_held(case: Case) -> None:
    """I4; what goes beyond the hold is the enterprise's debt, never a fund's."""
    bill = settle(case.legs, case.admitted, case.cut)
    assert set(bill.posted) == {(leg.rev, leg.leg) for leg in case.legs}
    for leg in case.legs:
        assert 0 <= bill.posted[leg.rev, leg.leg] <= leg.amount


@CASES
@given(cases())
def test_what_was_quoted_is_what_is_paid_if_the_run_is_as_it_was_quoted(case: Case) -> None:
    bill = settle(case.legs, case.admitted, quoted_cut(case))
    assert bill.posted == {(leg.rev, leg.leg): leg.amount for leg in case.legs}
    assert bill.receivable_fen == 0
    bindings: dict[str, set[Binding]] = {}
    for part in case.quoted.parts:
        bindings.setdefault(part.programme, set()).add(part.binding)
    for part in bill.quote.parts:
        if part.amount_fen or part.unit_seconds:
            assert part.binding in bindings[part.programme]


def quoted_cut(case: Case) -> Cut:
    """The run as it was quoted."""
    periods = len(case.quoted.slices_fen)
    return cut(
        [Span(0, 0, periods * 1_000, case.units)], Cuts((PriceFrom(0, case.price_ufen),), ENDS)
    )


@CASES
@given(cases())
def test_a_fund_gives_what_its_rule_says_of_the_metered_charge(case: Case) -> None:
    """Rate, base and ceiling hold for what was used; rounding may move a fen for each part."""
    bill = settle(case.legs, case.admitted, case.cut)
    rules = {one.rule.programme: one for one in case.admitted}
    before = [0] * len(bill.quote.slices_fen)
    slack = len(bill.quote.parts)
    for part in bill.quote.parts:
        one, gross = rules[part.programme], bill.quote.slices_fen[part.slice]
        base = gross if one.rule.base == "GROSS" else gross - before[part.slice]
        assert part.amount_fen * 10_000 <= base * one.rate_bp + slack * 10_000
        before[part.slice] += part.amount_fen
        if part.amount_fen > slack:
            assert before[part.slice] * 10_000 <= gross * one.rule.ceiling_bp + slack * 10_000
    assert all(got <= fen for got, fen in zip(before, bill.quote.slices_fen, strict=True))


@CASES
@given(cases(), st.randoms(use_true_random=False))
def test_splitting_a_run_into_segments_changes_nothing(case: Case, rng: random.Random) -> None:
    """I13: the same seconds in other stretches give the same bill but for its lines."""
    whole = settle(case.legs, case.admitted, case.cut)
    spans: list[Span] = []
    for span in case.spans:
        middle = span.start_ms + 1_000 * rng.randint(0, (span.end_ms - span.start_ms) // 1_000)
        spans += [span._replace(end_ms=middle), span._replace(start_ms=middle)]
    rng.shuffle(spans)
    split = settle(case.legs, case.admitted, case._replace(spans=spans).cut)
    assert (split.posted, split.receivable_fen) == (whole.posted, whole.receivable_fen)
    assert split.quote.gross_fen == whole.quote.gross_fen
    assert split.quote.subsidy_fen == whole.quote.subsidy_fen


@CASES
@given(cases(), st.integers(0, 200), st.integers(0, 200))
def test_what_is_offered_beyond_the_hold_is_taken_in_order(
    case: Case, fund_fen: int, wallet_fen: int
) -> None:
    """Funds, then the wallet, then a debt: what is offered is never exceeded."""
    names = {leg.account for leg in case.legs if leg.programme is not None}
    caps = {
        (leg.programme, leg.cap_year): fund_fen
        for leg in case.legs
        if leg.programme is not None and leg.cap_year is not None
    }
    offer = Left(accounts=dict.fromkeys(names, fund_fen), caps=caps)
    bare = settle(case.legs, case.admitted, case.cut)
    bill = settle(case.legs, case.admitted, case.cut, offer, wallet_fen)
    taken: dict[str, int] = {}
    for part in bill.direct:
        assert part.amount_fen + part.unit_seconds == sum(draw.amount for draw in part.draws)
        for draw in part.draws:
            taken[draw.account] = taken.get(draw.account, 0) + draw.amount
    net = {leg.account: leg.amount - bill.posted[leg.rev, leg.leg] for leg in case.legs}
    assert all(fen <= fund_fen + net[name] for name, fen in taken.items())
    assert 0 <= bill.wallet_fen <= wallet_fen
    if bill.receivable_fen:
        assert bill.wallet_fen == wallet_fen
    assert bill.receivable_fen <= bare.receivable_fen
    sums = posted_by(case, dict(bill.posted))
    direct = sum(part.amount_fen for part in bill.direct if not part.claim)
    paid = sums["deduct"] + sums["wallet"] + direct + bill.wallet_fen + bill.receivable_fen
    assert paid == bill.quote.gross_fen


# --- by hand --------------------------------------------------------------------------------------


def run_of(fen: int) -> Cut:
    """A run that costs so many fen."""
    return cut([Span(1, 0, fen * 1_000, 1)], Cuts((PriceFrom(0, 1_000_000),)))


def enough(*rules: Rule) -> Left:
    """A fund of each funder with more than enough."""
    sources = {
        rule.programme: tuple(Source(f"fund:{rule.programme}:{f}", f) for f, _ in rule.shares)
        for rule in rules
    }
    return Left(sources, {one.account: 10_000 for mine in sources.values() for one in mine})


def settled(held_fen: int, used_fen: int, *rules: Rule) -> tuple[list[int], list[int], int]:
    """What is held of each leg, what is posted of it, and the debt."""
    admitted = [Admitted(rule, rule.rate_bp) for rule in rules]
    legs, kept = held(run_of(held_fen), admitted, enough(*rules))
    bill = settle(legs, kept, run_of(used_fen))
    assert bill == settle_in_full(legs, kept, run_of(used_fen))
    posted = [bill.posted[leg.rev, leg.leg] for leg in legs]
    return [leg.amount for leg in legs], posted, bill.receivable_fen


def test_a_second_rule_on_the_rest_takes_the_rest_of_what_was_used() -> None:
    """Held for 1000: 500, then half of the other 500. Used 600: 300, then half of the other 300."""
    first = Rule("first", 1, "wuhan", 5000)
    second = Rule("second", 1, "wuhan", 5000, priority=1, base="REMAINING")
    assert settled(1000, 600, first, second) == ([500, 250, 250], [300, 150, 150], 0)


def test_a_ceiling_holds_for_what_was_used() -> None:
    first = Rule("first", 1, "wuhan", 6000)
    second = Rule("second", 1, "wuhan", 6000, priority=1, ceiling_bp=8000)
    assert settled(1000, 500, first, second) == ([600, 200, 200], [300, 100, 100], 0)


def test_an_overrun_is_the_enterprises_debt() -> None:
    rule = Rule("p", 1, "wuhan", 5000)
    assert settled(1000, 1500, rule) == ([500, 500], [500, 500], 500)


def test_a_minimum_met_at_admission_is_not_asked_for_again() -> None:
    """Else a run that ends early would cost its enterprise more than it was quoted."""
    rule = Rule("p", 1, "wuhan", 5000, minimum_fen=400)
    assert settled(1000, 700, rule) == ([500, 500], [350, 350], 0)


def test_what_rounding_leaves_stays_with_a_fund_if_the_wallet_holds_nothing() -> None:
    """Two halves of 1000 leave nothing to the wallet; two halves of 701 leave a fen to somebody."""
    first = Rule("first", 1, "wuhan", 5000)
    second = Rule("second", 1, "wuhan", 5000, priority=1)
    assert settled(1000, 701, first, second) == ([500, 500], [351, 350], 0)
    assert settled(1000, 1, first, second) == ([500, 500], [1, 0], 0)


def test_two_funders_share_what_was_used() -> None:
    rule = Rule("p", 1, "wuhan", 5000, funders=(Funder("wuhan", 5000), Funder("hubei", 5000)))
    assert settled(1000, 601, rule) == ([250, 250, 500], [150, 150, 301], 0)


def test_a_claim_stands_beside_what_the_wallet_pays() -> None:
    rule = Rule("p", 1, "wuhan", 3000, mode="REIMBURSE")
    assert settled(1000, 600, rule) == ([300, 1000], [180, 600], 0)


def test_free_hours_are_used_first_and_the_rest_is_charged() -> None:
    """Of 1000 unit-seconds 300 were granted; of the 200 that were used none is charged."""
    hours = Rule("hours", 1, "wuhan", 10_000, unit="UNIT_S")
    left = Left({"hours": (Source("grant:h"),)}, {"grant:h": 300})
    legs, kept = held(run_of(1000), [Admitted(hours, 10_000)], left)
    assert [(leg.account, leg.amount, leg.grant) for leg in legs] == [
        ("grant:h", 300, True), ("", 700, False),
    ]  # fmt: skip
    bill = settle(legs, kept, run_of(200))
    assert (bill.posted[0, 0], bill.quote.gross_fen, bill.lines[0].free) == (200, 0, 200)
    bill = settle(legs, kept, run_of(500))
    assert (bill.posted[0, 0], bill.posted[0, 1], bill.quote.gross_fen) == (300, 200, 200)


def test_a_run_that_begins_later_takes_what_was_used_in_each_period() -> None:
    """Held 1000 before the end of a period and 1000 after; used 500 and 1500. The fund of the
    second period gives 500 as held, and more only where it is offered."""
    rule = Rule("p", 1, "wuhan", 5000)
    sources = (Source("fund:a", "wuhan", 0, 1_000_000), Source("fund:b", "wuhan", 1_000_000))
    left = Left({"p": sources}, {"fund:a": 9_999, "fund:b": 9_999})
    cuts = Cuts((PriceFrom(0, 1_000_000),), (1_000_000,))
    legs, kept = held(cut([Span(0, 0, 2_000_000, 1)], cuts), [Admitted(rule, 5000)], left)
    assert [leg.amount for leg in legs] == [500, 500, 1000]
    late = cut([Span(0, 500_000, 2_500_000, 1)], Cuts(cuts.prices, bounds_of(legs)))
    bill = settle(legs, kept, late)
    assert [bill.posted[0, number] for number in range(3)] == [250, 500, 1000]
    assert bill.receivable_fen == 250
    assert [part.binding for part in bill.quote.parts] == [Binding.RATE, Binding.HOLD]
    more = settle(legs, kept, late, Left(left.sources, {"fund:b": 9_000}))
    assert [(draw.account, draw.amount) for part in more.direct for draw in part.draws] == [
        ("fund:b", 250)
    ]
    assert more.receivable_fen == 0


def test_legs_of_top_ups_are_used_after_those_of_admission() -> None:
    rule = Rule("p", 1, "wuhan", 5000)
    legs = [
        Leg(0, 500, "p", 1, "fund:p", "wuhan", cap_year=1970),
        Leg(1, 500),
        Leg(0, 100, "p", 1, "fund:p", "wuhan", cap_year=1970, rev=1),
        Leg(1, 100, rev=1),
    ]
    bill = settle(legs, [Admitted(rule, 5000)], run_of(1_100))
    assert bill.posted == {(0, 0): 500, (0, 1): 500, (1, 0): 50, (1, 1): 50}


def test_a_void_frees_everything() -> None:
    legs = [Leg(0, 5, "p", 1, "fund:p"), Leg(1, 7)]
    bill = void(legs)
    assert bill.posted == {(0, 0): 0, (0, 1): 0}
    assert (bill.quote.gross_fen, bill.receivable_fen, bill.lines) == (0, 0, ())


def test_a_leg_of_before_this_release_serves_the_whole_run() -> None:
    """It has no bounds; its account is that of the period in which the run was admitted."""
    leg = Leg(0, 500, "p", 1, "fund:p:2026", "wuhan", cap_year=1970)
    assert (leg.from_ms, leg.to_ms) == (0, FOREVER_MS)
    bill = settle([leg, Leg(1, 500)], [Admitted(Rule("p", 1, "wuhan", 5000), 5000)], run_of(600))
    assert bill.posted == {(0, 0): 300, (0, 1): 300}


@CASES
@given(cases(), st.integers(1, 30))
def test_a_longer_run_never_costs_less(case: Case, units: int) -> None:
    longer = [*case.spans, Span(9, 2_000, 3_000, units)]
    short = settle(case.legs, case.admitted, case.cut)
    long = settle(case.legs, case.admitted, case._replace(spans=longer).cut)
    assert long.quote.gross_fen >= short.quote.gross_fen
