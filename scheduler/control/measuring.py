"""What the leader shows of itself and of the store, look after look."""

import contextlib
from collections.abc import Mapping

from scheduler.clock import Clock
from scheduler.control.center_worker import CenterWorker
from scheduler.control.metrics_port import LoopMetrics
from scheduler.control.planner import PlannerHost
from scheduler.control.workers_view import WorkersView
from scheduler.domain.states import RUN_TERMINAL
from scheduler.errors import TemporarilyAway
from scheduler.store.database import Database


class Measuring:
    """One look at a time."""

    def __init__(
        self, db: Database, clock: Clock, metrics: LoopMetrics, planner: PlannerHost,
        workers: Mapping[str, CenterWorker], centers: WorkersView,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._metrics = db, clock, metrics
        self._planner, self._workers, self._centers = planner, workers, centers

    async def once(self) -> None:
        """Look at the planner, the centers and the store; of a planner that is away nothing."""
        counts = None
        with contextlib.suppress(TemporarilyAway):
            counts = self._centers.counts = await self._planner.counts()
        active = {}
        for center, worker in self._workers.items():
            self._metrics.center(center, worker.reachable)
            runs_here = worker.tracked.values()
            active[center] = [run for run in runs_here if run.state not in RUN_TERMINAL]
        await self._metrics.measure(self._db, self._clock.now_ms(), counts, active)
        self._metrics.backend(self._planner.backend_name)
