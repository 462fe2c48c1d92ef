"""Jobs that go first, and jobs whose runs are ended by order, over a real server."""

from typing import Any

import grpc
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.domain.ids import job_uid
from scheduler.domain.reports import noticed
from scheduler.placement.model import Eviction
from scheduler.store import evicting, ingest

EZHOU, NPU = "sample-ezhou-1", "wuhan-ai/ascend-910b"


def grant(corridor: Any, job_id: str, who: Any, **more: Any) -> Any:
    request = pb.GrantEmergencyRequest(job_id=job_id, **more)
    return corridor.jobs.GrantEmergency(request, metadata=who)


async def test_only_an_operator_lets_a_job_go_first_and_says_why(
    corridor: Any, hands: Any, refusal: Any
) -> None:
    (job_id,) = await hands.submit(EZHOU)
    member, operator = corridor.member(EZHOU), corridor.operator()
    found = await refusal(grant(corridor, job_id, member, reason="mine"))
    assert found.code == grpc.StatusCode.PERMISSION_DENIED
    assert (await refusal(grant(corridor, job_id, operator))).fields == ("reason",)
    for _ in range(2):  # the second changes nothing and notes nothing
        answer = await grant(corridor, job_id, operator, reason="a flood")
        assert answer.job.emergency
    answer = await grant(corridor, job_id, operator, reason="it is over", revoke=True)
    assert not answer.job.emergency
    assert hands.events(job_id) == ["SUBMITTED", "EMERGENCY_GRANTED", "EMERGENCY_REVOKED"]
    assert corridor.rows(
        "SELECT action, target, city, enterprise, reason FROM audit_event"
        " WHERE action LIKE 'EMERGENCY%' ORDER BY seq"
    ) == [
        ("EMERGENCY_GRANTED", f"jobs/{job_id}", "ezhou", EZHOU, "a flood"),
        ("EMERGENCY_REVOKED", f"jobs/{job_id}", "ezhou", EZHOU, "it is over"),
    ]
    await hands.run(job_id)
    found = await refusal(grant(corridor, job_id, operator, reason="too late"))
    assert found.code == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_run_that_is_ended_by_order_shows_why_and_when(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    job_id, whom = await hands.submit(EZHOU, new_spec(interruptible=True), new_spec())
    await hands.run(job_id)
    now_ms = corridor.clock.ms
    plan = [Eviction(job_uid(job_id), NPU, 8, job_uid(whom), 60_000)]
    await hands._write(lambda c, epoch: evicting.reclaim(c, epoch, plan, now_ms))
    told = [noticed(job_uid(job_id), 1)]
    await hands._write(lambda c, epoch: ingest.ingest(c, epoch, told, now_ms, lambda: 0.0))
    corridor.clock.ms += 60_000
    await hands.report([job_id], hands.CANCELLED)
    request = pb.GetJobRequest(job_id=job_id)
    job = (await corridor.jobs.GetJob(request, metadata=corridor.member(EZHOU))).job
    assert (job.state, job.evictions, job.charge.gross_fen) == (job_pb2.JOB_STATE_QUEUED, 1, 0)
    [run] = job.runs
    assert (run.state, run.failure_class, run.evict_cause) == (
        job_pb2.RUN_STATE_PREEMPTED,
        job_pb2.FAILURE_CLASS_PREEMPTED,
        job_pb2.EVICT_CAUSE_RECLAIM,
    )
    assert run.evict_time.ToMilliseconds() == now_ms + 60_000


async def test_a_job_that_no_center_begins_says_so(corridor: Any, hands: Any) -> None:
    (job_id,) = await hands.submit(EZHOU)
    uid = job_uid(job_id)
    await corridor.db.write(
        lambda c: c.exec_driver_sql(
            f"UPDATE job SET state = 'HELD', deactivated = TRUE WHERE uid = {uid}"
        )
    )
    request = pb.ExplainJobRequest(job_id=job_id)
    told = await corridor.jobs.ExplainJob(request, metadata=corridor.member(EZHOU))
    assert told.reason.code == job_pb2.REASON_CODE_DEACTIVATED
