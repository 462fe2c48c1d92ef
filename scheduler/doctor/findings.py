"""What a check came to: findings, each a text of the catalog with its values, and where to read on.

The words are the command line's (``scheduler.cli.texts.doctor``): what is so, and in the next line
what to do about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters: something fails or will soon, may become so, or is well.

    SKIPPED: it was not looked at, and the finding says why.
    """

    OK = "OK"
    SKIPPED = "SKIPPED"
    WARNING = "WARNING"
    FAILURE = "FAILURE"


class Span(int):
    """A length of time in milliseconds."""


class Size(int):
    """So many bytes."""


#: What a text is filled with. None of it is ever a secret.
Value = str | int | Span | Size


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. ``key`` is its text, ``see`` a page of the repository with an anchor."""

    level: Level
    key: str
    values: Mapping[str, Value] = field(default_factory=dict)
    see: str = ""


#: A check's findings; none is never returned.
Findings = list[Finding]


def ok(key: str, **values: Value) -> Finding:
    """All is well."""
    return Finding(Level.OK, key, values)


def skipped(key: str, **values: Value) -> Finding:
    """It was not looked at."""
    return Finding(Level.SKIPPED, key, values)


def warn(key: str, see: str = "", **values: Value) -> Finding:
    """Somebody should look at it within the day."""
    return Finding(Level.WARNING, key, values, see)


def fail(key: str, see: str = "", **values: Value) -> Finding:
    """Somebody should look at it now."""
    return Finding(Level.FAILURE, key, values, see)


def worst(findings: Sequence[Finding]) -> Level:
    """Return the level that counts most; OK if there is none."""
    order = list(Level)
    return max((one.level for one in findings), key=order.index, default=Level.OK)
