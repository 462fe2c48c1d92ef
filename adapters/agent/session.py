"""One agent's connection, from the scheduler's side, over whatever carries words."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from adapters.agent import words
from adapters.errors import AdapterError

#: The other end is taken for gone when nothing was heard for so many heartbeats.
_SILENT_BEATS: Final = 3


class SessionEnded(Exception):
    """The session is over. ``sent`` says whether the command had left by then."""

    def __init__(self, message: str, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Ear(Protocol):
    """Who hears what the agent says, but for answers."""

    def hear(self, session: "Session", said: words.FromAgent) -> None:
        """Take a word; raises ``ValueError`` for one that is out of place."""
        ...


class Session:
    """Commands out, answers in. ``next_word`` and ``hear`` are for who carries the words.

    ``now_s`` is monotonic. ``replaced`` is set once a newer session of the same center took over.
    """

    def __init__(
        self,
        hello: words.Hello,
        epoch: int,
        ear: Ear,
        now_s: Callable[[], float],
        heartbeat_s: float,
    ) -> None:
        self.hello, self.epoch = hello, epoch
        self.heartbeat_s = heartbeat_s
        self.replaced = False
        self.reason = ""
        self._ear, self._now_s = ear, now_s
        self._ids = itertools.count(1)
        self._out: deque[words.ToAgent] = deque()
        self._some = asyncio.Event()
        self._open = True
        self._heard_s = now_s()
        #: By command: the answer to come, and whether the command has left.
        self._calls: dict[int, asyncio.Future[words.AnswerValue]] = {}
        self._sent: set[int] = set()
        self.tell(words.Welcome(words.PROTOCOL, epoch, heartbeat_s))

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self._open

    def tell(self, said: words.ToAgent) -> None:
        """Have a word carried to the agent; nothing happens if the session is over."""
        if self._open:
            self._out.append(said)
            self._some.set()

    async def call(self, body: words.Body, most_s: float) -> words.AnswerValue:
        """Have a command done and return its answer.

        Raises the ``AdapterError`` that it answered, and ``SessionEnded`` if the session ends, or
        ``most_s`` real seconds pass, before the answer.
        """
        if not self._open:
            raise SessionEnded(self.reason, sent=False)
        command = words.Command(next(self._ids), self.epoch, body)
        answer: asyncio.Future[words.AnswerValue] = asyncio.get_running_loop().create_future()
        self._calls[command.id] = answer
        self.tell(command)
        try:
            async with asyncio.timeout(most_s):
                value = await answer
        except TimeoutError as error:
            sent = command.id in self._sent
            raise SessionEnded(f"no answer within {most_s:g} s", sent) from error
        finally:
            del self._calls[command.id]
            if command.id not in self._sent:
                self._unsay(command)
            self._sent.discard(command.id)
        if isinstance(value, AdapterError):
            raise value
        return value

    def _unsay(self, command: words.Command) -> None:
        """A command that nobody waits for any more and that has not left is not sent."""
        if command in self._out:
            self._out.remove(command)

    # --- for who carries the words ----------------------------------------------------------------

    async def next_word(self) -> words.ToAgent | None:
        """Return what is to be carried to the agent next; None once the session is over.

        What was returned has left: from here on nobody can say that it had no effect.
        """
        while self._open:
            if self._out:
                said = self._out.popleft()
                if isinstance(said, words.Command):
                    self._sent.add(said.id)
                return said
            self._some.clear()
            try:
                async with asyncio.timeout(self.heartbeat_s):
                    await self._some.wait()
            except TimeoutError:
                return words.Heartbeat()
        return None

    def hear(self, said: words.FromAgent) -> None:
        """Take what the agent said. Raises ``ValueError`` for a word that is out of place."""
        if not self._open:
            return
        self._heard_s = self._now_s()
        if isinstance(said, words.Answer):
            waiting = self._calls.get(said.command)
            if waiting is not None and not waiting.done():
                waiting.set_result(said.value)
            return
        self._ear.hear(self, said)

    @property
    def is_silent(self) -> bool:
        """Whether nothing was heard for so long that the agent must be gone."""
        return self._now_s() - self._heard_s > _SILENT_BEATS * self.heartbeat_s

    def end(self, reason: str) -> None:
        """End it: commands without an answer end with ``SessionEnded``."""
        if not self._open:
            return
        self._open, self.reason = False, reason
        self._some.set()
        for command, answer in self._calls.items():
            if not answer.done():
                answer.set_exception(SessionEnded(reason, command in self._sent))
