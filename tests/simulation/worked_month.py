"""A month of money in round figures, played through the real books: ``docs/worked-month.md``.

Five cities, two centers, one enterprise of each kind. Everything goes through the store's own
functions; nothing is computed here. ``python -m tests.simulation.worked_pages`` writes the pages.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from adapters.contract import FailureClass, Phase
from quota.calendar import period_bounds
from quota.reconciling import Tolerance, Window
from quota.rules import CORRIDOR, Funder, Rule
from scheduler.domain.ids import IdGenerator, center_name, run_id
from scheduler.domain.principal import Principal, Role
from scheduler.services import statements
from scheduler.services.statements import Shown, Wanted
from scheduler.store import (
    book_months,
    fund_figures,
    grants,
    job_commands,
    reconciliations,
    seed,
    verification,
    vouchers,
)
from scheduler.store.catalog import CityRow, FlavorRow
from scheduler.store.change_requests import Act
from scheduler.store.fund_figures import FundInfo
from scheduler.store.grants import Grant
from scheduler.store.identity import NewEnterprise
from scheduler.store.reconciliations import CenterRecord, Order, Reconciliation
from scheduler.store.seed_files import Seed, SeedCenter, SeedPrice
from scheduler.store.seed_rules import SeedProgramme
from scheduler.store.verification import Verification
from scheduler.store.voucher_checks import Issue, NewVoucher
from tests.simulation.hands import Hands
from tests.simulation.inline_store import InlineDatabase
from tests.simulation.world import HandClock, World, job
from tests.unit.store.statement_hands import context_of, run

MONTH: Final = "2026-03"
HOUR_S: Final = 3_600
NPU, CORE, CARD = "wuhan-ai/ascend-910b", "wuhan-sc/kunpeng-920", "wuhan-sc/accelerator"
#: Micro-fen per unit and second: 8.64, 0.108 and 6.48 yuan an hour, without a rest.
PRICES: Final = {NPU: 240_000, CORE: 3_000, CARD: 180_000}
CITIES: Final = ("wuhan", "ezhou", "huanggang", "huangshi", "xianning")
YUAN: Final = 100


class Firm(NamedTuple):
    """An enterprise of the month."""

    code: str
    city: str
    size_class: str
    startup: bool


FIRMS: Final = (
    Firm("wuhan-opc", "wuhan", "MICRO", True),
    Firm("ezhou-sme", "ezhou", "SMALL", False),
    Firm("huanggang-large", "huanggang", "LARGE", False),
    Firm("huangshi-medium", "huangshi", "MEDIUM", False),
    Firm("xianning-micro", "xianning", "MICRO", False),
)
RULES: Final = (
    (Rule("wuhan-startup", 1, "wuhan", 5_000, startup_only=True, issue="VOUCHER",
          validity_months=12), 100_000 * YUAN),
    (Rule("ezhou-pool", 1, "ezhou", 3_000, year_cap_fen=500 * YUAN), 50_000 * YUAN),
    (Rule("huanggang-claim", 1, "huanggang", 2_000, mode="REIMBURSE"), 50_000 * YUAN),
    (Rule("huangshi-shared", 1, "huangshi", 4_000, job_cap_fen=1_000 * YUAN,
          funders=(Funder("huangshi", 5_000), Funder("hubei", 5_000))), 50_000 * YUAN),
    (Rule("xianning-hours", 1, "xianning", 10_000, unit="UNIT_S"), 0),
    (Rule("corridor-extra", 1, "corridor", 1_000, priority=9, base="REMAINING"), 30_000 * YUAN),
)  # fmt: skip
OPERATOR: Final = Principal("operator", Role.OPERATOR, None, None, None, "", 0)


class Run(NamedTuple):
    """A run of the month: who, what, how many units for how many hours, and how it ended."""

    firm: str
    flavor: str
    units: int
    hours: int
    limit_hours: int
    end: str = "SUCCEEDED"


RUNS: Final = (
    Run("wuhan-opc", NPU, 8, 10, 12),
    Run("ezhou-sme", CORE, 128, 100, 120),
    Run("ezhou-sme", CORE, 128, 100, 120),
    Run("huanggang-large", NPU, 16, 1, 8, "NODE"),
    Run("huanggang-large", NPU, 16, 5, 8),
    Run("huangshi-medium", CARD, 10, 50, 60),
    Run("xianning-micro", NPU, 4, 30, 40),
    Run("xianning-micro", CORE, 64, 10, 24, "CANCELLED"),
)


class Charged(NamedTuple):
    """A run as it was charged, in fen; ``parts`` are (programme, fen, what limited it)."""

    run: Run
    gross_fen: int
    parts: tuple[tuple[str, int, str], ...]
    free_unit_hours: int
    self_pay_fen: int


@dataclass
class Month:
    """What the month came to."""

    charged: list[Charged] = field(default_factory=list)
    funds_before: list[FundInfo] = field(default_factory=list)
    funds_after: list[FundInfo] = field(default_factory=list)
    compared: list[Reconciliation] = field(default_factory=list)
    statements: list[Shown] = field(default_factory=list)
    paid: list[Shown] = field(default_factory=list)
    balances: list[tuple[str, int, int]] = field(default_factory=list)
    verified: Verification | None = None


# --- the month ------------------------------------------------------------------------------------


def play() -> Month:
    """Play the month from the appropriations to the paid statements."""
    it = _corridor()
    month = Month()
    act = Act(OPERATOR, "a worked month", it.clock.ms, it.clock.ms)
    voucher = NewVoucher("wuhan-opc", 2_000 * YUAN, "WH-2026-0001")
    issue = Issue("wuhan-startup", "2026", [voucher], "v1")
    it.db.do(lambda c: vouchers.issue(c, issue, act))
    hours = Grant("xianning-hours", "2026", "xianning-micro", 100 * HOUR_S, "g1")
    it.db.do(lambda c: grants.grant(c, hours, act))
    month.funds_before = _funds(it)
    for one in RUNS:
        month.charged.append(_run(it, one))
    _close(it, month)
    month.funds_after = _funds(it)
    month.balances = [
        (account, int(debits), int(credits))
        for account, debits, credits in it.db.rows(
            "SELECT account_id, debits_posted, credits_posted FROM account"
            " WHERE ledger = 'CNY' AND debits_posted + credits_posted > 0 ORDER BY account_id"
        )
    ]
    month.verified = it.db.read_sync(verification.verify)
    return month


def _corridor() -> Hands:
    start_ms = period_bounds(MONTH)[0] + 33 * HOUR_S * 1000  # 2 March, 09:00 in Shanghai
    db, clock = InlineDatabase(), HandClock(start_ms)
    flavors = {NPU: ("card", 800, 8), CORE: ("core", 6_400, 64), CARD: ("card", 200, 4)}
    content = Seed(
        cities=[CityRow(city, city, city, 1) for city in CITIES],
        centers=[
            SeedCenter(
                center, center, center, "simulated", True, {},
                tuple(
                    FlavorRow(name, center, name, name, unit, "aarch64", units, node, 10**7, 0)
                    for name, (unit, units, node) in flavors.items()
                    if name.startswith(center)
                ),
            )
            for center in ("wuhan-ai", "wuhan-sc")
        ],
        prices=[SeedPrice(flavor, price, 0) for flavor, price in PRICES.items()],
        programmes=[
            SeedProgramme(rule.city, rule.programme, "sample", True, rule, fund)
            for rule, fund in RULES
        ],
        enterprises=[
            NewEnterprise(
                firm.code, firm.city, firm.code, "", firm.startup, firm.size_class, "", False,
                100_000 * YUAN,
            )
            for firm in FIRMS
        ],
    )  # fmt: skip
    db.do(lambda c: seed.load_seed(c, content, start_ms))
    db.do(lambda c: book_months.begin_due(c, start_ms))
    return Hands(World(db, clock, IdGenerator(0, clock.now_ms)))


def _run(it: Hands, run: Run) -> Charged:
    nodes = max(1, run.units // 8 if run.flavor == NPU else 1)
    spec = job(
        run.flavor, run.units // nodes, run.limit_hours * HOUR_S, nodes=nodes, attempts_max=1
    )
    (uid,) = it.world.submit(run.firm, [spec])
    it.run(uid)
    if run.end == "CANCELLED":
        order = job_commands.Order(OPERATOR, "by its user", it.clock.ms, it.clock.ms)
        it.db.do(lambda c: job_commands.cancel(c, [uid], order))
    failure = FailureClass.NODE if run.end == "NODE" else None
    phase = Phase.FAILED if failure else Phase[run.end]
    it.end(uid, run.hours * HOUR_S, phase, failure, units=run.units)
    (gross, own), *_ = it.db.rows(f"SELECT gross_fen, self_pay_fen FROM job WHERE uid = {uid}")
    lines = it.db.rows(
        "SELECT programme, amount_fen, binding, ledger FROM subsidy_line"
        f" WHERE job_uid = {uid} ORDER BY line"
    )
    parts: dict[str, tuple[int, str]] = {}
    free = 0
    for programme, fen, binding, ledger in lines:
        if ledger == "CNY":
            before = parts.get(programme, (0, ""))[0]
            parts[programme] = before + fen, str(binding)
        else:
            free += fen // HOUR_S
    given = tuple((name, fen, limit) for name, (fen, limit) in parts.items())
    return Charged(run, gross, given, free, own)


def _funds(it: Hands) -> list[FundInfo]:
    return it.db.do(lambda c: fund_figures.list_funds(c, OPERATOR.scope))


def _close(it: Hands, month: Month) -> None:
    """Compare with the centers, close the month, make, issue and pay the statements."""
    start_ms, end_ms = period_bounds(MONTH)
    it.clock.ms = end_ms + 36 * HOUR_S * 1000
    for center in ("wuhan-ai", "wuhan-sc"):
        order = Order(
            center, Window(start_ms, end_ms), Tolerance(60, 0, 0), "records of the center",
            _records(it, center), OPERATOR, "month end", it.clock.ms, it.clock.ms,
        )  # fmt: skip
        month.compared.append(it.db.do(lambda c, o=order: reconciliations.reconcile(c, o))[0])  # type: ignore[misc]
    act = Act(OPERATOR, "the month is over", it.clock.ms, it.clock.ms)
    it.db.do(lambda c: book_months.close(c, MONTH, act))
    context = context_of(it)
    owners = [("CITY", city) for city in (*CITIES, CORRIDOR)]
    owners += [("ENTERPRISE", firm.code) for firm in FIRMS]
    owners += [("CENTER", center) for center in ("wuhan-ai", "wuhan-sc")]
    for kind, owner in owners:
        made = run(statements.create(context, OPERATOR, Wanted(kind, owner, MONTH)))
        number = made.row.number
        month.statements.append(run(statements.issue(context, OPERATOR, number, "month end")))
        if kind != "CENTER":
            month.paid.append(
                run(statements.pay(context, OPERATOR, number, f"bank-{number}", "paid"))
            )


def _records(it: Hands, center: str) -> list[CenterRecord]:
    """What the center would export: here its records are those it stated."""
    rows = it.db.rows(
        "SELECT job_uid, attempt, native_id, submit_ms, start_ms, end_ms, units FROM usage_record"
        f" WHERE center = '{center}' ORDER BY job_uid"
    )
    return [
        CenterRecord(center_name(run_id(uid, at)), name, submit, start, end, units, units)
        for uid, at, name, submit, start, end, units in rows
    ]
