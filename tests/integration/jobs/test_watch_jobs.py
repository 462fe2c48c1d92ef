"""WatchJobs over a real server: no gap, no repeat, in order, for those who may see it."""

import asyncio
import random
from typing import Any

import grpc
import pytest
from corridor.v1 import identity_service_pb2, job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.auth import tokens
from scheduler.domain.ids import job_uid
from scheduler.domain.principal import Role
from scheduler.services.feed_tail import WatchSettings

EZHOU, EZHOU_2, WUHAN = "sample-ezhou-1", "sample-ezhou-2", "sample-wuhan-1"
TIMEOUT_S = 20.0


class Watcher:
    """A watch, and what it was told so far."""

    def __init__(self, corridor: Any, metadata: Any, **asked: Any) -> None:
        self.call = corridor.jobs.WatchJobs(pb.WatchJobsRequest(**asked), metadata=metadata)
        self.events: list[job_pb2.JobEvent] = []
        self.token = asked.get("resume_token", "")

    async def read(self) -> pb.WatchJobsResponse:
        """Read one message; fails at the end of the stream."""
        async with asyncio.timeout(TIMEOUT_S):
            answer = await self.call.read()
        assert isinstance(answer, pb.WatchJobsResponse), "the stream has ended"
        self.events += answer.events
        self.token = answer.resume_token
        return answer

    async def read_to(self, sequence: int) -> list[int]:
        """Read until an event of at least this sequence was told; returns all sequences."""
        while not self.events or self.events[-1].sequence < sequence:
            await self.read()
        return [event.sequence for event in self.events]

    async def rest(self) -> list[str]:
        """Read to the end of the stream; returns the kinds of all events."""
        async with asyncio.timeout(TIMEOUT_S):
            while isinstance(answer := await self.call.read(), pb.WatchJobsResponse):
                self.events += answer.events
                self.token = answer.resume_token
        return [event.kind for event in self.events]


def feed(corridor: Any, condition: str) -> list[int]:
    """Sequences of the events of jobs that meet a condition."""
    rows = corridor.rows(f"SELECT seq FROM event WHERE job_uid <> 0 AND ({condition}) ORDER BY seq")
    return [seq for (seq,) in rows]


async def test_from_now_on(corridor: Any, hands: Any) -> None:
    (before,) = await hands.submit(EZHOU)
    watcher = Watcher(corridor, corridor.member(EZHOU))
    first = await watcher.read()
    assert not first.events
    assert first.resume_token
    corridor.clock.ms += 5
    (after,) = await hands.submit(EZHOU)
    await watcher.read()
    (event,) = watcher.events
    assert (event.job_id, event.kind, event.enterprise, event.city) == (
        after, "SUBMITTED", EZHOU, "ezhou",
    )  # fmt: skip
    assert (event.state, event.attempt) == (job_pb2.JOB_STATE_QUEUED, 0)
    assert event.time.ToMilliseconds() == corridor.clock.ms
    await hands.run(before)
    await watcher.read_to(feed(corridor, "kind = 'RUN_STARTED'")[0])
    admitted = next(one for one in watcher.events if one.kind == "ADMITTED")
    assert (admitted.job_id, admitted.attempt) == (before, 1)
    assert admitted.detail["self_pay_fen"] == "4480"


async def test_each_caller_is_told_of_its_own(corridor: Any, hands: Any) -> None:
    watchers = {
        "enterprise = 'sample-ezhou-1'": Watcher(corridor, corridor.member(EZHOU)),
        "city = 'ezhou'": Watcher(corridor, corridor.city_admin("ezhou")),
        "1 = 1": Watcher(corridor, corridor.token(Role.AUDITOR)),
        "city = 'wuhan'": Watcher(corridor, corridor.operator(), city="wuhan"),
        "enterprise = 'sample-ezhou-2'": Watcher(
            corridor, corridor.city_admin("ezhou"), enterprise=EZHOU_2
        ),
    }
    for watcher in watchers.values():
        await watcher.read()
    for enterprise in (EZHOU, WUHAN, EZHOU_2, EZHOU, WUHAN, EZHOU_2):
        await hands.succeed(*await hands.submit(enterprise))
    for condition, watcher in watchers.items():
        expected = feed(corridor, condition)
        assert await watcher.read_to(expected[-1]) == expected
    # What happened before is told the same way to those who come later.
    for condition, metadata in (
        ("enterprise = 'sample-ezhou-1'", corridor.member(EZHOU)),
        ("city = 'ezhou'", corridor.city_admin("ezhou")),
    ):
        later = Watcher(corridor, metadata, from_start=True)
        expected = feed(corridor, condition)
        assert await later.read_to(expected[-1]) == expected


@pytest.mark.parametrize("seed", range(4))
async def test_a_watch_that_breaks_goes_on_where_it_was(
    start_corridor: Any, hands_of: Any, seed: int
) -> None:
    """Whatever was dropped when: all parts together are the feed of the scope."""
    drops, rng = random.Random(-seed), random.Random(seed)
    watch = WatchSettings(
        heartbeat_s=0.1, batch=7, queue_bytes=400, message_bytes=300, gather_s=0.0
    )
    corridor = await start_corridor(watch=watch)
    hands = hands_of(corridor)
    metadata = corridor.city_admin("ezhou")
    told: list[int] = []

    async def work() -> None:
        for _ in range(25):
            enterprise = rng.choice((EZHOU, EZHOU_2, WUHAN))
            job_ids = await hands.submit(enterprise, *[hands.spec()] * rng.randint(1, 4))
            if rng.random() < 0.3:
                await hands.run(job_ids[0])

    working = asyncio.create_task(work())
    token = ""
    while not working.done() or told[-1:] < feed(corridor, "city = 'ezhou'")[-1:]:
        watcher = Watcher(corridor, metadata, resume_token=token, from_start=True)
        await watcher.read()  # where it begins
        for _ in range(drops.randint(1, 5)):
            beat = await watcher.read()
            if working.done() and not beat.events:
                break
        watcher.call.cancel()
        token = watcher.token
        told += [event.sequence for event in watcher.events]
    await working
    assert told == feed(corridor, "city = 'ezhou'")


async def test_a_watcher_that_does_not_read_loses_nothing(
    start_corridor: Any, hands_of: Any
) -> None:
    corridor = await start_corridor(watch=WatchSettings(queue_bytes=20_000))
    hands = hands_of(corridor)
    watcher = Watcher(corridor, corridor.operator())
    await watcher.read()
    quick = Watcher(corridor, corridor.member(EZHOU))
    await quick.read()
    for _ in range(8):  # far more than the server keeps for it
        await hands.submit(EZHOU, *[hands.spec()] * 500)
        await quick.read_to(feed(corridor, "1 = 1")[-1])
    expected = feed(corridor, "1 = 1")
    assert await watcher.read_to(expected[-1]) == expected
    assert [event.sequence for event in quick.events] == expected


async def test_heartbeats_move_the_token_on(start_corridor: Any, hands_of: Any) -> None:
    corridor = await start_corridor(watch=WatchSettings(heartbeat_s=0.01))
    hands = hands_of(corridor)
    member = corridor.member(EZHOU)
    watcher = Watcher(corridor, member)
    first = await watcher.read()
    for _ in range(3):
        assert await watcher.read() == first
    # What others do is not told, but need not be looked through again.
    await hands.submit(WUHAN)
    while (beat := await watcher.read()) == first:
        pass
    assert not beat.events
    resumed = Watcher(corridor, member, resume_token=beat.resume_token)
    assert await resumed.read() == beat


async def test_a_watch_of_jobs_ends_with_the_last_of_them(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    one, two, other = await hands.submit(EZHOU, new_spec(), new_spec(), new_spec())
    member = corridor.member(EZHOU)
    await hands.succeed(one)
    both: dict[str, Any] = {"job_ids": [one, two], "until_ended": True}
    watcher = Watcher(corridor, member, **both)
    await watcher.read()
    whole = Watcher(corridor, member, from_start=True, **both)
    await whole.read()
    await hands.succeed(other)
    await hands.succeed(two)
    assert (await watcher.rest())[-2:] == ["SUCCEEDED", "SETTLED"]
    assert {event.job_id for event in watcher.events} == {two}
    await whole.rest()
    listed = ", ".join(str(job_uid(job_id)) for job_id in (one, two))
    expected = feed(corridor, f"job_uid IN ({listed})")
    assert [event.sequence for event in whole.events] == expected
    # From a token before the end it is told again, and ends; from now on there is nothing.
    again = Watcher(corridor, member, resume_token=watcher.token, **both)
    assert await again.rest() == []
    assert await Watcher(corridor, member, **both).rest() == []


async def cancel(corridor: Any, *job_ids: str) -> Any:
    """As an operator does."""
    selection = pb.JobSelection(job_ids=job_ids)
    request = pb.CancelJobsRequest(selection=selection, reason="a test")
    return await corridor.jobs.CancelJobs(request, metadata=corridor.operator())


async def test_elements_are_watched_before_they_start(
    corridor: Any, hands: Any, new_spec: Any, refusal: Any
) -> None:
    spec = new_spec(array=job_pb2.JobArray(size=4))
    (array,) = await hands.submit(EZHOU, spec)
    member = corridor.member(EZHOU)
    first = Watcher(corridor, member, job_ids=[f"{array}[0]"], until_ended=True)
    some = Watcher(corridor, member, job_ids=[f"{array}[1]", f"{array}[2]"], until_ended=True)
    await first.read()
    await some.read()
    await cancel(corridor, f"{array}[0]")
    assert await first.rest() == ["CANCELLED"]
    resumed = {"job_ids": [f"{array}[1]", f"{array}[2]"], "resume_token": some.token}
    # Those that never got a row hear of the end of their array, and of nothing else.
    await cancel(corridor, array)
    assert await some.rest() == ["CANCELLED"]
    assert [event.job_id for event in some.events] == [array]
    again = Watcher(corridor, member, until_ended=True, **resumed)
    assert await again.rest() == ["CANCELLED"]
    now = Watcher(corridor, member, job_ids=[f"{array}[3]"], until_ended=True)
    assert await now.rest() == []
    for who, element in ((corridor.member(EZHOU_2), 3), (member, 4)):
        found = await refusal(Watcher(corridor, who, job_ids=[f"{array}[{element}]"]).read())
        assert found.code == grpc.StatusCode.NOT_FOUND


async def test_an_index_that_is_too_high_means_no_other_job(
    corridor: Any, hands: Any, new_spec: Any, refusal: Any
) -> None:
    """The uid behind the last element is that of the job which was submitted next."""
    (array,) = await hands.submit(EZHOU, new_spec(array=job_pb2.JobArray(size=2)))
    plain, behind = await hands.submit(EZHOU, new_spec(), new_spec())
    operator = corridor.operator()
    for wrong in (f"{array}[2]", f"{plain}[0]"):
        assert list((await cancel(corridor, wrong)).not_found_job_ids) == [wrong]
        for call in (
            corridor.jobs.GetJob(pb.GetJobRequest(job_id=wrong), metadata=operator),
            corridor.jobs.ExplainJob(pb.ExplainJobRequest(job_id=wrong), metadata=operator),
            corridor.jobs.ReadJobLogs(pb.ReadJobLogsRequest(job_id=wrong), metadata=operator),
            corridor.jobs.GrantEmergency(
                pb.GrantEmergencyRequest(job_id=wrong, reason="x"), metadata=operator
            ),
            Watcher(corridor, operator, job_ids=[wrong]).read(),
        ):
            found = await refusal(call)
            assert (found.code, wrong in found.message) == (grpc.StatusCode.NOT_FOUND, True)
    assert hands.states() == {"QUEUED": 3}
    assert behind


async def test_tokens_that_cannot_be_meant(corridor: Any, hands: Any, refusal: Any) -> None:
    (job_id,) = await hands.submit(EZHOU)
    member = corridor.member(EZHOU)
    watcher = Watcher(corridor, member)
    await watcher.read()
    mine = watcher.token
    for metadata, asked in (
        (corridor.member(EZHOU_2), {"resume_token": mine}),
        (corridor.city_admin("ezhou"), {"resume_token": mine}),
        (member, {"resume_token": mine, "job_ids": [job_id]}),
        (member, {"resume_token": mine, "city": "ezhou"}),
        (member, {"resume_token": "nonsense"}),
        (member, {"resume_token": mine[:-2] + "A="}),
    ):
        found = await refusal(Watcher(corridor, metadata, **asked).read())
        assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("resume_token",))


async def test_a_token_from_ahead_of_the_feed_is_of_another_server(
    corridor: Any, hands: Any, start_corridor: Any, refusal: Any
) -> None:
    await hands.submit(EZHOU)
    watcher = Watcher(corridor, corridor.operator())
    await watcher.read()
    other = await start_corridor()
    found = await refusal(Watcher(other, other.operator(), resume_token=watcher.token).read())
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("resume_token",))


async def test_what_may_not_be_watched(corridor: Any, hands: Any, refusal: Any) -> None:
    (foreign,) = await hands.submit(EZHOU_2)
    member = corridor.member(EZHOU)
    unseen: list[tuple[Any, dict[str, Any]]] = [
        (member, {"job_ids": [foreign]}),
        (member, {"enterprise": EZHOU_2}),
        (corridor.city_admin("wuhan"), {"city": "ezhou"}),
        (corridor.city_admin("wuhan"), {"job_ids": [foreign]}),
    ]
    for metadata, asked in unseen:
        found = await refusal(Watcher(corridor, metadata, **asked).read())
        assert found.code == grpc.StatusCode.NOT_FOUND
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"until_ended": True}, "until_ended"),
        ({"job_ids": ["j1"]}, "job_ids[0]"),
        ({"job_ids": [foreign] * 10_001}, "job_ids"),
    ]
    for asked, field in wrong:
        found = await refusal(Watcher(corridor, member, **asked).read())
        assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))


async def test_a_watch_ends_with_its_token(start_corridor: Any, refusal: Any) -> None:
    corridor = await start_corridor(watch=WatchSettings(heartbeat_s=0.01))

    async def read_on(watcher: Watcher) -> None:
        while True:
            await watcher.read()

    metadata = corridor.token(Role.AUDITOR)
    watcher = Watcher(corridor, metadata)
    await watcher.read()
    digest = tokens.fingerprint(metadata[0][1].removeprefix("Bearer "))
    ((token_id,),) = corridor.rows(f"SELECT token_id FROM token WHERE secret_sha256 = '{digest}'")
    await corridor.identity.RevokeToken(
        identity_service_pb2.RevokeTokenRequest(token_id=token_id), metadata=corridor.operator()
    )
    found = await refusal(read_on(watcher))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REVOKED")

    soon = Watcher(corridor, corridor.token(Role.AUDITOR, expire_ms=corridor.clock.ms + 10))
    await soon.read()
    corridor.clock.ms += 10
    found = await refusal(read_on(soon))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


def telling() -> list[asyncio.Task[Any]]:
    """Tasks of this process that read the feed for watchers."""
    return [task for task in asyncio.all_tasks() if task.get_name() == "tell-feed"]


async def test_nothing_reads_the_feed_once_nobody_watches(corridor: Any, hands: Any) -> None:
    watchers = [Watcher(corridor, corridor.operator()) for _ in range(3)]
    for watcher in watchers:
        await watcher.read()
    await hands.submit(EZHOU)
    for watcher in watchers:
        await watcher.read()
    reading = telling()
    assert len(reading) == 1
    for watcher in watchers:
        watcher.call.cancel()
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*reading, return_exceptions=True)
    assert not telling()
    # And it begins again.
    watcher = Watcher(corridor, corridor.operator())
    await watcher.read()
    await hands.submit(EZHOU)
    await watcher.read()
    assert watcher.events


async def test_a_drain_tells_watchers_to_go_on_elsewhere(corridor: Any, refusal: Any) -> None:
    watcher = Watcher(corridor, corridor.operator())
    await watcher.read()
    waiting = asyncio.create_task(refusal(watcher.read()))
    await corridor.serving.drain(5.0)
    assert (await waiting).code == grpc.StatusCode.UNAVAILABLE
