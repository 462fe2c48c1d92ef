"""The file of faults of a replay, YAML or JSON; all of it may be left out.

    seed: 7
    attempts_max: 3
    failures:
      npu: {percent: 28, classes: {USER_CODE: 60, OUT_OF_MEMORY: 15, NODE: 20, CENTER: 5}}
      "*": {percent: 6, classes: {USER_CODE: 1}}
    cancellations: {waiting_percent: 5, patience_h: 2, running_percent: 4}
    outages:
      - {at_percent: 40, hours: 6, kinds: [npu], runs: hang}     # or: die
    cuts:
      - {at_percent: 65, hours: 48, to_percent: 75}

``at_percent`` is of the workload's span. What is left out is as in the default; an empty list is
none. Anything else in the file is an error.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from scheduler.domain.states import FailureClass
from scheduler.replay.faults import DEFAULT, HOUR_MS, CutAt, Failing, Faults, OutageAt
from scheduler.replay.trace import ReplayError
from scheduler.replay.yaml_file import read_yaml

_CLASSES: Final = frozenset(map(str, FailureClass)) - {"PREEMPTED"}
_RUNS: Final = {"die": False, "hang": True}


def read_faults(path: Path) -> Faults:
    """Read a file of faults; raises ``ReplayError`` naming file and field."""
    content = read_yaml(path)
    fields = _Fields(str(path), "", content)
    fields.only(("seed", "attempts_max", "failures", "cancellations", "outages", "cuts"))
    found = replace(
        DEFAULT,
        seed=fields.whole("seed", DEFAULT.seed, 0, 1 << 40),
        attempts_max=fields.whole("attempts_max", DEFAULT.attempts_max, 1, 20),
        outages=fields.listed("outages", _outage, DEFAULT.outages),
        cuts=fields.listed("cuts", _cut, DEFAULT.cuts),
    )
    if "failures" in fields.values:
        kinds = _Fields(str(path), "failures", fields.values["failures"])
        found = replace(
            found, failures={kind: _failing(kinds.inner(kind)) for kind in kinds.values}
        )
    if "cancellations" in fields.values:
        found = _cancellations(found, fields.inner("cancellations"))
    return found


class _Fields:
    """The named values of one place in the file."""

    def __init__(self, file: str, where: str, values: object) -> None:
        self._file, self._where = file, where
        if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
            raise self.wrong("", "expected names with a value each")
        self.values: dict[str, Any] = values

    def wrong(self, name: str, what: str) -> ReplayError:
        """An error at one of the values."""
        place = ".".join(part for part in (self._where, name) if part)
        return ReplayError(f"{self._file}: {place or 'the file'}: {what}")

    def only(self, known: Collection[str]) -> None:
        """Refuse names that mean nothing here."""
        for name in self.values:
            if name not in known:
                raise self.wrong(name, f"unknown, use {', '.join(known)}")

    def inner(self, name: str) -> "_Fields":
        """The named values under a name."""
        return _Fields(
            self._file, ".".join(part for part in (self._where, name) if part), self.values[name]
        )

    def whole(self, name: str, default: int | None, least: int, most: int) -> int:
        """A whole number; ``default`` None says that it must be there."""
        value = self.values.get(name, default)
        if value is None:
            raise self.wrong(name, "is missing")
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, f"{value!r} is no whole number in {least}..{most}")
        return value

    def scaled(self, name: str, default: int | None, by: int, most: float) -> int:
        """A number from 0 to ``most`` in units of 1/``by``."""
        value = self.values.get(name)
        if value is None:
            if default is None:
                raise self.wrong(name, "is missing")
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise self.wrong(name, f"{value!r} is no number in 0..{most:g}")
        return round(value * by)

    def listed(self, name: str, read: Callable[["_Fields"], Any], default: Any) -> tuple[Any, ...]:
        """A list of places like this one."""
        if name not in self.values:
            return tuple(default)
        values = self.values[name]
        if not isinstance(values, list):
            raise self.wrong(name, "expected a list")
        return tuple(
            read(_Fields(self._file, f"{name}[{number}]", one)) for number, one in enumerate(values)
        )

    def kinds(self) -> frozenset[str]:
        """The kinds that are named; none for all."""
        value = self.values.get("kinds", [])
        if not isinstance(value, list) or not all(isinstance(kind, str) for kind in value):
            raise self.wrong("kinds", "expected a list of kinds")
        return frozenset(value)


def _failing(fields: _Fields) -> Failing:
    fields.only(("percent", "classes"))
    rate_bp = fields.scaled("percent", None, 100, 100)
    classes = fields.inner("classes") if "classes" in fields.values else None
    if classes is None:
        raise fields.wrong("classes", "is missing")
    classes.only(sorted(_CLASSES))
    weights = {name: classes.whole(name, None, 0, 1_000_000) for name in classes.values}
    if not any(weights.values()):
        raise fields.wrong("classes", "one of them must weigh more than 0")
    return Failing(rate_bp, weights)


def _cancellations(found: Faults, fields: _Fields) -> Faults:
    fields.only(("waiting_percent", "patience_h", "running_percent"))
    return replace(
        found,
        waiting_bp=fields.scaled("waiting_percent", found.waiting_bp, 100, 100),
        patience_ms=max(1, fields.scaled("patience_h", found.patience_ms, HOUR_MS, 10_000)),
        running_bp=fields.scaled("running_percent", found.running_bp, 100, 100),
    )


def _outage(fields: _Fields) -> OutageAt:
    fields.only(("at_percent", "hours", "kinds", "runs"))
    runs = fields.values.get("runs", "die")
    if runs not in _RUNS:
        raise fields.wrong("runs", f"{runs!r} is neither die nor hang")
    return OutageAt(
        fields.scaled("at_percent", None, 100, 100),
        fields.scaled("hours", None, HOUR_MS, 100_000),
        fields.kinds(),
        _RUNS[runs],
    )


def _cut(fields: _Fields) -> CutAt:
    fields.only(("at_percent", "hours", "to_percent", "kinds"))
    return CutAt(
        fields.scaled("at_percent", None, 100, 100),
        fields.scaled("hours", None, HOUR_MS, 100_000),
        fields.scaled("to_percent", None, 100, 100),
        fields.kinds(),
    )
