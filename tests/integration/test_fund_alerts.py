"""Alerts on real funds: told of once, armed again by a raise, seen by whom they concern."""

import pytest

from quota.alerting import DAY_MS
from quota.rules import Rule
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.store import alerts, fund_days, leader
from scheduler.store.alerts import AlertRow
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

HALF = Rule("v", 1, "wuhan", 5_000)


@pytest.fixture
def hands(each_store: str) -> Hands:
    """A fund of 1,000 fen that gives half of what a job costs, on each store."""
    return Hands(worlds.build(rules=((HALF, 1_000),)))


def told(hands: Hands, scope: Scope = EVERYTHING, *, open_only: bool = True) -> list[AlertRow]:
    """Look and tell as the leader does; returns what is told, the oldest first."""
    epoch, now_ms = hands.epoch, hands.clock.ms
    hands.db.do(lambda c: alerts.look_and_tell(c, epoch, now_ms))
    found = hands.db.do(lambda c: alerts.list_alerts(c, scope, open_only=open_only, limit=100))
    return found[::-1]


def percents(hands: Hands) -> list[int]:
    """Thresholds of the fund that are told of and not over."""
    return [one.threshold for one in told(hands) if one.kind == "FUND_USED"]


def hold(hands: Hands, fen: int) -> int:
    """Have a run hold so much of the fund: it costs twice that."""
    seconds = fen * 2 * 1_000_000 // 222_222 + 1
    (uid,) = hands.world.submit("w1", [job(NPU, wall_s=seconds)])
    hands.run(uid)
    return uid


def test_a_threshold_is_told_of_once_and_again_after_a_raise(hands: Hands) -> None:
    hold(hands, 499)
    assert percents(hands) == []
    hold(hands, 1)
    assert percents(hands) == [50]
    assert percents(hands) == [50]
    assert len(told(hands, open_only=False)) == 1
    worlds.pay_into(hands.world, "v", 1_000, "raise")
    assert percents(hands) == []
    hold(hands, 500)
    assert percents(hands) == [50]
    assert len(told(hands, open_only=False)) == 2


def test_at_exactly_all_of_it_the_last_threshold_is_told_of(hands: Hands) -> None:
    hold(hands, 999)
    assert percents(hands) == [50, 80]
    hold(hands, 1)
    assert percents(hands) == [50, 80, 100]
    events = hands.db.rows("SELECT city, detail FROM event WHERE kind = 'ALERT_RAISED'")
    assert [city for city, _ in events] == ["wuhan"] * 3
    assert '"threshold": "100"' in events[-1][1]


def test_what_comes_back_arms_it_again(hands: Hands) -> None:
    uid = hold(hands, 900)
    assert percents(hands) == [50, 80]
    hands.end(uid, 1)
    assert percents(hands) == []


def test_a_second_look_by_another_leader_tells_nothing_twice(hands: Hands) -> None:
    hold(hands, 900)
    now_ms = hands.clock.ms
    assert percents(hands) == [50, 80]
    late = hands.epoch
    hands.epoch = hands.db.do(lambda c: leader.take_over(c, "another", now_ms))
    assert percents(hands) == [50, 80]
    with pytest.raises(leader.Fenced):
        hands.db.do(lambda c: alerts.look_and_tell(c, late, now_ms))
    assert len(told(hands, open_only=False)) == 2


def test_an_enterprise_hears_of_its_own_cap(each_store: str) -> None:
    capped = Rule("v", 1, "wuhan", 5_000, year_cap_fen=100)
    hands = Hands(worlds.build(rules=((capped, 10_000),)))
    hold(hands, 80)
    own = told(hands, Scope(city="wuhan", enterprise="w1"))
    assert [(one.kind, one.threshold, one.name) for one in own] == [("CAP_USED", 80, "v/w1/2026")]
    assert own[0].figures == {"used_fen": 80, "limit_fen": 100}
    assert told(hands, Scope(city="wuhan", enterprise="w2")) == []
    assert told(hands, Scope(city="ezhou")) == []


def test_a_fund_that_is_spent_before_its_period_ends_is_foreseen(hands: Hands) -> None:
    worlds.pay_into(hands.world, "v", 100_000 - 1_000, "raise")
    begin_ms = hands.clock.ms
    for day in range(1, 9):
        hands.end(hold(hands, 5_000), 45_001)
        hands.clock.ms = begin_ms + day * DAY_MS
    hands.db.do(lambda c: fund_days.fold(c, hands.epoch))
    found = [one for one in told(hands) if one.kind == "FUND_RUNS_OUT"]
    assert [(one.name, one.threshold) for one in found] == [("v/2026", 14)]
    assert 10 <= found[0].figures["likely_days"] <= 14


def test_days_are_counted_once_whatever_is_counted_when(hands: Hands) -> None:
    worlds.pay_into(hands.world, "v", 100_000, "raise")
    begin_ms, spent = hands.clock.ms, []
    for number in range(6):
        uid = hold(hands, 1_000 + number)
        hands.end(uid, 3_000)
        spent.append(hands.db.rows(f"SELECT subsidy_fen FROM job WHERE uid = {uid}")[0][0])
        if number % 2:
            hands.db.do(lambda c: fund_days.fold(c, hands.epoch))
        hands.clock.ms = begin_ms + (number + 1) * DAY_MS
    assert hands.db.do(fund_days.is_due) is False
    daily = hands.db.do(lambda c: fund_days.daily(c, "fund:v:2026", hands.clock.ms))
    assert daily == spent
