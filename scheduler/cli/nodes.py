"""YAML and JSON as trees that know their lines.

One document is a ``Node``: a mapping, a list, or a scalar. Scalars follow YAML 1.2 and JSON, so
``no`` and ``22:30`` are texts; numbers in notations that readers of YAML take differently (``010``,
``0x10``) are ``ODD``: neither text nor number. Nothing in a file is executed or constructed.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from scheduler.cli.flaws import BadFile, Flaw

if TYPE_CHECKING:
    import yaml

DEPTH_MAX: Final = 64
_DIGITS_MAX: Final = 40


class Odd:
    """A number in a notation that readers of YAML understand differently."""


ODD: Final = Odd()
Scalar = str | int | float | bool | Odd | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of a mapping and the line of its key."""

    line: int
    node: "Node"


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the line where it begins, from 1."""

    line: int
    value: "Scalar | list[Node] | dict[str, Entry]"


def read_documents(text: str, file: str) -> list[Node]:
    """Return the documents of a YAML or JSON text; raises ``BadFile``.

    ``*.yaml`` and ``*.yml`` are YAML, ``*.json`` is JSON, anything else is JSON if it begins with
    a bracket. JSON documents may follow one another; empty documents of YAML are left out.
    """
    text = text.removeprefix("\ufeff")
    lower = file.lower()
    if lower.endswith((".yaml", ".yml")):
        is_json = False
    else:
        is_json = lower.endswith((".json", ".jsonl")) or text.lstrip()[:1] in ("{", "[")
    try:
        return list(_JsonReader(text, file).documents() if is_json else _yaml(text, file))
    except RecursionError:
        raise BadFile([Flaw(file, 1, "", "file.too_deep", {"most": DEPTH_MAX})]) from None


# --- YAML -----------------------------------------------------------------------------------------

_INT: Final = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_INT_12: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT_12: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", re.ASCII | re.I
)
_STANDARD: Final = "tag:yaml.org,2002:"
#: Problem of the reader, as far as it is always worded -> text, and whether the place where the
#: reader began tells more than the place where it gave up.
_PROBLEMS: Final = (
    ("nesting depth", "file.too_deep", False),
    ("mapping values are not allowed", "file.colon", False),
    ("expected ':'", "file.no_colon", True),
    ("unexpected end of stream", "file.open_quote", True),
    ("expected ',' or", "file.open_bracket", True),
    ("expected key", "file.indentation", False),
    ("<block end>", "file.indentation", False),
    ("cannot start any token", "file.needs_quotes", False),
)


def _yaml(text: str, file: str) -> Iterator[Node]:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for document in yaml.compose_all(text, Loader=loader):
            if document is not None and not _is_empty(document):
                yield _YamlTree(file).node(document, 0)
    except yaml.MarkedYAMLError as error:
        raise BadFile([_yaml_flaw(error, text, file)]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadFile([Flaw(file, line, "", "file.control_character", {})]) from error


def _is_empty(document: "yaml.Node") -> bool:
    return document.value == "" and not getattr(document, "style", None)


def _yaml_flaw(error: "yaml.MarkedYAMLError", text: str, file: str) -> Flaw:
    problem = str(error.problem or error.context or "")
    mark = error.problem_mark or error.context_mark
    line = 0 if mark is None else mark.line
    lines = text.split("\n")
    written = lines[line] if line < len(lines) else ""
    indentation = written[: len(written) - len(written.lstrip())]
    if "\t" in indentation:
        return Flaw(file, line + 1, "", "file.tab", {})
    for words, key, at_begin in _PROBLEMS:
        if words in problem:
            if at_begin and error.context_mark is not None:
                line = error.context_mark.line
            return Flaw(file, line + 1, "", key, {"most": DEPTH_MAX})
    return Flaw(file, line + 1, "", "file.not_yaml", {"problem": problem})


class _YamlTree:
    """Makes our tree of PyYAML's; an alias costs nothing the second time."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._made: dict[int, Node | None] = {}

    def node(self, node: "yaml.Node", depth: int) -> Node:
        """Return our node; raises ``BadFile``."""
        known = self._made.get(id(node), self)
        if isinstance(known, Node):
            return known
        line = node.start_mark.line + 1
        if known is None:
            raise BadFile([Flaw(self._file, line, "", "file.loop", {})])
        if depth > DEPTH_MAX:
            raise BadFile([Flaw(self._file, line, "", "file.too_deep", {"most": DEPTH_MAX})])
        self._made[id(node)] = None
        made = Node(line, self._value(node, line, depth + 1))
        self._made[id(node)] = made
        return made

    def _value(
        self, node: "yaml.Node", line: int, depth: int
    ) -> "Scalar | list[Node] | dict[str, Entry]":
        if not node.tag.startswith(_STANDARD) or node.tag.startswith(f"{_STANDARD}python"):
            raise BadFile([Flaw(self._file, line, "", "file.tag", {"tag": node.tag})])
        if isinstance(node.value, str):
            return _scalar(node)
        if node.value and isinstance(node.value[0], tuple):
            return self._mapping(node.value, depth)
        if node.tag == f"{_STANDARD}map":
            return {}
        return [self.node(item, depth) for item in node.value]

    def _mapping(self, pairs: "list[tuple[yaml.Node, yaml.Node]]", depth: int) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for key, value in pairs:
            line = key.start_mark.line + 1
            name = _scalar(key) if isinstance(key.value, str) else None
            if not isinstance(name, str):
                raise BadFile([Flaw(self._file, line, "", "file.key_not_text", {})])
            if name in found:
                values = {"line": found[name].line}
                raise BadFile([Flaw(self._file, line, name, "file.twice", values)])
            found[name] = Entry(line, self.node(value, depth))
        return found


def _scalar(node: "yaml.Node") -> Scalar:
    """Resolve a scalar; its tag is what YAML 1.1 makes of it, or what the file says it is."""
    text: str = node.value
    kind = node.tag.removeprefix(_STANDARD)
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and _INT.fullmatch(text):
        return int(text) if len(text) <= _DIGITS_MAX else ODD
    if kind == "int" and _INT_12.fullmatch(text):
        return ODD
    if kind == "float" and _FLOAT_12.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


# --- JSON -----------------------------------------------------------------------------------------

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_DECODER: Final = json.JSONDecoder()
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}


class _JsonReader:
    """A reader of JSON that keeps lines, which the one of the standard library does not."""

    def __init__(self, text: str, file: str) -> None:
        self._text, self._file = text, file
        self._breaks = [at for at, char in enumerate(text) if char == "\n"]

    def documents(self) -> Iterator[Node]:
        """Yield the values of the text, one after another; raises ``BadFile``."""
        at = self._skip(0)
        while at < len(self._text):
            node, at = self._node(at, 0)
            yield node
            at = self._skip(at)

    def _line(self, at: int) -> int:
        return bisect_right(self._breaks, at - 1) + 1

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def _bad(self, at: int, key: str, **values: Any) -> BadFile:
        return BadFile([Flaw(self._file, self._line(at), "", key, values)])

    def _node(self, at: int, depth: int) -> tuple[Node, int]:
        if depth > DEPTH_MAX:
            raise self._bad(at, "file.too_deep", most=DEPTH_MAX)
        line = self._line(at)
        char = self._text[at : at + 1]
        if char == "{":
            entries, end = self._object(at + 1, depth)
            return Node(line, entries), end
        if char == "[":
            items, end = self._array(at + 1, depth)
            return Node(line, items), end
        if char == '"':
            written, end = self._string(at)
            return Node(line, written), end
        for word, value in _WORDS.items():
            if self._text.startswith(word, at):
                return Node(line, value), at + len(word)
        number = _NUMBER.match(self._text, at)
        if number is None:
            raise self._bad(at, "file.not_json_value")
        digits = number.group()
        if number.group(1) or number.group(2):
            return Node(line, float(digits)), number.end()
        return Node(line, int(digits) if len(digits) <= _DIGITS_MAX else ODD), number.end()

    def _string(self, at: int) -> tuple[str, int]:
        try:
            text, end = _DECODER.raw_decode(self._text, at)
        except json.JSONDecodeError as error:
            unclosed = "Unterminated" in error.msg
            key = "file.open_quote" if unclosed else "file.not_json_text"
            raise self._bad(at if unclosed else error.pos, key) from error
        return str(text), end

    def _array(self, at: int, depth: int) -> tuple[list[Node], int]:
        items: list[Node] = []
        begin, at = at - 1, self._skip(at)
        if self._text.startswith("]", at):
            return items, at + 1
        while True:
            node, at = self._node(at, depth + 1)
            items.append(node)
            at, ended = self._after(at, begin, "]")
            if ended:
                return items, at

    def _object(self, at: int, depth: int) -> tuple[dict[str, Entry], int]:
        entries: dict[str, Entry] = {}
        begin, at = at - 1, self._skip(at)
        if self._text.startswith("}", at):
            return entries, at + 1
        while True:
            if not self._text.startswith('"', at):
                raise self._bad(min(at, len(self._text) - 1), "file.not_json_key")
            line = self._line(at)
            name, at = self._string(at)
            if name in entries:
                values = {"line": entries[name].line}
                raise BadFile([Flaw(self._file, line, name, "file.twice", values)])
            at = self._skip(at)
            if not self._text.startswith(":", at):
                raise self._bad(at, "file.no_colon")
            node, at = self._node(self._skip(at + 1), depth + 1)
            entries[name] = Entry(line, node)
            at, ended = self._after(at, begin, "}")
            if ended:
                return entries, at

    def _after(self, at: int, begin: int, closing: str) -> tuple[int, bool]:
        """Return where to go on after an item, and whether its list or object ends there."""
        at = self._skip(at)
        char = self._text[at : at + 1]
        if char == closing:
            return at + 1, True
        if char != ",":
            raise self._bad(at if char else begin, "file.open_bracket")
        return self._skip(at + 1), False
