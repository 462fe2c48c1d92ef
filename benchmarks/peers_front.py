"""What Corridor adds on top of a Slurm: the same jobs on the same nodes, with and without it.

To drain jobs that do nothing is no race: two cores start processes, and whoever stands before them
waits. So both take turns on one Slurm, and the difference is what is looked at.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Final

from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from benchmarks.load import Watch, call
from benchmarks.peers_corridor import Corridor
from benchmarks.peers_log import Log
from benchmarks.peers_slurm import PROMPT, Slurm
from benchmarks.peers_stages import Sizes, say
from benchmarks.site import data_files
from tests.testbed.slurm_testbed import SlurmTestbed

_FLAVOR: Final = "wuhan-sc/kunpeng-920"
_PATIENCE_S: Final = 900.0
_POLL_S: Final = 0.1
_FINE_S: Final = 0.002
_AT_ONCE: Final = 8
#: Writes when its first line ran.
_BEGAN: Final = "date +%s%N >began-$SLURM_JOB_ID"
_MINUTE_S: Final = 60


def front_files(testbed: SlurmTestbed) -> dict[str, Sequence[dict[str, Any]]]:
    """Data files of a corridor whose one center is this Slurm."""
    found = data_files(1, shared=True)
    entry = testbed.center()
    entry["flavors"] = [one for one in entry["flavors"] if one["flavor"] == _FLAVOR]
    partitions = entry["settings"]["partitions"]
    entry["settings"]["partitions"] = {_FLAVOR: partitions[_FLAVOR]}
    price = {**found["prices"][0], "flavor": _FLAVOR}
    return {**found, "centers": [entry], "prices": [price]}


class Front:
    """One Slurm, and a Corridor before it."""

    def __init__(self, slurm: Slurm, corridor: Corridor, log: Log, sizes: Sizes) -> None:
        self._slurm, self._corridor, self._log, self._sizes = slurm, corridor, log, sizes
        self._work, self._rng = slurm.testbed.work_dir, random.Random(1)

    async def run(self) -> None:
        """Starts on idle nodes, then many jobs at a time."""
        say("starts, with and without Corridor before Slurm")
        for how, parameters in (("tuned", ""), ("prompt", PROMPT)):
            self._slurm.set_scheduling(parameters)
            for _ in range(self._sizes.starts):
                await self._some_time()
                self._log.add("start", "start", how, await self._start_without())
                await self._some_time()
                self._log.add("start", "start", f"front_{how}", await self._start_with())
        self._slurm.set_scheduling()
        say("jobs drained, with and without Corridor before Slurm")
        for number in range(self._sizes.front_rounds):
            turns = [self._drain_without, self._drain_with]
            for turn in turns if number % 2 == 0 else turns[::-1]:
                await turn()

    async def _some_time(self) -> None:
        """Wait for up to a second: slurmctld looks at its queue once a second, and the end of the
        job before would tell when.
        """
        await asyncio.sleep(self._rng.random())

    # --- one job --------------------------------------------------------------------------------

    async def _start_without(self) -> float:
        message = self._slurm.message(0, _BEGAN)
        began_ns = time.time_ns()
        await self._slurm.submit(1, 1, [message])
        return await self._began(began_ns)

    async def _start_with(self) -> float:
        request = pb.SubmitJobsRequest(jobs=[_spec(_BEGAN)])
        began_ns = time.time_ns()
        await call(self._corridor.client, request, 0)
        return await self._began(began_ns)

    async def _began(self, submitted_ns: int) -> float:
        """Wait until the program has written when it began; ms since the submission."""
        until_s = perf_counter() + _PATIENCE_S
        while perf_counter() < until_s:
            for path in self._work.glob("began-*"):
                text = path.read_text("ascii").strip()
                if text:
                    path.unlink()
                    await self._ended()
                    return (int(text) - submitted_ns) / 1e6
            await asyncio.sleep(_FINE_S)
        raise RuntimeError("a job did not start")

    async def _ended(self) -> None:
        """Wait until no job is on a node, so that the next one finds it as this one did."""
        for _ in range(int(_PATIENCE_S / _POLL_S)):
            if not self._slurm.squeue()[1]:
                return
            await asyncio.sleep(_POLL_S)

    # --- many jobs ------------------------------------------------------------------------------

    async def _drain_without(self) -> None:
        count = self._sizes.front
        message = self._slurm.message(0, cpus_per_task=1, time_limit=1)
        began_s, cpu_s = self._begin()
        await self._slurm.submit(count, _AT_ONCE, [message])
        taken_s = perf_counter() - began_s
        drained_s = await self._completed(count) - began_s
        self._add("without", taken=taken_s, drained=drained_s)
        self._add("without", slurm_cpu=(self._slurm.cpu_s() - cpu_s) / count * 1000)

    async def _drain_with(self) -> None:
        count, ours = self._sizes.front, self._corridor
        watch = Watch(ours.client)
        following = asyncio.create_task(watch.follow(keep=True))
        await watch.begun()
        began_s, cpu_s = self._begin()
        ours_s = ours.cpu_s()
        ids = await call(ours.client, pb.SubmitJobsRequest(jobs=[_spec("true")] * count), 0)
        taken_s = perf_counter() - began_s
        drained_s = await self._completed(count) - began_s
        slurm_s = self._slurm.cpu_s() - cpu_s
        for job in ids:
            await watch.until(job, "SETTLED")
        following.cancel()
        self._add("with", taken=taken_s, drained=drained_s, settled=perf_counter() - began_s)
        self._add("with", slurm_cpu=slurm_s / count * 1000)
        self._add("with", cpu=(ours.cpu_s() - ours_s) / count * 1000)

    def _begin(self) -> tuple[float, float]:
        self._slurm.reset_diag()
        return perf_counter(), self._slurm.cpu_s()

    async def _completed(self, count: int) -> float:
        """Wait until Slurm counts so many ends; when that was."""
        until_s = perf_counter() + _PATIENCE_S
        while await asyncio.to_thread(self._slurm.completed) < count:
            if perf_counter() > until_s:
                raise RuntimeError(f"only {self._slurm.completed()} of {count} jobs ended")
            await asyncio.sleep(_POLL_S)
        return perf_counter()

    def _add(self, door: str, **values: float) -> None:
        for row, value in values.items():
            self._log.add("front", f"{row}@{self._sizes.front}", door, value)


def _spec(script: str) -> job_pb2.JobSpec:
    """A job of one core that Slurm can run."""
    one = job_pb2.JobSpec(display_name="front", script=f"#!/bin/sh\n{script}\n")
    one.options.add(flavor=_FLAVOR, units_per_node=1, nodes=1)
    one.wall_limit.seconds = _MINUTE_S
    return one
