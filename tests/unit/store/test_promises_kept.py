"""Promises of pools are stored, so that whoever leads next keeps them."""

import pytest

from scheduler.placement.model import CORRIDOR, Promised
from scheduler.store import leader, planner_feed, promises
from tests.simulation import world as worlds
from tests.simulation.hands import Hands


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return Hands(worlds.build(rules=()))


def keep(it: Hands, *some: Promised, closed: tuple[str, ...] = ()) -> list[Promised]:
    """Keep these; gives what another planner is told then."""
    it.db.do(lambda c: promises.keep(c, it.epoch, some, closed, it.clock.ms))
    _, told = it.db.read_sync(lambda c: planner_feed.snapshot(c, it.clock.ms, CORRIDOR))
    return [one for one in told if isinstance(one, Promised)]


def test_the_last_promises_are_told_and_no_others(it: Hands) -> None:
    one, other, moved = Promised(7, "a", 4), Promised(8, "b", 2, True), Promised(9, "a", 4)
    assert keep(it, one, other) == [one, other]
    assert keep(it, other) == [other]
    assert keep(it, moved, other._replace(evicts=False)) == [moved, Promised(8, "b", 2)]
    assert keep(it) == []


def test_of_a_closed_pool_the_promise_of_before_is_kept(it: Hands) -> None:
    one, other = Promised(7, "a", 4), Promised(8, "b", 2)
    keep(it, one, other)
    assert keep(it, closed=("a",)) == [one]
    assert keep(it, Promised(9, "a", 1)) == [Promised(9, "a", 1)]


def test_a_leader_that_was_replaced_stores_none(it: Hands) -> None:
    it.db.do(lambda c: leader.take_over(c, "other", it.clock.ms))
    with pytest.raises(leader.Fenced):
        keep(it, Promised(7, "a", 4))
