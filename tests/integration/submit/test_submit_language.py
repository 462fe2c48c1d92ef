"""SubmitJobs of arrays, of jobs that wait for others, and of what only some may ask for."""

import json
from typing import Any

import grpc
import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.domain.ids import element_uid, job_id, job_uid

MINE, OTHER = "sample-ezhou-1", "sample-ezhou-2"
ANY_END = job_pb2.DEPENDENCY_CONDITION_AFTER_ANY_END
EMERGENCY = job_pb2.PRIORITY_CLASS_EMERGENCY


def after(*names: str, condition: Any = 0) -> list[job_pb2.Dependency]:
    """What a job waits for."""
    return [job_pb2.Dependency(job=name, condition=condition) for name in names]


async def send(corridor: Any, request: pb.SubmitJobsRequest, who: str = MINE) -> Any:
    """Submit as a member."""
    return await corridor.jobs.SubmitJobs(request, metadata=corridor.member(who))


def said(answer: Any) -> dict[int, str]:
    """Why which jobs of a call were refused."""
    return {one.index: one.error.message for one in answer.results if one.error.code}


def waits(corridor: Any, job_id: str) -> list[tuple[int, str]]:
    """What is stored of what a job waits for."""
    query = f"SELECT on_uid, condition FROM job_dependency WHERE job_uid = {job_uid(job_id)}"
    return sorted(corridor.rows(query))


# --- arrays ---------------------------------------------------------------------------------------


async def test_an_array_is_one_job_with_room_for_its_elements(
    corridor: Any, job: Any, submit: Any
) -> None:
    array = job_pb2.JobArray(size=10_000, concurrency_max=16)
    answer = await send(corridor, submit(job("sweep", array=array), job("next")))
    first, second = (job_uid(result.job_id) for result in answer.results)
    assert second > element_uid(first, 9_999)
    assert corridor.rows("SELECT array_uid, size, concurrency_max, opened FROM job_array") == [
        (first, 10_000, 16, 0)
    ]
    stored = "SELECT uid, array_uid, gated, user_name FROM job ORDER BY uid"
    assert corridor.rows(stored) == [(first, first, 0, MINE), (second, None, 0, MINE)]
    details = "SELECT detail FROM event WHERE job_uid > 0 ORDER BY seq"
    assert corridor.rows(details) == [('{"array_size": "10000"}',), ("",)]


async def test_a_call_brings_no_more_elements_than_it_may(
    corridor: Any, job: Any, submit: Any, stored: Any
) -> None:
    jobs = [job(array=job_pb2.JobArray(size=10_000))] * 11
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(corridor, submit(*jobs))
    assert "100,000 elements, not 110,000" in (caught.value.details() or "")
    assert stored(corridor)["job"] == 0


# --- dependencies ---------------------------------------------------------------------------------


async def test_jobs_of_a_call_are_named_by_name_place_and_those_of_before_by_id(
    corridor: Any, job: Any, submit: Any
) -> None:
    before = (await send(corridor, submit(job("data")))).results[0].job_id
    request = submit(
        job("report", depends_on=[*after("train"), *after(before, condition=ANY_END)]),
        job("train", depends_on=after("#2")),
        job("prepare"),
    )
    report, train, prepare = (one.job_id for one in (await send(corridor, request)).results)
    assert waits(corridor, report) == [
        (job_uid(before), "AFTER_ANY_END"),
        (job_uid(train), "AFTER_SUCCESS"),
    ]
    assert waits(corridor, train) == [(job_uid(prepare), "AFTER_SUCCESS")]
    gated = "SELECT display_name FROM job WHERE gated ORDER BY uid"
    assert corridor.rows(gated) == [("report",), ("train",)]


async def test_elements_are_waited_for_before_they_start(
    corridor: Any, job: Any, submit: Any
) -> None:
    before = (
        (await send(corridor, submit(job("old", array=job_pb2.JobArray(size=3))))).results[0].job_id
    )
    request = submit(
        job("sweep", array=job_pb2.JobArray(size=5)),
        job("plot", depends_on=[*after("sweep[4]"), *after("#0[1]"), *after(f"{before}[2]")]),
    )
    sweep, plot = (one.job_id for one in (await send(corridor, request)).results)
    uids = [element_uid(job_uid(before), 2), *(element_uid(job_uid(sweep), n) for n in (1, 4))]
    assert waits(corridor, plot) == [(uid, "AFTER_SUCCESS") for uid in uids]
    rows = corridor.rows("SELECT uid FROM job WHERE array_index IS NOT NULL ORDER BY uid")
    assert [uid for (uid,) in rows] == uids
    refused = said(
        await send(corridor, submit(job("x", depends_on=after(f"{before}[3]")), job("y")))
    )
    assert "the enterprise has no job" in refused[0]


async def test_those_in_a_circle_and_those_behind_them_are_refused_and_nobody_else(
    corridor: Any, job: Any, submit: Any
) -> None:
    request = submit(
        job("a", depends_on=after("b")),
        job("b", depends_on=after("a")),
        job("c", depends_on=after("a")),
        job("d", depends_on=after("c")),
        job("e"),
        job("f", depends_on=after("e")),
    )
    answer = await send(corridor, request)
    refused = said(answer)
    assert sorted(refused) == [0, 1, 2, 3]
    assert "in a circle: #0 -> #1 -> #0" in refused[0]
    assert "jobs[2].depends_on: waits for jobs[0], which is refused" in refused[2]
    assert "waits for jobs[2], which is refused" in refused[3]
    assert len(corridor.rows("SELECT 1 FROM job")) == 2


async def test_a_call_brings_no_more_dependencies_than_it_may(
    corridor: Any, job: Any, submit: Any, stored: Any
) -> None:
    jobs = [job("first"), *[job(f"n{n}", depends_on=after(*["first"] * 1000)) for n in range(101)]]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(corridor, submit(*jobs))
    assert "100,000 dependencies, not 101,000" in (caught.value.details() or "")
    assert stored(corridor)["job"] == 0


async def test_jobs_of_others_are_not_there(corridor: Any, job: Any, submit: Any) -> None:
    theirs = (await send(corridor, submit(job("theirs")), OTHER)).results[0].job_id
    request = submit(job("mine", depends_on=after(theirs)), job("good"))
    refused = said(await send(corridor, request))
    assert f"jobs[0].depends_on[0].job: the enterprise has no job {theirs}" in refused[0]


async def test_a_job_that_waits_for_a_refused_one_is_refused(
    corridor: Any, job: Any, submit: Any
) -> None:
    request = submit(job("bad", priority=5000), job("next", depends_on=after("bad")), job("good"))
    assert sorted(said(await send(corridor, request))) == [0, 1]


async def test_repeating_a_call_with_dependencies_stores_them_once(
    corridor: Any, job: Any, submit: Any
) -> None:
    request = submit(job("a"), job("b", depends_on=after("a")))
    first, again = await send(corridor, request), await send(corridor, request)
    assert again.replayed
    assert [one.job_id for one in again.results] == [one.job_id for one in first.results]
    assert len(corridor.rows("SELECT 1 FROM job_dependency")) == 1


# --- who may, and when ----------------------------------------------------------------------------


async def test_an_emergency_is_for_the_operator_alone(corridor: Any, job: Any, submit: Any) -> None:
    request = submit(job("now", priority_class=EMERGENCY), enterprise=MINE)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(corridor, request)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "only an operator may submit an emergency" in (caught.value.details() or "")
    await corridor.jobs.SubmitJobs(request, metadata=corridor.operator())
    assert corridor.rows("SELECT emergency, user_name FROM job") == [(1, "operator")]
    audited = "SELECT action, actor, enterprise, target FROM audit_event WHERE action LIKE 'EM%'"
    ((job_uid_,),) = corridor.rows("SELECT uid FROM job")
    assert corridor.rows(audited) == [
        ("EMERGENCY_GRANTED", "operator", MINE, f"jobs/{job_id(job_uid_)}")
    ]


async def test_times_sizes_and_interruption_are_stored(
    corridor: Any, job: Any, submit: Any
) -> None:
    now_s = corridor.clock.ms // 1000
    spec = job(
        start_not_before=Timestamp(seconds=now_s + 60),
        finish_by=Timestamp(seconds=now_s + 7200),
        interruptible=True,
        checkpoint_notice=Duration(seconds=120),
    )
    spec.options[0].nodes, spec.options[0].nodes_min = 4, 2
    await send(corridor, submit(spec))
    [row] = corridor.rows(
        "SELECT not_before_ms, finish_by_ms, deadline_ms, interruptible, notice_s, options FROM job"
    )
    now_ms = now_s * 1000
    assert row[:2] == (now_ms + 60_000, now_ms + 7_200_000)
    assert row[2] == now_ms + 7_200_000 - 3_600_000 + 1, "the first moment that is too late"
    assert row[3:5] == (1, 120)
    assert json.loads(row[5]) == [["wuhan-ai/ascend-910b", 32, 4, 3600, 16, 0]]


async def test_the_planner_is_told_how_long_inputs_take(
    corridor: Any, job: Any, submit: Any
) -> None:
    """30 GB over the gigabit of Ezhou take 240 s; what lies at the center takes nothing."""
    far = job_pb2.DataRef(uri="obs://a", size_bytes=30 * 10**9, location="cities/ezhou")
    here = job_pb2.DataRef(uri="obs://b", size_bytes=30 * 10**9, location="centers/wuhan-ai")
    request = submit(job("far", inputs=[far, here]), job("here", inputs=[here]))
    await send(corridor, request)
    options = corridor.rows("SELECT options FROM job ORDER BY uid")
    assert [json.loads(one)[0][3:] for (one,) in options] == [[3600, 0, 240], [3600]]
    lost = job_pb2.DataRef(uri="obs://c", location="cities/atlantis")
    refused = said(await send(corridor, submit(job(inputs=[lost]), job())))
    assert "jobs[0].inputs[0].location: 'cities/atlantis' is no city or center" in refused[0]


async def test_how_long_inputs_take_is_quoted_and_explained(
    corridor: Any, job: Any, submit: Any
) -> None:
    """To the center where they lie they take nothing; without any there is nothing to say."""
    far = job_pb2.DataRef(uri="obs://a", size_bytes=30 * 10**9, location="centers/wuhan-sc")
    options = [
        job_pb2.ResourceOption(flavor=flavor, units_per_node=8)
        for flavor in ("wuhan-ai/ascend-910b", "wuhan-sc/accelerator")
    ]
    spec = job("two", inputs=[far], options=options)
    who = {"metadata": corridor.member(MINE)}
    quoted = await corridor.jobs.QuoteJobs(pb.QuoteJobsRequest(jobs=[spec]), **who)
    assert [one.transfer.seconds for one in quoted.quotes[0].options] == [24, 0]
    first, plain = (
        one.job_id for one in (await send(corridor, submit(spec, job(held=True)))).results
    )
    await corridor.jobs.HoldJobs(
        pb.HoldJobsRequest(selection=pb.JobSelection(job_ids=[first])), **who
    )
    told = await corridor.jobs.ExplainJob(pb.ExplainJobRequest(job_id=first), **who)
    assert [one.seconds for one in told.transfers] == [24, 0]
    told = await corridor.jobs.ExplainJob(pb.ExplainJobRequest(job_id=plain), **who)
    assert not told.transfers
