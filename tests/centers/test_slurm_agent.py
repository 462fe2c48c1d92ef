"""The conformance suite on a real Slurm behind an agent, over a real gRPC stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.agent.core import Agent
from adapters.agent.following import Follower, FollowSettings
from adapters.agent.journal import Journal
from adapters.agent.remote import RemoteCenter
from adapters.conformance import CHECKS, Check
from adapters.contract import CenterAdapter, RunRequest
from adapters.slurm import SlurmCenter
from scheduler.agent.link import Link, LinkSettings
from scheduler.domain.ids import center_name
from tests.centers.slurm_subject import make_center, make_request
from tests.integration.agent.conftest import CENTER, Desk
from tests.testbed.fault_proxy import DropAnswer, FaultProxy
from tests.testbed.slurm_testbed import SlurmTestbed

pytestmark = pytest.mark.centers

PATIENCE_S = 30.0


class AgentedSlurm:
    """A ``Subject``: Slurm behind a proxy, the agent before it, and the scheduler's side."""

    def __init__(self, testbed: SlurmTestbed, proxy: FaultProxy, desk: Desk, folder: Path) -> None:
        self._testbed, self._proxy, self._desk, self._folder = testbed, proxy, desk, folder
        self._centers: list[SlurmCenter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._journal: Journal | None = None
        folder.mkdir()

    @property
    def adapter(self) -> CenterAdapter:
        return self._desk.remote

    async def begin(self) -> None:
        """Start the agent from its journal, and wait until the scheduler's side has heard it."""
        center = make_center(self._testbed, self._proxy.url)
        self._centers.append(center)
        self._journal = Journal(self._folder / "agent.db", CENTER)
        agent = Agent(center, self._journal)
        follower = Follower(agent, center_name, FollowSettings(follow_s=0.5, follow_tick_s=0.2))
        token = self._folder / "token"
        token.write_text(self._desk.secret, "ascii")
        link = Link(agent, LinkSettings((self._desk.address,), token), "test")
        self._tasks = [
            asyncio.create_task(follower.follow_forever()),
            asyncio.create_task(link.dial_forever()),
        ]
        async with asyncio.timeout(PATIENCE_S):
            while not (await self._desk.remote.health()).ok:
                await self._desk.remote.wait_for_change(0.1)

    async def end(self) -> None:
        """End the agent; nothing is told to anybody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._journal is not None:
            await self._journal.close()

    def request(self, runtime_s: int) -> RunRequest:
        return make_request(f"echo begins; sleep {runtime_s}; echo ends")

    def saving_request(self) -> RunRequest | None:
        return make_request("trap 'echo saved; exit 7' URG; echo heeds; sleep 3600 & wait $!")

    async def let_pass(self) -> None:
        await asyncio.sleep(1.1)  # Slurm counts in whole seconds

    def lose_next_answer(self) -> bool:
        self._proxy.inject(DropAnswer(), method="POST", path=r"/job/submit$")
        return True

    async def reopen(self) -> bool:
        await self.end()
        self._desk.remotes[CENTER] = RemoteCenter(CENTER, self._desk.settings)
        await self.begin()
        return True

    async def close(self) -> None:
        await self.end()
        for center in self._centers:
            await center.close()


@asynccontextmanager
async def subject(testbed: SlurmTestbed, folder: Path) -> AsyncIterator[AgentedSlurm]:
    """A subject of its own for each check."""
    desk = Desk()
    desk.forget()
    await desk.start()
    async with FaultProxy(testbed.url) as proxy:
        made = AgentedSlurm(testbed, proxy, desk, folder)
        try:
            await made.begin()
            yield made
        finally:
            await made.close()
            await desk.remote.close()
            await desk.stop()


async def test_slurm_behind_its_agent_keeps_the_contract(
    slurm_testbed: SlurmTestbed, tmp_path: Path
) -> None:
    async def run(check: Check) -> None:
        async with subject(slurm_testbed, tmp_path / check.__name__) as made:
            try:
                await check(made)
            except Exception as error:
                error.add_note(f"in the check {check.__name__}")
                raise

    outcomes = await asyncio.gather(*map(run, CHECKS), return_exceptions=True)
    failures = [one for one in outcomes if isinstance(one, Exception)]
    if failures:
        raise ExceptionGroup("checks that failed", failures)
