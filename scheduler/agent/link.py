"""The agent's way to the scheduler that leads: dialed again and again, address after address.

The token is read from its file at each dial, so that it can be exchanged while the agent runs.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
import structlog
from corridor.v1 import adapter_service_pb2 as pb
from corridor.v1.adapter_service_pb2_grpc import AdapterServiceStub

from adapters.agent import words
from adapters.agent.core import Agent
from adapters.agent.speaking import Ended, Speaker, SpeakSettings
from scheduler.addresses import LookUp, each_record, look_up
from scheduler.client import open_channel
from scheduler.rpc import agent_messages as messages

if TYPE_CHECKING:  # it exists only in the stubs of mypy-protobuf
    from corridor.v1.adapter_service_pb2_grpc import AdapterServiceAsyncStub

log = structlog.get_logger()

#: What no new try mends by itself: somebody has to act, or another agent of this center has it.
_LASTING: Final = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.ABORTED,
    }
)


class BadToken(Exception):
    """The token file cannot be used; the text never has the token."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Where to dial and as whom; pauses between dials in real seconds, before they are jittered.

    All files are read at each dial.
    """

    servers: tuple[str, ...]
    token_file: Path
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    pause_min_s: float = 0.2
    pause_max_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Dialed:
    """How a dial ended: ``welcomed`` says whether a scheduler took the agent in."""

    welcomed: bool
    lasting: bool
    reason: str


class Link:
    """Keeps an agent connected until it is cancelled."""

    def __init__(
        self,
        agent: Agent,
        settings: LinkSettings,
        version: str,
        speak: SpeakSettings | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        look_up: LookUp = look_up,
    ) -> None:
        self._agent, self._settings, self._version = agent, settings, version
        self._speak, self._pause, self._draw = speak, pause, draw
        self._look_up = look_up
        #: Set while a scheduler has the agent.
        self.connected = asyncio.Event()

    async def dial_forever(self) -> None:
        """Dial each address in turn until one leads; after a round in which none did, wait.

        Of a name with several records each is an address, and they are looked up for each round.
        """
        pause_s, turn = self._settings.pause_min_s, 0
        servers = await self._addresses()
        while True:
            address, tls_name = servers[turn % len(servers)]
            ended = await self.dial_once(address, tls_name or None)
            log.log(
                40 if ended.lasting else 30 if ended.welcomed else 20,
                "disconnected" if ended.welcomed else "not_connected",
                server=address, reason=ended.reason,
            )  # fmt: skip
            turn += 1  # also if it led until now: it may be stopped, and take calls all the same
            if ended.welcomed:
                pause_s = self._settings.pause_min_s
            elif turn % len(servers) and not ended.lasting:
                continue
            if ended.lasting:
                pause_s = self._settings.pause_max_s
            await self._pause(pause_s * (0.5 + self._draw() / 2))
            pause_s = min(pause_s * 2, self._settings.pause_max_s)
            if not turn % len(servers):
                servers, turn = await self._addresses(), 0

    async def _addresses(self) -> list[tuple[str, str]]:
        """Return all addresses there are now, with the names that their certificates have."""
        loop = asyncio.get_running_loop()
        found: dict[tuple[str, str], None] = {}
        for server in self._settings.servers:
            for one in await loop.run_in_executor(None, each_record, server, self._look_up):
                found[one] = None
        return list(found)

    async def dial_once(self, address: str, tls_name: str | None = None) -> Dialed:
        """Speak with the scheduler at an address until that ends; never raises for what it says."""
        try:
            metadata = (("authorization", f"Bearer {self._token()}"),)
            channel = open_channel(address, self._settings.tls_ca, self._identity(), tls_name)
        except (BadToken, OSError, ValueError) as error:
            return Dialed(False, True, str(error))
        outgoing: asyncio.Queue[words.FromAgent | None] = asyncio.Queue()
        stub: AdapterServiceAsyncStub = AdapterServiceStub(channel)  # type: ignore[assignment, unused-ignore]
        call: Any = stub.Connect(_said(outgoing), metadata=metadata)

        async def send(said: words.FromAgent) -> None:
            """Have it sent; nothing is waited for, and nobody reads it once the call is over."""
            outgoing.put_nowait(said)

        speaker = Speaker(self._agent, self._version, send, self._speak, self._welcomed)
        try:
            await speaker.converse(_heard(call))
        except grpc.aio.AioRpcError as error:
            reason = f"{error.code().name}: {error.details()}"
            return Dialed(speaker.welcomed is not None, error.code() in _LASTING, reason)
        except (Ended, ValueError) as error:
            return Dialed(speaker.welcomed is not None, False, str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # gRPC cancels a call whose words cannot be made messages; it has logged why.
            return Dialed(speaker.welcomed is not None, True, "a word could not be sent")
        finally:
            self.connected.clear()
            outgoing.put_nowait(None)  # or gRPC would wait for our next word for ever
            call.cancel()
            await channel.close(None)
        return Dialed(True, False, "the conversation ended")

    def _welcomed(self, welcome: words.Welcome) -> None:
        log.info("connected", epoch=welcome.epoch)
        self.connected.set()

    def _identity(self) -> tuple[bytes, bytes] | None:
        """Return our key and certificate, if we have one to show."""
        key, cert = self._settings.tls_key, self._settings.tls_cert
        return None if key is None or cert is None else (key.read_bytes(), cert.read_bytes())

    def _token(self) -> str:
        path = self._settings.token_file
        try:
            token = path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise BadToken(f"the token file {path} cannot be read: {error.strerror}") from error
        except UnicodeError:
            raise BadToken(f"the token file {path} holds no token: cor_...") from None
        if not token.startswith("cor_") or len(token.split()) != 1:
            raise BadToken(f"the token file {path} holds no token: cor_...")
        if path.stat().st_mode & 0o077:
            log.warning("token_file_open", file=str(path), hint="others can read it: chmod 600")
        return token


async def _said(
    outgoing: "asyncio.Queue[words.FromAgent | None]",
) -> AsyncIterator[pb.ConnectRequest]:
    while (said := await outgoing.get()) is not None:
        yield messages.from_agent(said)


async def _heard(call: Any) -> AsyncIterator[words.ToAgent]:
    async for message in call:
        yield messages.to_agent(message)
