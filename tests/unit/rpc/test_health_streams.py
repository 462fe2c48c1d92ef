"""Health as told to many watchers: each hears of the last change, and waits for no other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from grpc_health.v1 import health_pb2

from scheduler.rpc.health_checks import HealthChecks

PATIENCE_S = 30.0
KINDS = health_pb2.HealthCheckResponse
ALL = health_pb2.HealthCheckRequest()


class Caller:
    """Takes what it is told, once its way is open."""

    def __init__(self) -> None:
        self.way = asyncio.Event()
        self.way.set()
        self.waited = asyncio.Event()
        self.told: list[int] = []
        self._heard = asyncio.Condition()

    async def write(self, answer: health_pb2.HealthCheckResponse) -> None:
        self.waited.set()
        await self.way.wait()
        async with self._heard:
            self.told.append(answer.status)
            self._heard.notify_all()

    async def heard(self, holds: Callable[[list[int]], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._heard:
            await self._heard.wait_for(lambda: holds(self.told))


@asynccontextmanager
async def watching(checks: HealthChecks, *callers: Caller) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(checks.Watch(ALL, caller)) for caller in callers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_watcher_behind_a_cut_way_keeps_nobody_from_hearing() -> None:
    checks, cut, other = HealthChecks(["corridor.v1.JobService"]), Caller(), Caller()
    cut.way.clear()
    async with watching(checks, cut, other):
        async with asyncio.timeout(PATIENCE_S):
            await cut.waited.wait()
        await other.heard(lambda told: told == [KINDS.SERVING])
        checks.turn(False)
        await other.heard(lambda told: told[-1] == KINDS.NOT_SERVING)
        late = Caller()
        async with watching(checks, late):
            await late.heard(lambda told: told == [KINDS.NOT_SERVING])
        checks.turn(True)
        await other.heard(lambda told: told[-1] == KINDS.SERVING)
        assert cut.told == []


async def test_who_was_cut_off_hears_how_it_is_now() -> None:
    checks, cut = HealthChecks([]), Caller()
    cut.way.clear()
    async with watching(checks, cut):
        async with asyncio.timeout(PATIENCE_S):
            await cut.waited.wait()
        checks.turn(False)
        cut.way.set()
        # What was under way is told, and then the change.
        await cut.heard(lambda told: told == [KINDS.SERVING, KINDS.NOT_SERVING])


async def test_a_service_that_leaves_takes_it_back_no_more() -> None:
    checks, caller = HealthChecks(["corridor.v1.JobService"]), Caller()
    async with watching(checks, caller):
        await caller.heard(lambda told: told == [KINDS.SERVING])
        checks.leave()
        await caller.heard(lambda told: told[-1] == KINDS.NOT_SERVING)
    checks.turn(True)
    for name in ("", "corridor.v1.JobService"):
        asked = health_pb2.HealthCheckRequest(service=name)
        assert (await checks.Check(asked, None)).status == KINDS.NOT_SERVING


async def test_a_service_that_is_not_here_is_told_as_unknown() -> None:
    checks, caller = HealthChecks([]), Caller()
    asked = health_pb2.HealthCheckRequest(service="other.Service")
    task = asyncio.create_task(checks.Watch(asked, caller))
    await caller.heard(lambda told: told == [KINDS.SERVICE_UNKNOWN])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
