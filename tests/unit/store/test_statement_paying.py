"""Statements of months with corrections, and what is booked when they are paid.

Each rule on SQLite and on PostgreSQL.
"""

import csv
import io

import pytest

from adapters.contract import Phase
from quota.statements import StatementState
from scheduler.errors import Conflict
from scheduler.services import statements as use_cases
from scheduler.store import statements
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR
from tests.unit.store.statement_hands import (
    MONTH,
    NEXT,
    WHY,
    charged,
    close,
    context_of,
    entries,
    export,
    issued,
    make,
    money,
    pay,
    run,
)

pytestmark = pytest.mark.usefixtures("each_store")


@pytest.fixture
def books() -> Hands:
    """September, charged and closed."""
    it = charged()
    close(it, MONTH)
    return it


# --- corrections ----------------------------------------------------------------------------------


def revised(it: Hands, seconds: int) -> None:
    """The center of w1's second run states other use, after September was closed."""
    [(uid, start_ms)] = it.db.rows(
        "SELECT job_uid, start_ms FROM run WHERE enterprise = 'w1' AND units = 2"
    )
    usage = it.usage(uid, start_ms, start_ms + seconds * 1_000, revision=1)
    it.report(it.seen(uid, Phase.SUCCEEDED, 3, usage=[usage]))


def test_a_late_correction_is_stated_when_it_is_booked_with_the_month_of_its_use(
    books: Hands,
) -> None:
    number = issued(books, "ENTERPRISE", "w1")
    before = export(books, number, "CSV")
    revised(books, 54)  # 54 s instead of 154 s: 12 fen instead of 34
    assert export(books, number, "CSV") == before
    close(books, NEXT)
    row = make(books, "ENTERPRISE", "w1", NEXT).row
    assert (row.charges, row.corrections, row.gross_fen) == (1, 1, -22)
    assert row.gross_fen == row.share_fen + row.self_pay_fen
    text = export(books, row.number, "CSV").decode("utf-8-sig")
    [line] = csv.DictReader(io.StringIO(text, newline=""))
    assert (line["使用期 Month of use"], line["更正 Correction"]) == (MONTH, "CORRECT")
    assert line["更正所指 Corrects"].startswith("settle:")
    assert line["数量(单位·秒) Quantity (unit-seconds)"] == "-100"
    city = make(books, "CITY", "wuhan", NEXT).row
    assert (city.share_fen, city.corrections) == (-7, 1)
    focus = export(books, row.number, "FOCUS").decode("utf-8-sig")
    billed = [dict(one) for one in csv.DictReader(io.StringIO(focus, newline=""))]
    assert {one["ChargeClass"] for one in billed} == {"Correction"}
    assert sum(round(float(one["BilledCost"]) * 100) for one in billed) == row.due_fen
    run(use_cases.dispute(context_of(books), OPERATOR, number, "100 s too much"))
    again = make(books, "ENTERPRISE", "w1").row
    assert (again.revision, again.later_fen, again.gross_fen) == (2, -22, 52)


def test_what_is_taken_back_is_paid_back(books: Hands) -> None:
    for kind, owner in (("CITY", "wuhan"), ("CITY", "corridor"), ("ENTERPRISE", "w1")):
        pay(books, issued(books, kind, owner))
    revised(books, 54)
    close(books, NEXT)
    owed = money(books)["payable:ai"]
    pay(books, issued(books, "CENTER", "ai", NEXT))
    after = money(books)
    assert after["payable:ai"] == owed + 22  # the center gives back what it got
    assert after["external"] == -after["wallet:w1"] < 0  # the enterprise's part is on its wallet
    for kind, owner in (("CENTER", "ai"), ("CENTER", "sc")):
        pay(books, issued(books, kind, owner))
    assert money(books)["payable:ai"] == money(books)["payable:sc"] == 0
    books.verify()


# --- paying ---------------------------------------------------------------------------------------


def test_a_city_pays_centers_out_of_what_it_appropriated_once(books: Hands) -> None:
    number = issued(books, "CITY", "wuhan")
    before, count = money(books), entries(books)
    assert pay(books, number).payment_ref == "bank-1"
    after = money(books)
    assert after["payable:ai"] == before["payable:ai"] - 15
    assert after["appropriation:wuhan-v:2026"] == before["appropriation:wuhan-v:2026"] + 15
    assert entries(books) == count + 1
    assert books.db.rows(
        "SELECT shard, code, debit_account, credit_account, amount_fen, ref_period, reason"
        " FROM transfer WHERE code = 'PAY'"
    ) == [
        ("payables:ai", "PAY", "payable:ai", "appropriation:wuhan-v:2026", 15, MONTH,
         f"{number} bank-1")
    ]  # fmt: skip
    assert pay(books, number).state == "PAID"  # again: nothing
    assert entries(books) == count + 1
    books.verify()


def test_an_enterprise_pays_and_its_credit_line_is_free_again(books: Hands) -> None:
    number = issued(books, "ENTERPRISE", "w1")
    before = money(books)
    pay(books, number)
    after = money(books)
    assert before["wallet:w1"] == -31
    assert after["wallet:w1"] == 0
    assert after["payable:ai"] == before["payable:ai"] - 30
    assert after["payable:sc"] == before["payable:sc"] - 1
    assert after["external"] == 0  # what came in went out
    books.verify()


def test_what_was_prepaid_is_not_paid_into_the_wallet_again(books: Hands) -> None:
    books.db.do(
        lambda c: c.exec_driver_sql(
            "UPDATE account SET credits_posted = credits_posted + 20 WHERE account_id = 'wallet:w1'"
        ).close()
    )
    pay(books, issued(books, "ENTERPRISE", "w1"))
    assert money(books)["wallet:w1"] == 0  # of 31, 20 were there


def test_each_part_is_paid_once_whichever_statement_comes_first(books: Hands) -> None:
    pay(books, issued(books, "CITY", "wuhan"))
    pay(books, issued(books, "CENTER", "ai"))
    after = money(books)
    assert after["payable:ai"] == 0
    count = entries(books)
    pay(books, issued(books, "CITY", "corridor"))  # all of it was in the center's
    assert entries(books) == count
    pay(books, issued(books, "ENTERPRISE", "w1"))
    pay(books, issued(books, "CENTER", "sc"))
    after = money(books)
    assert (after["payable:ai"], after["payable:sc"], after["external"]) == (0, 0, 0)
    assert [after[f"wallet:{one}"] for one in ("w1", "e1", "x1")] == [0, 0, 0]
    books.verify()


def test_paying_moves_no_fund_and_no_statement(books: Hands) -> None:
    number = issued(books, "CENTER", "ai")
    funds = {a: fen for a, fen in money(books).items() if a.startswith("fund:")}
    before = export(books, number, "CSV")
    pay(books, number)
    assert {a: fen for a, fen in money(books).items() if a.startswith("fund:")} == funds
    assert export(books, number, "CSV") == before


# --- two at once ----------------------------------------------------------------------------------


def test_what_another_moved_at_the_same_moment_is_to_be_looked_at_again(books: Hands) -> None:
    """Two services read a draft, and both issue it: one of them is told so, and writes nothing."""
    draft = make(books, "CITY", "wuhan").row

    def issue_what_was_read() -> None:
        books.db.do(
            lambda c: statements.move(
                c, OPERATOR, draft, StatementState.ISSUED, now_ms=books.clock.ms, wall_ms=0,
                reason=WHY,
            )
        )  # fmt: skip

    issue_what_was_read()
    with pytest.raises(Conflict, match="was moved at this moment"):
        issue_what_was_read()
    assert books.db.rows("SELECT count(*) FROM audit_event WHERE action = 'STATEMENT_ISSUED'") == [
        (1,)
    ]
