"""The agent dies at each step of its work, and no run is lost, doubled or left unmetered."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Accepted, CenterAdapter, Observation, Page, RunRef, RunRequest, Usage
from adapters.gate import Gate, GateSettings
from adapters.simulated import accepted_names
from adapters.simulated.journal import read_events
from tests.integration.agent.test_agent_cuts import Story

STEPS = ("submit", "list", "find", "cancel", "usage", "acknowledge")
DEATHS = [(step, when) for step in STEPS for when in ("before", "after")]


class Mortal(Gate):
    """Dies at one step, once: just before the center hears a call, or just after it acted on it."""

    def __init__(self, inner: CenterAdapter, step: str, when: str, now_s: Any) -> None:
        super().__init__(inner, GateSettings(), now_s)
        self._point = (step, when)
        self.dead = asyncio.Event()

    async def _passes(self, step: str, when: str) -> None:
        if (step, when) == self._point:
            self.dead.set()
            await asyncio.Event().wait()  # nothing is done any more by who is dead

    async def submit(self, request: RunRequest) -> Accepted:
        await self._passes("submit", "before")
        answer = await super().submit(request)
        await self._passes("submit", "after")
        return answer

    async def list_active(self, page_token: str = "") -> Page:
        await self._passes("list", "before")
        page = await super().list_active(page_token)
        await self._passes("list", "after")
        return page

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        await self._passes("find", "before")
        found = await super().find(runs)
        await self._passes("find", "after")
        return found

    async def cancel(self, run: RunRef) -> None:
        await self._passes("cancel", "before")
        await super().cancel(run)
        await self._passes("cancel", "after")

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        await self._passes("usage", "before")
        metered = await super().usage(runs)
        await self._passes("usage", "after")
        return metered

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        await self._passes("acknowledge", "before")
        await super().acknowledge(run_ids)
        await self._passes("acknowledge", "after")


class Told(Story):
    """The story told to an agent that dies in it, and begins again from its journal."""

    def __init__(self, desk: Any, near: Any, subject: Any, mortal: Mortal) -> None:
        super().__init__(desk, near, subject)
        self._mortal, self._back = mortal, asyncio.Event()
        near.agent.adapter = mortal

    async def follow(self) -> None:
        """Have the agent look, if it lives; if it is dead, wait until it is back."""
        if self._mortal.dead.is_set():
            await self._back.wait()
            await super().follow()
            return
        looking = asyncio.ensure_future(super().follow())
        dead = asyncio.ensure_future(self._mortal.dead.wait())
        await asyncio.wait({looking, dead}, return_when=asyncio.FIRST_COMPLETED)
        for task in (looking, dead):
            task.cancel()
        await asyncio.gather(looking, dead, return_exceptions=True)

    async def rise(self) -> None:
        """Once it is dead, let it begin again."""
        await self._mortal.dead.wait()
        await self.near.crash()
        self.near.open()
        self.near.dial()
        self._back.set()


@pytest.fixture
async def outcomes(desk: Any, near: Any, subject: Any) -> Any:
    """Tells the story with a death at one step; returns how many runs were sent, taken by the
    center, known to have ended, and metered."""

    async def tell(step: str, when: str) -> tuple[int, int, int, int]:
        mortal = Mortal(near.center, step, when, lambda: near.now_ms / 1000)
        story = Told(desk, near, subject, mortal)
        rising = asyncio.create_task(story.rise())
        await story.tell()
        async with asyncio.timeout(20.0):
            await rising
        journal = Path(near.folder) / "center.jsonl"
        names = {request.name for request in story.requests}
        native = sum(count for name, count in accepted_names(journal).items() if name in names)
        ended = {str(one["name"]) for one in read_events(journal) if one["event"] == "end"}
        known = len(story.ends)
        metered = sum(state == "settled" for state in story.state.values())
        assert names <= ended
        return len(story.requests), native, known, metered

    return tell


@pytest.mark.parametrize(("step", "when"), DEATHS)
async def test_an_agent_may_die_at_any_step(outcomes: Any, step: str, when: str) -> None:
    assert await outcomes(step, when) == (4, 4, 4, 4)
