"""Stories in which the terms of budgets change, enterprises move and periods pass: books stay true.

The machine of budgets holds each city's terms; here they change at any time: modes, lengths of
periods, on and off. After each step the journal must give the books, of all and of each city alone,
and the planner can be told of them.
"""

import contextlib
from collections.abc import Callable
from random import Random

import pytest

from adapters.contract import Phase
from quota.budgets import Mode, Terms
from quota.calendar import period_of
from scheduler.domain.principal import EVERYTHING, Principal, Role, Scope
from scheduler.errors import CorridorError
from scheduler.placement.model import CORRIDOR
from scheduler.store import (
    budget_journal,
    budget_moves,
    budget_openings,
    budget_settings,
    budgets,
    loans,
    planner_feed,
)
from scheduler.store.budgets import Place
from scheduler.store.loans import Proposal
from scheduler.store.quotas_telling import Change
from tests.simulation.world import CPU, NPU, OPERATOR, job
from tests.unit.store.budget_hands import hands

CITIES = ("wuhan", "ezhou", "xianning")
FLAVORS = (NPU, CPU)
DAY_MS = 86_400_000


class Story:
    """One corridor, and what happens to it."""

    def __init__(self, seed: int) -> None:
        self.rng, self.it = Random(seed), hands()
        self.db, self.running = self.it.db, list[int]()
        self.members = [code for (code,) in self.db.rows("SELECT code FROM enterprise ORDER BY 1")]

    def tell(self, steps: int) -> None:
        """Let so many things happen, and look at the books after each."""
        happenings: list[Callable[[], None]] = [
            self.set_terms, self.allot, self.allot, self.admit, self.admit, self.end, self.wait,
            self.move, self.lend,
        ]  # fmt: skip
        for _ in range(steps):
            with contextlib.suppress(CorridorError):  # what is refused changes nothing
                self.rng.choice(happenings)()
            self.check()
        self.db.close()

    def change(self, actor: Principal = OPERATOR) -> Change:
        return Change(actor, None, "test", self.it.clock.ms, 0)

    def set_terms(self) -> None:
        rng, city = self.rng, self.rng.choice(CITIES)
        terms = Terms(
            enabled=rng.random() < 0.85, months=rng.choice((1, 1, 3)), mode=rng.choice([*Mode]),
            overburn_bps=rng.choice((0, 2_000, 10_000)), carry=rng.random() < 0.5,
            roll_over=rng.random() < 0.5, enterprises_free=rng.random() < 0.6, keep_bps=0,
            debt_cap_bps=10_000,
        )  # fmt: skip
        self.db.do(lambda c: budget_settings.update_settings(c, city, terms, self.change()))

    def allot(self) -> None:
        rng = self.rng
        who = rng.choice(("", rng.choice(self.members)))
        ahead_ms = rng.choice((0, 0, 31 * DAY_MS, 95 * DAY_MS))
        period = period_of(self.it.clock.ms + ahead_ms, rng.choice((1, 1, 3)))
        place = Place("" if who else rng.choice(CITIES), who, rng.choice(FLAVORS), period)
        amount = rng.choice((None, 0, 500, 3_000, 20_000, 10**6))
        self.db.do(lambda c: budgets.update_budget(c, place, amount, self.change()))

    def admit(self) -> None:
        rng, it = self.rng, self.it
        jobs = [
            job(rng.choice(FLAVORS), 1, rng.choice((60, 600, 5_000)))
            for _ in range(rng.randint(1, 3))
        ]
        result = it.admit(*it.world.submit(rng.choice(self.members), jobs))
        uids = [run.uid for run in result.admitted]
        if uids:
            it.send(*uids)
            it.report(*(it.seen(uid, Phase.RUNNING, 1, start_ms=it.clock.ms) for uid in uids))
            self.running += uids

    def end(self) -> None:
        if self.running:
            uid = self.running.pop(self.rng.randrange(len(self.running)))
            self.it.end(uid, self.rng.choice((1, 30, 600, 5_000, 9_000)))

    def wait(self) -> None:
        self.it.clock.ms += self.rng.choice((1_000, 600_000, DAY_MS, 20 * DAY_MS, 35 * DAY_MS))
        if self.rng.random() < 0.5:
            self.db.do(lambda c: budget_openings.open_due(c, self.it.clock.ms))

    def move(self) -> None:
        who, city = self.rng.choice(self.members), self.rng.choice(CITIES)
        move = f"UPDATE enterprise SET city = '{city}' WHERE code = '{who}'"
        self.db.do(lambda c: c.exec_driver_sql(move))
        if self.rng.random() < 0.7:
            self.db.do(lambda c: budget_moves.follow(c, self.it.clock.ms))

    def lend(self) -> None:
        lender, borrower = self.rng.sample(CITIES, 2)
        wanted = Proposal(lender, borrower, NPU, self.rng.choice((10, 500, 3_000)))
        sides = [
            self.change(Principal(city, Role.CITY_ADMIN, city, None, None, "", 0))
            for city in (lender, borrower)
        ]
        asked = self.db.do(lambda c: loans.propose(c, wanted, sides[1]))
        self.db.do(lambda c: loans.accept(c, asked.loan_id, sides[0]))

    def check(self) -> None:
        for scope in (EVERYTHING, *map(Scope, CITIES)):
            found = self.db.read_sync(lambda c, s=scope: budget_journal.verify(c, s))  # type: ignore[misc]
            assert found.ok, (scope, found.problems)
        self.db.read_sync(lambda c: planner_feed.snapshot(c, self.it.clock.ms, CORRIDOR))


@pytest.mark.parametrize("seed", range(10))
def test_the_journal_gives_the_books_whatever_is_changed(seed: int) -> None:
    Story(seed).tell(60)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_the_journal_gives_the_books_in_many_stories(seed: int) -> None:
    Story(seed).tell(60)
