"""Corridor's side of the comparison: a service on PostgreSQL, by its API and by its command line.

The API is called by the client that people get, in the process that measures, as slurmrestd is. The
command is a process for each call.
"""

import asyncio
import itertools
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Final

import yaml
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from benchmarks import workload
from benchmarks.load import Watch, call, spec
from benchmarks.peers_processes import cpu_s, memory_mb, tree
from benchmarks.serving import Served
from scheduler.client import AsyncClient
from tests.postgres import Postgres

#: Of each pool; more would only take longer to be taken.
UNITS: Final = 8
COMMAND: Final = Path(sys.executable).with_name("corridor")
PAGE: Final = 100
_PAGE_MAX: Final = 1_000
_ENTERPRISE: Final = workload.members()[0][0]
_CALL_S: Final = 120.0
_PATIENCE_S: Final = 300.0
_LONG_S: Final = 14_400


class Corridor:
    """A service that runs, with a client; times are in s, latencies in ms."""

    def __init__(self, served: Served, server: Postgres, client: AsyncClient) -> None:
        self.served, self.client = served, client
        self._server = server
        self._numbers = itertools.count()
        self._environment = {
            **os.environ, "CORRIDOR_SERVER": served.address, "CORRIDOR_TOKEN": served.token,
        }  # fmt: skip

    # --- submissions ----------------------------------------------------------------------------

    async def submit(self, count: int, callers: int, jobs: int = 1) -> list[float]:
        """Submit so many jobs, ``jobs`` with each call; latencies of calls."""
        numbers = self._numbers
        requests = [
            pb.SubmitJobsRequest(jobs=[spec(next(numbers)) for _ in range(jobs)])
            for _ in range(min(callers, -(-count // jobs)))
        ]
        left, taken_ms = iter(range(-(-count // jobs))), list[float]()

        async def caller(request: pb.SubmitJobsRequest) -> None:
            for _ in left:
                began_s = perf_counter()
                await call(self.client, request, next(numbers))
                taken_ms.append((perf_counter() - began_s) * 1000)

        await asyncio.gather(*(caller(request) for request in requests))
        return taken_ms

    async def submit_array(self, size: int) -> float:
        """Submit an array and cancel it again; how long the submission takes, in ms."""
        one = spec(next(self._numbers))
        one.array.size = size
        request = pb.SubmitJobsRequest(jobs=[one])
        began_s = perf_counter()
        ids = await call(self.client, request, next(self._numbers))
        taken_ms = (perf_counter() - began_s) * 1000
        await self.client.jobs.CancelJobs(
            pb.CancelJobsRequest(selection=pb.JobSelection(job_ids=ids), reason="benchmark")
        )
        return taken_ms

    def command_submit(self, count: int) -> list[float]:
        """Submit by the command, a process for each job; latencies."""
        return [
            self._command("submit", "--enterprise", _ENTERPRISE, self._file()) for _ in range(count)
        ]

    def _file(self) -> str:
        """A job as people write it down."""
        path = Path(self._server.folder) / "train.yaml"
        if not path.exists():
            content = {
                "name": "train", "flavor": workload.flavor(0), "units_per_node": 1,
                "wall_limit": "1h", "image": "registry.example/team/train:2.4",
                "command": ["python", "train.py", "--config", "configs/base.yaml"],
                "labels": {"team": "vision"},
            }  # fmt: skip
            path.write_text(yaml.safe_dump(content), "utf-8")
        return str(path)

    def _command(self, *words: str) -> float:
        began_s = perf_counter()
        done = subprocess.run(
            [COMMAND, *words, "--json"], env=self._environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"corridor {' '.join(words)}: {done.stdout}{done.stderr}")
        return (perf_counter() - began_s) * 1000

    async def starts(self, count: int) -> list[float]:
        """Submit short jobs one after another to idle centers: ms until each is seen to start."""
        watch, taken_ms = Watch(self.client), list[float]()
        following = asyncio.create_task(watch.follow(keep=True))
        await watch.begun()
        for number in range(count):
            request = pb.SubmitJobsRequest(jobs=[spec(number, 0.01)])
            began_s = perf_counter()
            [job] = await call(self.client, request, number)
            taken_ms.append((await watch.until(job, "RUN_STARTED") - began_s) * 1000)
            await watch.until(job, "SETTLED")
        following.cancel()
        return taken_ms

    async def occupy(self) -> None:
        """Give every unit of every pool to jobs that run longer than anything here takes."""
        long = [spec(number, _LONG_S) for number in range(workload.POOLS * 12)]
        for number, one in enumerate(long):
            one.options[0].flavor = workload.flavor(number % workload.POOLS)
            one.options[0].units_per_node = 1
            one.wall_limit.seconds = _LONG_S
        await call(self.client, pb.SubmitJobsRequest(jobs=long), 0)
        running = pb.ListJobsRequest(
            page_size=_PAGE_MAX, filter=pb.JobFilter(states=[job_pb2.JOB_STATE_RUNNING])
        )
        until_s = perf_counter() + _PATIENCE_S
        while len((await self.client.jobs.ListJobs(running)).jobs) < workload.POOLS * UNITS:
            if perf_counter() > until_s:
                raise RuntimeError("not all pools were taken")
            await asyncio.sleep(0.1)

    # --- lists ----------------------------------------------------------------------------------

    async def get(self, count: int) -> list[float]:
        """Get the newest job so many times, one after another; latencies."""
        [newest] = (await self.client.jobs.ListJobs(pb.ListJobsRequest(page_size=1))).jobs
        asked, taken_ms = pb.GetJobRequest(job_id=newest.job_id), list[float]()
        for _ in range(count):
            began_s = perf_counter()
            await self.client.jobs.GetJob(asked)
            taken_ms.append((perf_counter() - began_s) * 1000)
        return taken_ms

    async def page(self, count: int) -> list[float]:
        """List the newest so many times; latencies."""
        taken_ms: list[float] = []
        for _ in range(count):
            began_s = perf_counter()
            await self.client.jobs.ListJobs(pb.ListJobsRequest(page_size=PAGE))
            taken_ms.append((perf_counter() - began_s) * 1000)
        return taken_ms

    async def all(self) -> tuple[float, int]:
        """List all jobs, page after page: how long it takes, and how many there are."""
        found, token = 0, ""
        began_s = perf_counter()
        while True:
            answer = await self.client.jobs.ListJobs(
                pb.ListJobsRequest(page_size=_PAGE_MAX, page_token=token)
            )
            found += len(answer.jobs)
            token = answer.next_page_token
            if not token:
                return perf_counter() - began_s, found

    def command_page(self) -> float:
        """List the newest by the command; ms."""
        return self._command("jobs", "--limit", str(PAGE))

    def command_all(self) -> float:
        """List all jobs by the command; s."""
        return self._command("jobs", "--all") / 1000

    # --- planning -------------------------------------------------------------------------------

    def cycles(self) -> tuple[float, float]:
        """Planning cycles so far, and the seconds that they took, by the service's own metrics."""
        with urllib.request.urlopen(self.served.metrics, timeout=_CALL_S) as answer:
            text = answer.read().decode()

        def of(name: str) -> float:
            found = re.findall(rf"^corridor_planning_cycle_seconds_{name}{{.*}} (\S+)$", text, re.M)
            return sum(map(float, found))

        return of("count"), of("sum")

    def cycle_ms(self, before: tuple[float, float]) -> list[float]:
        """The mean of the cycles since; none if there were none."""
        (count, spent_s), (more, until_s) = before, self.cycles()
        return [(until_s - spent_s) / (more - count) * 1000] if more > count else []

    # --- what it takes --------------------------------------------------------------------------

    def service_pids(self) -> list[int]:
        """The service, and Ray's processes if there are any."""
        return tree(self.served.process.popen.pid)

    def database_pids(self) -> list[int]:
        """PostgreSQL's processes."""
        lines = (self._server.folder / "data" / "postmaster.pid").read_text("ascii").split("\n")
        return tree(int(lines[0]))

    def pids(self) -> list[int]:
        """All of its processes."""
        return [*self.service_pids(), *self.database_pids()]

    def cpu_s(self) -> float:
        """CPU seconds of service and database so far."""
        return cpu_s(self.pids())

    def memory(self) -> dict[str, float]:
        """Resident memory in MB."""
        return {
            "service": memory_mb(self.service_pids()),
            "postgresql": memory_mb(self.database_pids()),
        }


@asynccontextmanager
async def connected(served: Served, server: Postgres) -> AsyncIterator[Corridor]:
    """A side that speaks to a service."""
    async with AsyncClient(served.address, served.token, timeout_s=_CALL_S) as client:
        yield Corridor(served, server, client)
