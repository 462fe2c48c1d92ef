"""The file of city quotas of a replay, YAML or JSON: city -> kind -> limits.

    wuhan:
      cpu: {nominal: 1600, borrow_limit: 400, lend_limit: 800}
      npu: {nominal: 300}
    macheng:
      weight: 84.9          # a city that is not one of the five needs one
      cpu: {nominal: 100}

``borrow_limit`` left out or null is no limit, ``lend_limit`` left out or null lends all. What the
file does not name keeps its default. Anything else in it is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scheduler.placement.model import CityQuotaSet
from scheduler.replay.trace import ReplayError
from scheduler.replay.yaml_file import read_yaml

_FIELDS = ("nominal", "borrow_limit", "lend_limit")


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a file sets: weights of cities (in units of 1/100) and quotas by (city, kind)."""

    weights: Mapping[str, int]
    limits: Mapping[tuple[str, str], CityQuotaSet]


def read_quotas(path: Path) -> Quotas:
    """Read a file of quotas; raises ``ReplayError`` naming file and line or field."""
    content = read_yaml(path)
    weights: dict[str, int] = {}
    limits: dict[tuple[str, str], CityQuotaSet] = {}
    for city, kinds in _named(path, "", content).items():
        for kind, fields in _named(path, city, kinds).items():
            if kind == "weight":
                weights[city] = _weight(path, city, fields)
            else:
                limits[city, kind] = _quota(path, city, kind, fields)
    return Quotas(weights, limits)


def _named(path: Path, where: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict) or not value:
        raise ReplayError(f"{path}: {where or 'the file'}: expected names with a value each")
    for name in value:
        if not isinstance(name, str):
            raise ReplayError(f"{path}: {where or 'the file'}: {name!r} is no name")
    return value


def _quota(path: Path, city: str, kind: str, value: object) -> CityQuotaSet:
    where = f"{city}.{kind}"
    fields = _named(path, where, value)
    for name, units in fields.items():
        if name not in _FIELDS:
            raise ReplayError(f"{path}: {where}.{name}: unknown, use {', '.join(_FIELDS)}")
        if units is None and name != "nominal":
            continue
        if not isinstance(units, int) or isinstance(units, bool) or units < 0:
            raise ReplayError(f"{path}: {where}.{name}: {units!r} is no whole number from 0 on")
    if "nominal" not in fields:
        raise ReplayError(f"{path}: {where}: nominal is missing")
    nominal, borrow, lend = (fields.get(name) for name in _FIELDS)
    assert isinstance(nominal, int), "checked above"
    return CityQuotaSet(
        city,
        kind,
        nominal,
        borrow if isinstance(borrow, int) else None,
        lend if isinstance(lend, int) else None,
    )


def _weight(path: Path, city: str, value: object) -> int:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.01 <= value <= 1e9:
        raise ReplayError(f"{path}: {city}.weight: {value!r} is no number from 0.01 to 1e9")
    return round(value * 100)
