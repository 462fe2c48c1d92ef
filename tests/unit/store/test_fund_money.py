"""What a fund was given, by whom, and how it is lowered, also while runs hold a part of it."""

import pytest

from quota.rules import Funder, Rule
from quota.transfers import fund_account
from scheduler.domain.approving import Approvals, ChangeState
from scheduler.errors import (
    AlreadyThere,
    InvalidRequest,
    NotFound,
    RequestIdReused,
    WrongState,
)
from scheduler.store import approvals, fund_closing, fund_upkeep, leader, programmes
from scheduler.store.vouchers import NewVoucher
from tests.unit.store.money_hands import FUND, MoneyHands, admin

pytestmark = pytest.mark.usefixtures("each_store")

PROVINCE = fund_account("pool", "2026", "province")


def test_each_funder_of_the_rule_has_an_account_of_its_own() -> None:
    it = MoneyHands()
    it.pay("pool", 300, funder="province")
    fund = it.fund("pool")
    assert [(one.funder, one.own, one.account_id) for one in fund.funders] == [
        ("ezhou", True, "fund:pool:2026"),
        ("province", False, PROVINCE),
    ]
    assert [one.appropriated_fen for one in fund.funders] == [1_000, 300]
    assert (fund.appropriated_fen, fund.available_fen) == (1_300, 1_300)
    assert it.balance("appropriation:pool:2026:province") == (-300, 0)


def test_a_funder_that_the_fund_has_not_is_named_with_those_it_has() -> None:
    it = MoneyHands()
    with pytest.raises(NotFound, match="it has ezhou, province"):
        it.pay("pool", 300, funder="nation")


def test_a_request_id_pays_once_and_for_one_funder() -> None:
    it = MoneyHands()
    for _ in range(2):
        assert it.pay("pool", 300, funder="province").appropriated_fen == 1_300
    with pytest.raises(RequestIdReused, match="300 fen"):
        it.pay("pool", 300)
    with pytest.raises(RequestIdReused, match="300 fen"):
        it.pay("pool", 301, funder="province")


# --- opening --------------------------------------------------------------------------------------


def test_a_coming_period_is_opened_empty_for_the_funders_of_the_rule() -> None:
    it = MoneyHands()
    fund = it.open("pool", "2027", admin("ezhou"))
    assert (fund.state, fund.available_fen) == ("OPEN", 0)
    assert [one.funder for one in fund.funders] == ["ezhou", "province"]
    before = it.db.rows("SELECT count(*) FROM audit_event")
    assert it.open("pool", "2027") == fund
    assert it.db.rows("SELECT count(*) FROM audit_event") == before, "again changes nothing"


def test_a_fund_that_is_open_gets_the_funders_of_a_newer_rule() -> None:
    it = MoneyHands()
    it.clock.ms += 1
    shares = (Funder("province", 2_000), Funder("ezhou", 5_000), Funder("zone", 3_000))
    it.db.do(
        lambda c: programmes.create_programme(
            c, city="ezhou", name="", document_ref="", sample=True, now_ms=it.clock.ms,
            rule=Rule("pool", 2, "ezhou", 5_000, funders=shares),
        )
    )  # fmt: skip
    fund = it.open("pool", "2026", admin("ezhou"))
    assert [(one.funder, one.own, one.appropriated_fen) for one in fund.funders] == [
        ("ezhou", True, 1_000),
        ("province", False, 0),
        ("zone", False, 0),
    ]
    assert it.pay("pool", 7, funder="zone").available_fen == 1_007


@pytest.mark.parametrize(
    ("period", "error", "says"),
    [
        ("2026Q4", AlreadyThere, "overlaps 2026"),
        ("2027-13", InvalidRequest, "write 2026, 2026Q1 or 2026-03"),
        ("2025", WrongState, "is over"),
    ],
)
def test_a_period_that_cannot_be_opened_is_refused(
    period: str, error: type[Exception], says: str
) -> None:
    it = MoneyHands()
    with pytest.raises(error, match=says):
        it.open("pool", period)
    assert it.db.rows("SELECT count(*) FROM fund_period") == [(3,)]


def test_no_city_opens_the_fund_of_another() -> None:
    it = MoneyHands()
    with pytest.raises(NotFound):
        it.open("pool", "2027", admin("wuhan"))


# --- lowering -------------------------------------------------------------------------------------


def test_what_is_available_is_taken_out_at_once() -> None:
    it = MoneyHands()
    it.hold(FUND, 2_000)
    fund = it.lower("v", 3_000, actor=admin("wuhan")).fund
    assert (fund.appropriated_fen, fund.held_fen, fund.available_fen) == (7_000, 2_000, 5_000)
    assert it.codes("code = 'LOWER'") == [("LOWER", FUND, "appropriation:v:2026", 3_000)]
    assert it.balance("appropriation:v:2026") == (-7_000, 0)


def test_more_than_is_available_says_how_much_may_go_and_writes_nothing() -> None:
    it = MoneyHands()
    it.settle(FUND, it.hold(FUND, 1_000), 1_000, 1_000)
    it.hold(FUND, 2_000)
    before = it.codes()
    with pytest.raises(WrongState, match=r"lower it by at most ¥70\.00, or ask for a pending"):
        it.lower("v", 7_001)
    with pytest.raises(WrongState, match=r"up to ¥90\.00 as a pending reduction"):
        it.lower("v", 9_001, pending=True)
    assert it.codes() == before
    assert it.db.rows("SELECT count(*) FROM fund_reduction") == [(0,)]


def test_a_pending_reduction_takes_what_comes_free_first() -> None:
    it = MoneyHands()
    leg = it.hold(FUND, 2_000)
    fund = it.lower("v", 9_500, pending=True).fund
    assert (fund.available_fen, fund.held_fen, fund.reducing_fen) == (0, 2_000, 1_500)
    assert fund.appropriated_fen == 2_000
    it.settle(FUND, leg, 2_000, 700)
    fund = it.fund()
    assert (fund.posted_fen, fund.available_fen, fund.reducing_fen) == (700, 0, 200)
    assert [row[3] for row in it.codes("code = 'LOWER'")] == [8_000, 1_300]
    it.pay("v", 1_000)
    fund = it.fund()
    assert (fund.available_fen, fund.reducing_fen, fund.appropriated_fen) == (800, 0, 1_500)


def test_of_several_reductions_the_first_is_met_first_and_each_says_who_wanted_it() -> None:
    it = MoneyHands()
    legs = [it.hold(FUND, 5_000), it.hold(FUND, 5_000)]
    it.lower("v", 4_000, "a", pending=True)
    it.lower("v", 4_000, "b", pending=True, actor=admin("wuhan"))
    it.settle(FUND, legs[0], 5_000, 0)
    assert it.db.rows(
        "SELECT idem_key, amount_fen, actor FROM transfer WHERE code = 'LOWER' ORDER BY seq"
    ) == [("lower:v:2026:a.1", 4_000, "test"), ("lower:v:2026:b.1", 1_000, "admin of wuhan")]
    it.settle(FUND, legs[1], 5_000, 0)
    assert it.fund().reducing_fen == 0
    assert it.fund().available_fen == 2_000


def test_a_reduction_concerns_its_funder_alone() -> None:
    it = MoneyHands()
    it.pay("pool", 500, funder="province")
    leg = it.hold(PROVINCE, 400, fund_account("pool", "2026"))
    it.lower("pool", 500, pending=True, funder="province")
    own, province = it.fund("pool").funders
    assert (own.available_fen, province.available_fen, province.reducing_fen) == (1_000, 0, 400)
    it.settle(PROVINCE, leg, 400, 150, fund_account("pool", "2026"))
    own, province = it.fund("pool").funders
    assert (own.available_fen, province.reducing_fen, province.posted_fen) == (1_000, 150, 150)


def test_a_request_id_lowers_once() -> None:
    it = MoneyHands()
    for _ in range(2):
        assert it.lower("v", 3_000).fund.appropriated_fen == 7_000
    with pytest.raises(RequestIdReused, match=r"¥30\.00"):
        it.lower("v", 2_000)


def test_a_reduction_above_the_threshold_waits_for_another_person() -> None:
    it = MoneyHands()
    asked = it.lower("v", 3_000, actor=admin("wuhan"), approvals=Approvals(threshold_fen=3_000))
    assert asked.request is not None
    assert asked.request.state is ChangeState.PENDING
    assert it.fund().appropriated_fen == 10_000
    number = asked.request.number
    it.db.do(lambda c: approvals.approve(c, number, it.act(reason="seen")))
    assert it.fund().appropriated_fen == 7_000
    assert it.db.rows("SELECT actor, reason FROM transfer WHERE code = 'LOWER'") == [
        ("admin of wuhan", "why")
    ]


def test_a_city_lowers_its_own_funds_alone() -> None:
    it = MoneyHands()
    with pytest.raises(NotFound):
        it.lower("v", 1, actor=admin("ezhou"))


# --- upkeep ---------------------------------------------------------------------------------------


def test_upkeep_does_what_is_due_one_thing_at_a_time_and_then_nothing() -> None:
    """A month begins, money that came free unseen is taken, a voucher ends, a fund closes."""
    it = MoneyHands()
    epoch = it.db.do(lambda c: leader.take_over(c, "test", 0))
    [voucher] = it.issue(NewVoucher("w1", 500))
    it.hold(fund_account("pool", "2026"), 1_000)
    it.lower("pool", 300, pending=True)
    it.clock.ms = voucher.end_ms

    def close(programme: str) -> None:
        it.db.do(lambda c: fund_closing.close(c, programme, "2026", it.act()))

    close("v")
    close("pool")
    it.db.do(
        lambda c: c.exec_driver_sql(
            "UPDATE account SET debits_pending = 600 WHERE account_id = 'fund:pool:2026'"
        )
    )
    steps = 0
    while it.db.read_sync(lambda c: fund_upkeep.is_due(c, it.clock.ms)):
        it.db.do(lambda c: fund_upkeep.step(c, epoch, it.clock.ms, it.clock.ms))
        steps += 1
    assert steps == 4
    assert (it.fund().state, it.fund().lapsed_fen) == ("CLOSED", 10_000)
    assert (it.fund("pool").state, it.fund("pool").reducing_fen) == ("CLOSING", 0)
    with pytest.raises(leader.Fenced):
        it.db.do(lambda c: fund_upkeep.step(c, epoch - 1, it.clock.ms, it.clock.ms))
