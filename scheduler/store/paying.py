"""What a run costs at most and who would pay it: one judgement, for quotes and for admission.

Nothing is changed here. Admission takes what was judged out of ``Means`` before it judges the
next run; a quote judges each for itself.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection

from quota.amounts import gross_fen
from quota.calendar import natural_year
from quota.subsidy import Binding, Part, Rule, quote
from quota.transfers import wallet_account
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.store import pricing

_Rules = tuple[list[Rule], list[Rule]]


class Wanted(NamedTuple):
    """A run for which money is wanted, for its whole wall limit."""

    uid: int
    attempt: int
    center: str
    flavor: str
    enterprise: str
    city: str
    units: int
    wall_limit_s: int
    subsidy: str
    self_pay_max_fen: int | None


@dataclass(slots=True)
class Means:
    """Prices, rules, and what funds, caps and wallets can still give, as of one instant."""

    money: pricing.Money
    payers: dict[str, pricing.Payer]
    left: dict[str, int]
    caps: dict[tuple[str, str], int]
    year: int
    _rules: dict[tuple[str, str, str], _Rules] = field(default_factory=dict)

    def rules_for(self, payer: pricing.Payer, city: str, flavor: str) -> _Rules:
        """Return (rules that admit the run and have an open fund, those without one)."""
        key = (payer.enterprise, city, flavor)
        found = self._rules.get(key)
        if found is None:
            # The city is the job's, frozen at submission, whatever the enterprise's is by now.
            applicant = payer.applicant._replace(city=city)
            found = self._rules[key] = self.money.rules_for(applicant, flavor)
        return found


@dataclass(frozen=True, slots=True)
class Judgement:
    """The price (None: there is none), who would pay what, and why it cannot be paid if so."""

    price: pricing.Price | None
    gross_fen: int
    parts: tuple[Part, ...]
    reason: PendingReason | None

    @property
    def subsidy_fen(self) -> int:
        """What the programmes give."""
        return sum(part.amount_fen for part in self.parts)

    @property
    def self_pay_fen(self) -> int:
        """What the enterprise pays."""
        return self.gross_fen - self.subsidy_fen


def load(connection: Connection, enterprises: Collection[str], now_ms: int) -> Means:
    """Read what there is for some enterprises, in the caller's transaction."""
    money = pricing.load_money(connection, now_ms)
    year = natural_year(now_ms)
    accounts = [fund.account_id for fund in money.funds.values()]
    accounts += [wallet_account(enterprise) for enterprise in enterprises]
    return Means(
        money,
        pricing.load_payers(connection, enterprises),
        pricing.available(connection, accounts),
        pricing.cap_used(connection, _capped(money), enterprises, year),
        year,
    )


def _capped(money: pricing.Money) -> list[str]:
    return [rule.programme for rule in money.rules if rule.year_cap_fen is not None]


def judge(means: Means, one: Wanted) -> Judgement:
    """Say what a run costs and who pays; with the reason if it may or can not be paid."""
    payer = means.payers.get(one.enterprise)
    price = means.money.prices.get(one.flavor)
    barred: PendingReason | None = None
    if payer is None or payer.blocked:
        barred = PendingReason(ReasonCode.DEACTIVATED, f"enterprises/{one.enterprise}", one.flavor)
    elif price is None:
        barred = PendingReason(ReasonCode.MISCONFIGURED, f"centers/{one.center}", one.flavor)
    gross = 0 if price is None else gross_fen(one.units, one.wall_limit_s, price.price_ufen)
    if payer is None or barred is not None:
        return Judgement(price, gross, (), barred)
    rules, unfunded = (
        ([], []) if one.subsidy == "NONE" else means.rules_for(payer, one.city, one.flavor)
    )
    left = {
        rule.programme: pricing.left_of(
            rule,
            means.left.get(means.money.funds[rule.programme].account_id, 0),
            means.caps.get((rule.programme, one.enterprise), 0),
        )
        for rule in rules
    }
    parts = tuple(quote(gross, rules, left))
    found = Judgement(price, gross, parts, None)
    reason = _unsubsidized(one, found, rules, unfunded) or _unpaid(means, one, found.self_pay_fen)
    return Judgement(price, gross, parts, reason)


def _unsubsidized(
    one: Wanted, found: Judgement, rules: list[Rule], unfunded: list[Rule]
) -> PendingReason | None:
    if one.subsidy != "REQUIRED" or found.subsidy_fen or not found.gross_fen:
        return None
    rates = {rule.programme: rule.rate_bp for rule in rules}
    if any(part.binding is Binding.RATE and rates[part.programme] for part in found.parts):
        return None  # so cheap that a rate given in full rounds to nothing: there is no more to get
    code = ReasonCode.NEXT_PERIOD_NOT_OPEN if unfunded and not rules else ReasonCode.SUBSIDY_SHORT
    first = (rules or unfunded)[:1]
    node = f"programmes/{first[0].programme}" if first else f"enterprises/{one.enterprise}"
    gross = found.gross_fen
    return PendingReason(code, node, one.flavor, limit=0, requested=gross, short_by=gross)


def _unpaid(means: Means, one: Wanted, self_pay: int) -> PendingReason | None:
    owner = f"enterprises/{one.enterprise}"
    most = one.self_pay_max_fen
    if most is not None and self_pay > most:
        return PendingReason(
            ReasonCode.SELF_PAY_ABOVE_MAX, owner, one.flavor, limit=most, requested=self_pay,
            short_by=self_pay - most,
        )  # fmt: skip
    credit = means.left.get(wallet_account(one.enterprise), 0)
    if self_pay > credit:
        return PendingReason(
            ReasonCode.WALLET_SHORT, owner, one.flavor, limit=credit, requested=self_pay,
            short_by=self_pay - credit,
        )  # fmt: skip
    return None
