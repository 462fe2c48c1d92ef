"""Lines between cities and centers, and how long inputs take over them: pure arithmetic.

A transfer takes size / bandwidth. It is given in coarse steps, so that jobs with nearly equal
inputs are planned as one kind: whole seconds up to a minute, whole minutes up to an hour, ten
minutes above; always rounded up. Inputs of one job come one after another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from scheduler.errors import FieldViolation

_BITS: Final = 8
_MBIT: Final = 1_000_000
#: (up to seconds, in steps of seconds).
_STEPS: Final = ((60, 1), (3_600, 60))
_STEP_LAST_S: Final = 600
#: Longer than any wall limit: a figure, not a promise.
TRANSFER_MAX_S: Final = 400 * 86_400


class Link(NamedTuple):
    """A line between two nodes (``cities/<code>`` or ``centers/<code>``), the same both ways."""

    one: str
    other: str
    mbit_s: int


@dataclass(frozen=True, slots=True)
class Links:
    """All lines: megabits a second by pair of nodes, each pair both ways, and the known nodes."""

    mbit_s: Mapping[tuple[str, str], int]
    nodes: frozenset[str]

    @classmethod
    def of(cls, links: Iterable[Link], nodes: Iterable[str] = ()) -> "Links":
        """Return the lines with all nodes that data may lie at."""
        pairs: dict[tuple[str, str], int] = {}
        for one, other, mbit_s in links:
            pairs[one, other] = pairs[other, one] = mbit_s
        return cls(pairs, frozenset(nodes))


NO_LINKS: Final = Links.of(())


class Located(NamedTuple):
    """An input of which is known where it lies and how large it is."""

    location: str
    size_bytes: int


def transfer_s(size_bytes: int, mbit_s: int) -> int:
    """Return the seconds that a size takes over a line, before steps, rounded up."""
    return -(-size_bytes * _BITS // (mbit_s * _MBIT))


def in_steps(seconds: int) -> int:
    """Round a duration up to its step."""
    for upto_s, step_s in _STEPS:
        if seconds <= upto_s:
            return -(-seconds // step_s) * step_s
    return min(TRANSFER_MAX_S, -(-seconds // _STEP_LAST_S) * _STEP_LAST_S)


def stage_s(inputs: Iterable[Located], center: str, links: Links) -> int:
    """Return how long the inputs take to a center, in steps; 0 for none, and where no line is
    known."""
    here = f"centers/{center}"
    total = 0
    for one in inputs:
        mbit_s = links.mbit_s.get((one.location, here))
        if mbit_s is not None and one.location != here:
            total += transfer_s(one.size_bytes, mbit_s)
    return in_steps(total)


def check_location(path: str, location: str, links: Links) -> list[FieldViolation]:
    """Check that data lies at a city or center that there is."""
    if not location or location in links.nodes:
        return []
    known = ", ".join(sorted(links.nodes)) or "none"
    problem = f"{location[:80]!r} is no city or center; known are {known}"
    return [FieldViolation(path, problem)]
