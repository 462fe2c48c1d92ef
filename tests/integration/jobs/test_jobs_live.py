"""The job service with the real planner, control loop and simulated centers behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import job_pb2, job_service_pb2_grpc
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from scheduler import bootstrap
from scheduler.config import load_settings

EZHOU = "sample-ezhou-1"
GPU = "wuhan-sc/accelerator"  # 24 cards in all
TIMEOUT_S = 30.0


class Live:
    """A client of a running service."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self.stub: Any = job_service_pb2_grpc.JobServiceStub(channel)
        self.metadata = (("authorization", f"Bearer {token}"),)
        self._calls = 0

    async def call(self, method: str, request: Any) -> Any:
        """Make a call."""
        return await getattr(self.stub, method)(request, metadata=self.metadata)

    async def submit(self, spec: job_pb2.JobSpec) -> str:
        """Submit a job; returns its id."""
        self._calls += 1
        request = pb.SubmitJobsRequest(
            request_id=f"call-{self._calls}", enterprise=EZHOU, jobs=[spec]
        )
        job_id: str = (await self.call("SubmitJobs", request)).results[0].job_id
        return job_id

    async def until(self, job_id: str, wanted: Callable[[job_pb2.JobEvent], bool]) -> list[str]:
        """Watch a job from its beginning until an event; returns the kinds up to there."""
        request = pb.WatchJobsRequest(job_ids=[job_id], from_start=True, until_ended=True)
        kinds: list[str] = []
        async with asyncio.timeout(TIMEOUT_S):
            async for answer in self.stub.WatchJobs(request, metadata=self.metadata):
                for event in answer.events:
                    kinds.append(event.kind)
                    if wanted(event):
                        return kinds
        return kinds

    async def explain_once_seen(self, job_id: str) -> Any:
        """Why a job waits, as soon as the planner has seen it."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                told = await self.call("ExplainJob", pb.ExplainJobRequest(job_id=job_id))
                if told.reason.code != job_pb2.REASON_CODE_NOT_EVALUATED:
                    return told


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    settings = load_settings(
        None,
        {},
        {
            "server.listen": "127.0.0.1:0",
            "store.data_dir": str(tmp_path / "data"),
            "metrics.listen": "",
            "planner.ray": "off",
            "clock.speed": 600.0,
        },
    )
    token = bootstrap.initialize(settings).token
    service = await bootstrap.start_service(settings)
    async with grpc.aio.insecure_channel(service.address) as channel:
        yield Live(channel, token)
    await service.stop(drain=False)


def spec(nodes: int, runtime_s: int) -> job_pb2.JobSpec:
    """Eight cards on each of some nodes for at most a day."""
    return job_pb2.JobSpec(
        options=[job_pb2.ResourceOption(flavor=GPU, units_per_node=8, nodes=nodes)],
        wall_limit=Duration(seconds=86_400),
        labels={"corridor.simulated/runtime-s": str(runtime_s)},
        command=["true"],
    )


async def test_one_job_waits_for_another_until_that_is_cancelled(live: Live) -> None:
    first = await live.submit(spec(nodes=3, runtime_s=86_000))
    await live.until(first, lambda event: event.kind == "RUN_STARTED")

    second = await live.submit(spec(nodes=1, runtime_s=60))
    told = await live.explain_once_seen(second)
    assert told.state == job_pb2.JOB_STATE_QUEUED
    assert told.reason.flavor == GPU
    assert told.reason.requested == 8
    assert (told.position_in_city, told.waiting_in_city) == (1, 1)
    shown = (await live.call("GetJob", pb.GetJobRequest(job_id=second))).job
    assert shown.pending_reason.code == told.reason.code

    asked = pb.QuoteJobsRequest(enterprise=EZHOU, jobs=[spec(nodes=1, runtime_s=60)])
    ((quoted,),) = [one.options for one in (await live.call("QuoteJobs", asked)).quotes]
    assert quoted.reason.code == told.reason.code
    assert quoted.start_earliest_time.ToMilliseconds() > 0
    assert quoted.charge.gross_fen == 115_200

    log = await live.call("ReadJobLogs", pb.ReadJobLogsRequest(job_id=first))
    assert b"simulated" in log.data

    answer = await live.call(
        "CancelJobs",
        pb.CancelJobsRequest(selection=pb.JobSelection(job_ids=[first]), reason="make way"),
    )
    assert (answer.cancelled_count, answer.requested_count) == (0, 1)
    kinds = await live.until(first, lambda event: event.kind == "SETTLED")
    assert kinds[-4:] == ["CANCEL_REQUESTED", "RUN_ENDED", "CANCELLED", "SETTLED"]
    assert (await live.until(second, lambda event: False))[-2:] == ["SUCCEEDED", "SETTLED"]
    found = await live.call("ListJobs", pb.ListJobsRequest())
    assert [(job.job_id, job.settled) for job in found.jobs] == [(second, True), (first, True)]
    assert found.jobs[1].charge.gross_fen > 0
