"""Plans of charges: which rules admit runs that are alike, what can be given, what was charged.

They are kept with the terms (``pricing.Money.memo``), and only derive from them.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from quota.calendar import natural_year, period_bounds
from quota.charges import Left, Quote, Refusal, Source
from quota.eligibility import Admitted, order
from quota.rules import CORRIDOR, Rule, Why
from quota.slices import Cuts
from scheduler.store import pricing
from scheduler.store.judgements import Judgement, Wanted, needs_of
from scheduler.store.rule_facts import Contract

#: Why a rule gave nothing because of what was left, and behind which that may hide.
_NOTHING_LEFT: Final = frozenset((Why.FUND, Why.YEAR_CAP, Why.VOUCHER, Why.GRANT))
_BY_WHAT_IS_LEFT: Final = _NOTHING_LEFT | {Why.MINIMUM, Why.EXCLUSIVE}
#: So many sizes of a plan are kept at most.
QUOTES_MAX: Final = 64


@dataclass(slots=True)
class Plan:
    """What is the same for all runs of one enterprise that are alike but for their size.

    It holds as long as what is asked of the enterprise is ``asked``. ``quotes`` are judgements by
    units and wall limit on which what accounts and caps had left had no bearing: each holds for
    runs that start in its span, while there is all that it draws. ``alike`` are their charges, one
    mapping for all enterprises of which the rules know the same.
    """

    asked: tuple[object, ...]
    admitted: tuple[Admitted, ...]
    refused: tuple[Refusal, ...]
    sources: Mapping[str, tuple[Source, ...]]
    cuts: Cuts
    quotes: dict[tuple[int, int], tuple["Judgement", int, int]] = field(default_factory=dict)
    alike: dict[tuple[int, int], tuple[Quote, int, int]] = field(default_factory=dict)


Givers = dict[Contract, dict[str, frozenset[int]]]
PlanKey = tuple[str, str, str, str, str, str, str, int]
Mine = tuple[tuple[str, tuple[Source, ...]], ...]


class Planned(NamedTuple):
    """A plan, what there is left for it, and judgements that hold while that only becomes less."""

    plan: Plan
    left: Left
    quotes: dict[tuple[int, int], Judgement]


def facts(payer: pricing.Payer, one: Wanted) -> tuple[object, ...] | None:
    """All that a plan rests on for an enterprise without means of its own, but who it is.

    None if the rules know of it what they know of no other.
    """
    applicant = payer.applicant
    if applicant.supported_since or one.contract:
        return None
    lists = payer.lists.get(one.project, frozenset()) if one.project else frozenset()
    return (*applicant[1:-2], one.city, one.center, one.flavor, one.subsidy, lists)


def unwanted(rules: Collection[Rule], city: str) -> tuple[Refusal, ...]:
    """Why rules that would be asked give nothing to a run that wants no subsidy."""
    return tuple(
        Refusal(rule.programme, rule.version, Why.NOT_WANTED)
        for rule in sorted(rules, key=order)
        if rule.city in (CORRIDOR, city)
    )


def alike_of(plan: Plan, price: pricing.Price, one: Wanted, now_ms: int) -> Judgement | None:
    """What a run of another enterprise was charged of which the rules know the same, for this one.

    It is kept for the next run of this one.
    """
    size = one.units, one.wall_limit_s
    known = plan.alike.get(size)
    if known is None or not known[1] <= now_ms <= known[2]:
        return None
    charge, from_ms, until_ms = known
    needs = needs_of(one.enterprise, charge)
    found = Judgement(price, charge, None, needs, plan.admitted, plan.refused, plan.cuts)
    if len(plan.quotes) >= QUOTES_MAX:
        plan.quotes.clear()
    plan.quotes[size] = (found, from_ms, until_ms)
    return found


def depends_on_left(plan: Plan, charge: Quote) -> bool:
    """Whether a charge that nothing cut short may be another once there is more left.

    What is behind a minimum or a better programme may have been cut short; and of vouchers that
    are used one after another an earlier one may have been empty.
    """
    return any(refusal.why in _BY_WHAT_IS_LEFT for refusal in charge.refusals) or any(
        (rule.issue == "VOUCHER" or rule.unit != "FEN") and len(plan.sources[rule.programme]) > 1
        for rule, _, _ in plan.admitted
    )


def next_cut_ms(cuts: Cuts, at_ms: int) -> int:
    """When the first slice of a run ends that starts at an instant."""
    new_year_ms, _ = period_bounds(str(natural_year(at_ms) + 1))
    place = bisect_right(cuts.bounds, at_ms)
    return min([new_year_ms, *cuts.bounds[place : place + 1]])
