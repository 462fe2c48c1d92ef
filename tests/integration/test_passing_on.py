"""Calls passed on to a leader that does not answer: how long it is waited for."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import pytest

from scheduler.domain.traces import Chooser
from scheduler.rpc.call_trace import CallTraces
from scheduler.rpc.forwarding import FROM_STORE, PASSED_ON, Forwarder, LeaderUnheard

EXPLAIN = "/corridor.v1.JobService/ExplainJob"
LOGS = "/corridor.v1.JobService/ReadJobLogs"
TIMEOUT_S = 60


class Silent(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Takes every call, and answers once it is told to."""

    def __init__(self) -> None:
        self.called, self.answers, self.cancelled = asyncio.Event(), asyncio.Event(), 0

    def service(self, handler_call_details: Any) -> Any:
        async def serve(request: bytes, context: Any) -> bytes:
            self.called.set()
            try:
                await self.answers.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return request

        return grpc.unary_unary_rpc_method_handler(serve)


class Lead:
    """Who leads, as the test wants it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def leads(self) -> bool:
        return False

    def leader(self) -> str:
        return self.address


class Call:
    """A caller who has so many seconds."""

    def __init__(self, left_s: float | None) -> None:
        self.left_s = left_s

    def time_remaining(self) -> float | None:
        return self.left_s

    def invocation_metadata(self) -> Any:
        return (("authorization", "Bearer a"),)


@pytest.fixture
async def silent() -> AsyncIterator[tuple[Silent, str]]:
    one, server = Silent(), grpc.aio.server()
    server.add_generic_rpc_handlers((one,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield one, f"127.0.0.1:{port}"
    await server.stop(None)


def test_what_the_store_can_answer_is_passed_on() -> None:
    assert FROM_STORE.keys() < PASSED_ON


async def gone(lead: Lead, address: str) -> None:
    lead.address = ""


async def moved(lead: Lead, address: str) -> None:
    lead.address = "127.0.0.1:1"


@pytest.mark.parametrize("how", [gone, moved])
async def test_a_read_is_waited_for_as_long_as_it_leads(
    silent: tuple[Silent, str], how: Callable[[Lead, str], Any]
) -> None:
    one, address = silent
    lead = Lead(address)
    forwarder = Forwarder(lead, "me", grpc.aio.insecure_channel)
    call = asyncio.ensure_future(forwarder.pass_on(address, EXPLAIN, b"a", Call(None)))
    async with asyncio.timeout(TIMEOUT_S):
        await one.called.wait()
        await how(lead, address)
        with pytest.raises(LeaderUnheard, match=f"{address}, does not answer"):
            await call
    await forwarder.close()


async def test_half_of_the_callers_time_is_left_for_the_store(silent: tuple[Silent, str]) -> None:
    _, address = silent
    forwarder = Forwarder(Lead(address), "me", grpc.aio.insecure_channel)
    async with asyncio.timeout(TIMEOUT_S):
        with pytest.raises(LeaderUnheard):  # and not DEADLINE_EXCEEDED
            await forwarder.pass_on(address, EXPLAIN, b"a", Call(2.0))
    await forwarder.close()


async def test_what_is_no_read_is_waited_for(silent: tuple[Silent, str]) -> None:
    one, address = silent
    lead = Lead(address)
    forwarder = Forwarder(lead, "me", grpc.aio.insecure_channel)
    call = asyncio.ensure_future(forwarder.pass_on(address, LOGS, b"a", Call(None)))
    read = asyncio.ensure_future(forwarder.pass_on(address, EXPLAIN, b"b", Call(None)))
    async with asyncio.timeout(TIMEOUT_S):
        await one.called.wait()
        lead.address = ""
        with pytest.raises(LeaderUnheard):
            await read
        assert not call.done(), "it may be done there, so nobody may say that it was not"
        one.answers.set()
        assert await call == b"a"
    await forwarder.close()


async def test_an_answer_comes_back(silent: tuple[Silent, str]) -> None:
    one, address = silent
    one.answers.set()
    forwarder = Forwarder(Lead(address), "me", grpc.aio.insecure_channel)
    assert await forwarder.pass_on(address, EXPLAIN, b"a", Call(30.0)) == b"a"
    await forwarder.close()


def test_a_call_passed_on_is_a_part_of_this_ones_trace() -> None:
    parent = f"00-{'1' * 32}-{'2' * 16}-01"
    forwarder = Forwarder(Lead(""), "me", grpc.aio.insecure_channel)
    said = [("authorization", "Bearer a"), ("traceparent", parent)]

    def traced() -> Any:
        chooser = Chooser(0.0, 1.0, lambda count: b"\xab" * count, lambda: 0.0)
        CallTraces(cast(Any, None), chooser).begin(EXPLAIN, said)
        return forwarder._said(said)

    own = f"00-{'1' * 32}-{'ab' * 8}-01"
    assert contextvars.copy_context().run(traced) == [
        said[0], ("traceparent", own), ("corridor-passed-on-by", "me"),
    ]  # fmt: skip
    assert forwarder._said(said) == [*said, ("corridor-passed-on-by", "me")]
