"""Budgets in the stories: who sets and lends them, and an audit that trusts only runs and use.

Of three cities one has tight budgets, one may go below zero and rolls over, one has none.
"""

import contextlib
import random

from quota.budgets import Mode, Terms
from quota.calendar import period_bounds, period_of
from scheduler.domain.principal import EVERYTHING, Principal, Role, Scope
from scheduler.errors import CorridorError
from scheduler.store import budget_journal, budget_settings, budgets, loans
from scheduler.store.budgets import Place
from scheduler.store.loans import Proposal
from scheduler.store.quotas_telling import Change
from tests.simulation.world import CPU, FREE, NPU, OPERATOR, World

GRACE_S = 60
TERMS = {
    "wuhan": Terms(enterprises_free=True, grace_s=GRACE_S, keep_bps=0, debt_cap_bps=10_000),
    "xianning": Terms(
        enterprises_free=True, grace_s=GRACE_S, mode=Mode.OVERBURN, overburn_bps=5_000,
        roll_over=True, keep_bps=0, debt_cap_bps=10_000,
    ),
}  # fmt: skip
_AMOUNTS = (0, 3_000, 20_000, 200_000, 2_000_000, None)


class BudgetKeeper:
    """Acts with random numbers of its own, so that stories stay what they were for the others."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._rng = world, random.Random(f"budgets {seed}")
        for city, terms in TERMS.items():
            change = Change(OPERATOR, "", "test", world.clock.ms, 0)
            world.db.do(
                lambda c, n=city, t=terms, x=change: budget_settings.update_settings(c, n, t, x)  # type: ignore[misc]
            )
            for flavor in (NPU, CPU, FREE):
                for period in self._periods():
                    self._allot(Place(city, "", flavor, period), 2_000_000)

    def _periods(self) -> tuple[str, str]:
        present = period_of(self._world.clock.ms, 1)
        return present, period_of(period_bounds(present)[1], 1)

    def _allot(self, place: Place, amount: int | None) -> None:
        node = f"enterprises/{place.enterprise}" if place.enterprise else f"cities/{place.city}"
        rows = self._world.db.rows(
            f"SELECT version FROM budget WHERE node = '{node}' AND flavor = '{place.flavor}'"
            f" AND period = '{place.period}' AND version > 0"
        )
        change = Change(OPERATOR, str(rows[0][0]) if rows else "", "test", self._world.clock.ms, 0)
        with contextlib.suppress(CorridorError):  # below what is in use, above the city's
            self._world.db.do(lambda c: budgets.update_budget(c, place, amount, change))

    def act(self) -> None:
        """Now and then somebody sets a budget, or lends."""
        if self._rng.random() < 0.1:
            flavor, period = self._rng.choice((NPU, CPU, FREE)), self._rng.choice(self._periods())
            city = self._rng.choice([*TERMS])
            enterprise = self._rng.choice(("", "", f"{city[0]}1"))
            place = Place("" if enterprise else city, enterprise, flavor, period)
            self._allot(place, self._rng.choice(_AMOUNTS))
        if self._rng.random() < 0.05:
            self._lend()

    def _lend(self) -> None:
        lender, borrower = self._rng.sample([*TERMS], 2)
        wanted = Proposal(lender, borrower, self._rng.choice((NPU, CPU)), 5_000)
        with contextlib.suppress(CorridorError):
            asked = self._world.db.do(lambda c: loans.propose(c, wanted, self._change(borrower)))
            self._world.db.do(lambda c: loans.accept(c, asked.loan_id, self._change(lender)))

    def _change(self, city: str) -> Change:
        admin = Principal(city, Role.CITY_ADMIN, city, None, None, "", 0)
        return Change(admin, None, "test", self._world.clock.ms, 0)

    def make_peace(self) -> None:
        """Everybody gets all they want."""
        enterprises = self._world.db.rows("SELECT DISTINCT enterprise FROM budget")
        for period in self._periods():
            for flavor in (NPU, CPU, FREE):
                for city in TERMS:
                    self._allot(Place(city, "", flavor, period), None)
                for (enterprise,) in enterprises:
                    if enterprise:
                        self._allot(Place("", enterprise, flavor, period), None)

    # --- the audit ------------------------------------------------------------------------------

    def check(self) -> None:
        """Every run of these cities holds its worst case until it is settled, and then its use."""
        cities = ", ".join(f"'{city}'" for city in TERMS)
        rows = self._world.db.rows(
            "SELECT r.job_uid, r.attempt, r.units * (r.wall_limit_s + 60), r.settled_ms IS NULL,"
            " (SELECT sum(h.unit_seconds) FROM budget_hold h WHERE h.job_uid = r.job_uid"
            " AND h.attempt = r.attempt),"
            " (SELECT sum(h.used_unit_seconds) FROM budget_hold h WHERE h.job_uid = r.job_uid"
            " AND h.attempt = r.attempt),"
            " (SELECT coalesce(sum(u.units * u.seconds), 0) FROM rated_line u"
            " WHERE u.job_uid = r.job_uid AND u.attempt = r.attempt AND u.billed)"
            f" FROM run r WHERE r.city IN ({cities})"
        )
        for uid, attempt, worst, is_open, held, used, billed in rows:
            assert held == worst, (uid, attempt, held, worst)
            expected = None if is_open else min(worst, billed)
            assert used == expected, (uid, attempt, used, expected)
        below = self._world.db.rows(
            "SELECT node, period FROM budget WHERE city = 'wuhan' AND allotted_unit_seconds"
            " + received_unit_seconds - given_unit_seconds - held_unit_seconds"
            " - settled_unit_seconds < 0"
        )
        assert below == [], "a hard budget is overspent"

    def verify(self) -> None:
        """The journal gives the books."""
        for scope in (EVERYTHING, *map(Scope, TERMS)):
            found = self._world.db.read_sync(lambda c, s=scope: budget_journal.verify(c, s))  # type: ignore[misc]
            assert found.ok, (scope, found.problems)

    def check_end(self) -> None:
        """Nothing is held when all has come to rest."""
        self.check()
        self.verify()
        assert self._world.db.rows("SELECT coalesce(sum(held_unit_seconds), 0) FROM budget") == [
            (0,)
        ]
