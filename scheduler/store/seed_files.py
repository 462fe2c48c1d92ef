"""Reads the data files that a service begins with; strict: what is not known is refused by name.

Every error names the file and the place in it, as ``centers.yaml: centers[0].flavors[1].unit``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from quota.calendar import SHANGHAI
from quota.subsidy import Rule
from scheduler.domain import uscc
from scheduler.domain.links import Link
from scheduler.errors import CorridorError
from scheduler.store import quotas_flavors
from scheduler.store.catalog import CityRow, FlavorRow
from scheduler.store.identity import NewEnterprise
from scheduler.store.quota_tables import RECLAIM_MODES
from scheduler.store.quotas_flavors import Reclaim

T = TypeVar("T")
_DAY_S: Final = 86_400


class BadSeed(CorridorError):
    """A data file cannot be used; the message names the file, the place and what is wrong."""

    reason = "BAD_SEED"


@dataclass(frozen=True, slots=True)
class SeedCenter:
    """A center with what its adapter is built from."""

    center: str
    name_zh: str
    name_en: str
    kind: str
    simulated: bool
    settings: Mapping[str, object]
    flavors: tuple[FlavorRow, ...]


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


@dataclass(frozen=True, slots=True)
class SeedProgramme:
    """A programme with its first rule and the money for the year of loading."""

    city: str
    name: str
    document_ref: str
    sample: bool
    rule: Rule
    fund_fen: int


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
    links: list[Link] = field(default_factory=list)


class _Part:
    """One mapping of a file; ``done`` refuses keys that were not asked for."""

    def __init__(self, place: str, value: object) -> None:
        if not isinstance(value, dict):
            raise BadSeed(f"{place}: must be a mapping of names to values")
        self.place = place
        self._values = dict(value)

    def bad(self, key: str, what: str) -> BadSeed:
        return BadSeed(f"{self.place}.{key}: {what}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self._values.pop(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.bad(key, "is mandatory, a text" if value is None else "must be a text")
        return value

    def whole(
        self, key: str, default: int | None = None, least: int = 0, most: int | None = None
    ) -> int:
        value = self._values.pop(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.bad(key, f"must be a whole number from {least}, not {value!r}")
        if most is not None and value > most:
            raise self.bad(key, f"must be at most {most}, not {value}")
        return value

    def maybe_whole(self, key: str) -> int | None:
        return None if self._values.get(key) is None else self.whole(key)

    def flag(self, key: str, default: bool) -> bool:
        value = self._values.pop(key, default)
        if not isinstance(value, bool):
            raise self.bad(key, f"must be true or false, not {value!r}")
        return value

    def day_ms(self, key: str) -> int:
        value = self._values.pop(key, None)
        if not isinstance(value, date):
            raise self.bad(key, f"must be a date such as 2026-01-01, not {value!r}")
        return int(datetime(value.year, value.month, value.day, tzinfo=SHANGHAI).timestamp()) * 1000

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._values.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.bad(key, "must be a list of texts")
        return tuple(value)

    def mapping(self, key: str) -> dict[str, object]:
        value = self._values.pop(key, {})
        if not isinstance(value, dict):
            raise self.bad(key, "must be a mapping")
        return value

    def each(self, key: str, read: Callable[["_Part"], T]) -> list[T]:
        value = self._values.pop(key, None)
        if not isinstance(value, list):
            raise self.bad(key, "is mandatory, a list")
        found = []
        for index, one in enumerate(value):
            part = _Part(f"{self.place}.{key}[{index}]", one)
            found.append(read(part))
            part.done()
        return found

    def has(self, key: str) -> bool:
        return key in self._values

    def done(self) -> None:
        if self._values:
            name = min(str(key) for key in self._values)
            raise self.bad(name, "is not known here; look for a typing error")


def read(directory: Path) -> Seed:
    """Read all data files of a directory; raises ``BadSeed``."""
    seed = Seed()
    readers: dict[str, tuple[list[Any], Callable[[_Part, bool], Any]]] = {
        "cities": (seed.cities, lambda part, _: _city(part)),
        "centers": (seed.centers, lambda part, _: _center(part)),
        "quotas": (seed.quotas, lambda part, _: _quota(part)),
        "prices": (seed.prices, lambda part, _: _price(part)),
        "programmes": (seed.programmes, _programme),
        "enterprises": (seed.enterprises, lambda part, _: _enterprise(part)),
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
        part = _Part(path.name, _document(path))
        sample = part.flag("sample", False)
        rows += part.each(path.stem, lambda one, r=reader, s=sample: r(one, s))  # type: ignore[misc]
        if path.stem == "quotas" and part.has("flavors"):
            seed.flavor_quotas += part.each("flavors", _flavor_quota)
        part.done()
    return seed


def _document(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise BadSeed(f"{path.name}: line {line}: {error.problem}") from error
    except (OSError, UnicodeError) as error:
        raise BadSeed(f"{path.name}: cannot be read: {error}") from error


def _city(part: _Part) -> CityRow:
    return CityRow(
        part.text("city"), part.text("name_zh"), part.text("name_en"), part.whole("weight", least=1)
    )


def _center(part: _Part) -> SeedCenter:
    center = part.text("center")
    return SeedCenter(
        center,
        part.text("name_zh"),
        part.text("name_en"),
        part.text("kind"),
        part.flag("simulated", False),
        part.mapping("settings"),
        tuple(part.each("flavors", lambda one: _flavor(one, center))),
    )


def _flavor(part: _Part, center: str) -> FlavorRow:
    flavor = part.text("flavor")
    if not flavor.startswith(f"{center}/"):
        raise part.bad("flavor", f"must begin with {center}/, not {flavor!r}")
    unit = part.text("unit")
    if unit not in ("card", "core"):
        raise part.bad("unit", f"must be card or core, not {unit!r}")
    architecture = part.text("architecture")
    if architecture not in ("aarch64", "x86_64"):
        raise part.bad("architecture", f"must be aarch64 or x86_64, not {architecture!r}")
    return FlavorRow(
        flavor,
        center,
        part.text("name_zh"),
        part.text("name_en"),
        unit,
        architecture,
        part.whole("capacity_units", least=1),
        part.whole("units_per_node", least=1),
        part.whole("wall_limit_max_days", least=1) * _DAY_S,
        part.whole("memory_mib_per_node", 0),
    )


def _quota(part: _Part) -> SeedQuota:
    return SeedQuota(
        part.text("city"),
        part.text("flavor"),
        part.whole("nominal_units"),
        part.maybe_whole("borrow_limit_units"),
        part.maybe_whole("lend_limit_units"),
    )


def _flavor_quota(part: _Part) -> SeedFlavorQuota:
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


def _link(part: _Part) -> Link:
    return Link(part.text("from"), part.text("to"), part.whole("mbit_s", least=1))


def _price(part: _Part) -> SeedPrice:
    return SeedPrice(part.text("flavor"), part.whole("price_ufen"), part.day_ms("effective_from"))


def _programme(part: _Part, sample: bool) -> SeedProgramme:
    city = part.text("city")
    try:
        rule = Rule(
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
            ceiling_bp=part.whole("ceiling_bp", 10_000, least=1),
        )
    except ValueError as error:
        raise BadSeed(f"{part.place}: {error}") from error
    document_ref = part.text("document_ref")
    return SeedProgramme(
        city, part.text("name"), document_ref, sample, rule, part.whole("fund_fen", 0)
    )


def _enterprise(part: _Part) -> NewEnterprise:
    code = part.text("uscc", "")
    problem = uscc.problem(code) if code else None
    if problem is not None:
        raise part.bad("uscc", problem)
    return NewEnterprise(
        part.text("enterprise"),
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
