"""One conversation with a scheduler, from the agent's side, over whatever carries words.

The first word is ``Hello``, the first answer ``Welcome``. Then all that the journal holds is told
in pages, and after that what changes, each run as it stands when its turn comes: what changed ten
times while the scheduler was slow or away is told once. Commands are answered as they are done,
in any order; those under way when the conversation ends are done nevertheless.
"""

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.agent import words
from adapters.agent.core import Agent, StaleEpoch
from adapters.agent.journal import JournalFailure
from adapters.contract import RunRequest
from adapters.errors import AdapterError, OutcomeUnknown, Unavailable

log = logging.getLogger(__name__)

_SILENT_BEATS: Final = 3
#: A scheduler that is stopped takes the call and says nothing: another address may lead by now.
_WELCOME_S: Final = 5.0


class Ended(Exception):
    """The conversation cannot go on; its text says why."""


@dataclass(frozen=True, slots=True)
class SpeakSettings:
    """``page_runs`` runs to a message, at most ``window`` messages of reports not acknowledged;
    ``commands_max`` commands at once; all is told anew every ``inventory_s`` real seconds."""

    page_runs: int = 500
    window: int = 8
    commands_max: int = 512
    inventory_s: float = 300.0


class Speaker:
    """Speaks for an agent to one scheduler, once.

    ``send`` has a word carried; after the conversation it carries nothing, and does not complain:
    what became of a command is in the journal, and found by who asks again.
    """

    def __init__(
        self,
        agent: Agent,
        version: str,
        send: Callable[[words.FromAgent], Awaitable[None]],
        settings: SpeakSettings | None = None,
        on_welcome: Callable[[words.Welcome], None] = lambda welcome: None,
    ) -> None:
        self._agent, self._version, self._send = agent, version, send
        self._settings = settings or SpeakSettings()
        #: Runs that changed since they were told, in the order of their last change.
        self._news: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._nudged = True
        self._unacked: list[int] = []  # the highest sequence of each message of reports
        self._room = asyncio.Semaphore(self._settings.commands_max)
        self._commands: set[asyncio.Task[None]] = set()
        self._on_welcome = on_welcome
        self.welcomed: words.Welcome | None = None

    # --- what the agent tells us (Listener) -------------------------------------------------------

    def changed(self, run_ids: Iterable[str]) -> None:
        """Tell of these runs when there is room."""
        for run_id in run_ids:
            self._news.pop(run_id, None)
            self._news[run_id] = None
        self._wake.set()

    def nudged(self) -> None:
        """Tell at once how the center stands."""
        self._nudged = True
        self._wake.set()

    # --- the conversation -------------------------------------------------------------------------

    async def converse(self, heard: AsyncIterator[words.ToAgent]) -> None:
        """Speak until the other end hangs up or is silent for too long (``Ended``).

        Raises ``Ended`` too if the other end led once and does no more, or speaks otherwise.
        """
        journal = self._agent.journal
        await self._send(
            words.Hello(
                words.PROTOCOL, journal.center, self._version, journal.journal_id, journal.epoch
            )
        )  # fmt: skip
        welcome = await self._welcome(heard)
        self.welcomed = welcome
        self._on_welcome(welcome)
        self._agent.listen(self)
        telling = asyncio.create_task(self._tell(welcome), name="agent-telling")
        hearing = asyncio.create_task(self._hear(heard, welcome), name="agent-hearing")
        try:
            done, _ = await asyncio.wait({telling, hearing}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._agent.listen(None)
            for task in (telling, hearing):
                task.cancel()
            await asyncio.gather(telling, hearing, return_exceptions=True)

    async def _welcome(self, heard: AsyncIterator[words.ToAgent]) -> words.Welcome:
        first = await _next(heard, _WELCOME_S)
        if not isinstance(first, words.Welcome):
            raise Ended(f"the scheduler did not say welcome, but {type(first).__name__}")
        if first.protocol != words.PROTOCOL:
            raise Ended(
                f"the scheduler speaks version {first.protocol} of the agents' protocol, this"
                f" agent version {words.PROTOCOL}: upgrade the older one"
            )
        try:
            await self._agent.obey(first.epoch)
        except StaleEpoch as error:
            raise Ended(str(error)) from error
        except JournalFailure as error:
            raise Ended(f"no command may be obeyed: {error}") from error
        return first

    # --- hearing ----------------------------------------------------------------------------------

    async def _hear(self, heard: AsyncIterator[words.ToAgent], welcome: words.Welcome) -> None:
        while True:
            said = await _next(heard, welcome.heartbeat_s * _SILENT_BEATS)
            match said:
                case words.Command():
                    await self._room.acquire()
                    self._begin(self._answer(said))
                case words.Reconciled():
                    await self._room.acquire()
                    self._begin(self._reconcile(said))
                case words.Ack():
                    self._unacked = [one for one in self._unacked if one > said.sequence]
                    self._wake.set()
                case words.Heartbeat():
                    pass
                case words.Welcome():
                    raise Ended("the scheduler said welcome twice")

    def _begin(self, work: Awaitable[None]) -> None:
        """Do it beside; it is done even if the conversation ends."""
        task = asyncio.ensure_future(work)
        self._commands.add(task)

        def end(task: "asyncio.Future[None]") -> None:
            self._commands.discard(task)
            self._room.release()

        task.add_done_callback(end)

    async def _answer(self, command: words.Command) -> None:
        try:
            self._agent.check(command.epoch)
            value = await self._do(command.body)
        except StaleEpoch as error:
            value = Unavailable(str(error))
        except JournalFailure as error:
            value = Unavailable(str(error))
        except AdapterError as error:
            value = error
        except Exception as error:
            log.exception("command failed: %s", type(command.body).__name__)
            value = OutcomeUnknown(f"the agent failed: {type(error).__name__}: {error}")
        await self._send(words.Answer(command.id, value))

    async def _do(self, body: words.Body) -> words.AnswerValue:
        agent = self._agent
        match body:
            case RunRequest():
                return await agent.submit(body)
            case words.Find():
                return words.Found(await agent.find(body.runs))
            case words.Cancel():
                await agent.cancel(body.run)
                return None
            case words.Notify():
                await agent.notify(body.run, body.grace_s)
                return None
            case words.ReadLogs():
                return await agent.logs(body.run, body.offset, body.limit)
            case words.ReadUsage():
                return words.Measured(await agent.usage(body.runs))

    async def _reconcile(self, said: words.Reconciled) -> None:
        try:
            await self._agent.reconcile(said)
        except (AdapterError, JournalFailure) as error:
            log.warning("not reconciled, until the next exchange: %s", error)
        except Exception:
            log.exception("reconciling failed")

    # --- telling ----------------------------------------------------------------------------------

    async def _tell(self, welcome: words.Welcome) -> None:
        """Tell all there is, then what is new, and be heard at least at each heartbeat."""
        loop = asyncio.get_running_loop()
        told: words.Told | None = None
        inventory_s = beat_s = loop.time()
        while True:
            if self._agent.told is not None and told != self._agent.told:
                told = self._agent.told
                await self._send(told)
            if self._nudged or loop.time() >= beat_s:
                self._nudged = False
                await self._send(self._agent.standing())
                beat_s = loop.time() + welcome.heartbeat_s * random.uniform(0.8, 1.0)
            if loop.time() >= inventory_s:
                await self._tell_all()
                inventory_s = loop.time() + self._settings.inventory_s
            await self._tell_news()
            if not self._wake.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(min(beat_s, inventory_s)):
                        await self._wake.wait()
            self._wake.clear()

    async def _tell_all(self) -> None:
        """Tell of each run; what changes meanwhile is told again after it."""
        self._news.clear()
        run_ids = list(self._agent.journal.runs)
        pages = list(_pages(run_ids, self._settings.page_runs)) or [()]
        for number, page in enumerate(pages, 1):
            reports = self._reports(page)
            await self._send(words.Inventory(reports, number == 1, number == len(pages)))

    async def _tell_news(self) -> None:
        """Tell what is new, as far as the scheduler has acknowledged what it was told."""
        while self._news and len(self._unacked) < self._settings.window:
            page = list(itertools.islice(self._news, self._settings.page_runs))
            for run_id in page:
                del self._news[run_id]
            reports = self._reports(page)
            if reports:
                self._unacked.append(reports[-1].sequence)
                await self._send(words.Reports(reports))

    def _reports(self, run_ids: Iterable[str]) -> tuple[words.RunReport, ...]:
        """Return how these runs stand now; forgotten ones and mere intents are left out."""
        runs = self._agent.journal.runs
        entries = (runs.get(run_id) for run_id in run_ids)
        reports = (None if entry is None else entry.report() for entry in entries)
        return tuple(report for report in reports if report is not None)


async def _next(heard: AsyncIterator[words.ToAgent], most_s: float) -> words.ToAgent:
    """Return the next word. Raises ``Ended`` if none comes, or not in time."""
    try:
        async with asyncio.timeout(most_s):
            return await anext(heard)
    except StopAsyncIteration as error:
        raise Ended("the scheduler hung up") from error
    except TimeoutError as error:
        raise Ended(f"the scheduler was silent for {most_s:.0f} s") from error


def _pages(run_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(run_ids), size):
        yield run_ids[start : start + size]
