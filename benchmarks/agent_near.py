"""The near side of the agents' benchmark: an agent with its journal before a center of many runs.

``python -m benchmarks.agent_near ORDER`` (JSON: address, token, folder, runs). At each line on
standard input every run changes at the center and the agent looks; it says ``looked`` and how long
the look took, its journal included.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from adapters.agent.core import Agent
from adapters.agent.following import Follower
from adapters.agent.journal import Journal
from adapters.contract import (
    Accepted,
    CenterDescription,
    FlavorCapacity,
    Health,
    LogChunk,
    Observation,
    Page,
    Phase,
    RunRef,
    RunRequest,
    Usage,
)
from scheduler.agent.link import Link, LinkSettings
from scheduler.domain.ids import center_name

CENTER: Final = "bench"


class ChangingCenter:
    """A center all of whose runs change whenever it is told; it starts and ends none."""

    settle_s = provisional_s = 0.0

    def __init__(self, runs: Sequence[str]) -> None:
        self._runs, self._at_ms = runs, time.time_ns() // 1_000_000
        self.sequence = 1

    async def describe(self) -> CenterDescription:
        flavor = FlavorCapacity(f"{CENTER}/core", 1 << 20, 64, "aarch64")
        return CenterDescription(CENTER, "changing", "1", False, (flavor,))

    async def list_active(self, page_token: str = "") -> Page:
        phase = Phase.WAITING if self.sequence == 1 else Phase.RUNNING
        start_ms = None if phase is Phase.WAITING else self._at_ms
        return Page(
            tuple(
                Observation(run, f"n{run}", phase, self.sequence, self._at_ms, start_ms)
                for run in self._runs
            )
        )

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        return {}

    async def submit(self, request: RunRequest) -> Accepted:
        return Accepted(request.run_id, f"n{request.run_id}", self._at_ms)

    async def cancel(self, run: RunRef) -> None:
        """Nothing ends here."""

    async def notify(self, run: RunRef, grace_s: int) -> None:
        """Nobody listens here."""

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        return {}

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        """Nothing is kept here."""

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        return LogChunk(b"", offset, offset, True)

    async def health(self) -> Health:
        return Health(True)

    async def wait_for_change(self, timeout_s: float) -> bool:
        return False

    async def close(self) -> None:
        """Nothing is open here."""


async def work(order: Mapping[str, Any], runs: Sequence[str]) -> None:
    """Be the agent until standard input ends."""
    folder = Path(order["folder"])
    center = ChangingCenter(runs)
    journal = Journal(folder / "agent.db", CENTER)
    agent = Agent(center, journal)
    follower = Follower(agent, center_name)
    await follower.look()
    settings = LinkSettings((order["address"],), Path(order["token"]))
    dialing = asyncio.create_task(Link(agent, settings, "benchmark").dial_forever())
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        center.sequence += 1
        began_s = time.perf_counter()
        await follower.follow_once()
        spent_s = time.perf_counter() - began_s
        print(json.dumps({"event": "looked", "spent_s": spent_s}), file=sys.stderr, flush=True)
    dialing.cancel()
    await asyncio.gather(dialing, return_exceptions=True)
    await journal.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        given = json.loads(sys.argv[1])
        runner.run(work(given, json.loads(Path(given["runs"]).read_text("utf-8"))))
