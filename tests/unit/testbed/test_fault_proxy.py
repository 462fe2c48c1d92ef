"""The proxy that does harm: each fault does what it says to both sides, once, and is counted."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.testbed.fault_proxy import (
    Act,
    Answer,
    CutAnswer,
    DropAnswer,
    DropRequest,
    FaultProxy,
    SkewDate,
    Stall,
    broken_json,
    failing,
    html,
    throttled,
)

BODY = json.dumps({"text": "x" * 2000}).encode()


@dataclass
class Center:
    """A server of the standard library, which notes what it hears."""

    url: str = ""
    heard: list[tuple[str, str, bytes]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@pytest.fixture
def center() -> Iterator[Center]:
    """Answers everything with BODY; /chunked in chunks, /plain until it hangs up."""
    noted = Center()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body in one packet

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            noted.heard.append((self.command, self.path, body))
            noted.arrived.release()
            self.send_response(304 if self.path == "/unchanged" else 200)
            if self.path == "/chunked":
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for part in (BODY[:700], BODY[700:]):
                    self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
                return
            if self.path == "/plain":
                self.send_header("Connection", "close")
            elif self.path != "/unchanged":
                self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            if self.path != "/unchanged":
                self.wfile.write(BODY)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    noted.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield noted
    server.shutdown()
    thread.join()
    server.server_close()


@asynccontextmanager
async def between(
    center: Center, seed: int = 0
) -> AsyncIterator[tuple[FaultProxy, httpx.AsyncClient]]:
    """A proxy before the center, and a client of it that has all the time of the world."""
    async with (
        FaultProxy(center.url, seed=seed) as proxy,
        httpx.AsyncClient(base_url=proxy.url, timeout=None, verify=False) as client,
    ):
        yield proxy, client


async def collect(client: httpx.AsyncClient, path: str, parts: list[bytes]) -> None:
    """Keep the pieces of an answer's body as they come."""
    async with client.stream("GET", path) as answer:
        assert answer.status_code == 200
        async for part in answer.aiter_bytes():
            parts.append(part)


@pytest.mark.parametrize("path", ["/", "/chunked", "/plain", "/unchanged"])
async def test_without_rules_all_goes_through(center: Center, path: str) -> None:
    async with between(center) as (proxy, client):
        for _ in range(3):
            answer = await client.post(path, content=b"question")
            assert answer.content == (b"" if path == "/unchanged" else BODY)
        assert center.heard == [("POST", path, b"question")] * 3
        assert proxy.counts == {"requests": 3, "forwarded": 3}


async def test_a_dropped_request_is_not_heard(center: Center) -> None:
    async with between(center) as (proxy, client):
        rule = proxy.inject(DropRequest(), method="POST")
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.post("/")
        assert center.heard == []
        assert rule.struck.is_set()
        assert (await client.post("/")).content == BODY


async def test_a_dropped_answer_was_acted_on(center: Center) -> None:
    async with between(center) as (proxy, client):
        proxy.inject(DropAnswer(), path=r"^/submit\?")
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.post("/submit?a=1", content=b"job")
        assert center.heard == [("POST", "/submit?a=1", b"job")]
        assert proxy.counts["DropAnswer"] == proxy.counts["forwarded"] == 1


@pytest.mark.parametrize("path", ["/", "/chunked"])
async def test_a_cut_answer_arrives_in_part(center: Center, path: str) -> None:
    async with between(center) as (proxy, client):
        proxy.inject(CutAnswer(0.25))
        parts: list[bytes] = []
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await collect(client, path, parts)
        got = b"".join(parts)
        assert BODY.startswith(got)
        assert len(got) < len(BODY)
        assert len(center.heard) == 1


@pytest.mark.parametrize(
    ("hears", "before", "after"), [("at once", 1, 1), ("late", 0, 1), ("never", 0, 0)]
)
async def test_a_stall_lasts_until_the_client_gives_up(
    center: Center, hears: str, before: int, after: int
) -> None:
    async with between(center) as (proxy, client):
        rule = proxy.inject(Stall(hears))  # type: ignore[arg-type]
        call = asyncio.create_task(client.get("/"))
        await rule.struck.wait()
        if hears == "at once":
            assert await asyncio.to_thread(center.arrived.acquire)
        assert len(center.heard) == before
        assert not call.done()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await proxy.quiet()
        assert len(center.heard) == after


async def test_a_released_stall_answers(center: Center) -> None:
    async with between(center) as (proxy, client):
        stall = Stall("at once")
        rule = proxy.inject(stall)
        call = asyncio.create_task(client.get("/"))
        await rule.struck.wait()
        stall.release.set()
        assert (await call).content == BODY


@pytest.mark.parametrize("forward", [False, True])
async def test_own_answers_come_before_or_after_the_deed(center: Center, forward: bool) -> None:
    async with between(center) as (proxy, client):
        for fault in (
            throttled(7, forward=forward),
            failing(502, forward=forward),
            broken_json(forward=forward),
            html(forward=forward),
        ):
            proxy.inject(fault)
        first, second, third, fourth = [await client.get("/") for _ in range(4)]
        assert (first.status_code, first.headers["Retry-After"]) == (429, "7")
        assert second.status_code == 502
        with pytest.raises(json.JSONDecodeError):
            third.json()
        assert fourth.headers["Content-Type"] == "text/html"
        assert len(center.heard) == (4 if forward else 0)
        assert proxy.counts["Answer"] == 4


async def test_the_date_is_moved(center: Center) -> None:
    async with between(center) as (proxy, client):
        straight = parsedate_to_datetime((await client.get("/")).headers["Date"])
        proxy.inject(SkewDate(-7200))
        skewed = await client.get("/")
        moved = parsedate_to_datetime(skewed.headers["Date"])
        assert -7200 <= (moved - straight).total_seconds() <= -7000
        assert skewed.content == BODY


async def test_a_refused_connection_and_back(center: Center) -> None:
    async with between(center) as (proxy, client):
        await client.get("/")
        await proxy.refuse()
        with pytest.raises(httpx.ConnectError):
            await client.get("/")
        await proxy.admit()
        assert (await client.get("/")).content == BODY
        assert len(center.heard) == 2


async def test_a_center_that_is_down_resets(center: Center) -> None:
    async with FaultProxy("http://127.0.0.1:9") as proxy, httpx.AsyncClient(verify=False) as client:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.get(proxy.url)
        assert proxy.counts["upstream_down"] == 1
        assert proxy.counts["forwarded"] == 0


async def test_rules_choose_by_place_in_the_row(center: Center) -> None:
    async with between(center) as (proxy, client):
        rule = proxy.inject(Answer(500), method="GET", skip=2, times=2)
        proxy.inject(Answer(418), times=None, when=lambda request: request.body == b"tea")
        told = [(await client.get("/")).status_code for _ in range(6)]
        assert told == [200, 200, 500, 500, 200, 200]
        assert [(await client.post("/", content=b"tea")).status_code for _ in range(3)] == [418] * 3
        assert (rule.matched, rule.strikes) == (6, 2)
        proxy.clear()
        assert (await client.post("/", content=b"tea")).status_code == 200


async def test_a_seed_strikes_the_same_every_time(center: Center) -> None:
    told = []
    for seed in (5, 5, 6):
        async with between(center, seed) as (proxy, client):
            proxy.inject(Answer(503), times=None, probability=0.4)
            told.append([(await client.get("/")).status_code for _ in range(40)])
    assert told[0] == told[1] != told[2]
    assert 5 < told[0].count(503) < 30


async def test_deeds_are_done_before_and_after(center: Center) -> None:
    told: list[tuple[str, int]] = []

    async def before() -> None:
        told.append(("before", len(center.heard)))

    async def after() -> None:
        told.append(("after", len(center.heard)))

    async with between(center) as (proxy, client):
        proxy.on_answer = lambda request, answer: told.append((request.path, answer.status))
        proxy.inject(Act(before, after))
        assert (await client.get("/a")).content == BODY
        assert told == [("before", 0), ("/a", 200), ("after", 1)]
        proxy.inject(Act(before, lost=True))
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.get("/b")
        assert told[3:] == [("before", 1), ("/b", 200)]
