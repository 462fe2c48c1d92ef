"""Runs that go on beyond what is held for them (T6): more is held, or they are to end."""

from typing import Any

import pytest

from adapters.contract import Phase
from quota.rules import Rule
from scheduler.store import evicting, top_ups
from scheduler.store.leader import Fenced, take_over
from scheduler.store.top_ups import Grown, Terms
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, job
from tests.unit.store.ingest_hands import cancel

pytestmark = pytest.mark.usefixtures("each_store")

#: 60 s beyond its hold a run gets 600 s more. 222222 micro-fen a unit-second: 133 fen for 600 s.
TERMS = Terms(60_000, 600)
RULE = Rule("v", 1, "wuhan", 3000, year_cap_fen=1_000)


def late(
    fund_fen: int = 10_000, credit_fen: int = 10_000, rule: Rule = RULE, **terms: Any
) -> tuple[Hands, int]:
    """A run of at most 600 s that has been running for 660."""
    it = Hands(worlds.build(rules=((rule, fund_fen),), credit={"w1": credit_fen}))
    [uid] = it.world.submit("w1", [job(**terms)])
    it.run(uid)
    it.clock.ms += 660_000
    return it, uid


def grow(it: Hands) -> Grown:
    """As housekeeping does."""
    if not it.db.read_sync(lambda c: top_ups.any_due(c, TERMS, it.clock.ms)):
        return Grown((), ())

    def call(c: Any) -> Grown:
        found = top_ups.grow(c, it.epoch, TERMS, it.clock.ms)
        evicting.end_unpaid(c, it.epoch, found.unpaid, 30_000, it.clock.ms)
        return found

    grown = it.db.do(call)
    it.verify()
    return grown


def held(it: Hands) -> list[Any]:
    """Revisions: from which second on, for how many, how many fen."""
    return it.db.rows("SELECT rev, from_s, wall_limit_s, gross_fen FROM hold ORDER BY rev")


def test_a_run_within_its_limit_gets_nothing_more() -> None:
    it, _ = late()
    it.clock.ms -= 1
    assert grow(it) == Grown((), ())


def test_a_run_beyond_its_hold_gets_a_further_revision_with_its_own_legs() -> None:
    """The hold is never enlarged in place."""
    it, uid = late()
    before = it.db.rows("SELECT * FROM hold_leg WHERE rev = 0")
    assert grow(it) == Grown(((uid, 1),), ())
    assert it.db.rows("SELECT * FROM hold_leg WHERE rev = 0") == before
    assert held(it) == [(0, 0, 600, 133), (1, 600, 660, 147)]
    legs = it.db.rows("SELECT kind, amount_fen FROM hold_leg WHERE rev = 1 ORDER BY leg")
    assert legs == [("FUND", 44), ("WALLET", 103)]
    codes = it.db.rows("SELECT code, idem_key FROM transfer WHERE code = 'TOP_UP' ORDER BY leg_id")
    assert codes == [("TOP_UP", f"topup:{uid}.1.1.{leg}") for leg in (0, 1)]
    assert grow(it) == Grown((), ()), "once is enough for the time it holds"


def test_the_limit_of_a_run_that_its_center_began_anew_begins_anew() -> None:
    """Its node failed after 500 s: it waits again, for long, and may then run for 600 s."""
    it, uid = late()
    it.report(it.seen(uid, Phase.WAITING, 2))
    it.clock.ms += 3_600_000
    assert grow(it) == Grown((), ()), "it does not run, and is not to be paid for or ended"
    it.report(it.seen(uid, Phase.RUNNING, 3, start_ms=it.clock.ms))
    it.clock.ms += 659_000
    assert grow(it) == Grown((), ())
    it.clock.ms += 1_000
    assert grow(it) == Grown(((uid, 1),), ())
    assert [row[:3] for row in held(it)] == [(0, 0, 600), (1, 600, 660)]


def test_it_is_topped_up_again_when_that_is_used_up_too() -> None:
    it, uid = late()
    grow(it)
    it.clock.ms += 660_000
    assert grow(it).topped == ((uid, 1),)
    assert [row[:3] for row in held(it)] == [(0, 0, 600), (1, 600, 660), (2, 1260, 660)]


def test_all_revisions_are_settled_at_once_and_the_rest_freed() -> None:
    it, uid = late()
    grow(it)
    it.end(uid, 900)
    it.verify()
    assert it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (200, 60, 140)
    rows = it.db.rows("SELECT rev, state, posted_fen FROM hold ORDER BY rev")
    assert [row[:2] for row in rows] == [(0, "SETTLED"), (1, "SETTLED")]
    assert sum(row[2] for row in rows) == 200
    assert it.db.rows("SELECT sum(debits_pending) FROM account") == [(0,)]
    assert it.db.rows("SELECT debits_posted FROM account WHERE account_id = 'receivable:w1'") == [
        (0,)
    ]
    assert it.db.rows("SELECT pending_fen, posted_fen FROM cap_counter") == [(0, 60)]


def test_prices_and_rates_are_those_of_the_admission() -> None:
    it, _ = late()
    it.db.do(
        lambda c: c.exec_driver_sql(
            "UPDATE rule_version SET effective_to_ms = effective_from_ms + 1"
        )
    )
    grow(it)
    assert it.db.rows("SELECT price_ufen, frozen FROM hold WHERE rev = 1") == it.db.rows(
        "SELECT price_ufen, frozen FROM hold WHERE rev = 0"
    )
    assert it.db.rows("SELECT amount_fen FROM hold_leg WHERE rev = 1 AND kind = 'FUND'") == [(44,)]


def test_what_a_fund_or_cap_is_short_of_moves_to_the_wallet() -> None:
    it, _ = late(fund_fen=50)
    grow(it)
    legs = it.db.rows("SELECT kind, amount_fen FROM hold_leg WHERE rev = 1 ORDER BY leg")
    assert legs == [("FUND", 11), ("WALLET", 136)]
    it, _ = late(rule=Rule("v", 1, "wuhan", 3000, year_cap_fen=60))
    grow(it)
    legs = it.db.rows("SELECT kind, amount_fen FROM hold_leg WHERE rev = 1 ORDER BY leg")
    assert legs == [("FUND", 60 - 39), ("WALLET", 147 - 21)]


@pytest.mark.parametrize(
    "it_may_not",
    [
        {"credit_fen": 94 + 102},
        {"self_pay_max_fen": 94 + 102},
        {"fund_fen": 39, "subsidy": "REQUIRED"},
    ],
)
def test_a_run_that_nobody_can_pay_for_is_told_to_end(it_may_not: dict[str, Any]) -> None:
    it, uid = late(**it_may_not)
    assert grow(it) == Grown((), ((uid, 1),))
    assert len(held(it)) == 1
    rows = it.db.rows("SELECT evict_cause, evict_grace_ms FROM run")
    assert rows == [("UNPAID", 30_000)]
    assert it.kinds(uid)[-1] == "EVICTION_ORDERED"
    assert grow(it) == Grown((), ()), "it is told once"


def test_it_is_billed_for_what_it_used_and_not_tried_again() -> None:
    it, uid = late(credit_fen=94)
    grow(it)
    start_ms = it.db.rows("SELECT start_ms FROM run")[0][0]
    it.report(
        it.seen(
            uid, Phase.CANCELLED, 2, start_ms=start_ms, end_ms=start_ms + 700_000,
            usage=[it.usage(uid, start_ms, start_ms + 700_000)],
        )
    )  # fmt: skip
    it.verify()
    state, failure, gross, subsidy = it.job(uid, "state, failure_class, gross_fen, subsidy_fen")
    assert (state, failure, gross, subsidy) == ("FAILED", "TIME_LIMIT", 156, 46)
    [(owed,)] = it.db.rows("SELECT debits_posted FROM account WHERE account_id = 'receivable:w1'")
    assert owed == 156 - 46 - 94, "what nothing covered is owed; the fund gave its rate"


def test_a_blocked_enterprise_gets_nothing_more() -> None:
    it, uid = late()
    it.db.do(lambda c: c.exec_driver_sql("UPDATE enterprise SET blocked = TRUE WHERE code = 'w1'"))
    assert grow(it).unpaid == ((uid, 1),)


def test_runs_that_are_unknown_cancelled_or_over_are_left_alone() -> None:
    it, uid = late()
    cancel(it, uid)
    assert grow(it) == Grown((), ())
    it, uid = late()
    it.end(uid, 650)
    assert grow(it) == Grown((), ())


def test_many_runs_take_what_is_there_in_turn_and_no_more() -> None:
    it = Hands(worlds.build(rules=((RULE, 200),), credit={"w1": 2 * 94 + 6 + 150}))
    uids = it.world.submit("w1", [job(NPU), job(NPU), job(CPU, 4)])
    it.run(*uids)
    it.clock.ms += 660_000
    grown = grow(it)
    assert {*grown.topped, *grown.unpaid} == {(uid, 1) for uid in uids}
    assert grown.topped
    assert grown.unpaid
    [(left,)] = it.db.rows(
        "SELECT credit_limit_fen - debits_pending FROM account WHERE account_id = 'wallet:w1'"
    )
    assert left >= 0


def test_a_leader_that_was_replaced_holds_nothing() -> None:
    it, _ = late()
    it.db.do(lambda c: take_over(c, "another", 0))
    with pytest.raises(Fenced):
        grow(it)
    assert len(held(it)) == 1
