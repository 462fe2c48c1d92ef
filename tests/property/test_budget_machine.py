"""Budgets and loans beside an oracle: as pure rules in memory, and through the store's own writes.

After every step every figure of every budget and every debt must agree, and I7, I8 and I14 of the
reference model must hold: lending and roll-over make nothing and lose nothing, nothing goes below
zero in hard mode, what is held is the sum of the open holds at both levels, a replay of the journal
gives the books.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

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

from adapters.contract import FailureClass, Phase
from quota import budget_periods, loans
from quota.budgets import Book, Entry, Held, Kind, Mode, Part, Terms, Use, Wanted
from scheduler.domain.principal import Principal, Role
from scheduler.errors import CorridorError
from scheduler.store import budget_holds, budget_journal, budget_openings, budget_settings, budgets
from scheduler.store import loans as loan_store
from scheduler.store.budgets import Place
from scheduler.store.loans import DebtRow, Proposal
from scheduler.store.quotas_telling import Change
from tests.property.budget_oracle import MONTHS, STARTS, City, Oracle, month_at
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import FREE, OPERATOR, job

HOMES = {"w1": "wuhan", "w2": "wuhan", "e1": "ezhou", "x1": "xianning"}
CITIES = ("wuhan", "ezhou", "xianning")
NODES = [*(f"cities/{city}" for city in CITIES), *(f"enterprises/{one}" for one in HOMES)]
BEGIN_MS = STARTS[MONTHS.index("2026-10")] - 2 * 3_600_000

Figures = dict[tuple[str, str], tuple[int | None, int, int, int, int]]
Debts = dict[tuple[str, str], int]


class Subject(Protocol):
    """What is tested: it does as it is told and shows its books."""

    def allot(self, node: str, month: str, amount: int | None) -> bool: ...
    def admit(self, runs: list[tuple[int, str, int, int]]) -> list[str]: ...
    def settle(self, uid: int, start_ms: int, end_ms: int, billed: bool) -> None: ...
    def tick(self) -> None: ...
    def lend(self, lender: str, borrower: str, amount: int) -> str: ...
    def forgive(self, lender: str, borrower: str, amount: int) -> bool: ...
    def submit(self, enterprise: str, units: int, wall_s: int) -> int: ...
    def begin(self, uid: int) -> None: ...
    def books(self) -> tuple[Figures, Debts]: ...
    def check(self) -> None: ...


def terms_of(city: City) -> Terms:
    """The oracle's terms of a city as ours."""
    return Terms(
        mode=Mode(city.mode), overburn_bps=city.margin_percent * 100, carry=city.carry,
        roll_over=city.roll_over, enterprises_free=city.free, grace_s=city.grace_s,
    )  # fmt: skip


# --- the rules in memory --------------------------------------------------------------------------


class InMemory:
    """The pure rules over one book."""

    def __init__(self, cities: dict[str, City]) -> None:
        self.now_ms = BEGIN_MS
        self.book = Book({name: terms_of(city) for name, city in cities.items()})
        self.runs: dict[int, tuple[Wanted, tuple[Part, ...]]] = {}
        self._uid = 0

    def submit(self, enterprise: str, units: int, wall_s: int) -> int:
        self._uid += 1
        return self._uid

    def begin(self, uid: int) -> None:
        """Nothing of a budget changes by it."""

    def tick(self) -> None:
        budget_periods.open_due(self.book, self.now_ms)

    def allot(self, node: str, month: str, amount: int | None) -> bool:
        self.tick()
        kind, _, code = node.partition("/")
        city = code if kind == "cities" else HOMES[code]
        if MONTHS.index(month) < MONTHS.index(month_at(self.now_ms)):
            return False
        key = (node, FREE, month)
        if kind == "enterprises" and not self._shares(key, city, amount):
            return False
        was = self.book.budgets.get(key)
        if was is not None and amount is not None and terms_bind(self.book, city):
            lower = was.allotted is None or amount < was.allotted
            if lower and amount < was.used + was.given - was.received:
                return False
        self.book.allot(key, amount, city)
        self.tick()
        return True

    def _shares(self, key: tuple[str, str, str], city: str, amount: int | None) -> bool:
        of_city = self.book.budgets.get((f"cities/{city}", *key[1:]))
        if of_city is None:
            return False
        if amount is None or of_city.allotted is None:
            return True
        others = sum(
            budget.allotted or 0
            for other, budget in self.book.budgets.items()
            if other[0].startswith("enterprises/")
            and budget.city == city
            and other != key
            and other[2] == key[2]
        )
        return others + amount <= of_city.allotted

    def admit(self, runs: list[tuple[int, str, int, int]]) -> list[str]:
        self.tick()
        found = []
        for uid, enterprise, units, wall_s in runs:
            wanted = Wanted(HOMES[enterprise], enterprise, FREE, units, wall_s)
            held = self.book.take(wanted, self.now_ms)
            if isinstance(held, Held):
                self.book.note_hold(wanted, held, uid, 1)
                self.runs[uid] = (wanted, held.parts)
                found.append("")
            else:
                found.append(held.bar.value)
        return found

    def settle(self, uid: int, start_ms: int, end_ms: int, billed: bool) -> None:
        wanted, parts = self.runs.pop(uid)
        uses = [Use(start_ms, end_ms, wanted.units)] if billed else []
        budget_periods.settle(self.book, wanted, parts, uses, (uid, 1))

    def lend(self, lender: str, borrower: str, amount: int) -> str:
        self.tick()
        month = month_at(self.now_ms)
        giving, taking = ((f"cities/{city}", FREE, month) for city in (lender, borrower))
        barred = loans.lend(self.book, giving, taking, amount, self.now_ms)
        return "" if barred is None else barred.hindrance.value

    def forgive(self, lender: str, borrower: str, amount: int) -> bool:
        try:
            loans.forgive(self.book, (lender, borrower, FREE), amount)
        except ValueError:
            return False
        return True

    def books(self) -> tuple[Figures, Debts]:
        figures: Figures = {
            (node, month): (one.allotted, one.held, one.settled, one.received, one.given)
            for (node, _, month), one in self.book.budgets.items()
        }
        debts = {(key[0], key[1]): owed for key, owed in self.book.debts.items() if owed}
        return figures, debts

    def check(self) -> None:
        """I14: the entries alone give the same books."""
        replayed = Book({})
        for entry in self.book.entries:
            replayed.apply(entry)
        for key, budget in self.book.budgets.items():
            other = replayed.budgets[key]
            assert (budget.limit, budget.used, budget.held, budget.opened) == (
                other.limit, other.used, other.held, other.opened
            )  # fmt: skip
        assert {k: v for k, v in replayed.debts.items() if v} == {
            k: v for k, v in self.book.debts.items() if v
        }
        assert len({(e.uid, e.part, e.kind) for e in runs_of(self.book.entries)}) == len(
            runs_of(self.book.entries)
        )


def runs_of(entries: list[Entry]) -> list[Entry]:
    """Entries of holds and settlements."""
    return [entry for entry in entries if entry.kind in (Kind.HOLD, Kind.SETTLE)]


def terms_bind(book: Book, city: str) -> bool:
    """Whether an allotment may not go below what is used."""
    return book.terms[city].mode is not Mode.OBSERVE


# --- the store ------------------------------------------------------------------------------------


def admin(city: str) -> Principal:
    """The admin of a city."""
    return Principal(city, Role.CITY_ADMIN, city, None, None, "", 0)


class InStore:
    """Admission, ingestion and the commands of people, over SQLite in memory."""

    def __init__(self, cities: dict[str, City]) -> None:
        self.hands = Hands(worlds.build(now_ms=BEGIN_MS))
        self.hands.db.do(lambda c: c.exec_driver_sql("UPDATE flavor SET capacity_units = 1000000"))
        for name, city in cities.items():
            change = self._change(OPERATOR, "")
            terms = terms_of(city)
            self.hands.db.do(
                lambda c, n=name, t=terms, x=change: budget_settings.update_settings(c, n, t, x)
            )

    @property
    def now_ms(self) -> int:
        return self.hands.clock.ms

    @now_ms.setter
    def now_ms(self, at_ms: int) -> None:
        self.hands.clock.ms = at_ms

    def _change(self, actor: Principal, etag: str | None) -> Change:
        return Change(actor, etag, "test", self.now_ms, 0)

    def _try(self, call: Any) -> str:
        """Write; returns the reason if it is refused."""
        try:
            self.hands.db.do(call)
        except CorridorError as error:
            return error.reason
        return ""

    def submit(self, enterprise: str, units: int, wall_s: int) -> int:
        return self.hands.world.submit(enterprise, [job(FREE, units, wall_s)])[0]

    def allot(self, node: str, month: str, amount: int | None) -> bool:
        self.tick()  # what is refused would open nothing
        kind, _, code = node.partition("/")
        place = Place(
            code if kind == "cities" else "", "" if kind == "cities" else code, FREE, month
        )
        rows = self.hands.db.rows(
            f"SELECT version FROM budget WHERE node = '{node}' AND period = '{month}'"
        )
        etag = str(rows[0][0]) if rows and rows[0][0] else ""
        change = self._change(OPERATOR, etag)
        return not self._try(lambda c: budgets.update_budget(c, place, amount, change))

    def admit(self, runs: list[tuple[int, str, int, int]]) -> list[str]:
        result = self.hands.admit(*(uid for uid, *_ in runs))
        admitted = {run.uid for run in result.admitted}
        codes = iter(str(code) for _, _, code in result.refused)
        return ["" if uid in admitted else next(codes) for uid, *_ in runs]

    def begin(self, uid: int) -> None:
        self.hands.send(uid)
        self.hands.report(self.hands.seen(uid, Phase.RUNNING, 1, start_ms=self.now_ms))

    def settle(self, uid: int, start_ms: int, end_ms: int, billed: bool) -> None:
        units = self.hands.db.rows(f"SELECT units FROM run WHERE job_uid = {uid}")[0][0]
        usage = [self.hands.usage(uid, start_ms, end_ms, units=units, attempt=1)]
        phase, failure = (Phase.SUCCEEDED, None) if billed else (Phase.FAILED, FailureClass.NODE)
        report = self.hands.seen(
            uid, phase, 2, attempt=1, start_ms=start_ms, end_ms=end_ms, failure=failure,
            usage=usage,
        )  # fmt: skip
        self.hands.report(report)
        # I8: what is told twice, or settled again by hand, changes nothing.
        before = self.books()
        self.hands.report(report)
        self.hands.db.do(lambda c: budget_holds.settle(c, {(uid, 1): []}, self.now_ms))
        assert self.books() == before

    def tick(self) -> None:
        self.hands.db.do(lambda c: budget_openings.open_due(c, self.now_ms))

    def lend(self, lender: str, borrower: str, amount: int) -> str:
        self.tick()
        wanted = Proposal(lender, borrower, FREE, amount)
        asked = self._change(admin(borrower), None)
        reason = self._try(lambda c: loan_store.propose(c, wanted, asked))
        if reason:
            return reason
        loan_id = self.hands.db.rows("SELECT max(loan_id) FROM loan")[0][0]
        agreed = self._change(admin(lender), None)
        return self._try(lambda c: loan_store.accept(c, loan_id, agreed))

    def forgive(self, lender: str, borrower: str, amount: int) -> bool:
        debt = DebtRow(lender, borrower, FREE, amount)
        change = self._change(OPERATOR, None)
        return not self._try(lambda c: loan_store.forgive(c, debt, change))

    def books(self) -> tuple[Figures, Debts]:
        rows = self.hands.db.rows(
            "SELECT node, period, allotted_unit_seconds, held_unit_seconds, settled_unit_seconds,"
            " received_unit_seconds, given_unit_seconds FROM budget"
        )
        debts = self.hands.db.rows(
            "SELECT lender, borrower, unit_seconds FROM budget_debt WHERE unit_seconds > 0"
        )
        figures: Figures = {
            (node, month): (allotted, held, settled, received, given)
            for node, month, allotted, held, settled, received, given in rows
        }
        return figures, {(lender, borrower): owed for lender, borrower, owed in debts}

    def check(self) -> None:
        found = self.hands.db.read_sync(budget_journal.verify)
        assert found.ok, found.problems


# --- the machine ----------------------------------------------------------------------------------

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


@pytest.mark.parametrize(("machine", "examples"), [(Budgets, 60), (BudgetsInStore, 8)])
def test_budgets_are_those_of_the_oracle(machine: type[Budgets], examples: int) -> None:
    how = settings(max_examples=examples, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(machine, settings=how)  # type: ignore[no-untyped-call]


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "examples"), [(Budgets, 2_000), (BudgetsInStore, 150)])
def test_budgets_are_those_of_the_oracle_for_long(machine: type[Budgets], examples: int) -> None:
    how = settings(max_examples=examples, stateful_step_count=50, deadline=None)
    run_state_machine_as_test(machine, settings=how)  # type: ignore[no-untyped-call]
