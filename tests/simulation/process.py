"""One life of the service in a story: the real loop, moved by hand."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scheduler.control.executing import Executor
from scheduler.control.loop import ControlLoop
from scheduler.control.settings import LoopSettings
from scheduler.domain.reports import Report
from scheduler.placement.core import WaitingCounts
from scheduler.placement.model import Plan
from scheduler.placement.sampling import Judged
from scheduler.store.admission import Admitted
from scheduler.store.database import Database
from scheduler.store.evicting import Orders
from scheduler.store.ingest import Ingested
from tests.simulation import world as worlds
from tests.simulation.centers import MortalCenter
from tests.simulation.world import World

SETTINGS = LoopSettings(
    ray="off", admit_batch=7, send_batch=5, send_concurrency=3, send_tries_max=4, retry_s=5.0,
    unknown_after_s=90.0, cancel_again_s=40.0, feed_batch=25, start_timeout_s=900.0,
    drain_grace_s=30.0,
)  # fmt: skip


class Silence:
    """Metrics that nobody reads; counts what must not happen."""

    def __init__(self) -> None:
        self.errors = 0
        self.orphans: list[str] = []

    def leader(self, leads: bool, epoch: int) -> None: ...
    def backend(self, name: str) -> None: ...
    def cycle(self, backend: str, seconds: float, looked_at: int, starts: int) -> None: ...
    def admitted(self, result: Admitted) -> None: ...
    def ordered(self, orders: Orders) -> None: ...
    def ingested(self, result: Ingested) -> None: ...
    def center(self, center: str, reachable: bool) -> None: ...
    def judged(self, starts: Sequence[Judged]) -> None: ...
    def retention_begins(self, kind: str) -> None: ...
    def retention_looked(self, kind: str, beyond_ms: int) -> None: ...
    def let_go(self, kind: str, rows: Mapping[str, int], seconds: float) -> None: ...

    def orphan(self, center: str) -> None:
        self.orphans.append(center)

    def loop_error(self) -> None:
        self.errors += 1

    async def measure(
        self, db: Database, now_ms: int, counts: WaitingCounts | None, active: Mapping[str, Any]
    ) -> None: ...


Watch = Callable[[Plan, int], None]


class WatchedExecutor(Executor):
    """The real executor; somebody looks at each plan before it is carried out."""

    watch: Watch | None = None
    loop: ControlLoop

    async def carry_out(self, plan: Plan) -> None:
        if self.watch is not None:
            self.watch(plan, self.loop._revision)
        await super().carry_out(plan)


class RecordingLoop(ControlLoop):
    """The real loop, of which the reports are kept, to come again later."""

    heard: list[Report]

    async def report(self, reports: list[Report]) -> None:
        self.heard += reports
        await super().report(reports)


class Process:
    """One life of the service: a loop that leads, moved by hand."""

    def __init__(
        self,
        world: World,
        adapters: Mapping[str, MortalCenter],
        rng: random.Random,
        name: str,
        heard: list[Report],
        watch: Watch | None = None,
    ) -> None:
        self.metrics = Silence()
        self.loop = RecordingLoop(
            db=world.db, clock=world.clock, adapters=adapters, metrics=self.metrics,
            settings=SETTINGS, decode_spec=worlds.decode, holder=name, rng=rng,
            pause=world.clock.pause, now_s=lambda: world.clock.ms / 1000,
        )  # fmt: skip
        self.loop.heard = heard
        executor = WatchedExecutor(
            self.loop, world.clock, self.metrics, self.loop.workers, SETTINGS.admit_batch,
            self.loop._tell_planner, self.loop.traces,
        )  # fmt: skip
        executor.loop, executor.watch = self.loop, watch
        self.loop._executor = executor
        self._ingesting: asyncio.Task[None] | None = None

    async def lead(self) -> None:
        """Take over, and make reports durable from now on."""
        await self.loop.lead()
        await self.loop.load()
        self._ingesting = asyncio.create_task(self.loop.ingest_forever())

    async def end(self) -> None:
        """Be gone without a word."""
        if self._ingesting is not None:
            self._ingesting.cancel()
            await asyncio.gather(self._ingesting, return_exceptions=True)
        await self.loop.planner.close()
