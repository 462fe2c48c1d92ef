"""Watching on: where a watch stands when its stream is lost, and when a silent one is given up.

A service says something on every stream at least every 15 s. One that says nothing for three times
as long is given up, though its connection may stand: a call can get stuck where no keepalive
looks, such as in a channel that has just lost all its services and got them back.
"""

import asyncio
import math
import threading
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any, Final

import grpc
from corridor.v1.job_service_pb2 import WatchJobsRequest, WatchJobsResponse
from grpc_status import rpc_status

#: How long a watch tries to get a lost stream back, and the pauses between its tries.
RESUME_S: Final = 600.0
_PAUSE_MIN_S: Final = 0.2
_PAUSE_MAX_S: Final = 5.0
#: A stream that says nothing for so long is lost.
SILENT_S: Final = 45.0


class Silent(grpc.RpcError):
    """Nothing was heard on a stream for so long that it counts as lost."""

    def __init__(self, silent_s: float) -> None:
        super().__init__(f"nothing was heard for {silent_s:g} s, not even a heartbeat")

    def code(self) -> grpc.StatusCode:
        """As of a service that is away."""
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        """What is told of it."""
        return str(self)


class Resuming:
    """Where a watch stands, when it may go on, and for how long it tries."""

    def __init__(self, request: WatchJobsRequest, resume_s: float) -> None:
        self.request = WatchJobsRequest()
        self.request.CopyFrom(request)
        self._resume_s = resume_s
        self._lost_at_s: float | None = None
        self._pause_s = _PAUSE_MIN_S

    def seen(self, answer: WatchJobsResponse) -> None:
        """Note an answer: the next stream goes on after it."""
        if answer.resume_token:
            self.request.resume_token = answer.resume_token
        self._lost_at_s, self._pause_s = None, _PAUSE_MIN_S

    def pause_s(self, error: grpc.RpcError) -> float:
        """Return how long to wait before the next try; raises ``error`` if there is none.

        Without a token there is nowhere to go on from, and a first try that fails is told at once.
        """
        now_s = time.monotonic()
        if self._lost_at_s is None:
            self._lost_at_s = now_s
        over = now_s - self._lost_at_s > self._resume_s
        if over or not self.request.resume_token or not _is_lost(error):
            raise error
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, _PAUSE_MAX_S)
        return pause_s


def say_nothing(error: grpc.RpcError) -> None:
    """Nobody wants to hear of a lost stream."""


def answers(stream: Any, silent_s: float) -> Generator[WatchJobsResponse]:
    """Yield what a blocking stream says. Raises ``Silent`` once it said nothing for ``silent_s``
    while somebody waited for it, or at most a third of that later; what the caller does with an
    answer is no silence.
    """
    due_s, given_up, over = math.inf, False, threading.Event()

    def listen() -> None:
        nonlocal given_up
        while not over.wait(silent_s / 3):
            if time.monotonic() > due_s:
                given_up = True
                stream.cancel()
                return

    threading.Thread(target=listen, name="corridor-watch", daemon=True).start()
    try:
        while True:
            due_s = time.monotonic() + silent_s
            answer = next(stream, None)
            due_s = math.inf
            if answer is None:
                return
            yield answer
    except grpc.RpcError as error:
        if given_up:
            raise Silent(silent_s) from error
        raise
    finally:
        over.set()


async def answers_async(stream: Any, silent_s: float) -> AsyncGenerator[WatchJobsResponse]:
    """Yield what a stream of ``grpc.aio`` says, as ``answers``."""
    saying = aiter(stream)
    while True:
        try:
            async with asyncio.timeout(silent_s):
                answer = await anext(saying, None)
        except TimeoutError as error:
            raise Silent(silent_s) from error
        if answer is None:
            return
        yield answer


def _is_lost(error: Any) -> bool:
    """Whether a stream ended because the service or the way to it went away."""
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED) or (
        error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
        and rpc_status.from_call(error) is None  # a stream that was reset, not an answer
    )
