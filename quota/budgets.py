"""Budgets: unit-seconds that a city or an enterprise may use of a flavor in a period.

A budget has what was allotted (A), is held for runs (H), was used by settled ones (S), came in
from others or an earlier period (I, ``received``) and went out to others or a later one (O,
``given``): ``free = A + I - O - H - S``. A run holds its worst case, units x (wall limit + grace),
of its enterprise and of its city before it starts; a hold over the end of a period is split at
that instant. At its end what was used is counted and the rest is free again, once. What was used
beyond the hold goes to the corridor, never to the city. Nothing ends because a budget does.

A ``Book`` holds some budgets, changes them in memory and notes every change as an ``Entry``:
applying all entries ever noted to an empty book gives the budgets as they stand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from quota.calendar import period_bounds, period_of

#: Who bears what a center ran beyond a hold, and lends what was used beyond a budget.
CORRIDOR: Final = "corridor"
#: No demand on what is free.
ANY: Final = -(1 << 62)

Key = tuple[str, str, str]  # node, flavor, period
Debt = tuple[str, str, str]  # lender, borrower, flavor


class Mode(StrEnum):
    """What an empty budget does: bars runs, bars them below a margin, or only counts."""

    HARD = "HARD"
    OVERBURN = "OVERBURN"
    OBSERVE = "OBSERVE"


class Bar(StrEnum):
    """Why a run may not hold; the words are those of pending reasons."""

    ENTERPRISE = "BUDGET_ENTERPRISE"
    CITY = "BUDGET_CITY"
    NEXT_PERIOD = "NEXT_PERIOD_NOT_OPEN"


class Kind(StrEnum):
    """What an entry tells of."""

    ALLOT = "ALLOT"  # an allotment was set; ``allotted`` is the new one
    OPEN = "OPEN"  # a period began for a budget
    HOLD = "HOLD"
    SETTLE = "SETTLE"
    OVERRUN = "OVERRUN"  # used beyond a hold, at the corridor's expense
    LOAN = "LOAN"  # one city gave, another received and owes
    REPAY = "REPAY"  # ... and gave back, out of a new period's allotment
    FORGIVE = "FORGIVE"
    OVERBURN = "OVERBURN"  # used beyond a budget, owed to the corridor
    ROLL_OVER = "ROLL_OVER"  # left over, received by the next period


class Terms(NamedTuple):
    """How a city's budgets work, those of its enterprises with them.

    ``months`` of a period is 1 or 3; ``overburn_bps`` how far below zero OVERBURN goes, of A;
    ``carry`` lets a run be held in its first period alone while the next is not set;
    ``enterprises_free`` lets enterprises without a budget use the city's; ``omega_bps`` bounds the
    sum of the enterprises' allotments by the city's; ``keep_bps`` is the part of A that a lender
    keeps for the rest of the period; ``debt_cap_bps`` bounds what a city owes, and ``repay_bps``
    what it repays at once, by its A.
    """

    enabled: bool = True
    months: int = 1
    mode: Mode = Mode.HARD
    overburn_bps: int = 0
    carry: bool = False
    roll_over: bool = False
    enterprises_free: bool = False
    omega_bps: int = 10_000
    grace_s: int = 60
    keep_bps: int = 5_000
    debt_cap_bps: int = 2_500
    repay_bps: int = 5_000

    def margin(self, allotted: int | None) -> int | None:
        """How far below zero a budget of so much may go; None for any."""
        if allotted is None or self.mode is Mode.OBSERVE:
            return None
        return part_of(allotted, self.overburn_bps) if self.mode is Mode.OVERBURN else 0


def part_of(amount: int, bps: int) -> int:
    """Return basis points of an amount, rounded down."""
    return amount * bps // 10_000


def city_node(city: str) -> str:
    """Return the name of a city's budgets."""
    return f"cities/{city}"


def enterprise_node(enterprise: str) -> str:
    """Return the name of an enterprise's budgets."""
    return f"enterprises/{enterprise}"


@dataclass(slots=True)
class Budget:
    """One node's unit-seconds of a flavor in a period; ``allotted`` None is unlimited."""

    allotted: int | None
    held: int = 0
    settled: int = 0
    received: int = 0
    given: int = 0
    opened: bool = False
    city: str = ""  # whose terms it is under

    @property
    def limit(self) -> int | None:
        """A + I - O; None for unlimited."""
        return None if self.allotted is None else self.allotted + self.received - self.given

    @property
    def used(self) -> int:
        """H + S."""
        return self.held + self.settled

    @property
    def free(self) -> int | None:
        """A + I - O - H - S; None for unlimited."""
        return None if self.allotted is None else (self.limit or 0) - self.used


class Entry(NamedTuple):
    """One change of a budget: what is added to each of its figures.

    The figures of a HOLD or SETTLE are also those of ``parent``, the city above the enterprise.
    ``debt`` is added to what ``node`` owes ``other`` in this flavor.
    """

    kind: Kind
    node: str
    flavor: str
    period: str
    held: int = 0
    settled: int = 0
    received: int = 0
    given: int = 0
    debt: int = 0
    other: str = ""
    parent: str = ""
    allotted: int | None = None
    uid: int = 0
    attempt: int = 0
    part: int = 0


class Wanted(NamedTuple):
    """A run that would hold unit-seconds."""

    city: str
    enterprise: str
    flavor: str
    units: int
    wall_limit_s: int

    @property
    def nodes(self) -> tuple[str, str]:
        """The enterprise's and the city's node."""
        return enterprise_node(self.enterprise), city_node(self.city)


class Part(NamedTuple):
    """What a hold takes of one period."""

    period: str
    unit_seconds: int


class Held(NamedTuple):
    """A run's hold; ``background`` if it went below zero."""

    parts: tuple[Part, ...]
    background: bool = False


class Refused(NamedTuple):
    """Why a run may not hold: what binds, and when the period ends."""

    bar: Bar
    node: str
    period: str
    limit: int
    used: int
    requested: int
    short_by: int
    next_event_ms: int


class Use(NamedTuple):
    """A stretch of metered use."""

    start_ms: int
    end_ms: int
    units: int


def cut(start_ms: int, seconds: int, months: int) -> list[tuple[str, int]]:
    """Return (period, whole seconds) of a stretch from ``start_ms`` on; the seconds add up."""
    spans: list[tuple[str, int]] = []
    at_ms, done_s = start_ms, 0
    while done_s < seconds:
        period = period_of(at_ms, months)
        end_ms = period_bounds(period)[1]
        here_s = min(seconds, (end_ms - start_ms) // 1000) - done_s
        if here_s:
            spans.append((period, here_s))
        done_s += here_s
        at_ms = end_ms
    return spans


@dataclass(slots=True)
class Book:
    """Budgets, debts and terms by city, changed in memory; what is not in it does not exist.

    ``entries`` notes every change; ``least`` what must at least be free of a budget after them.
    """

    terms: Mapping[str, Terms]
    budgets: dict[Key, Budget] = field(default_factory=dict)
    debts: dict[Debt, int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    least: dict[Key, int] = field(default_factory=dict)

    def note(self, entry: Entry) -> None:
        """Make a change and note it."""
        self.apply(entry)
        self.entries.append(entry)

    def apply(self, entry: Entry) -> None:
        """Make a change; entries of a budget that was not allotted give it nothing."""
        nodes = (entry.node, entry.parent) if entry.parent else (entry.node,)
        for node in nodes if entry.period else ():  # forgiving a debt is about no budget
            key = (node, entry.flavor, entry.period)
            budget = self.budgets.get(key)
            if budget is None:
                budget = self.budgets[key] = Budget(0)
            budget.held += entry.held
            budget.settled += entry.settled
            budget.received += entry.received
            budget.given += entry.given
            if entry.kind is Kind.ALLOT:
                budget.allotted = entry.allotted
            elif entry.kind is Kind.OPEN:
                budget.opened = True
        if entry.debt:
            debt = (entry.other, entry.node, entry.flavor)
            self.debts[debt] = self.debts.get(debt, 0) + entry.debt

    def allot(self, key: Key, allotted: int | None, city: str) -> Budget:
        """Set the allotment of a budget of a city, there is one or not."""
        self.note(Entry(Kind.ALLOT, *key, allotted=allotted))
        budget = self.budgets[key]
        budget.city = city
        return budget

    def owed(self, borrower: str, flavor: str) -> dict[str, int]:
        """Return what a node owes of a flavor, by lender in the order of their names."""
        return {
            lender: amount
            for (lender, owing, of), amount in sorted(self.debts.items())
            if owing == borrower and of == flavor and amount
        }

    # --- holds --------------------------------------------------------------------------------

    def take(self, wanted: Wanted, now_ms: int) -> Held | Refused:
        """Hold for a run that would begin now, at both levels or not at all.

        What is taken is noted by ``note_hold``, or put back by ``put_back``.
        """
        held = self.look(wanted, now_ms)
        if isinstance(held, Held):
            self._add(wanted, held, 1)
        return held

    def put_back(self, wanted: Wanted, held: Held) -> None:
        """Undo ``take``."""
        self._add(wanted, held, -1)

    def note_hold(self, wanted: Wanted, held: Held, uid: int, attempt: int) -> None:
        """Note what ``take`` did, and what its budgets must have left."""
        enterprise, city = wanted.nodes
        for number, (period, amount) in enumerate(held.parts):
            self.entries.append(
                Entry(
                    Kind.HOLD, enterprise, wanted.flavor, period, held=amount, parent=city,
                    uid=uid, attempt=attempt, part=number,
                )
            )  # fmt: skip
            for node in (enterprise, city):
                key = (node, wanted.flavor, period)
                self.least[key] = self._least(key, self.terms[wanted.city])

    def look(self, wanted: Wanted, now_ms: int) -> Held | Refused:
        """Say what ``take`` would do."""
        terms = self.terms[wanted.city]
        spans = cut(now_ms, wanted.wall_limit_s + terms.grace_s, terms.months)
        ends_ms = period_bounds(spans[0][0])[1]
        parts: list[Part] = []
        barred: Refused | None = None
        for period, seconds in spans:
            amount = seconds * wanted.units
            missing = self._missing(wanted, period, now_ms)
            if missing is None or not parts:
                parts.append(Part(period, amount))
            elif terms.carry:
                parts[-1] = Part(parts[-1].period, parts[-1].unit_seconds + amount)
            else:
                barred = barred or Refused(
                    Bar.NEXT_PERIOD, missing, period, 0, 0, amount, amount, ends_ms
                )
        background = False
        for part in parts:
            for bar, node in zip((Bar.ENTERPRISE, Bar.CITY), wanted.nodes, strict=True):
                refused, below = self._fit(bar, (node, wanted.flavor, part.period), part, terms)
                if refused is not None:
                    return refused._replace(next_event_ms=ends_ms)
                background = background or below
        return barred or Held(tuple(parts), background)

    def _add(self, wanted: Wanted, held: Held, sign: int) -> None:
        for period, amount in held.parts:
            for node in wanted.nodes:
                self.budgets[node, wanted.flavor, period].held += sign * amount

    def _missing(self, wanted: Wanted, period: str, now_ms: int) -> str | None:
        """Return whose budget there is not; one that need not be set is made, without limit."""
        terms = self.terms[wanted.city]
        free = terms.enterprises_free, False
        for node, unlimited in zip(wanted.nodes, free, strict=True):
            key = (node, wanted.flavor, period)
            if key in self.budgets:
                continue
            if not unlimited and terms.mode is not Mode.OBSERVE:
                return node
            self.allot(key, None, wanted.city)
            if period_bounds(period)[0] <= now_ms:
                self.note(Entry(Kind.OPEN, *key))
        return None

    def _fit(self, bar: Bar, key: Key, part: Part, terms: Terms) -> tuple[Refused | None, bool]:
        """Return (why a part does not fit, whether it goes below zero)."""
        budget, amount = self.budgets.get(key), part.unit_seconds
        if budget is None:  # budgets are on and this one was not set: it denies
            return Refused(bar, key[0], key[2], 0, 0, amount, amount, 0), False
        free, least = budget.free, self._least(key, terms)
        if free is None or free - amount >= least:
            return None, free is not None and free < amount
        limit = (budget.limit or 0) - least
        short_by = amount - (free - least)
        return Refused(bar, key[0], key[2], limit, budget.used, amount, short_by, 0), False

    def _least(self, key: Key, terms: Terms) -> int:
        """What must stay free: of a period that is to open, what will be repaid then."""
        budget = self.budgets[key]
        margin = terms.margin(budget.allotted)
        if margin is None or budget.allotted is None:
            return ANY
        due = 0
        if not budget.opened:
            owed = sum(self.owed(key[0], key[1]).values())
            due = min(owed, part_of(budget.allotted, terms.repay_bps))
        return due - margin
