"""What a simulation says: how far it is, and at last its answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # it needs numpy, which a command that only asks has no use for
    from scheduler.whatif.figures import Figures


class Phase(StrEnum):
    """What a simulation does."""

    READING = "READING"  # the history
    PLAYING = "PLAYING"  # the scenarios


class Progress(NamedTuple):
    """So many jobs of all scenarios together have ended; for a city in parts of a thousand."""

    phase: Phase
    ended_jobs: int = 0
    total_jobs: int = 0


class Where(StrEnum):
    """Where the scenarios were played."""

    RAY = "RAY"
    PROCESSES = "PROCESSES"


@dataclass(frozen=True, slots=True)
class Answer:
    """The figures of all scenarios: what really happened, today, then those asked for.

    Of ``jobs`` in the span [from_ms, to_ms), those of the asking city, ``estimated`` have not
    ended: how long they run was estimated. ``why_not_ray`` is empty if Ray played them.
    """

    from_ms: int
    to_ms: int
    jobs: int
    estimated: int
    where: Where
    why_not_ray: str
    figures: "tuple[Figures, ...]"
    left_out: Mapping[str, int]


class TooManyJobs(Exception):
    """More jobs than may be simulated."""

    def __init__(self, jobs: int, most: int) -> None:
        super().__init__(f"{jobs} jobs, at most {most}")
        self.jobs, self.most = jobs, most


class Busy(Exception):
    """As many simulations run as may at once."""


class SimulationFailed(Exception):
    """A process of the simulation ended without an answer."""
