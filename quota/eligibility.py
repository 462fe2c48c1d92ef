"""Which rules admit a job of an enterprise, at which rate, and why the others do not."""

from collections.abc import Iterable
from typing import NamedTuple

from quota.charges import Refusal
from quota.rules import CORRIDOR, Applicant, Ask, Rule, Tier, Why


class Admitted(NamedTuple):
    """A rule that admits a job, at the rate of its best tier.

    ``since`` is the first natural year in which the programme supported the enterprise.
    """

    rule: Rule
    rate_bp: int
    since: int | None = None


class Outcome(NamedTuple):
    """The rules that admit a job, in the order in which they give, and why others do not."""

    admitted: tuple[Admitted, ...]
    refusals: tuple[Refusal, ...]


def eligible(rules: Iterable[Rule], applicant: Applicant, ask: Ask) -> Outcome:
    """Say which rules admit a job; programmes of other cities are left out altogether.

    But for those of which the enterprise holds vouchers from before it moved.
    """
    admitted, refusals = [], []
    for rule in sorted(rules, key=order):
        held = rule.issue == "VOUCHER" and rule.programme in applicant.rights
        if rule.city not in (CORRIDOR, applicant.city) and not held:
            continue
        why = _why_not(rule, applicant, ask)
        if why is None:
            since = applicant.supported_since.get(rule.programme)
            admitted.append(Admitted(rule, rate_of(rule, applicant, ask), since))
        else:
            refusals.append(Refusal(rule.programme, rule.version, why))
    return Outcome(tuple(admitted), tuple(refusals))


def order(rule: Rule) -> tuple[bool, int, str]:
    """The order in which rules give: free unit-seconds first, then by priority and programme."""
    return rule.unit == "FEN", rule.priority, rule.programme


def rate_of(rule: Rule, applicant: Applicant, ask: Ask) -> int:
    """Return the highest rate for which an enterprise's job qualifies, in 1/10000."""
    return max(
        (rule.rate_bp, *(tier.rate_bp for tier in rule.tiers if _fits(tier, applicant, ask)))
    )


def _why_not(rule: Rule, applicant: Applicant, ask: Ask) -> Why | None:
    """The first condition that the enterprise, then the center, then the job does not meet."""
    givers = ask.contract_givers
    used = givers if rule.contract_once == "JOB" else givers - {rule.programme}
    for why, barred in (
        (Why.BLOCKED, applicant.blocked),
        (Why.SIZE_CLASS, rule.size_classes and applicant.size_class not in rule.size_classes),
        (Why.SECTOR, rule.sectors and applicant.sector not in rule.sectors),
        (Why.STARTUP, rule.startup_only and not applicant.startup),
        (Why.RELATED_PARTY, not rule.related_parties and ask.center in applicant.related),
        (Why.FLAVOR, rule.flavors and ask.flavor not in rule.flavors),
        (Why.DOMESTIC, rule.domestic_only and not ask.domestic),
        (Why.PROJECT, rule.project_list and rule.project_list not in ask.project_lists),
        (Why.CONTRACT_MISSING, rule.contract_once and not ask.contract),
        (Why.CONTRACT_USED, rule.contract_once and used),
    ):
        if barred:
            return why
    return None


def _fits(tier: Tier, applicant: Applicant, ask: Ask) -> bool:
    return (
        (applicant.startup or not tier.startup)
        and (not tier.size_classes or applicant.size_class in tier.size_classes)
        and (not tier.sectors or applicant.sector in tier.sectors)
        and (ask.domestic or not tier.domestic)
        and (not tier.project_list or tier.project_list in ask.project_lists)
    )
