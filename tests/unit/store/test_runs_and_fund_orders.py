"""What cities order of funds and vouchers, while runs hold and settle money of them."""

import pytest

from quota.rules import Rule
from scheduler.domain.approving import Approvals
from scheduler.store import (
    fund_figures,
    funds_reduction,
    voucher_figures,
    voucher_returns,
    vouchers,
)
from scheduler.store.change_requests import Act
from scheduler.store.fund_figures import FundInfo
from scheduler.store.voucher_figures import VoucherInfo
from scheduler.store.vouchers import Issue, NewVoucher
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, OPERATOR, job

pytestmark = pytest.mark.usefixtures("each_store")

#: What a job of ten minutes on one NPU costs, in fen.
COST = 133
DAY_MS = 86_400_000


def hands(rule: Rule, fund_fen: int) -> Hands:
    """A corridor with one programme."""
    return Hands(worlds.build(rules=((rule, fund_fen),)))


def act(it: Hands) -> Act:
    """Something that an operator does now."""
    return Act(OPERATOR, "why", it.clock.ms, 0)


def fund(it: Hands) -> FundInfo:
    """The fund as it stands."""
    return it.db.read_sync(lambda c: fund_figures.managed_fund(c, OPERATOR.scope, "v", "2026"))


def issue(it: Hands, face: int, days: int) -> VoucherInfo:
    """Issue a voucher to w1."""
    new = NewVoucher("w1", face, "N", valid_to_ms=it.clock.ms + days * DAY_MS)
    order = Issue("v", "2026", (new,), "once")
    [voucher] = it.db.do(lambda c: vouchers.issue(c, order, act(it)))
    return voucher


def voucher_of(it: Hands) -> VoucherInfo:
    """The voucher as it stands."""
    return it.db.read_sync(
        lambda c: voucher_figures.get_voucher(c, OPERATOR.scope, "N", it.clock.ms)
    )


def test_what_a_run_frees_meets_a_pending_reduction_in_the_same_transaction() -> None:
    it = hands(Rule("v", 1, "wuhan", 10_000), 1_000)
    first, second = it.world.submit("w1", [job(), job()])
    it.run(first)
    order = funds_reduction.Lowering("v", "2026", 950, "l", pending=True)
    lowered = it.db.do(
        lambda c: funds_reduction.lower(c, order, act(it), Approvals(threshold_fen=10**9))
    )
    assert (lowered.fund.available_fen, lowered.fund.reducing_fen) == (0, 950 - (1_000 - COST))
    it.admit(second)
    assert it.held(second) == (0, COST), "nothing more is held of it"
    writes = it.db.write_count
    it.end(first, 60)
    assert it.db.write_count == writes + 1
    found = fund(it)
    assert (found.reducing_fen, found.posted_fen, found.held_fen) == (0, 13, 0)
    assert (found.available_fen, found.appropriated_fen) == (37, 50)
    it.verify()


def test_a_voucher_pays_runs_in_parts_and_gives_the_rest_back_when_it_ends() -> None:
    it = hands(Rule("v", 1, "wuhan", 10_000, issue="VOUCHER", validity_months=6), 1_000)
    issue(it, 300, 1)
    first, second, third = it.world.submit("w1", [job(), job(), job()])
    it.run(first)
    it.end(first, 600)
    assert (voucher_of(it).used_fen, it.job(first, "subsidy_fen")) == (COST, COST)
    it.run(second)
    assert voucher_of(it).held_fen == COST
    it.clock.ms += DAY_MS
    it.db.do(lambda c: voucher_returns.give_back(c, it.clock.ms))
    found = voucher_of(it)
    assert (found.state, found.held_fen, found.left_fen) == ("EXPIRED", COST, 0)
    it.admit(third)
    assert it.held(third) == (0, COST), "an expired voucher gives nothing"
    it.end(second, 60)
    it.db.do(lambda c: voucher_returns.give_back(c, it.clock.ms))
    found = voucher_of(it)
    assert (found.used_fen, found.returned_fen, found.held_fen) == (COST + 13, 300 - COST - 13, 0)
    assert fund(it).available_fen == 1_000 - COST - 13
    it.verify()


def test_another_enterprise_gets_nothing_of_a_voucher() -> None:
    it = hands(Rule("v", 1, "wuhan", 10_000, issue="VOUCHER", validity_months=6), 1_000)
    issue(it, 300, 1)
    [uid] = it.world.submit("w2", [job(NPU)])
    it.admit(uid)
    assert it.held(uid) == (0, COST)
    assert voucher_of(it).left_fen == 300


def test_a_cap_that_counts_on_issue_is_not_counted_again_by_a_run() -> None:
    rule = Rule(
        "v", 1, "wuhan", 10_000, issue="VOUCHER", validity_months=6, cap_on="ISSUE",
        year_cap_fen=300,
    )  # fmt: skip
    it = hands(rule, 1_000)
    issue(it, 300, 1)
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    assert it.held(uid) == (COST, 0)
    assert it.db.rows("SELECT pending_fen, posted_fen FROM cap_counter") == [(300, 0)]
    it.end(uid, 600)
    assert it.db.rows("SELECT pending_fen, posted_fen FROM cap_counter") == [(300 - COST, COST)]
    it.clock.ms += DAY_MS
    it.db.do(lambda c: voucher_returns.give_back(c, it.clock.ms))
    assert it.db.rows("SELECT pending_fen, posted_fen FROM cap_counter") == [(0, COST)]
    it.verify()


def test_vouchers_go_with_an_enterprise_that_moves_to_another_city() -> None:
    it = hands(Rule("v", 1, "wuhan", 10_000, issue="VOUCHER", validity_months=6), 1_000)
    issue(it, 300, 1)
    it.db.do(lambda c: c.exec_driver_sql("UPDATE enterprise SET city = 'ezhou' WHERE code = 'w1'"))
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    assert it.job(uid, "city") == "ezhou"
    it.end(uid, 600)
    assert voucher_of(it).used_fen == COST
    assert it.job(uid, "subsidy_fen") == COST
    it.verify()


def test_a_run_beyond_its_hold_takes_of_a_voucher_whatever_its_cap_was_counted_for() -> None:
    """The face was counted when it was issued: nothing of the cap is left, the voucher is there."""
    rule = Rule(
        "v", 1, "wuhan", 10_000, issue="VOUCHER", validity_months=6, cap_on="ISSUE",
        year_cap_fen=300,
    )  # fmt: skip
    it = hands(rule, 1_000)
    issue(it, 300, 1)
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.end(uid, 900)
    assert it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (200, 200, 0)
    assert it.db.rows("SELECT pending_fen, posted_fen FROM cap_counter") == [(100, 200)]
    it.verify()
