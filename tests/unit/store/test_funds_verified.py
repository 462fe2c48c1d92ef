"""The verification of the ledger finds what was changed behind its back in funds and vouchers."""

import pytest
from sqlalchemy import Connection

from scheduler.store import book_months, fund_closing, verification_funds
from scheduler.store.vouchers import NewVoucher
from tests.unit.store.money_hands import FUND, NEXT_YEAR_MS, MoneyHands

pytestmark = pytest.mark.usefixtures("each_store")


def problems(c: Connection) -> list[str]:
    """All that the checks of funds find."""
    checks = (
        verification_funds.decisions,
        verification_funds.closed_funds,
        verification_funds.closed_months,
    )
    return [problem for check in checks for problem in check(c)]


def busy() -> MoneyHands:
    """Books in which each kind of thing has happened."""
    it = MoneyHands()
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    it.issue(NewVoucher("w1", 500, "A"), NewVoucher("w1", 300, "B"))
    it.revoke("B")
    it.hold(FUND, 9_000)
    it.lower("v", 1_000, pending=True)
    it.clock.ms = NEXT_YEAR_MS
    it.db.do(lambda c: fund_closing.close(c, "pool", "2026", it.act()))
    it.db.do(lambda c: book_months.close(c, "2026-10", it.act()))
    it.db.do(lambda c: book_months.close(c, "2026-11", it.act()))
    assert it.db.read_sync(problems) == []
    return it


TAMPERED = {
    "UPDATE fund_funder SET appropriated_fen = appropriated_fen + 1 WHERE programme = 'v'":
        "fund_funder v/2026/wuhan: says 9501 fen were appropriated, its entries come to 9500",
    "UPDATE fund_funder SET reducing_fen = 7 WHERE programme = 'v'":
        "fund_funder v/2026/wuhan: says 7 fen are to be taken out, its orders come to 500",
    "UPDATE fund_reduction SET left_fen = 499":
        "fund_funder v/2026/wuhan: its reductions took 501 fen, its entries come to 500",
    "UPDATE voucher SET face_fen = 501 WHERE voucher_no = 'A'":
        "voucher A: has a face of 501 fen, its entry says 500",
    "UPDATE voucher SET returned_fen = 299 WHERE voucher_no = 'B'":
        "voucher B: says 299 fen went back, its entries say 300",
    "UPDATE voucher SET drained = TRUE WHERE voucher_no = 'A'":
        "voucher A: is said to hold nothing, and holds 500 fen",
    "INSERT INTO unit_grant VALUES ('v', '2026', 'w1', 'grant:v:2026:w1', 5, 1)":
        "unit_grant grant:v:2026:w1: says 5 went back, its entries say 0",
    "INSERT INTO fund_close VALUES ('v', '2026', 'fund:v:2026', 99, ?, 0, 1)":
        "fund_close v/2026: entry fund:v:2026#99 is not the one it froze",
    "INSERT INTO fund_close VALUES ('v', '2026', 'fund:v:2026', 0, ?, 0, 1)":
        "transfer fund:v:2026#1: was booked after its fund was closed, without a reference",
    "INSERT INTO book_head VALUES ('2026-10', 'fund:x:2026', 1, ?)":
        "book_head 2026-10 fund:x:2026: entry #1 is not the one that was frozen",
    "UPDATE book_month SET state = 'CLOSED' WHERE month = '2027-01'":
        "book_month 2027-01: entry fund:pool:2026#2 was booked after it was closed",
}  # fmt: skip


class _Undone(Exception):
    """Rolls a change back, and says what was found."""


def test_whatever_is_changed_is_found_by_its_name() -> None:
    it = busy()
    for statement, problem in TAMPERED.items():

        def change(c: Connection, statement: str = statement) -> None:
            c.exec_driver_sql(statement, (b"x",) * statement.count("?"))
            raise _Undone(problems(c))

        with pytest.raises(_Undone) as caught:
            it.db.do(change)
        assert problem in caught.value.args[0], (statement, caught.value.args[0])
    assert it.db.read_sync(problems) == []
