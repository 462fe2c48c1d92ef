"""Stops: who may set and open what, under which etag, and who sees them."""

import pytest

from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.errors import Conflict, Forbidden, InvalidRequest, NotFound
from scheduler.store import stops
from tests.unit.store.quota_hands import QuotaHands, city_admin, corridor

WUHAN, EZHOU = city_admin("wuhan"), city_admin("ezhou")


def seen(it: QuotaHands, scope: Scope, *, everything: bool = False) -> list[str]:
    """Nodes that a scope is shown."""
    rows = it.db.do(lambda c: stops.list_stops(c, scope, all_states=everything))
    return [row.node for row in rows]


def test_a_citys_admin_stops_the_own_city_and_its_enterprises_only() -> None:
    it = corridor()
    assert it.stop("cities/wuhan", "HOLD", WUHAN).state == "HOLD"
    assert it.stop("enterprises/w1", "DRAIN", WUHAN).city == "wuhan"
    for node in ("cities/wuhan", "enterprises/w1", "cities/atlantis", "enterprises/nobody"):
        with pytest.raises(NotFound, match="that you may manage"):
            it.stop(node, "OPEN", EZHOU)
    assert it.db.do(stops.stopped) == {"cities/wuhan": "HOLD", "enterprises/w1": "DRAIN"}


def test_what_an_operator_stopped_only_an_operator_opens() -> None:
    it = corridor()
    it.stop("cities/wuhan", "HOLD")
    for state in ("OPEN", "DRAIN"):
        with pytest.raises(Forbidden, match="ask an operator") as caught:
            it.stop("cities/wuhan", state, WUHAN)
        assert caught.value.reason == "STOPPED_BY_OPERATOR"
    it.stop("cities/wuhan", "OPEN")
    it.stop("cities/wuhan", "DRAIN", WUHAN)
    it.stop("cities/wuhan", "HOLD", WUHAN)
    it.stop("cities/wuhan", "OPEN")
    assert it.db.do(stops.stopped) == {}


def test_of_two_who_read_one_etag_one_stops() -> None:
    it = corridor()
    assert it.stop("cities/wuhan", "HOLD", etag="").etag == "1"
    for stale in ("", "2"):
        with pytest.raises(Conflict, match="cities/wuhan is not as you read it"):
            it.stop("cities/wuhan", "OPEN", etag=stale)
    assert it.stop("cities/wuhan", "OPEN", etag="1").etag == "2"


@pytest.mark.parametrize("node", ["centers/ai", "wuhan", "", "jobs/1"])
def test_other_nodes_are_no_concern_of_the_quota_book(node: str) -> None:
    with pytest.raises(InvalidRequest, match="cities/CODE or enterprises/CODE"):
        corridor().stop(node, "HOLD")


def test_each_sees_what_is_stopped_of_the_own() -> None:
    it = corridor()
    for node in ("cities/wuhan", "cities/ezhou", "enterprises/w1", "enterprises/w2"):
        it.stop(node, "HOLD")
    it.stop("enterprises/w2", "OPEN")
    assert seen(it, EVERYTHING) == ["cities/ezhou", "cities/wuhan", "enterprises/w1"]
    assert seen(it, WUHAN.scope) == ["cities/wuhan", "enterprises/w1"]
    assert seen(it, WUHAN.scope, everything=True)[-1] == "enterprises/w2"
    assert seen(it, Scope(enterprise="w1")) == ["cities/wuhan", "enterprises/w1"]
    assert seen(it, Scope(enterprise="w2")) == ["cities/wuhan"]
    assert seen(it, EZHOU.scope) == ["cities/ezhou"]
    assert seen(it, Scope(city="", enterprise="")) == []


def test_a_stop_is_told_to_the_feed_and_kept_with_its_reason() -> None:
    it = corridor()
    it.stop("enterprises/w1", "DRAIN", WUHAN)
    assert it.events()[-1] == ("STOP_CHANGED", "wuhan", "w1")
    assert it.audit()[-1] == ("admin of wuhan", "STOP_CHANGED", "enterprises/w1", "test")
    [(before, after)] = it.db.rows(
        "SELECT before, after FROM audit_event ORDER BY seq DESC LIMIT 1"
    )
    assert (before, after) == ('{"state":"OPEN"}', '{"state":"DRAIN"}')
