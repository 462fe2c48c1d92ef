"""Our small HTTP: what is whole, what is lost, and what certainly never left us."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from adapters.contract import boot_s
from adapters.wire import Answer, AnswerLost, HttpWire, NotSent

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Name:  value \r\n\r\nhi"
TLS = Path(__file__).parents[2] / "data" / "tls"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Raw:
    """A server that answers each request with prepared pieces of bytes, then maybe hangs up."""

    def __init__(self, *answers: Sequence[bytes], hang_up: bool = False) -> None:
        self._answers, self._hang_up = list(answers), hang_up
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""
        self.asked = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while self._answers:
                head = await reader.readuntil(b"\r\n\r\n")
                _, _, length = head.lower().partition(b"content-length: ")
                body = await reader.readexactly(int(length.split(b"\r\n")[0])) if length else b""
                self.requests.append(head + body)
                self.asked.set()
                for piece in self._answers.pop(0):
                    writer.write(piece)
                    await writer.drain()
                if self._hang_up:
                    break
            if not self._hang_up:
                await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(raw: Raw) -> AsyncIterator[HttpWire]:
    server = await asyncio.start_server(raw.serve, "127.0.0.1")
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    wire = HttpWire(raw.url, None, 5.0)
    try:
        yield wire
    finally:
        await wire.close()
        server.close()
        await server.wait_closed()
        await asyncio.gather(*raw.tasks)


async def get(wire: HttpWire, read_s: float = 5.0, body: bytes = b"") -> Answer:
    return await wire.request("POST" if body else "GET", "/p?q=1", {"A": "b"}, body, read_s)


async def test_requests_follow_each_other_over_one_connection() -> None:
    raw = Raw([OK], [OK])
    async with serving(raw) as wire:
        for body in (b"", b"text"):
            answer = await get(wire, body=body)
            assert (answer.status, answer.body, answer.headers["x-name"]) == (200, b"hi", "value")
    assert raw.connections == 1
    assert raw.requests == [
        b"GET /p?q=1 HTTP/1.1\r\nA: b\r\n\r\n",
        b"POST /p?q=1 HTTP/1.1\r\nA: b\r\nContent-Length: 4\r\n\r\ntext",
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        [OK[:5], OK[5:30], OK[30:]],
        [b"HTTP/1.1 100 Continue\r\n\r\n", OK],
        [b"HTTP/1.1 100 Continue\r\n\r\n" + OK],
        [CHUNKED + b"1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n"],
        [CHUNKED + b"2\r", b"\nhi\r\n0\r\n", b"T: x\r\n\r\n"],
    ],
)  # fmt: skip
async def test_an_answer_is_read_however_it_comes(pieces: list[bytes]) -> None:
    raw = Raw(pieces, [OK])
    async with serving(raw) as wire:
        assert (await get(wire)).body == b"hi"
        assert (await get(wire)).body == b"hi"
    assert raw.connections == 1


async def test_an_answer_may_end_with_its_connection() -> None:
    async with serving(Raw([b"HTTP/1.1 200 OK\r\n\r\n", b"hi"], hang_up=True)) as wire:
        assert (await get(wire)).body == b"hi"


async def test_no_body_is_waited_for_where_there_is_none() -> None:
    async with serving(Raw([b"HTTP/1.1 204 No Content\r\n\r\n"])) as wire:
        assert (await get(wire)).body == b""


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [OK[:-1]],
        [CHUNKED + b"2\r\nhi\r\n"],
        [CHUNKED + b"zz\r\nhi\r\n0\r\n\r\n"],
        [CHUNKED + b"-2\r\nhi\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"],
        [b"SSH-2.0-OpenSSH\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000],
    ],
)
async def test_what_is_no_whole_answer_is_lost(pieces: list[bytes]) -> None:
    async with serving(Raw(pieces, hang_up=True)) as wire:
        with pytest.raises(AnswerLost) as lost:
            await get(wire)
    assert not lost.value.stale


async def test_an_answer_that_does_not_come_is_lost_and_its_connection_not_used_again() -> None:
    raw = Raw([], [OK])
    async with serving(raw) as wire:
        with pytest.raises(AnswerLost, match=r"no answer within 0\.05 s"):
            await get(wire, read_s=0.05)
        assert (await get(wire)).body == b"hi"
    assert raw.connections == 2


async def test_a_connection_closed_at_rest_is_told_from_a_lost_answer() -> None:
    """The server hangs up over the second request: it may be asked again, for a question."""
    raw = Raw([OK], [])
    async with serving(raw) as wire:
        await get(wire)
        raw._hang_up = True
        with pytest.raises(AnswerLost) as lost:
            await get(wire)
    assert lost.value.stale


async def test_what_nobody_asked_for_closes_the_connection() -> None:
    raw = Raw([OK, OK], [OK])
    async with serving(raw) as wire:
        assert (await get(wire)).body == b"hi"
        assert (await get(wire)).body == b"hi"


async def test_a_request_given_up_closes_its_connection() -> None:
    raw = Raw([], [OK])
    async with serving(raw) as wire:
        asking = asyncio.ensure_future(get(wire))
        await raw.asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await get(wire)).body == b"hi"
    assert raw.connections == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
async def test_without_a_connection_nothing_was_sent(url: str) -> None:
    with pytest.raises(NotSent):
        await get(HttpWire(url, None, 5.0))


async def test_a_handshake_that_fails_sends_nothing() -> None:
    raw = Raw([OK], hang_up=True)
    async with serving(raw):
        with pytest.raises(NotSent):
            await get(HttpWire(raw.url.replace("http:", "https:"), None, 0.2))
    assert not raw.requests


async def test_what_is_late_is_not_sent() -> None:
    """Also where the connection took its time: the last moment counts."""
    raw = Raw([OK], [OK])
    async with serving(raw) as wire:
        await get(wire)
        with pytest.raises(NotSent, match="too late"):
            await wire.request("POST", "/p", {}, b"x", 5.0, boot_s())
        await wire.request("POST", "/p", {}, b"x", 5.0, boot_s() + 60)
    assert len(raw.requests) == 2


async def test_environment_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(Raw([OK])) as wire:
        assert (await get(wire)).body == b"hi"


async def test_only_a_center_whose_certificate_is_trusted_is_spoken_to() -> None:
    raw = Raw([OK])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    server = await asyncio.start_server(raw.serve, "127.0.0.1", ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    for ca_file in (None, TLS / "other.pem"):
        with pytest.raises(NotSent, match="certificate"):
            await get(HttpWire(url, ca_file, 5.0))
    wire = HttpWire(url, TLS / "cert.pem", 5.0)
    assert (await get(wire)).body == b"hi"
    await wire.close()
    server.close()
    await server.wait_closed()
    await asyncio.gather(*raw.tasks)


def test_a_bundle_of_authorities_must_be_one(tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    with pytest.raises(ValueError, match="ca_file"):
        HttpWire("https://modelarts.example", bad, 3.0)
