"""The short way to settle a run finds what the long way finds, or leaves the run to it."""

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quota.charges import Leg
from quota.eligibility import Admitted
from quota.rules import Funder, Rule
from quota.settling import settle_in_full
from quota.settling_plain import settle_plainly
from quota.slices import Cut, Cuts, PriceFrom, Span, bounds_of, cut
from tests.property.subsidy_oracle import left_drawn, rules_drawn
from tests.property.test_subsidy_settling import enough, held, run_of

YEAR = 1970


class Run(NamedTuple):
    """A held run, and use of it that is more often less than more."""

    admitted: list[Admitted]
    legs: list[Leg]
    used: Cut


@st.composite
def usual_rules(draw: st.DrawFn) -> list[Admitted]:
    """Rules as they mostly are, of one fund each."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        rule = Rule(
            f"p{number}", 1, "wuhan", draw(st.sampled_from((5_000, 3_333, 1_000))), priority=number,
            base=draw(st.sampled_from(("GROSS", "REMAINING"))),
            job_cap_fen=draw(st.none() | st.integers(0, 100)),
            year_cap_fen=draw(st.none() | st.integers(0, 100)),
            minimum_fen=draw(st.sampled_from((0, 0, 20))),
            ceiling_bp=draw(st.sampled_from((10_000, 8_000, 5_000))),
            mode=draw(st.sampled_from(("DEDUCT", "DEDUCT", "REIMBURSE"))),
        )  # fmt: skip
        found.append(Admitted(rule, rule.rate_bp))
    return found


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Runs of rules of all kinds; legs are at times a little other than what rules give."""
    admitted = draw(usual_rules() | rules_drawn())
    prices = (PriceFrom(0, draw(st.sampled_from((1_000_000, 2_777_778, 333_333, 0)))),)
    units = draw(st.sampled_from((199, 60, 61, 20, 3, 1)))
    whole = cut([Span(0, 0, 1_000, units)], Cuts(prices))
    left = draw(st.just(enough(*(one.rule for one in admitted))) | left_drawn(admitted, 1))
    legs, gave = held(whole, admitted, left)
    kept = gave if draw(st.booleans()) else admitted  # a hold keeps also rules that give nothing
    kept = kept[::-1] if draw(st.integers(0, 9)) == 9 else kept
    legs = [_altered(draw, leg) for leg in legs]
    less = draw(st.sampled_from((20, 1, 0, 0, 2, 60, -1, -2)))
    span = Span(1, 0, draw(st.sampled_from((1_000, 1_000, 1_000, 2_000, 0))), max(1, units - less))
    return Run(kept, legs, cut([span], Cuts(prices, bounds_of(legs))))


def _altered(draw: st.DrawFn, leg: Leg) -> Leg:
    match draw(st.sampled_from((*[""] * 9, "amount", "year", "time", "rev"))):
        case "amount":
            return leg._replace(amount=max(1, leg.amount + draw(st.integers(-2, 40))))
        case "year":
            year = draw(st.sampled_from((None, YEAR, YEAR + 1)))
            return leg._replace(cap_year=year, cap_reserved=draw(st.booleans()))
        case "time":
            return leg._replace(from_ms=draw(st.sampled_from((0, 1, 5_000))))
        case "rev":
            return leg._replace(rev=1)
    return leg


def check(run: Run) -> None:
    found = settle_plainly(run.legs, run.admitted, run.used)
    assert found is None or found == settle_in_full(run.legs, run.admitted, run.used)


@settings(max_examples=250)
@given(runs())
def test_the_short_way_to_settle_finds_what_the_long_way_finds(run: Run) -> None:
    check(run)


@pytest.mark.slow
@settings(max_examples=4_000)
@given(runs())
def test_the_short_way_is_the_long_way_in_many_cases(run: Run) -> None:
    check(run)


RULE = Rule("p", 1, "wuhan", 5_000)
CITY = Leg(0, 500, "p", 1, "fund:p", "wuhan", cap_year=YEAR)


def plain(rule: Rule, legs: list[Leg], used_fen: int) -> bool:
    """Whether a run of one rule is settled the short way; then it is as the long way says."""
    admitted = [Admitted(rule, rule.rate_bp)]
    found = settle_plainly(legs, admitted, run_of(used_fen))
    assert found in (None, settle_in_full(legs, admitted, run_of(used_fen)))
    return found is not None


@pytest.mark.parametrize(
    "rule",
    [
        RULE,
        replace(RULE, year_cap_fen=400, job_cap_fen=300),
        replace(RULE, ceiling_bp=100, minimum_fen=900),
        replace(RULE, mode="REIMBURSE", support_years=1, boundary="BY_START"),
        replace(RULE, base="REMAINING", issue="VOUCHER"),
    ],
)
@pytest.mark.parametrize("used_fen", [0, 1, 400, 1_000])
def test_a_run_within_its_hold_is_settled_the_short_way(rule: Rule, used_fen: int) -> None:
    assert plain(rule, [CITY, Leg(1, 1_000)], used_fen)


def test_what_a_hold_has_to_the_last_fen_is_settled_the_short_way_and_a_fen_more_is_not() -> None:
    assert plain(RULE, [CITY, Leg(1, 500)], 1_000)
    assert not plain(RULE, [CITY, Leg(1, 500)], 1_001)  # 500 of the fund, 501 of the wallet
    assert not plain(RULE, [CITY._replace(amount=499), Leg(1, 501)], 1_000)
    assert not plain(RULE, [CITY], 1_000)


def test_a_programme_that_holds_nothing_gives_nothing_the_short_way() -> None:
    funders = (Funder("hubei", 9_999), Funder("wuhan", 1))
    for rule in (RULE, replace(RULE, issue="VOUCHER"), replace(RULE, funders=funders)):
        assert plain(rule, [Leg(0, 1_000)], 800)


@pytest.mark.parametrize(
    "other",
    [
        {"grant": True},
        {"from_ms": 1},
        {"to_ms": 0},
        {"funder": "hubei"},
        {"cap_year": YEAR + 1},
        {"cap_reserved": True},
    ],
)
def test_a_leg_that_does_not_serve_a_run_as_it_is_leaves_it_to_the_long_way(
    other: dict[str, object],
) -> None:
    assert not plain(RULE, [CITY._replace(**other), Leg(1, 1_000)], 800)  # type: ignore[arg-type]


def test_several_legs_of_a_programme_or_pieces_of_use_are_left_to_the_long_way() -> None:
    legs = [CITY, CITY._replace(rev=1), Leg(1, 1_000)]
    assert not plain(RULE, legs, 800)
    pieces = cut([Span(1, 0, 1_000, 1), Span(2, 1_000, 2_000, 1)], Cuts((PriceFrom(0, 10**6),)))
    assert settle_plainly(legs[:1], [Admitted(RULE, 5_000)], pieces) is None


def test_rules_out_of_their_order_are_left_to_the_long_way() -> None:
    other = replace(RULE, programme="q", priority=1, base="REMAINING")
    legs = [CITY, CITY._replace(leg=1, programme="q", account="fund:q"), Leg(2, 1_000)]
    admitted = [Admitted(other, 5_000), Admitted(RULE, 5_000)]
    assert settle_plainly(legs, admitted, run_of(800)) is None
    assert settle_plainly(legs, admitted[::-1], run_of(800)) is not None
