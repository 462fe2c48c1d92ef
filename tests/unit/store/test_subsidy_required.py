"""A job that requires a subsidy starts if its programmes give what their rates come to."""

import pytest

from quota.charges import Source
from quota.rules import Applicant, Rule
from scheduler.domain.reasons import ReasonCode
from scheduler.store.paying import Means, Wanted, judge
from scheduler.store.pricing import Money, Payer, Price

FUND = "fund:p:2026"


def reason(rate_bp: int, fund_fen: int, seconds: int, cap_fen: int | None = None) -> str:
    """Why a run at 1 fen a second may not start; empty if it may."""
    rule = Rule("p", 1, "wuhan", rate_bp, year_cap_fen=cap_fen)
    money = Money({"f": Price("f@1", 1_000_000)}, (rule,), {"p": (Source(FUND, "wuhan"),)})
    payer = Payer("e", Applicant("wuhan", "SMALL", "ai", False), {})
    means = Means(money, {"e": payer}, {FUND: fund_fen, "wallet:e": 10_000}, {}, 0)
    found = judge(means, Wanted(1, 1, "c", "f", "e", "wuhan", 1, seconds, "REQUIRED", None))
    return "" if found.reason is None else str(found.reason.code)


@pytest.mark.parametrize(
    ("rate_bp", "fund_fen", "seconds", "cap_fen", "expected"),
    [
        (3_000, 1_000, 100, None, ""),
        (3_000, 1_000, 3, None, ""),  # 0.9 fen are rounded to nothing: it is the whole rate
        (3_000, 0, 100, None, ReasonCode.SUBSIDY_SHORT),
        (3_000, 1_000, 100, 0, ReasonCode.SUBSIDY_SHORT),
        (0, 1_000, 100, None, ReasonCode.SUBSIDY_SHORT),
    ],
)
def test_required(
    rate_bp: int, fund_fen: int, seconds: int, cap_fen: int | None, expected: str
) -> None:
    assert reason(rate_bp, fund_fen, seconds, cap_fen) == expected
