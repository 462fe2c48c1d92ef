"""ExplainJob over a real server: options, place, and how long a job waited for which reason."""

from typing import Any

from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.domain.ids import job_uid
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.census import Kind, shape_of, subject_of
from scheduler.placement.model import Explanation
from scheduler.store import leader, reasons
from scheduler.store.planner_feed import options_of

FULL = PendingReason(ReasonCode.POOL_FULL, "centers/wuhan-ai", "wuhan-ai/ascend-910b")
CAP = PendingReason(ReasonCode.CAP_ENTERPRISE, "enterprises/sample-ezhou-1", "wuhan-sc/kunpeng-920")


async def explain(corridor: Any, job_id: str) -> pb.ExplainJobResponse:
    """As an operator."""
    answer: pb.ExplainJobResponse = await corridor.jobs.ExplainJob(
        pb.ExplainJobRequest(job_id=job_id), metadata=corridor.operator()
    )
    return answer


def code(name: str) -> job_pb2.ReasonCode.ValueType:
    """The number of a reason."""
    return job_pb2.ReasonCode.Value(f"REASON_CODE_{name}")


async def sample(corridor: Any, job_id: str, reason: ReasonCode | None) -> None:
    """The loop looked, and the job's kind waits for a reason (None: nobody of it waits)."""
    [(city, options)] = corridor.rows(
        f"SELECT city, options FROM job WHERE uid = {job_uid(job_id)}"
    )
    subject = subject_of(Kind(city, "", shape_of(options_of(options))))
    now = {} if reason is None else {subject: reason.value}
    now_ms = corridor.clock.ms

    def write(connection: Any) -> None:
        epoch = leader.take_over(connection, "test", 0)
        ending, beginning = reasons.changes(reasons.still_open(connection), now, 100)
        reasons.write(connection, epoch, ending, beginning, now_ms)

    await corridor.db.write(write)


async def test_options_place_and_history(
    corridor: Any, hands: Any, planner: Any, new_spec: Any
) -> None:
    (job_id,) = await hands.submit("sample-ezhou-1", new_spec())
    begin_ms = corridor.clock.ms
    planner.known = {job_uid(job_id): Explanation(job_uid(job_id), FULL, 3, 9, (CAP, FULL))}
    await sample(corridor, job_id, ReasonCode.CAP_ENTERPRISE)
    corridor.clock.ms += 60_000
    await sample(corridor, job_id, ReasonCode.POOL_FULL)
    corridor.clock.ms += 30_000

    told = await explain(corridor, job_id)
    assert [one.code for one in told.options] == [code("CAP_ENTERPRISE"), code("POOL_FULL")]
    assert told.reason_since_time.ToMilliseconds() == begin_ms + 60_000
    assert [(one.code, one.time.ToMilliseconds()) for one in told.reason_times] == [
        (code("CAP_ENTERPRISE"), 60_000), (code("POOL_FULL"), 30_000),
    ]  # fmt: skip
    first, last = told.history
    assert first.start_time.ToMilliseconds() == begin_ms
    assert first.end_time == last.start_time
    assert not last.HasField("end_time")
    job = (
        await corridor.jobs.GetJob(pb.GetJobRequest(job_id=job_id), metadata=corridor.operator())
    ).job
    assert (job.position_in_city, job.waiting_in_city) == (3, 9)


async def test_how_a_job_waited_is_known_once_it_runs(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    (job_id,) = await hands.submit("sample-ezhou-1", new_spec())
    await sample(corridor, job_id, ReasonCode.POOL_FULL)
    corridor.clock.ms += 5_000
    await hands.run(job_id)
    corridor.clock.ms += 9_000
    told = await explain(corridor, job_id)
    assert not told.HasField("reason")
    assert not told.HasField("reason_since_time")
    assert [(one.code, one.time.seconds) for one in told.reason_times] == [(code("POOL_FULL"), 5)]
    (spell,) = told.history
    assert spell.HasField("end_time")


async def test_a_list_tells_why_each_job_waits_by_the_code(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    waits, runs, held = await hands.submit(
        "sample-ezhou-1", new_spec(), new_spec(), new_spec(held=True)
    )
    await sample(corridor, waits, ReasonCode.POOL_FULL)
    await hands.run(runs)
    answer = await corridor.jobs.ListJobs(pb.ListJobsRequest(), metadata=corridor.operator())
    found = {
        job.job_id: job.pending_reason for job in answer.jobs if job.HasField("pending_reason")
    }
    assert found == {
        waits: job_pb2.PendingReason(code=job_pb2.REASON_CODE_POOL_FULL),
        held: job_pb2.PendingReason(code=job_pb2.REASON_CODE_QUEUE_HELD),
    }


async def test_a_held_job_waits_for_its_release_since_it_was_held(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    (job_id,) = await hands.submit("sample-ezhou-1", new_spec())
    corridor.clock.ms += 5_000
    await corridor.jobs.HoldJobs(
        pb.HoldJobsRequest(selection=pb.JobSelection(job_ids=[job_id]), reason="a test"),
        metadata=corridor.operator(),
    )
    corridor.clock.ms += 7_000
    told = await explain(corridor, job_id)
    assert told.reason.code == code("QUEUE_HELD")
    times = {one.code: one.time.seconds for one in told.reason_times}
    assert times == {code("NOT_EVALUATED"): 5, code("QUEUE_HELD"): 7}


async def test_another_enterprise_learns_nothing(
    corridor: Any, hands: Any, refusal: Any, new_spec: Any
) -> None:
    (job_id,) = await hands.submit("sample-ezhou-1", new_spec())
    stranger = corridor.member("sample-wuhan-1")
    call = corridor.jobs.ExplainJob(pb.ExplainJobRequest(job_id=job_id), metadata=stranger)
    assert (await refusal(call)).code.name == "NOT_FOUND"


async def test_while_the_planner_is_away_the_last_sample_is_told(
    corridor: Any, hands: Any, planner: Any, new_spec: Any
) -> None:
    (job_id,) = await hands.submit("sample-ezhou-1", new_spec())
    planner.known = None
    await sample(corridor, job_id, ReasonCode.POOL_FULL)
    corridor.clock.ms += 60_000
    told = await explain(corridor, job_id)
    assert (told.planner_away, told.position_in_city, told.waiting_in_city) == (True, 0, 1)
    # Of whom it was, and when it may start, only the planner could say.
    assert told.reason == job_pb2.PendingReason(code=code("POOL_FULL"))
    assert [(one.code, one.time.seconds) for one in told.reason_times] == [(code("POOL_FULL"), 60)]
    asked = pb.GetJobRequest(job_id=job_id)
    shown = await corridor.jobs.GetJob(asked, metadata=corridor.operator())
    assert (shown.planner_away, shown.job.pending_reason) == (True, told.reason)
    # What never was the planner's to say is told in full, and nothing is missing.
    (held,) = await hands.submit("sample-ezhou-1", new_spec(held=True))
    told = await explain(corridor, held)
    assert (told.reason.code, told.planner_away) == (code("QUEUE_HELD"), False)


async def test_an_array_whose_planner_is_away_waits_for_no_other_job(
    corridor: Any, hands: Any, planner: Any, new_spec: Any
) -> None:
    planner.known = None
    (job_id,) = await hands.submit(
        "sample-ezhou-1", new_spec(array=job_pb2.JobArray(size=3, concurrency_max=1))
    )
    told = await explain(corridor, job_id)
    assert (told.reason.code, told.planner_away) == (code("NOT_EVALUATED"), True)
