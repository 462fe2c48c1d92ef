"""The contract between Corridor and a compute center (DESIGN.md 7).

An adapter is small, asynchronous and the same for every kind of center. It holds no truth: the
scheduler's store does. What an adapter must keep is that ``submit`` is idempotent on the run's
name, that a run can be found again **by that name** after any lost answer, and that errors are
told apart by class (``adapters.errors``), never by text. ``adapters.conformance`` checks it.

Times are epoch milliseconds UTC as the center's clock gave them; quantities are whole units
(cards or cores).
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from adapters.errors import plain

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_s() -> float:
    """Return real seconds since the machine began; they go on while it, or we, are suspended."""
    return time.clock_gettime(_BOOT_CLOCK)


class FailureClass(StrEnum):
    """Why a run ended badly; the retry policy and the bill depend on it."""

    USER_CODE = "USER_CODE"
    TIME_LIMIT = "TIME_LIMIT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    NODE = "NODE"
    CENTER = "CENTER"
    IMAGE = "IMAGE"
    INPUT = "INPUT"
    PREEMPTED = "PREEMPTED"
    REJECTED_BY_CENTER = "REJECTED_BY_CENTER"
    LOST = "LOST"


class Phase(StrEnum):
    """What a center says of a run; the first two are active, the others final."""

    WAITING = "WAITING"  # in the center's own queue
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    PREEMPTED = "PREEMPTED"


ACTIVE_PHASES = frozenset({Phase.WAITING, Phase.RUNNING})


@dataclass(frozen=True, slots=True)
class FlavorCapacity:
    """What a center offers of one flavor: ``units`` in all, ``units_per_node`` on one node."""

    flavor: str
    units: int
    units_per_node: int
    architecture: str  # "aarch64" or "x86_64"
    #: Held now by all users of the center, and runs in its own queue; None where it does not tell.
    used_units: int | None = None
    waiting_runs: int | None = None


@dataclass(frozen=True, slots=True)
class CenterDescription:
    """A center as it describes itself. ``simulated`` is shown wherever the center is."""

    center: str
    kind: str
    api_version: str
    simulated: bool
    flavors: tuple[FlavorCapacity, ...]


@dataclass(frozen=True, slots=True)
class DataRef:
    """One input or output: its address and how large it is (0 = not known).

    ``location`` is the city or center where it lies (``cities/wuhan``), as far as it is known.
    """

    uri: str
    size_bytes: int = 0
    location: str = ""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """All a center needs to run one attempt of a job.

    ``name`` is the idempotency key and the mark by which the run is found again; it derives from
    the run id alone. ``units`` is ``units_per_node * nodes``, a gang: all of it or nothing.
    ``epoch`` is the fencing epoch of the leader that sent it. ``fresh`` says that nobody ever
    called a center for this run, so that it need not be looked up before it is sent. After
    ``send_by_s`` on the clock of ``boot_s`` no center is to be called for it any more: who is late,
    as the process was stopped meanwhile, raises ``Unavailable``. Another leader may have sent it.
    ``trace_id`` is for the log: 32 hexadecimal digits, empty for a job that is not followed.
    """

    run_id: str
    name: str
    epoch: int
    city: str
    enterprise: str
    flavor: str
    units_per_node: int
    nodes: int
    wall_limit_s: int
    memory_mib_per_node: int = 0
    image: str = ""
    command: tuple[str, ...] = ()
    script: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[DataRef, ...] = ()
    outputs: tuple[DataRef, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False
    send_by_s: float = math.inf
    trace_id: str = ""

    @property
    def ref(self) -> "RunRef":
        """The run, of which no answer is known yet."""
        return RunRef(self.run_id, self.name)

    @property
    def said(self) -> Mapping[str, str]:
        """What lines of the log about it say (``adapters.telling.Subject``)."""
        ids = {"run": self.run_id, "city": self.city, "enterprise": self.enterprise}
        return {**ids, "trace_id": self.trace_id} if self.trace_id else ids

    @property
    def units(self) -> int:
        """Units the run occupies as a whole."""
        return self.units_per_node * self.nodes


@dataclass(frozen=True, slots=True)
class RunRef:
    """A run as its scheduler knows it, by which a center finds it again.

    ``native_id`` and ``submit_ms`` are what the center answered; empty and 0 if no answer arrived.
    A native id alone is no identity: centers give theirs out again.
    """

    run_id: str
    name: str
    native_id: str = ""
    submit_ms: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The center took the run (now or in an earlier call under the same name)."""

    run_id: str
    native_id: str
    submit_ms: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "native_id", plain(self.native_id))


@dataclass(frozen=True, slots=True)
class Observation:
    """What a center says of one run at one moment.

    ``sequence`` grows with every change the center makes to the run, so that an older observation
    which arrives late is known as such. ``failure`` is set exactly when ``phase`` is FAILED or
    PREEMPTED. ``queue_position`` is the place in the center's own queue, 1 for the next.
    """

    run_id: str
    native_id: str
    phase: Phase
    sequence: int
    submit_ms: int
    start_ms: int | None = None
    end_ms: int | None = None
    failure: FailureClass | None = None
    exit_code: int | None = None
    message: str = ""
    queue_position: int | None = None

    def __post_init__(self) -> None:
        # What is no text would be refused with all that is told beside it, again and again.
        object.__setattr__(self, "message", plain(self.message))
        object.__setattr__(self, "native_id", plain(self.native_id))


@dataclass(frozen=True, slots=True)
class Usage:
    """The metered use of one run: the final word on what is billed.

    A segment is one uninterrupted stretch on the center's nodes; ``revision`` counts corrections
    by the center. ``raw_sha256`` is the digest of the center's own record. ``failure`` is what cut
    the stretch off, if its program was to go on: a run that its center starts again has several.
    """

    run_id: str
    native_id: str
    submit_ms: int
    segment: int
    revision: int
    start_ms: int
    end_ms: int
    units: int
    raw_sha256: str
    source: str
    failure: FailureClass | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of observations; ``next_token`` is empty on the last page."""

    observations: tuple[Observation, ...]
    next_token: str = ""


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A piece of a run's log from ``offset``; ``end`` says that no more will come."""

    data: bytes
    offset: int
    next_offset: int
    end: bool


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the center can be worked with, in one word and one line."""

    ok: bool
    detail: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", plain(self.detail))


class CenterAdapter(Protocol):
    """One center. Every method may raise the errors of ``adapters.errors`` and no others."""

    async def describe(self) -> CenterDescription:
        """Flavors, capacity and versions as the center states them now."""
        ...

    async def submit(self, request: RunRequest) -> Accepted:
        """Start a run; a second call with the same name returns the first one's answer.

        A request that is not ``fresh`` may have been taken in an earlier call, by another process:
        a center that takes one name twice is asked for it first. Raises ``OutcomeUnknown`` when
        the center may have taken it: look it up, never retry blind.
        """
        ...

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        """Observations of those runs that the center knows, by run id; others are left out.

        A run left out is absent once the settle window since its last possible submission has
        passed (``settle_s``): the center has no record of it, neither among what waits and runs
        nor in its accounting. Raises ``Unavailable`` if the center can be asked only in part.
        """
        ...

    async def list_active(self, page_token: str = "") -> Page:
        """All runs with our mark that have not ended, in pages, for level-triggered following."""
        ...

    async def cancel(self, run: RunRef) -> None:
        """Ask for the run's end; idempotent; the end is confirmed by a later observation."""
        ...

    async def notify(self, run: RunRef, grace_s: int) -> None:
        """Tell the run's program that it will be ended in ``grace_s`` seconds of its time.

        The program may save its work and exit; it is ended by a ``cancel`` after the grace, never
        by the notice. Idempotent: the first notice counts. A run that does not run, has ended or
        is unknown is told nothing, and that is no error; nor is a center that cannot tell.
        """
        ...

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """Metered segments of ended runs; a run not metered yet is left out."""
        ...

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        """Hear that ends and use of these runs are kept durably elsewhere and not asked for again.

        What was kept of them here may be let go of. Runs that are unknown here are no error.
        """
        ...

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        """At most ``limit`` bytes of the run's log from ``offset``."""
        ...

    async def health(self) -> Health:
        """Whether the center answers; never raises for a center that is merely down."""
        ...

    async def wait_for_change(self, timeout_s: float) -> bool:
        """Return early with True when something may have changed: a hint, never relied upon."""
        ...

    async def close(self) -> None:
        """Let go of connections and tasks."""
        ...

    @property
    def settle_s(self) -> float:
        """Seconds after a submission before "not found" means that the center never took it."""
        ...

    @property
    def provisional_s(self) -> float:
        """Seconds for which the center may still forget a run that it has accepted; often 0.

        A run that was accepted, never seen to run and is absent was forgotten, and is sent again.
        """
        ...
