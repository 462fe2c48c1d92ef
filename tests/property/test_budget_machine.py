"""Budgets and loans beside an oracle: as pure rules in memory, and through the store's own writes.

After every step every figure of every budget and every debt must agree, and I7, I8 and I14 of the
reference model must hold: lending and roll-over make nothing and lose nothing, nothing goes below
zero in hard mode, what is held is the sum of the open holds at both levels, a replay of the journal
gives the books.
"""

from dataclasses import dataclass, field
from typing import Any

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

from tests.property.budget_oracle import MONTHS, STARTS, City, Oracle, month_at
from tests.property.budget_subjects import HOMES, InMemory, InStore

CITIES = ("wuhan", "ezhou", "xianning")
NODES = [*(f"cities/{city}" for city in CITIES), *(f"enterprises/{one}" for one in HOMES)]

CITY = st.builds(
    City,
    mode=st.sampled_from(["HARD", "HARD", "HARD", "OVERBURN", "OBSERVE"]),
    margin_percent=st.sampled_from([0, 10, 100]),
    carry=st.booleans(),
    roll_over=st.booleans(),
    free=st.booleans(),
    grace_s=st.sampled_from([0, 60]),
)
RUN = st.tuples(
    st.sampled_from([*HOMES]), st.integers(1, 3), st.sampled_from([1, 60, 600, 3_600, 7_200])
)
AMOUNT = st.one_of(st.sampled_from([0, 1, 3_600, 20_000]), st.integers(0, 40_000), st.just(10**9))


@dataclass
class Going:
    """A run as the machine follows it."""

    uid: int
    start_ms: int | None = None


@dataclass
class State:
    """What the machine knows."""

    waiting: list[Going] = field(default_factory=list)
    running: list[Going] = field(default_factory=list)


class Budgets(RuleBasedStateMachine):
    """Moves of people, centers and time."""

    make: Any = InMemory

    @initialize(
        cities=st.tuples(CITY, CITY, CITY), amounts=st.lists(AMOUNT, min_size=7, max_size=7)
    )
    def build(self, cities: tuple[City, City, City], amounts: list[int]) -> None:
        """Terms of each city, and what each node has this month."""
        named = dict(zip(CITIES, cities, strict=True))
        self.subject = self.make(named)
        self.oracle = Oracle(named, homes=dict(HOMES))
        self.state = State()
        for node, amount in zip(NODES, amounts, strict=True):
            self.allot(node, 0, amount)

    @rule(node=st.sampled_from(NODES), ahead=st.integers(0, 2), amount=st.none() | AMOUNT)
    def allot(self, node: str, ahead: int, amount: int | None) -> None:
        """Set an allotment of this month or a later one."""
        now_ms = self.subject.now_ms
        month = MONTHS[min(MONTHS.index(month_at(now_ms)) + ahead, len(MONTHS) - 2)]
        expected = self.oracle.allot(node, month, amount, now_ms)
        assert self.subject.allot(node, month, amount) == expected

    @rule(runs=st.lists(RUN, min_size=1, max_size=4))
    def admit(self, runs: list[tuple[str, int, int]]) -> None:
        """A batch of starts."""
        now_ms = self.subject.now_ms
        wanted = [(self.subject.submit(*run), *run) for run in runs]
        expected = [
            self.oracle.admit(uid, HOMES[who], who, units, wall_s, now_ms)
            for uid, who, units, wall_s in wanted
        ]
        assert self.subject.admit(wanted) == expected
        self.state.waiting += [
            Going(uid) for (uid, *_), code in zip(wanted, expected, strict=True) if not code
        ]

    @precondition(lambda self: self.state.waiting)
    @rule(which=st.integers(0, 99))
    def begin(self, which: int) -> None:
        """A run begins at its center."""
        going = self.state.waiting.pop(which % len(self.state.waiting))
        going.start_ms = self.subject.now_ms
        self.subject.begin(going.uid)
        self.state.running.append(going)

    @precondition(lambda self: self.state.running)
    @rule(which=st.integers(0, 99), billed=st.booleans())
    def end(self, which: int, billed: bool) -> None:
        """A run ends now, by its own or by the center's fault."""
        going = self.state.running.pop(which % len(self.state.running))
        assert going.start_ms is not None
        end_ms = self.subject.now_ms
        self.oracle.settle(going.uid, going.start_ms, end_ms, billed)
        self.subject.settle(going.uid, going.start_ms, end_ms, billed)

    @rule(seconds=st.sampled_from([0.5, 1, 59, 600, 3_000, 7_300]), tick=st.booleans())
    def wait(self, seconds: float, tick: bool) -> None:
        """Time goes on."""
        self._until(self.subject.now_ms + int(seconds * 1000), tick)

    @rule(before_s=st.sampled_from([-1, 0, 1, 1_000]), tick=st.booleans())
    def wait_for_the_month(self, before_s: int, tick: bool) -> None:
        """Time goes on to about the end of the month."""
        at_ms = STARTS[MONTHS.index(month_at(self.subject.now_ms)) + 1] - before_s * 1000
        if self.state.running and at_ms > self.subject.now_ms + 7_200_000:
            return  # the oracle counts second by second
        self._until(max(at_ms, self.subject.now_ms), tick)

    def _until(self, at_ms: int, tick: bool) -> None:
        if at_ms >= STARTS[-2]:
            return  # the oracle's table ends
        self.subject.now_ms = at_ms
        if tick:
            self.oracle.open(at_ms)
            self.subject.tick()

    @rule(
        pair=st.sampled_from([(a, b) for a in CITIES for b in CITIES if a != b]),
        amount=st.sampled_from([1, 500, 5_000, 10_000]),
    )
    def lend(self, pair: tuple[str, str], amount: int) -> None:
        """A city lends to another."""
        expected = self.oracle.lend(*pair, amount, self.subject.now_ms)
        assert self.subject.lend(*pair, amount) == expected

    @precondition(lambda self: self.oracle.owing())
    @rule(which=st.integers(0, 99), share=st.integers(1, 3))
    def forgive(self, which: int, share: int) -> None:
        """A debt is forgiven in part."""
        debts = sorted(self.oracle.owing().items())
        (lender, borrower), owed = debts[which % len(debts)]
        amount = max(1, owed // share)
        assert self.subject.forgive(lender, borrower, amount) == self.oracle.forgive(
            lender, borrower, amount
        )
        assert not self.subject.forgive(lender, borrower, owed + 1)

    @invariant()
    def the_books_agree(self) -> None:
        """Every figure of every budget, and every debt."""
        if not hasattr(self, "subject"):
            return
        figures, debts = self.subject.books()
        assert figures == self.oracle.figures()
        assert debts == self.oracle.owing()
        self.subject.check()

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        """I7."""
        if not hasattr(self, "subject"):
            return
        figures, debts = self.subject.books()
        assert sum(i - o for _, _, _, i, o in figures.values()) == 0
        assert min(debts.values(), default=1) > 0
        for (node, month), (allotted, held, settled, received, given) in figures.items():
            if node == "corridor" or allotted is None:
                continue
            city = self.oracle.city_of(node)
            free = allotted + received - given - held - settled
            if city.mode == "HARD":
                assert free >= 0, (node, month)
            if city.mode == "OVERBURN":
                assert free >= -(allotted * city.margin_percent // 100), (node, month)


class BudgetsInStore(Budgets):
    """The same moves through the store."""

    make = InStore

    def teardown(self) -> None:
        if hasattr(self, "subject"):  # a story may end before it was built
            self.subject.hands.db.close()


@pytest.mark.parametrize(("machine", "examples"), [(Budgets, 60), (BudgetsInStore, 8)])
def test_budgets_are_those_of_the_oracle(machine: type[Budgets], examples: int) -> None:
    how = settings(max_examples=examples, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(machine, settings=how)


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "examples"), [(Budgets, 600), (BudgetsInStore, 80)])
def test_budgets_are_those_of_the_oracle_for_long(machine: type[Budgets], examples: int) -> None:
    how = settings(max_examples=examples, stateful_step_count=50, deadline=None)
    run_state_machine_as_test(machine, settings=how)
