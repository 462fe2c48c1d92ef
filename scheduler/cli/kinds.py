"""Kinds of values in a file for people: each reads a node and knows its JSON Schema.

The reader and the published schema come from the same objects, so they cannot drift apart.
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from scheduler.cli import amounts
from scheduler.cli.flaws import Flaw
from scheduler.cli.nodes import Node

INSTANT_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)
_INSTANT: Final = re.compile(INSTANT_PATTERN, re.ASCII)
#: Stands for a value that could not be read; what is wrong was noted.
WRONG: Final = object()


def is_unicode(text: str) -> bool:
    """Whether a text can be sent: no halves of surrogate pairs and no zeros."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


class Notes:
    """What reading one file found: flaws, and the line of every field by its path."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.flaws: list[Flaw] = []
        self.places: dict[str, int] = {}

    def wrong(self, node: Node, path: str, key: str, **values: Any) -> Any:
        """Note a flaw at a node; returns ``WRONG``."""
        self.flaws.append(Flaw(self.file, node.line, path, key, values))
        return WRONG


class Kind(Protocol):
    """One kind of value."""

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        """Return the value, or ``WRONG`` after noting why."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A text of ``least`` to ``most`` characters; with ``numbers`` also a whole number."""

    most: int | None = None
    least: int = 0
    numbers: bool = False

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        value = node.value
        if self.numbers and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value is None:
            return notes.wrong(node, path, "field.no_value")
        if not isinstance(value, str):
            quoted = not isinstance(value, (list, dict))
            return notes.wrong(node, path, "field.text_quoted" if quoted else "field.text")
        if not is_unicode(value):
            return notes.wrong(node, path, "field.not_unicode")
        if self.most is not None and len(value) > self.most:
            return notes.wrong(node, path, "field.too_long", most=self.most)
        if len(value) < self.least:
            return notes.wrong(node, path, "field.empty")
        return value

    def schema(self) -> dict[str, Any]:
        limits: dict[str, Any] = {"minLength": self.least} if self.least else {}
        if self.most is not None:
            limits["maxLength"] = self.most
        return {"type": ["string", "integer"] if self.numbers else "string", **limits}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within limits."""

    least: int
    most: int

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool):
            if self.least <= value <= self.most:
                return value
        elif value is None:
            return notes.wrong(node, path, "field.no_value")
        return notes.wrong(node, path, "field.whole", least=self.least, most=self.most)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        if isinstance(node.value, bool):
            return node.value
        return notes.wrong(node, path, "field.flag")

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Duration:
    """``2h30m``; read as whole seconds from ``least_s`` to ``most_s``."""

    least_s: int
    most_s: int

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        seconds = amounts.parse_duration(node.value) if isinstance(node.value, str) else None
        if seconds is None:
            return notes.wrong(node, path, "field.duration")
        if not self.least_s <= seconds <= self.most_s:
            most = amounts.duration_text(self.most_s)
            return notes.wrong(node, path, "field.duration_range", most=most)
        return seconds

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": amounts.DURATION_PATTERN, "examples": ["2h30m"]}


@dataclass(frozen=True, slots=True)
class Size:
    """``10GiB``; read as a whole number of ``unit_bytes``, at most ``most_bytes``."""

    unit_bytes: int
    most_bytes: int

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        size_bytes = amounts.parse_size(node.value) if isinstance(node.value, str) else None
        if size_bytes is None:
            return notes.wrong(node, path, "field.size")
        if size_bytes > self.most_bytes:
            most = amounts.size_text(self.most_bytes)
            return notes.wrong(node, path, "field.size_range", most=most)
        if size_bytes % self.unit_bytes:
            unit = amounts.size_text(self.unit_bytes).removeprefix("1")
            return notes.wrong(node, path, "field.size_unit", unit=unit)
        return size_bytes // self.unit_bytes

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": amounts.SIZE_PATTERN, "examples": ["10GiB"]}


@dataclass(frozen=True, slots=True)
class Yuan:
    """``"1234.50"`` or a whole number of yuan; read as fen."""

    most_fen: int

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        value = node.value
        fen = amounts.parse_yuan(value) if isinstance(value, str) else None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            fen = value * 100
        if fen is None:
            return notes.wrong(node, path, "field.yuan")
        if fen > self.most_fen:
            most = amounts.yuan_text(self.most_fen)
            return notes.wrong(node, path, "field.yuan_range", most=most)
        return fen

    def schema(self) -> dict[str, Any]:
        most = self.most_fen // 100
        return {
            "oneOf": [
                {"type": "string", "pattern": amounts.YUAN_PATTERN, "examples": ["1234.50"]},
                {"type": "integer", "minimum": 0, "maximum": most},
            ]
        }


@dataclass(frozen=True, slots=True)
class Instant:
    """A time of RFC 3339 with its zone; read as a ``datetime``."""

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        value = node.value
        if isinstance(value, str) and _INSTANT.fullmatch(value):
            try:
                instant = datetime.fromisoformat(value)
                if math.isfinite(instant.timestamp()):
                    return instant
            except (ValueError, OverflowError):
                pass
        return notes.wrong(node, path, "field.instant")

    def schema(self) -> dict[str, Any]:
        example = "2027-01-31T18:00:00+08:00"
        return {"type": "string", "pattern": INSTANT_PATTERN, "examples": [example]}


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        if node.value in self.words:
            return node.value
        return notes.wrong(node, path, "field.choice", words=", ".join(self.words))

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class ListOf:
    """``least`` to ``most`` values of one kind; read as a list."""

    item: Kind
    least: int = 0
    most: int | None = None
    key: str = "field.list"

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        if not isinstance(node.value, list):
            return notes.wrong(node, path, self.key)
        if len(node.value) < self.least or (self.most and len(node.value) > self.most):
            most = "…" if self.most is None else self.most
            return notes.wrong(node, path, "field.count", least=self.least, most=most)
        found = []
        for index, item in enumerate(node.value):
            notes.places[f"{path}[{index}]"] = item.line
            found.append(self.item.read(item, f"{path}[{index}]", notes))
        return found

    def schema(self) -> dict[str, Any]:
        limits = {} if self.most is None else {"maxItems": self.most}
        if self.least:
            limits["minItems"] = self.least
        return {"type": "array", "items": self.item.schema(), **limits}


@dataclass(frozen=True, slots=True)
class MapOf:
    """At most ``most`` named values of one kind; names match ``names``. Read as a dict."""

    item: Kind
    most: int
    names: str

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        if not isinstance(node.value, dict):
            return notes.wrong(node, path, "field.map")
        if len(node.value) > self.most:
            return notes.wrong(node, path, "field.count", least=0, most=self.most)
        found = {}
        for name, entry in node.value.items():
            where = f"{path}.{name}"
            notes.places[where] = entry.line
            if re.search(self.names, name) is None or not is_unicode(name):
                notes.wrong(Node(entry.line, name), where, "field.name")
            found[name] = self.item.read(Node(entry.line, entry.node.value), where, notes)
        return found

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "propertyNames": {"pattern": self.names},
            "additionalProperties": self.item.schema(),
            "maxProperties": self.most,
        }


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record; ``help`` is for whoever reads the schema."""

    kind: Kind
    help: str
    mandatory: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known fields; ``hints`` maps words that people try to the right ones."""

    fields: Mapping[str, Field]
    hints: Mapping[str, str] = field(default_factory=dict)

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        if not isinstance(node.value, dict):
            return notes.wrong(node, path, "field.map")
        prefix = f"{path}." if path else ""
        found: dict[str, Any] = {}
        meant: set[str | None] = set()
        for name, entry in node.value.items():
            where = prefix + name
            notes.places[where] = entry.line
            known = self.fields.get(name)
            at = Node(entry.line, entry.node.value)
            if known is None:
                meant.add(self._unknown(at, name, where, notes))
            elif isinstance(entry.node.value, (list, dict)):
                found[name] = known.kind.read(entry.node, where, notes)
            else:
                found[name] = known.kind.read(at, where, notes)
        for name, one in self.fields.items():
            if one.mandatory and name not in node.value and name not in meant:
                notes.wrong(node, prefix + name, "field.missing")
        return found

    def _unknown(self, at: Node, name: str, where: str, notes: Notes) -> str | None:
        """Note an unknown field; returns the known one that was probably meant."""
        near = self.hints.get(name.lower().replace("-", "_"))
        if near is None:
            close = difflib.get_close_matches(name.lower(), self.fields, 1)
            near = close[0] if close else None
        if near is not None:
            notes.wrong(at, where, "field.unknown_near", near=near)
        else:
            notes.wrong(at, where, "field.unknown", known=", ".join(self.fields))
        return near

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {**one.kind.schema(), "description": one.help}
                for name, one in self.fields.items()
            },
            "required": [name for name, one in self.fields.items() if one.mandatory],
        }


@dataclass(frozen=True, slots=True)
class OrText:
    """A record, or a text alone that stands for a record with the field ``name``."""

    record: Record
    name: str

    def read(self, node: Node, path: str, notes: Notes) -> Any:
        if isinstance(node.value, dict):
            return self.record.read(node, path, notes)
        return {self.name: self.record.fields[self.name].kind.read(node, path, notes)}

    def schema(self) -> dict[str, Any]:
        return {"oneOf": [self.record.schema(), self.record.fields[self.name].kind.schema()]}
