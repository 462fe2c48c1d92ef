"""One request key, one set of jobs: repeated calls, other payloads, calls that race."""

import asyncio
from typing import Any

import grpc
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

MINE = "sample-ezhou-1"


def same(answer: pb.SubmitJobsResponse, earlier: pb.SubmitJobsResponse) -> bool:
    """Whether an answer repeats an earlier one, and says so."""
    expected = pb.SubmitJobsResponse(results=earlier.results, replayed=True)
    return answer == expected


async def test_a_repeated_call_gets_the_first_answer(
    corridor: Any, job: Any, submit: Any, stored: Any
) -> None:
    who, request = corridor.member(MINE), submit(job("a"), job("bad", units=0), job("b"))
    first = await corridor.jobs.SubmitJobs(request, metadata=who)
    before = stored(corridor)
    corridor.clock.ms += 5_000
    assert same(await corridor.jobs.SubmitJobs(request, metadata=who), first)
    assert stored(corridor) == before
    assert corridor.submitted == [("ezhou", 2)]


async def test_another_payload_under_the_same_key(
    corridor: Any, refusal: Any, job: Any, submit: Any, stored: Any
) -> None:
    who, request = corridor.member(MINE), submit(job("a"))
    await corridor.jobs.SubmitJobs(request, metadata=who)
    before = stored(corridor)
    for other in (
        submit(job("b"), request_id=request.request_id),
        submit(job("a"), job("a"), request_id=request.request_id),
        submit(job("a"), request_id=request.request_id, all_or_nothing=True),
        submit(job("a", units=0), request_id=request.request_id),
        submit(job("a", nodes=80), request_id=request.request_id),
    ):
        found = await refusal(corridor.jobs.SubmitJobs(other, metadata=who))
        assert (found.code, found.reason, found.info) == (
            grpc.StatusCode.ALREADY_EXISTS,
            "REQUEST_ID_REUSED",
            {"request_id": request.request_id},
        )
    assert stored(corridor) == before


async def test_the_enterprise_may_be_named_or_left_out(
    corridor: Any, job: Any, submit: Any
) -> None:
    request = submit(job())
    named = submit(job(), request_id=request.request_id, enterprise=MINE)
    first = await corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE))
    assert same(await corridor.jobs.SubmitJobs(named, metadata=corridor.member(MINE)), first)
    assert same(await corridor.jobs.SubmitJobs(named, metadata=corridor.operator()), first)


async def test_the_order_in_which_a_client_writes_labels_does_not_matter(
    corridor: Any, job: Any, submit: Any
) -> None:
    one = {f"{n}": str(n) for n in range(32)}
    request = submit(job(labels=one, environment=one))
    first = await corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE))
    other = dict(reversed(one.items()))
    again = submit(job(labels=other, environment=other), request_id=request.request_id)
    assert same(await corridor.jobs.SubmitJobs(again, metadata=corridor.member(MINE)), first)


async def test_keys_of_two_enterprises_are_two(
    corridor: Any, job: Any, submit: Any, stored: Any
) -> None:
    request = submit(job())
    first = await corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE))
    who = corridor.member("sample-ezhou-2")
    second = await corridor.jobs.SubmitJobs(request, metadata=who)
    assert not second.replayed
    assert second.results[0].job_id != first.results[0].job_id
    assert stored(corridor) == {"job": 2, "request_key": 2, "event": 2}


async def test_what_changed_since_does_not_change_the_answer(
    corridor: Any, job: Any, submit: Any, stored: Any
) -> None:
    """The deadline has passed, the enterprise was blocked, the center has less: it was accepted."""
    who = corridor.member(MINE)
    deadline = Timestamp(seconds=corridor.clock.ms // 1000 + 60)
    request = submit(job(nodes=20, queue_deadline=deadline))
    first = await corridor.jobs.SubmitJobs(request, metadata=who)
    corridor.clock.ms += 120_000
    for change in (
        "UPDATE enterprise SET blocked = TRUE",
        "UPDATE flavor SET capacity_units = 8",
        "INSERT INTO event (kind, job_uid, attempt, enterprise, city, state, at_ms, detail)"
        " VALUES ('CATALOG_CHANGED', 0, 0, '', '', '', 0, '')",
    ):
        await corridor.db.write(lambda c, sql=change: c.exec_driver_sql(sql))
    assert same(await corridor.jobs.SubmitJobs(request, metadata=who), first)
    assert stored(corridor)["job"] == 1


async def test_equal_calls_that_race_make_one_set_of_jobs(
    corridor: Any, job: Any, submit: Any, stored: Any, hold: Any
) -> None:
    who, request = corridor.member(MINE), submit(job("a"), job("b"))
    gate = hold()
    calls = [corridor.jobs.SubmitJobs(request, metadata=who) for _ in range(20)]
    answers = asyncio.gather(*calls)
    gate.open()
    found = await answers
    assert sorted(answer.replayed for answer in found) == [False] + [True] * 19
    assert len({tuple(one.job_id for one in answer.results) for answer in found}) == 1
    assert stored(corridor) == {"job": 2, "request_key": 1, "event": 2}
    assert corridor.submitted == [("ezhou", 2)]


async def test_of_two_payloads_that_race_one_wins(
    corridor: Any, job: Any, submit: Any, stored: Any, hold: Any
) -> None:
    who, request = corridor.member(MINE), submit(job("a"))
    other = submit(job("b"), request_id=request.request_id)
    gate = hold()
    calls = [corridor.jobs.SubmitJobs(one, metadata=who) for one in (request, other)]
    answers = asyncio.gather(*calls, return_exceptions=True)
    gate.open()
    refused = [answer for answer in await answers if isinstance(answer, grpc.RpcError)]
    assert [error.code() for error in refused] == [grpc.StatusCode.ALREADY_EXISTS]
    assert stored(corridor) == {"job": 1, "request_key": 1, "event": 1}
