"""Two keepers of budgets for the machine: the pure rules in memory, and the store's own writes."""

from typing import Any, Protocol

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
from tests.property.budget_oracle import MONTHS, STARTS, City, month_at
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import FREE, OPERATOR, job

HOMES = {"w1": "wuhan", "w2": "wuhan", "e1": "ezhou", "x1": "xianning"}
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
            self._set_terms(name, city)

    def _set_terms(self, name: str, city: City) -> None:
        change, terms = self._change(OPERATOR, ""), terms_of(city)
        self.hands.db.do(lambda c: budget_settings.update_settings(c, name, terms, change))

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
