"""GetJob and ExplainJob over a real server."""

from typing import Any

import grpc
import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.domain.ids import job_uid
from scheduler.domain.principal import Role
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.model import Explanation


async def get(corridor: Any, job_id: str, metadata: Any = None) -> job_pb2.Job:
    request = pb.GetJobRequest(job_id=job_id)
    answer = await corridor.jobs.GetJob(request, metadata=metadata or corridor.operator())
    job: job_pb2.Job = answer.job
    return job


async def explain(corridor: Any, job_id: str) -> pb.ExplainJobResponse:
    request = pb.ExplainJobRequest(job_id=job_id)
    answer: pb.ExplainJobResponse = await corridor.jobs.ExplainJob(
        request, metadata=corridor.operator()
    )
    return answer


async def test_a_job_is_shown_as_it_was_asked_for(corridor: Any, hands: Any, new_spec: Any) -> None:
    asked = new_spec("训练", labels={"team": "a"}, priority=5)
    (job_id,) = await hands.submit("sample-ezhou-1", asked)
    job = await get(corridor, job_id)
    assert job.spec == asked
    assert (job.job_id, job.enterprise, job.city) == (job_id, "sample-ezhou-1", "ezhou")
    assert (job.state, job.version, job.settled) == (job_pb2.JOB_STATE_QUEUED, 1, False)
    assert job.submit_time.ToMilliseconds() == corridor.clock.ms
    assert not job.HasField("charge")
    assert not job.runs


async def test_what_is_held_becomes_what_is_charged(corridor: Any, hands: Any) -> None:
    (job_id,) = await hands.submit("sample-ezhou-1")
    await hands.run(job_id)
    job = await get(corridor, job_id)
    assert (job.state, job.settled) == (job_pb2.JOB_STATE_RUNNING, False)
    # 8 cards, one hour, 222,222 millionths of a fen: 63.99... yuan; 20 % and 10 % are subsidies.
    assert (job.charge.gross_fen, job.charge.unit_seconds) == (6400, 28_800)
    assert job.charge.price_ufen_per_unit_second == 222_222
    lines = [(one.programme, one.amount_fen, one.binding) for one in job.charge.subsidies]
    assert lines == [("ezhou-voucher", 1280, "RATE"), ("corridor-shared", 640, "RATE")]
    assert job.charge.self_pay_fen == 6400 - 1280 - 640

    corridor.clock.ms += 600_000
    await hands.report([job_id], hands.SUCCEEDED, exit_code=0)
    job = await get(corridor, job_id)
    assert (job.state, job.settled) == (job_pb2.JOB_STATE_SUCCEEDED, True)
    assert (job.charge.gross_fen, job.charge.unit_seconds) == (1067, 4_800)
    assert [one.amount_fen for one in job.charge.subsidies] == [106, 213]
    assert job.charge.self_pay_fen == 1067 - 106 - 213
    assert job.charge.price_version


async def test_what_the_center_wasted_is_not_charged(corridor: Any, hands: Any) -> None:
    (job_id,) = await hands.submit("sample-ezhou-1")
    await hands.run(job_id)
    corridor.clock.ms += 600_000
    await hands.fail(job_id)
    assert not (await get(corridor, job_id)).HasField("charge")
    await hands.run(job_id)
    corridor.clock.ms += 60_000
    await hands.report([job_id], hands.SUCCEEDED, exit_code=0)
    job = await get(corridor, job_id)
    assert (job.charge.gross_fen, job.charge.unit_seconds) == (107, 480)


async def test_every_attempt_is_shown_in_order(corridor: Any, hands: Any) -> None:
    (job_id,) = await hands.submit("sample-ezhou-1")
    await hands.run(job_id)
    await hands.fail(job_id)
    corridor.clock.ms += 100_000
    await hands.run(job_id)
    job = await get(corridor, job_id)
    assert [(run.attempt, run.run_id) for run in job.runs] == [
        (1, f"{job_id}.1"),
        (2, f"{job_id}.2"),
    ]
    first, second = job.runs
    assert (first.state, first.failure_class) == (
        job_pb2.RUN_STATE_FAILED,
        job_pb2.FAILURE_CLASS_NODE,
    )
    assert (first.exit_code, first.HasField("end_time")) == (1, True)
    assert (second.state, second.HasField("exit_code")) == (job_pb2.RUN_STATE_RUNNING, False)
    assert (second.center, second.units, second.simulated) == ("wuhan-ai", 8, True)


async def test_who_may_see_a_job(corridor: Any, hands: Any, refusal: Any) -> None:
    (job_id,) = await hands.submit("sample-ezhou-1")
    for metadata in (
        corridor.member("sample-ezhou-1"),
        corridor.city_admin("ezhou"),
        corridor.token(Role.AUDITOR),
        corridor.operator(),
    ):
        assert (await get(corridor, job_id, metadata)).job_id == job_id
    calls = (
        corridor.jobs.GetJob,
        corridor.jobs.ExplainJob,
        corridor.jobs.ReadJobLogs,
    )
    asked = (pb.GetJobRequest, pb.ExplainJobRequest, pb.ReadJobLogsRequest)
    strangers = (corridor.member("sample-ezhou-2"), corridor.city_admin("wuhan"))
    for call, request in zip(calls, asked, strict=True):
        for metadata in strangers:
            found = await refusal(call(request(job_id=job_id), metadata=metadata))
            assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


@pytest.mark.parametrize("job_id", ["", "j", "x0000000000000", "j000000000000u", "j" + "z" * 13])
async def test_what_is_no_job_id(corridor: Any, refusal: Any, job_id: str) -> None:
    found = await refusal(get(corridor, job_id))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("job_id",))


async def test_why_a_job_waits(corridor: Any, hands: Any, planner: Any, new_spec: Any) -> None:
    (job_id, other) = await hands.submit("sample-ezhou-1", new_spec(), new_spec())
    # The planner is away: what is stored is told, and that it is all that is known.
    job = await get(corridor, job_id)
    assert job.pending_reason.code == job_pb2.REASON_CODE_NOT_EVALUATED
    told = await explain(corridor, job_id)
    assert told.reason.code == job_pb2.REASON_CODE_NOT_EVALUATED
    assert (told.position_in_city, told.waiting_in_city) == (0, 2)
    assert told.planner_away

    planner.known = {}
    told = await explain(corridor, job_id)
    assert not told.planner_away
    assert told.reason.code == job_pb2.REASON_CODE_NOT_EVALUATED
    assert (told.position_in_city, told.waiting_in_city) == (0, 2)

    reason = PendingReason(
        ReasonCode.BORROW_LIMIT, "cities/ezhou", "wuhan-ai/ascend-910b", 10, 8, 8, 6, 5, 6, 7, 8
    )
    uid = job_uid(other)
    planner.known = {uid: Explanation(uid, reason, 2, 17)}
    told = await explain(corridor, other)
    assert (told.state, told.position_in_city, told.waiting_in_city) == (
        job_pb2.JOB_STATE_QUEUED,
        2,
        17,
    )
    assert told.reason == job_pb2.PendingReason(
        code=job_pb2.REASON_CODE_BORROW_LIMIT,
        node="cities/ezhou",
        flavor="wuhan-ai/ascend-910b",
        limit=10,
        used=8,
        requested=8,
        short_by=6,
        next_event_time=Timestamp(nanos=5_000_000),
        start_earliest_time=Timestamp(nanos=6_000_000),
        start_likely_time=Timestamp(nanos=7_000_000),
        start_latest_time=Timestamp(nanos=8_000_000),
    )
    assert (await get(corridor, other)).pending_reason == told.reason


async def test_what_does_not_wait_for_the_planner(corridor: Any, hands: Any, new_spec: Any) -> None:
    held, running, done = await hands.submit(
        "sample-ezhou-1", new_spec(held=True), new_spec(), new_spec()
    )
    await hands.succeed(done)
    await hands.run(running)
    told = await explain(corridor, held)
    assert told.state == job_pb2.JOB_STATE_HELD
    assert told.reason.code == job_pb2.REASON_CODE_QUEUE_HELD
    assert told.reason.node == f"jobs/{held}"
    assert (await get(corridor, held)).pending_reason == told.reason
    for job_id, state in (
        (running, job_pb2.JOB_STATE_RUNNING),
        (done, job_pb2.JOB_STATE_SUCCEEDED),
    ):
        told = await explain(corridor, job_id)
        assert told.state == state
        assert not told.HasField("reason")
        assert not (await get(corridor, job_id)).HasField("pending_reason")
