"""Who goes before all others: only what waits, by an operator's audited word."""

import pytest

from scheduler.errors import WrongState
from scheduler.placement.model import CORRIDOR
from scheduler.store import emergency, job_commands, planner_feed
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR, job


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return Hands(worlds.build(rules=()))


def test_an_operator_lets_a_waiting_job_go_first_and_takes_it_back(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    by = job_commands.Order(OPERATOR, "a flood", it.clock.ms, 7)
    for wish in (True, True, False):
        revision = it.db.read_sync(lambda c: planner_feed.snapshot(c, it.clock.ms, CORRIDOR))[0]
        it.db.do(lambda c, wish=wish: emergency.grant(c, uid, wish, by))  # type: ignore[misc]
        assert bool(it.job(uid, "emergency")) == wish
        told = it.db.read_sync(lambda c, at=revision: planner_feed.read_deltas(c, at, 10))[1]  # type: ignore[misc]
        assert [getattr(one, "emergency", None) for one in told] in ([None, wish], [])
    assert it.kinds(uid) == ["SUBMITTED", "EMERGENCY_GRANTED", "EMERGENCY_REVOKED"]
    assert it.db.rows('SELECT action, "before", "after", reason FROM audit_event') == [
        ("EMERGENCY_GRANTED", '{"emergency":false}', '{"emergency":true,"jobs":1}', "a flood"),
        ("EMERGENCY_REVOKED", '{"emergency":true}', '{"emergency":false,"jobs":1}', "a flood"),
    ]


def test_only_what_waits_can_go_first(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    by = job_commands.Order(OPERATOR, "a flood", it.clock.ms, 7)
    with pytest.raises(WrongState, match="only a job that waits"):
        it.db.do(lambda c: emergency.grant(c, uid, True, by))
