"""Findings in short, and every one of them put into words, in both languages."""

from collections.abc import Iterable

from scheduler.cli.texts import LANGUAGES, text
from scheduler.doctor.findings import Finding, Level

_SHORT = {Level.OK: "ok", Level.SKIPPED: "skipped", Level.WARNING: "warn", Level.FAILURE: "fail"}


def told(findings: Iterable[Finding]) -> list[str]:
    """Return ``level key`` of each; fails if a text wants a value that is not given."""
    found = list(findings)
    for one in found:
        for lang in LANGUAGES:
            words = text(lang, one.key, **one.values)
            trouble = one.level in (Level.WARNING, Level.FAILURE)
            assert bool(words.partition("\n")[2]) == trouble, f"{one.key}: what to do about it?"
    return [f"{_SHORT[one.level]} {one.key.removeprefix('doctor.')}" for one in found]


def wrong(findings: Iterable[Finding]) -> list[str]:
    """Return only what is not well."""
    return [one for one in told(findings) if one.partition(" ")[0] in ("warn", "fail")]
