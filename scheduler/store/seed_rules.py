"""Programmes of a data file with their rules, money, vouchers and grants; facts of enterprises."""

from dataclasses import dataclass

from quota.amounts import BP
from quota.rules import Funder, Rule, Tier
from scheduler.store.seed_part import BadSeed, Part


@dataclass(frozen=True, slots=True)
class SeedVoucher:
    """A voucher for an enterprise, out of the fund of the year of loading."""

    enterprise: str
    face_fen: int


@dataclass(frozen=True, slots=True)
class SeedGrant:
    """Free unit-hours for an enterprise in the year of loading."""

    enterprise: str
    unit_hours: int


@dataclass(frozen=True, slots=True)
class SeedProgramme:
    """A programme with its first rule, and the money for the year of loading.

    ``fund_fen`` is that of all funders together, by their shares.
    """

    city: str
    name: str
    document_ref: str
    sample: bool
    rule: Rule
    fund_fen: int
    vouchers: tuple[SeedVoucher, ...] = ()
    grants: tuple[SeedGrant, ...] = ()


@dataclass(frozen=True, slots=True)
class Dated:
    """A fact from a day on until another, half-open; ``source`` says where it is written."""

    what: tuple[str, ...]
    from_ms: int
    to_ms: int | None
    source: str


@dataclass(frozen=True, slots=True)
class EnterpriseFacts:
    """What rules ask about an enterprise.

    ``related`` are centers, ``projects`` (list, project), ``supported`` (programme, first year,
    source).
    """

    enterprise: str
    related: tuple[Dated, ...] = ()
    projects: tuple[Dated, ...] = ()
    supported: tuple[tuple[str, int, str], ...] = ()


def programme(part: Part, sample: bool) -> SeedProgramme:
    """Read a programme with its rule; raises ``BadSeed``."""
    city = part.text("city")
    try:
        rule = _rule(part, city)
    except ValueError as error:
        raise BadSeed(f"{part.place}: {error}") from error
    return SeedProgramme(
        city,
        part.text("name"),
        part.text("document_ref"),
        sample,
        rule,
        part.whole("fund_fen", 0),
        tuple(part.some("vouchers", _voucher)),
        tuple(part.some("grants", _grant)),
    )


def _rule(part: Part, city: str) -> Rule:
    return Rule(
        programme=part.text("programme"),
        version=1,
        city=city,
        rate_bp=part.whole("rate_bp"),
        priority=part.whole("priority", 0),
        exclusive_group=part.text("exclusive_group", ""),
        base=part.text("base", "GROSS"),
        flavors=part.texts("flavors"),
        size_classes=part.texts("size_classes"),
        sectors=part.texts("sectors"),
        startup_only=part.flag("startup_only", False),
        job_cap_fen=part.maybe_whole("job_cap_fen"),
        year_cap_fen=part.maybe_whole("enterprise_year_cap_fen"),
        minimum_fen=part.whole("minimum_fen", 0),
        ceiling_bp=part.whole("ceiling_bp", BP, least=1),
        mode=part.text("mode", "DEDUCT"),
        issue=part.text("issue", "POOL"),
        unit=part.text("unit", "FEN"),
        tiers=tuple(part.some("tiers", _tier)),
        funders=tuple(part.some("funders", _funder)),
        domestic_only=part.flag("domestic_only", False),
        project_list=part.text("project_list", ""),
        contract_once=part.text("contract_once", ""),
        support_years=part.maybe_whole("support_years"),
        validity_months=part.maybe_whole("validity_months"),
        cap_on=part.text("cap_on", "USE"),
        boundary=part.text("boundary", "SPLIT"),
        related_parties=part.flag("related_parties", False),
    )


def _tier(part: Part) -> Tier:
    return Tier(
        part.whole("rate_bp"),
        part.flag("startup", False),
        part.texts("size_classes"),
        part.texts("sectors"),
        part.flag("domestic", False),
        part.text("project_list", ""),
    )


def _funder(part: Part) -> Funder:
    return Funder(part.text("funder"), part.whole("share_bp"))


def _voucher(part: Part) -> SeedVoucher:
    return SeedVoucher(part.text("enterprise"), part.whole("face_fen", least=1))


def _grant(part: Part) -> SeedGrant:
    return SeedGrant(part.text("enterprise"), part.whole("unit_hours", least=1))


def facts(part: Part, enterprise: str) -> EnterpriseFacts:
    """Read what rules ask about an enterprise; raises ``BadSeed``."""
    return EnterpriseFacts(
        enterprise,
        tuple(part.some("related_centers", lambda one: _dated(one, "center"))),
        tuple(part.some("projects", lambda one: _dated(one, "list", "project"))),
        tuple(part.some("supported", _supported)),
    )


def _dated(part: Part, *names: str) -> Dated:
    what = tuple(part.text(name) for name in names)
    from_ms = part.day_ms("since")
    to_ms = part.day_ms("until") if part.has("until") else None
    if to_ms is not None and to_ms <= from_ms:
        raise part.bad("until", "must be later than since")
    return Dated(what, from_ms, to_ms, part.text("source", ""))


def _supported(part: Part) -> tuple[str, int, str]:
    return part.text("programme"), part.whole("since_year", least=1), part.text("source", "")
