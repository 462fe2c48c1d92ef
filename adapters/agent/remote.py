"""A center reached through its agent, as its scheduler's side sees it: a ``CenterAdapter``.

What the agent told is answered from memory; what acts on the center, or must be asked now, goes to
the agent over its session. Nothing is answered from memory while no agent is connected, before it
has told all it holds, or after its own looks at the center failed: then the center is
``Unavailable``, as it would be if it were called from here.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from adapters.agent import words
from adapters.agent.mirror import Mirror
from adapters.agent.session import Session, SessionEnded
from adapters.contract import (
    Accepted,
    CenterDescription,
    Health,
    LogChunk,
    Observation,
    Page,
    RunRef,
    RunRequest,
    Usage,
    boot_s,
)
from adapters.errors import AdapterError, OutcomeUnknown, Unavailable

log = logging.getLogger(__name__)

KIND: Final = "agent"
_ASKED_MAX: Final = 1000  # runs in one command

#: Which of these runs are done with for good: end and use are in the scheduler's store.
Settled = Callable[[Sequence[str]], Awaitable[set[str]]]
_Value = TypeVar("_Value")


async def _nothing(run_ids: Sequence[str]) -> set[str]:
    """Nobody knows."""
    return set()


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Real seconds: ``call_s`` is how long a command may take, ``stale_s`` how old the agent's last
    whole look at its center may be, ``settle_s`` what is assumed before an agent tells its own."""

    call_s: float = 60.0
    stale_s: float = 180.0
    settle_s: float = 60.0
    heartbeat_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("call_s", "stale_s", "settle_s", "heartbeat_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"'{name}' must be positive, not {getattr(self, name)}")
        if self.heartbeat_s > words.HEARTBEAT_MAX_S:
            raise ValueError(f"'heartbeat_s' must be at most {words.HEARTBEAT_MAX_S:g}")


class RemoteCenter:
    """See the module. ``settled`` is set by who has the store; ``on_event`` counts for operators:
    it is told of ``connected``, ``ended`` and ``reports``, with a number."""

    def __init__(
        self,
        center: str,
        settings: RemoteSettings | None = None,
        now_s: Callable[[], float] = boot_s,
    ) -> None:
        self.center, self.settings = center, settings or RemoteSettings()
        self.settled: Settled = _nothing
        self.on_event: Callable[[str, int], None] = lambda event, number: None
        self._now_s = now_s
        self.mirror = Mirror()
        self._session: Session | None = None
        self._journal_id = ""
        self._complete = False
        self._told: words.Told | None = None
        self._standing: words.Standing | None = None
        self._standing_s = 0.0
        self._away = f"no agent of {center} has connected yet"
        self._missed: dict[str, RunRef] = {}
        self._news = asyncio.Event()
        self._reconciling: set[asyncio.Task[None]] = set()

    # --- sessions ---------------------------------------------------------------------------------

    @property
    def session(self) -> Session | None:
        """The agent's session, None while there is none."""
        return self._session

    @property
    def ready(self) -> bool:
        """Whether an agent is here and has told all it holds."""
        return self._session is not None and self._complete

    def attach(self, hello: words.Hello, epoch: int) -> Session:
        """Begin a session; an older one of this center ends."""
        if self._session is not None:
            self._session.replaced = True
            self.detach(self._session, "another session of this center's agent replaced this one")
        session = Session(hello, epoch, self, self._now_s, self.settings.heartbeat_s)
        self.mirror.begin(hello.journal_id == self._journal_id)
        self._journal_id, self._complete, self._standing = hello.journal_id, False, None
        self._session = session
        self._news.set()
        self.on_event("connected", 1)
        return session

    def detach(self, session: Session, reason: str) -> None:
        """End a session; what it told is believed no more until an agent says so again."""
        session.end(reason)
        if self._session is session:
            self._session = None
            self._away = f"the agent of {self.center} is away: {reason}"
            self._news.set()
            self.on_event("ended", 1)

    def hear(self, session: Session, said: words.FromAgent) -> None:
        """Take what the agent says by itself. Raises ``ValueError`` for a word out of place."""
        match said:
            case words.Told():
                self._told = said
            case words.Standing():
                self._standing, self._standing_s = said, self._now_s()
            case words.Inventory():
                if self.mirror.page(said):
                    self._complete = True
                    self._begin_reconciling(session)
            case words.Reports():
                self.on_event("reports", len(said.runs))
                self.mirror.take(said.runs)
                if said.runs:
                    session.tell(words.Ack(said.runs[-1].sequence))
            case _:
                raise ValueError(f"{type(said).__name__} is out of place here")
        self._news.set()

    def _begin_reconciling(self, session: Session) -> None:
        task = asyncio.ensure_future(self._reconcile(session))
        self._reconciling.add(task)
        task.add_done_callback(self._reconciling.discard)

    async def _reconcile(self, session: Session) -> None:
        """Tell the agent what is done with, and what it did not name though it should have it."""
        over = self.mirror.over()
        settled: set[str] = set()
        try:
            for start in range(0, len(over), _ASKED_MAX):
                settled |= await self.settled(over[start : start + _ASKED_MAX])
        except Exception:
            log.exception("what is settled of %s is asked at the next exchange", self.center)
        self.mirror.drop(settled)
        wanted = tuple(
            ref for run_id, ref in self._missed.items() if run_id not in self.mirror.runs
        )
        if settled or wanted:
            session.tell(words.Reconciled(tuple(sorted(settled)), wanted))

    # --- what the agent told ----------------------------------------------------------------------

    def _fresh(self) -> Session:
        """Return the session if what it told may be believed. Raises ``AdapterError``."""
        session = self._here()
        standing = self._standing
        if not self._complete or standing is None:
            raise Unavailable(f"the agent of {self.center} has not told yet what it holds")
        if standing.error is not None:
            raise type(standing.error)(*_arguments(standing.error))
        if standing.swept_age_s is None:
            raise Unavailable(f"the agent of {self.center} has not looked at its center yet")
        age_s = standing.swept_age_s + self._now_s() - self._standing_s
        if age_s > self.settings.stale_s:
            raise Unavailable(
                f"the agent of {self.center} looked at its center last {age_s:.0f} s ago, more than"
                f" the {self.settings.stale_s:g} s of 'stale_s'"
            )
        return session

    def _here(self) -> Session:
        if self._session is None:
            raise Unavailable(self._away)
        return self._session

    @property
    def settle_s(self) -> float:
        """As the agent told of its center."""
        return self.settings.settle_s if self._told is None else self._told.settle_s

    @property
    def provisional_s(self) -> float:
        """As the agent told of its center."""
        return 0.0 if self._told is None else self._told.provisional_s

    async def describe(self) -> CenterDescription:
        """What the center last said of itself, while its agent is here."""
        self._here()
        if self._told is None:
            raise Unavailable(f"the agent of {self.center} has not described its center yet")
        return self._told.description

    async def list_active(self, page_token: str = "") -> Page:
        """All active runs, on one page."""
        self._fresh()
        return Page(tuple(self.mirror.active.values()))

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        """Runs that the agent told of; it looks now for those that it did not."""
        session = self._fresh()
        found: dict[str, Observation] = {}
        missed: dict[str, RunRef] = {}
        for ref in runs:
            known = self.mirror.runs.get(ref.run_id)
            if known is None:
                missed[ref.run_id] = ref
            elif not known.gone:
                found[ref.run_id] = known.observation
        self._missed = missed
        refs = list(missed.values())
        for start in range(0, len(refs), _ASKED_MAX):
            body = words.Find(tuple(refs[start : start + _ASKED_MAX]))
            found.update((await self._ask(session, body, words.Found)).runs)
        return found

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """Use that the agent told of; it asks the center now for runs that it holds no more."""
        session = self._fresh()
        metered: dict[str, tuple[Usage, ...]] = {}
        others: list[RunRef] = []
        for ref in runs:
            known = self.mirror.runs.get(ref.run_id)
            if known is None:
                others.append(ref)
            elif known.usage is not None:
                metered[ref.run_id] = known.usage
        for start in range(0, len(others), _ASKED_MAX):
            body = words.ReadUsage(tuple(others[start : start + _ASKED_MAX]))
            metered.update((await self._ask(session, body, words.Measured)).runs)
        return metered

    async def health(self) -> Health:
        """Whether an agent is here, and whether its center answers it."""
        try:
            self._fresh()
        except AdapterError as error:
            return Health(False, str(error))
        return Health(True, f"through agent {self._here().hello.agent_version}")

    async def wait_for_change(self, timeout_s: float) -> bool:
        """Wake when the agent comes, goes or says something."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        heard = self._news.is_set()
        self._news.clear()
        return heard

    # --- what the agent is asked to do ------------------------------------------------------------

    async def submit(self, request: RunRequest) -> Accepted:
        """Have the agent start a run."""
        answer = await self._act(self._by_agents_clock(request), Accepted)
        self.mirror.accepted(request.ref, answer)
        return answer

    def _by_agents_clock(self, request: RunRequest) -> RunRequest:
        """Return the request with its last moment on the agent's clock.

        What the agent said when it was heard is the bound: however long the command lies on its
        way, or the agent is stopped with it in its hands, no center is called for it too late.
        """
        self._here()
        if request.send_by_s == math.inf:
            return request
        if self._standing is None:
            raise Unavailable(f"the agent of {self.center} has not told its time yet")
        left_s = request.send_by_s - self._standing_s
        return replace(request, send_by_s=self._standing.clock_s + left_s)

    async def cancel(self, run: RunRef) -> None:
        """Have the agent ask for the run's end."""
        await self._act(words.Cancel(run), type(None))

    async def notify(self, run: RunRef, grace_s: int) -> None:
        """Have the agent tell the run's program."""
        await self._act(words.Notify(run, grace_s), type(None))

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        """Have the agent read the run's log."""
        return await self._ask(self._here(), words.ReadLogs(run, offset, limit), LogChunk)

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        """Let the agent forget runs; what is lost on the way it is told at the next exchange."""
        session = self._here()
        self.mirror.drop(run_ids)
        if run_ids:
            session.tell(words.Reconciled(tuple(run_ids)))

    async def close(self) -> None:
        """End the session; the agent goes on by itself."""
        if self._session is not None:
            self.detach(self._session, "the scheduler is stopping")
        for task in list(self._reconciling):
            task.cancel()
        await asyncio.gather(*self._reconciling, return_exceptions=True)

    async def _act(self, body: words.Body, kind: type[_Value]) -> _Value:
        """Have something done. Raises ``OutcomeUnknown`` if it may have been, ``Unavailable`` if
        it certainly was not."""
        try:
            return _of(kind, await self._here().call(body, self.settings.call_s))
        except SessionEnded as error:
            message = f"{self.center}: {error}"
            raise (OutcomeUnknown if error.sent else Unavailable)(message) from error

    async def _ask(self, session: Session, body: words.Body, kind: type[_Value]) -> _Value:
        """Have something read, which has no effect however it ends."""
        try:
            return _of(kind, await session.call(body, self.settings.call_s))
        except SessionEnded as error:
            raise Unavailable(f"{self.center}: {error}") from error


def _of(kind: type[_Value], value: words.AnswerValue) -> _Value:
    if not isinstance(value, kind):
        raise OutcomeUnknown(f"the agent answered {type(value).__name__}, not {kind.__name__}")
    return value


def _arguments(error: AdapterError) -> tuple[Any, ...]:
    """Return what makes the same error again; one that was raised is not raised twice."""
    more = [getattr(error, name) for name in ("retry_after_s", "reason") if hasattr(error, name)]
    return (str(error), *more)
