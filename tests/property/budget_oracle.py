"""A second, slow opinion of budgets and loans: it keeps plain facts and adds them up each time.

It shares no code with ``quota``: time is walked second by second over a table of months, figures
are sums over all runs and all moves there ever were.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

_CHINA = timezone(timedelta(hours=8))
MONTHS = [f"2026-{month:02d}" for month in range(8, 13)] + [f"2027-{month:02d}" for month in (1, 2)]
STARTS = [
    int(datetime(int(name[:4]), int(name[5:]), 1, tzinfo=_CHINA).timestamp() * 1000)
    for name in MONTHS
]

Spot = tuple[str, str]  # node, period


def month_at(at_ms: int) -> str:
    """The month in which an instant lies."""
    return MONTHS[sum(start <= at_ms for start in STARTS) - 1]


def seconds_by_month(start_ms: int, end_ms: int) -> dict[str, int]:
    """Whole seconds of a stretch by month; one over a boundary belongs to the later month."""
    found: dict[str, int] = {}
    while start_ms + 1000 <= end_ms:
        start_ms += 1000
        month = month_at(start_ms - 1)
        found[month] = found.get(month, 0) + 1
    return found


@dataclass
class City:
    """A city's terms."""

    mode: str = "HARD"
    margin_percent: int = 0
    carry: bool = False
    roll_over: bool = False
    free: bool = False
    grace_s: int = 60


@dataclass
class Run:
    """A run with what it holds of each month, and what it used of it in the end."""

    city: str
    enterprise: str
    units: int
    holds: dict[str, int]
    used: dict[str, int] | None = None


@dataclass
class Oracle:
    """All facts."""

    cities: dict[str, City]
    allotted: dict[Spot, int | None] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    moves: list[tuple[Spot, Spot, int]] = field(default_factory=list)
    debts: dict[tuple[str, str], int] = field(default_factory=dict)
    overrun: dict[str, int] = field(default_factory=dict)
    opened: set[Spot] = field(default_factory=set)

    # --- sums -----------------------------------------------------------------------------------

    def _runs_of(self, spot: Spot) -> list[Run]:
        node, month = spot
        return [
            run
            for run in self.runs.values()
            if node in (f"cities/{run.city}", f"enterprises/{run.enterprise}")
            and month in run.holds
        ]

    def held(self, spot: Spot) -> int:
        return sum(run.holds[spot[1]] for run in self._runs_of(spot) if run.used is None)

    def settled(self, spot: Spot) -> int:
        return sum(run.used[spot[1]] for run in self._runs_of(spot) if run.used is not None)

    def received(self, spot: Spot) -> int:
        return sum(amount for _, to, amount in self.moves if to == spot)

    def given(self, spot: Spot) -> int:
        return sum(amount for of, _, amount in self.moves if of == spot)

    def free(self, spot: Spot) -> int | None:
        allotted = self.allotted[spot]
        if allotted is None:
            return None
        gained = self.received(spot) - self.given(spot)
        return allotted + gained - self.held(spot) - self.settled(spot)

    def owed(self, borrower: str) -> int:
        return sum(amount for (_, who), amount in self.debts.items() if who == borrower)

    def city_of(self, node: str) -> City:
        kind, _, code = node.partition("/")
        return self.cities[code if kind == "cities" else self.homes[code]]

    def margin(self, spot: Spot) -> int:
        city = self.city_of(spot[0])
        if city.mode != "OVERBURN":
            return 0
        return (self.allotted[spot] or 0) * city.margin_percent // 100

    # --- moves ----------------------------------------------------------------------------------

    def allot(self, node: str, month: str, amount: int | None, now_ms: int) -> bool:
        """Set an allotment unless it is over, below what is used, or too much for the city."""
        self.open(now_ms)
        spot = (node, month)
        if MONTHS.index(month) < MONTHS.index(month_at(now_ms)):
            return False
        if node.startswith("enterprises/"):
            home = (f"cities/{self.homes[node.partition('/')[2]]}", month)
            if home not in self.allotted:
                return False
            most = self.allotted[home]
            others = sum(
                of or 0
                for (other, when), of in self.allotted.items()
                if when == month
                and other != node
                and other.startswith("enterprises/")
                and self.homes[other.partition("/")[2]] == home[0].partition("/")[2]
            )
            if amount is not None and most is not None and others + amount > most:
                return False
        if spot in self.allotted and amount is not None:
            was = self.allotted[spot]
            needed = self.held(spot) + self.settled(spot) + self.given(spot) - self.received(spot)
            lower = was is None or amount < was
            if lower and amount < needed and self.city_of(node).mode != "OBSERVE":
                return False
        self.allotted[spot] = amount
        self.open(now_ms)
        return True

    def admit(
        self, uid: int, city: str, enterprise: str, units: int, wall_s: int, now_ms: int
    ) -> str:
        """Hold for a run; returns an empty text or why not."""
        self.open(now_ms)
        terms = self.cities[city]
        end_ms = now_ms + (wall_s + terms.grace_s) * 1000
        holds = {m: s * units for m, s in seconds_by_month(now_ms, end_ms).items()}
        nodes = (f"enterprises/{enterprise}", f"cities/{city}")
        first = next(iter(holds))
        not_open = False
        for month in list(holds):
            lacking = False
            for node in nodes:
                if (node, month) in self.allotted:
                    continue
                if terms.mode == "OBSERVE" or (terms.free and node == nodes[0]):
                    self.allotted[node, month] = None
                    if STARTS[MONTHS.index(month)] <= now_ms:
                        self.opened.add((node, month))
                    continue
                lacking = True
                break
            if lacking and month != first:
                amount = holds.pop(month)
                if terms.carry:
                    holds[first] += amount
                else:
                    not_open = True
        for month, amount in holds.items():
            for node, code in zip(nodes, ("BUDGET_ENTERPRISE", "BUDGET_CITY"), strict=True):
                spot = (node, month)
                if spot not in self.allotted:
                    return code
                free = self.free(spot)
                if free is None or terms.mode == "OBSERVE":
                    continue
                due = 0
                if spot not in self.opened:
                    due = min(self.owed(node), (self.allotted[spot] or 0) // 2)
                if free - amount < due - self.margin(spot):
                    return code
        if not_open:
            return "NEXT_PERIOD_NOT_OPEN"
        self.runs[uid] = Run(city, enterprise, units, holds)
        return ""

    def settle(self, uid: int, start_ms: int, end_ms: int, billed: bool) -> None:
        """Count use where its time lies; what does not fit there goes where the run has room."""
        run = self.runs[uid]
        months = list(run.holds)
        used = dict.fromkeys(months, 0)
        beyond = 0
        for month, seconds in seconds_by_month(start_ms, end_ms).items() if billed else ():
            fitting = month if month in used else (months[0] if month < months[0] else months[-1])
            used[fitting] += seconds * run.units
        for month in months:
            beyond += max(0, used[month] - run.holds[month])
            used[month] = min(used[month], run.holds[month])
        for month in reversed(months):
            more = min(beyond, run.holds[month] - used[month])
            used[month] += more
            beyond -= more
        run.used = used
        if beyond:
            self.overrun[months[-1]] = self.overrun.get(months[-1], 0) + beyond
        for month in months:
            for node in (f"enterprises/{run.enterprise}", f"cities/{run.city}"):
                self._carry_over((node, month))

    def _carry_over(self, spot: Spot) -> None:
        node, month = spot
        after = (node, MONTHS[MONTHS.index(month) + 1])
        if after not in self.opened or self.allotted.get(spot) is None:
            return
        city = self.city_of(node)
        beyond = self.settled(spot) + self.given(spot) - self.received(spot)
        beyond -= self.allotted[spot] or 0
        if beyond > 0 and city.mode != "OBSERVE":
            self.moves.append((("corridor", month), spot, beyond))
            self.debts["corridor", node] = self.debts.get(("corridor", node), 0) + beyond
        left = self.free(spot) or 0
        if left > 0 and city.roll_over and self.allotted[after] is not None:
            self.moves.append((spot, after, left))
            self._carry_over(after)

    def open(self, now_ms: int) -> None:
        """Open all that has begun, month by month."""
        for month, start_ms in zip(MONTHS, STARTS, strict=True):
            if start_ms > now_ms:
                return
            new = sorted(
                spot for spot in self.allotted if spot[1] == month and spot not in self.opened
            )
            self.opened |= set(new)
            for node, _ in new:
                before = (node, MONTHS[MONTHS.index(month) - 1])
                if before in self.allotted:
                    self._carry_over(before)
            for spot in new:
                self._repay(spot)

    def _repay(self, spot: Spot) -> None:
        node, month = spot
        lenders = sorted(
            lender
            for (lender, who), amount in self.debts.items()
            if who == node and amount and (lender == "corridor" or (lender, month) in self.allotted)
        )
        total = sum(self.debts[lender, node] for lender in lenders)
        pay = total
        allotted = self.allotted[spot]
        if allotted is not None:
            pay = min(total, allotted // 2, max(0, self.free(spot) or 0))
        parts = {lender: pay * self.debts[lender, node] // total for lender in lenders}
        while sum(parts.values()) < pay:  # what rounding left, to the last that still has a claim
            last = max(one for one in lenders if parts[one] < self.debts[one, node])
            parts[last] += 1
        for lender, amount in parts.items():
            if amount:
                self.moves.append((spot, (lender, month), amount))
                self.debts[lender, node] -= amount

    def lend(self, lender: str, borrower: str, amount: int, now_ms: int) -> str:
        """Move hours from city to city; returns an empty text or what bars it."""
        self.open(now_ms)
        month = month_at(now_ms)
        giving, taking = (f"cities/{lender}", month), (f"cities/{borrower}", month)
        if self.allotted.get(giving) is None or self.allotted.get(taking) is None:
            return "NO_BUDGET"
        start_ms, end_ms = (STARTS[MONTHS.index(month) + more] for more in (0, 1))
        # free - A/2 x (end - now) / (end - start) >= amount, without fractions
        spare = ((self.free(giving) or 0) - amount) * 2 * (end_ms - start_ms)
        barred = ""
        if spare < (self.allotted[giving] or 0) * (end_ms - now_ms):
            barred = "NOT_LENDABLE"
        if not barred and self.owed(taking[0]) + amount > (self.allotted[taking] or 0) // 4:
            barred = "DEBT_CAP"
        if not barred:
            self.moves.append((giving, taking, amount))
            debt = (giving[0], taking[0])
            self.debts[debt] = self.debts.get(debt, 0) + amount
        return barred

    def forgive(self, lender: str, borrower: str, amount: int) -> bool:
        """Forget a part of a debt."""
        if not 0 < amount <= self.debts.get((lender, borrower), 0):
            return False
        self.debts[lender, borrower] -= amount
        return True

    # --- what is compared -------------------------------------------------------------------------

    def figures(self) -> dict[Spot, tuple[int | None, int, int, int, int]]:
        """(A, H, S, I, O) of every budget; the corridor's S is what ran beyond holds."""
        found = {
            spot: (
                allotted, self.held(spot), self.settled(spot), self.received(spot),
                self.given(spot),
            )
            for spot, allotted in self.allotted.items()
        }  # fmt: skip
        months = {month for side in self.moves for node, month in side[:2] if node == "corridor"}
        for month in months | set(self.overrun):
            spot = ("corridor", month)
            over = self.overrun.get(month, 0)
            found[spot] = (0, 0, over, self.received(spot), self.given(spot))
        return found

    def owing(self) -> dict[tuple[str, str], int]:
        """(lender, borrower) -> what is owed, if anything."""
        return {debt: amount for debt, amount in self.debts.items() if amount}
