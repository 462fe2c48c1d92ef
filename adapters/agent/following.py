"""The agent looks at its center by level, and keeps what it saw, whoever hears of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from adapters.agent import words
from adapters.agent.comparing import Difference, compare
from adapters.agent.core import Agent
from adapters.agent.journal import JournalFailure
from adapters.agent.rows import Entry
from adapters.contract import Observation, RunRef
from adapters.errors import AdapterError, Throttled, Unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

_THROTTLED_MAX: Final = 100  # calls in a row that a center may ask us to make later


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """How often the center is looked at, in real seconds.

    It is when it hints at a change and at least every ``follow_s``, never more often than every
    ``follow_tick_s``; it is asked to describe itself every ``describe_s``.
    """

    follow_s: float = 2.0
    follow_tick_s: float = 0.05
    describe_s: float = 15.0
    retry_s: float = 1.0


class Follower:
    """Follows an agent's center; ``name_of`` gives the name at the center of a run id."""

    def __init__(
        self,
        agent: Agent,
        name_of: Callable[[str], str],
        settings: FollowSettings | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._agent, self._name_of, self._pause = agent, name_of, pause
        self._settings = settings or FollowSettings()
        self._described_s: float | None = None

    async def follow_forever(self) -> None:
        """Look at the center again and again; ends only by being cancelled."""
        while True:
            began_s = self._agent.now_s()
            try:
                await self.look()
            except AdapterError as error:
                log.warning("the center does not answer: %s: %s", type(error).__name__, error)
                await self._pause(self._settings.retry_s)
            except Exception:
                log.exception("following failed")
                await self._pause(self._settings.retry_s)
            await self._until_change(self._agent.now_s() - began_s)

    async def _until_change(self, spent_s: float) -> None:
        """Wait for a hint, a command or the interval; at least as long as the last look took."""
        settings, look = self._settings, self._agent.look
        await self._pause(max(settings.follow_tick_s, min(spent_s, settings.follow_s)))
        if not look.is_set():
            hint = asyncio.ensure_future(self._agent.adapter.wait_for_change(settings.follow_s))
            woken = asyncio.ensure_future(look.wait())
            try:
                await asyncio.wait(
                    {hint, woken}, timeout=settings.follow_s, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                hint.cancel()
                woken.cancel()
                await asyncio.gather(hint, woken, return_exceptions=True)
        look.clear()

    async def look(self) -> None:
        """Describe the center if that is due, then follow its runs; raises as ``follow_once``."""
        now_s = self._agent.now_s()
        if self._described_s is None or now_s - self._described_s >= self._settings.describe_s:
            await self.describe_once()
            self._described_s = now_s
        await self.follow_once()

    async def describe_once(self) -> None:
        """Ask the center what it has. Raises the ``AdapterError`` of one that does not answer."""
        adapter = self._agent.adapter
        try:
            description = await self._patiently(adapter.describe)
        except AdapterError as error:
            self._agent.stands(error)
            raise
        self._agent.describes(words.Told(description, adapter.settle_s, adapter.provisional_s))

    async def follow_once(self) -> None:
        """Look at the center, keep what changed, and have the listener hear of it.

        Raises the ``AdapterError`` of a center that did not answer in full, after which nothing of
        the look counts, and ``JournalFailure``.
        """
        agent = self._agent
        asked_s = agent.now_s()
        runs = agent.journal.runs
        thought = {run_id: one for run_id, one in runs.items() if not agent.is_busy(run_id)}
        try:
            active = await self._sweep()
            difference = compare(thought, active)
            found = dict(await self._find(difference.look_up))
            await agent.keep(self._news(thought, difference, {**found, **active}, asked_s))
            await agent.keep(await self._meter())
            await agent.journal.commit()
        except AdapterError as error:
            if not isinstance(error, Throttled):
                agent.stands(error)
            raise
        except JournalFailure as error:
            agent.stands(Unavailable(str(error)))
            raise
        agent.stands(None, asked_s)

    def _news(
        self,
        thought: Mapping[str, Entry],
        difference: Difference,
        seen_now: Mapping[str, Observation],
        asked_s: float,
    ) -> list[Entry]:
        """Return entries as a look changes them. What changed during the look waits for the next.

        A run that the center lacks all through its settle window is gone; an intent of which that
        is true never took effect, and is dropped.
        """
        agent, runs = self._agent, self._agent.journal.runs
        news = [
            Entry(RunRef(seen.run_id, self._name_of(seen.run_id))).saw(seen)
            for seen in difference.adopt
            if seen.run_id not in runs and not agent.is_busy(seen.run_id)
        ]
        for run_id, entry in thought.items():
            if runs.get(run_id) is not entry or agent.is_busy(run_id):
                continue
            if run_id in seen_now:
                agent.is_there(run_id)
                after = entry.saw(seen_now[run_id])
                if after is not entry:
                    news.append(after)
            elif (entry.active or entry.observation is None) and agent.is_absent(run_id, asked_s):
                if entry.observation is None:
                    agent.journal.drop([run_id])
                else:
                    news.append(replace(entry, gone=True))
        return news

    async def _meter(self) -> list[Entry]:
        """Ask for the use of runs that have ended; what cannot be told yet is asked again."""
        agent, runs = self._agent, self._agent.journal.runs
        ended = [entry for entry in runs.values() if entry.unmetered]
        if not ended:
            return []
        refs = [entry.ref for entry in ended]
        try:
            metered = await self._patiently(lambda: agent.adapter.usage(refs))
        except AdapterError as error:
            log.warning("use of %d runs is not known: %s", len(ended), error)
            return []
        return [
            replace(entry, usage=metered[entry.ref.run_id])
            for entry in ended
            if entry.ref.run_id in metered and runs.get(entry.ref.run_id) is entry
        ]

    async def _sweep(self) -> dict[str, Observation]:
        seen: dict[str, Observation] = {}
        token = ""
        while True:
            page = await self._patiently(
                lambda token=token: self._agent.adapter.list_active(token)  # type: ignore[misc]
            )
            seen.update((one.run_id, one) for one in page.observations)
            token = page.next_token
            if not token:
                return seen

    async def _find(self, refs: Sequence[RunRef]) -> Mapping[str, Observation]:
        return await self._patiently(lambda: self._agent.adapter.find(refs)) if refs else {}

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call of following again when the center says that it is too early."""
        for _ in range(_THROTTLED_MAX):
            try:
                return await call()
            except Throttled as error:
                await self._pause(max(error.retry_after_s, 0.001))
        return await call()
