"""What the loop tells the metrics: a port, so that the loop knows no metrics library."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from scheduler.control.center_worker import Tracked
from scheduler.placement.core import WaitingCounts
from scheduler.placement.sampling import Judged
from scheduler.store.admission import Admitted
from scheduler.store.database import Database
from scheduler.store.evicting import Orders
from scheduler.store.ingest import Ingested


class LoopMetrics(Protocol):
    """Figures of the control loop; every method is quick and never raises."""

    def leader(self, leads: bool, epoch: int) -> None:
        """Whether this process leads, and its fencing epoch."""
        ...

    def backend(self, name: str) -> None:
        """Where the planner lives now: ``ray`` or ``local``."""
        ...

    def cycle(self, backend: str, seconds: float, looked_at: int, starts: int) -> None:
        """One planning cycle."""
        ...

    def admitted(self, result: Admitted) -> None:
        """One transaction of admissions and refusals."""
        ...

    def ordered(self, orders: Orders) -> None:
        """Runs were ordered to end."""
        ...

    def ingested(self, result: Ingested) -> None:
        """One transaction of reports."""
        ...

    def center(self, center: str, reachable: bool) -> None:
        """Whether a center answers: told again and again, and at once when that changes."""
        ...

    def orphan(self, center: str) -> None:
        """A center has a run with our mark that the store does not know."""
        ...

    def judged(self, starts: Sequence[Judged]) -> None:
        """Jobs started whose start had been estimated."""
        ...

    def retention_begins(self, kind: str) -> None:
        """A leader begins to look for what is old: ``events``, ``jobs``, ``requests``."""
        ...

    def retention_looked(self, kind: str, beyond_ms: int) -> None:
        """It looked: something is so much older than is to be kept; 0 if nothing is."""
        ...

    def let_go(self, kind: str, rows: Mapping[str, int], seconds: float) -> None:
        """It let go of some rows, by table, within so many seconds."""
        ...

    def loop_error(self) -> None:
        """A task of the loop failed and is tried again."""
        ...

    async def measure(
        self,
        db: Database,
        now_ms: int,
        counts: WaitingCounts | None,
        active: Mapping[str, Sequence[Tracked]],
    ) -> None:
        """Refresh gauges of queues, quotas, funds and runs."""
        ...
