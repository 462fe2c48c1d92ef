"""The life of a charge in the hard cases, through admission and ingestion as the loop does it.

Each of them names its case: periods and years that end within a run, several funders, vouchers,
claims and grants, changes of price, city and rule, closed funds, faults that are not billed.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from adapters.contract import FailureClass, Phase
from quota.calendar import period_bounds
from quota.rules import Funder, Rule
from scheduler.domain.evicting import EvictCause
from scheduler.domain.principal import EVERYTHING
from scheduler.store import (
    fund_closing,
    fund_openings,
    funds,
    grants,
    prices,
    voucher_returns,
    vouchers,
)
from scheduler.store.change_requests import Act
from scheduler.store.grants import Grant
from scheduler.store.vouchers import Issue, NewVoucher
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR, job
from tests.unit.store.ingest_hands import cancel

pytestmark = pytest.mark.usefixtures("each_store")

DAY_MS = 86_400_000
NEW_YEAR_MS = period_bounds("2027")[0]


@dataclass
class Corridor:
    """A corridor with one programme, moved by hand."""

    it: Hands

    def act(self) -> Act:
        return Act(OPERATOR, "why", self.it.clock.ms, self.it.clock.ms)

    def do(self, call: Any, *what: Any) -> Any:
        return self.it.db.do(lambda c: call(c, *what, self.act()))

    def pay(self, programme: str, period: str, fen: int, funder: str = "") -> None:
        self.it.db.do(
            lambda c: funds.appropriate(
                c, EVERYTHING, programme=programme, period=period, amount_fen=fen,
                request_id=f"{period}{funder}", actor="test", reason="test",
                now_ms=self.it.clock.ms, funder=funder,
            )
        )  # fmt: skip

    def admitted(self, **terms: Any) -> int:
        """A job that runs."""
        [uid] = self.it.world.submit("w1", [job(**terms)])
        self.it.run(uid)
        self.it.verify()
        return uid

    def end(self, uid: int, seconds: int, **how: Any) -> None:
        self.it.end(uid, seconds, **how)
        self.it.verify()

    def price(self, price_ufen: int) -> None:
        """Another price, from the next moment on."""
        self.it.clock.ms += 1
        self.it.db.do(
            lambda c: prices.set_price(
                c, center="ai", flavor="ai/npu", unit="npu_s", price_ufen=price_ufen,
                effective_from_ms=self.it.clock.ms, actor="test",
            )
        )  # fmt: skip

    def legs(self) -> list[Any]:
        return self.it.db.rows(
            "SELECT kind, debit_account, amount_fen, posted_fen, cap_year FROM hold_leg"
            " ORDER BY job_uid, rev, leg"
        )

    def paid(self, account: str) -> int:
        """Net of what an account was debited."""
        [(debits, credits)] = self.it.db.rows(
            f"SELECT debits_posted, credits_posted FROM account WHERE account_id = '{account}'"
        )
        return int(debits - credits)

    def caps(self) -> list[Any]:
        return self.it.db.rows(
            "SELECT year, pending_fen, posted_fen FROM cap_counter ORDER BY programme, year"
        )


def corridor(rule: Rule, fund_fen: int = 10_000, now_ms: int = worlds.NOW_MS) -> Corridor:
    """One programme, and money of its period."""
    return Corridor(Hands(worlds.build(now_ms=now_ms, rules=((rule, fund_fen),))))


def over_new_year(rule: Rule, next_fen: int | None = 1_000) -> Corridor:
    """300 s before the year ends; with a fund of the next year, if there is money for it."""
    found = corridor(rule, now_ms=NEW_YEAR_MS - 300_000)
    if next_fen is not None:
        found.do(fund_openings.open_fund, "v", "2027")
        if next_fen:
            found.pay("v", "2027", next_fen)
    return found


# --- periods and years ----------------------------------------------------------------------------


def test_a_job_over_a_period_end_is_held_and_settled_from_both_funds_and_caps() -> None:
    """Hard case: boundary SPLIT, and a hold over New Year takes both years' counters."""
    it = over_new_year(Rule("v", 1, "wuhan", 3000, year_cap_fen=100))
    uid = it.admitted()
    assert [row[:3] for row in it.legs()] == [
        ("FUND", "fund:v:2026", 20), ("FUND", "fund:v:2027", 19), ("WALLET", "wallet:w1", 94),
    ]  # fmt: skip
    assert it.caps() == [(2026, 20, 0), (2027, 19, 0)]
    it.end(uid, 500)
    assert it.caps() == [(2026, 0, 20), (2027, 0, 13)]
    assert it.it.job(uid, "gross_fen, subsidy_fen") == (111, 33)
    lines = it.it.db.rows("SELECT seconds, gross_fen FROM rated_line ORDER BY line")
    assert lines == [(300, 67), (200, 44)], "cut at midnight of Shanghai"


def test_by_start_takes_all_from_the_fund_in_which_it_began() -> None:
    """Hard case: boundary BY_START."""
    it = over_new_year(Rule("v", 1, "wuhan", 3000, boundary="BY_START"))
    uid = it.admitted()
    assert {row[1] for row in it.legs()} == {"fund:v:2026", "wallet:w1"}
    it.end(uid, 500)
    assert it.paid("fund:v:2027") == -1_000


@pytest.mark.parametrize("next_fen", [None, 0])
def test_where_the_next_fund_is_missing_or_empty_the_enterprise_pays(next_fen: int | None) -> None:
    """Hard case: the slice after the boundary becomes self-pay."""
    it = over_new_year(Rule("v", 1, "wuhan", 3000), next_fen)
    uid = it.admitted()
    assert [row[:3] for row in it.legs()] == [
        ("FUND", "fund:v:2026", 20), ("WALLET", "wallet:w1", 113)
    ]  # fmt: skip
    it.end(uid, 600)
    assert it.it.job(uid, "subsidy_fen, self_pay_fen") == (20, 113)


def test_a_run_that_begins_late_is_paid_by_the_fund_of_when_it_ran() -> None:
    """Its hold was of both; what it needs more of one is taken of what that has left."""
    it = over_new_year(Rule("v", 1, "wuhan", 3000))
    [uid] = it.it.world.submit("w1", [job()])
    it.it.admit(uid)
    it.it.send(uid)
    it.it.clock.ms += 290_000
    start_ms = it.it.clock.ms
    it.it.report(it.it.seen(uid, Phase.RUNNING, 1, start_ms=start_ms))
    it.end(uid, 600)
    assert it.paid("fund:v:2026") == 0 - 10_000
    assert it.paid("fund:v:2027") == 39 - 1_000
    assert it.it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (133, 39, 94)


# --- several accounts of one charge ---------------------------------------------------------------


def test_funders_pay_their_shares_of_a_charge() -> None:
    rule = Rule(
        "v", 1, "wuhan", 5000,
        funders=(Funder("wuhan", 6_667), Funder("province", 3_333)), year_cap_fen=200,
    )  # fmt: skip
    it = corridor(rule, 1_000)
    it.pay("v", "2026", 1_000, "province")
    uid = it.admitted()
    assert [row[:3] for row in it.legs()] == [
        ("FUND", "fund:v:2026", 44), ("FUND", "fund:v:2026:province", 22),
        ("WALLET", "wallet:w1", 67),
    ]  # fmt: skip
    it.end(uid, 300)
    assert it.it.job(uid, "gross_fen, subsidy_fen") == (67, 33)
    assert (it.paid("fund:v:2026"), it.paid("fund:v:2026:province")) == (22 - 667, 11 - 1_333)
    assert it.caps() == [(2026, 0, 33)]


def vouchered(rule: Rule, face_fen: int, days: int = 30) -> Corridor:
    """An enterprise with one voucher."""
    it = corridor(rule)
    new = NewVoucher("w1", face_fen, "N", valid_to_ms=it.it.clock.ms + days * DAY_MS)
    it.do(vouchers.issue, Issue("v", "2026", (new,), "once"))
    return it


def test_a_voucher_is_used_in_part_and_keeps_the_rest() -> None:
    it = vouchered(Rule("v", 1, "wuhan", 5000, issue="VOUCHER", validity_months=6), 100)
    uid = it.admitted()
    assert it.legs()[0][:3] == ("VOUCHER", "voucher:N", 66)
    it.end(uid, 300)
    assert it.paid("voucher:N") == 33 - 100
    other = it.admitted()
    assert it.legs()[2][:3] == ("VOUCHER", "voucher:N", 66)
    it.end(other, 600)
    assert it.paid("voucher:N") == -1


def test_a_cap_counted_on_issue_is_moved_by_use_and_freed_by_expiry() -> None:
    """Hard case: the rule says the cap counts issue and redemption."""
    rule = Rule(
        "v", 1, "wuhan", 5000, issue="VOUCHER", cap_on="ISSUE", year_cap_fen=150, validity_months=6
    )
    it = vouchered(rule, 100)
    assert it.caps() == [(2026, 100, 0)]
    uid = it.admitted()
    assert it.caps() == [(2026, 100, 0)], "a hold counts nothing twice"
    it.end(uid, 300)
    assert it.caps() == [(2026, 67, 33)]
    it.it.clock.ms += 31 * DAY_MS
    it.it.db.do(lambda c: voucher_returns.give_back(c, it.it.clock.ms))
    it.it.verify()
    assert it.caps() == [(2026, 0, 33)]


def test_what_a_correction_gives_back_to_an_ended_voucher_goes_on_to_its_fund() -> None:
    it = vouchered(Rule("v", 1, "wuhan", 5000, issue="VOUCHER", validity_months=6), 100, days=1)
    uid = it.admitted()
    start_ms = it.it.clock.ms
    it.end(uid, 600)
    it.it.clock.ms += 2 * DAY_MS
    it.it.db.do(lambda c: voucher_returns.give_back(c, it.it.clock.ms))
    usage = it.it.usage(uid, start_ms, start_ms + 300_000, revision=1)
    it.it.report(it.it.seen(uid, Phase.SUCCEEDED, 2, usage=[usage]))
    it.it.verify()
    it.it.db.do(lambda c: voucher_returns.give_back(c, it.it.clock.ms))
    it.it.verify()
    assert it.it.job(uid, "gross_fen, subsidy_fen") == (67, 33)
    assert it.paid("voucher:N") == 0
    assert it.paid("fund:v:2026") == 33 - 10_000


def test_who_is_reimbursed_pays_all_first_and_claims_the_subsidy() -> None:
    """T10: the wallet pays the whole gross; the city owes the enterprise its part."""
    it = corridor(Rule("v", 1, "wuhan", 3000, mode="REIMBURSE", year_cap_fen=100))
    uid = it.admitted()
    assert [row[:3] for row in it.legs()] == [
        ("FUND", "fund:v:2026", 39), ("WALLET", "wallet:w1", 133)
    ]  # fmt: skip
    it.end(uid, 300)
    assert (it.paid("wallet:w1"), it.paid("payable:ai")) == (67, -67)
    assert it.paid("claim:w1:v:2026") == -20
    assert it.it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (67, 20, 47)
    start_ms = it.it.clock.ms - 300_000
    usage = it.it.usage(uid, start_ms, start_ms + 100_000, revision=1)
    it.it.report(it.it.seen(uid, Phase.SUCCEEDED, 2, usage=[usage]))
    it.it.verify()
    assert (it.paid("wallet:w1"), it.paid("claim:w1:v:2026")) == (22, -6)


def test_granted_hours_cost_nothing_and_what_is_left_stays() -> None:
    it = corridor(Rule("v", 1, "wuhan", 10_000, unit="UNIT_S"), 0)
    it.do(grants.grant, Grant("v", "2026", "w1", 400, "once"))
    uid = it.admitted()
    assert [row[:3] for row in it.legs()] == [
        ("GRANT", "grant:v:2026:w1", 400), ("WALLET", "wallet:w1", 44)
    ]  # fmt: skip
    it.end(uid, 300)
    assert it.it.job(uid, "gross_fen, settled") == (0, 1)
    assert it.it.db.rows("SELECT state FROM hold") == [("SETTLED",)]
    assert it.paid("grant:v:2026:w1") == 300 - 400
    other = it.admitted()
    it.end(other, 300)
    assert it.it.job(other, "gross_fen") == 44, "100 of 300 unit-seconds were free"


# --- what changes while a run is under way --------------------------------------------------------


def test_prices_rates_and_city_are_those_of_the_admission() -> None:
    """Hard cases: a price change, a new rule, and an enterprise that moves, mid-job."""
    it = corridor(Rule("v", 1, "wuhan", 3000))
    uid = it.admitted()
    it.it.db.do(
        lambda c: c.exec_driver_sql("UPDATE enterprise SET city = 'ezhou' WHERE code = 'w1'")
    )
    it.price(999_999)
    it.end(uid, 300)
    assert it.it.job(uid, "gross_fen, subsidy_fen") == (67, 20)
    assert it.paid("fund:v:2026") == 20 - 10_000


def test_a_requeued_job_is_frozen_anew() -> None:
    """Hard case: requeue = next attempt, new hold, at the price of then."""
    it = corridor(Rule("v", 1, "wuhan", 3000))
    uid = it.admitted()
    it.end(uid, 300, phase=Phase.FAILED, failure=FailureClass.NODE)
    it.price(444_444)
    it.it.clock.ms = it.it.job(uid, "not_before_ms")
    it.it.run(uid)
    it.end(uid, 300)
    assert it.it.job(uid, "gross_fen") == 133
    assert it.it.db.rows("SELECT attempt, state, posted_fen FROM hold ORDER BY attempt") == [
        (1, "VOIDED", 0), (2, "SETTLED", 133),
    ]  # fmt: skip


# --- faults (T8) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        FailureClass.NODE, FailureClass.CENTER, FailureClass.PREEMPTED, FailureClass.LOST,
        FailureClass.REJECTED_BY_CENTER,
    ],
)  # fmt: skip
def test_a_fault_of_the_center_is_billed_to_nobody(failure: FailureClass) -> None:
    it = corridor(Rule("v", 1, "wuhan", 3000, year_cap_fen=100))
    uid = it.admitted(attempts_max=1)
    it.end(uid, 300, phase=Phase.FAILED, failure=failure)
    assert it.it.job(uid, "gross_fen, settled") == (0, 1)
    assert it.caps() == [(2026, 0, 0)]
    assert it.it.db.rows("SELECT sum(debits_pending) FROM account") == [(0,)]


def test_what_the_platform_took_back_is_billed_to_nobody() -> None:
    it = corridor(Rule("v", 1, "wuhan", 3000))
    uid = it.admitted()
    it.it.db.do(
        lambda c: c.exec_driver_sql(
            f"UPDATE run SET evict_cause = '{EvictCause.RECLAIM}', notice_ms = 1"
        )
    )
    it.end(uid, 300, phase=Phase.CANCELLED)
    assert it.it.job(uid, "state, gross_fen") == ("QUEUED", 0)


@pytest.mark.parametrize("failure", [FailureClass.USER_CODE, FailureClass.TIME_LIMIT])
def test_a_fault_of_the_program_is_billed(failure: FailureClass) -> None:
    it = corridor(Rule("v", 1, "wuhan", 3000))
    uid = it.admitted(attempts_max=1)
    it.end(uid, 300, phase=Phase.FAILED, failure=failure)
    assert it.it.job(uid, "gross_fen") == 67


def test_a_user_who_cancels_pays_the_seconds_that_were_used() -> None:
    it = corridor(Rule("v", 1, "wuhan", 3000))
    uid = it.admitted()
    cancel(it.it, uid)
    it.end(uid, 300, phase=Phase.CANCELLED)
    assert it.it.job(uid, "state, gross_fen, subsidy_fen") == ("CANCELLED", 67, 20)


# --- what comes back after a close ----------------------------------------------------------------


def closed() -> tuple[Corridor, int, int]:
    """A run of the old year that is settled, and whose fund was closed in the new one."""
    it = corridor(Rule("v", 1, "wuhan", 3000), now_ms=NEW_YEAR_MS - DAY_MS)
    uid = it.admitted()
    start_ms = it.it.clock.ms
    it.end(uid, 600)
    it.it.clock.ms = NEW_YEAR_MS + DAY_MS
    it.do(fund_closing.close, "v", "2026")
    it.it.verify()
    assert it.it.db.rows("SELECT state FROM fund_period WHERE period = '2026'") == [("CLOSED",)]
    return it, uid, start_ms


def test_a_refund_into_a_closed_fund_goes_to_what_lapsed_of_it() -> None:
    """Hard case: nothing is booked on the closed fund any more."""
    it, uid, start_ms = closed()
    before = it.it.db.rows("SELECT * FROM account WHERE account_id = 'fund:v:2026'")
    lapsed = it.paid("lapsed:v:2026")
    usage = it.it.usage(uid, start_ms, start_ms + 300_000, revision=1)
    it.it.report(it.it.seen(uid, Phase.SUCCEEDED, 2, usage=[usage]))
    it.it.verify()
    assert it.it.db.rows("SELECT * FROM account WHERE account_id = 'fund:v:2026'") == before
    assert it.paid("lapsed:v:2026") == lapsed - (39 - 20)
    assert it.it.job(uid, "gross_fen, subsidy_fen") == (67, 20)
    usage = it.it.usage(uid, start_ms, start_ms + 600_000, revision=2)
    it.it.report(it.it.seen(uid, Phase.SUCCEEDED, 2, usage=[usage]))
    it.it.verify()
    assert it.it.job(uid, "gross_fen, subsidy_fen") == (133, 20), "a closed fund gives no more"


def test_a_refund_into_a_spent_fund_is_there_for_others_again() -> None:
    """Hard case: an exhausted fund that is open."""
    it = corridor(Rule("v", 1, "wuhan", 3000), 39)
    uid = it.admitted()
    start_ms = it.it.clock.ms
    it.end(uid, 600)
    usage = it.it.usage(uid, start_ms, start_ms + 300_000, revision=1)
    it.it.report(it.it.seen(uid, Phase.SUCCEEDED, 2, usage=[usage]))
    it.it.verify()
    assert it.paid("fund:v:2026") == -19
    other = it.admitted()
    assert it.it.held(other) == (19, 114)


def test_a_run_whose_counter_is_gone_is_not_settled() -> None:
    """What its year held of the cap would be counted nowhere."""
    it = corridor(Rule("v", 1, "wuhan", 3000))
    uid = it.admitted()
    it.it.db.do(lambda c: c.exec_driver_sql("DELETE FROM cap_counter"))
    with pytest.raises(RuntimeError, match="yearly counter"):
        it.it.end(uid, 60)
    assert it.it.db.rows("SELECT state FROM hold") == [("HELD",)]
    assert it.it.db.rows("SELECT count(*) FROM rated_line") == [(0,)]
