"""Vouchers: what is issued out of a fund, to whom, for how long, and what goes back."""

from datetime import date

import pytest
from sqlalchemy import Connection

from quota.calendar import day_ms, natural_year
from quota.transfers import voucher_account
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import (
    AlreadyThere,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    RequestIdReused,
    WrongState,
)
from scheduler.store import voucher_figures, voucher_returns
from scheduler.store.voucher_figures import VoucherInfo, Wanted
from scheduler.store.vouchers import NewVoucher
from tests.unit.store.money_hands import FUND, MoneyHands, admin, member

pytestmark = pytest.mark.usefixtures("each_store")

DAY_MS = 86_400_000


def listed(it: MoneyHands, scope: Scope, **wanted: object) -> list[VoucherInfo]:
    """Vouchers that a scope sees now."""
    asked = Wanted(**wanted)  # type: ignore[arg-type]
    return it.db.read_sync(
        lambda c: voucher_figures.list_vouchers(c, scope, asked, it.clock.ms, 100)
    )


def tick(it: MoneyHands, now_ms: int) -> None:
    """The housekeeping of an instant."""
    it.clock.ms = now_ms
    it.db.do(lambda c: voucher_returns.give_back(c, now_ms))
    assert not it.db.read_sync(lambda c: voucher_returns.any_due(c, now_ms))


def caps(it: MoneyHands) -> list[tuple[object, ...]]:
    """(enterprise, pending, posted) of the counters there are."""
    return it.db.rows("SELECT enterprise, pending_fen, posted_fen FROM cap_counter ORDER BY 1")


def test_a_voucher_takes_its_face_out_of_the_fund() -> None:
    it = MoneyHands()
    first, second = it.issue(
        NewVoucher("w1", 3_000), NewVoucher("w2", 500, "W-7"), actor=admin("wuhan")
    )
    assert (first.voucher_no, second.voucher_no) == ("v-2026-000001", "W-7")
    assert (first.state, first.left_fen, first.city) == ("ISSUED", 3_000, "wuhan")
    fund = it.fund()
    assert (fund.appropriated_fen, fund.vouchers_fen, fund.available_fen) == (10_000, 3_500, 6_500)
    assert it.codes("code = 'ISSUE'") == [
        ("ISSUE", FUND, "voucher:v-2026-000001", 3_000),
        ("ISSUE", FUND, "voucher:W-7", 500),
    ]
    assert it.balance("voucher:W-7") == (500, 0)


def test_a_request_id_issues_once() -> None:
    it = MoneyHands()
    first = it.issue(NewVoucher("w1", 3_000))
    assert it.issue(NewVoucher("w1", 3_000)) == first
    with pytest.raises(RequestIdReused):
        it.issue(NewVoucher("w1", 3_001))
    [second] = it.issue(NewVoucher("w1", 1_000), key="j")
    assert second.voucher_no == "v-2026-000002"


def test_without_dates_a_voucher_is_valid_for_the_months_of_the_rule() -> None:
    it = MoneyHands()
    [now] = it.issue(NewVoucher("w1", 10))
    assert (now.valid_from_ms, now.end_ms) == (it.clock.ms, day_ms(date(2027, 4, 2)))
    [later] = it.issue(NewVoucher("w1", 10, valid_from_ms=day_ms(date(2026, 11, 1))), key="j")
    assert later.end_ms == day_ms(date(2027, 5, 1))
    [bound] = it.issue(NewVoucher("w1", 10), programme="capped")
    assert bound.end_ms == day_ms(date(2027, 1, 1)), "a rule without months: to the period's end"


WRONG = [
    (NewVoucher("w1", 0), "face_fen", "at least 1"),
    (NewVoucher("e1", 10), "enterprise", "of wuhan"),
    (NewVoucher("nobody", 10), "enterprise", "of wuhan"),
    (NewVoucher("w2", 10), "enterprise", "blocked"),
    (NewVoucher("w1", 10, "v-2026-000009"), "voucher_no", "not begin with"),
    (NewVoucher("w1", 10, "a b"), "voucher_no", "letters, digits"),
    (NewVoucher("w1", 10, valid_to_ms=day_ms(date(2027, 4, 3))), "valid_to", "longest validity"),
    (NewVoucher("w1", 10, valid_to_ms=day_ms(date(2026, 10, 1))), "valid_to", "later than"),
    (NewVoucher("w1", 10, valid_from_ms=day_ms(date(2027, 1, 1))), "valid_from", "period 2026"),
]


def test_a_voucher_that_is_not_in_order_is_named_and_none_is_issued() -> None:
    it = MoneyHands()
    it.db.do(lambda c: c.exec_driver_sql("UPDATE enterprise SET blocked = TRUE WHERE code = 'w2'"))
    for wrong, field, says in WRONG:
        with pytest.raises(InvalidRequest) as caught:
            it.issue(NewVoucher("w1", 10), wrong)
        [violation] = caught.value.violations
        assert violation.field == f"vouchers[1].{field}"
        assert says in violation.description
    assert it.db.rows("SELECT count(*) FROM voucher") == [(0,)]
    assert it.fund().available_fen == 10_000


def test_a_number_is_given_once() -> None:
    it = MoneyHands()
    with pytest.raises(InvalidRequest, match="stands twice"):
        it.issue(NewVoucher("w1", 10, "A"), NewVoucher("w1", 10, "A"))
    it.issue(NewVoucher("w1", 10, "A"))
    with pytest.raises(AlreadyThere, match="'A'"):
        it.issue(NewVoucher("w1", 10, "A"), key="j")


def test_no_more_is_issued_than_the_fund_has_left() -> None:
    it = MoneyHands()
    it.hold(FUND, 4_000)
    with pytest.raises(WrongState, match=r"has ¥60\.00 available, the vouchers come to ¥60\.01"):
        it.issue(NewVoucher("w1", 6_001))
    it.lower("v", 7_000, pending=True)
    with pytest.raises(WrongState, match=r"has ¥0\.00 available.*still to be taken out"):
        it.issue(NewVoucher("w1", 1))


def test_a_programme_with_a_pool_issues_no_vouchers() -> None:
    it = MoneyHands()
    with pytest.raises(WrongState, match="issue: VOUCHER"):
        it.issue(NewVoucher("e1", 10), programme="pool")


def test_no_city_issues_vouchers_of_another() -> None:
    it = MoneyHands()
    with pytest.raises(NotFound):
        it.issue(NewVoucher("w1", 10), actor=admin("ezhou"))


# --- caps that count on issue ---------------------------------------------------------------------


def test_a_cap_that_counts_on_issue_bounds_what_is_issued_in_a_year() -> None:
    it = MoneyHands()
    [voucher] = it.issue(NewVoucher("w1", 700), programme="capped")
    assert caps(it) == [("w1", 700, 0)]
    with pytest.raises(QuotaExceeded, match=r"¥3\.00 is left, the vouchers come to ¥3\.01"):
        it.issue(NewVoucher("w1", 200), NewVoucher("w1", 101), programme="capped", key="j")
    assert caps(it) == [("w1", 700, 0)]
    it.revoke(voucher.voucher_no)
    assert caps(it) == [("w1", 0, 0)], "what comes back is free again"
    assert it.db.rows("SELECT cap_year FROM voucher") == [(natural_year(it.clock.ms),)]


def test_a_cap_that_counts_on_use_is_not_touched_by_an_issue() -> None:
    it = MoneyHands()
    it.issue(NewVoucher("w1", 700))
    assert caps(it) == []


# --- the end of a voucher -------------------------------------------------------------------------


def test_what_is_left_of_an_expired_voucher_goes_back_and_what_is_held_later() -> None:
    it = MoneyHands()
    [voucher] = it.issue(NewVoucher("w1", 1_000))
    account = voucher_account(voucher.voucher_no)
    it.settle(account, it.hold(account, 300, FUND), 300, 300, FUND)
    leg = it.hold(account, 400, FUND)
    tick(it, voucher.end_ms - 1)
    assert it.voucher(voucher.voucher_no).state == "ISSUED"
    tick(it, voucher.end_ms)
    found = it.voucher(voucher.voucher_no)
    assert (found.state, found.held_fen, found.used_fen, found.returned_fen, found.left_fen) == (
        "EXPIRED", 400, 300, 300, 0,
    )  # fmt: skip
    it.settle(account, leg, 400, 150, FUND)
    tick(it, voucher.end_ms + DAY_MS)
    found = it.voucher(voucher.voucher_no)
    assert (found.held_fen, found.used_fen, found.returned_fen) == (0, 450, 550)
    assert it.codes("code = 'EXPIRE'") == [
        ("EXPIRE", account, FUND, 300),
        ("EXPIRE", account, FUND, 250),
    ]
    fund = it.fund()
    assert (fund.available_fen, fund.posted_fen, fund.vouchers_fen) == (9_550, 450, 0)
    assert it.db.rows("SELECT drained FROM voucher") in ([(1,)], [(True,)])


def test_a_voucher_that_is_used_up_says_so_also_after_its_end() -> None:
    it = MoneyHands()
    [voucher] = it.issue(NewVoucher("w1", 500))
    account = voucher_account(voucher.voucher_no)
    it.settle(account, it.hold(account, 500, FUND), 500, 500, FUND)
    assert it.voucher(voucher.voucher_no).state == "USED"
    tick(it, voucher.end_ms)
    assert it.voucher(voucher.voucher_no).state == "USED"


def test_a_revoked_voucher_gives_back_at_once_what_is_not_held() -> None:
    it = MoneyHands()
    [voucher] = it.issue(NewVoucher("w1", 1_000))
    account = voucher_account(voucher.voucher_no)
    leg = it.hold(account, 400, FUND)
    found = it.revoke(voucher.voucher_no, admin("wuhan"))
    assert (found.state, found.returned_fen, found.held_fen) == ("REVOKED", 600, 400)
    assert (found.ended_by, found.end_reason) == ("admin of wuhan", "why")
    assert it.revoke(voucher.voucher_no) == found, "again changes nothing"
    it.settle(account, leg, 400, 0, FUND)
    tick(it, it.clock.ms)
    assert it.fund().available_fen == 10_000
    assert it.codes("code = 'REVOKE'") == [
        ("REVOKE", account, FUND, 600),
        ("REVOKE", account, FUND, 400),
    ]


def test_a_voucher_that_ended_is_not_revoked() -> None:
    it = MoneyHands()
    [voucher] = it.issue(NewVoucher("w1", 1_000))
    tick(it, voucher.end_ms)
    with pytest.raises(WrongState, match="is EXPIRED"):
        it.revoke(voucher.voucher_no)
    with pytest.raises(NotFound):
        it.revoke(voucher.voucher_no, admin("ezhou"))


def test_what_comes_back_to_a_voucher_that_gave_all_back_goes_back_too() -> None:
    """A correction of a charge that an expired voucher paid."""
    it = MoneyHands()
    [voucher] = it.issue(NewVoucher("w1", 1_000))
    account = voucher_account(voucher.voucher_no)
    it.settle(account, it.hold(account, 400, FUND), 400, 400, FUND)
    tick(it, voucher.end_ms)
    it.correct(account, 150)
    tick(it, it.clock.ms)
    found = it.voucher(voucher.voucher_no)
    assert (found.used_fen, found.returned_fen, found.left_fen) == (250, 750, 0)
    assert it.fund().available_fen == 9_750


def test_what_a_voucher_gives_back_meets_a_pending_reduction_first() -> None:
    it = MoneyHands()
    [voucher] = it.issue(NewVoucher("w1", 1_000))
    it.lower("v", 9_600, pending=True)
    it.revoke(voucher.voucher_no)
    fund = it.fund()
    assert (fund.available_fen, fund.reducing_fen, fund.appropriated_fen) == (400, 0, 400)


# --- who sees what --------------------------------------------------------------------------------


def test_an_enterprise_sees_its_own_vouchers_the_one_that_ends_first_before_others() -> None:
    it = MoneyHands()
    it.issue(
        NewVoucher("w1", 10, "late"),
        NewVoucher("w2", 10, "other"),
        NewVoucher("w1", 10, "soon", valid_to_ms=it.clock.ms + DAY_MS),
    )
    own = member("w1").scope
    assert [one.voucher_no for one in listed(it, own)] == ["soon", "late"]
    it.clock.ms += DAY_MS
    assert [one.voucher_no for one in listed(it, own)] == ["late"]
    ended = listed(it, own, ended=True)
    assert [(one.voucher_no, one.state) for one in ended] == [
        ("soon", "EXPIRED"),
        ("late", "ISSUED"),
    ]
    with pytest.raises(NotFound):
        it.db.read_sync(lambda c: voucher_figures.get_voucher(c, own, "other", it.clock.ms))


def test_a_city_sees_the_vouchers_of_its_own_programmes() -> None:
    it = MoneyHands()
    it.issue(NewVoucher("w1", 10))
    assert len(listed(it, Scope(city="wuhan"))) == 1
    assert listed(it, Scope(city="ezhou")) == []
    assert listed(it, EVERYTHING, enterprise="w2") == []


def test_vouchers_come_in_pages_by_their_end_and_number() -> None:
    it = MoneyHands()
    it.issue(*(NewVoucher("w1", 10, f"n{at}") for at in range(5)))
    seen: list[str] = []
    after = (0, "")

    def page(c: Connection) -> list[VoucherInfo]:
        return voucher_figures.list_vouchers(c, EVERYTHING, Wanted(), it.clock.ms, 2, after)

    while found := it.db.read_sync(page):
        seen += [one.voucher_no for one in found]
        after = (found[-1].end_ms, found[-1].voucher_no)
    assert seen == [f"n{at}" for at in range(5)]
