"""Subsidies clawed back (T13): what statements say of them, and what is booked when that is paid.

Each rule on SQLite and on PostgreSQL, with entries that the ledger itself made.
"""

import csv
import io
import zipfile

import pytest

from scheduler.domain.ids import run_id
from scheduler.store import debts, fund_closing
from scheduler.store.change_requests import Act
from scheduler.store.debts import Clawback
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR
from tests.unit.store.statement_hands import (
    MONTH,
    NEXT,
    charged,
    close,
    entries,
    export,
    issued,
    make,
    money,
    pay,
)

pytestmark = pytest.mark.usefixtures("each_store")

ALL = (("CITY", "wuhan"), ("CITY", "corridor"), ("ENTERPRISE", "w1"), ("CENTER", "ai"))
CODE = "更正 Correction"


def act(it: Hands) -> Act:
    return Act(OPERATOR, "false papers", it.clock.ms, it.clock.ms)


def claw_back(it: Hands, fen: int, key: str = "k") -> None:
    """Take back of what wuhan's programme gave w1's second run, 10 fen."""
    [(uid,)] = it.db.rows(
        "SELECT job_uid FROM subsidy_line WHERE programme = 'wuhan-v' AND amount_fen = 10"
    )
    order = Clawback(run_id(uid, 1), "wuhan-v", fen, key)
    it.db.do(lambda c: debts.claw_back(c, order, act(it)))


def clawed() -> Hands:
    """September is charged, closed and paid; in October 7 fen of it are clawed back."""
    it = charged()
    close(it, MONTH)
    for kind, owner in ALL:
        pay(it, issued(it, kind, owner))
    claw_back(it, 7)
    return it


def shut(it: Hands, *months: str) -> None:
    close(it, *months)
    it.verify()


def lines_of(it: Hands, number: str) -> list[dict[str, str]]:
    text = export(it, number, "CSV").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_it_is_stated_when_it_is_booked_as_what_each_owes() -> None:
    it = clawed()
    shut(it, NEXT)
    due = {}
    for kind, owner in ALL:
        row = make(it, kind, owner, NEXT).row
        due[kind, owner] = row.due_fen
        assert row.gross_fen == row.share_fen + row.others_fen + row.self_pay_fen == 0
        if row.lines:
            [line] = lines_of(it, row.number)
            assert (line[CODE], line["使用期 Month of use"]) == ("CLAWBACK", MONTH)
    assert due == {
        ("CITY", "wuhan"): -7,
        ("CITY", "corridor"): 0,
        ("ENTERPRISE", "w1"): 7,
        ("CENTER", "ai"): 0,
    }
    focus = export(it, "ENTERPRISE-w1-2026-10-R1", "FOCUS").decode("utf-8-sig")
    billed = [one["BilledCost"] for one in csv.DictReader(io.StringIO(focus, newline=""))]
    assert sum(round(float(one) * 100) for one in billed) == 7
    bundle = zipfile.ZipFile(io.BytesIO(export(it, "ENTERPRISE-w1-2026-10-R1", "EVIDENCE")))
    [entry] = csv.DictReader(io.StringIO(bundle.read("entries.csv").decode("utf-8-sig")))
    assert (entry["code"], entry["debit_account"], entry["credit_account"], entry["amount"]) == (
        "CLAWBACK", "receivable:w1", "fund:wuhan-v:2026", "7",
    )  # fmt: skip


def test_what_the_enterprise_pays_back_is_the_citys_again() -> None:
    it = clawed()
    before, fund = money(it), "fund:wuhan-v:2026"
    assert (before["receivable:w1"], before[fund]) == (
        -7,
        -before["appropriation:wuhan-v:2026"] + 7,
    )
    shut(it, NEXT)
    number = issued(it, "ENTERPRISE", "w1", NEXT)
    count = entries(it)
    pay(it, number, "bank-2")
    after = money(it)
    assert (after["receivable:w1"], after["wallet:w1"], after["external"]) == (0, 0, 0)
    assert after[fund] == before[fund], "it was free since it was clawed back"
    assert after["appropriation:wuhan-v:2026"] == -after[fund]
    assert it.db.rows(
        "SELECT shard, debit_account, credit_account, amount_fen, ref_period, reason FROM transfer"
        f" WHERE code = 'PAY' AND reason LIKE '{number}%' ORDER BY shard"
    ) == [
        (fund, "appropriation:wuhan-v:2026", "external", 7, NEXT, f"{number} bank-2"),
        ("wallets:wuhan", "external", "receivable:w1", 7, NEXT, f"{number} bank-2"),
    ]
    assert entries(it) == count + 2
    pay(it, number, "bank-2")
    assert entries(it) == count + 2
    it.verify()


@pytest.mark.parametrize("order", [ALL, ALL[::-1]], ids=["first the city", "first the center"])
def test_it_is_paid_once_whichever_statement_comes_first(
    order: tuple[tuple[str, str], ...],
) -> None:
    it = clawed()
    shut(it, NEXT)
    for kind, owner in order:
        pay(it, issued(it, kind, owner, NEXT))
    after = money(it)
    assert (after["receivable:w1"], after["external"], after["payable:ai"]) == (0, 0, 0)
    assert after["appropriation:wuhan-v:2026"] == -after["fund:wuhan-v:2026"]
    [(fen,)] = it.db.rows(
        "SELECT sum(amount_fen) FROM transfer"
        " WHERE code = 'PAY' AND credit_account = 'receivable:w1'"
    )
    assert fen == 7
    it.verify()


def test_in_the_month_of_the_use_it_is_one_bill() -> None:
    it = charged()
    claw_back(it, 4)
    claw_back(it, 6, "rest")
    shut(it, MONTH)
    row = make(it, "ENTERPRISE", "w1").row
    assert row.due_fen == row.self_pay_fen == 31 + 10
    assert make(it, "CITY", "wuhan").row.due_fen == 15 - 10
    for kind, owner in ALL:
        pay(it, issued(it, kind, owner))
    pay(it, issued(it, "CENTER", "sc"))
    after = money(it)
    for account in ("receivable:w1", "wallet:w1", "payable:ai", "payable:sc", "external"):
        assert after[account] == 0, account
    assert after["appropriation:wuhan-v:2026"] == -after["fund:wuhan-v:2026"] == -(20_000 - 5)
    it.verify()


def test_of_a_closed_fund_it_is_what_lapsed_that_the_enterprise_gives_back() -> None:
    it = charged()
    shut(it, MONTH, NEXT, "2026-11", "2026-12")
    for kind, owner in ALL:
        pay(it, issued(it, kind, owner))
    it.db.do(lambda c: fund_closing.close(c, "wuhan-v", "2026", act(it)))
    lapsed = money(it)["lapsed:wuhan-v:2026"]
    claw_back(it, 10)
    assert money(it)["lapsed:wuhan-v:2026"] == lapsed + 10
    shut(it, "2027-01")
    pay(it, issued(it, "ENTERPRISE", "w1", "2027-01"))
    after = money(it)
    assert (after["receivable:w1"], after["external"], after["fund:wuhan-v:2026"]) == (0, 0, 0)
    assert after["appropriation:wuhan-v:2026"] == -after["lapsed:wuhan-v:2026"]
    it.verify()
