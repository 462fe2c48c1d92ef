"""Scenarios as people write them: ``--scenario NAME:WHAT=VALUE,…`` and files.

    scenarios:
      - name: more for ezhou
        cities:
          ezhou:
            wuhan-sc/kunpeng-920: {nominal: 600, borrow_limit: none}
        enterprises:
          sample-ezhou-1:
            wuhan-sc/kunpeng-920: {cap: 128}
        flavors:
          wuhan-sc/kunpeng-920: {capacity: 4000, reclaim: lease, lease: 4h}
        order: {ageing: 1h}

``schema`` is the JSON Schema of such a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from scheduler.cli import amounts, exits
from scheduler.cli.failures import Failed
from scheduler.cli.flaws import BadFile, Flaw
from scheduler.cli.kinds import Duration, Field, Kind, ListOf, MapOf, Notes, OneOf, Record, Text
from scheduler.cli.nodes import Node, read_documents
from scheduler.whatif.scenarios import (
    KEEP,
    NAME_MAX,
    RECLAIM_MODES,
    SCENARIOS_MAX,
    UNITS_MAX,
    CapChange,
    CityChange,
    FlavorChange,
    PolicyChange,
    Scenario,
    check,
)

NONE: Final = "none"
_YEAR_S: Final = 366 * 86_400
_CITY: Final = {"nominal": "nominal", "borrow_limit": "borrow", "lend_limit": "lend"}
_ORDER: Final = {
    "ageing": "ageing_ms", "starving": "starving_ms", "usage_half_life": "half_life_ms",
}  # fmt: skip
_OWNERS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Units:
    """A whole number of units; with ``none`` also that word, read as None."""

    none: bool = True

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        """Return the units, None, or ``WRONG``."""
        value = node.value
        if self.none and value == NONE:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= UNITS_MAX:
            return value
        key = "field.units_or_none" if self.none else "field.whole"
        return notes.wrong(node, path, key, least=0, most=UNITS_MAX)

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        whole = {"type": "integer", "minimum": 0, "maximum": UNITS_MAX}
        return {"oneOf": [whole, {"const": NONE}]} if self.none else whole


def _by_flavor(fields: Mapping[str, Field]) -> Kind:
    return MapOf(Record(fields), _OWNERS_MAX, r"^[^\s]{1,256}$")


_LIMITS: Final = {
    "nominal": Field(Units(none=False), "The city's own units."),
    "borrow_limit": Field(Units(), "Units above nominal; none: no limit."),
    "lend_limit": Field(Units(), "Units others may use; none: all."),
}
_CAP: Final = {"cap": Field(Units(), "The most it may hold; none: no cap.", mandatory=True)}
_SPAN: Final = Duration(0, _YEAR_S)
_FLAVOR: Final = {
    "capacity": Field(Units(none=False), "Units that the center grants."),
    "reclaim": Field(OneOf(RECLAIM_MODES), "How lent units come back."),
    "lease": Field(_SPAN, "Longest wall limit of a run that borrows."),
}
_NAMES: Final = r"^[^\s]{1,256}$"
SCENARIO: Final = Record(
    {
        "name": Field(Text(NAME_MAX, 1, numbers=True), "A name to know it by.", mandatory=True),
        "cities": Field(MapOf(_by_flavor(_LIMITS), _OWNERS_MAX, _NAMES), "By city and flavor."),
        "enterprises": Field(
            MapOf(_by_flavor(_CAP), _OWNERS_MAX, _NAMES), "By enterprise and flavor."
        ),
        "flavors": Field(_by_flavor(_FLAVOR), "By flavor."),
        "order": Field(
            Record(
                {
                    "ageing": Field(_SPAN, "Wait after which a job is promised a pool."),
                    "starving": Field(_SPAN, "Wait after which it comes before all others."),
                    "usage_half_life": Field(_SPAN, "In which use counts half."),
                }
            ),
            "Times by which the order is made.",
        ),
    },
    hints={"city": "cities", "enterprise": "enterprises", "flavor": "flavors", "policy": "order"},
)
FILE: Final = Record(
    {"scenarios": Field(ListOf(SCENARIO, 1, SCENARIOS_MAX), "What is asked.", mandatory=True)}
)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **FILE.schema()}


# --- files ----------------------------------------------------------------------------------------


def read_file(path: Path) -> list[Scenario]:
    """Return the scenarios of a file; raises ``BadFile`` with all its flaws."""
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        values = {"why": error.strerror or str(error)}
        raise BadFile([Flaw(file, 0, "", "file.unreadable", values)]) from error
    except UnicodeDecodeError as error:
        raise BadFile([Flaw(file, 0, "", "file.not_utf8", {})]) from error
    documents = read_documents(text, file)
    if len(documents) != 1:
        raise BadFile([Flaw(file, 1, "", "file.one_document", {})])
    notes = Notes(file)
    values = FILE.read(documents[0], "", notes)
    if notes.flaws:
        raise BadFile(notes.flaws)
    found = [_scenario(one) for one in values["scenarios"]]
    for bad in check(found):
        line = notes.places.get(bad.where, notes.places.get(bad.where.partition(".")[0], 0))
        notes.flaws.append(Flaw(file, line, bad.where, "scenario.wrong", {"what": bad.what}))
    if notes.flaws:
        raise BadFile(notes.flaws)
    return found


def _scenario(values: dict[str, Any]) -> Scenario:
    return Scenario(
        values["name"],
        tuple(
            CityChange(city, flavor, **{_CITY[name]: units for name, units in limits.items()})
            for city, flavors in values.get("cities", {}).items()
            for flavor, limits in flavors.items()
        ),
        tuple(
            CapChange(enterprise, flavor, limits["cap"])
            for enterprise, flavors in values.get("enterprises", {}).items()
            for flavor, limits in flavors.items()
        ),
        tuple(_flavor(flavor, fields) for flavor, fields in values.get("flavors", {}).items()),
        PolicyChange(**{_ORDER[name]: s * 1000 for name, s in values.get("order", {}).items()}),
    )


def _flavor(flavor: str, fields: Mapping[str, Any]) -> FlavorChange:
    lease_s = fields.get("lease")
    return FlavorChange(
        flavor,
        fields.get("capacity", KEEP),
        fields.get("reclaim", ""),
        KEEP if lease_s is None else lease_s * 1000,
    )


# --- options --------------------------------------------------------------------------------------


def parse(given: str) -> Scenario:
    """Return the scenario of one ``--scenario``; raises ``Failed``."""
    name, colon, rest = given.partition(":")
    if not colon or not name.strip() or not rest.strip():
        raise Failed("scenario.form", exits.USAGE, given=given)
    scenario = Scenario(name.strip())
    for part in rest.split(","):
        what, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise Failed("scenario.form", exits.USAGE, given=part.strip())
        scenario = _with(scenario, what, value)
    for bad in check([scenario]):
        raise Failed("scenario.option", exits.USAGE, given=given, what=bad.what)
    return scenario


def _with(scenario: Scenario, what: str, value: str) -> Scenario:
    """Return a scenario with one more change."""
    of, _, field = what.rpartition(".")
    owner, dot, flavor = of.partition(".")
    if field in _CITY and dot:
        units = _units(what, value, none=field != "nominal")
        change = {_CITY[field]: units}
        return replace(scenario, cities=_merged(scenario.cities, CityChange(owner, flavor), change))
    if field == "cap" and dot:
        cap = CapChange(owner, flavor, _units(what, value, none=True))
        return replace(scenario, caps=(*scenario.caps, cap))
    if of == "order" and field in _ORDER:
        span_ms = _span_ms(what, value)
        return replace(scenario, policy=scenario.policy._replace(**{_ORDER[field]: span_ms}))
    if of and field in _FLAVOR:
        values = _of_flavor(what, field, value)
        return replace(scenario, flavors=_merged(scenario.flavors, FlavorChange(of), values))
    raise Failed("scenario.target", exits.USAGE, given=what)


def _of_flavor(what: str, field: str, value: str) -> dict[str, Any]:
    if field == "capacity":
        return {"capacity": _units(what, value, none=False)}
    if field == "lease":
        return {"lease_ms": _span_ms(what, value)}
    return {"reclaim": _mode(what, value)}


def _merged(changes: tuple[Any, ...], new: Any, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the changes with values set in the one that is about the same as ``new``."""
    about = 2 if isinstance(new, CityChange) else 1
    for at, one in enumerate(changes):
        if one[:about] == new[:about]:
            return (*changes[:at], one._replace(**values), *changes[at + 1 :])
    return (*changes, new._replace(**values))


def _units(what: str, value: str, *, none: bool) -> int | None:
    if none and value == NONE:
        return None
    if not value.isascii() or not value.isdigit() or int(value) > UNITS_MAX:
        key = "scenario.units_or_none" if none else "scenario.units"
        raise Failed(key, exits.USAGE, given=what, value=value)
    return int(value)


def _span_ms(what: str, value: str) -> int:
    seconds = amounts.parse_duration(value)
    if seconds is None or seconds > _YEAR_S:
        raise Failed("scenario.span", exits.USAGE, given=what, value=value)
    return seconds * 1000


def _mode(what: str, value: str) -> str:
    if value not in RECLAIM_MODES:
        words = ", ".join(RECLAIM_MODES)
        raise Failed("scenario.mode", exits.USAGE, given=what, value=value, words=words)
    return value
