"""Streams that end because the service stops: each is told so, wherever it stands."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from scheduler.domain.principal import Principal, Role
from scheduler.rpc import caller
from scheduler.rpc.interceptors import CallInterceptor


class Context:
    """Keeps what a call was ended with."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def abort(self, code: Any, _details: str, _trailing: Any) -> None:
        """End the call."""
        self.told.append(code)
        raise grpc.aio.AbortError


@pytest.mark.parametrize("while_sending", [True, False])
async def test_a_stream_is_told_that_the_service_stops_while_it_sends_or_waits(
    while_sending: bool,
) -> None:
    ended: list[str] = []
    calls: Any = CallInterceptor(None, lambda _method, code, _s: ended.append(code))  # type: ignore[arg-type]
    sent, taken = asyncio.Event(), asyncio.Event()

    async def behavior(_request: Any, _context: Any) -> AsyncIterator[str]:
        yield "first"
        await asyncio.Event().wait()

    async def as_the_server_does(context: Context) -> None:
        caller.set_current(Principal("li", Role.OPERATOR, None, None, None, "", 0))
        async for _ in calls._streaming("/x/Watch", behavior)(None, context):
            sent.set()
            await taken.wait()  # a cancellation here would end the call without a status

    context = Context()
    task = asyncio.create_task(as_the_server_does(context))
    await sent.wait()
    if not while_sending:
        taken.set()
        await asyncio.sleep(0)
    calls.end_streams()
    taken.set()
    with pytest.raises(grpc.aio.AbortError):
        await task
    assert context.told == [grpc.StatusCode.UNAVAILABLE]
    assert ended == ["UNAVAILABLE"]
