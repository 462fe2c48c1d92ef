"""The stored quota book beside the plain rules: changes, cuts, stops, admissions, ends at random.

The rules are written once more as sums over all runs, without running totals or closed forms: what
one start takes may not raise what is already above its limit. The store must admit exactly those
starts that the plain rules admit, one after the other, and count what runs hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapters.contract import Phase
from scheduler.errors import QuotaExceeded
from scheduler.store import quotas_dated
from scheduler.store.quotas import CityLimits
from scheduler.store.quotas_dated import EnterpriseLimits, Order
from scheduler.store.quotas_flavors import Reclaim
from tests.simulation.world import CITIES, ENTERPRISES, NPU, job
from tests.unit.store.quota_hands import QuotaHands, corridor

HOME = {enterprise: city for enterprise, (city, _) in ENTERPRISES.items()}
UNITS = st.integers(0, 9)
SOME = st.one_of(st.none(), UNITS)
LEASE_S = 600


@dataclass
class Book:
    """All limits and all that is held, in the plainest form."""

    cities: dict[str, CityLimits]
    granted: int = 8
    reported: int | None = None
    corridor: int | None = None
    lease: bool = False
    caps: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    held: dict[int, tuple[str, int]] = field(default_factory=dict)

    def guarantee(self, city: str) -> int:
        """G = N - L, 0 if all may be lent."""
        limits = self.cities[city]
        lend = limits.lend_limit_units
        return 0 if lend is None else limits.nominal_units - lend

    def of(self, enterprise: str) -> int:
        """What an enterprise holds."""
        return sum(units for who, units in self.held.values() if who == enterprise)

    def used(self, city: str) -> int:
        """What a city holds."""
        return sum(units for who, units in self.held.values() if HOME[who] == city)

    def kept_or_held(self, city: str) -> int:
        """What a city's enterprises hold, or what is kept for them if that is more."""
        mine = [enterprise for enterprise in HOME if HOME[enterprise] == city]
        return sum(max(self.of(one), self.kept.get(one, 0)) for one in mine)

    def levels(self) -> Iterator[tuple[str, int, int | None]]:
        """Name, height and limit of everything that is limited."""
        there = self.granted if self.reported is None else min(self.granted, self.reported)
        nominal = sum(limits.nominal_units for limits in self.cities.values())
        own = max(0, there - nominal) if self.corridor is None else self.corridor
        yield "pool", sum(units for _, units in self.held.values()), there
        together = sum(max(self.kept_or_held(city), self.guarantee(city)) for city in self.cities)
        yield "corridor", together, min(there, nominal + own)
        for city, limits in self.cities.items():
            borrow = limits.borrow_limit_units
            most = None if borrow is None else limits.nominal_units + borrow
            yield f"cities/{city}", self.used(city), most
            yield f"cities/{city} with what is kept", self.kept_or_held(city), most
        for enterprise in HOME:
            yield f"enterprises/{enterprise}", self.of(enterprise), self.caps.get(enterprise)

    def admits(self, uid: int, enterprise: str, units: int, wall_s: int) -> bool:
        """Take a start if no level rises above its limit; whether it was taken."""
        city = HOME[enterprise]
        before = {name: height for name, height, _ in self.levels()}
        own_before = self.kept_or_held(city)
        self.held[uid] = (enterprise, units)
        over = any(
            limit is not None and height > limit and height > before[name]
            for name, height, limit in self.levels()
        )
        # Who takes what is kept for it takes nothing of anybody's.
        borrows = self.kept_or_held(city) > max(own_before, self.cities[city].nominal_units)
        stopped = {f"cities/{city}", f"enterprises/{enterprise}"} & self.stopped
        if over or stopped or (self.lease and borrows and wall_s > LEASE_S):
            del self.held[uid]
            return False
        return True


class QuotaMachine(RuleBasedStateMachine):
    """Moves the store and the plain book alike."""

    def __init__(self) -> None:
        super().__init__()
        credit = dict.fromkeys(ENTERPRISES, 10**12)
        self.it: QuotaHands = corridor(rules=(), credit=credit)
        rows = self.it.db.rows(f"SELECT city, nominal_units FROM city_quota WHERE flavor = '{NPU}'")
        self.book = Book({city: CityLimits(nominal, None, None) for city, nominal in rows})
        self.waiting: list[tuple[str, CityLimits]] = []

    @initialize(tight=st.booleans())
    def begin(self, tight: bool) -> None:
        """Half of the stories begin with every kind of limit set."""
        if tight:
            for city, nominal, lend in (("xianning", 1, None), ("ezhou", 3, 2), ("wuhan", 3, 1)):
                self.set_city(city, nominal, None, lend)
            self.set_flavor(1, 8, lease=False)
            self.set_enterprise("w1", None, 2)
            self.set_enterprise("e2", 3, 1)

    def _fits(self, city: str, limits: CityLimits) -> bool:
        book = self.book
        before = book.cities[city]
        others = sum(one.nominal_units for name, one in book.cities.items() if name != city)
        rises = limits.nominal_units > before.nominal_units
        if rises and limits.nominal_units + others + (book.corridor or 0) > book.granted:
            return False
        lend = limits.lend_limit_units
        kept = sum(units for one, units in book.kept.items() if HOME[one] == city)
        return kept <= (0 if lend is None else limits.nominal_units - lend)

    # --- changes ----------------------------------------------------------------------------------

    @rule(city=st.sampled_from(CITIES), nominal=UNITS, borrow=SOME, lend=SOME)
    def set_city(self, city: str, nominal: int, borrow: int | None, lend: int | None) -> None:
        limits = CityLimits(nominal, borrow, None if lend is None else min(lend, nominal))
        try:
            self.it.city(city, nominal, borrow, limits.lend_limit_units)
        except QuotaExceeded:
            assert not self._fits(city, limits)
            return
        assert self._fits(city, limits)
        self.book.cities[city] = limits

    @rule(city=st.sampled_from(CITIES), nominal=UNITS, lend=SOME)
    def order_city(self, city: str, nominal: int, lend: int | None) -> None:
        limits = CityLimits(nominal, None, None if lend is None else min(lend, nominal))
        order = Order(city, NPU, limits, self.it.clock.ms + 1)
        self.it.db.do(lambda c: quotas_dated.schedule(c, order, self.it.change()))
        self.waiting.append((city, limits))

    @rule()
    @precondition(lambda self: self.waiting)
    def let_changes_come(self) -> None:
        self.it.clock.ms += 10
        done = self.it.db.do(
            lambda c: quotas_dated.apply_due(c, self.it.epoch, self.it.clock.ms, 0)
        )
        assert len(done) == len(self.waiting)
        for (city, limits), one in zip(self.waiting, done, strict=True):
            assert (one.city, one.limits) == (city, limits)
            assert (one.state == "APPLIED") == self._fits(city, limits)
            if one.state == "APPLIED":
                self.book.cities[city] = limits
        self.waiting.clear()

    @rule(enterprise=st.sampled_from(sorted(HOME)), cap=SOME, kept=st.integers(0, 4))
    def set_enterprise(self, enterprise: str, cap: int | None, kept: int) -> None:
        limits = EnterpriseLimits(cap, kept if cap is None else min(kept, cap))
        book, city = self.book, HOME[enterprise]
        others = sum(
            units for one, units in book.kept.items() if HOME[one] == city and one != enterprise
        )
        rises = limits.guarantee_units > book.kept.get(enterprise, 0)
        fits = not rises or others + limits.guarantee_units <= book.guarantee(city)
        try:
            self.it.enterprise(enterprise, cap, limits.guarantee_units)
        except QuotaExceeded:
            assert not fits
            return
        assert fits
        book.kept[enterprise] = limits.guarantee_units
        book.caps.pop(enterprise, None)
        if cap is not None:
            book.caps[enterprise] = cap

    @rule(own=SOME, granted=st.integers(0, 10), lease=st.booleans())
    def set_flavor(self, own: int | None, granted: int, lease: bool) -> None:
        book = self.book
        nominal = sum(limits.nominal_units for limits in book.cities.values())
        fits = (own or 0) <= (book.corridor or 0) or (own or 0) + nominal <= granted
        rule_of = Reclaim("lease" if lease else "churn", lease_s=LEASE_S)
        try:
            self.it.flavor(own, granted, rule_of)
        except QuotaExceeded:
            assert not fits
            return
        assert fits
        book.corridor, book.granted, book.lease = own, granted, lease

    @rule(units=st.integers(0, 10))
    def report_capacity(self, units: int) -> None:
        self.it.report_units(units)
        self.book.reported = units

    @rule(
        node=st.sampled_from(
            [*(f"cities/{c}" for c in CITIES), *(f"enterprises/{e}" for e in HOME)]
        ),
        state=st.sampled_from(("OPEN", "OPEN", "HOLD", "DRAIN")),
    )
    def stop(self, node: str, state: str) -> None:
        self.it.stop(node, state)
        self.book.stopped.discard(node)
        if state != "OPEN":
            self.book.stopped.add(node)

    # --- starts and ends --------------------------------------------------------------------------

    @rule(
        wanted=st.lists(
            st.tuples(
                st.sampled_from(sorted(HOME)), st.integers(1, 6), st.sampled_from((LEASE_S, 900))
            ),
            min_size=1,
            max_size=5,
        )
    )
    def admit(self, wanted: list[tuple[str, int, int]]) -> None:
        uids = [
            self.it.world.submit(enterprise, [job(units=units, wall_s=wall_s)])[0]
            for enterprise, units, wall_s in wanted
        ]
        result = self.it.admit(*uids)
        expected = [
            uid
            for uid, (enterprise, units, wall_s) in zip(uids, wanted, strict=True)
            if self.book.admits(uid, enterprise, units, wall_s)
        ]
        assert [run.uid for run in result.admitted] == expected
        self.it.send(*expected)
        self.it.report(
            *(self.it.seen(uid, Phase.RUNNING, 1, start_ms=self.it.clock.ms) for uid in expected)
        )

    @rule(which=st.integers(0, 99))
    @precondition(lambda self: self.book.held)
    def end(self, which: int) -> None:
        uid = sorted(self.book.held)[which % len(self.book.held)]
        _, units = self.book.held.pop(uid)
        self.it.end(uid, 1, units=units)

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def what_is_counted_is_what_active_runs_hold(self) -> None:
        of_cities = self.it.db.rows(
            f"SELECT city, used_units FROM city_quota WHERE flavor = '{NPU}'"
        )
        assert dict(of_cities) == {city: self.book.used(city) for city in self.book.cities}
        rows = self.it.db.rows("SELECT enterprise, used_units FROM enterprise_quota")
        assert {one: used for one, used in rows if used} == {
            one: self.book.of(one) for one in HOME if self.book.of(one)
        }

    @invariant()
    def enterprises_are_guaranteed_no_more_than_their_city(self) -> None:
        for city in self.book.cities:
            kept = sum(units for one, units in self.book.kept.items() if HOME[one] == city)
            assert kept <= self.book.guarantee(city) or not kept

    def teardown(self) -> None:
        self.it.db.close()


def _run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        QuotaMachine,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None),
    )


def test_the_store_admits_what_the_plain_rules_admit() -> None:
    _run(25, 20)


@pytest.mark.slow
def test_the_store_admits_what_the_plain_rules_admit_for_long() -> None:
    _run(200, 40)
