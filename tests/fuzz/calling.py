"""Calls with requests as bytes, and what came of them."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor

from tests.fuzz.world import Metadata

#: A stream that has more to say than this many messages is let go.
_MESSAGES_MAX: Final = 50
#: How long a further message of a stream without an end is waited for, and any answer at all.
_EOF: Final[Any] = getattr(grpc.aio, "EOF")  # noqa: B009 - its stubs do not have it
_MORE_S: Final = 0.05
_LATE_S: Final = 60.0
#: A stream is called so often until its refusal is heard.
_TRIES: Final = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: the name of its status, its message, its details, and what was answered."""

    code: str
    message: str = ""
    details: bytes = b""
    answers: tuple[bytes, ...] = ()

    @property
    def is_refused(self) -> bool:
        return self.code != "OK"


_OWN_WORD: Final = Outcome("INTERNAL", "Internal error from Core")


async def call(
    channel: Any,
    name: str,
    method: MethodDescriptor,
    metadata: Metadata,
    *requests: bytes,
) -> Outcome:
    """Call a method with requests as bytes; a stream is heard until it ends or says no more.

    A stream that is refused while a request is being written is called again: what the library then
    says is its own word, and the service's is lost.
    """
    for _ in range(_TRIES):
        found = await _call(channel, name, method, metadata, *requests)
        if not method.client_streaming or found != _OWN_WORD:
            break
    return found


async def _call(
    channel: Any,
    name: str,
    method: MethodDescriptor,
    metadata: Metadata,
    *requests: bytes,
) -> Outcome:
    answers: list[bytes] = []
    try:
        if not method.client_streaming and not method.server_streaming:
            unary: Any = channel.unary_unary(name, None, None)(
                requests[0], metadata=metadata, timeout=_LATE_S
            )
            answers.append(await unary)
            return Outcome("OK", answers=tuple(answers))
        # An agent that has no more to say stays all the same; others hang up.
        stays = name.endswith("/Connect")
        if method.client_streaming:
            stream: Any = channel.stream_stream(name, None, None)(
                metadata=metadata, timeout=_LATE_S
            )
            for one in requests:
                await stream.write(one)
            if not stays:
                await stream.done_writing()
        else:
            stream = channel.unary_stream(name, None, None)(
                requests[0], metadata=metadata, timeout=_LATE_S
            )
        await _hear(stream, answers, endless=stays or not method.client_streaming)
    except grpc.aio.AioRpcError as error:
        trailing: Any = error.trailing_metadata() or ()
        told = [value for key, value in trailing if key == "grpc-status-details-bin"]
        return Outcome(
            error.code().name, error.details() or "", told[0] if told else b"", tuple(answers)
        )
    return Outcome("OK", answers=tuple(answers))


async def _hear(stream: Any, answers: list[bytes], endless: bool) -> None:
    try:
        while len(answers) < _MESSAGES_MAX:
            try:
                async with asyncio.timeout(_MORE_S if answers and endless else _LATE_S):
                    said = await stream.read()
            except TimeoutError:
                return
            if said is _EOF:
                if await stream.code() is not grpc.StatusCode.OK:
                    await stream  # raises how it ended
                return
            answers.append(said)
    finally:
        stream.cancel()
