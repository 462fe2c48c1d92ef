"""One agent put together from its options, and run until it is told to stop.

Stopping ends nothing at the center: its jobs go on, and the journal knows them at the next start.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from adapters import registry
from adapters.agent.core import Agent
from adapters.agent.following import Follower
from adapters.agent.journal import BadJournal, Journal
from adapters.agent.remote import KIND
from adapters.contract import CenterAdapter
from adapters.gate import Gate, GateSettings
from scheduler import __version__
from scheduler.addresses import split_address
from scheduler.agent.link import Link, LinkSettings
from scheduler.clock import WallClock
from scheduler.config import BadConfig
from scheduler.domain.ids import center_name
from scheduler.store.seed import settings_json
from scheduler.store.seed_centers import SeedCenter, read_file

log = structlog.get_logger()

#: Submissions under way may take so long when the agent is told to stop.
_FINISH_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """What an agent is started with; ``state_dir`` holds its journal."""

    center: str
    centers_file: Path
    servers: tuple[str, ...]
    token_file: Path
    state_dir: Path
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """An opened agent."""

    agent: Agent
    follower: Follower
    link: Link

    async def run(self, asked: asyncio.Event) -> None:
        """Follow the center and speak with the scheduler until asked to stop."""
        tasks = [
            asyncio.create_task(self.follower.follow_forever(), name="agent-follow"),
            asyncio.create_task(self.link.dial_forever(), name="agent-dial"),
        ]
        waiting = asyncio.create_task(asked.wait())
        try:
            done, _ = await asyncio.wait({*tasks, waiting}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, waiting):
                task.cancel()
            await asyncio.gather(*tasks, waiting, return_exceptions=True)
            await self.agent.finish(_FINISH_S)


@contextlib.asynccontextmanager
async def opened(options: AgentOptions) -> AsyncIterator[AgentProcess]:
    """Open an agent and close it again. Raises ``BadConfig``, ``BadSeed``."""
    for server in options.servers:
        try:
            split_address(server)
        except ValueError as error:
            raise BadConfig(f"--server: {error}") from error
    if (options.tls_cert is None) != (options.tls_key is None):
        raise BadConfig("give both --cert and --key, or neither")
    center = _center(options)
    adapter = _adapter(options, center)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(adapter.close)
        try:
            path = options.state_dir / f"{center.center}.agent.db"
            journal = await asyncio.to_thread(Journal, path, center.center)
        except BadJournal as error:
            raise BadConfig(f"--state-dir: {error}") from error
        stack.push_async_callback(journal.close)
        agent = Agent(adapter, journal)
        dialing = LinkSettings(
            options.servers, options.token_file, options.tls_ca, options.tls_cert, options.tls_key
        )
        link = Link(agent, dialing, __version__)
        log.info(
            "agent_started", center=center.center, kind=center.kind, journal=str(journal.path),
            runs=len(journal.runs), epoch=journal.epoch, servers=list(options.servers),
        )  # fmt: skip
        yield AgentProcess(agent, Follower(agent, center_name), link)
    log.info("agent_stopped", center=center.center)


def _center(options: AgentOptions) -> SeedCenter:
    found = {one.center: one for one in read_file(options.centers_file)}
    center = found.get(options.center)
    if center is None:
        known = ", ".join(sorted(found)) or "no center"
        raise BadConfig(f"--center: {options.centers_file} has no {options.center}, but {known}")
    if center.kind == KIND:
        raise BadConfig(
            f"{options.centers_file}: {center.center} is of kind {KIND!r}, which is what the"
            " service's own file says of it; the agent's file has the kind of the center itself,"
            " such as slurm"
        )
    return center


def _adapter(options: AgentOptions, center: SeedCenter) -> CenterAdapter:
    given = json.loads(settings_json(center))
    gate = given.pop("gate", {})
    given.pop("queue", None)  # how deep it may be is the service's business
    if center.kind == "simulated":
        given.setdefault("journal", str(options.state_dir / f"{center.center}.journal"))
    clock = WallClock()
    try:
        limits = GateSettings.of(gate)
        adapter = registry.open_adapter(
            center.kind, center.center, given, clock.now_ms, clock.real_s
        )
    except (ValueError, TypeError) as error:
        raise BadConfig(
            f"{options.centers_file}: the settings of {center.center} cannot be used: {error}"
        ) from error
    return Gate(adapter, limits, time.monotonic)
