"""Arrays and chains of jobs through the whole service, over restarts of it."""

import asyncio
from typing import Any

from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

CPU = "wuhan-sc/kunpeng-920"
OWNER = "sample-ezhou-1"
TIMEOUT_S = 60.0


def job(name: str, **more: Any) -> job_pb2.JobSpec:
    """A job that runs 300 s of scheduling time at its simulated center."""
    option = job_pb2.ResourceOption(flavor=CPU, units_per_node=4)
    return job_pb2.JobSpec(
        display_name=name, options=[option], wall_limit=Duration(seconds=600), command=["true"],
        labels={"corridor.simulated/runtime-s": "300", "corridor.simulated/outcome": "SUCCEEDED"},
        **more,
    )  # fmt: skip


async def submit(client: Any, *jobs: job_pb2.JobSpec) -> list[str]:
    """Submit jobs in one call; returns their ids."""
    request = pb.SubmitJobsRequest(request_id="arrays", enterprise=OWNER, jobs=jobs)
    answer = await client.jobs.SubmitJobs(request)
    assert not [one.error.message for one in answer.results if one.error.code]
    return [one.job_id for one in answer.results]


async def get(client: Any, job_id: str) -> job_pb2.Job:
    """One job."""
    found: job_pb2.Job = (await client.jobs.GetJob(pb.GetJobRequest(job_id=job_id))).job
    return found


def counts(found: job_pb2.Job) -> dict[str, int]:
    """An array's elements by state."""
    name = job_pb2.JobState.Name
    return {name(one.state).removeprefix("JOB_STATE_"): one.count for one in found.elements}


async def watch(client: Any, job_id: str, kind: str) -> list[str]:
    """Watch a job from its beginning until an event of this kind."""
    request = pb.WatchJobsRequest(job_ids=[job_id], from_start=True, until_ended=True)
    kinds: list[str] = []
    async with asyncio.timeout(TIMEOUT_S):
        async for answer in client.jobs.WatchJobs(request):
            for event in answer.events:
                kinds.append(event.kind)
                if event.kind == kind:
                    return kinds
    return kinds


async def test_an_array_and_what_waits_for_it_run_to_the_end_over_a_restart(
    serve: Any, installed: Any
) -> None:
    async with serve(installed) as (_, client):
        array, last = await submit(
            client,
            job("sweep", array=job_pb2.JobArray(size=8, concurrency_max=3)),
            job("report", depends_on=[job_pb2.Dependency(job="sweep")]),
        )
        found = await get(client, last)
        assert found.dependencies[0].job_id == array
        assert found.pending_reason.code == job_pb2.REASON_CODE_DEPENDENCY
        assert found.pending_reason.node == f"jobs/{array}"
        assert "READY" in await watch(client, array, "READY")
        assert (await get(client, f"{array}[7]")).array_job_id == array
    async with serve(installed) as (_, client):
        kinds = await watch(client, last, "SUCCEEDED")
        assert kinds[:3] == ["SUBMITTED", "READY", "ADMITTED"]
        found = await get(client, array)
        assert found.state == job_pb2.JOB_STATE_SUCCEEDED
        assert (counts(found), found.message) == ({"SUCCEEDED": 8}, "8 SUCCEEDED of 8")
        assert found.charge.gross_fen > 0
        request = pb.ListJobsRequest(filter=pb.JobFilter(array_job_id=array))
        elements = (await client.jobs.ListJobs(request)).jobs
        assert sorted(one.array_index for one in elements) == list(range(8))
        assert {one.array_job_id for one in elements} == {array}
        assert sum(one.charge.gross_fen for one in elements) == found.charge.gross_fen


async def test_single_elements_are_shown_held_and_cancelled_before_they_are_rows(
    serve: Any, installed: Any
) -> None:
    async with serve(installed) as (_, client):
        (array,) = await submit(client, job("sweep", array=job_pb2.JobArray(size=5), held=True))
        assert counts(await get(client, array)) == {"HELD": 5}
        last = f"{array}[4]"
        shown = await get(client, last)
        assert (shown.state, shown.array_index) == (job_pb2.JOB_STATE_HELD, 4)
        assert shown.pending_reason.code == job_pb2.REASON_CODE_QUEUE_HELD
        selection = pb.JobSelection(job_ids=[last, f"{array}[5]"])
        done = await client.jobs.CancelJobs(pb.CancelJobsRequest(selection=selection, reason="x"))
        assert (done.cancelled_count, len(done.not_found_job_ids)) == (1, 1)
        assert counts(await get(client, array)) == {"HELD": 4, "CANCELLED": 1}
        selection = pb.JobSelection(job_ids=[array])
        await client.jobs.ReleaseJobs(pb.ReleaseJobsRequest(selection=selection, reason="x"))
        assert (await watch(client, array, "FAILED"))[-1] == "FAILED"
        assert (await get(client, array)).message == "4 SUCCEEDED, 1 CANCELLED of 5"
