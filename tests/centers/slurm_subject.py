"""Our adapter on a real Slurm, alone or behind a proxy that does harm."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from adapters.contract import Observation, RunRequest
from adapters.slurm import SlurmCenter, open_center
from tests.testbed.fault_proxy import DropAnswer, FaultProxy
from tests.testbed.slurm_testbed import SlurmTestbed

CPU, CARD = "wuhan-sc/kunpeng-920", "wuhan-sc/accelerator"
_numbers = itertools.count(time.time_ns() // 1000)


def make_center(testbed: SlurmTestbed, endpoint: str = "", **changes: Any) -> SlurmCenter:
    """An adapter of the cluster with settings as its own file has them, but for ``changes``."""
    settings = dict(testbed.center(endpoint)["settings"])
    settings.pop("gate", None)
    settings |= {"look_s": 1.0, "polls_per_s": 50.0, **changes}
    return open_center("wuhan-sc", settings, lambda: int(time.time() * 1000), lambda ms: ms / 1000)


def make_request(program: str, **changes: Any) -> RunRequest:
    """A small run of a shell program under a new name, of which nobody ever heard."""
    run_id = f"j{next(_numbers)}.1"
    request = RunRequest(
        run_id=run_id,
        name=f"corridor-{run_id}",
        epoch=1,
        city="wuhan",
        enterprise="e1",
        flavor=CPU,
        units_per_node=1,
        nodes=1,
        wall_limit_s=600,
        script=f"#!/bin/sh\n{program}\n",
        fresh=True,
    )
    return replace(request, **changes)


async def until(
    center: SlurmCenter, request: RunRequest, holds: Callable[[Observation], bool]
) -> Observation:
    """Look at a run until something holds of it."""
    for _ in range(600):
        seen = (await center.find([request.ref])).get(request.run_id)
        if seen is not None and holds(seen):
            return seen
        await asyncio.sleep(0.2)
    raise AssertionError(f"run {request.run_id}: {seen}")


class SlurmSubject:
    """A ``Subject`` of the conformance suite, with a proxy of its own before slurmrestd."""

    def __init__(self, testbed: SlurmTestbed, proxy: FaultProxy) -> None:
        self._testbed, self._proxy = testbed, proxy
        self._all: list[SlurmCenter] = []
        self.adapter = self._open()

    def _open(self) -> SlurmCenter:
        center = make_center(self._testbed, self._proxy.url)
        self._all.append(center)
        return center

    def request(self, runtime_s: int) -> RunRequest:
        return make_request(f"echo begins; sleep {runtime_s}; echo ends")

    def saving_request(self) -> RunRequest | None:
        return make_request("trap 'echo saved; exit 7' URG; echo heeds; sleep 3600 & wait $!")

    async def let_pass(self) -> None:
        await asyncio.sleep(1.1)  # Slurm counts in whole seconds

    def lose_next_answer(self) -> bool:
        self._proxy.inject(DropAnswer(), method="POST", path=r"/job/submit$")
        return True

    async def reopen(self) -> bool:
        self.adapter = self._open()
        return True

    async def close(self) -> None:
        for center in self._all:
            await center.close()


@asynccontextmanager
async def subject(testbed: SlurmTestbed) -> AsyncIterator[SlurmSubject]:
    """A subject with its proxy."""
    async with FaultProxy(testbed.url) as proxy:
        made = SlurmSubject(testbed, proxy)
        try:
            yield made
        finally:
            await made.close()
