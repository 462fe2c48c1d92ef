"""Lets people ask the planner without holding up plans.

An answer about one job of a long queue may take as long as a whole cycle, and anybody may ask, as
often as calls are let in. So one question is asked at a time, and questions together may take a
part of the planner's time: what nobody used of it is kept for a while, so that few who ask now and
then do not wait at all.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

#: Of each second of the planner's time, at most.
PART: Final = 0.5
#: So much that was not used can be used at once.
KEPT_S: Final = 2.0


class Questions:
    """The line of those who ask; ``now_s`` and ``sleep`` are of real seconds."""

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now_s, self._sleep = now_s, sleep
        self._turn = asyncio.Lock()
        self._left_s, self._at_s = KEPT_S, now_s()

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask once it is its turn and there is time for it."""
        async with self._turn:
            self._pass()
            if self._left_s < 0:
                await self._sleep(-self._left_s / PART)
                self._pass()
            began_s = self._now_s()
            try:
                return await question()
            finally:
                self._left_s -= self._now_s() - began_s

    def _pass(self) -> None:
        now_s = self._now_s()
        self._left_s = min(KEPT_S, self._left_s + (now_s - self._at_s) * PART)
        self._at_s = now_s
