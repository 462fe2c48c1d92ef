"""Subsidy rules: who gives how much of a charge, and which limit bound it.

Deterministic (reference model 3.3): rules in the order of (priority, programme); of an exclusive
group one, such that the enterprise pays least; each gives ``floor(base * rate)``, at most its cap
per job, what is left of the enterprise's cap of the natural year, what is left of its fund, and
what its ceiling on all subsidies up to and with its own leaves; less than its minimum is nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Final, NamedTuple

from quota.amounts import share_fen
from quota.charges import Binding as Binding
from quota.rules import CORRIDOR as CORRIDOR
from quota.rules import Applicant as Applicant
from quota.rules import Rule as Rule

#: So many ways to choose from exclusive groups are weighed at most, the earlier rules first.
_CHOICES_MAX: Final = 256


class Left(NamedTuple):
    """What a programme can still give: of its fund, and to this enterprise this year."""

    fund_fen: int
    cap_fen: int | None = None


class Part(NamedTuple):
    """What one programme gives."""

    programme: str
    rule_version: int
    amount_fen: int
    binding: Binding


def eligible(rules: Iterable[Rule], applicant: Applicant, flavor: str) -> list[Rule]:
    """Return the rules that admit an enterprise's job, in the order in which they give."""
    return sorted(
        (rule for rule in rules if _admits(rule, applicant, flavor)),
        key=lambda rule: (rule.priority, rule.programme),
    )


def _admits(rule: Rule, applicant: Applicant, flavor: str) -> bool:
    return (
        rule.city in (CORRIDOR, applicant.city)
        and (not rule.flavors or flavor in rule.flavors)
        and (not rule.size_classes or applicant.size_class in rule.size_classes)
        and (not rule.sectors or applicant.sector in rule.sectors)
        and (applicant.startup or not rule.startup_only)
    )


def quote(gross_fen: int, rules: Sequence[Rule], left: Mapping[str, Left]) -> list[Part]:
    """Return what each of the eligible ``rules`` gives of ``gross_fen``; zeros are kept.

    Of several ways to choose from exclusive groups the one that gives most, the earliest of
    equals. The sum never exceeds ``gross_fen``.
    """
    best: list[Part] = []
    most = -1
    for chosen in _choices(rules):
        parts = _stack(gross_fen, chosen, left)
        given = sum(part.amount_fen for part in parts)
        if given > most:
            best, most = parts, given
    return best


def _choices(rules: Sequence[Rule]) -> Iterator[Sequence[Rule]]:
    """Yield the ways to take one rule of each exclusive group, in the order of the rules."""
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.exclusive_group:
            groups.setdefault(rule.exclusive_group, []).append(rule)
    if all(len(members) == 1 for members in groups.values()):
        yield rules
        return
    for one_of_each in islice(product(*groups.values()), _CHOICES_MAX):
        taken = {rule.programme for rule in one_of_each}
        yield [rule for rule in rules if not rule.exclusive_group or rule.programme in taken]


def _stack(gross_fen: int, rules: Sequence[Rule], left: Mapping[str, Left]) -> list[Part]:
    parts: list[Part] = []
    given = 0
    for rule in rules:
        part = _part(rule, gross_fen, given, left[rule.programme])
        given += part.amount_fen
        parts.append(part)
    return parts


def _part(rule: Rule, gross_fen: int, given: int, left: Left) -> Part:
    amount, binding = _by_rate(rule, gross_fen, given), Binding.RATE
    for limit, name in (
        (rule.job_cap_fen, Binding.JOB_CAP),
        (left.cap_fen, Binding.YEAR_CAP),
        (left.fund_fen, Binding.FUND),
        (_under_ceiling(rule, gross_fen, given), Binding.CEILING),
    ):
        if limit is not None and limit < amount:
            amount, binding = max(0, limit), name
    if amount < rule.minimum_fen:
        return Part(rule.programme, rule.version, 0, Binding.MINIMUM)
    return Part(rule.programme, rule.version, amount, binding)


def _by_rate(rule: Rule, gross_fen: int, given: int) -> int:
    base = gross_fen if rule.base == "GROSS" else gross_fen - given
    return share_fen(base, rule.rate_bp)


def _under_ceiling(rule: Rule, gross_fen: int, given: int) -> int:
    return max(0, share_fen(gross_fen, rule.ceiling_bp) - given)


def settled_amount(rule: Rule, gross_fen: int, given: int, held_fen: int) -> int:
    """Return what a held subsidy comes to for the metered charge: never above what was held.

    ``given`` is what earlier rules give of the same charge. Caps of year and fund bound what was
    held; a minimum was met at admission and is not asked for again, so that a run which ends early
    never costs its enterprise more than it was quoted.
    """
    amount = min(held_fen, _by_rate(rule, gross_fen, given))
    if rule.job_cap_fen is not None:
        amount = min(amount, rule.job_cap_fen)
    return min(amount, _under_ceiling(rule, gross_fen, given))
