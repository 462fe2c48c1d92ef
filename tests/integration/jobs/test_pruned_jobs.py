"""What callers are told of jobs and events that are no longer kept."""

from typing import Any

import grpc
import pytest
from corridor.v1 import charge_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.domain.ids import job_uid, run_id
from scheduler.store import leader, retention

EZHOU = "sample-ezhou-1"
ALWAYS = 1 << 60


async def forget(corridor: Any, call: Any) -> None:
    """Let go of all that may be, as if it were old."""
    epoch = await corridor.db.write(lambda c: leader.take_over(c, "old", 0))
    while (await corridor.db.write(lambda c: call(c, epoch, ALWAYS))).count:
        pass


async def watch(corridor: Any, **asked: Any) -> list[pb.WatchJobsResponse]:
    """Watch jobs to their end."""
    call = corridor.jobs.WatchJobs(pb.WatchJobsRequest(**asked), metadata=corridor.operator())
    return [answer async for answer in call]


async def test_a_watcher_that_comes_back_too_late_is_told_what_to_do(
    corridor: Any, hands: Any, refusal: Any
) -> None:
    (first,) = await hands.submit(EZHOU)
    call = corridor.jobs.WatchJobs(pb.WatchJobsRequest(), metadata=corridor.operator())
    token = (await call.read()).resume_token
    call.cancel()
    await hands.succeed(first)
    await hands.submit(EZHOU)
    await forget(corridor, retention.forget_events)
    found = await refusal(
        corridor.jobs.WatchJobs(
            pb.WatchJobsRequest(resume_token=token), metadata=corridor.operator()
        ).read()
    )
    assert (found.code, found.reason) == (grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_TOO_OLD")
    assert "list the jobs" in found.message
    assert "watch again without a token" in found.message
    call = corridor.jobs.WatchJobs(
        pb.WatchJobsRequest(from_start=True), metadata=corridor.operator()
    )
    answer = await call.read()
    while not answer.events:
        answer = await call.read()
    assert [one.kind for one in answer.events] == ["SUBMITTED"]
    token = answer.resume_token
    call.cancel()
    call = corridor.jobs.WatchJobs(
        pb.WatchJobsRequest(resume_token=token), metadata=corridor.operator()
    )
    assert (await call.read()).resume_token
    call.cancel()


async def test_a_watch_to_the_end_of_a_job_ends_though_its_end_is_no_longer_told(
    corridor: Any, hands: Any
) -> None:
    (first,) = await hands.submit(EZHOU)
    await hands.succeed(first)
    await hands.submit(EZHOU)
    await forget(corridor, retention.forget_events)
    assert hands.events(first) == []
    told = await watch(corridor, job_ids=[first], from_start=True, until_ended=True)
    assert not [event for answer in told for event in answer.events]
    request = pb.ExplainJobRequest(job_id=first)
    shown = await corridor.jobs.ExplainJob(request, metadata=corridor.operator())
    assert (list(shown.history), list(shown.reason_times)) == ([], []), (
        "how it waited is no longer known"
    )


async def test_a_job_that_is_gone_is_named_so_and_its_charge_is_shown(
    corridor: Any, hands: Any, refusal: Any
) -> None:
    (first,) = await hands.submit(EZHOU)
    await hands.succeed(first)
    (last,) = await hands.submit(EZHOU)
    operator = corridor.operator()
    charge = charge_pb2.GetRunChargeRequest(run_id=run_id(job_uid(first), 1))
    before = await corridor.subsidies.GetRunCharge(charge, metadata=operator)
    await forget(corridor, retention.forget_jobs)
    gone = (
        corridor.jobs.GetJob(pb.GetJobRequest(job_id=first), metadata=operator),
        corridor.jobs.ExplainJob(pb.ExplainJobRequest(job_id=first), metadata=operator),
        corridor.jobs.WatchJobs(pb.WatchJobsRequest(job_ids=[first]), metadata=operator).read(),
    )
    for call in gone:
        found = await refusal(call)
        assert found.code == grpc.StatusCode.NOT_FOUND
        assert "Jobs that ended long ago are not kept" in found.message
        assert "corridor charge show RUN" in found.message
    page = await corridor.jobs.ListJobs(pb.ListJobsRequest(), metadata=operator)
    assert [one.job_id for one in page.jobs] == [last]
    assert await corridor.subsidies.GetRunCharge(charge, metadata=operator) == before


@pytest.mark.parametrize("command", ["CancelJobs", "HoldJobs", "ReleaseJobs"])
async def test_nothing_can_be_done_to_a_job_that_is_gone(
    corridor: Any, hands: Any, command: str
) -> None:
    (first,) = await hands.submit(EZHOU)
    await hands.succeed(first)
    await hands.submit(EZHOU)
    await forget(corridor, retention.forget_jobs)
    request = getattr(pb, f"{command}Request")(
        selection=pb.JobSelection(job_ids=[first]), reason="late"
    )
    answer = await getattr(corridor.jobs, command)(request, metadata=corridor.operator())
    assert list(answer.not_found_job_ids) == [first]
