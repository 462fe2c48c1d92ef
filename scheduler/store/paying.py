"""What a run costs at most and who would pay it: one judgement, for quotes and for admission.

Nothing is changed in the store here. Admission takes what it holds out of ``Means`` (``take``)
before it judges the next run; a quote judges each for itself.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection

from quota.amounts import gross_fen
from quota.calendar import natural_year
from quota.charges import Binding, Left, Part, Quote, Refusal, Slice, Source
from quota.eligibility import Admitted, Outcome, eligible, order
from quota.quoting import quote
from quota.rules import CORRIDOR, Ask, Rule, Why
from quota.slices import Cuts, PriceFrom, Span, bounds_of, cut
from quota.transfers import wallet_account
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.store import pricing, rule_facts
from scheduler.store.pricing import Own
from scheduler.store.rule_facts import Contract

#: Limits that depend on what accounts and caps have left.
_SHORT: Final = frozenset((Binding.FUND, Binding.YEAR_CAP, Binding.VOUCHER, Binding.GRANT))


class Wanted(NamedTuple):
    """A run for which money is wanted, for its whole wall limit.

    ``root`` is the array of an element, else the job itself: one contract may be used by one job,
    and an array is one.
    """

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
    contract: str = ""
    project: str = ""
    root: int = 0


@dataclass(slots=True)
class _Plan:
    """What is the same for all runs of one enterprise that are alike but for their size.

    ``slices`` are those of one unit by wall limit; ``quotes`` what was judged, while it lasts.
    """

    admitted: tuple[Admitted, ...]
    refused: tuple[Refusal, ...]
    left: Left
    cuts: Cuts
    slices: dict[int, tuple[Slice, ...]] = field(default_factory=dict)
    quotes: dict[tuple[int, int], Quote] = field(default_factory=dict)


_PlanKey = tuple[str, str, str, str, str, str, str, int]


@dataclass(slots=True)
class Means:
    """Prices, rules, and what funds, vouchers, caps and wallets can still give, as of one instant.

    ``left`` is by account; ``caps`` what is used by (programme, enterprise, natural year).
    """

    money: pricing.Money
    payers: dict[str, pricing.Payer]
    left: dict[str, int]
    caps: dict[tuple[str, str, int], int]
    now_ms: int
    own: Own = field(default_factory=Own)
    givers: dict[Contract, dict[str, frozenset[int]]] = field(default_factory=dict)
    _plans: dict[_PlanKey, _Plan] = field(default_factory=dict)
    _caps_left: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)

    def plan(self, payer: pricing.Payer, price: pricing.Price, one: Wanted) -> _Plan:
        """Return which rules admit a run, why others do not, and what they can give."""
        root = one.root if one.contract else 0
        key = (
            one.enterprise, one.city, one.center, one.flavor, one.subsidy, one.contract,
            one.project, root,
        )  # fmt: skip
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = self._planned(payer, price, one)
        return found

    def sources_of(self, enterprise: str, programme: str) -> tuple[Source, ...]:
        """Return all from which a programme may give to an enterprise."""
        own = self.own.sources.get((enterprise, programme), ())
        return own + tuple(self.money.funds.get(programme, ()))

    def _planned(self, payer: pricing.Payer, price: pricing.Price, one: Wanted) -> _Plan:
        # The city is the job's, frozen at submission, whatever the enterprise's is by now.
        rights = frozenset(of for who, of in self.own.sources if who == one.enterprise)
        applicant = payer.applicant._replace(city=one.city, rights=rights)
        givers = self.givers.get((one.enterprise, one.contract), {})
        ask = Ask(
            one.center,
            one.flavor,
            one.flavor in self.money.domestic,
            one.contract,
            payer.lists.get(one.project, frozenset()) if one.project else frozenset(),
            frozenset(programme for programme, roots in givers.items() if roots - {one.root}),
        )
        admitted, refused = (
            Outcome((), _unwanted(self.money.rules, one.city))
            if one.subsidy == "NONE"
            else eligible(self.money.rules, applicant, ask)
        )
        sources = {
            rule.programme: (
                self.own.sources.get((one.enterprise, rule.programme), ())
                if rule.issue == "VOUCHER" or rule.unit != "FEN"
                else self.money.funds.get(rule.programme, ())
            )
            for rule, _, _ in admitted
        }
        caps = self.caps_of(one.enterprise, [rule for rule, _, _ in admitted])
        bounds = bounds_of(source for mine in sources.values() for source in mine)
        cuts = Cuts((PriceFrom(0, price.price_ufen, price.price_id),), bounds)
        return _Plan(admitted, refused, Left(sources, self.left, caps), cuts)

    def caps_of(self, enterprise: str, rules: Collection[Rule]) -> dict[tuple[str, int], int]:
        """What is left of yearly caps; one mapping for all plans of an enterprise."""
        left = self._caps_left.setdefault(enterprise, {})
        year = natural_year(self.now_ms)
        for rule in rules:
            if rule.year_cap_fen is not None:
                for at in (year, year + 1):
                    used = self.caps.get((rule.programme, enterprise, at), 0)
                    left[rule.programme, at] = max(0, rule.year_cap_fen - used)
        return left

    def take(self, one: Wanted, found: "Judgement") -> None:
        """Take what was judged out of what there is: it is held for the run."""
        caps = self._caps_left.get(one.enterprise, {})
        gave = set()
        for part in found.quote.parts:
            for draw in part.draws:
                gave.add(part.programme)
                self.left[draw.account] -= draw.amount
                if draw.cap_year is not None and not draw.cap_reserved:
                    used = part.programme, one.enterprise, draw.cap_year
                    self.caps[used] = self.caps.get(used, 0) + draw.amount
                    cap = part.programme, draw.cap_year
                    if cap in caps:
                        caps[cap] -= draw.amount
        if found.quote.wallet_fen:
            self.left[wallet_account(one.enterprise)] -= found.quote.wallet_fen
        if one.contract and gave:
            self._note_givers(one, gave)

    def _note_givers(self, one: Wanted, gave: set[str]) -> None:
        contract = one.enterprise, one.contract
        mine = self.givers.setdefault(contract, {})
        for programme in gave:
            mine[programme] = mine.get(programme, frozenset()) | {one.root}
        for key in [key for key in self._plans if (key[0], key[5]) == contract]:
            del self._plans[key]


def _unwanted(rules: Collection[Rule], city: str) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(rule.programme, rule.version, Why.NOT_WANTED)
        for rule in sorted(rules, key=order)
        if rule.city in (CORRIDOR, city)
    )


@dataclass(frozen=True, slots=True)
class Judgement:
    """The price (None: there is none), who would pay what, and why it cannot be paid if so.

    ``admitted`` are the rules with their rates, ``refused`` those whose conditions are not met.
    """

    price: pricing.Price | None
    quote: Quote
    reason: PendingReason | None
    admitted: tuple[Admitted, ...] = ()
    refused: tuple[Refusal, ...] = ()
    cuts: Cuts | None = None

    @property
    def gross_fen(self) -> int:
        """What the center gets."""
        return self.quote.gross_fen

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the programmes give."""
        return self.quote.parts

    @property
    def subsidy_fen(self) -> int:
        """What the programmes give in sum."""
        return self.quote.subsidy_fen

    @property
    def self_pay_fen(self) -> int:
        """What the enterprise pays in the end."""
        return self.quote.self_pay_fen

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why each programme gives nothing that does not."""
        return (*self.refused, *self.quote.refusals)


def load(
    connection: Connection, enterprises: Collection[str], now_ms: int,
    contracts: Collection[Contract] = (),
) -> Means:  # fmt: skip
    """Read what there is for some enterprises and contracts, in the caller's transaction."""
    money = pricing.load_money(connection, now_ms)
    own = pricing.load_own(connection, money.rules, enterprises, now_ms)
    accounts = [source.account for mine in money.funds.values() for source in mine]
    accounts += [source.account for mine in own.sources.values() for source in mine]
    accounts += [wallet_account(enterprise) for enterprise in enterprises]
    named = contracts if any(rule.contract_once for rule in money.rules) else ()
    return Means(
        money,
        rule_facts.load_payers(connection, enterprises, money.rules, now_ms),
        pricing.available(connection, accounts),
        pricing.cap_used(connection, _capped(money), enterprises, natural_year(now_ms)),
        now_ms,
        own,
        rule_facts.load_givers(connection, {one for one in named if one[1]}),
    )


def renew(
    connection: Connection, means: Means, enterprises: Collection[str],
    contracts: Collection[Contract] = (),
) -> Means:  # fmt: skip
    """Read again what others may have moved since ``load``, of means that judged nothing yet."""
    named = contracts if any(rule.contract_once for rule in means.money.rules) else ()
    return Means(
        means.money,
        means.payers,
        pricing.available(connection, means.left),
        pricing.cap_used(connection, _capped(means.money), enterprises, natural_year(means.now_ms)),
        means.now_ms,
        means.own,
        rule_facts.load_givers(connection, {one for one in named if one[1]}),
    )


def _capped(money: pricing.Money) -> list[str]:
    return [rule.programme for rule in money.rules if rule.year_cap_fen is not None]


def judge(means: Means, one: Wanted) -> Judgement:
    """Say what a run costs and who pays; with the reason if it may or can not be paid."""
    payer = means.payers.get(one.enterprise)
    price = means.money.prices.get(one.flavor)
    if payer is None or price is None or payer.blocked:
        return _barred(means, one, payer, price)
    plan = means.plan(payer, price, one)
    charge = _charge(means, plan, one)
    found = Judgement(price, charge, None, plan.admitted, plan.refused, plan.cuts)
    reason = _unsubsidized(one, found) or _unpaid(means, one, charge)
    if reason is None:
        return found
    return Judgement(price, charge, reason, plan.admitted, plan.refused, plan.cuts)


def _barred(
    means: Means, one: Wanted, payer: pricing.Payer | None, price: pricing.Price | None
) -> Judgement:
    refused: tuple[Refusal, ...] = ()
    if payer is None or payer.blocked:
        reason = PendingReason(ReasonCode.DEACTIVATED, f"enterprises/{one.enterprise}", one.flavor)
    else:
        reason = PendingReason(ReasonCode.MISCONFIGURED, f"centers/{one.center}", one.flavor)
    if payer is not None and price is not None:
        refused = means.plan(payer, price, one).refused
    gross = 0 if price is None else gross_fen(one.units, one.wall_limit_s, price.price_ufen)
    return Judgement(price, Quote((gross,)), reason, (), refused)


def _charge(means: Means, plan: _Plan, one: Wanted) -> Quote:
    """Quote a run; one like the last that was judged is charged alike while there is enough.

    What is left only becomes less while runs are judged, so a quote that nothing cut short holds
    as long as all that it draws is there.
    """
    size = one.units, one.wall_limit_s
    known = plan.quotes.get(size)
    if known is not None and _still(known, plan.left):
        return known
    single = plan.slices.get(one.wall_limit_s)
    if single is None:
        span = Span(0, means.now_ms, means.now_ms + one.wall_limit_s * 1000, 1)
        single = plan.slices[one.wall_limit_s] = cut([span], plan.cuts).slices
    slices = [at._replace(unit_seconds=at.unit_seconds * one.units) for at in single]
    found = quote(slices, plan.admitted, plan.left)
    if all(part.binding not in _SHORT for part in found.parts):
        plan.quotes[size] = found
    return found


def _still(known: Quote, left: Left) -> bool:
    """Whether there is still all that a quote draws, each account and cap drawn once."""
    needs: dict[str, int] = {}
    capped: dict[tuple[str, int], int] = {}
    for part in known.parts:
        for draw in part.draws:
            # The exact share of a funder may be a part of a fen above what it draws.
            needs[draw.account] = needs.get(draw.account, 0) + draw.amount + 1
            if draw.cap_year is not None and not draw.cap_reserved:
                cap = part.programme, draw.cap_year
                capped[cap] = capped.get(cap, 0) + draw.amount
    return all(left.accounts.get(account, 0) >= fen for account, fen in needs.items()) and all(
        left.caps.get(cap, fen) >= fen for cap, fen in capped.items()
    )


def _unsubsidized(one: Wanted, found: Judgement) -> PendingReason | None:
    charge = found.quote
    if one.subsidy != "REQUIRED" or charge.subsidy_fen or not charge.gross_fen:
        return None
    why = {refusal.programme: refusal.why for refusal in charge.refusals}
    if any(why[rule.programme] is Why.RATE and rate for rule, rate, _ in found.admitted):
        return None  # so cheap that a rate given in full rounds to nothing: there is no more to get
    names = [rule.programme for rule, _, _ in found.admitted]
    funded = [name for name in names if why[name] is not Why.NO_FUND]
    code = ReasonCode.NEXT_PERIOD_NOT_OPEN if names and not funded else ReasonCode.SUBSIDY_SHORT
    first = (funded or names)[:1]
    node = f"programmes/{first[0]}" if first else f"enterprises/{one.enterprise}"
    gross = charge.gross_fen
    return PendingReason(code, node, one.flavor, limit=0, requested=gross, short_by=gross)


def _unpaid(means: Means, one: Wanted, charge: Quote) -> PendingReason | None:
    owner = f"enterprises/{one.enterprise}"
    most, self_pay, wallet = one.self_pay_max_fen, charge.self_pay_fen, charge.wallet_fen
    if most is not None and self_pay > most:
        return PendingReason(
            ReasonCode.SELF_PAY_ABOVE_MAX, owner, one.flavor, limit=most, requested=self_pay,
            short_by=self_pay - most,
        )  # fmt: skip
    credit = means.left.get(wallet_account(one.enterprise), 0)
    if wallet > credit:
        return PendingReason(
            ReasonCode.WALLET_SHORT, owner, one.flavor, limit=credit, requested=wallet,
            short_by=wallet - credit,
        )  # fmt: skip
    return None
