"""What is accepted: rows, events and answers, over a real server."""

import json
from typing import Any

from corridor.v1 import job_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2

from scheduler.domain.ids import job_uid
from scheduler.domain.spec import ResourceOption
from scheduler.placement.model import JobQueued, Option
from scheduler.rpc.job_spec import decode_spec
from scheduler.store import planner_feed

NPU = "wuhan-ai/ascend-910b"
MINE = "sample-ezhou-1"


async def test_one_job_is_stored_as_it_was_sent(corridor: Any, job: Any, submit: Any) -> None:
    sent = job(
        "训练",
        units=4,
        nodes=2,
        priority=7,
        labels={"team": "a", "run": "7"},
        queue_deadline=Timestamp(seconds=1_790_000_100),
        retry_policy=job_pb2.RetryPolicy(
            attempts_max=2, retry_on=[job_pb2.FAILURE_CLASS_NODE, job_pb2.FAILURE_CLASS_USER_CODE]
        ),
        subsidy=job_pb2.SUBSIDY_PREFERENCE_NONE,
        self_pay_max_fen=0,
    )
    answer = await corridor.jobs.SubmitJobs(submit(sent), metadata=corridor.member(MINE))
    assert [(one.index, one.HasField("error")) for one in answer.results] == [(0, False)]
    assert not answer.replayed
    uid = job_uid(answer.results[0].job_id)
    found = corridor.rows(
        "SELECT uid, enterprise, city, state, version, priority, submit_ms, not_before_ms,"
        " deadline_ms, display_name, options, labels, subsidy, self_pay_max_fen, attempts_max,"
        " retry_on, attempt, cancel_requested, settled, gross_fen, message FROM job"
    )
    assert found == [
        (
            uid, MINE, "ezhou", "QUEUED", 1, 7, corridor.clock.ms, 0, 1_790_000_100_000, "训练",
            f'[["{NPU}",8,2,3600]]', '{"run":"7","team":"a"}', "NONE", 0, 2, "NODE,USER_CODE",
            0, 0, 0, 0, "",
        )
    ]  # fmt: skip
    spec = corridor.rows("SELECT spec FROM job")[0][0]
    assert job_pb2.JobSpec.FromString(spec) == sent
    assert decode_spec(spec).options == (ResourceOption(NPU, 4, 2),)
    told = "kind, job_uid, attempt, enterprise, city, state, at_ms, detail"
    assert corridor.rows(f"SELECT {told} FROM event WHERE job_uid > 0") == [
        ("SUBMITTED", uid, 0, MINE, "ezhou", "QUEUED", corridor.clock.ms, "")
    ]
    assert corridor.submitted == [("ezhou", 1)]


async def test_what_is_not_given_is_stored_as_its_default(
    corridor: Any, job: Any, submit: Any
) -> None:
    await corridor.jobs.SubmitJobs(submit(job()), metadata=corridor.member(MINE))
    assert corridor.rows(
        "SELECT priority, deadline_ms, labels, subsidy, self_pay_max_fen, attempts_max, retry_on"
        " FROM job"
    ) == [(0, None, "{}", "PREFERRED", None, 3, "CENTER,LOST,NODE,PREEMPTED")]


async def test_a_held_job_is_held_from_the_start(corridor: Any, job: Any, submit: Any) -> None:
    request = submit(job("held", held=True), job("queued"))
    await corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE))
    by_name = "SELECT j.display_name, j.state, e.kind, e.state FROM job j JOIN event e"
    assert sorted(corridor.rows(f"{by_name} ON e.job_uid = j.uid")) == [
        ("held", "HELD", "SUBMITTED", "HELD"),
        ("queued", "QUEUED", "SUBMITTED", "QUEUED"),
    ]


async def test_the_planner_is_told_of_queued_jobs_only(
    corridor: Any, job: Any, submit: Any
) -> None:
    before = corridor.rows("SELECT max(seq) FROM event")[0][0]
    request = submit(job("held", held=True), job("queued", priority=3))
    answer = await corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE))
    uid = job_uid(answer.results[1].job_id)
    after, deltas, _, changed = corridor.db.read_sync(
        lambda c: planner_feed.read_deltas(c, before, 100)
    )
    option = Option(NPU, 8, 1, 3_600_000)
    told = JobQueued(uid, "ezhou", MINE, 3, corridor.clock.ms, (option,), 0, user=MINE)
    assert deltas == [told], "its user is the subject of the token"
    assert (after, changed) == (before + 2, False)


async def test_a_batch_is_answered_job_by_job(corridor: Any, job: Any, submit: Any) -> None:
    """Indexes are those of the request; what is refused is not stored and says why."""
    jobs = [job(f"n{n}") for n in range(300)]
    jobs[1] = job("bad", priority=5000)
    jobs[299] = job("large", nodes=80)
    answer = await corridor.jobs.SubmitJobs(submit(*jobs), metadata=corridor.member(MINE))
    assert [one.index for one in answer.results] == list(range(300))
    refused = {one.index: one.error for one in answer.results if not one.job_id}
    assert {index: error.code for index, error in refused.items()} == {
        1: code_pb2.INVALID_ARGUMENT,
        299: code_pb2.RESOURCE_EXHAUSTED,
    }
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in refused[1].details)
    assert [violation.field for violation in bad.field_violations] == ["jobs[1].priority"]
    ids = [one.job_id for one in answer.results if one.job_id]
    assert len(set(ids)) == 298
    names = dict(corridor.rows("SELECT uid, display_name FROM job"))
    assert [names[job_uid(one)] for one in ids] == [
        f"n{n}" for n in range(300) if n not in (1, 299)
    ]
    assert corridor.submitted == [("ezhou", 298)]


async def test_the_largest_batch_is_taken(corridor: Any, job: Any, submit: Any) -> None:
    request = submit(*[job(str(n)) for n in range(10_000)])
    answer = await corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE))
    assert len({one.job_id for one in answer.results}) == 10_000
    assert corridor.rows("SELECT count(*), count(DISTINCT display_name) FROM job") == [
        (10_000, 10_000)
    ]
    assert corridor.rows("SELECT count(DISTINCT job_uid) FROM event WHERE job_uid > 0") == [
        (10_000,)
    ]


async def test_labels_can_be_asked_for_in_the_store(corridor: Any, job: Any, submit: Any) -> None:
    odd = {'quote"': "back\\slash", "中文": "值\u2028"}
    await corridor.jobs.SubmitJobs(submit(job(labels=odd)), metadata=corridor.member(MINE))
    assert json.loads(corridor.rows("SELECT labels FROM job")[0][0]) == odd
