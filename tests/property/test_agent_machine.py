"""Agent and scheduler's side under every fault at once, beside the center's own plain truth.

The stream is cut at any word, either process dies at any moment, reports are lost, repeated and
come late, answers of the center are lost. At each look: no name is ever taken twice, and nothing
is said to be absent that the center has. At the end all heals, and both sides know all there is.
"""

import asyncio
import contextlib
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from adapters.agent import words
from adapters.agent.remote import RemoteCenter, RemoteSettings
from adapters.agent.session import Session
from adapters.agent.speaking import Ended, Speaker, SpeakSettings
from adapters.contract import Phase
from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from tests.property.agent_world import SETTLE_S, Near, PlainCenter, name_of, ref_of, request

T = TypeVar("T")
RUNS = [f"j{number}.1" for number in range(1, 6)]


class Wire:
    """One conversation, whose words are carried one by one."""

    def __init__(self, near: Near, remote: RemoteCenter, rng: random.Random, harm: bool) -> None:
        self._near, self._rng, self._harm = near, rng, harm
        self.up: list[words.FromAgent] = []
        self._down: asyncio.Queue[words.ToAgent | None] = asyncio.Queue()
        self._late: list[words.Reports] = []
        self._remote = remote
        self.session: Session | None = None
        small = SpeakSettings(page_runs=2, window=2)
        self.speaker = Speaker(near.agent, "test", self._say, small)
        self._talk = asyncio.ensure_future(self._converse())

    async def _say(self, said: words.FromAgent) -> None:
        self.up.append(said)

    async def _heard(self) -> AsyncIterator[words.ToAgent]:
        while (said := await self._down.get()) is not None:
            yield said

    async def _converse(self) -> None:
        with contextlib.suppress(Ended):
            await self.speaker.converse(self._heard())

    async def step(self) -> bool:
        """Carry one word; False if there was none to carry."""
        if self.up:
            self._carry_up(self.up.pop(0))
            return True
        if self.session is not None and self.session._out:
            said = await self.session.next_word()
            if said is not None:
                self._down.put_nowait(said)
            return True
        return False

    def _carry_up(self, said: words.FromAgent) -> None:
        if isinstance(said, words.Hello):
            self.session = self._remote.attach(said, 1)
        elif self.session is None:
            return
        elif isinstance(said, words.Reports) and self._harm:
            self._harmed(self.session, said)
        else:
            self.session.hear(said)

    def _harmed(self, session: Session, said: words.Reports) -> None:
        """Reports are lost, repeated, and come again late."""
        fate = self._rng.random()
        if fate > 0.3:
            session.hear(said)
        if fate > 0.8:
            session.hear(said)
        self._late.append(said)
        if self._rng.random() < 0.3:
            session.hear(self._rng.choice(self._late))

    @property
    def busy(self) -> bool:
        """Whether the agent is doing something for it."""
        return bool(self.speaker._commands)

    async def cut(self) -> None:
        """Cut it: words on their way are lost."""
        if self.session is not None:
            self._remote.detach(self.session, "cut")
        self._down.put_nowait(None)
        await asyncio.gather(self._talk, return_exceptions=True)


class AgentMachine(RuleBasedStateMachine):
    """``stored`` is the scheduler's durable word on each run: it survives whatever dies."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="agent-machine-"))
        self.center = PlainCenter()
        self.stored: dict[str, str] = {}  # run id: sent, taken, unknown, settled
        self.missing: dict[str, float] = {}

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    @initialize(seed=st.integers(0, 1 << 30))
    def begin(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.run(self._begin())

    async def _begin(self) -> None:
        self.near = Near(self._folder / "agent.db", self.center)
        self.wire: Wire | None = None
        self._new_scheduler()

    def _new_scheduler(self) -> None:
        self.remote = RemoteCenter("plain", RemoteSettings(call_s=5.0), lambda: self.center.now_s)
        self.remote.settled = self._settled

    async def _settled(self, run_ids: Sequence[str]) -> set[str]:
        return {run_id for run_id in run_ids if self.stored.get(run_id) == "settled"}

    # --- carrying ---------------------------------------------------------------------------------

    async def _carry(self, most: int = 10_000) -> None:
        """Carry words until nobody has any, or so many."""
        quiet = 0
        while most and quiet < 3:
            moved = self.wire is not None and await self.wire.step()
            most -= moved
            busy = self.near.journal._writing is not None or (self.wire and self.wire.busy)
            quiet = 0 if moved or busy else quiet + 1
            await asyncio.sleep(0.0002 if busy else 0)

    async def _asked(self, call: Awaitable[T]) -> T:
        """Make a call of the scheduler's side while words are carried."""
        task = asyncio.ensure_future(call)
        while not task.done():
            await self._carry()
        return task.result()

    async def _cut(self) -> None:
        if self.wire is not None:
            await self.wire.cut()
            self.wire = None

    async def _connect(self, harm: bool) -> None:
        await self._cut()
        self.wire = Wire(self.near, self.remote, self.rng, harm)
        await self._carry()

    # --- what may happen --------------------------------------------------------------------------

    @rule(words=st.integers(0, 12))
    def connects(self, words: int) -> None:
        """The agent dials; now and then the line is cut while it tells what it has."""
        self.run(self._connect(harm=True) if words > 4 else self._half(words))

    async def _half(self, words: int) -> None:
        await self._cut()
        self.wire = Wire(self.near, self.remote, self.rng, harm=True)
        await asyncio.sleep(0)
        await self._carry(words)
        await self._cut()

    @rule()
    def is_cut(self) -> None:
        self.run(self._cut())

    @rule(run=st.sampled_from(RUNS), fate=st.sampled_from(["ok", "ok", "call", "answer", "away"]),
          words=st.integers(0, 9))  # fmt: skip
    def submits(self, run: str, fate: str, words: int) -> None:
        """The scheduler sends what it may send; the line is cut after some words, or is not."""
        self.run(self._submits(run, fate, words))

    async def _submits(self, run: str, fate: str, cut_after: int) -> None:
        state = self.stored.get(run, "new")
        if state not in ("new", "refused") and not (state == "unknown" and self._may_resend(run)):
            return
        self.center.losses = [fate]
        self.stored[run] = "sent"
        self.missing.pop(run, None)
        call = asyncio.ensure_future(self.remote.submit(request(run, fresh=state == "new")))
        await asyncio.sleep(0)
        if cut_after < 5:
            await self._carry(cut_after)
            await self._cut()
        try:
            await self._asked(call)
            self.stored[run] = "taken"
        except OutcomeUnknown:
            self.stored[run] = "unknown"
        except Unavailable:
            self.stored[run] = "refused"
        await self._carry()

    def _may_resend(self, run: str) -> bool:
        """Whether it was looked up and missed all through the settle window."""
        since_s = self.missing.get(run)
        return since_s is not None and self.center.now_s - since_s >= SETTLE_S

    @rule()
    def looks_up(self) -> None:
        """The scheduler looks for all of its open runs, and settles what has ended."""
        self.run(self._looks_up())

    async def _looks_up(self) -> None:
        open_runs = [run for run, state in self.stored.items() if state in ("taken", "unknown")]
        asked_s = self.center.now_s
        try:
            active = {one.run_id for one in (await self.remote.list_active()).observations}
            found = await self._asked(self.remote.find([ref_of(run) for run in open_runs]))
            ended = [run for run in found if found[run].phase is Phase.SUCCEEDED]
            used = await self._asked(self.remote.usage([ref_of(run) for run in ended]))
        except AdapterError:
            return
        for run in open_runs:
            if run in found or run in active:
                self.stored[run] = "taken"
                self.missing.pop(run, None)
            else:
                assert name_of(run) not in self.center.jobs, f"{run} is there, and said to be not"
                self.missing.setdefault(run, asked_s)
        for run in used:
            assert used[run] == self.center.jobs[name_of(run)].used()
            self.stored[run] = "settled"
        await self.remote.acknowledge(list(used))
        await self._carry()

    @rule(run=st.sampled_from(RUNS))
    def goes_on(self, run: str) -> None:
        """A job at the center starts, ends, or is metered."""
        job = self.center.jobs.get(name_of(run))
        if job is None:
            return
        if job.start_ms is None:
            self.center.start(job)
        elif job.end_ms is None:
            self.center.end(job, Phase.SUCCEEDED)
        else:
            job.metered = True

    @rule(seconds=st.sampled_from([0.5, 4.0, SETTLE_S]))
    def time_passes(self, seconds: float) -> None:
        self.center.now_s += seconds

    @rule(away=st.booleans())
    def the_center_is_away(self, away: bool) -> None:
        self.center.away = away

    @rule()
    def the_agent_looks(self) -> None:
        self.run(self._look())

    async def _look(self) -> None:
        with contextlib.suppress(AdapterError):
            await self.near.follower.look()
        await self._carry()

    @rule()
    def the_agent_dies(self) -> None:
        self.run(self._agent_dies())

    async def _agent_dies(self) -> None:
        await self._cut()
        await self.near.die()
        self.near.begin()

    @rule()
    def the_scheduler_dies(self) -> None:
        self.run(self._scheduler_dies())

    async def _scheduler_dies(self) -> None:
        await self._cut()
        self._new_scheduler()

    @invariant()
    def no_name_is_taken_twice(self) -> None:
        assert all(count == 1 for count in self.center.made.values()), self.center.made

    # --- the end ----------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if hasattr(self, "near"):
                self.run(self._heal())
        finally:
            self._runner.close()
            shutil.rmtree(self._folder)

    async def _heal(self) -> None:
        """All is well again: both sides come to know all there is, then forget it together."""
        self.center.away, self.center.losses = False, []
        for job in self.center.jobs.values():
            if job.start_ms is None:
                self.center.start(job)
            if job.end_ms is None:
                self.center.end(job, Phase.SUCCEEDED)
            job.metered = True
        await self._connect(harm=False)
        for _ in range(4):
            await self._look()
            await self._looks_up()
            self.center.now_s += SETTLE_S
        there = {job.run_id for job in self.center.jobs.values()}
        settled = {run for run, state in self.stored.items() if state == "settled"}
        assert settled == there, "an end or a use was lost"
        assert not self.near.journal.runs, "something is remembered that nobody asks for"
        assert self.center.acknowledged == there
        await self._cut()
        await self.near.journal.close()


QUICK = settings(
    max_examples=25, stateful_step_count=25, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


def test_agent_and_scheduler_agree_whatever_fails() -> None:
    run_state_machine_as_test(AgentMachine, settings=QUICK)


@pytest.mark.slow
def test_agent_and_scheduler_agree_whatever_fails_for_long() -> None:
    long = settings(QUICK, max_examples=300, stateful_step_count=60)
    run_state_machine_as_test(AgentMachine, settings=long)
