"""Setting quotas: what fits, what is told, whose it is; capacity as centers report it."""

import json

import pytest

from scheduler.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded
from scheduler.placement.model import PoolSet, ReclaimSet, StopSet
from scheduler.store import planner_feed, pools, quotas, quotas_enterprises, quotas_usage
from scheduler.store.leader import Fenced, take_over
from scheduler.store.quotas_flavors import Reclaim
from tests.simulation.world import CPU, NPU, OPERATOR, job
from tests.unit.store.quota_hands import QuotaHands, city_admin, corridor

WUHAN, EZHOU = city_admin("wuhan"), city_admin("ezhou")


def split() -> QuotaHands:
    """Three cities, 8 units: wuhan 4, ezhou 2, xianning 0, of wuhan's all but one guaranteed."""
    it = corridor()
    it.city("xianning", 0)
    it.city("ezhou", 2)
    it.city("wuhan", 4, None, 1)
    return it


# --- what fits ------------------------------------------------------------------------------------


def test_enterprises_are_guaranteed_no_more_than_their_city() -> None:
    it = split()
    it.enterprise("w1", guarantee=2, actor=WUHAN)
    with pytest.raises(QuotaExceeded, match="at most 1") as caught:
        it.enterprise("w2", guarantee=2, actor=WUHAN)
    assert (caught.value.reason, caught.value.subject) == ("GUARANTEE_ABOVE_CITY", "cities/wuhan")
    assert it.enterprise("w2", guarantee=1, actor=WUHAN).guarantee_units == 1
    assert it.enterprise("w1", guarantee=2, cap=5, actor=WUHAN).guarantee_units == 2


def test_a_city_keeps_what_its_enterprises_are_guaranteed() -> None:
    it = split()
    it.enterprise("w1", guarantee=3)
    for limits in ((4, None, 2), (3, None, 1), (4, None, None)):
        with pytest.raises(QuotaExceeded, match="enterprises are guaranteed 3") as caught:
            it.city("wuhan", *limits)
        assert caught.value.reason == "GUARANTEES_ABOVE_CITY"
    it.enterprise("w1", guarantee=2)
    assert it.city("wuhan", 3, None, 1).limits.guaranteed_units == 2


def test_an_enterprise_of_a_city_without_quota_is_guaranteed_nothing() -> None:
    it = corridor()
    it.db.do(lambda c: c.exec_driver_sql("DELETE FROM city_quota"))
    with pytest.raises(QuotaExceeded, match="set at most 0"):
        it.enterprise("w1", guarantee=1)


def test_cities_and_corridor_together_are_promised_no_more_than_is_granted() -> None:
    it = split()
    it.flavor(corridor=2)
    with pytest.raises(QuotaExceeded, match="the corridor itself 2; set at most 2") as caught:
        it.city("ezhou", 3)
    assert caught.value.reason == "NOMINAL_ABOVE_CAPACITY"
    with pytest.raises(QuotaExceeded, match="the cities have 6; set at most 2") as caught:
        it.flavor(corridor=3)
    assert caught.value.reason == "CORRIDOR_ABOVE_CAPACITY"


def test_after_a_lowered_grant_quotas_may_be_lowered_step_by_step() -> None:
    it = split()
    it.flavor(granted=3)
    assert it.city("wuhan", 3, None, 0).overcommitted_units == 2
    with pytest.raises(QuotaExceeded):
        it.city("xianning", 1)
    assert it.city("ezhou", 0).overcommitted_units == 0


# --- etags, scopes, traces ------------------------------------------------------------------------


def test_of_two_who_read_one_etag_one_sets_the_quota_of_a_flavor() -> None:
    it = split()
    assert it.flavor(corridor=1, etag="").etag == "1"
    for stale in ("", "2"):
        with pytest.raises(Conflict, match="read it again"):
            it.flavor(corridor=2, etag=stale)
    assert it.flavor(corridor=2, etag="1").etag == "2"


def test_of_two_who_read_one_etag_one_sets_the_quota_of_an_enterprise() -> None:
    it = split()
    assert it.enterprise("w1", cap=1, etag="").etag == "1"
    with pytest.raises(Conflict):
        it.enterprise("w1", cap=2, etag="")
    assert it.enterprise("w1", cap=2, etag="1").cap_units == 2


def test_one_city_can_neither_read_nor_set_anothers() -> None:
    it = split()
    it.enterprise("w1", cap=3)
    before = it.db.rows("SELECT * FROM enterprise_quota"), it.audit()
    for act in (
        lambda: it.enterprise("w1", cap=1, actor=EZHOU),
        lambda: it.city("wuhan", 1, actor=EZHOU),
        lambda: it.flavor(corridor=1, actor=EZHOU),
        lambda: it.db.do(
            lambda c: quotas_enterprises.get_enterprise_quota(c, EZHOU.scope, "w1", NPU)
        ),
        lambda: it.db.do(lambda c: quotas.get_city_quota(c, EZHOU.scope, "wuhan", NPU)),
    ):
        with pytest.raises(NotFound):
            act()
    assert (it.db.rows("SELECT * FROM enterprise_quota"), it.audit()) == before
    seen = it.db.do(lambda c: quotas_usage.list_usage(c, EZHOU.scope))
    assert {row.city for row in seen} == {"ezhou"}


def test_a_change_leaves_who_what_before_and_after_and_why() -> None:
    it = split()
    it.flavor(corridor=1, reclaim=Reclaim("lease", lease_s=60))
    ((actor, action, target, reason), *_) = reversed(it.audit())
    assert (actor, action, target, reason) == (
        "test", "FLAVOR_QUOTA_CHANGED", f"flavors/{NPU}/quota", "test"
    )  # fmt: skip
    [(before, after, at_ms)] = it.db.rows(
        "SELECT before, after, at_ms FROM audit_event ORDER BY seq DESC LIMIT 1"
    )
    assert json.loads(before)["corridor_units"] is None
    assert json.loads(after)["corridor_units"] == 1
    assert (json.loads(after)["reclaim"], json.loads(after)["lease_s"], at_ms) == ("lease", 60, 7)
    assert it.events()[-1] == ("FLAVOR_QUOTA_CHANGED", "", "")


def test_an_unknown_flavor_is_named() -> None:
    it = split()
    with pytest.raises(InvalidRequest, match="known are ai/npu"):
        it.db.do(
            lambda c: quotas_enterprises.update_enterprise_quota(
                c, "w1", "mars/x", 1, it.change(OPERATOR)
            )
        )


def test_a_row_that_use_made_is_set_without_an_etag() -> None:
    it = split()
    it.admit(*it.world.submit("w1", [job()]))
    row = it.enterprise("w1", cap=3, etag="")
    assert (row.used_units, row.etag) == (1, "1")


# --- capacity -------------------------------------------------------------------------------------


def pool(it: QuotaHands, flavor: str = NPU) -> pools.Pool:
    """The pool as it stands."""
    return it.db.do(pools.read)[flavor]


def test_capacity_that_is_news_is_kept_once_and_told_once() -> None:
    it = split()
    assert pool(it).reported_units is None
    assert it.report_units(6) == [NPU]
    assert it.report_units(6) == []
    assert it.report_units(5) == [NPU]
    assert [kind for kind, *_ in it.events()].count("CAPACITY_CHANGED") == 2
    found = pool(it)
    assert (found.reported_units, found.effective_units, found.overcommitted_units) == (5, 5, 1)


def test_a_center_speaks_of_its_own_flavors_only() -> None:
    it = split()
    assert it.report_units(1, flavor=CPU, center="ai") == []
    assert it.report_units(1, flavor="mars/x", center="ai") == []
    assert pool(it, CPU).effective_units == 64


def test_a_replaced_leader_reports_nothing() -> None:
    it = split()
    it.db.do(lambda c: take_over(c, "another", 0))
    with pytest.raises(Fenced):
        it.report_units(1)
    assert pool(it).reported_units is None


@pytest.mark.parametrize(
    ("corridor_units", "reported", "overcommitted"),
    [(None, None, 0), (None, 7, 0), (None, 5, 1), (2, None, 0), (2, 7, 1), (0, 7, 0), (0, 3, 3)],
)
def test_what_is_promised_and_not_there_is_overcommitted(
    corridor_units: int | None, reported: int | None, overcommitted: int
) -> None:
    it = split()
    it.flavor(corridor=corridor_units)
    if reported is not None:
        it.report_units(reported)
    assert pool(it).overcommitted_units == overcommitted
    [row] = it.db.do(lambda c: quotas.list_city_quotas(c, EZHOU.scope, "ezhou", 1))
    assert row.overcommitted_units == overcommitted


# --- what the planner is told, and who uses what --------------------------------------------------


def test_the_planner_is_told_pools_rules_guarantees_and_stops() -> None:
    it = split()
    it.report_units(7)
    it.flavor(corridor=1, reclaim=Reclaim("evict", 1, 2, 3, 4, 5))
    it.enterprise("w1", cap=3, guarantee=2)
    it.stop("enterprises/w1", "DRAIN")
    it.stop("cities/ezhou", "HOLD")
    it.stop("cities/ezhou", "OPEN")
    told = it.db.do(planner_feed.settings)
    assert PoolSet(NPU, "ai", 7, True, 1) in told
    assert ReclaimSet(NPU, "evict", 1_000, 2_000, 3_000, 4, 5_000) in told
    assert ("w1", NPU, 3, 2) in told
    assert {StopSet("enterprises/w1", "DRAIN"), StopSet("cities/ezhou", "OPEN")} <= set(told)


@pytest.mark.parametrize("what", ["flavor", "report_units", "stop"])
def test_the_planner_is_told_anew_when_something_changes(what: str) -> None:
    it = split()
    before = it.db.rows("SELECT max(seq) FROM event")[0][0]
    match what:
        case "flavor":
            it.flavor(corridor=1)
        case "report_units":
            it.report_units(1)
        case _:
            it.stop("cities/wuhan", "HOLD")
    answer = it.db.do(lambda c: planner_feed.read_deltas(c, before, 100))
    assert answer[-1] is True, "settings changed"


def test_use_is_told_by_city_and_enterprise_with_what_is_lent() -> None:
    it = split()
    it.enterprise("w2", cap=9, guarantee=1)
    it.run(*it.world.submit("x1", [job(units=4)]))
    it.run(*it.world.submit("w1", [job(units=1)]))
    rows = it.db.do(lambda c: quotas_usage.list_usage(c, OPERATOR.scope, flavor=NPU))
    shown = [
        (r.city, r.enterprise, r.used_units, r.guaranteed_units, r.borrowed_units, r.lent_units)
        for r in rows
    ]
    assert shown == [
        ("ezhou", "", 0, 0, 0, 1),
        ("wuhan", "", 1, 3, 0, 1),
        ("wuhan", "w1", 1, 0, 0, 0),
        ("wuhan", "w2", 0, 1, 0, 0),
        ("xianning", "", 4, 0, 4, 0),
        ("xianning", "x1", 4, 0, 0, 0),
    ]
    two = it.db.do(lambda c: quotas_usage.list_usage(c, OPERATOR.scope, flavor=NPU, limit=2))
    rest = it.db.do(
        lambda c: quotas_usage.list_usage(c, OPERATOR.scope, flavor=NPU, after=two[-1].key)
    )
    assert [*two, *rest] == rows
