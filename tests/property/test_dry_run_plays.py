"""Dry runs charge each run as if alone where there is plenty, and give no more than there was."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from quota.amounts import gross_fen
from quota.charges import Source
from quota.dry_run import PastRun, Purse, Terms, play
from quota.rules import Applicant, Ask, Rule
from quota.slices import Span

START_MS = 1_772_690_400_000
FUND = "fund:v:2026"
PLENTY = 10**15


def past(number: int, enterprise: str, seconds: int, units: int, price: int) -> PastRun:
    applicant = Applicant("wuhan", "SMALL", "", False)
    span = Span(0, START_MS, START_MS + seconds * 1000, units)
    return PastRun(enterprise, number, number, applicant, Ask("c", "c/f"), (span,), price)


_runs = st.lists(
    st.builds(
        past,
        st.integers(0, 40),
        st.sampled_from(("a", "b")),
        st.integers(0, 5_000),
        st.integers(1, 8),
        st.integers(0, 300_000),
    ),
    max_size=12,
)
_rates = st.integers(0, 10_000)


def purse(fund_fen: int = PLENTY, **caps: int) -> Purse:
    used = {("v", enterprise, 2026): fen for enterprise, fen in caps.items()}
    return Purse({"v": (Source(FUND, "wuhan"),)}, {}, {FUND: fund_fen}, used)


@given(_runs, _rates)
def test_with_plenty_each_run_is_charged_as_if_alone(runs: list[PastRun], rate_bp: int) -> None:
    found = play(runs, Terms((Rule("v", 1, "wuhan", rate_bp),)), purse())
    costs = [
        gross_fen(span.units, (span.end_ms - span.start_ms) // 1000, run.price_ufen)
        for run in runs
        for span in run.spans
    ]
    given_each = [fen * rate_bp // 10_000 for fen in costs]
    assert found.gross_fen == sum(costs)
    assert found.subsidy_fen == sum(given_each)
    days: Counter[tuple[str, int]] = Counter()
    for run, fen in zip(runs, given_each, strict=True):
        days["v", run.day] += fen
    assert found.days == +days


@given(_runs, _rates, st.integers(0, 500), st.integers(0, 300), st.integers(0, 300))
def test_no_more_is_given_than_there_was(
    runs: list[PastRun], rate_bp: int, fund_fen: int, cap_fen: int, used_fen: int
) -> None:
    there = purse(fund_fen, a=used_fen)
    rule = Rule("v", 1, "wuhan", rate_bp, year_cap_fen=cap_fen)
    found = play(runs, Terms((rule,)), there)
    assert found.subsidy_fen <= fund_fen
    assert found.given_to["a"] <= max(0, cap_fen - used_fen)
    assert found.given_to["b"] <= cap_fen
    assert there == purse(fund_fen, a=used_fen)
    assert play(runs, Terms((rule,)), there) == found


@given(_runs, _rates, _rates, st.integers(0, 3_000))
def test_a_higher_rate_never_gives_less(
    runs: list[PastRun], low_bp: int, high_bp: int, fund_fen: int
) -> None:
    low_bp, high_bp = sorted((low_bp, high_bp))
    less, more = (
        play(runs, Terms((Rule("v", 1, "wuhan", rate),)), purse(fund_fen)).subsidy_fen
        for rate in (low_bp, high_bp)
    )
    assert less <= more


def test_other_prices_change_what_runs_cost() -> None:
    runs = [past(1, "a", 3_600, 2, 100_000)]
    found = play(runs, Terms((Rule("v", 1, "wuhan", 5_000),), {"c/f": 200_000}), purse())
    assert (found.gross_fen, found.subsidy_fen) == (1_440, 720)
    other = play(runs, Terms((), {"another": 200_000}), purse())
    assert (other.gross_fen, other.subsidy_fen) == (720, 0)


def test_a_contract_is_used_in_the_order_of_the_runs() -> None:
    rule = Rule("v", 1, "wuhan", 5_000, contract_once="JOB")
    runs = [
        past(day, "a", 3_600, 1, 100_000)._replace(ask=Ask("c", "c/f", contract="k"))
        for day in (1, 2)
    ]
    found = play(runs, Terms((rule,)), purse())
    assert found.days == {("v", 1): 180}


def test_who_wanted_no_subsidy_gets_none() -> None:
    runs = [past(1, "a", 3_600, 1, 100_000)._replace(wants=False)]
    found = play(runs, Terms((Rule("v", 1, "wuhan", 5_000),)), purse())
    assert (found.gross_fen, found.subsidy_fen, dict(found.bindings)) == (360, 0, {})
