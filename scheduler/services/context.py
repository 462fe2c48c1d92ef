"""What every use case is given: the store, the clocks, the ids and views of the control loop.

The views are ports: the control loop implements them in the leader's process; a use case asks
through them and never reaches into the loop.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from adapters.contract import FlavorCapacity, LogChunk, RunRef, Usage
from adapters.gate import GateState
from scheduler.clock import Clock
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import IdGenerator
from scheduler.domain.inventory import Inventory
from scheduler.placement.model import Explanation, JobQueued
from scheduler.services.submission_desk import SubmissionDesk
from scheduler.store.database import Database
from scheduler.whatif.answers import Answer, Progress, SimulationFailed
from scheduler.whatif.figures import Asker
from scheduler.whatif.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class CenterStatus:
    """How a center answers at the moment; ``last_answer_ms`` 0 if it never did.

    ``last_error`` is the last one of following, kept when it answers again; ``offered`` is what
    it last said of its flavors, and ``waiting_jobs`` who waits here for them, by flavor.
    ``unknown``: nobody can say, for nobody leads.
    """

    reachable: bool
    detail: str
    last_answer_ms: int
    last_error: str = ""
    last_error_ms: int = 0
    gate: GateState | None = None
    offered: Mapping[str, FlavorCapacity] = field(default_factory=dict)
    waiting_jobs: Mapping[str, int] | None = None
    unknown: bool = False


class PlannerView(Protocol):
    """What the planner knows of waiting jobs. Raises ``TemporarilyAway`` while there is none."""

    async def explain(self, uid: int) -> Explanation | None:
        """Why a job waits; None if the planner does not hold it."""
        ...

    async def estimate(self, job: JobQueued) -> Explanation:
        """What would be said of this job if it were queued now; nothing is kept."""
        ...


class CentersView(Protocol):
    """The centers' adapters as the use cases may see them."""

    def status(self, center: str) -> CenterStatus:
        """Whether the center answers."""
        ...

    async def take_inventory(self, center: str) -> Inventory:
        """Look at all that a center has now; ``TemporarilyAway`` if it does not answer."""
        ...

    async def read_logs(self, center: str, run: RunRef, offset: int, limit: int) -> LogChunk:
        """A piece of a run's log."""
        ...

    async def usage(self, center: str, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """What the center metered of runs; those that it cannot tell of are left out."""
        ...


class Simulator(Protocol):
    """Plays scenarios over the history. Raises what ``scheduler.whatif.answers`` has for it."""

    def simulate(
        self, days: int, scenarios: Sequence[Scenario], asker: Asker
    ) -> AsyncGenerator[Progress | Answer]:
        """Yield progress, then the answer; closing it ends all that runs for it."""
        ...


class VerifiedBooks(Protocol):
    """Is told what a verification of books found."""

    def __call__(self, books: str, at_ms: int, problems: int) -> None:
        """``books`` are ledger or budgets; ``at_ms`` is the wall clock's."""
        ...


def _untold(books: str, at_ms: int, problems: int) -> None:
    """Nobody is told."""


class NoSimulator:
    """A service that plays nothing."""

    def simulate(
        self, days: int, scenarios: Sequence[Scenario], asker: Asker
    ) -> AsyncGenerator[Progress | Answer]:
        """Refuse."""
        raise SimulationFailed("this service plays no simulations")


@dataclass(frozen=True, slots=True)
class Context:
    """The composition root's gift to the use cases.

    ``clock`` is scheduling time (scaled in demonstrations); ``wall_ms`` is the wall clock in epoch
    milliseconds, for tokens and audit. ``simulated`` says that time or a center is not real.
    """

    db: Database
    clock: Clock
    wall_ms: Callable[[], int]
    ids: IdGenerator
    planner: PlannerView
    centers: CentersView
    simulated: bool
    version: str
    desk: SubmissionDesk = field(default_factory=SubmissionDesk)
    simulator: Simulator = field(default_factory=NoSimulator)
    approvals: Approvals = field(default_factory=Approvals)
    on_verified: VerifiedBooks = _untold
