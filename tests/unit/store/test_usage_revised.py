"""Use stated after a settlement (T9): charged or paid back exactly once, and never by guessing."""

from typing import Any

import pytest

from adapters.contract import FailureClass, Phase
from quota.rules import Rule
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import job

pytestmark = pytest.mark.usefixtures("each_store")

#: 222222 micro-fen a unit-second: 600 s cost 133 fen, 300 s 67.
RULE = Rule("v", 1, "wuhan", 3000, year_cap_fen=100)


def settled(
    fund_fen: int = 10_000, credit_fen: int = 10_000, used_s: int = 300, rule: Rule = RULE
) -> tuple[Hands, int, int]:
    """A run that was settled for its use; with its start."""
    it = Hands(worlds.build(rules=((rule, fund_fen),), credit={"w1": credit_fen}))
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    start_ms = it.clock.ms
    it.end(uid, used_s)
    it.verify()
    return it, uid, start_ms


def revise(it: Hands, uid: int, start_ms: int, seconds: int, **more: Any) -> None:
    """Its center states other use."""
    usage = it.usage(uid, start_ms, start_ms + seconds * 1000, **{"revision": 1, **more})
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, usage=[usage]))


def balances(it: Hands) -> dict[str, int]:
    """What each account gave, or got, in the end."""
    return {
        account: debits - credits
        for account, debits, credits in it.db.rows(
            "SELECT account_id, debits_posted, credits_posted FROM account"
            " WHERE debits_posted <> credits_posted"
        )
    }


def differences(it: Hands) -> list[Any]:
    """What somebody has to look at."""
    return it.db.rows("SELECT kind, job_uid <> 0, state FROM recon_diff ORDER BY diff_id")


def test_less_use_is_paid_back_to_all_who_paid() -> None:
    it, uid, start_ms = settled()
    assert it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (67, 20, 47)
    before = balances(it)
    revise(it, uid, start_ms, 100)
    it.verify()
    assert it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (22, 6, 16)
    after = balances(it)
    assert after["payable:ai"] == -22
    assert (after["wallet:w1"], before["wallet:w1"]) == (16, 47)
    assert it.db.rows("SELECT pending_fen, posted_fen FROM cap_counter") == [(0, 6)]
    assert it.kinds(uid)[-1] == "CORRECTED"


def test_the_same_record_again_changes_nothing() -> None:
    it, uid, start_ms = settled()
    revise(it, uid, start_ms, 100)
    before = it.db.rows("SELECT * FROM transfer"), it.db.rows("SELECT * FROM usage_record")
    revise(it, uid, start_ms, 100)
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, usage=[it.usage(uid, start_ms, start_ms + 300_000)]))
    assert (
        it.db.rows("SELECT * FROM transfer"),
        it.db.rows("SELECT * FROM usage_record"),
    ) == before
    assert differences(it) == []


def test_a_revision_older_than_what_was_charged_says_nothing_any_more() -> None:
    it, uid, start_ms = settled()
    revise(it, uid, start_ms, 100, revision=3)
    before = it.db.rows("SELECT * FROM transfer"), it.db.rows("SELECT * FROM usage_record")
    revise(it, uid, start_ms, 200, revision=2)
    assert (
        it.db.rows("SELECT * FROM transfer"),
        it.db.rows("SELECT * FROM usage_record"),
    ) == before
    it.verify()


def test_the_same_revision_with_other_content_is_a_difference() -> None:
    it, uid, start_ms = settled()
    before = it.db.rows("SELECT * FROM transfer")
    for _ in range(2):
        revise(it, uid, start_ms, 299, revision=0)
    assert it.db.rows("SELECT * FROM transfer") == before
    assert differences(it) == [("RECORD", 1, "OPEN")]
    assert it.job(uid, "gross_fen") == 67
    it.verify()


@pytest.mark.parametrize(
    ("fund_fen", "credit_fen", "expected"),
    [
        (10_000, 10_000, [39, 94, 0]),  # by the rate
        (20 + 19, 10_000, [39, 94, 0]),  # the fund has just enough
        (39, 94, [39, 94, 0]),
    ],
)
def test_more_use_is_paid_by_who_paid_before(
    fund_fen: int, credit_fen: int, expected: list[int]
) -> None:
    it, uid, start_ms = settled(fund_fen, credit_fen)
    revise(it, uid, start_ms, 600)
    it.verify()
    names = ("fund:v:2026", "wallet:w1", "receivable:w1")
    rows = dict(it.db.rows("SELECT account_id, debits_posted - 0 FROM account"))
    credited = dict(it.db.rows("SELECT account_id, credits_posted FROM account"))
    paid = [rows[name] - credited[name] for name in names]
    paid[0] += fund_fen  # what was put in is a credit too
    assert paid == expected
    assert it.job(uid, "gross_fen, subsidy_fen") == (133, expected[0])


def test_a_fund_and_a_wallet_that_are_spent_leave_a_debt_and_never_owe() -> None:
    it, uid, start_ms = settled(fund_fen=39, credit_fen=94)
    spend = it.world.submit("w1", [job(subsidy="NONE", wall_s=120), job(wall_s=60)])
    it.run(*spend)
    revise(it, uid, start_ms, 600)
    it.verify()
    gross, subsidy, own = it.job(uid, "gross_fen, subsidy_fen, self_pay_fen")
    assert gross == 133
    [(owed,)] = it.db.rows("SELECT debits_posted FROM account WHERE account_id = 'receivable:w1'")
    assert owed > 0
    assert subsidy + own == 133
    [(debt,)] = it.db.rows("SELECT receivable_fen FROM correction")
    assert debt == owed


def test_the_cap_of_a_year_bounds_what_more_use_is_given() -> None:
    it, uid, start_ms = settled(rule=Rule("v", 1, "wuhan", 9000, year_cap_fen=125))
    assert it.job(uid, "subsidy_fen") == 60
    [other] = it.world.submit("w1", [job(wall_s=60)])
    it.run(other)  # holds 11 fen of the cap
    revise(it, uid, start_ms, 600)
    it.verify()
    assert it.job(uid, "gross_fen, subsidy_fen") == (133, 125 - 11)


def test_revisions_follow_each_other_and_sums_are_of_the_last() -> None:
    it, uid, start_ms = settled()
    for revision, seconds in ((1, 100), (2, 600), (3, 0), (4, 300)):
        revise(it, uid, start_ms, seconds, revision=revision)
        it.verify()
    assert it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (67, 20, 47)
    assert balances(it)["payable:ai"] == -67
    sums = it.db.rows("SELECT sum(gross_fen), sum(seconds) FROM rated_line")
    assert sums == [(67, 300)]
    reversed_ = it.db.rows("SELECT count(*) FROM transfer WHERE reverses <> ''")
    assert reversed_[0][0] > 0


def test_reversal_and_original_come_to_nothing_on_every_account() -> None:
    """I15."""
    it, uid, start_ms = settled()
    revise(it, uid, start_ms, 100)
    pairs = it.db.rows(
        "SELECT o.amount_fen - t.amount_fen, o.debit_account = t.credit_account,"
        " o.credit_account = t.debit_account FROM transfer t JOIN transfer o"
        " ON o.idem_key = t.reverses WHERE t.job_uid = " + str(uid)
    )
    assert pairs
    assert set(pairs) == {(0, 1, 1)}


def test_what_was_not_billed_stays_free_whatever_is_stated_later() -> None:
    it = Hands(worlds.build(rules=((RULE, 10_000),)))
    [uid] = it.world.submit("w1", [job(attempts_max=1)])
    it.run(uid)
    start_ms = it.clock.ms
    it.end(uid, 300, Phase.FAILED, FailureClass.NODE)
    revise(it, uid, start_ms, 500)
    it.verify()
    assert it.job(uid, "gross_fen") == 0
    assert it.db.rows("SELECT sum(seconds), sum(gross_fen) FROM rated_line") == [(500, 0)]


def test_use_that_makes_no_sense_is_billed_to_nobody_and_kept_for_people() -> None:
    """Hard case: clocks that disagree. Before the settlement and after it."""
    it = Hands(worlds.build(rules=()))
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    start_ms = it.clock.ms
    it.end(uid, 300, metered=False)
    revise(it, uid, start_ms, -5)
    assert it.db.rows("SELECT state FROM hold") == [("HELD",)]
    assert differences(it) == [("RECORD", 1, "OPEN")]
    revise(it, uid, start_ms, 300)
    assert it.job(uid, "settled, gross_fen") == (1, 67)
    overlapping = it.usage(uid, start_ms + 100_000, start_ms + 200_000, segment=1)
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, usage=[overlapping]))
    assert it.job(uid, "gross_fen") == 67
    assert len(differences(it)) == 2
    it.verify()


def test_a_segment_that_comes_late_is_added() -> None:
    it, uid, start_ms = settled(used_s=100)
    later = it.usage(uid, start_ms + 200_000, start_ms + 300_000, segment=1)
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, usage=[later]))
    it.verify()
    assert it.job(uid, "gross_fen") == 44
    assert it.db.rows("SELECT segment, charge_revision FROM usage_record ORDER BY 1") == [
        (0, 0), (1, 1),
    ]  # fmt: skip


def test_a_correction_is_booked_now_with_the_month_of_the_use() -> None:
    """Hard case: late use of a month that was closed since (I14)."""
    it, uid, start_ms = settled()
    it.clock.ms += 40 * 86_400_000
    revise(it, uid, start_ms, 100)
    rows = it.db.rows(
        "SELECT DISTINCT effective_ms, ref_period FROM transfer WHERE code = 'CORRECT'"
    )
    assert rows == [(it.clock.ms, "2026-09")]
    assert it.db.rows("SELECT ref_period, booked_ms FROM correction") == [("2026-09", it.clock.ms)]
    it.verify()


def test_what_the_wallet_paid_beyond_a_hold_of_others_it_pays_again() -> None:
    """Nothing of the wallet was held, as the fund gave all; what it paid since is there for it."""
    it, uid, start_ms = settled(133, 67, used_s=900, rule=Rule("v", 1, "wuhan", 10_000))
    assert balances(it)["wallet:w1"] == 67
    revise(it, uid, start_ms, 899)
    it.verify()
    assert it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (200, 133, 67)
    assert "receivable:w1" not in balances(it)
