"""Reads centers from a file: ``centers.yaml`` of the data files, or the file of ``centers.file``.

Credentials are named, never written down: what is read here goes into the store.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from scheduler.store.catalog import FlavorRow
from scheduler.store.seed_part import BadSeed, Part

_DAY_S: Final = 86_400
_SIMULATED: Final = "simulated"
#: Settings that hold a secret by their name; ``token_file`` and its like name where one is.
_SECRET_KEY: Final = re.compile(
    r"(.*_)?(password|passwd|passphrase|secret|token|jwt|sk|credentials?"
    r"|(api|private|secret|access|signing)_?key)",
    re.IGNORECASE,
)
_USER_INFO: Final = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#@]*:[^/?#@]+@", re.IGNORECASE)


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


def read_file(path: Path) -> list[SeedCenter]:
    """Read the centers of a file; raises ``BadSeed`` that names the file and the key."""
    part = Part(path.name, document(path))
    part.flag("sample", False)
    found = part.each("centers", center)
    part.done()
    _once(path.name, "center", [one.center for one in found])
    _once(path.name, "flavor", [row.flavor for one in found for row in one.flavors])
    return found


def _once(name: str, what: str, codes: Sequence[str]) -> None:
    for code in codes:
        if codes.count(code) > 1:
            raise BadSeed(f"{name}: {what} {code!r} is given twice")


#: What the library lets through: days that are none, numbers without end, odd names, depth.
_UNREADABLE: Final = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)


def document(path: Path) -> object:
    """Return what a YAML file holds; raises ``BadSeed``."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise BadSeed(f"{path.name}: line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise BadSeed(f"{path.name}: is not YAML: {error}") from error
    except OSError as error:
        raise BadSeed(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise BadSeed(f"{path.name}: cannot be read: {error}") from error
    except _UNREADABLE as error:
        raise BadSeed(f"{path.name}: has a value that cannot be read: {error}") from error


def center(part: Part) -> SeedCenter:
    """Read one center; raises ``BadSeed``."""
    code = part.text("center")
    names = part.text("name_zh"), part.text("name_en")
    kind = part.text("kind")
    simulated = part.flag("simulated", kind == _SIMULATED)
    if kind == _SIMULATED and not simulated:
        raise part.bad("simulated", "must be true: a center of kind simulated is none of its own")
    settings = part.mapping("settings")
    try:
        json.dumps(settings, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise part.bad(
            "settings", f"must hold texts, numbers, lists and mappings: {error}"
        ) from error
    place = secret_in(settings)
    if place is not None:
        raise part.bad(
            f"settings.{place}",
            "must not hold the secret itself, but name where it is: {file: PATH}, {env: NAME} or"
            " {command: [PROGRAM, ...]}",
        )
    flavors = tuple(part.each("flavors", lambda one: _flavor(one, code)))
    return SeedCenter(code, *names, kind, simulated, settings, flavors)


def secret_in(settings: object, place: str = "") -> str | None:
    """Return the place of a value that looks like a secret written down, None if there is none.

    That is a text under a key such as ``token``, or an address with a password in it.
    """
    if isinstance(settings, str):
        return place if _USER_INFO.match(settings) else None
    parts: list[tuple[str, object]] = []
    if isinstance(settings, Mapping):
        parts = [(f"{place}.{key}" if place else str(key), one) for key, one in settings.items()]
    elif isinstance(settings, list):
        parts = [(f"{place}[{at}]", one) for at, one in enumerate(settings)]
    for inner, value in parts:
        name = inner.rpartition(".")[2]
        if isinstance(value, str) and value and _SECRET_KEY.fullmatch(name):
            return inner
        found = secret_in(value, inner)
        if found is not None:
            return found
    return None


def _flavor(part: Part, center: str) -> FlavorRow:
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
        part.flag("domestic", False),
    )
