"""What a run costs at most and who would pay it: one judgement, for quotes and for admission.

Nothing is changed in the store here. Admission takes what it holds out of ``Means`` (``take``)
before it judges the next run; a quote judges each for itself.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import Connection

from quota.amounts import gross_fen
from quota.calendar import natural_year
from quota.charges import Binding, Left, Quote, Refusal, Source
from quota.eligibility import Outcome, eligible
from quota.quoting import quote
from quota.rules import Ask, Rule, Why
from quota.slices import Cuts, PriceFrom, Span, bounds_of, cut
from quota.transfers import wallet_account
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.store import pricing, rule_facts
from scheduler.store.bulk import Question, Rows, prompt_reads
from scheduler.store.judgements import NO_NEEDS, needs_of, still
from scheduler.store.judgements import Judgement as Judgement
from scheduler.store.judgements import Wanted as Wanted
from scheduler.store.plans import (
    QUOTES_MAX,
    Givers,
    Mine,
    Plan,
    PlanKey,
    Planned,
    alike_of,
    depends_on_left,
    facts,
    next_cut_ms,
    unwanted,
)
from scheduler.store.pricing import Own
from scheduler.store.rule_facts import Contract

#: Limits that depend on what accounts and caps have left.
_SHORT: Final = frozenset((Binding.FUND, Binding.YEAR_CAP, Binding.VOUCHER, Binding.GRANT))
#: Why a rule gave nothing because of them, and behind which such a limit may hide.
_NOTHING_LEFT: Final = frozenset((Why.FUND, Why.YEAR_CAP, Why.VOUCHER, Why.GRANT))
_BY_WHAT_IS_LEFT: Final = _NOTHING_LEFT | {Why.MINIMUM, Why.EXCLUSIVE}
#: So many plans are kept at most.
_PLANS_MAX: Final = 50_000


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
    givers: Givers = field(default_factory=dict)
    _plans: dict[PlanKey, Planned] = field(default_factory=dict)
    _caps_left: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    _mine: dict[str, Mine] | None = None

    def figures(self) -> tuple[dict[str, int], dict[tuple[str, str, int], int], Givers]:
        """Return a copy of what ``take`` changes."""
        givers = {contract: dict(roots) for contract, roots in self.givers.items()}
        return dict(self.left), dict(self.caps), givers

    def renew(
        self, left: dict[str, int], caps: dict[tuple[str, str, int], int], givers: Givers
    ) -> None:
        """Take other figures for what there is."""
        self.left, self.caps, self.givers = left, caps, givers
        self._plans.clear()
        self._caps_left.clear()

    def plan(self, payer: pricing.Payer, price: pricing.Price, one: Wanted) -> Planned:
        """Return which rules admit a run, why others do not, and what they can give."""
        root = one.root if one.contract else 0
        key = (
            one.enterprise, one.city, one.center, one.flavor, one.subsidy, one.contract,
            one.project, root,
        )  # fmt: skip
        found = self._plans.get(key)
        if found is None:
            plan = self._kept(key, payer, price, one)
            caps = self.caps_of(one.enterprise, [rule for rule, _, _ in plan.admitted])
            found = self._plans[key] = Planned(plan, Left(plan.sources, self.left, caps), {})
        return found

    def sources_of(self, enterprise: str, programme: str) -> tuple[Source, ...]:
        """Return all from which a programme may give to an enterprise."""
        own = self.own.sources.get((enterprise, programme), ())
        return own + tuple(self.money.funds.get(programme, ()))

    def _kept(self, key: PlanKey, payer: pricing.Payer, price: pricing.Price, one: Wanted) -> Plan:
        """Return the plan that was made before under the same terms, if it still is the same."""
        mine = self._sources_of(one.enterprise)
        if one.contract:  # which jobs got something of a contract changes with every admission
            return self._planned(payer, price, one, mine)
        asked = payer, mine
        kept: dict[tuple[object, ...], Plan] = self.money.memo
        found = kept.get(key)
        if found is None or found.asked != asked:
            if len(kept) >= _PLANS_MAX:
                kept.clear()
            known = facts(payer, one) if not mine else None
            like = None if known is None else kept.get(known)
            if like is None:
                found = self._planned(payer, price, one, mine)
            else:
                found = replace(like, asked=asked, quotes={})
            kept[key] = found
            if known is not None:
                kept[known] = found
        return found

    def _sources_of(self, enterprise: str) -> Mine:
        """The vouchers and grants of an enterprise."""
        if self._mine is None:
            found: dict[str, list[tuple[str, tuple[Source, ...]]]] = {}
            for (who, programme), sources in self.own.sources.items():
                found.setdefault(who, []).append((programme, sources))
            self._mine = {who: tuple(sorted(sources)) for who, sources in found.items()}
        return self._mine.get(enterprise, ())

    def _planned(self, payer: pricing.Payer, price: pricing.Price, one: Wanted, mine: Mine) -> Plan:
        # The city is the job's, frozen at submission, whatever the enterprise's is by now.
        rights = frozenset(programme for programme, _ in mine)
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
            Outcome((), unwanted(self.money.rules, one.city))
            if one.subsidy == "NONE"
            else eligible(self.money.rules, applicant, ask)
        )
        own = dict(mine)
        sources = {
            rule.programme: (
                own.get(rule.programme, ())
                if rule.issue == "VOUCHER" or rule.unit != "FEN"
                else self.money.funds.get(rule.programme, ())
            )
            for rule, _, _ in admitted
        }
        bounds = bounds_of(source for theirs in sources.values() for source in theirs)
        cuts = Cuts((PriceFrom(0, price.price_ufen, price.price_id),), bounds)
        return Plan((payer, mine), admitted, refused, sources, cuts)

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
        needs, left = found.needs, self.left
        for account, amount in needs.takes:
            left[account] -= amount
        caps = self._caps_left.get(one.enterprise, {})
        for (programme, year), amount in needs.caps:
            used = programme, one.enterprise, year
            self.caps[used] = self.caps.get(used, 0) + amount
            if (programme, year) in caps:
                caps[programme, year] -= amount
        if one.contract:
            gave = {part.programme for part in found.quote.parts if part.draws}
            if gave:
                self._note_givers(one, gave)

    def _note_givers(self, one: Wanted, gave: set[str]) -> None:
        contract = one.enterprise, one.contract
        mine = self.givers.setdefault(contract, {})
        for programme in gave:
            mine[programme] = mine.get(programme, frozenset()) | {one.root}
        for key in [key for key in self._plans if (key[0], key[5]) == contract]:
            del self._plans[key]


def load(
    connection: Connection, enterprises: Collection[str], now_ms: int,
    contracts: Collection[Contract] = (),
) -> Means:  # fmt: skip
    """Read what there is for some enterprises and contracts, in the caller's transaction."""
    money = pricing.kept_money(connection, now_ms)
    answers = list[Rows]()
    if money is not None:  # it may be in force: all is asked at once, and thrown away if it is not
        asked = _asked(money, enterprises, now_ms)
        stamps, *answers = prompt_reads(connection, [pricing.STAMP, *asked])
        if not pricing.is_stamped(money, stamps):
            money = None
    if money is None:
        money = pricing.load_money(connection, now_ms)
        answers = prompt_reads(connection, _asked(money, enterprises, now_ms))
    who, related, listed, support, vouchers, grants, left, caps = answers
    own = pricing.own_told(vouchers, grants)
    theirs = [source.account for mine in own.sources.values() for source in mine]
    return Means(
        money,
        rule_facts.payers_told(who, related, listed, support),
        pricing.available_told(left) | pricing.available(connection, theirs),
        pricing.caps_told(caps),
        now_ms,
        own,
        load_givers(connection, money, contracts),
    )


def _asked(
    money: pricing.Money, enterprises: Collection[str], now_ms: int
) -> list[Question | None]:
    """The questions for enterprises, what they have of their own, funds, wallets and caps."""
    accounts = [source.account for mine in money.funds.values() for source in mine]
    accounts += [wallet_account(enterprise) for enterprise in enterprises]
    return [
        *rule_facts.payers_asked(enterprises, money.rules, now_ms),
        *pricing.own_asked(money.rules, enterprises, now_ms),
        pricing.available_asked(accounts),
        pricing.caps_asked(_capped(money), enterprises, natural_year(now_ms)),
    ]


def renew(
    connection: Connection, means: Means, enterprises: Collection[str],
    contracts: Collection[Contract] = (),
) -> None:  # fmt: skip
    """Read again what others may have moved since ``load``; what was taken is forgotten."""
    year = natural_year(means.now_ms)
    means.renew(
        pricing.available(connection, means.left),
        pricing.cap_used(connection, _capped(means.money), enterprises, year),
        load_givers(connection, means.money, contracts),
    )


def load_givers(
    connection: Connection, money: pricing.Money, contracts: Collection[Contract]
) -> Givers:
    """Read which programmes gave something for jobs of contracts, if any rule asks for that."""
    if not any(rule.contract_once for rule in money.rules):
        return {}
    return rule_facts.load_givers(connection, {one for one in contracts if one[1]})


def _capped(money: pricing.Money) -> list[str]:
    return [rule.programme for rule in money.rules if rule.year_cap_fen is not None]


def judge(means: Means, one: Wanted) -> Judgement:
    """Say what a run costs and who pays; with the reason if it may or can not be paid."""
    payer = means.payers.get(one.enterprise)
    price = means.money.prices.get(one.flavor)
    if payer is None or price is None or payer.blocked:
        return _barred(means, one, payer, price)
    found = _charged(means, payer, price, one)
    reason = _unsubsidized(one, found) or _unpaid(means, one, found.quote)
    return found if reason is None else replace(found, reason=reason)


def _barred(
    means: Means, one: Wanted, payer: pricing.Payer | None, price: pricing.Price | None
) -> Judgement:
    refused: tuple[Refusal, ...] = ()
    if payer is None or payer.blocked:
        reason = PendingReason(ReasonCode.DEACTIVATED, f"enterprises/{one.enterprise}", one.flavor)
    else:
        reason = PendingReason(ReasonCode.MISCONFIGURED, f"centers/{one.center}", one.flavor)
    if payer is not None and price is not None:
        refused = means.plan(payer, price, one).plan.refused
    gross = 0 if price is None else gross_fen(one.units, one.wall_limit_s, price.price_ufen)
    return Judgement(price, Quote((gross,)), reason, NO_NEEDS, (), refused)


def _charged(means: Means, payer: pricing.Payer, price: pricing.Price, one: Wanted) -> Judgement:
    """Quote a run; one like another that was judged is charged alike while there is enough.

    What was given to that one is given again as long as no account or cap cuts it short. Where
    none had a bearing on it, that is so also for a run of another time that nothing cuts.
    """
    plan, left, judged = means.plan(payer, price, one)
    size, now_ms = (one.units, one.wall_limit_s), means.now_ms
    known = plan.quotes.get(size)
    if known is not None and known[1] <= now_ms <= known[2] and still(known[0].needs, left):
        return known[0]
    before = judged.get(size)
    if before is not None and still(before.needs, left):
        return before
    if (like := alike_of(plan, price, one, now_ms)) is not None and still(like.needs, left):
        judged[size] = like
        return like
    end_ms = now_ms + one.wall_limit_s * 1000
    slices = cut([Span(0, now_ms, end_ms, one.units)], plan.cuts).slices
    charge = quote(slices, plan.admitted, left)
    needs = needs_of(one.enterprise, charge)
    found = Judgement(price, charge, None, needs, plan.admitted, plan.refused, plan.cuts)
    if any(part.binding in _SHORT for part in charge.parts):
        return found
    judged[size] = found
    if not depends_on_left(plan, charge):
        if len(plan.quotes) >= QUOTES_MAX:
            plan.quotes.clear()
        # Where the run is one slice, so is any that ends before the next cut.
        until_ms = now_ms
        if len(slices) == 1:
            until_ms = next_cut_ms(plan.cuts, now_ms) - one.wall_limit_s * 1000
        plan.quotes[size] = (found, now_ms, until_ms)
        if len(plan.alike) >= QUOTES_MAX:
            plan.alike.clear()
        plan.alike[size] = (charge, now_ms, until_ms)
    return found


def is_scarce(found: Judgement) -> bool:
    """Whether a run got less, or nothing, because an account or a cap was short."""
    if found.reason is not None and found.reason.code is ReasonCode.WALLET_SHORT:
        return True
    charge = found.quote
    return any(part.binding in _SHORT for part in charge.parts) or any(
        refusal.why in _NOTHING_LEFT for refusal in charge.refusals
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
