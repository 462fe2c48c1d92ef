"""A service in a process of its own, whose center writes lines as libraries do; runs one job.

    python -m tests.integration.serve.talkative_service FORM FLAGS TOKEN

``FORM`` is that of the log on stderr, ``FLAGS`` are settings as JSON. Prints the job's id.
"""

import asyncio
import json
import logging
import sys

from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from adapters.contract import Accepted, RunRequest
from adapters.errors import Throttled, Unavailable
from adapters.simulated import SimulatedCenter, SimulatedSettings
from scheduler import bootstrap, logs
from scheduler.client import AsyncClient
from scheduler.clock import WallClock
from scheduler.config import load_settings

FLAVOR = "wuhan-ai/ascend-910b"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
OTHER = "j0000000000000.7"


class Talkative(SimulatedCenter):
    """Speaks of nobody, and of another run; takes a run at the third time."""

    troubles = 3

    async def submit(self, request: RunRequest) -> Accepted:
        said = logging.getLogger("some.library")
        said.warning("the pool is %d %% full", 90)
        said.warning("run %s is in the way", OTHER)
        self.troubles -= 1
        if self.troubles == 2:
            raise Throttled("busy", 0.01)
        if self.troubles:
            raise Unavailable("not now")
        return await super().submit(request)


def center() -> Talkative:
    """Return the center of Wuhan, on the wall's clock."""
    clock = WallClock()
    flavors = [{"flavor": FLAVOR, "units": 8, "units_per_node": 8, "architecture": "aarch64"}]
    settings = SimulatedSettings.parse("wuhan-ai", {"flavors": flavors})
    return Talkative(settings, clock.now_ms, clock.real_s)


async def run_one(client: AsyncClient) -> str:
    """Submit a job and watch it to its end."""
    job = job_pb2.JobSpec(display_name="told", image="image", command=["run"])
    job.options.add(flavor=FLAVOR, units_per_node=1)
    job.wall_limit.seconds = 60
    job.labels["corridor.simulated/runtime-s"] = "1"
    request = pb.SubmitJobsRequest(request_id="one", enterprise="sample-wuhan-1", jobs=[job])
    answer = await client.jobs.SubmitJobs(request)
    [job_id] = [result.job_id for result in answer.results]
    watch = pb.WatchJobsRequest(job_ids=[job_id], from_start=True, until_ended=True)
    async for _ in client.watch(watch):
        pass
    return job_id


async def main(flags: dict[str, object], token: str) -> None:
    """Serve, run, stop."""
    settings = load_settings(None, {}, flags)
    adapters = {"wuhan-ai": center()}
    service = await bootstrap.start_service(settings, clock=WallClock(), adapters=adapters)
    async with AsyncClient(service.address, token, traceparent=PARENT) as client:
        print(await run_one(client))
    await service.stop()


if __name__ == "__main__":
    logs.set_up(sys.argv[1], "debug")
    asyncio.run(main(json.loads(sys.argv[2]), sys.argv[3]))
