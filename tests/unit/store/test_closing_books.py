"""Periods of funds and months of the books: when they close, and what can be booked then."""

import pytest
from sqlalchemy.exc import IntegrityError

from quota.calendar import period_bounds
from quota.rules import Rule
from quota.transfers import Entry, Kind, fund_account, grant_account, voucher_account
from scheduler.errors import NotFound, WrongState
from scheduler.store import (
    book_months,
    bookings,
    fund_closing,
    grants,
    transfers,
    voucher_returns,
)
from scheduler.store.book_months import MonthInfo
from scheduler.store.fund_figures import FundInfo
from scheduler.store.grants import Grant
from scheduler.store.vouchers import NewVoucher
from tests.unit.store.money_hands import FUND, NEXT_YEAR_MS, RULES, MoneyHands, admin

pytestmark = pytest.mark.usefixtures("each_store")

OCTOBER, NOVEMBER, DECEMBER = (period_bounds(f"2026-{month}") for month in (10, 11, 12))


def close_fund(it: MoneyHands, programme: str = "v") -> FundInfo:
    """Let a fund of 2026 close."""
    return it.db.do(lambda c: fund_closing.close(c, programme, "2026", it.act()))


def tick(it: MoneyHands) -> None:
    """The housekeeping of an instant, as often as something is due."""
    now_ms = it.clock.ms
    it.db.do(lambda c: voucher_returns.give_back(c, now_ms))
    while it.db.read_sync(fund_closing.any_due):
        it.db.do(lambda c: fund_closing.close_due(c, now_ms, now_ms))


def close_month(it: MoneyHands, month: str) -> MonthInfo:
    """Close a month."""
    return it.db.do(lambda c: book_months.close(c, month, it.act()))


def months(it: MoneyHands) -> dict[str, str]:
    """State of each month."""
    return {one.month: one.state for one in it.db.read_sync(book_months.list_months)}


# --- funds ----------------------------------------------------------------------------------------


def test_a_fund_closes_after_its_period_and_what_is_left_lapses() -> None:
    it = MoneyHands()
    it.settle(FUND, it.hold(FUND, 4_000), 4_000, 3_000)
    with pytest.raises(WrongState, match="is not over"):
        close_fund(it)
    it.clock.ms = NEXT_YEAR_MS
    fund = close_fund(it)
    assert (fund.state, fund.lapsed_fen, fund.posted_fen, fund.available_fen) == (
        "CLOSED", 7_000, 3_000, 0,
    )  # fmt: skip
    assert it.codes("code = 'LAPSE'") == [("LAPSE", FUND, "lapsed:v:2026", 7_000)]
    [(seq, digest, lapsed)] = it.db.rows("SELECT seq, hash, lapsed_fen FROM fund_close")
    assert it.db.read_sync(transfers.read_heads)[FUND] == (seq, bytes(digest))
    assert lapsed == 7_000
    assert close_fund(it) == fund, "again changes nothing"


def test_each_funder_gets_back_its_own() -> None:
    it = MoneyHands()
    it.pay("pool", 300, funder="province")
    it.clock.ms = NEXT_YEAR_MS
    assert [one.lapsed_fen for one in close_fund(it, "pool").funders] == [1_000, 300]
    assert it.balance("lapsed:pool:2026:province") == (300, 0)


def test_a_fund_that_is_held_closes_when_its_holds_are_settled() -> None:
    it = MoneyHands()
    leg = it.hold(FUND, 4_000)
    it.clock.ms = NEXT_YEAR_MS
    assert close_fund(it).state == "CLOSING"
    tick(it)
    assert it.fund().state == "CLOSING"
    it.settle(FUND, leg, 4_000, 1_000)
    tick(it)
    fund = it.fund()
    assert (fund.state, fund.lapsed_fen, fund.posted_fen) == ("CLOSED", 9_000, 1_000)


def test_a_closing_fund_takes_and_gives_nothing() -> None:
    it = MoneyHands()
    it.hold(FUND, 4_000)
    it.clock.ms = NEXT_YEAR_MS
    close_fund(it)
    for refused in (
        lambda: it.pay("v", 1),
        lambda: it.lower("v", 1),
        lambda: it.issue(NewVoucher("w1", 1)),
    ):
        with pytest.raises(WrongState, match="is CLOSING"):
            refused()


def test_a_fund_closes_when_its_vouchers_have_ended_and_what_they_hold_is_settled() -> None:
    it = MoneyHands()
    voucher, _ = it.issue(NewVoucher("w1", 1_000), NewVoucher("w1", 5, "B"))
    account = voucher_account(voucher.voucher_no)
    leg = it.hold(account, 600, FUND)
    it.clock.ms = NEXT_YEAR_MS
    assert close_fund(it).state == "CLOSING"
    tick(it)
    assert it.fund().state == "CLOSING", "the vouchers are valid still"
    it.clock.ms = voucher.end_ms
    tick(it)
    assert it.fund().state == "CLOSING", "a run holds a part of one"
    it.settle(account, leg, 600, 500, FUND)
    tick(it)
    fund = it.fund()
    assert (fund.state, fund.posted_fen, fund.lapsed_fen) == ("CLOSED", 500, 9_500)


def test_a_pending_reduction_takes_what_would_lapse() -> None:
    it = MoneyHands()
    leg = it.hold(FUND, 4_000)
    it.lower("v", 9_000, pending=True)
    it.clock.ms = NEXT_YEAR_MS
    close_fund(it)
    it.settle(FUND, leg, 4_000, 2_000)
    tick(it)
    fund = it.fund()
    assert (fund.lapsed_fen, fund.reducing_fen, fund.appropriated_fen) == (0, 0, 2_000)


def test_granted_hours_end_with_their_period() -> None:
    it = MoneyHands((*RULES, (Rule("hours", 1, "wuhan", 10_000, unit="UNIT_S"), 0)))
    order = Grant("hours", "2026", "w1", 7_200, "g")
    it.db.do(lambda c: grants.grant(c, order, it.act()))
    account = grant_account("hours", "2026", "w1")
    it.settle(account, it.hold(account, 3_600, fund_account("hours", "2026")), 3_600, 600,
              fund_account("hours", "2026"))  # fmt: skip
    it.clock.ms = NEXT_YEAR_MS
    assert close_fund(it, "hours").state == "CLOSED"
    [found] = it.db.read_sync(lambda c: grants.list_grants(c, it.act().actor.scope))
    assert (found.granted_unit_seconds, found.used_unit_seconds, found.left_unit_seconds) == (
        600, 600, 0,
    )  # fmt: skip


def test_what_comes_back_after_a_fund_closed_lapses() -> None:
    it = MoneyHands()
    [voucher] = it.issue(NewVoucher("w1", 1_000))
    account = voucher_account(voucher.voucher_no)
    it.settle(account, it.hold(account, 600, FUND), 600, 600, FUND)
    it.clock.ms = voucher.end_ms
    tick(it)
    close_fund(it)
    it.correct(account, 200)
    tick(it)
    assert it.codes("code = 'EXPIRE'")[-1] == ("EXPIRE", account, "lapsed:v:2026", 200)
    assert it.fund().lapsed_fen == 9_600
    assert it.fund().posted_fen == 400


def test_a_closed_fund_takes_entries_with_a_reference_alone() -> None:
    """The database refuses the others, whatever the service wants (I14)."""
    it = MoneyHands()
    it.clock.ms = NEXT_YEAR_MS
    close_fund(it)
    entry = Entry(
        FUND, Kind.DIRECT, "CLAWBACK", "receivable:w1", "lapsed:v:2026", 5, NEXT_YEAR_MS, "c:1"
    )
    with pytest.raises(IntegrityError, match="books are closed"):
        it.db.do(lambda c: bookings.book(c, [entry]))
    it.db.do(lambda c: bookings.book(c, [entry._replace(ref_period="2026-10")]))
    assert it.fund().lapsed_fen == 10_005


def test_a_city_closes_its_own_funds_alone() -> None:
    it = MoneyHands(now_ms=NEXT_YEAR_MS - 1)
    it.clock.ms = NEXT_YEAR_MS
    with pytest.raises(NotFound):
        it.db.do(lambda c: fund_closing.close(c, "v", "2026", it.act(admin("ezhou"))))


# --- months of the books --------------------------------------------------------------------------


def test_months_begin_one_after_another_and_close_when_they_are_over() -> None:
    it = MoneyHands()
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    assert months(it) == {"2026-10": "OPEN"}
    it.clock.ms = DECEMBER[0]
    assert it.db.read_sync(lambda c: book_months.is_due(c, it.clock.ms))
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    assert not it.db.read_sync(lambda c: book_months.is_due(c, it.clock.ms))
    assert months(it) == {"2026-12": "OPEN", "2026-11": "CLOSING", "2026-10": "CLOSING"}


def test_a_month_closes_after_it_is_over_and_after_those_before_it() -> None:
    it = MoneyHands()
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    with pytest.raises(WrongState, match="is not over"):
        close_month(it, "2026-10")
    with pytest.raises(NotFound, match="2026-03"):
        close_month(it, "2026-03")
    it.clock.ms = DECEMBER[0]
    with pytest.raises(WrongState, match="2026-10 is not closed"):
        close_month(it, "2026-11")
    found = close_month(it, "2026-10")
    assert (found.state, found.closed_by, found.reason) == ("CLOSED", "test", "why")
    assert close_month(it, "2026-10") == found, "again changes nothing"
    close_month(it, "2026-11")
    assert it.db.rows("SELECT closed_until_ms FROM books_closed") == [(NOVEMBER[1],)]


def test_an_open_difference_with_a_center_keeps_a_month_open() -> None:
    it = MoneyHands()
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    it.db.do(
        lambda c: c.exec_driver_sql(
            "INSERT INTO recon_diff (center, kind, native_id, submit_ms, segment, job_uid, attempt,"
            " use_ms, here, there, state, found_ms, idem_key, resolved_by, resolution) VALUES"
            f" ('ai', 'SECONDS', 'n', 1, 0, 1, 1, {OCTOBER[1] - 1}, '', '', 'OPEN', 1, 'd', '', '')"
        )
    )
    it.clock.ms = NOVEMBER[0]
    with pytest.raises(WrongState, match=r"1 difference\(s\)"):
        close_month(it, "2026-10")
    it.db.do(lambda c: c.exec_driver_sql("UPDATE recon_diff SET state = 'RESOLVED'"))
    assert close_month(it, "2026-10").state == "CLOSED"


def test_nothing_is_booked_into_a_closed_month() -> None:
    it = MoneyHands()
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    it.clock.ms = NOVEMBER[0]
    close_month(it, "2026-10")
    before = it.codes()
    for at_ms in (NOVEMBER[0] - 1, period_bounds("2026-09")[0]):  # nor before the first month
        it.clock.ms = at_ms
        with pytest.raises(IntegrityError, match="books are closed"):
            it.pay("v", 1)
        assert it.codes() == before
    it.clock.ms = NOVEMBER[0]
    it.pay("v", 1)


def test_the_last_entry_of_each_shard_in_a_closed_month_is_frozen() -> None:
    it = MoneyHands()
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    heads = it.db.read_sync(transfers.read_heads)
    it.clock.ms = NOVEMBER[0]
    it.pay("v", 1)
    close_month(it, "2026-10")
    assert it.frozen("2026-10") == heads
    assert it.db.read_sync(transfers.read_heads) != heads
    assert it.frozen("2026-11") == {}


def test_a_statement_wants_all_months_of_its_period_closed() -> None:
    it = MoneyHands()
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    it.clock.ms = DECEMBER[0]
    close_month(it, "2026-10")
    it.db.read_sync(lambda c: book_months.require_closed(c, "2026-10"))
    with pytest.raises(WrongState, match="of 2026-11, 2026-12 are not closed"):
        it.db.read_sync(lambda c: book_months.require_closed(c, "2026Q4"))
    with pytest.raises(WrongState, match="no books of 2026Q3: they begin with 2026-10"):
        it.db.read_sync(lambda c: book_months.require_closed(c, "2026Q3"))


def test_without_books_there_is_no_statement() -> None:
    it = MoneyHands()
    with pytest.raises(WrongState, match="none have been kept yet"):
        it.db.read_sync(lambda c: book_months.require_closed(c, "2026"))
