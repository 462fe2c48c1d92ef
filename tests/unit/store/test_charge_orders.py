"""Charges lowered by people, debts written off, subsidies clawed back: exact, once, by right."""

from typing import Any

import pytest

from quota.calendar import period_bounds
from quota.rules import Rule
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import run_id
from scheduler.domain.principal import Principal, Role
from scheduler.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    RequestIdReused,
    WrongState,
)
from scheduler.store import (
    approvals,
    charge_orders,
    debts,
    fund_closing,
    voucher_returns,
    vouchers,
)
from scheduler.store.change_requests import Act
from scheduler.store.charge_orders import Code, Corrected, Lowering
from scheduler.store.debts import Clawback, WriteOff
from scheduler.store.vouchers import Issue, NewVoucher
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR, job

pytestmark = pytest.mark.usefixtures("each_store")

RULE = Rule("v", 1, "wuhan", 3000, year_cap_fen=100)
ALONE = Approvals(threshold_fen=10**9)
WUHAN = Principal("wuhan-admin", Role.CITY_ADMIN, "wuhan", None, None, "", 0)
EZHOU = Principal("ezhou-admin", Role.CITY_ADMIN, "ezhou", None, None, "", 0)


def settled(used_s: int = 300, wall_s: int = 600, credit_fen: int = 10_000) -> tuple[Hands, int]:
    """A run of 300 s that cost 67 fen, 20 of them subsidy."""
    it = Hands(worlds.build(rules=((RULE, 10_000),), credit={"w1": credit_fen}))
    [uid] = it.world.submit("w1", [job(wall_s=wall_s)])
    it.run(uid)
    it.end(uid, used_s)
    it.verify()
    return it, uid


def act(it: Hands, actor: Principal = OPERATOR) -> Act:
    """Somebody does something now."""
    return Act(actor, "because", it.clock.ms, it.clock.ms)


def correct(
    it: Hands, uid: int, gross_fen: int, *, key: str = "k", code: Code = Code.METERING_ERROR,
    actor: Principal = OPERATOR, preview: bool = False, limits: Approvals = ALONE,
) -> Corrected:  # fmt: skip
    """As the call does."""
    order = Lowering(run_id(uid, 1), gross_fen, code, key)
    return it.db.do(
        lambda c: charge_orders.correct(c, order, act(it, actor), limits, preview=preview)
    )


def everything(it: Hands) -> list[Any]:
    """All that a refused call must leave as it is."""
    names = ("transfer", "correction", "rated_line", "subsidy_line", "audit_event", "account")
    return [it.db.rows(f"SELECT * FROM {name}") for name in (*names, "job", "change_request")]


def test_a_lowered_charge_pays_back_fund_and_wallet_in_proportion() -> None:
    it, uid = settled()
    made = correct(it, uid, 30)
    it.verify()
    assert made.done
    assert (made.before.gross_fen, made.after.gross_fen) == (67, 30)
    assert it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (30, 20 * 30 // 67, 30 - 8)
    assert it.db.rows("SELECT pending_fen, posted_fen FROM cap_counter") == [(0, 8)]
    assert it.db.rows("SELECT sum(gross_fen), sum(seconds) FROM rated_line") == [(30, 300)]
    [row] = it.db.rows("SELECT kind, code, actor, reason, gross_fen FROM correction")
    assert row == ("DECIDED", "METERING_ERROR", "test", "because", 30)
    assert it.db.rows("SELECT action, target FROM audit_event") == [
        ("CHARGE_CORRECTED", f"runs/{run_id(uid, 1)}")
    ]


def test_a_charge_of_a_faulty_center_goes_to_nothing() -> None:
    it, uid = settled()
    correct(it, uid, 0, code=Code.CENTER_FAULT)
    it.verify()
    assert it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (0, 0, 0)
    open_ = it.db.rows(
        "SELECT account_id FROM account WHERE kind IN ('WALLET', 'CENTER_PAYABLE')"
        " AND debits_posted <> credits_posted"
    )
    assert open_ == []


def test_a_preview_says_what_would_become_of_it_and_writes_nothing() -> None:
    it, uid = settled()
    before = everything(it)
    shown = correct(it, uid, 30, preview=True)
    assert everything(it) == before
    assert not shown.done
    made = correct(it, uid, 30)
    for name in ("gross_fen", "subsidy_fen", "self_pay_fen", "debt_fen", "revision"):
        assert getattr(shown.after, name) == getattr(made.after, name), name


@pytest.mark.parametrize("gross_fen", [-1, 67, 68, 1_000])
def test_above_the_original_or_below_nothing_is_refused(gross_fen: int) -> None:
    it, uid = settled()
    before = everything(it)
    with pytest.raises(InvalidRequest, match=r"may be corrected to ¥0\.00 up to below ¥0\.67"):
        correct(it, uid, gross_fen)
    assert everything(it) == before


def test_of_a_charge_of_nothing_nothing_is_lowered() -> None:
    it, uid = settled()
    correct(it, uid, 0)
    with pytest.raises(InvalidRequest, match="nothing of it is left to lower"):
        correct(it, uid, 0, key="again")


def test_the_same_request_again_changes_nothing_and_another_one_is_told_apart() -> None:
    it, uid = settled()
    correct(it, uid, 30)
    before = everything(it)
    assert correct(it, uid, 30).done
    assert everything(it) == before
    with pytest.raises(RequestIdReused, match=r"already corrected this run to ¥0\.30"):
        correct(it, uid, 20)
    correct(it, uid, 20, key="other")
    with pytest.raises(InvalidRequest):
        correct(it, uid, 30, key="third")  # a correction is not taken back by raising it again
    it.verify()


def test_what_belongs_to_others_is_not_there_and_what_runs_is_not_settled() -> None:
    it, uid = settled()
    with pytest.raises(NotFound, match="that you may see"):
        correct(it, uid, 30, actor=EZHOU)
    correct(it, uid, 30, actor=WUHAN)
    [other] = it.world.submit("w1", [job()])
    it.run(other)
    with pytest.raises(WrongState, match="not settled yet"):
        correct(it, other, 0)


def test_a_large_correction_waits_for_a_second_person() -> None:
    it, uid = settled()
    small = Approvals(threshold_fen=37)
    asked = correct(it, uid, 30, actor=WUHAN, limits=small)
    assert not asked.done
    assert asked.request is not None
    assert it.job(uid, "gross_fen") == 67
    with pytest.raises(Forbidden, match="your own"):
        it.db.do(lambda c: approvals.approve(c, asked.request.number, act(it, WUHAN)))  # type: ignore[union-attr]
    again = correct(it, uid, 30, actor=WUHAN, limits=small)
    assert again.request == asked.request
    it.db.do(lambda c: approvals.approve(c, asked.request.number, act(it)))  # type: ignore[union-attr]
    it.verify()
    assert it.job(uid, "gross_fen") == 30
    assert it.db.rows("SELECT actor, reason FROM correction") == [("wuhan-admin", "because")]


def test_an_approved_correction_that_no_longer_fits_is_refused() -> None:
    it, uid = settled()
    asked = correct(it, uid, 30, actor=WUHAN, limits=Approvals(threshold_fen=1))
    correct(it, uid, 20, key="sooner")
    before = everything(it)
    with pytest.raises(InvalidRequest, match=r"up to below ¥0\.20"):
        it.db.do(lambda c: approvals.approve(c, asked.request.number, act(it)))  # type: ignore[union-attr]
    assert everything(it) == before


# --- debts ----------------------------------------------------------------------------------------


def owing() -> tuple[Hands, int]:
    """A run beyond its limit of 20 fen: the fund gave 6, the wallet its 10, and 4 are owed."""
    return settled(used_s=90, wall_s=60, credit_fen=10)


def write_off(
    it: Hands, uid: int, amount_fen: int, *, key: str = "k", limits: Approvals = ALONE
) -> debts.Settled:
    """As the call does."""
    order = WriteOff(run_id(uid, 1), amount_fen, key)
    return it.db.do(lambda c: debts.write_off(c, order, act(it), limits))


def receivable(it: Hands) -> int:
    """What the enterprise owes."""
    return int(
        it.db.rows(
            "SELECT debits_posted - credits_posted FROM account WHERE account_id = 'receivable:w1'"
        )[0][0]
    )


def test_a_debt_is_written_off_once_and_its_charge_stands() -> None:
    it, uid = owing()
    owed = receivable(it)
    assert owed > 0
    write_off(it, uid, owed)
    write_off(it, uid, owed)
    it.verify()
    assert receivable(it) == 0
    assert it.job(uid, "gross_fen") == 20
    [(lost,)] = it.db.rows("SELECT debits_posted FROM account WHERE account_id = 'write_off:ai'")
    assert lost == owed


def test_more_than_is_owed_is_not_written_off() -> None:
    it, uid = owing()
    before = everything(it)
    for amount in (0, -1, receivable(it) + 1):
        with pytest.raises(InvalidRequest, match="owes"):
            write_off(it, uid, amount)
    assert everything(it) == before
    write_off(it, uid, receivable(it))
    with pytest.raises(InvalidRequest, match="nothing to write off"):
        write_off(it, uid, 1, key="more")
    with pytest.raises(RequestIdReused):
        write_off(it, uid, 100)


def test_a_large_write_off_waits_for_a_second_person() -> None:
    it, uid = owing()
    owed = receivable(it)
    asked = write_off(it, uid, owed, limits=Approvals(threshold_fen=1))
    assert asked.request is not None
    assert receivable(it) == owed
    other = Principal("another", Role.OPERATOR, None, None, None, "", 0)
    it.db.do(lambda c: approvals.approve(c, asked.request.number, act(it, other)))  # type: ignore[union-attr]
    it.verify()
    assert receivable(it) == 0


def test_what_was_written_off_is_not_paid_back() -> None:
    it, uid = owing()
    owed = receivable(it)
    write_off(it, uid, owed)
    with pytest.raises(InvalidRequest, match="written off"):
        correct(it, uid, owed - 1)
    correct(it, uid, owed)
    it.verify()
    assert receivable(it) == 0
    assert it.job(uid, "gross_fen, subsidy_fen") == (owed, 0)


def claw_back(
    it: Hands, uid: int, amount_fen: int, *, key: str = "k", actor: Principal = WUHAN
) -> debts.Settled:
    """As the call does."""
    order = Clawback(run_id(uid, 1), "v", amount_fen, key)
    return it.db.do(lambda c: debts.claw_back(c, order, act(it, actor)))


def test_a_subsidy_goes_back_to_its_fund_as_a_debt_and_its_enterprise_is_blocked() -> None:
    it, uid = settled()
    before = it.db.rows("SELECT credits_posted FROM account WHERE account_id = 'fund:v:2026'")
    claw_back(it, uid, 15)
    claw_back(it, uid, 15)
    it.verify()
    assert receivable(it) == 15
    after = it.db.rows("SELECT credits_posted FROM account WHERE account_id = 'fund:v:2026'")
    assert after[0][0] - before[0][0] == 15
    assert it.db.rows("SELECT blocked FROM enterprise WHERE code = 'w1'") == [(1,)]
    [waiting] = it.world.submit("w1", [job()])
    assert it.admit(waiting).refused[0][2] == "DEACTIVATED"
    assert it.db.rows("SELECT posted_fen FROM cap_counter") == [(20,)], "the cap stays used"


def test_more_than_was_given_is_not_clawed_back_nor_by_others() -> None:
    it, uid = settled()
    before = everything(it)
    with pytest.raises(InvalidRequest, match=r"¥0\.20 can be clawed back"):
        claw_back(it, uid, 21)
    with pytest.raises(NotFound):
        claw_back(it, uid, 1, actor=EZHOU)
    assert everything(it) == before
    claw_back(it, uid, 15)
    with pytest.raises(InvalidRequest, match=r"¥0\.05 can be clawed back"):
        claw_back(it, uid, 6, key="more")
    with pytest.raises(RequestIdReused):
        claw_back(it, uid, 6)
    with pytest.raises(WrongState, match="clawed back"):
        correct(it, uid, 30)


def test_what_a_voucher_gave_goes_back_to_its_fund_and_never_to_the_voucher() -> None:
    """Nor is it clawed back again after the fund was closed."""
    rule = Rule("v", 1, "wuhan", 5_000, issue="VOUCHER", validity_months=2, cap_on="ISSUE",
                year_cap_fen=100)  # fmt: skip
    it = Hands(worlds.build(rules=((rule, 10_000),)))
    new = NewVoucher("w1", 100, "N", valid_to_ms=it.clock.ms + 86_400_000)
    it.db.do(lambda c: vouchers.issue(c, Issue("v", "2026", (new,), "i"), act(it)))
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.end(uid, 300)
    claw_back(it, uid, 20)
    it.verify()
    rows = "SELECT account_id, credits_posted - debits_posted FROM account WHERE account_id IN"
    assert dict(it.db.rows(f"{rows} ('voucher:N', 'fund:v:2026')")) == {
        "voucher:N": 67, "fund:v:2026": 9_920,
    }  # fmt: skip
    it.clock.ms = period_bounds("2027")[0]
    it.db.do(lambda c: voucher_returns.give_back(c, it.clock.ms))
    it.db.do(lambda c: fund_closing.close(c, "v", "2026", act(it)))
    with pytest.raises(InvalidRequest, match=r"¥0\.13 can be clawed back"):
        claw_back(it, uid, 20, key="again")
    claw_back(it, uid, 13, key="rest")
    it.verify()
    assert it.db.rows(f"{rows} ('lapsed:v:2026')") == [("lapsed:v:2026", 9_987 + 13)]
