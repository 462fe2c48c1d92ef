"""A world with well-behaved centers and a leader, moved by hand."""

import random
from typing import Any

from adapters.simulated import SimulatedCenter
from scheduler.store import job_commands
from tests.simulation.centers import CallBook, MortalCenter, open_center
from tests.simulation.process import Process
from tests.simulation.world import CENTERS, OPERATOR, World


class Scene:
    """A world with its centers and a leader, moved by hand."""

    def __init__(self, world: World) -> None:
        self.world, self.db, self.clock = world, world.db, world.clock
        self.centers: dict[str, SimulatedCenter] = {
            center: open_center(center, self.clock, 1, faulty=False) for center in CENTERS
        }
        self.processes: list[Process] = []

    def process(self, **adapters: Any) -> Process:
        """A process with the centers' own adapters, or others."""
        book = CallBook(self.clock)
        own: dict[str, Any] = {
            center: MortalCenter(one, book) for center, one in self.centers.items()
        }
        made = Process(self.world, {**own, **adapters}, random.Random(1), "test", [])
        self.processes.append(made)
        return made

    async def lead(self, **adapters: Any) -> Process:
        """A process that leads."""
        made = self.process(**adapters)
        await made.lead()
        return made

    async def round(self, process: Process, times: int = 1) -> None:
        """Everything once, or several times."""
        for _ in range(times):
            await process.loop.cycle()
            for worker in process.loop.workers.values():
                await worker.send_once()
                await worker.follow_once()

    def cancel(self, *uids: int) -> None:
        """As their user does."""
        order = job_commands.Order(OPERATOR, "", self.clock.ms, 0)
        self.db.do(lambda c: job_commands.cancel(c, list(uids), order))

    def states(self, *uids: int) -> list[str]:
        """How these jobs stand."""
        found = dict(self.db.rows("SELECT uid, state FROM job"))
        return [found[uid] for uid in uids]

    def natives(self) -> list[str]:
        """The runs that centers ever took."""
        return [run for one in self.centers.values() for run in one._cluster.by_run_id]
