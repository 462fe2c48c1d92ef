"""Messages of HTTP/1.1 as bytes on a stream, and one connection to a server."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

HEAD_MAX: Final = 1 << 20
NO_BODY: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer: its head as it came, and its whole body."""

    head: bytes
    body: bytes
    first: tuple[str, str, str]
    headers: Mapping[str, str]  # names in lower case
    ended_by_close: bool = False

    @property
    def method(self) -> str:
        """Of a request."""
        return self.first[0]

    @property
    def path(self) -> str:
        """Of a request, with its query."""
        return self.first[1]

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first[1])

    @property
    def closes(self) -> bool:
        """Whether nothing follows it on its connection."""
        said = self.headers.get("connection", "").lower()
        old = "HTTP/1.0" in (self.first[0], self.first[2])
        return self.ended_by_close or said == "close" or (old and said != "keep-alive")


class Upstream:
    """One connection to the center, kept open for one client's connection."""

    def __init__(self, host: str, port: int | None, tls: ssl.SSLContext | None) -> None:
        self._host, self._tls = host, tls
        self._port = port or (443 if tls else 80)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Message, sent: Callable[[], None]) -> Message | None:
        """Send once, never again; ``sent`` is called when the request is on its way."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._host, self._port, limit=HEAD_MAX, ssl=self._tls
            )
        reader, writer = self._streams
        writer.write(request.head + request.body)
        sent()
        await writer.drain()
        answer = await read(reader, request)
        if answer is None or answer.closes:
            self.close()
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def read(reader: asyncio.StreamReader, request: Message | None) -> Message | None:
    """The next request, or the answer to one; None where the other side hung up before it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    lines = head.decode("latin-1").split("\r\n")
    first, second, *rest = lines[0].split(" ", 2)
    headers = {
        name.strip().lower(): text.strip()
        for name, _, text in (line.partition(":") for line in lines[1:] if line)
    }
    message = Message(head, b"", (first, second, rest[0] if rest else ""), headers)
    bare = request is not None and (request.method == "HEAD" or message.status in NO_BODY)
    if bare:
        return message
    body, ended = await _body(reader, headers, to_the_end=request is not None)
    return Message(head, body, message.first, headers, ended)


async def _body(
    reader: asyncio.StreamReader, headers: Mapping[str, str], *, to_the_end: bool
) -> tuple[bytes, bool]:
    """The body as it lies on the wire (chunks stay chunks), and if the connection ended it."""
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"])), False
    if "chunked" in headers.get("transfer-encoding", "").lower():
        parts = []
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            parts += [line, await reader.readexactly(size + 2)]
            if size == 0:
                return b"".join(parts), False
    return (await reader.read(-1), True) if to_the_end else (b"", False)
