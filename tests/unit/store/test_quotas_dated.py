"""Changes ordered for later: kept, applied when due and in order, refused with a trace."""

import pytest

from scheduler.domain.principal import EVERYTHING, Principal, Scope
from scheduler.errors import Conflict, NotFound, WrongState
from scheduler.store import quotas_dated
from scheduler.store.leader import Fenced, take_over
from scheduler.store.quotas import CityLimits
from scheduler.store.quotas_dated import DatedChange, EnterpriseLimits, Limits, Order
from scheduler.store.quotas_flavors import DEFAULTS, FlavorLimits, Reclaim
from tests.simulation.world import NPU, OPERATOR
from tests.unit.store.quota_hands import QuotaHands, city_admin, corridor

WUHAN, EZHOU = city_admin("wuhan"), city_admin("ezhou")
HOUR_MS = 3_600_000


class Dated(QuotaHands):
    """Orders changes in so many hours, and lets time pass."""

    def order(
        self,
        owner: str,
        limits: Limits,
        hours: int,
        actor: Principal = OPERATOR,
        etag: str | None = None,
    ) -> DatedChange:
        order = Order(owner, NPU, limits, self.clock.ms + hours * HOUR_MS)
        change = self.change(actor, etag)
        return self.db.do(lambda c: quotas_dated.schedule(c, order, change))

    def cancel(self, one: DatedChange, actor: Principal = OPERATOR) -> DatedChange:
        """Take a change back."""
        change = self.change(actor)
        return self.db.do(lambda c: quotas_dated.cancel(c, one.change_id, change))

    def wait(self, hours: int) -> list[DatedChange]:
        """Let hours pass; returns what became due, and what of it."""
        self.clock.ms += hours * HOUR_MS
        if not self.db.do(lambda c: quotas_dated.any_due(c, self.clock.ms)):
            return []
        return self.db.do(lambda c: quotas_dated.apply_due(c, self.epoch, self.clock.ms, 7))

    def nominal(self, city: str) -> int:
        """A city's nominal quota of NPU."""
        [(units,)] = self.db.rows(
            f"SELECT nominal_units FROM city_quota WHERE city = '{city}' AND flavor = '{NPU}'"
        )
        return int(units)

    def listed(self, scope: Scope, *, everything: bool = False) -> list[int]:
        """Changes that a scope is shown."""
        rows = self.db.do(lambda c: quotas_dated.list_changes(c, scope, all_states=everything))
        return [row.change_id for row in rows]


def dated() -> Dated:
    """8 units: wuhan has 4 with 2 guaranteed, ezhou 4, xianning none."""
    of = corridor()
    it = Dated(of.world)
    for city, nominal, lend in (("xianning", 0, None), ("wuhan", 4, 2), ("ezhou", 4, None)):
        it.city(city, nominal, None, lend)
    return it


def city(nominal: int) -> CityLimits:
    """A city's limits."""
    return CityLimits(nominal, None, None)


def test_a_change_waits_for_its_time_and_applies_once() -> None:
    it = dated()
    kept = it.order("wuhan", CityLimits(3, 5, 1), 2)
    assert (kept.state, kept.effective_ms) == ("PENDING", it.clock.ms + 2 * HOUR_MS)
    assert it.wait(1) == []
    assert it.nominal("wuhan") == 4
    [done] = it.wait(1)
    assert (done.state, done.decided_ms, it.nominal("wuhan")) == ("APPLIED", it.clock.ms, 3)
    assert it.wait(1) == []
    assert it.events()[-1] == ("QUOTA_CHANGED", "wuhan", "")
    assert it.audit()[-1][3] == f"test (ordered as change {kept.change_id})"


def test_changes_apply_in_the_order_of_their_times_then_of_their_orders() -> None:
    it = dated()
    third, second, first = (it.order("wuhan", city(3), 3), it.order("wuhan", city(2), 2),
                            it.order("wuhan", city(1), 2))  # fmt: skip
    done = it.wait(5)
    assert [one.change_id for one in done] == [second.change_id, first.change_id, third.change_id]
    assert {one.state for one in done} == {"APPLIED"}
    assert it.nominal("wuhan") == 3


def test_what_makes_room_may_come_before_what_needs_it() -> None:
    """Neither would fit when it is ordered; both do when they are due."""
    it = dated()
    it.order("ezhou", city(7), 2)
    it.order("wuhan", city(1), 1)
    assert [one.state for one in it.wait(3)] == ["APPLIED", "APPLIED"]
    assert (it.nominal("wuhan"), it.nominal("ezhou")) == (1, 7)


def test_a_change_that_does_not_fit_when_due_is_refused_with_a_trace_and_bars_no_other() -> None:
    it = dated()
    late = it.order("ezhou", city(5), 1)
    fine = it.order("wuhan", city(1), 1)
    refused, applied = it.wait(1)
    assert (refused.change_id, refused.state) == (late.change_id, "REFUSED")
    assert "set at most 4" in refused.message
    assert (applied.change_id, applied.state) == (fine.change_id, "APPLIED")
    assert ("QUOTA_CHANGE_REFUSED", "ezhou", "") in it.events()
    assert ("test", "QUOTA_CHANGE_REFUSED", f"cities/ezhou/quotas/{NPU}") in [
        row[:3] for row in it.audit()
    ]
    assert it.nominal("ezhou") == 4
    assert it.wait(1) == [], "it is not tried again"


def test_what_the_database_itself_refuses_is_refused_too() -> None:
    it = dated()
    it.order("wuhan", CityLimits(1, None, 9), 1)
    it.order("ezhou", city(1), 1)
    assert [one.state for one in it.wait(1)] == ["REFUSED", "APPLIED"]


def test_an_etag_is_checked_when_it_is_ordered_and_not_when_due() -> None:
    it = dated()
    with pytest.raises(Conflict):
        it.order("wuhan", city(3), 1, etag="999")
    [(version,)] = it.db.rows(
        f"SELECT version FROM city_quota WHERE city = 'wuhan' AND flavor = '{NPU}'"
    )
    it.order("wuhan", city(3), 1, etag=str(version))
    it.city("wuhan", 2)
    assert [one.state for one in it.wait(1)] == ["APPLIED"]
    assert it.nominal("wuhan") == 3


def test_who_may_no_more_set_it_when_due_is_refused() -> None:
    it = dated()
    it.order("w1", EnterpriseLimits(3, 0), 1, WUHAN)
    it.db.do(lambda c: c.exec_driver_sql("UPDATE enterprise SET city = 'ezhou' WHERE code = 'w1'"))
    [done] = it.wait(1)
    assert (done.state, done.message) == ("REFUSED", "no enterprise 'w1' that you may manage")


def test_guarantees_and_flavors_are_ordered_for_later_too() -> None:
    it = dated()
    it.order("w1", EnterpriseLimits(5, 2), 1, WUHAN)
    it.order("", FlavorLimits(8, 0, Reclaim("lease", lease_s=60)), 1)
    assert [one.state for one in it.wait(1)] == ["APPLIED", "APPLIED"]
    assert it.db.rows("SELECT cap_units, guarantee_units FROM enterprise_quota") == [(5, 2)]
    assert it.db.rows("SELECT corridor_units, reclaim, lease_s FROM flavor_quota") == [
        (0, "lease", 60)
    ]


def test_one_city_orders_shows_and_cancels_nothing_of_another() -> None:
    it = dated()
    with pytest.raises(NotFound):
        it.order("w1", EnterpriseLimits(1, 0), 1, EZHOU)
    with pytest.raises(NotFound):
        it.order("wuhan", city(1), 1, EZHOU)
    with pytest.raises(NotFound):
        it.order("", FlavorLimits(8, 1, DEFAULTS), 1, WUHAN)
    mine = it.order("w1", EnterpriseLimits(1, 0), 1, WUHAN)
    citys = it.order("wuhan", city(1), 1)
    whole = it.order("", FlavorLimits(8, 0, DEFAULTS), 1)
    assert it.listed(EVERYTHING) == [mine.change_id, citys.change_id, whole.change_id]
    assert it.listed(WUHAN.scope) == [mine.change_id, citys.change_id]
    assert it.listed(Scope(enterprise="w1")) == [mine.change_id, citys.change_id]
    assert it.listed(Scope(enterprise="w2")) == [citys.change_id]
    assert it.listed(EZHOU.scope) == []
    for actor, one in ((EZHOU, mine), (WUHAN, citys), (WUHAN, whole)):
        with pytest.raises(NotFound):
            it.cancel(one, actor)


def test_a_change_is_taken_back_once_and_never_after_it_applied() -> None:
    it = dated()
    first, second = it.order("w1", EnterpriseLimits(1, 0), 1, WUHAN), it.order("wuhan", city(1), 1)
    assert it.cancel(first, WUHAN).state == "CANCELLED"
    assert [one.change_id for one in it.wait(1)] == [second.change_id]
    for one in (first, second):
        with pytest.raises(WrongState, match="waits no more"):
            it.cancel(one)
    assert it.listed(EVERYTHING) == []
    assert it.listed(EVERYTHING, everything=True) == [first.change_id, second.change_id]


def test_a_replaced_leader_applies_nothing() -> None:
    it = dated()
    it.order("wuhan", city(1), 1)
    it.db.do(lambda c: take_over(c, "another", 0))
    with pytest.raises(Fenced):
        it.wait(1)
    assert it.nominal("wuhan") == 4


def test_the_first_quota_of_a_city_may_be_ordered_for_later() -> None:
    it = dated()
    it.db.do(lambda c: c.exec_driver_sql("DELETE FROM city_quota WHERE city = 'xianning'"))
    it.city("wuhan", 2)
    it.order("xianning", city(2), 1, etag="")
    assert [one.state for one in it.wait(1)] == ["APPLIED"]
    assert it.nominal("xianning") == 2
