"""What the model of the books knows: who there is, rules of every kind, and what is kept."""

from dataclasses import dataclass, field

from quota.calendar import period_bounds
from quota.rules import Funder, Rule
from tests.property.books_charges import Leg, Line
from tests.simulation.world import CPU, FREE, NPU

CITY = {"w1": "wuhan", "w2": "wuhan", "e1": "ezhou"}
CREDIT = {"w1": 3_000, "w2": 300, "e1": 1_000}
CENTER = {NPU: "ai", CPU: "sc", FREE: "sc"}
#: One rule of each kind, in the order in which they give.
RULES = (
    Rule("hours", 1, "wuhan", 5_000, unit="UNIT_S"),
    Rule("v", 1, "wuhan", 3_000, year_cap_fen=400, job_cap_fen=150,
         funders=(Funder("wuhan", 6_000), Funder("hubei", 4_000))),
    Rule("n", 1, "wuhan", 5_000, priority=1, base="REMAINING", issue="VOUCHER", cap_on="ISSUE",
         year_cap_fen=600, validity_months=2),
    Rule("r", 1, "ezhou", 2_500, priority=1, mode="REIMBURSE", minimum_fen=4),
    Rule("shared", 1, "corridor", 2_000, priority=9, base="REMAINING", ceiling_bp=6_000),
)  # fmt: skip
RULE = {rule.programme: rule for rule in RULES}
FIRST = {"hours": 0, "v": 900, "n": 900, "r": 500, "shared": 700}


def own_rules(enterprise: str) -> list[Rule]:
    """The rules of an enterprise's city, and those of the corridor."""
    return [rule for rule in RULES if rule.city in (CITY[enterprise], "corridor")]


@dataclass
class Fund:
    """A fund's period: its state, what was put in by account, and orders to lower each."""

    programme: str
    period: str
    state: str = "OPEN"
    put: dict[str, int] = field(default_factory=dict)
    reducing: dict[str, list[int]] = field(default_factory=dict)

    @property
    def end_ms(self) -> int:
        return period_bounds(self.period)[1]

    @property
    def accounts(self) -> list[tuple[str, str]]:
        """(funder, account), the own city's first."""
        base = f"fund:{self.programme}:{self.period}"
        rule = RULE[self.programme]
        return [(name, base if name == rule.city else f"{base}:{name}") for name, _ in rule.shares]


@dataclass
class PlainVoucher:
    """A voucher; its money is on its account."""

    enterprise: str
    period: str
    face: int
    end_ms: int
    year: int
    state: str = "ISSUED"
    returned: int = 0
    drained: bool = False


@dataclass
class Run:
    """A run: what is held for it, and then what it was charged."""

    uid: int
    who: str
    flavor: str
    units: int
    limit_s: int
    start_ms: int
    legs: list[Leg]
    rules: list[Rule]
    held_s: int = 0
    revs: int = 1
    state: str = "RUNNING"  # ENDED: not metered yet; SETTLED
    seconds: int = 0
    end_ms: int = 0
    billed: bool = True
    revision: int = 0
    decided: bool = False
    clawed: dict[str, int] = field(default_factory=dict)
    gross: int = 0
    lines: list[Line] = field(default_factory=list)
    wallet: int = 0
    debt: int = 0
    #: What it added to what its enterprise owes, by month and payee.
    debts: dict[tuple[str, str], int] = field(default_factory=dict)
    #: What was written off, and what of it no payment used, by who bears it.
    off: dict[str, int] = field(default_factory=dict)
    off_left: dict[str, int] = field(default_factory=dict)

    @property
    def written_off(self) -> int:
        return sum(self.off.values())

    @property
    def center(self) -> str:
        return CENTER[self.flavor]

    @property
    def subsidy(self) -> int:
        return sum(one.amount for one in self.lines if not one.account.startswith("grant:"))


def bearer(payee: str) -> str:
    """Who bears what is written off of a debt: the center it is due to, or what a fund forgoes."""
    kind, _, rest = payee.partition(":")
    return f"write_off:{rest}" if kind == "payable" else f"forgone:{rest}"
