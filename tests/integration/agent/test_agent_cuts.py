"""The stream is cut at each word in turn, in a story of some runs; nothing is lost or doubled."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import ACTIVE_PHASES, Phase, RunRequest
from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from adapters.simulated import accepted_names

POINTS = ("before hearing", "after hearing", "before saying", "after saying")
STEPS_MAX = 120
WORDS_MAX = 400
SETTLE_MS = 1_000
PATIENCE_S = 20.0


class Story:
    """Four runs and a plain scheduler: one runs long and is cancelled, one's answer is lost."""

    def __init__(self, desk: Any, near: Any, subject: Any) -> None:
        self.desk, self.near, self.subject = desk, near, subject
        self.requests = [subject.request(runtime_s) for runtime_s in (1, 2, 3, 3600)]
        self.state = {request.run_id: "new" for request in self.requests}
        self.missing: dict[str, int] = {}
        self.ends: dict[str, Phase] = {}

    async def tell(self) -> None:
        """Go on until all are settled."""
        self.near.center.lose_next(taken=True)
        for _ in range(STEPS_MAX):
            async with asyncio.timeout(PATIENCE_S):
                while not self.desk.remote.ready:
                    await self.desk.remote.wait_for_change(0.05)
            for request in self.requests:
                try:
                    await self._step(request)
                except AdapterError:
                    continue
            if set(self.state.values()) == {"settled"}:
                return
            self.near.now_ms += 1_000
            await self.follow()
            await asyncio.sleep(0.002)  # for words on their way; nothing depends on it
        raise AssertionError(f"not all have ended: {self.state}")

    async def follow(self) -> None:
        """Have the agent look."""
        await self.near.follower.follow_once()

    async def _step(self, request: RunRequest) -> None:
        run_id, remote = request.run_id, self.desk.remote
        match self.state[run_id]:
            case "new" | "refused" | "absent":
                await self._send(request)
            case "unknown" | "taken":
                await self._look(request)
            case "ended":
                if run_id in await remote.usage([request.ref]):
                    self.state[run_id] = "settled"
                    await remote.acknowledge([run_id])

    async def _send(self, request: RunRequest) -> None:
        run_id = request.run_id
        self.missing.pop(run_id, None)
        try:
            await self.desk.remote.submit(request)
            self.state[run_id] = "taken"
        except OutcomeUnknown:
            self.state[run_id] = "unknown"
        except Unavailable:
            self.state[run_id] = "refused"

    async def _look(self, request: RunRequest) -> None:
        run_id, remote = request.run_id, self.desk.remote
        asked_ms = self.near.now_ms
        seen = (await remote.find([request.ref])).get(run_id)
        if seen is None:
            since_ms = self.missing.setdefault(run_id, asked_ms)
            assert self.state[run_id] == "unknown", "what was taken is never absent"
            if asked_ms - since_ms >= SETTLE_MS:
                self.state[run_id] = "absent"
            return
        self.missing.pop(run_id, None)
        self.state[run_id] = "taken"
        if seen.phase not in ACTIVE_PHASES:
            self.state[run_id], self.ends[run_id] = "ended", seen.phase
        elif seen.phase is Phase.RUNNING and request is self.requests[-1]:
            await remote.cancel(request.ref)


async def told(desk: Any, near: Any, subject: Any, point: str, number: int) -> bool:
    """Tell a story that is cut at the ``number``-th word; whether it came so far."""
    passed = 0

    def cuts(where: str) -> bool:
        nonlocal passed
        passed += where == point
        return where == point and passed == number

    desk.cutter.cuts = cuts
    story = Story(desk, near, subject)
    await story.tell()
    desk.cutter.cuts = lambda where: False
    ends = [story.ends[request.run_id] for request in story.requests]
    assert ends == [Phase.SUCCEEDED] * 3 + [Phase.CANCELLED]
    taken = accepted_names(Path(near.folder) / "center.jsonl")
    assert all(taken[request.name] == 1 for request in story.requests), taken
    return passed >= number


@pytest.mark.parametrize("point", POINTS)
async def test_a_stream_may_be_cut_at_some_words(
    desk: Any, near: Any, subject: Any, point: str
) -> None:
    rng = random.Random(point)
    for number in sorted(rng.sample(range(1, 16), 4)):
        assert await told(desk, near, subject, point, number)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
async def test_a_stream_may_be_cut_at_any_word(
    desk: Any, near: Any, subject: Any, point: str
) -> None:
    for number in range(1, WORDS_MAX):
        if not await told(desk, near, subject, point, number):
            assert number > 15, "the story has more words than that"
            return
    raise AssertionError(f"a story has more than {WORDS_MAX} words")
