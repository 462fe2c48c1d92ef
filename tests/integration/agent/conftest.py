"""A center with its agent on one side, the scheduler's side on the other, real gRPC between.

The center's clock moves only when told; the agent looks at it only when told; what it says then
travels as it does anywhere.
"""

import asyncio
import contextlib
import inspect
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from corridor.v1 import adapter_service_pb2_grpc

from adapters.agent.core import Agent
from adapters.agent.following import Follower
from adapters.agent.journal import Journal
from adapters.agent.remote import RemoteCenter, RemoteSettings
from adapters.contract import CenterAdapter, RunRequest
from adapters.simulated import SimulatedCenter, SimulatedSettings
from adapters.simulated.fate import CHECKPOINT_LABEL
from scheduler.agent.link import Link, LinkSettings
from scheduler.auth import tokens
from scheduler.auth.verifier import Verified, Verifier
from scheduler.domain.ids import center_name
from scheduler.domain.principal import Principal, Role
from scheduler.rpc.adapter_servicer import AdapterServicer, Agents
from scheduler.rpc.interceptors import CallInterceptor
from scheduler.services.context import Context

CENTER = "wuhan-ai"
FLAVOR = "wuhan-ai/ascend-910b"
START_MS = 1_700_000_000_000
FLAVORS = [{"flavor": FLAVOR, "units": 64, "units_per_node": 8, "architecture": "aarch64"}]
PATIENCE_S = 20.0


class Cutter(grpc.aio.ServerInterceptor):  # type: ignore[type-arg, unused-ignore]
    """Cuts streams where it is told: ``cuts`` is asked at each word, before and after it passes."""

    def __init__(self) -> None:
        self.cuts: Callable[[str], bool] = lambda point: False

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.stream_stream is None:
            return handler

        async def heard(words: Any, context: Any) -> AsyncIterator[Any]:
            async for word in words:
                self._pass("before hearing")
                yield word
                self._pass("after hearing")

        async def serve(words: Any, context: Any) -> AsyncIterator[Any]:
            try:
                answer = handler.stream_stream(heard(words, context), context)
                if inspect.isawaitable(answer):  # one that only refuses
                    await answer
                    return
                async for word in answer:
                    self._pass("before saying")
                    yield word
                    self._pass("after saying")
            except ConnectionError as error:
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

        return grpc.stream_stream_rpc_method_handler(
            serve, handler.request_deserializer, handler.response_serializer
        )

    def _pass(self, point: str) -> None:
        if self.cuts(point):
            raise ConnectionError(f"the test cut the stream {point} a word")


class NothingRevoked:
    """What an agent's token is judged by, again and again: it stands."""

    def __init__(self) -> None:
        self.db = self

    def wall_ms(self) -> int:
        """Now."""
        return START_MS

    async def read(self, _query: Any) -> bool:
        """Whether the token was revoked."""
        return False


class Desk:
    """The scheduler's side: a real server of the agents' service alone."""

    def __init__(self) -> None:
        self.cutter = Cutter()
        self.epoch: int | None = 1
        self.secret = tokens.new_secret()
        self.settings = RemoteSettings(heartbeat_s=0.5, call_s=PATIENCE_S)
        self.remotes: dict[str, RemoteCenter] = {}
        self.address = ""
        #: Calls that have ended, of the server that was started last.
        self.calls: list[tuple[str, str]] = []
        self._server: grpc.aio.Server | None = None

    @property
    def remote(self) -> RemoteCenter:
        """The center as the scheduler has it."""
        return self.remotes[CENTER]

    def forget(self) -> None:
        """Have a new scheduler's memory: it knows nothing of the center."""
        self.remotes[CENTER] = RemoteCenter(CENTER, self.settings)

    async def start(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        credentials: grpc.ServerCredentials | None = None,
        agents_listen: str = "",
        caller_problem: Callable[[Sequence[bytes]], str] | None = None,
    ) -> None:
        """Serve: plain text, or TLS with ``credentials``; certificates are judged all the time."""

        async def lookup(digest: str) -> Verified | None:
            if digest != tokens.fingerprint(self.secret):
                return None
            agent = Principal("agent", Role.AGENT, None, None, CENTER, "tok-agent", 1 << 60)
            return Verified(agent, None)

        self.calls = ended = []  # what ends late at an earlier server is counted there

        def count(method: str, code: str, seconds: float) -> None:
            ended.append((method.rpartition("/")[2], code))

        calls = CallInterceptor(Verifier(lookup, lambda: START_MS), count)
        server = grpc.aio.server(interceptors=(self.cutter, calls))
        agents = Agents(self.remotes, lambda: self.epoch, agents_listen, caller_problem, 0.05)
        servicer = AdapterServicer(cast(Context, NothingRevoked()), agents)
        adapter_service_pb2_grpc.add_AdapterServiceServicer_to_server(servicer, server)
        listen = f"{host}:{port}"
        if credentials is None:
            self.address = f"127.0.0.1:{server.add_insecure_port(listen)}"
        else:
            self.address = f"localhost:{server.add_secure_port(listen, credentials)}"
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Serve no more; streams are cut."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None


class Near:
    """The center's side: a simulated center, the agent before it, its link."""

    def __init__(self, desk: Desk, folder: Path, **settings: Any) -> None:
        self.desk, self.folder, self.now_ms = desk, folder, START_MS
        self._settings = {
            "flavors": FLAVORS,
            "journal": str(folder / "center.jsonl"),
            "start_delay_s": 1,
            "cancel_delay_s": 2,
            "usage_delay_s": 2,
            **settings,
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._open: list[SimulatedCenter] = []
        self.wrap: Callable[[CenterAdapter], CenterAdapter] = lambda adapter: adapter

    def open(self) -> None:
        """Start the agent anew, from its journal; it does not dial yet."""
        settings = SimulatedSettings.parse(CENTER, self._settings)
        self.center = SimulatedCenter(settings, lambda: self.now_ms, lambda ms: ms / 1000)
        self._open.append(self.center)
        self.journal = Journal(self.folder / "agent.db", CENTER)
        self.agent = Agent(self.wrap(self.center), self.journal, lambda: self.now_ms / 1000)
        self.follower = Follower(self.agent, center_name)
        token = self.folder / "token"
        token.write_text(self.desk.secret, "ascii")
        link = LinkSettings((self.desk.address,), token, pause_min_s=0.01, pause_max_s=0.2)
        self.link = Link(self.agent, link, "test")

    def dial(self) -> None:
        """Begin to dial, again and again."""
        self._tasks.append(asyncio.create_task(self.link.dial_forever()))

    async def ready(self) -> None:
        """Look at the center, and wait until the scheduler's side has heard all of it."""
        await self.follower.describe_once()
        await self.look()

    async def look(self) -> None:
        """Let the agent look, and wait until the scheduler's side has heard of it."""
        await self.follower.follow_once()
        await self.heard()

    async def heard(self) -> None:
        """Wait until the scheduler's side has heard all that the journal has."""
        remote = self.desk.remote

        def is_level() -> bool:
            told = remote.mirror.runs
            return remote.ready and all(
                run_id in told and told[run_id].sequence >= one.sequence
                for run_id, one in self.journal.runs.items()
                if one.observation is not None
            )

        async with asyncio.timeout(PATIENCE_S):
            while not (is_level() and (await remote.health()).ok):
                await remote.wait_for_change(0.05)

    async def hang_up(self) -> None:
        """Cut the stream and dial no more; the agent lives on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def crash(self) -> None:
        """End the agent as kill -9 would: what is not on its disk is lost."""
        await self.hang_up()
        for call in list(self.agent._calls.values()):
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        self.journal._thread.shutdown()
        self.journal._connection.close()

    async def close(self) -> None:
        """End all of it."""
        await self.hang_up()
        await self.journal.close()
        for center in self._open:
            await center.close()


class AgentSubject:
    """For the conformance suite: what the scheduler's side gives of a center behind an agent."""

    def __init__(self, desk: Desk, near: Near) -> None:
        self.desk, self.near = desk, near
        self._jobs = itertools.count(1)

    @property
    def adapter(self) -> CenterAdapter:
        return self.desk.remote

    def request(self, runtime_s: int) -> RunRequest:
        run_id = f"j{next(self._jobs):013d}.1"
        return RunRequest(
            run_id=run_id,
            name=center_name(run_id),
            epoch=1,
            city="ezhou",
            enterprise="e1",
            flavor=FLAVOR,
            units_per_node=4,
            nodes=1,
            wall_limit_s=runtime_s + 60,
            labels={"corridor.simulated/runtime-s": str(runtime_s)},
        )

    def saving_request(self) -> RunRequest:
        request = self.request(3600)
        return replace(request, labels={**request.labels, CHECKPOINT_LABEL: "3"})

    async def let_pass(self) -> None:
        self.near.now_ms += 1000
        await self.near.look()

    def lose_next_answer(self) -> bool:
        self.near.center.lose_next(taken=True)
        return True

    async def reopen(self) -> bool:
        """Both ends die: the agent has its journal, the scheduler's side nothing."""
        await self.near.crash()
        self.desk.forget()
        self.near.open()
        self.near.dial()
        await self.near.ready()
        return True


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A scheduler's side that serves."""
    desk = Desk()
    desk.forget()
    await desk.start()
    yield desk
    await desk.remote.close()
    await desk.stop()


@pytest.fixture
async def near(desk: Desk, tmp_path: Path) -> AsyncIterator[Near]:
    """A center with its agent, connected."""
    near = Near(desk, tmp_path)
    near.open()
    near.dial()
    await near.ready()
    yield near
    with contextlib.suppress(Exception):
        await near.close()


@pytest.fixture
async def subject(desk: Desk, near: Near) -> AgentSubject:
    """The subject of the conformance suite."""
    return AgentSubject(desk, near)
