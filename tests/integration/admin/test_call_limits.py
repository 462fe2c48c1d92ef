"""What one caller may ask of a service: how a refusal looks, and what a stranger costs."""

import asyncio
from typing import Any

import grpc
import pytest
from corridor.v1 import identity_service_pb2 as pb
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as jobs
from corridor.v1.job_service_pb2 import WatchJobsRequest

from scheduler.auth.rates import NO_RATE, Rate, Rates
from scheduler.domain.principal import Role
from scheduler.problem import problem_of
from scheduler.rpc.guarding import Guard

MINE = "sample-ezhou-1"


def rates(**limits: Any) -> Guard:
    """A guard whose clock stands still."""
    return Guard(rates=Rates(**{"calls": NO_RATE, **limits}, real_s=lambda: 100.0))


async def problem(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return problem_of(caught.value)


async def test_too_many_calls_are_refused_with_the_limit_and_when_to_come_again(
    start_corridor: Any,
) -> None:
    corridor = await start_corridor(guard=rates(calls=Rate(2, 3)))
    hasty, other = corridor.member(MINE), corridor.operator()
    for _ in range(3):
        await corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=hasty)
    found = await problem(corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=hasty))
    assert (found.code, found.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert found.retry_after_s == 0.5
    assert found.subject == f"callers/{MINE}"
    assert found.metadata == {"limit": "limits.calls_per_s"}
    assert found.message == (
        "one caller may make 2 calls a second here, 3 after a rest (limits.calls_per_s);"
        " try again in 0.5 s"
    )
    again = corridor.member(MINE)  # another token of the same person
    assert (await problem(corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=again))).reason
    await corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=other)
    assert corridor.calls.count(("/corridor.v1.IdentityService/WhoAmI", "RESOURCE_EXHAUSTED")) == 2


def submission(key: str, count: int) -> jobs.SubmitJobsRequest:
    option = job_pb2.ResourceOption(flavor="wuhan-sc/kunpeng-920", units_per_node=1)
    job = job_pb2.JobSpec(options=[option], command=["true"])
    job.wall_limit.seconds = 60
    return jobs.SubmitJobsRequest(request_id=key, jobs=[job] * count)


async def test_too_many_jobs_are_refused_whole_and_nothing_is_stored(start_corridor: Any) -> None:
    corridor = await start_corridor(guard=rates(jobs=Rate(10, 5)))
    member = corridor.member(MINE)
    answer = await corridor.jobs.SubmitJobs(submission("one", 25), metadata=member)
    assert len(answer.results) == 25
    found = await problem(corridor.jobs.SubmitJobs(submission("two", 1), metadata=member))
    assert (found.reason, found.metadata) == ("RATE_LIMITED", {"limit": "limits.jobs_per_s"})
    assert found.retry_after_s == pytest.approx(2.1)
    assert corridor.rows("SELECT count(*) FROM job") == [(25,)]


async def test_streams_count_until_they_end(start_corridor: Any) -> None:
    corridor = await start_corridor(guard=rates(streams=2))
    member = corridor.member(MINE)
    streams = [
        corridor.jobs.WatchJobs(WatchJobsRequest(enterprise=MINE), metadata=member)
        for _ in range(2)
    ]
    for stream in streams:
        await stream.read()
    found = await problem(
        corridor.jobs.WatchJobs(WatchJobsRequest(enterprise=MINE), metadata=member).read()
    )
    assert (found.reason, found.metadata) == ("RATE_LIMITED", {"limit": "limits.streams"})
    streams.pop().cancel()
    async with asyncio.timeout(20):
        while True:
            stream = corridor.jobs.WatchJobs(WatchJobsRequest(enterprise=MINE), metadata=member)
            try:
                await stream.read()
                break
            except grpc.aio.AioRpcError:
                continue  # the server has not heard of the end yet
    for one in (stream, *streams):
        one.cancel()


async def test_a_stranger_is_refused_before_a_request_is_taken_in(corridor: Any) -> None:
    """60 MiB to a call that is refused: the answer comes, and the request was never read."""
    taken: list[Any] = []

    async def continuation(_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(taken.append, request_deserializer=taken.append)

    class Details:
        method = "/corridor.v1.JobService/SubmitJobs"
        invocation_metadata = (("authorization", "Bearer cor_" + "x" * 40),)

    handler = await corridor.serving.calls.intercept_service(continuation, Details())
    assert handler.request_streaming, "a unary call would be given its request first"
    assert handler.request_deserializer is None
    huge = submission("huge", 1)
    huge.jobs[0].script = "x" * (60 << 20)
    found = await problem(
        corridor.jobs.SubmitJobs(huge, metadata=Details.invocation_metadata, timeout=60)
    )
    assert (found.code, found.reason) == ("UNAUTHENTICATED", "TOKEN_UNKNOWN")


async def test_texts_above_their_bound_come_nowhere_near_the_store(start_corridor: Any) -> None:
    corridor = await start_corridor()
    huge = "x" * 4_097
    request = pb.ListAuditEventsRequest(target=huge)
    found = await problem(corridor.identity.ListAuditEvents(request, metadata=corridor.operator()))
    assert (found.code, found.violations[0].field) == ("INVALID_ARGUMENT", "target")
    spec = submission("one", 2)
    spec.jobs[1].command[:] = ["x" * 131_073]
    found = await problem(corridor.jobs.SubmitJobs(spec, metadata=corridor.member(MINE)))
    assert (found.code, found.violations[0].field) == ("INVALID_ARGUMENT", "jobs[1].command[0]")
    raw = corridor.channel.unary_unary("/corridor.v1.IdentityService/CreateToken")
    found = await problem(raw(b"\x0a\x04\x12\x02\xff\xfe", metadata=corridor.operator()))
    assert (found.code, found.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")


async def test_when_a_token_was_last_used_is_kept_now_and_then(corridor: Any) -> None:
    metadata = corridor.token(Role.AUDITOR, subject="reader")
    unused = corridor.token(Role.AUDITOR, subject="sleeper")
    assert unused
    operator = corridor.operator()
    for _ in range(3):
        await corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=metadata)
        corridor.clock.ms += 1_000
    reads = "SELECT subject, last_used_ms FROM token WHERE subject IN ('reader', 'sleeper')"
    assert [used for _, used in corridor.rows(reads)] == [None, None], "off the way of calls"
    await corridor.serving.guarding.note()
    last_ms = corridor.clock.ms - 1_000
    assert sorted(corridor.rows(reads)) == [("reader", last_ms), ("sleeper", None)]
    listed = await corridor.identity.ListTokens(pb.ListTokensRequest(), metadata=operator)
    shown = {one.subject: one.last_use_time.ToMilliseconds() for one in listed.tokens}
    assert (shown["reader"], shown["sleeper"]) == (last_ms, 0)
    corridor.clock.ms -= 5_000
    await corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=metadata)
    await corridor.serving.guarding.note()
    assert ("reader", last_ms) in corridor.rows(reads), "a later use that is known stays"


async def test_what_was_used_is_written_when_the_service_ends(
    start_corridor: Any, database_path: Any
) -> None:
    corridor = await start_corridor()
    metadata = corridor.token(Role.AUDITOR, subject="reader")
    await corridor.identity.WhoAmI(pb.WhoAmIRequest(), metadata=metadata)
    await corridor.serving.drain(0)
    rows = corridor.rows("SELECT last_used_ms FROM token WHERE subject = 'reader'")
    assert rows == [(corridor.clock.ms,)]
