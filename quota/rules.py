"""Rules of subsidy programmes: immutable versions, and what they ask about enterprise and job.

A rule holds all that decides money, so that the digest of a stored version pins it. Fields that
were added later are left out of the JSON while they have their default: bodies of before still
read, and still have their digest.

Mode DEDUCT takes the subsidy off the bill; REIMBURSE lets the enterprise pay all and gives it a
claim. Issue POOL gives from the fund of a period to all who fit; VOUCHER gives only from vouchers
that were issued to the enterprise. Unit FEN gives money; UNIT_S gives free unit-seconds from a
grant of the enterprise, before any money is counted. Of the rates (``rate_bp`` and those of the
tiers that fit) the highest holds. Mode, issue and unit are a programme's for good: a version that
changes one of them is refused (make another programme).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final, NamedTuple

from quota.amounts import BP

#: Programmes of the whole corridor name this instead of a city.
CORRIDOR: Final = "corridor"
MODES: Final = ("DEDUCT", "REIMBURSE")
ISSUES: Final = ("POOL", "VOUCHER")
UNITS: Final = ("FEN", "UNIT_S")
BASES: Final = ("GROSS", "REMAINING")
BOUNDARIES: Final = ("SPLIT", "BY_START")
#: When the cap of a natural year is counted: as money is used, or as a voucher is issued. What was
#: counted on issue is not counted again on use: the counter of the year of issue moves it from
#: pending to posted, and what expires or is revoked is freed there.
CAPS_ON: Final = ("USE", "ISSUE")
#: PROGRAMME: a contract is subsidized by one programme; JOB: by one job of one programme.
CONTRACTS: Final = ("", "PROGRAMME", "JOB")


class Why(StrEnum):
    """Why a rule gave nothing: each programme of a quote that gives nothing has one of these."""

    NOT_WANTED = "NOT_WANTED"  # the job asks for no subsidy
    BLOCKED = "BLOCKED"
    RELATED_PARTY = "RELATED_PARTY"
    FLAVOR = "FLAVOR"
    SIZE_CLASS = "SIZE_CLASS"
    SECTOR = "SECTOR"
    STARTUP = "STARTUP"
    DOMESTIC = "DOMESTIC"
    PROJECT = "PROJECT"
    CONTRACT_MISSING = "CONTRACT_MISSING"
    CONTRACT_USED = "CONTRACT_USED"
    SUPPORT_YEARS = "SUPPORT_YEARS"
    NO_FUND = "NO_FUND"
    NO_VOUCHER = "NO_VOUCHER"
    NO_GRANT = "NO_GRANT"
    EXCLUSIVE = "EXCLUSIVE"  # another of its group gives more, or comes first
    MINIMUM = "MINIMUM"
    RATE = "RATE"  # so little that the rate rounds to nothing
    JOB_CAP = "JOB_CAP"
    YEAR_CAP = "YEAR_CAP"
    FUND = "FUND"
    VOUCHER = "VOUCHER"
    GRANT = "GRANT"
    CEILING = "CEILING"


class Funder(NamedTuple):
    """Who pays a part of a programme; the programme's own city is named by its code."""

    name: str
    share_bp: int


class Tier(NamedTuple):
    """A rate for those who meet all its conditions; empty ones admit all."""

    rate_bp: int
    startup: bool = False
    size_classes: tuple[str, ...] = ()
    sectors: tuple[str, ...] = ()
    domestic: bool = False
    project_list: str = ""


class Flaw(NamedTuple):
    """What is wrong with a rule: in which field, and what is allowed there."""

    field: str
    what: str


class BadRule(ValueError):
    """A rule that cannot be; ``flaw`` says why."""

    def __init__(self, programme: str, found: Flaw) -> None:
        super().__init__(f"{programme}: {found.what}")
        self.flaw = found


@dataclass(frozen=True, slots=True)
class Rule:
    """One immutable version of a programme's rule; empty lists admit all.

    ``job_cap_fen``, ``year_cap_fen`` (per enterprise and natural year) and ``minimum_fen`` are of
    money; ``ceiling_bp`` bounds the sum of this and all earlier rules. ``funders`` have shares
    that add up to all; none means the programme's own city. ``support_years`` counts natural
    years from the first in which the programme supported the enterprise. ``validity_months`` is
    how long a voucher is valid. ``boundary`` SPLIT takes each part of a run from the fund of its
    period, BY_START all from the fund in which it began. ``project_list`` admits only jobs of a
    project on that list. ``related_parties`` admits enterprises that are related to the center.
    """

    programme: str
    version: int
    city: str
    rate_bp: int
    priority: int = 0
    exclusive_group: str = ""
    base: str = "GROSS"  # or REMAINING: of what earlier rules left
    flavors: tuple[str, ...] = ()
    size_classes: tuple[str, ...] = ()
    sectors: tuple[str, ...] = ()
    startup_only: bool = False
    job_cap_fen: int | None = None
    year_cap_fen: int | None = None
    minimum_fen: int = 0
    ceiling_bp: int = BP
    mode: str = "DEDUCT"
    issue: str = "POOL"
    unit: str = "FEN"
    tiers: tuple[Tier, ...] = ()
    funders: tuple[Funder, ...] = ()
    domestic_only: bool = False
    project_list: str = ""
    contract_once: str = ""
    support_years: int | None = None
    validity_months: int | None = None
    cap_on: str = "USE"
    boundary: str = "SPLIT"
    related_parties: bool = False

    def __post_init__(self) -> None:
        found = flaw(self)
        if found is not None:
            raise BadRule(self.programme, found)

    def to_json(self) -> str:
        """Return the canonical JSON that is stored and hashed."""
        values = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name in _FIRST or getattr(self, field.name) != field.default
        }
        for name, kind in (("tiers", Tier), ("funders", Funder)):
            if name in values:
                values[name] = [dict(zip(kind._fields, one, strict=True)) for one in values[name]]
        return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    def sha256(self) -> str:
        """Return the digest of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> "Rule":
        """Return a stored rule; raises ValueError for fields that no rule has."""
        values: dict[str, Any] = json.loads(text)
        known = {field.name for field in fields(cls)}
        if set(values) - known:
            raise ValueError(f"unknown fields of a rule: {sorted(set(values) - known)}")
        for name in ("flavors", "size_classes", "sectors"):
            values[name] = tuple(values.get(name, ()))
        values["tiers"] = tuple(_tier(one) for one in values.get("tiers", ()))
        values["funders"] = tuple(Funder(**one) for one in values.get("funders", ()))
        return cls(**values)

    @property
    def shares(self) -> tuple[Funder, ...]:
        """Who pays, with shares that add up to all."""
        return self.funders or (Funder(self.city, BP),)


#: Fields that every stored body has, also of the first release.
_FIRST: Final = frozenset(
    (
        "programme", "version", "city", "rate_bp", "priority", "exclusive_group", "base",
        "flavors", "size_classes", "sectors", "startup_only", "job_cap_fen", "year_cap_fen",
        "minimum_fen", "ceiling_bp",
    )
)  # fmt: skip


def _tier(values: Mapping[str, Any]) -> Tier:
    lists = {name: tuple(values.get(name, ())) for name in ("size_classes", "sectors")}
    return Tier(**{**values, **lists})


def flaw(rule: Rule) -> Flaw | None:
    """Say what is wrong with a rule and what is allowed instead; None if nothing is."""
    return (
        _flaw_of_rates(rule)
        or _flaw_of_words(rule)
        or _flaw_of_numbers(rule)
        or _flaw_of_funders(rule)
        or _flaw_of_kind(rule)
    )


def _flaw_of_rates(rule: Rule) -> Flaw | None:
    rates = {"rate_bp": rule.rate_bp}
    rates |= {f"tiers[{at}].rate_bp": tier.rate_bp for at, tier in enumerate(rule.tiers)}
    for name, rate in rates.items():
        if not 0 <= rate <= BP:
            return Flaw(name, f"rates are 0..{BP} hundredths of a percent, not {rate}")
    if not 0 < rule.ceiling_bp <= BP:
        what = f"a ceiling is 1..{BP} hundredths of a percent, not {rule.ceiling_bp}"
        return Flaw("ceiling_bp", what)
    return None


def _flaw_of_words(rule: Rule) -> Flaw | None:
    for name, value, allowed in (
        ("base", rule.base, BASES),
        ("mode", rule.mode, MODES),
        ("issue", rule.issue, ISSUES),
        ("unit", rule.unit, UNITS),
        ("boundary", rule.boundary, BOUNDARIES),
        ("cap_on", rule.cap_on, CAPS_ON),
        ("contract_once", rule.contract_once, CONTRACTS),
    ):
        if value not in allowed:
            words = " or ".join(one or "empty" for one in allowed)
            return Flaw(name, f"{name} is {words}, not {value!r}")
    return None


def _flaw_of_numbers(rule: Rule) -> Flaw | None:
    for name, number, least in (
        ("job_cap_fen", rule.job_cap_fen, 0),
        ("year_cap_fen", rule.year_cap_fen, 0),
        ("minimum_fen", rule.minimum_fen, 0),
        ("support_years", rule.support_years, 1),
        ("validity_months", rule.validity_months, 1),
    ):
        if number is not None and number < least:
            return Flaw(name, f"{name} must be at least {least}, not {number}")
    return None


def _flaw_of_funders(rule: Rule) -> Flaw | None:
    if not rule.funders:
        return None
    what = ""
    total = sum(one.share_bp for one in rule.funders)
    names = [one.name for one in rule.funders]
    if total != BP or any(one.share_bp <= 0 for one in rule.funders):
        what = f"shares of funders must be above 0 and add up to {BP} (100 %), not {total}"
    elif len(set(names)) < len(names) or rule.city not in names:
        what = f"funders are named once each, and {rule.city!r} is one of them"
    elif rule.issue == "VOUCHER" or rule.unit == "UNIT_S":
        what = "several funders share a pool of money, not vouchers or grants"
    return Flaw("funders", what) if what else None


def _flaw_of_kind(rule: Rule) -> Flaw | None:
    voucher = rule.issue == "VOUCHER"
    if not voucher and (rule.validity_months is not None or rule.cap_on == "ISSUE"):
        what = "validity_months and cap_on ISSUE are of vouchers: set issue to VOUCHER"
        return Flaw("issue", what)
    if rule.unit == "UNIT_S":
        money = (
            rule.job_cap_fen, rule.year_cap_fen, rule.minimum_fen or None, rule.support_years,
        )  # fmt: skip
        if voucher or rule.mode != "DEDUCT" or rule.exclusive_group or any(
            one is not None for one in money
        ):  # fmt: skip
            return Flaw(
                "unit",
                "free unit-seconds are limited by what is granted: they take no vouchers, no"
                " REIMBURSE, no exclusive group, no caps or minimum in fen and no support_years",
            )
    return None


_NO_YEARS: Final[Mapping[str, int]] = {}


class Applicant(NamedTuple):
    """What rules ask about an enterprise.

    ``related`` are centers to which it is related; ``supported_since`` the first natural year of
    support by programme, where there was one; ``rights`` programmes of which it has vouchers, which
    are its own also after it moved to another city. All as of the run's admission.
    """

    city: str
    size_class: str
    sector: str
    startup: bool
    blocked: bool = False
    related: frozenset[str] = frozenset()
    supported_since: Mapping[str, int] = _NO_YEARS
    rights: frozenset[str] = frozenset()


class Ask(NamedTuple):
    """What rules ask about a job and where it would run.

    ``project_lists`` are the lists on which the job's project stands for this enterprise now;
    ``contract_givers`` the programmes that gave or hold something for other jobs of the contract.
    """

    center: str
    flavor: str
    domestic: bool = False
    contract: str = ""
    project_lists: frozenset[str] = frozenset()
    contract_givers: frozenset[str] = frozenset()
