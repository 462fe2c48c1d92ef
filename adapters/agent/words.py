"""What an agent and its scheduler say to each other, as data; messages are made of it elsewhere.

The agent dials out and says ``Hello``; the scheduler answers ``Welcome`` with its fencing epoch.
From then on the agent tells what it holds (``Inventory``, then ``Reports`` of what changed, and
``Standing`` as its heartbeat), and the scheduler sends ``Command``s, which are answered by id.
Durations ``_s`` are real seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapters.contract import (
    Accepted,
    CenterDescription,
    LogChunk,
    Observation,
    RunRef,
    RunRequest,
    Usage,
)
from adapters.errors import AdapterError

#: Version of what is said here; a change that an older end would misunderstand makes a new one.
PROTOCOL: Final = 1
#: Neither end is silent for longer; three times as long and the other end takes it for gone.
HEARTBEAT_MAX_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class RunReport:
    """How one run stands, as the agent has it on its disk.

    ``sequence`` is the agent's own: it grows with every change of any run, over restarts too.
    ``usage`` is None while the center has not metered it. ``gone`` says that the center was asked
    all through its settle window and has no record of the run.
    """

    sequence: int
    ref: RunRef
    observation: Observation
    usage: tuple[Usage, ...] | None = None
    gone: bool = False


# --- what the agent says --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """The first word: who speaks, from which journal, and the highest epoch it has obeyed."""

    protocol: int
    center: str
    agent_version: str
    journal_id: str
    epoch_seen: int


@dataclass(frozen=True, slots=True)
class Told:
    """What the center says of itself, when it is first known and whenever it changes."""

    description: CenterDescription
    settle_s: float
    provisional_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """The agent's heartbeat: whether its center answers it.

    ``error`` is why the last look failed, None if it was whole; ``swept_age_s`` is how long ago the
    last whole look began, None if there was none yet. ``clock_s`` is what the agent's ``boot_s``
    was when it said so: by it the scheduler says until when a submission may be made there.
    """

    error: AdapterError | None
    swept_age_s: float | None
    clock_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Inventory:
    """A page of all that the agent holds; the ``first`` begins anew, the ``last`` completes it."""

    runs: tuple[RunReport, ...]
    first: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Reports:
    """Runs that changed, each as it stands now, in the order of their sequences."""

    runs: tuple[RunReport, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command; ``value`` is as ``Command.body`` asks, or the error it raised."""

    command: int
    value: "AnswerValue"


# --- what the scheduler says ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to ``Hello``; who leads under ``epoch`` is obeyed, whoever led before is not."""

    protocol: int
    epoch: int
    heartbeat_s: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The scheduler is there."""


@dataclass(frozen=True, slots=True)
class Ack:
    """All reports up to ``sequence`` have arrived: more may be sent."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What the scheduler found comparing: what it is done with, and what it misses.

    Ends and use of the ``settled`` runs are in its store for good; they may be forgotten. The
    ``wanted`` runs are its own, and the agent did not name them: it looks for them at the center.
    """

    settled: tuple[str, ...]
    wanted: tuple[RunRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Find:
    """Look for runs at the center now; answered by a mapping of observations."""

    runs: tuple[RunRef, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask for a run's end; answered by None."""

    run: RunRef


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell a run's program that it will be ended; answered by None."""

    run: RunRef
    grace_s: int


@dataclass(frozen=True, slots=True)
class ReadLogs:
    """Read a piece of a run's log; answered by it."""

    run: RunRef
    offset: int
    limit: int


@dataclass(frozen=True, slots=True)
class ReadUsage:
    """Ask what was metered of runs; answered by a mapping of segments."""

    runs: tuple[RunRef, ...]


Body = RunRequest | Find | Cancel | Notify | ReadLogs | ReadUsage
Observations = Mapping[str, Observation]
Metered = Mapping[str, tuple[Usage, ...]]


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to ``Find``: runs left out have no record at the center."""

    runs: Observations


@dataclass(frozen=True, slots=True)
class Measured:
    """The answer to ``ReadUsage``: runs left out are not metered yet."""

    runs: Metered


AnswerValue = Accepted | Found | Measured | LogChunk | AdapterError | None


@dataclass(frozen=True, slots=True)
class Command:
    """One call of the adapter, under the epoch of the leader that makes it."""

    id: int
    epoch: int
    body: Body


FromAgent = Hello | Told | Standing | Inventory | Reports | Answer
ToAgent = Welcome | Heartbeat | Ack | Reconciled | Command
