"""The worked month of the manual is what the books give, and its sums hold."""

import pytest

from tests.simulation import worked_pages
from tests.simulation.worked_month import PRICES, Month, play


@pytest.fixture(scope="module")
def month() -> Month:
    return play()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_is_what_the_books_give(month: Month, lang: str) -> None:
    written = worked_pages.PAGES[lang].read_text(encoding="utf-8")
    assert written == worked_pages.page(month, lang), "run python -m tests.simulation.worked_pages"


def test_each_run_is_its_use_at_its_price(month: Month) -> None:
    for one in month.charged:
        run = one.run
        paid = 0 if run.end == "NODE" else run.units * run.hours - one.free_unit_hours
        assert one.gross_fen * 10**6 == paid * 3_600 * PRICES[run.flavor]
        assert one.gross_fen == one.self_pay_fen + sum(fen for _, fen, _ in one.parts)


def test_what_cities_and_enterprises_owe_is_what_centers_get(month: Month) -> None:
    due = dict.fromkeys(("CITY", "ENTERPRISE", "CENTER"), 0)
    claims = 0
    for row in (shown.row for shown in month.statements):
        due[row.kind] += row.due_fen
        claims += row.claim_fen if row.kind == "CITY" else 0
    assert due["CENTER"] == due["CITY"] + due["ENTERPRISE"] - claims
    assert due["CENTER"] == sum(one.gross_fen for one in month.charged)


def test_all_is_paid_and_nothing_is_wrong(month: Month) -> None:
    balances = {account: (debits, credits) for account, debits, credits in month.balances}
    for account, (debits, credits) in balances.items():
        if account.startswith(("payable:", "wallet:", "claim:", "external")):
            assert debits == credits, account
    assert month.verified is not None
    assert month.verified.problems == ()
    assert all(not one.difference_count for one in month.compared)
