"""A service lets go of jobs that are old, by itself; their charges are shown and verified still."""

import asyncio
from typing import Any

import grpc
from corridor.v1 import charge_pb2, job_pb2, subsidy_service_pb2
from corridor.v1 import job_service_pb2 as pb

ENTERPRISE = "sample-wuhan-1"
TIMEOUT_S = 60


def job(name: str) -> job_pb2.JobSpec:
    spec = job_pb2.JobSpec(display_name=name, image="image", command=["run"])
    spec.options.add(flavor="wuhan-ai/ascend-910b", units_per_node=1)
    spec.wall_limit.seconds = 600
    spec.labels["corridor.simulated/runtime-s"] = "1"
    return spec


async def test_old_jobs_go_and_their_charges_stay(installed: Any, serve: Any) -> None:
    # Real time: what a clock that runs ahead calls old is not.
    real = {"clock.speed": 1}
    async with serve(installed.with_flags(real)) as (_, client):
        request = pb.SubmitJobsRequest(request_id="a", enterprise=ENTERPRISE, jobs=[job("first")])
        [first] = (await client.jobs.SubmitJobs(request)).results
        watched = pb.WatchJobsRequest(job_ids=[first.job_id], from_start=True, until_ended=True)
        async for _ in client.watch(watched):
            pass
        charge = charge_pb2.GetRunChargeRequest(run_id=f"{first.job_id}.1")
        before = await client.subsidies.GetRunCharge(charge)
        request = pb.SubmitJobsRequest(request_id="b", enterprise=ENTERPRISE, jobs=[job("newest")])
        [newest] = (await client.jobs.SubmitJobs(request)).results
    # A millisecond: at its first look the next service finds it old, however soon it looks. The
    # second look comes after a minute.
    gone = {**real, "retention.jobs_d": 1e-8, "retention.events_d": 1e-8}
    async with serve(installed.with_flags(gone)) as (service, client):
        async with asyncio.timeout(TIMEOUT_S):
            await _gone(service, client, first.job_id)
        page = await client.jobs.ListJobs(pb.ListJobsRequest())
        assert [one.job_id for one in page.jobs] == [newest.job_id]
        assert await client.subsidies.GetRunCharge(charge) == before
        found = await client.subsidies.VerifyLedger(subsidy_service_pb2.VerifyLedgerRequest())
        assert (list(found.problems), found.run_count >= 1) == ([], True)


async def _gone(service: Any, client: Any, job_id: str) -> None:
    """Ask for a job after each commit until it is not found."""
    committed, loop = asyncio.Event(), asyncio.get_running_loop()
    service.db.after_commit.append(lambda: loop.call_soon_threadsafe(committed.set))
    while True:
        committed.clear()
        call = client.jobs.GetJob(pb.GetJobRequest(job_id=job_id))
        if await call.code() != grpc.StatusCode.OK:
            break
        await committed.wait()
    assert await call.code() == grpc.StatusCode.NOT_FOUND
    assert "Jobs that ended long ago are not kept" in await call.details()
