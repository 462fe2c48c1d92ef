"""Our records of use beside a center's own: what each has that the other has not, or has otherwise.

Records are of the same stretch of use if they have the same name (a run's, which no center gives
out twice) and were submitted at the same time, within a tolerance; stretches of one run follow one
another by their start. Numbers that a center gives its jobs are no key: Slurm gives them out again.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple


class DifferenceKind(StrEnum):
    """How the two sides differ."""

    MISSING_HERE = "MISSING_HERE"
    MISSING_THERE = "MISSING_THERE"
    SECONDS = "SECONDS"
    UNITS = "UNITS"
    AMOUNT = "AMOUNT"


class UseRecord(NamedTuple):
    """One stretch of use of a run, as one side has it.

    ``units`` counts the flavor's devices. ``amount_fen`` is what it costs before subsidies, None
    where that side does not say. ``job_uid`` and ``attempt`` are 0 where the run is not known.
    """

    name: str
    native_id: str
    submit_ms: int
    start_ms: int
    end_ms: int
    units: int
    amount_fen: int | None = None
    job_uid: int = 0
    attempt: int = 0
    segment: int = 0

    @property
    def seconds(self) -> int:
        """Whole seconds of it."""
        return (self.end_ms - self.start_ms) // 1000


class Tolerance(NamedTuple):
    """How far apart the two sides may be and still agree."""

    submit_s: int = 60
    seconds: int = 0
    amount_fen: int = 0


class Difference(NamedTuple):
    """One difference; at least one side is there."""

    kind: DifferenceKind
    here: UseRecord | None
    there: UseRecord | None

    @property
    def end_ms(self) -> int:
        """When the use ended: which month it belongs to."""
        side = self.here or self.there
        return 0 if side is None else side.end_ms


class Window(NamedTuple):
    """What ended in [from_ms, to_ms) is compared; records around it only find their pair."""

    from_ms: int
    to_ms: int

    def has(self, record: UseRecord) -> bool:
        """Whether a record is to be judged."""
        return self.from_ms <= record.end_ms < self.to_ms


class Comparison(NamedTuple):
    """How many pairs agree, and what differs, by the end of the use."""

    agreed: int
    differences: tuple[Difference, ...]


def compare(
    here: Iterable[UseRecord], there: Iterable[UseRecord], window: Window, tolerance: Tolerance
) -> Comparison:
    """Pair the records of both sides and say what differs of those that ended in the window."""
    ours, theirs = _by_name(here), _by_name(there)
    agreed, found = 0, list[Difference]()
    for name in sorted({*ours, *theirs}):
        pairs = _paired(ours.get(name, []), theirs.get(name, []), tolerance)
        for mine, other in pairs:
            if not any(one is not None and window.has(one) for one in (mine, other)):
                continue
            differences = _differences(mine, other, tolerance)
            agreed += not differences
            found += differences
    found.sort(key=lambda one: (one.end_ms, one.kind))
    return Comparison(agreed, tuple(found))


def _by_name(records: Iterable[UseRecord]) -> dict[str, list[UseRecord]]:
    found: dict[str, list[UseRecord]] = {}
    for record in sorted(records, key=lambda one: (one.start_ms, one.end_ms, one.native_id)):
        found.setdefault(record.name, []).append(record)
    return found


def _paired(
    ours: Sequence[UseRecord], theirs: Sequence[UseRecord], tolerance: Tolerance
) -> list[tuple[UseRecord | None, UseRecord | None]]:
    """Pair stretches of one run in the order of their starts; one without a pair stands alone."""
    left = list(theirs)
    pairs: list[tuple[UseRecord | None, UseRecord | None]] = []
    for mine in ours:
        other = next((one for one in left if _same(mine, one, tolerance)), None)
        if other is not None:
            left.remove(other)
        pairs.append((mine, other))
    return pairs + [(None, other) for other in left]


def _same(mine: UseRecord, other: UseRecord, tolerance: Tolerance) -> bool:
    return abs(mine.submit_ms - other.submit_ms) <= tolerance.submit_s * 1000


def _differences(
    mine: UseRecord | None, other: UseRecord | None, tolerance: Tolerance
) -> list[Difference]:
    if mine is None:
        return [Difference(DifferenceKind.MISSING_HERE, None, other)]
    if other is None:
        return [Difference(DifferenceKind.MISSING_THERE, mine, None)]
    found = []
    if abs(mine.seconds - other.seconds) > tolerance.seconds:
        found.append(DifferenceKind.SECONDS)
    if mine.units != other.units:
        found.append(DifferenceKind.UNITS)
    if (
        mine.amount_fen is not None
        and other.amount_fen is not None
        and abs(mine.amount_fen - other.amount_fen) > tolerance.amount_fen
    ):
        found.append(DifferenceKind.AMOUNT)
    return [Difference(kind, mine, other) for kind in found]
