"""HTTP/1.1 to one address over a few connections that stay open.

Small on purpose: a general client costs several times the processor time of a call, and does not
tell what matters most, whether a request can have left us (``NotSent``) or its answer was lost
(``AnswerLost``). Redirects are not followed, proxies of the environment not asked.
"""

import asyncio
import math
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

from adapters.contract import boot_s

_HEAD_MAX: Final = 1 << 16
_BODY_MAX: Final = 1 << 26
_NO_BODY: Final = frozenset({204, 304})


class NotSent(Exception):
    """The request certainly never left us."""


class AnswerLost(Exception):
    """The request may have arrived; no whole answer to it did.

    ``stale`` says that the connection had served before and broke without a byte of an answer.
    """

    def __init__(self, message: str, stale: bool = False) -> None:
        super().__init__(message)
        self.stale = stale


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire(Protocol):
    """Carries requests to one address."""

    @property
    def host(self) -> str:
        """The address as the header ``Host`` names it."""
        ...

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        read_s: float,
        send_by_s: float = math.inf,
    ) -> Answer:
        """Send one request and wait at most ``read_s`` for its whole answer.

        Raises ``NotSent``, also where it is later than ``send_by_s`` on the clock of ``boot_s``
        when it could be sent, and ``AnswerLost``.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class HttpWire:
    """A ``Wire`` over TCP or TLS. ``idle_s`` is how long an unused connection is trusted."""

    def __init__(
        self,
        endpoint: str,
        ca_file: Path | None,
        connect_s: float,
        connections_max: int = 8,
        idle_s: float = 5.0,
    ) -> None:
        """Raises ``ValueError`` if ``ca_file`` cannot be read."""
        parts = urlsplit(endpoint)
        self._address = parts.hostname or ""
        self._ssl = _tls(ca_file) if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._ssl else 80)
        self.host = parts.netloc
        self._connect_s, self._idle_s = connect_s, idle_s
        self._slots = asyncio.Semaphore(connections_max)
        self._idle: list[tuple[float, _Connection]] = []

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        read_s: float,
        send_by_s: float = math.inf,
    ) -> Answer:
        """See ``Wire``."""
        head = [f"{method} {target} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        if body or method not in ("GET", "HEAD"):
            head.append(f"Content-Length: {len(body)}")
        data = "\r\n".join(head).encode() + b"\r\n\r\n" + body
        async with self._slots:
            connection = self._reused() or await self._connect()
            try:
                if boot_s() >= send_by_s:  # the last moment before it leaves us
                    raise NotSent("too late: what was to be sent must be intended anew")
                answer = await connection.exchange(data, read_s)
            except BaseException:
                connection.close()
                raise
            if connection.reusable:
                self._idle.append((asyncio.get_running_loop().time(), connection))
            else:
                connection.close()
            return answer

    async def close(self) -> None:
        """See ``Wire``."""
        while self._idle:
            self._idle.pop()[1].close()

    def _reused(self) -> "_Connection | None":
        trusted_s = asyncio.get_running_loop().time() - self._idle_s
        while self._idle:
            since_s, connection = self._idle.pop()
            if connection.reusable and since_s >= trusted_s:
                return connection
            connection.close()
        return None

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await loop.create_connection(
                    _Connection, self._address, self._port, ssl=self._ssl
                )
        except TimeoutError:
            raise NotSent(f"{self.host}: no connection within {self._connect_s:g} s") from None
        except OSError as error:  # an ssl.SSLError is one too
            raise NotSent(f"{self.host}: {type(error).__name__}: {error}") from None
        return connection


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"ca_file {ca_file}: {error}") from None


class _Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._reader = _AnswerReader()
        self._served = 0
        self._open = False

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent over it."""
        return self._open and self._reader.empty and self._reader.keeps_open

    async def exchange(self, data: bytes, read_s: float) -> Answer:
        """Send and wait. Raises ``AnswerLost``, and ``NotSent`` if it was closed before."""
        if self._transport is None or not self._open:
            raise NotSent("connection closed before the request was sent")
        self._waiter = asyncio.get_running_loop().create_future()
        self._reader = _AnswerReader()
        self._transport.write(data)
        try:
            async with asyncio.timeout(read_s):
                answer = await self._waiter
        except TimeoutError:
            raise AnswerLost(f"no answer within {read_s:g} s") from None
        finally:
            self._waiter = None
        self._served += 1
        return answer

    def close(self) -> None:
        """Close at once."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()

    # --- what asyncio calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        # No check: uvloop's transports are none of asyncio's classes.
        self._transport, self._open = cast(asyncio.Transport, transport), True

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._waiter is None or self._waiter.done():
            self.close()  # nobody asked for this
            return
        try:
            answer = self._reader.feed(data)
        except ValueError as error:
            self._fail(f"unreadable answer: {error}")
            return
        if answer is not None:
            self._waiter.set_result(answer)

    def eof_received(self) -> bool:
        """Close on our side too."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End what waits: with an answer that ends with its connection, or without one."""
        self._open = False
        answer = self._reader.ended() if exc is None else None
        if answer is not None and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)
        else:
            self._fail("connection broke before the whole answer arrived")

    def _fail(self, what: str) -> None:
        stale = self._served > 0 and not self._reader.began
        self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(AnswerLost(what, stale))


class _AnswerReader:
    """Reads one answer out of the bytes as they come. Raises ``ValueError`` for what is none."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._length: int | None = None
        self._chunked = False
        self.began = False
        self.keeps_open = True

    @property
    def empty(self) -> bool:
        """Whether there is no byte that was not made into an answer."""
        return not self._bytes

    def feed(self, data: bytes) -> Answer | None:
        """Return the answer once it is whole."""
        self.began = True
        self._bytes += data
        while not self._status:
            if not self._read_head():
                return None
        if self._chunked:
            return self._dechunked()
        if self._length is None:
            if len(self._bytes) > _BODY_MAX:
                raise ValueError("the body is too long")
            return None
        if len(self._bytes) < self._length:
            return None
        with memoryview(self._bytes) as seen:
            body = bytes(seen[: self._length])
        return self._made(body, self._length)

    def ended(self) -> Answer | None:
        """Return the answer whose end is the end of its connection; None if there is none."""
        if not self._status or self._chunked or self._length is not None:
            return None
        return self._made(bytes(self._bytes), len(self._bytes))

    def _made(self, body: bytes, used: int) -> Answer:
        del self._bytes[:used]
        return Answer(self._status, self._headers, body)

    def _read_head(self) -> bool:
        end = self._bytes.find(b"\r\n\r\n")
        if end < 0:
            if len(self._bytes) > _HEAD_MAX:
                raise ValueError("the head is too long")
            return False
        first, *lines = self._bytes[:end].decode("latin-1").split("\r\n")
        del self._bytes[: end + 4]
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise ValueError("it does not begin as an answer does")
        status = int(rest[:3])
        if 100 <= status < 200:
            return bool(self._bytes)  # an answer of its own will follow
        self._headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        self._status = status
        self._find_length(version)
        return True

    def _find_length(self, version: str) -> None:
        headers = self._headers
        closes = headers.get("connection", "").lower()
        self.keeps_open = closes == "keep-alive" if version == "HTTP/1.0" else closes != "close"
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length")
        if self._status in _NO_BODY:
            self._length, self._chunked = 0, False
        elif length is not None and not self._chunked:
            if not length.isascii() or not length.isdigit() or int(length) > _BODY_MAX:
                raise ValueError("the length of the body is none")
            self._length = int(length)
        elif not self._chunked:
            self.keeps_open = False

    def _dechunked(self) -> Answer | None:
        parts: list[bytes] = []
        at = 0
        while True:
            end = self._bytes.find(b"\r\n", at)
            if end < 0:
                return None
            size = _hex(bytes(self._bytes[at:end]))
            at = end + 2 + size
            if at > _BODY_MAX:
                raise ValueError("the body is too long")
            if size == 0:
                tail = self._bytes.find(b"\r\n\r\n", end)
                if tail < 0:
                    return None
                return self._made(b"".join(parts), tail + 4)
            if len(self._bytes) < at + 2:
                return None
            parts.append(bytes(self._bytes[end + 2 : at]))
            at += 2


def _hex(line: bytes) -> int:
    size = line.partition(b";")[0].strip()
    if not 0 < len(size) <= 8 or size.strip(b"0123456789abcdefABCDEF"):
        raise ValueError("the length of a chunk is none")
    return int(size, 16)
