"""What was written off is nobody's payment: what statements say of it, and what is booked.

Each rule on SQLite and on PostgreSQL. A run of 90 s on one card, 60 s of which were held, costs 20
fen: the fund gives 6, the wallet its 10, and 4 are owed to the center.
"""

from itertools import permutations

import pytest

from adapters.contract import Phase
from quota.rules import Rule
from quota.transfers import Entry, Kind
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import run_id
from scheduler.errors import InvalidRequest
from scheduler.store import book_months, bookings, debts, fund_closing, verification
from scheduler.store.change_requests import Act
from scheduler.store.debts import Clawback, WriteOff
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, OPERATOR, job
from tests.unit.store.statement_hands import MONTH, NEXT, close, entries, issued, make, money, pay

pytestmark = pytest.mark.usefixtures("each_store")

ALL = (("CITY", "wuhan"), ("ENTERPRISE", "w1"), ("CENTER", "ai"))
ORDERS = list(permutations(ALL))
FUND, SOURCE = "fund:v:2026", "appropriation:v:2026"


def act(it: Hands) -> Act:
    return Act(OPERATOR, "insolvent", it.clock.ms, it.clock.ms)


def founded() -> Hands:
    """A programme of 30 %, and an enterprise with a credit of 10 fen."""
    rule = Rule("v", 1, "wuhan", 3000)
    it = Hands(worlds.build(rules=((rule, 10_000),), credit={"w1": 10}))
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    return it


def owing(it: Hands) -> int:
    """A run that leaves a debt of 4 fen."""
    [uid] = it.world.submit("w1", [job(NPU, wall_s=60)])
    it.run(uid)
    it.end(uid, 90)
    return uid


def meter(it: Hands, uid: int, seconds: int) -> None:
    """The center says that a run used other seconds than it said before."""
    [(start_ms,)] = it.db.rows(f"SELECT start_ms FROM run WHERE job_uid = {uid}")
    usage = it.usage(uid, start_ms, start_ms + seconds * 1_000, revision=1)
    it.report(it.seen(uid, Phase.SUCCEEDED, 3, usage=[usage]))


def write_off(it: Hands, uid: int, fen: int, key: str = "k") -> None:
    order = WriteOff(run_id(uid, 1), fen, key)
    it.db.do(lambda c: debts.write_off(c, order, act(it), Approvals(threshold_fen=10**9)))


def claw_back(it: Hands, uid: int, fen: int) -> None:
    order = Clawback(run_id(uid, 1), "v", fen, "k")
    it.db.do(lambda c: debts.claw_back(c, order, act(it)))


def dues(it: Hands, period: str = MONTH) -> dict[str, tuple[int, int]]:
    """What each statement says was written off, and what is due."""
    rows = [make(it, kind, owner, period).row for kind, owner in ALL]
    assert all(
        one.gross_fen == one.share_fen + one.others_fen + one.self_pay_fen + one.written_off_fen
        for one in rows
    )
    return {one.kind: (one.written_off_fen, one.due_fen) for one in rows}


def banked(it: Hands) -> tuple[int, int]:
    """What the bank paid out, and what it took in."""
    [row] = it.db.rows(
        "SELECT credits_posted, debits_posted FROM account WHERE account_id = 'external'"
    )
    return int(row[0]), int(row[1])


def settled(it: Hands) -> dict[str, int]:
    """All money that is left, once nobody owes anything any more."""
    it.verify()
    left = {account: fen for account, fen in money(it).items() if fen}
    assert left.pop(SOURCE) == -left.pop(FUND)
    return left


@pytest.mark.parametrize("order", ORDERS, ids=[" ".join(k for k, _ in one) for one in ORDERS])
@pytest.mark.parametrize("periods", [(MONTH,), (MONTH, "2026Q3"), ("2026Q3", MONTH)])
def test_what_was_written_off_is_not_paid_whichever_statement_comes_first(
    periods: tuple[str, ...], order: tuple[tuple[str, str], ...]
) -> None:
    it = founded()
    write_off(it, owing(it), 4)
    close(it, MONTH)
    for period in periods:
        assert dues(it, period) == {"CITY": (4, 6), "ENTERPRISE": (4, 10), "CENTER": (4, 16)}
        for kind, owner in order:
            pay(it, issued(it, kind, owner, period))
    assert banked(it) == (10, 10)
    assert settled(it) == {}
    run = run_id(it.db.rows("SELECT job_uid FROM run")[0][0], 1)
    assert it.db.rows(
        "SELECT idem_key, debit_account, credit_account, amount_fen FROM transfer"
        " WHERE idem_key LIKE '%receivable%' AND code = 'PAY' ORDER BY idem_key"
    ) == [
        (f"off:pay:{MONTH}:receivable:w1>payable:ai:{run}", "payable:ai", "write_off:ai", 4),
        (f"pay:{MONTH}:receivable:w1>payable:ai", "payable:ai", "external", 0),
    ]


def test_what_is_written_off_after_its_month_is_stated_then_and_used_where_it_is_owed() -> None:
    it = founded()
    uid = owing(it)
    close(it, MONTH)
    first = [issued(it, *one) for one in ALL]
    write_off(it, uid, 1)
    write_off(it, uid, 2, "more")
    for number in first:
        pay(it, number)
    assert banked(it) == (11, 11)  # of the debt 1 is paid
    assert settled(it) == {}
    with pytest.raises(InvalidRequest, match="nothing to write off"):
        write_off(it, uid, 1, "paid")
    close(it, NEXT)
    assert dues(it, NEXT) == {"CITY": (0, 0), "ENTERPRISE": (3, -3), "CENTER": (3, -3)}
    count = entries(it)
    for kind, owner in ALL:
        pay(it, issued(it, kind, owner, NEXT))
    assert entries(it) == count
    assert settled(it) == {}


@pytest.mark.parametrize("periods", [(MONTH, NEXT), (NEXT, MONTH), ("2026",)])
def test_what_two_months_owe_is_written_off_once(periods: tuple[str, ...]) -> None:
    it = founded()
    uid = owing(it)
    close(it, MONTH)
    meter(it, uid, 120)  # 27 fen: the fund gives 8, the wallet 10, and 5 more are owed
    write_off(it, uid, 6)
    close(it, NEXT, "2026-11", "2026-12")
    assert dues(it, NEXT) == {"CITY": (6, 2), "ENTERPRISE": (6, -1), "CENTER": (6, 1)}
    for period in periods:
        for one in ALL:
            pay(it, issued(it, *one, period))
    assert banked(it) == (10 + 3, 10 + 3)
    assert settled(it) == {}


def test_a_debt_that_was_paid_is_not_written_off() -> None:
    it = founded()
    uid = owing(it)
    close(it, MONTH)
    pay(it, issued(it, "CENTER", "ai"))
    before = entries(it)
    with pytest.raises(InvalidRequest, match=r"owes ¥0\.00"):
        write_off(it, uid, 4)
    assert entries(it) == before


@pytest.mark.parametrize("order", ORDERS, ids=[" ".join(k for k, _ in one) for one in ORDERS])
def test_the_city_bears_what_was_clawed_back_and_written_off(
    order: tuple[tuple[str, str], ...],
) -> None:
    it = founded()
    uid = owing(it)
    claw_back(it, uid, 6)
    write_off(it, uid, 7)  # the center 4, the city 3
    assert money(it)["write_off:ai"] == -4
    assert money(it)["forgone:v:2026"] == -3
    close(it, MONTH)
    assert dues(it) == {"CITY": (4, 6 - 6 + 3), "ENTERPRISE": (4, 10 + 3), "CENTER": (4, 16)}
    for kind, owner in order:
        pay(it, issued(it, kind, owner))
    assert banked(it) == (10 + 3, 10 + 3)
    assert settled(it) == {}
    assert money(it)[FUND] == 10_000, "all of it is there again"


def test_of_a_closed_fund_it_is_forgone_too() -> None:
    it = founded()
    uid = owing(it)
    close(it, MONTH, NEXT, "2026-11", "2026-12")
    for one in ALL:
        pay(it, issued(it, *one))
    assert banked(it) == (14, 14)
    it.db.do(lambda c: fund_closing.close(c, "v", "2026", act(it)))
    claw_back(it, uid, 6)
    write_off(it, uid, 6)
    close(it, "2027-01")
    assert dues(it, "2027-01") == {"CITY": (0, 0), "ENTERPRISE": (0, 0), "CENTER": (0, 0)}
    for one in ALL:
        pay(it, issued(it, *one, "2027-01"))
    it.verify()
    assert banked(it) == (14, 14)
    left = {account: fen for account, fen in money(it).items() if fen}
    assert left == {"lapsed:v:2026": 10_000, SOURCE: -10_000}


def test_each_center_bears_its_own() -> None:
    it = founded()
    first = owing(it)
    [second] = it.world.submit("w1", [job(CPU, 8, wall_s=60, subsidy="NONE")])
    it.db.do(lambda c: c.exec_driver_sql(
        "UPDATE account SET credit_limit_fen = 11 WHERE account_id = 'wallet:w1'"
    ).close())  # fmt: skip
    it.run(second)
    it.end(second, 3_600, units=8)  # 80 fen, of which the wallet has 1
    write_off(it, second, 30)
    write_off(it, first, 4)
    close(it, MONTH)
    center = make(it, "CENTER", "sc").row
    assert (center.gross_fen, center.written_off_fen, center.due_fen) == (80, 30, 50)
    pay(it, issued(it, "CENTER", "sc"))
    assert (money(it)["payable:sc"], money(it)["write_off:sc"]) == (0, 0)
    assert money(it)["write_off:ai"] == -4
    assert banked(it) == (50, 50)
    for one in ALL:
        pay(it, issued(it, *one))
    assert settled(it) == {}


def test_what_one_run_gets_back_does_not_hide_what_was_written_off_of_another() -> None:
    it = founded()
    old = owing(it)
    close(it, MONTH)
    for one in ALL:
        pay(it, issued(it, *one))
    assert banked(it) == (14, 14)
    new = owing(it)
    write_off(it, new, 4)
    meter(it, old, 60)  # 13 fen, none of it a debt
    close(it, NEXT)
    assert dues(it, NEXT)["CENTER"] == (4, 20 - 7 - 4)
    for one in ALL:
        pay(it, issued(it, *one, NEXT))
    # The enterprise paid 4 of what was no debt in the end: they are its own.
    assert settled(it) == {"receivable:w1": 4, "external": -4}


def test_verification_finds_what_is_used_twice() -> None:
    it = founded()
    write_off(it, owing(it), 4)
    close(it, MONTH)
    pay(it, issued(it, "CENTER", "ai"))
    key = f"off:pay:{NEXT}:receivable:w1>payable:ai:{run_id(1, 1)}"
    again = Entry(
        "payables:ai", Kind.DIRECT, "PAY", "payable:ai", "write_off:ai", 4, it.clock.ms, key
    )
    it.db.do(lambda c: bookings.book(c, [again]))
    found = it.db.read_sync(verification.verify).problems
    assert [one.partition(":")[0] for one in found] == [f"run {run_id(1, 1)}", "transfer pay"]
