"""What the leader's metrics show of the books, and that they end with its lead."""

from pathlib import Path

import pytest

from quota.rules import Rule
from scheduler.control.digesting import DigestDesk
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import run_id
from scheduler.metrics import Metrics
from scheduler.signing import Signer
from scheduler.store import alerts, book_figures, charge_orders, digests, retention, vitals
from scheduler.store.change_requests import Act
from scheduler.store.charge_orders import Code, Lowering
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR, job

DAY_MS = 86_400_000
HALF = Rule("v", 1, "wuhan", 5_000)


@pytest.fixture
def hands(each_store: str) -> Hands:
    """A fund of 60 fen of which one settled run took half, on each store."""
    it = Hands(worlds.build(rules=((HALF, 60),)))
    [uid] = it.world.submit("w1", [job(wall_s=300)])
    it.run(uid)
    it.end(uid, 300)
    return it


def figures(hands: Hands) -> book_figures.BookFigures:
    """What the metrics are told now."""
    return hands.db.do(lambda c: book_figures.read(c, hands.clock.ms))


def test_a_digest_is_due_from_midnight_until_it_is_signed(hands: Hands, tmp_path: Path) -> None:
    desk = DigestDesk(Signer.new(), tmp_path)
    assert 0 < figures(hands).digest_due_ms < DAY_MS
    made = hands.db.do(lambda c: digests.make(c, hands.epoch, hands.clock.ms, desk.sign))
    assert made is not None
    assert figures(hands).digest_due_ms == 0
    read = hands.db.do(vitals.read)
    assert (read.digest_day, desk.is_filed(made.day)) == (made.day, False)
    desk.write(made)
    assert desk.is_filed(made.day)
    before_ms = hands.clock.ms
    hands.clock.ms += DAY_MS
    due_ms = figures(hands).digest_due_ms
    assert 0 < due_ms < DAY_MS
    hands.clock.ms += 2 * DAY_MS
    assert figures(hands).digest_due_ms == due_ms  # counted from the last day that ended
    hands.clock.ms = before_ms


def test_alerts_count_once_the_webhook_has_not_taken_them(hands: Hands) -> None:
    epoch, now_ms = hands.epoch, hands.clock.ms
    hands.db.do(lambda c: alerts.look_and_tell(c, epoch, now_ms))
    assert figures(hands).undelivered == 0
    alert, *_ = hands.db.do(lambda c: alerts.undelivered(c, now_ms, 0, 9))
    hands.db.do(lambda c: alerts.postpone(c, epoch, alert.number, now_ms + 5))
    hands.clock.ms += 60_000
    found = figures(hands)
    assert (found.undelivered, found.undelivered_oldest_ms) == (1, 60_000)
    hands.db.do(lambda c: alerts.delivered(c, epoch, alert.number, now_ms))
    assert figures(hands).undelivered == 0


def test_changed_charges_are_counted_by_kind(hands: Hands) -> None:
    assert figures(hands).corrections == {"DECIDED": 0, "USAGE": 0}
    [uid] = hands.db.do(lambda c: c.exec_driver_sql("SELECT uid FROM job").scalars().all())
    order = Lowering(run_id(uid, 1), 10, Code.METERING_ERROR, "k")
    act = Act(OPERATOR, "because", hands.clock.ms, hands.clock.ms)
    limits = Approvals(threshold_fen=10**9)
    hands.db.do(lambda c: charge_orders.correct(c, order, act, limits, preview=False))
    assert figures(hands).corrections == {"DECIDED": 1, "USAGE": 0}


def test_the_oldest_event_that_was_not_let_go_of_is_shown(hands: Hands) -> None:
    begun_ms = hands.clock.ms - figures(hands).events_oldest_ms
    hands.clock.ms += DAY_MS
    assert figures(hands).events_oldest_ms == hands.clock.ms - begun_ms
    before_ms = hands.clock.ms
    while hands.db.do(lambda c: retention.old_event(c, before_ms)):
        hands.db.do(lambda c: retention.forget_events(c, hands.epoch, before_ms))
    assert figures(hands).events_oldest_ms == 0


async def test_what_only_a_leader_knows_ends_with_its_lead(hands: Hands) -> None:
    metrics = Metrics()

    def shown(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"corridor_{name}", labels)

    metrics.leader(True, 7)
    metrics.backend("local")
    metrics.center("wuhan-sc", False)
    metrics.breaker("wuhan-sc", True)
    await metrics.measure(hands.db, hands.clock.ms, None, {})
    fund = {"city": "wuhan", "programme": "v"}
    assert shown("fund_posted_fen", **fund)
    assert shown("ledger_digest_due_seconds")
    metrics.leader(False, 7)
    assert shown("leader") == 0
    assert shown("fund_posted_fen", **fund) is None
    assert shown("center_reachable", center="wuhan-sc") is None
    assert shown("center_breaker_open", center="wuhan-sc") is None
    assert shown("planner_backend", backend="local") is None
    assert shown("ledger_digest_due_seconds") == 0
