"""ListJobs over a real server: filters, scopes and pages."""

from typing import Any

import grpc
import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text

from scheduler.domain.principal import EVERYTHING, Role, Scope
from scheduler.domain.states import JobState
from scheduler.store import jobs
from scheduler.store.job_filter import JobFilter, where

CPU = "wuhan-sc/kunpeng-920"


async def page(corridor: Any, metadata: Any = None, **more: Any) -> pb.ListJobsResponse:
    answer: pb.ListJobsResponse = await corridor.jobs.ListJobs(
        pb.ListJobsRequest(**more), metadata=metadata or corridor.operator()
    )
    return answer


async def names(corridor: Any, metadata: Any = None, **conditions: Any) -> list[str]:
    found = await page(corridor, metadata, filter=pb.JobFilter(**conditions))
    return [job.spec.display_name for job in found.jobs]


@pytest.fixture
async def many(corridor: Any, hands: Any, new_spec: Any) -> dict[str, str]:
    """Jobs of three enterprises in two cities; ids by name, oldest first."""
    made = {}
    for enterprise, asked in (
        ("sample-ezhou-1", new_spec("a-queued", labels={"team": "一组", "run": "1"})),
        ("sample-ezhou-1", new_spec("a-running", labels={"team": "一组"})),
        ("sample-ezhou-2", new_spec("b-held", held=True, labels={"team": 'x","run":"1'})),
        ("sample-wuhan-1", new_spec("w_done", flavor=CPU)),
        ("sample-wuhan-1", new_spec("w%queued", flavor=CPU, units=4)),
    ):
        (made[asked.display_name],) = await hands.submit(enterprise, asked)
        corridor.clock.ms += 1000
    await hands.succeed(made["w_done"])
    await hands.run(made["a-running"])
    return made


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["w%queued", "w_done", "b-held", "a-running", "a-queued"]),
    ({"states": [job_pb2.JOB_STATE_QUEUED]}, ["w%queued", "a-queued"]),
    (
        {"states": [job_pb2.JOB_STATE_HELD, job_pb2.JOB_STATE_SUCCEEDED]},
        ["w_done", "b-held"],
    ),
    ({"states": [job_pb2.JOB_STATE_RUNNING], "city": "ezhou"}, ["a-running"]),
    ({"states": [job_pb2.JOB_STATE_RUNNING], "city": "wuhan"}, []),
    ({"enterprise": "sample-ezhou-1"}, ["a-running", "a-queued"]),
    ({"city": "ezhou"}, ["b-held", "a-running", "a-queued"]),
    ({"city": "atlantis"}, []),
    ({"labels": {"team": "一组"}}, ["a-running", "a-queued"]),
    ({"labels": {"team": "一组", "run": "1"}}, ["a-queued"]),
    ({"labels": {"run": "1"}}, ["a-queued"]),
    ({"labels": {"team": 'x","run":"1'}}, ["b-held"]),
    ({"display_name_prefix": "a-"}, ["a-running", "a-queued"]),
    ({"display_name_prefix": "w%"}, ["w%queued"]),
    ({"display_name_prefix": "W"}, []),
    ({"flavor": CPU}, ["w%queued", "w_done"]),
    ({"flavor": "wuhan-sc"}, []),
    ({"flavor": 'wuhan-sc/kunpeng-920",4,1,3600],["x'}, []),
]


async def test_filters(corridor: Any, many: Any) -> None:
    for conditions, expected in FILTERS:
        assert await names(corridor, **conditions) == expected, conditions


async def test_times_are_from_and_until(corridor: Any, many: Any) -> None:
    found = await page(corridor)
    second, first = found.jobs[-2].submit_time, found.jobs[-1].submit_time
    assert await names(corridor, submit_time_from=first, submit_time_until=second) == ["a-queued"]
    later = Timestamp(seconds=first.seconds, nanos=first.nanos + 1)
    assert await names(corridor, submit_time_from=later, submit_time_until=second) == []
    later = Timestamp(seconds=second.seconds, nanos=second.nanos + 1)
    between = await names(corridor, submit_time_from=first, submit_time_until=later)
    assert between == ["a-running", "a-queued"]


async def test_each_caller_sees_its_own(corridor: Any, many: Any) -> None:
    ezhou = ["b-held", "a-running", "a-queued"]
    assert await names(corridor, corridor.member("sample-ezhou-1")) == ezhou[1:]
    assert await names(corridor, corridor.city_admin("ezhou")) == ezhou
    assert len(await names(corridor, corridor.token(Role.AUDITOR))) == 5
    # A filter never widens what one sees.
    member = corridor.member("sample-ezhou-1")
    assert await names(corridor, member, enterprise="sample-ezhou-2") == []
    assert await names(corridor, corridor.city_admin("wuhan"), city="ezhou") == []


async def test_charges_are_shown_and_runs_are_not(corridor: Any, many: Any) -> None:
    found = {job.spec.display_name: job for job in (await page(corridor)).jobs}
    assert found["w_done"].settled
    assert found["w_done"].charge.gross_fen > 0
    assert found["a-running"].charge.gross_fen == 6400
    assert not found["a-queued"].HasField("charge")
    assert not any(job.runs for job in found.values())


async def test_pages_while_jobs_keep_coming(corridor: Any, hands: Any, new_spec: Any) -> None:
    first = await hands.submit("sample-ezhou-1", *[new_spec(str(n)) for n in range(25)])
    metadata = corridor.member("sample-ezhou-1")
    seen: list[str] = []
    token = ""
    while True:
        found = await page(corridor, metadata, page_size=7, page_token=token)
        seen += [job.job_id for job in found.jobs]
        token = found.next_page_token
        if not token:
            break
        corridor.clock.ms += 1
        await hands.submit("sample-ezhou-1", *[new_spec("later") for _ in range(3)])
    assert seen == first[::-1]
    assert len(found.jobs) == 25 % 7


async def test_a_page_token_goes_with_its_filter_and_caller(
    corridor: Any, many: Any, refusal: Any
) -> None:
    ezhou = corridor.city_admin("ezhou")
    token = (await page(corridor, ezhou, page_size=1)).next_page_token
    for metadata, more in (
        (ezhou, {"filter": pb.JobFilter(flavor=CPU)}),
        (corridor.city_admin("wuhan"), {}),
        (ezhou, {"page_token": token[:-4] + "AAAA"}),
        (ezhou, {"page_token": "?"}),
    ):
        found = await refusal(page(corridor, metadata, **{"page_token": token, **more}))
        assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("page_token",))


async def test_what_cannot_be_meant(corridor: Any, refusal: Any) -> None:
    found = await refusal(page(corridor, page_size=-1))
    assert found.fields == ("page_size",)
    labels = {str(number): "" for number in range(33)}
    wrong: Any = pb.JobFilter(
        states=[job_pb2.JOB_STATE_UNSPECIFIED, 99],  # type: ignore[list-item]
        labels=labels,
        submit_time_from=Timestamp(seconds=-1),
        submit_time_until=Timestamp(seconds=1 << 62),
    )
    found = await refusal(page(corridor, filter=wrong))
    assert found.code == grpc.StatusCode.INVALID_ARGUMENT
    assert found.fields == (
        "filter.states[0]",
        "filter.states[1]",
        "filter.labels",
        "filter.submit_time_from",
        "filter.submit_time_until",
    )
    for nanos in (-1, 10**9):
        found = await refusal(
            page(corridor, filter=pb.JobFilter(submit_time_from=Timestamp(nanos=nanos)))
        )
        assert found.fields == ("filter.submit_time_from",)
    assert len((await page(corridor, page_size=1_000_000)).jobs) == 0


ENTERPRISE, CITY = Scope(enterprise="e1"), Scope(city="ezhou")
QUEUED = frozenset({JobState.QUEUED})


INDEXES = [
    (EVERYTHING, JobFilter(), "INTEGER PRIMARY KEY (rowid<?)"),
    (EVERYTHING, JobFilter(states=QUEUED), "INDEX job_open (uid<?)"),
    (EVERYTHING, JobFilter(city="ezhou"), "INDEX job_city_uid (city=? AND uid<?)"),
    (CITY, JobFilter(), "INDEX job_city_uid (city=? AND uid<?)"),
    (CITY, JobFilter(states=QUEUED), "INDEX job_open (uid<?)"),
    (ENTERPRISE, JobFilter(), "INDEX job_enterprise_uid (enterprise=? AND uid<?)"),
    (ENTERPRISE, JobFilter(states=QUEUED), "INDEX job_enterprise_uid (enterprise=? AND uid<?)"),
    (
        CITY,
        JobFilter(enterprise="e1", flavor="x", labels={"a": "b"}),
        "INDEX job_enterprise_uid (enterprise=? AND uid<?)",
    ),
]


async def test_pages_are_found_by_index_and_need_no_sorting(corridor: Any) -> None:
    def plan(connection: Any, scope: Scope, wanted: JobFilter) -> list[str]:
        found = where(connection, scope, wanted)
        statement = jobs.PAGE.format(where=found.sql)
        binds = {**found.binds, "before": 5, "limit": 5}
        rows = connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"), binds)
        return [row[3] for row in rows]

    for scope, wanted, index in INDEXES:
        steps = await corridor.db.read(lambda c, s=scope, w=wanted: plan(c, s, w))
        assert steps[0] == f"SEARCH job USING {index}"
        assert not [step for step in steps if "TEMP B-TREE" in step]
