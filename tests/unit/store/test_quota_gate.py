"""The gate of admission: stops, guarantees, corridor pool, reported capacity, leases, cuts."""

import pytest

from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.model import Start
from scheduler.store import centers, quotas_gate, write_batch
from scheduler.store.database import Connection
from scheduler.store.quotas_flavors import Reclaim
from tests.simulation.world import CPU, NPU, OPERATOR, job
from tests.unit.store.quota_hands import QuotaHands, corridor

HELD = ReasonCode.QUEUE_HELD


def shared() -> QuotaHands:
    """Wuhan and Ezhou own four units each of eight; all may be lent."""
    it = corridor()
    for city, nominal in (("xianning", 0), ("wuhan", 4), ("ezhou", 4)):
        it.city(city, nominal)
    return it


# --- stops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["HOLD", "DRAIN"])
@pytest.mark.parametrize("node", ["cities/wuhan", "enterprises/w1"])
def test_who_is_stopped_starts_nothing_and_bars_no_other(node: str, state: str) -> None:
    it = shared()
    it.stop(node, state)
    [mine] = it.world.submit("w1", [job()])
    [others] = it.world.submit("e1", [job()])
    result = it.admit(mine, others)
    assert [run.uid for run in result.admitted] == [others]
    assert it.reason_of(result) == PendingReason(HELD, node, NPU, requested=1)
    it.stop(node, "OPEN")
    assert it.refused(mine) == []


def test_a_stopped_enterprise_is_told_of_before_a_closed_center() -> None:
    it = shared()
    [uid] = it.world.submit("w1", [job()])
    it.stop("enterprises/w1", "HOLD")
    it.db.do(
        lambda c: centers.set_state(
            c, OPERATOR, "ai", "CORDONED", reason="", now_ms=it.clock.ms, wall_ms=0
        )
    )
    assert it.refused(uid) == [HELD]


# --- guarantees of enterprises --------------------------------------------------------------------


def test_what_is_guaranteed_to_an_enterprise_others_of_its_city_may_not_take() -> None:
    it = shared()
    it.city("wuhan", 4, 0, 0)
    it.enterprise("w2", guarantee=3)
    mine = it.world.submit("w1", [job(), job()])
    assert it.refused(*mine) == [ReasonCode.BORROW_LIMIT]
    theirs = it.world.submit("w2", [job(units=3, wall_s=60)])
    assert it.refused(*theirs) == []


def test_what_is_guaranteed_to_an_enterprise_is_kept_without_a_borrow_limit_too() -> None:
    it = shared()
    it.city("wuhan", 4, None, 1)
    it.enterprise("w2", guarantee=3)
    mine = it.world.submit("w1", [job(units=6), job(units=5)])
    assert it.refused(*mine) == [ReasonCode.CORRIDOR_FULL]
    theirs = it.world.submit("w2", [job(units=3, wall_s=60)])
    assert it.refused(*theirs) == []


def test_an_enterprise_that_holds_its_guarantee_leaves_the_rest_to_all() -> None:
    it = shared()
    it.city("wuhan", 4, 0, 0)
    it.enterprise("w2", guarantee=2)
    it.run(*it.world.submit("w2", [job(units=2, wall_s=60)]))
    assert it.refused(*it.world.submit("w1", [job(units=2)])) == []


# --- the pool -------------------------------------------------------------------------------------


def test_the_corridors_own_units_bound_what_all_may_borrow() -> None:
    it = shared()
    it.city("wuhan", 2)
    it.city("ezhou", 2)
    uids = it.world.submit("x1", [job(units=4), job(units=1)])
    it.flavor(corridor=0)
    assert it.refused(*uids) == [ReasonCode.CORRIDOR_FULL]
    it.flavor(corridor=1)
    assert it.refused(uids[1]) == []


def test_what_a_center_reports_gates_if_it_is_less_than_granted() -> None:
    it = shared()
    it.report_units(5)
    uids = it.world.submit("w1", [job(units=4), job(units=2), job(units=1)])
    result = it.admit(*uids)
    assert [run.uid for run in result.admitted] == [uids[0], uids[2]]
    assert [code for _, _, code in result.refused] == [ReasonCode.POOL_FULL]
    it.report_units(100)
    assert it.refused(uids[1]) == []
    assert it.refused(*it.world.submit("w1", [job(units=2)])) == [ReasonCode.POOL_FULL]


def test_a_lowered_grant_stops_nothing_and_starts_nothing_above_it() -> None:
    it = shared()
    [running] = it.world.submit("w1", [job(units=4)])
    it.run(running)
    row = it.flavor(granted=3)
    assert row.pool.overcommitted_units == 5
    more = it.world.submit("e1", [job()])
    assert it.refused(*more) == [ReasonCode.POOL_FULL]
    assert it.db.rows("SELECT state FROM run") == [("RUNNING",)]
    it.end(running, 10, units=4)
    assert it.refused(*more) == []


# --- leases ---------------------------------------------------------------------------------------


def test_who_borrows_under_a_lease_may_not_run_longer_than_it() -> None:
    it = shared()
    it.flavor(reclaim=Reclaim("lease", lease_s=600))
    long, short, own = it.world.submit(
        "w1", [job(units=5, wall_s=601), job(units=5, wall_s=600), job(units=4, wall_s=7_200)]
    )
    result = it.admit(long)
    found = it.reason_of(result)
    assert isinstance(found, PendingReason)
    assert (found.code, found.node, found.limit, found.used, found.requested, found.short_by) == (
        ReasonCode.LEASE_TOO_LONG, "cities/wuhan", 4, 0, 5, 1
    )  # fmt: skip
    assert it.refused(own) == [], "its own units are nobody's to want back"
    it.db.do(lambda c: c.exec_driver_sql("UPDATE city_quota SET used_units = 0"))
    assert it.refused(short) == []


def test_what_is_kept_for_others_of_the_city_counts_as_borrowed_under_a_lease() -> None:
    it = shared()
    it.city("wuhan", 4, None, 1)
    it.enterprise("w2", guarantee=3)
    it.flavor(reclaim=Reclaim("lease", lease_s=600))
    mine = it.world.submit("w1", [job(units=2, wall_s=601), job(units=1, wall_s=601)])
    theirs = it.world.submit("w2", [job(units=3, wall_s=601)])
    assert it.refused(*mine, *theirs) == [ReasonCode.LEASE_TOO_LONG]


def test_another_limit_that_binds_more_lastingly_is_told_before_the_lease() -> None:
    it = shared()
    it.city("wuhan", 4, 0)
    it.flavor(reclaim=Reclaim("lease", lease_s=600))
    assert it.refused(*it.world.submit("w1", [job(units=5, wall_s=601)])) == [
        ReasonCode.BORROW_LIMIT
    ]


@pytest.mark.parametrize("mode", ["churn", "evict"])
def test_other_rules_bound_no_limit_of_who_borrows(mode: str) -> None:
    it = shared()
    it.flavor(reclaim=Reclaim(mode, lease_s=1))
    assert it.refused(*it.world.submit("w1", [job(units=8)])) == []


# --- cuts, and the last word ----------------------------------------------------------------------


def test_a_cut_keeps_runs_and_lets_no_enterprise_into_a_new_excess() -> None:
    it = shared()
    running = it.world.submit("w1", [job(units=3), job(units=3)])
    it.run(*running)
    it.city("wuhan", 2, 0)
    it.enterprise("w1", cap=2)
    more = it.world.submit("w1", [job()])
    assert it.refused(*more) == [ReasonCode.CAP_ENTERPRISE]
    it.end(running[0], 10, units=3)
    assert it.refused(*more) == [ReasonCode.CAP_ENTERPRISE], "three of two are still in use"
    it.end(running[1], 10, units=3)
    assert it.refused(*more) == []


@pytest.mark.parametrize(
    "cut",
    [
        "UPDATE city_quota SET borrow_limit_units = 0, nominal_units = 1",
        "INSERT INTO enterprise_quota (enterprise, flavor, cap_units, used_units, version,"
        f" updated_ms) VALUES ('w1', '{NPU}', 1, 0, 1, 0)",
    ],
)
def test_quota_that_the_gate_did_not_see_is_never_overdrawn(cut: str) -> None:
    """The conditional updates are the last word, whatever was judged before."""
    it = shared()
    [uid] = it.world.submit("w1", [job(units=2)])
    start: Start = it.start_of(uid)
    it.db.do(lambda c: c.exec_driver_sql(cut))

    def take(connection: Connection) -> None:
        with write_batch.going(connection) as batch:
            quotas_gate.take_quota(batch, [start], it.clock.ms)

    with pytest.raises(RuntimeError, match="moved within the transaction"):
        it.db.do(take)
    assert it.db.rows("SELECT sum(used_units) FROM city_quota") == [(0,)]


def test_flavors_are_judged_each_by_its_own_book() -> None:
    it = shared()
    it.report_units(0)
    npu, cpu = it.world.submit("w1", [job(), job(CPU)])
    assert it.refused(npu, cpu) == [ReasonCode.EXCEEDS_MAX]
    assert it.db.rows("SELECT flavor FROM run") == [(CPU,)]
