"""Reads the data files that a service begins with; strict: what is not known is refused by name.

Every error names the file and the place in it, as ``centers.yaml: centers[0].flavors[1].unit``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scheduler.domain import uscc
from scheduler.domain.links import Link
from scheduler.store import quotas_flavors, seed_centers, seed_rules
from scheduler.store.catalog import CityRow
from scheduler.store.identity import NewEnterprise
from scheduler.store.quota_tables import RECLAIM_MODES
from scheduler.store.quotas_flavors import Reclaim
from scheduler.store.seed_centers import SeedCenter as SeedCenter
from scheduler.store.seed_part import BadSeed as BadSeed
from scheduler.store.seed_part import Part
from scheduler.store.seed_rules import EnterpriseFacts
from scheduler.store.seed_rules import SeedProgramme as SeedProgramme


@dataclass(frozen=True, slots=True)
class SeedQuota:
    """A quota that is given instead of computed."""

    city: str
    flavor: str
    nominal_units: int
    borrow_limit_units: int | None
    lend_limit_units: int | None


@dataclass(frozen=True, slots=True)
class SeedFlavorQuota:
    """The corridor's own part of a flavor; units None for what the cities leave."""

    flavor: str
    corridor_units: int | None
    reclaim: Reclaim


@dataclass(frozen=True, slots=True)
class SeedPrice:
    """A price in micro-fen per unit and second."""

    flavor: str
    price_ufen: int
    effective_from_ms: int


@dataclass(slots=True)
class Seed:
    """All that the files say; a file that is not there says nothing."""

    cities: list[CityRow] = field(default_factory=list)
    centers: list[SeedCenter] = field(default_factory=list)
    quotas: list[SeedQuota] = field(default_factory=list)
    flavor_quotas: list[SeedFlavorQuota] = field(default_factory=list)
    prices: list[SeedPrice] = field(default_factory=list)
    programmes: list[SeedProgramme] = field(default_factory=list)
    enterprises: list[NewEnterprise] = field(default_factory=list)
    facts: list[EnterpriseFacts] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)


def read(directory: Path) -> Seed:
    """Read all data files of a directory; raises ``BadSeed``."""
    seed = Seed()
    readers: dict[str, tuple[list[Any], Callable[[Part, bool], Any]]] = {
        "cities": (seed.cities, lambda part, _: _city(part)),
        "centers": (seed.centers, lambda part, _: seed_centers.center(part)),
        "quotas": (seed.quotas, lambda part, _: _quota(part)),
        "prices": (seed.prices, lambda part, _: _price(part)),
        "programmes": (seed.programmes, seed_rules.programme),
        "enterprises": (seed.enterprises, lambda part, _: _enterprise(part, seed.facts)),
        "links": (seed.links, lambda part, _: _link(part)),
    }
    files = sorted(directory.glob("*.yaml")) if directory.is_dir() else []
    if not files:
        raise BadSeed(f"{directory}: has no data files (cities.yaml, centers.yaml, ...)")
    for path in files:
        if path.stem not in readers:
            known = ", ".join(f"{name}.yaml" for name in readers)
            raise BadSeed(f"{path.name}: is no data file; known are {known}")
        rows, reader = readers[path.stem]
        part = Part(path.name, seed_centers.document(path))
        sample = part.flag("sample", False)
        rows += part.each(path.stem, lambda one, r=reader, s=sample: r(one, s))  # type: ignore[misc]
        if path.stem == "quotas" and part.has("flavors"):
            seed.flavor_quotas += part.each("flavors", _flavor_quota)
        part.done()
    return seed


def _city(part: Part) -> CityRow:
    return CityRow(
        part.text("city"), part.text("name_zh"), part.text("name_en"), part.whole("weight", least=1)
    )


def _quota(part: Part) -> SeedQuota:
    return SeedQuota(
        part.text("city"),
        part.text("flavor"),
        part.whole("nominal_units"),
        part.maybe_whole("borrow_limit_units"),
        part.maybe_whole("lend_limit_units"),
    )


def _flavor_quota(part: Part) -> SeedFlavorQuota:
    mode = part.text("reclaim", quotas_flavors.DEFAULTS.mode)
    if mode not in RECLAIM_MODES:
        raise part.bad("reclaim", f"must be one of {', '.join(RECLAIM_MODES)}, not {mode!r}")
    figures = {
        name: part.whole(name, getattr(quotas_flavors.DEFAULTS, name), least, most)
        for name, (least, most) in quotas_flavors.RECLAIM_RANGES.items()
    }
    return SeedFlavorQuota(
        part.text("flavor"), part.maybe_whole("corridor_units"), Reclaim(mode, **figures)
    )


def _link(part: Part) -> Link:
    return Link(part.text("from"), part.text("to"), part.whole("mbit_s", least=1))


def _price(part: Part) -> SeedPrice:
    return SeedPrice(part.text("flavor"), part.whole("price_ufen"), part.day_ms("effective_from"))


def _enterprise(part: Part, facts: list[EnterpriseFacts]) -> NewEnterprise:
    code = part.text("uscc", "")
    problem = uscc.problem(code) if code else None
    if problem is not None:
        raise part.bad("uscc", problem)
    enterprise = part.text("enterprise")
    facts.append(seed_rules.facts(part, enterprise))
    return NewEnterprise(
        enterprise,
        part.text("city"),
        part.text("name"),
        code,
        part.flag("startup", False),
        part.text("size_class", "SMALL"),
        part.text("sector", ""),
        part.flag("blocked", False),
        part.whole("credit_limit_fen", 0),
        part.whole("weight", 1, least=1),
    )
