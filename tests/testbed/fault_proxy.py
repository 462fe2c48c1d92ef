"""A proxy on loopback that stands between an adapter and its center, and does harm as told.

It speaks HTTP/1.1 to both sides, hands heads and bodies on byte for byte (so signatures stay
right), and never sends a request a second time: what happened at the center is what the rules say.

    async with FaultProxy("http://127.0.0.1:17112", seed=7) as proxy:
        client = httpx.AsyncClient(base_url=proxy.url)
        rule = proxy.inject(DropAnswer(), method="POST", path=r"/job/submit$")
        ...                       # the next submission reaches the center, its answer is lost
        await rule.struck.wait()  # the event to wait for, not a time
        assert proxy.counts["DropAnswer"] == 1

``inject`` puts a rule behind the others; the first rule that strikes a request decides. A rule
matches by method, by a regular expression searched in the path with its query, and by ``when``;
of its matches it lets the first ``skip`` pass, then strikes ``times`` of them (None: all), each
with ``probability`` by the proxy's own seed. Faults:

=================  ===================================================================
DropRequest        the connection is reset; the center hears nothing
DropAnswer         the center acts and answers; the connection is reset instead
CutAnswer          head and a part of the body arrive, then the connection is reset
Stall              nothing is answered until the client gives up (or ``release``);
                   the center hears it before that, after that, or never
Answer             an answer of our own, before the center hears it or after it acted;
                   ``throttled``, ``failing``, ``broken_json``, ``html`` make usual ones
SkewDate           the center's ``Date`` is moved by so many seconds
Act                something of yours is done before the center hears it, or after it
                   acted and before the client is told (a server killed, say)
=================  ===================================================================

``refuse`` closes the port, so that connections are refused as by a machine whose server is gone,
``admit`` opens the same port again. ``counts`` holds how often each fault was done, and
``requests``, ``forwarded``, ``refused`` (times that ``refuse`` was called) and ``upstream_down``;
``peak`` is the largest number of requests that were under way at once, ``seen`` the last requests
with the fault done to each, and ``quiet`` waits until all clients hung up and nothing is under way.
``on_answer`` sees all that the center answered, before harm is done to it.
"""

import asyncio
import contextlib
import random
import re
import ssl
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from typing import Literal, Self
from urllib.parse import urlsplit

from tests.testbed.http_wire import HEAD_MAX, Message, Upstream, read


@dataclass(frozen=True, slots=True)
class DropRequest:
    """Reset the connection; the center hears nothing."""


@dataclass(frozen=True, slots=True)
class DropAnswer:
    """Let the center act, then reset the connection."""


@dataclass(frozen=True, slots=True)
class CutAnswer:
    """Hand on the head and ``share`` of the body, then reset the connection."""

    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Stall:
    """Answer nothing until the client hangs up or the event is set.

    The center hears the request at once, only after the client gave up (``late``), or ``never``.
    If the event is set first, the client gets the center's answer (none if it was never asked).
    """

    center_hears: Literal["at once", "late", "never"] = "at once"
    release: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer so instead of the center, or after it acted (``forward``)."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    forward: bool = False


@dataclass(frozen=True, slots=True)
class SkewDate:
    """Move the ``Date`` of the center's answer by so many seconds."""

    seconds: int


Deed = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Act:
    """Do something ``before`` the center hears the request, or ``after`` it acted.

    Whose answer is ``lost`` gets none, but a reset.
    """

    before: Deed | None = None
    after: Deed | None = None
    lost: bool = False


Fault = DropRequest | DropAnswer | CutAnswer | Stall | Answer | SkewDate | Act


def throttled(retry_after_s: int | str = 1, *, forward: bool = False) -> Answer:
    """429 with ``Retry-After``."""
    return Answer(429, b'{"error_msg": "too many"}', {"Retry-After": str(retry_after_s)}, forward)


def failing(status: int = 500, *, forward: bool = False) -> Answer:
    """An error of a gateway: a page of HTML, as such machines give."""
    return html(status, forward=forward)


def broken_json(status: int = 200, *, forward: bool = False) -> Answer:
    """A body that says it is JSON and ends too early."""
    return Answer(status, b'{"jobs": [{"job_id": 1', {"Content-Type": "application/json"}, forward)


def html(status: int = 200, *, forward: bool = False) -> Answer:
    """A page for people where an answer for programs should be."""
    body = b"<html><body><h1>Bad Gateway</h1></body></html>"
    return Answer(status, body, {"Content-Type": "text/html"}, forward)


@dataclass(slots=True)
class Rule:
    """One fault and what it strikes; ``struck`` is set at its first strike."""

    fault: Fault
    method: str = ""
    path: str = ""
    when: Callable[[Message], bool] | None = None
    skip: int = 0
    times: int | None = 1
    probability: float = 1.0
    matched: int = 0
    strikes: int = 0
    struck: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, request: Message, rng: random.Random) -> bool:
        """Whether it strikes this request; counts it if so."""
        if self.method and request.method != self.method:
            return False
        if self.path and not re.search(self.path, request.path):
            return False
        if self.when is not None and not self.when(request):
            return False
        self.matched += 1
        if self.matched <= self.skip or (self.times is not None and self.strikes >= self.times):
            return False
        if self.probability < 1.0 and rng.random() >= self.probability:
            return False
        self.strikes += 1
        self.struck.set()
        return True


class FaultProxy:
    """See the module. ``upstream`` is the center's URL; use it as an async context manager.

    With ``server_tls`` clients reach it by https, with ``client_tls`` it reaches the center so.
    """

    def __init__(
        self,
        upstream: str,
        *,
        seed: int = 0,
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        self._upstream = urlsplit(upstream)
        self._rng = random.Random(seed)
        self._server_tls, self._client_tls = server_tls, client_tls
        self._rules: list[Rule] = []
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        #: Told of each request that the center answered, before any harm to the answer.
        self.on_answer: Callable[[Message, Message], None] | None = None
        self.peak = 0
        self.counts: Counter[str] = Counter()
        self.seen: deque[tuple[str, str, str]] = deque(maxlen=10_000)

    @property
    def url(self) -> str:
        """Where clients reach it; stays the same through ``refuse`` and ``admit``."""
        return f"{'https' if self._server_tls else 'http'}://127.0.0.1:{self._port}"

    def inject(
        self,
        fault: Fault,
        *,
        method: str = "",
        path: str = "",
        when: Callable[[Message], bool] | None = None,
        skip: int = 0,
        times: int | None = 1,
        probability: float = 1.0,
    ) -> Rule:
        """Do ``fault`` to the requests that match (see the module); returns the rule."""
        rule = Rule(fault, method, path, when, skip, times, probability)
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Do no more harm; stalls under way go on until released or given up."""
        self._rules.clear()

    async def quiet(self) -> None:
        """Wait until no client is connected and nothing is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def refuse(self) -> None:
        """Close the port and reset all connections."""
        self.counts["refused"] += 1
        await self._close()

    async def admit(self) -> None:
        """Open the port again, if it is closed."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self._port, limit=HEAD_MAX, ssl=self._server_tls,
                reuse_address=True, backlog=1024,
            )  # fmt: skip
            self._port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        await self.admit()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in list(self._open):
            writer.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        center = Upstream(self._upstream.hostname or "", self._upstream.port, self._client_tls)
        try:
            await self._talk(reader, writer, center)
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        except asyncio.CancelledError:  # only ``_close`` does so, and waits for the end
            writer.transport.abort()
        finally:
            center.close()
            writer.close()
            self._open.discard(writer)
            self._tasks.discard(task)

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, center: Upstream
    ) -> None:
        while (request := await read(reader, None)) is not None:
            self.counts["requests"] += 1
            self._under_way += 1
            self.peak = max(self.peak, self._under_way)
            try:
                answer = await self._answer(request, reader, writer, center)
            finally:
                self._under_way -= 1
            if answer is None:
                writer.transport.abort()
                return
            writer.write(answer.head + answer.body)
            await writer.drain()
            if answer.closes or request.closes:
                return

    async def _answer(
        self,
        request: Message,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        center: Upstream,
    ) -> Message | None:
        """What the client is told; None resets the connection."""
        rule = next((rule for rule in self._rules if rule.take(request, self._rng)), None)
        fault = rule.fault if rule is not None else None
        name = type(fault).__name__ if fault is not None else ""
        self.seen.append((request.method, request.path, name))
        if fault is not None:
            self.counts[name] += 1
        match fault:
            case None:
                return await self._ask(center, request)
            case DropRequest():
                return None
            case DropAnswer():
                await self._ask(center, request)
                return None
            case CutAnswer(share=share):
                whole = await self._ask(center, request)
                if whole is not None:
                    writer.write(whole.head + whole.body[: int(len(whole.body) * share)])
                    await writer.drain()
                    writer.close()  # unlike a reset this lets arrive what was sent
                    await writer.wait_closed()
                return None
            case Stall():
                return await self._stall(fault, request, reader, center)
            case Answer():
                if fault.forward:
                    await self._ask(center, request)
                return _own(fault)
            case SkewDate(seconds=seconds):
                answer = await self._ask(center, request)
                return _skewed(answer, seconds) if answer is not None else None
            case Act():
                return await self._act(fault, request, center)

    async def _act(self, fault: Act, request: Message, center: Upstream) -> Message | None:
        if fault.before is not None:
            await fault.before()
        answer = await self._ask(center, request)
        if fault.after is not None:
            await fault.after()
        return None if fault.lost else answer

    async def _stall(
        self, fault: Stall, request: Message, reader: asyncio.StreamReader, center: Upstream
    ) -> Message | None:
        answer = await self._ask(center, request) if fault.center_hears == "at once" else None
        gone = asyncio.create_task(reader.read(HEAD_MAX))
        released = asyncio.create_task(fault.release.wait())
        try:
            await asyncio.wait({gone, released}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            released.cancel()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await gone
        return await self._ask(center, request) if fault.center_hears == "late" else answer

    async def _ask(self, center: Upstream, request: Message) -> Message | None:
        """The center's answer; None if the center is down or went away."""
        try:
            answer = await center.ask(request, lambda: self.counts.update(forwarded=1))
        except (OSError, asyncio.IncompleteReadError):
            center.close()
            answer = None
        if answer is None:
            self.counts["upstream_down"] += 1
        elif self.on_answer is not None:
            self.on_answer(request, answer)
        return answer


def _own(fault: Answer) -> Message:
    """An answer that no center gave."""
    headers = {
        "Content-Type": "application/json",
        "Date": formatdate(usegmt=True),
        **fault.headers,
        "Content-Length": str(len(fault.body)),
    }
    lines = [f"HTTP/1.1 {fault.status} Injected", *(f"{k}: {v}" for k, v in headers.items())]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    low = {name.lower(): text for name, text in headers.items()}
    return Message(head, fault.body, ("HTTP/1.1", str(fault.status), "Injected"), low)


def _skewed(answer: Message, seconds: int) -> Message:
    """The answer with its date moved; one that has none gets one."""
    lines = answer.head.decode("latin-1").split("\r\n")
    kept = [line for line in lines[:-2] if not line.lower().startswith("date:")]
    told = answer.headers.get("date")
    if told is None:
        told = formatdate(usegmt=True)
    moved = formatdate(parsedate_to_datetime(told).timestamp() + seconds, usegmt=True)
    head = "\r\n".join([*kept, f"Date: {moved}", "", ""]).encode("latin-1")
    return Message(head, answer.body, answer.first, {**answer.headers, "date": moved})
