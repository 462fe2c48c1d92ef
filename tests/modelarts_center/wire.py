"""A small strict HTTP/1.1 server that can also misbehave: cut a body, drop a connection."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

MAX_HEAD = 64 * 1024
MAX_BODY = 8 * 1024 * 1024

Json = dict[str, Any]


class BadRequest(Exception):
    """What is no request of HTTP/1.1 as this server takes it; closes the connection."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``raw_path`` is still percent-encoded, ``query`` is decoded."""

    method: str
    raw_path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def path(self) -> str:
        """The decoded path."""
        return unquote(self.raw_path)

    def header(self, name: str) -> str:
        """A header's value, empty if it is missing."""
        return self.headers.get(name.lower(), "")

    def parameter(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)


@dataclass(slots=True)
class Response:
    """One answer. ``cut_at`` ends the connection after so many bytes of the body; ``drop`` before
    the first byte of all."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut_at: int | None = None
    drop: bool = False


Handler = Callable[[Request], Awaitable[Response]]


def json_response(value: object, status: int = 200) -> Response:
    """An answer with a JSON body."""
    return Response(status, json.dumps(value, ensure_ascii=False).encode())


class HttpServer:
    """Serves one handler on one port; ``now_s`` gives the time of the Date header."""

    def __init__(self, handler: Handler, now_s: Callable[[], float]) -> None:
        self._handler = handler
        self._now_s = now_s
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=MAX_HEAD)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server is None:
            return
        self._server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await read_request(reader)
            except BadRequest as bad:
                writer.write(self._head(Response(400, content_type="text/plain"), str(bad)))
                return
            if request is None:
                return
            response = await self._handler(request)
            if response.drop:
                writer.transport.abort()
                return
            body = response.body if response.cut_at is None else response.body[: response.cut_at]
            writer.write(self._head(response) + body)
            await writer.drain()
            if response.cut_at is not None or request.header("Connection").lower() == "close":
                return

    def _head(self, response: Response, text: str = "") -> bytes:
        headers = {
            "Date": formatdate(self._now_s(), usegmt=True),
            "Server": "api-gateway",
            "Content-Type": response.content_type,
            "Content-Length": str(len(response.body or text.encode())),
            **response.headers,
        }
        reason = HTTPStatus(response.status).phrase
        lines = [f"HTTP/1.1 {response.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection, None if the client closed it; raises ``BadRequest``."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest("the head of the request is too long") from None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] != "HTTP/1.1":
        raise BadRequest("not a request of HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or name.lower() in headers:
            raise BadRequest(f"not a header, or one that was given twice: {name!r}")
        headers[name.lower()] = value.strip().encode("latin-1").decode()
    if "host" not in headers:
        raise BadRequest("no Host header")
    if "transfer-encoding" in headers:
        raise BadRequest("a body must come with its Content-Length")
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
        raise BadRequest("Content-Length is no number, or too large")
    try:
        body = await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        return None
    raw_path, _, raw_query = parts[1].partition("?")
    return Request(parts[0], raw_path, _pairs(raw_query), headers, body)


def _pairs(raw_query: str) -> list[tuple[str, str]]:
    """Decoded pairs; a plus is a plus, as those who sign write a space as %20."""
    pairs = (pair.partition("=") for pair in raw_query.split("&") if pair)
    return [(unquote(key), unquote(value)) for key, _, value in pairs]
