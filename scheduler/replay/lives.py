"""What may befall a job from outside the planner: how it runs, fails, is cancelled, is held.

A ``Life`` is all of a job that no planner decides. ``scheduler.replay.world`` lives lives through
with a planner. Times are milliseconds of one clock, quantities whole units of a flavor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from scheduler.domain.outcome import BACKOFF_FIRST_MS, BACKOFF_MAX_MS
from scheduler.domain.states import RETRIED_BY_DEFAULT
from scheduler.placement.model import JobQueued, Option, RunActive

#: What became of a job: the words of job states, and WAITING for one that never could start.
SUCCEEDED: Final = "SUCCEEDED"
FAILED: Final = "FAILED"
CANCELLED: Final = "CANCELLED"
EXPIRED: Final = "EXPIRED"
WAITING: Final = "WAITING"
#: Failures that come from outside the job.
PREEMPTED: Final = "PREEMPTED"
CENTER: Final = "CENTER"
RETRIED: Final = frozenset(map(str, RETRIED_BY_DEFAULT))


class Attempt(NamedTuple):
    """How one attempt goes if nothing from outside ends it.

    It runs ``run_ms`` and then ends well, or with the class ``failure``. ``lag_ms`` pass between
    the planner's start and the real one; the units are held meanwhile. ``units`` is on how many it
    was seen to run, 0 if that does not matter: on other units of the same flavor it takes its time
    in proportion. Only ``tail_ms`` after its end it is known, and the units are free.
    """

    run_ms: int
    failure: str = ""
    lag_ms: int = 0
    units: int = 0
    flavor: str = ""
    tail_ms: int = 0

    def on(self, option: Option) -> int:
        """Return how long it runs on an option."""
        if self.units in (0, option.units) or self.flavor != option.flavor:
            return self.run_ms
        return max(1, min(option.wall_ms, self.run_ms * self.units // option.units))


class Life(NamedTuple):
    """A job as it comes, and all that befalls it whoever plans.

    ``queued.uid`` is its place among the lives. It comes at ``come_ms``. After ``attempts`` are
    used up the last repeats. ``away`` are the spans [from, to) in which it was held. ``running`` is
    the run that it has at the beginning, if it has one: ``attempts[0]`` is then that run. ``after``
    are the places of jobs that must have ended before, and whether each must have ended well; if
    one did not, it is cancelled.
    """

    queued: JobQueued
    come_ms: int
    attempts: tuple[Attempt, ...]
    attempts_max: int = 1
    retry_on: frozenset[str] = RETRIED
    cancel_ms: int | None = None
    deadline_ms: int | None = None
    away: tuple[tuple[int, int], ...] = ()
    running: RunActive | None = None
    after: tuple[tuple[int, bool], ...] = ()

    def attempt(self, number: int) -> Attempt:
        """Return how attempt ``number`` (0 is the first) goes."""
        return self.attempts[min(number, len(self.attempts) - 1)]


class Outage(NamedTuple):
    """A center is away for the span [from, to): nothing starts on its flavors.

    Its runs die (class CENTER), or with ``hang`` stand still and go on when it is back; their
    limits stand still with them.
    """

    flavors: frozenset[str]
    from_ms: int
    to_ms: int
    hang: bool = False


class Cut(NamedTuple):
    """A center grants fewer units of a flavor for the span [from, to); what runs goes on."""

    flavor: str
    from_ms: int
    to_ms: int
    units: int


class Stay(NamedTuple):
    """One run as it went: units were held from ``start_ms``, it ran from ``ran_ms``.

    ``ending`` is empty for a good end, CANCELLED, or the class of its failure. ``hung_ms`` of it
    it stood still, or was over and nobody knew.
    """

    place: int
    option: Option
    start_ms: int
    ran_ms: int
    end_ms: int
    ending: str
    hung_ms: int = 0


class Kept(NamedTuple):
    """A first promise and what came of it: ``void`` if an outage or a cut lay in between."""

    place: int
    flavor: str
    said_ms: int
    promised_ms: int
    started_ms: int
    void: bool

    @property
    def late(self) -> bool:
        """Whether the job started later than promised."""
        return self.started_ms > self.promised_ms


@dataclass(frozen=True, slots=True)
class Lived:
    """How it went: ``states[i]`` and ``first_ms[i]`` (None: never started) are of ``lives[i]``.

    ``evictions`` counts runs that the planner stopped to give lent units back, ``retries`` the
    starts of jobs that had failed before.
    """

    lives: tuple[Life, ...]
    stays: tuple[Stay, ...]
    states: tuple[str, ...]
    first_ms: Mapping[int, int]
    promises: tuple[Kept, ...]
    evictions: int
    retries: int
    cycles: int
    looked_at: int


def backoff_ms(failures: int) -> int:
    """Pause after the so many-th failure: as in the service, without its jitter."""
    return min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS << min(failures - 1, 10))
