"""Bad input: the code, what is wrong, and nothing stored."""

from typing import Any

import grpc
import pytest
from corridor.v1 import job_pb2, quota_service_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

NPU = "wuhan-ai/ascend-910b"
MINE = "sample-ezhou-1"
Option = job_pb2.ResourceOption
DAY_S = 86_400


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"options": []}, "options", "give 1 to 8"),
        ({"options": [Option(flavor="x/y", units_per_node=1)]}, "options[0].flavor", "unknown"),
        ({"units": 0}, "options[0].units_per_node", "not 0"),
        ({"units": 2_000_000}, "options[0].units_per_node", "1..1048576"),
        ({"nodes": -1}, "options[0].nodes", "not -1"),
        ({"wall_limit": None}, "wall_limit", "mandatory"),
        ({"wall_limit": Duration(seconds=14 * DAY_S + 1)}, "wall_limit", "at most 1209600 s"),
        ({"wall_limit": Duration(seconds=1, nanos=1)}, "wall_limit", "whole seconds"),
        ({"architecture": job_pb2.ARCHITECTURE_X86_64}, "architecture", "aarch64"),
        ({"architecture": 44}, "architecture", "unknown value 44"),
        ({"queue_deadline": Timestamp(seconds=1)}, "queue_deadline", "past"),
        ({"retry_policy": job_pb2.RetryPolicy(attempts_max=21)}, "retry_policy.attempts_max", "20"),
        ({"script": "echo"}, "script", "not both"),
        ({"labels": {"": "x"}}, "labels['']", "not empty"),
    ],
)
async def test_a_job_with_a_wrong_field(
    corridor: Any, refusal: Any, job: Any, submit: Any, stored: Any, nothing: Any,
    change: dict[str, Any], field: str, says: str,
) -> None:  # fmt: skip
    request = submit(job(**change))
    found = await refusal(corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE)))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert f"jobs[0].{field}" in found.fields
    assert says in found.message
    assert stored(corridor) == nothing
    assert corridor.submitted == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"jobs": []}, "jobs"),
        ({"request_id": ""}, "request_id"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"request_id": "a\nb"}, "request_id"),
    ],
)
async def test_a_call_with_a_wrong_field(
    corridor: Any, refusal: Any, submit: Any, stored: Any, nothing: Any,
    change: dict[str, Any], field: str,
) -> None:  # fmt: skip
    request = submit(**change)
    found = await refusal(corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE)))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))
    assert stored(corridor) == nothing


async def test_an_oversize_batch(
    corridor: Any, refusal: Any, job: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    request = submit(*[job()] * 10_001)
    found = await refusal(corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE)))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("jobs",))
    assert found.message == "jobs: give 1 to 10,000 jobs a call, not 10,001"
    assert stored(corridor) == nothing


# --- what can never fit -------------------------------------------------------------------------


async def quota_failure(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """Return (code, subject, description) of a call that is refused for a limit."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error: Any = caught.value
    status = rpc_status.from_call(error)
    assert status is not None
    failure = error_details_pb2.QuotaFailure()
    assert any(detail.Unpack(failure) for detail in status.details)
    return error.code(), failure.violations[0].subject, failure.violations[0].description


async def test_a_job_larger_than_the_corridor(
    corridor: Any, job: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    """632 cards are granted: 79 nodes of 8 can be had some day, 80 cannot."""
    who = corridor.member(MINE)
    found = await quota_failure(corridor.jobs.SubmitJobs(submit(job(nodes=80)), metadata=who))
    assert found == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "corridor",
        "jobs[0].options: 640 units of wuhan-ai/ascend-910b can never fit: the corridor has 632;"
        " ask for less, or set wait_if_too_large to wait until there is more",
    )
    assert stored(corridor) == nothing
    await corridor.jobs.SubmitJobs(submit(job(nodes=79)), metadata=who)
    await corridor.jobs.SubmitJobs(submit(job(nodes=80, wait_if_too_large=True)), metadata=who)
    assert stored(corridor)["job"] == 2


async def set_city(corridor: Any, city: str, **limits: int) -> None:
    """Set a city's quota of cards."""
    operator = corridor.operator()
    key = quota_service_pb2.GetCityQuotaRequest(city=city, flavor=NPU)
    quota = (await corridor.quotas.GetCityQuota(key, metadata=operator)).quota
    for name, value in limits.items():
        setattr(quota, name, value)
    request = quota_service_pb2.UpdateCityQuotaRequest(quota=quota, reason="a test")
    await corridor.quotas.UpdateCityQuota(request, metadata=operator)


async def test_a_job_larger_than_the_city_may_ever_hold(
    corridor: Any, job: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    await set_city(corridor, "ezhou", nominal_units=16, borrow_limit_units=8)
    who = corridor.member(MINE)
    code, subject, says = await quota_failure(
        corridor.jobs.SubmitJobs(submit(job(nodes=4)), metadata=who)
    )
    assert (code, subject) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "cities/ezhou")
    assert (
        "32 units of wuhan-ai/ascend-910b can never fit: cities/ezhou may hold at most 24" in says
    )
    assert stored(corridor) == nothing
    await corridor.jobs.SubmitJobs(submit(job(nodes=3)), metadata=who)
    other = corridor.member("sample-wuhan-1")
    await corridor.jobs.SubmitJobs(submit(job(nodes=4)), metadata=other)


async def test_a_job_larger_than_what_others_leave(
    corridor: Any, job: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    """What Wuhan does not lend no other city can ever hold."""
    rows = corridor.rows(f"SELECT city, nominal_units FROM city_quota WHERE flavor = '{NPU}'")
    wuhan = dict(rows)["wuhan"]
    await set_city(corridor, "wuhan", lend_limit_units=0)
    fits = (632 - wuhan) // 8
    who = corridor.member(MINE)
    code, subject, says = await quota_failure(
        corridor.jobs.SubmitJobs(submit(job(nodes=fits + 1)), metadata=who)
    )
    assert (code, subject) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "corridor")
    assert f"of 632 in the corridor {wuhan} are guaranteed to cities" in says
    assert stored(corridor) == nothing
    await corridor.jobs.SubmitJobs(submit(job(nodes=fits)), metadata=who)


async def test_a_job_larger_than_the_enterprise_may_ever_hold(
    corridor: Any, job: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    quota = quota_service_pb2.EnterpriseQuota(enterprise=MINE, flavor=NPU, cap_units=8)
    request = quota_service_pb2.UpdateEnterpriseQuotaRequest(quota=quota, reason="a test")
    await corridor.quotas.UpdateEnterpriseQuota(request, metadata=corridor.city_admin("ezhou"))
    code, subject, says = await quota_failure(
        corridor.jobs.SubmitJobs(submit(job(nodes=2)), metadata=corridor.member(MINE))
    )
    assert (code, subject) == (grpc.StatusCode.RESOURCE_EXHAUSTED, f"enterprises/{MINE}")
    assert f"enterprises/{MINE} may hold at most 8" in says
    assert stored(corridor) == nothing
    other = corridor.member("sample-ezhou-2")
    await corridor.jobs.SubmitJobs(submit(job(nodes=2)), metadata=other)


# --- several jobs -------------------------------------------------------------------------------


async def test_all_or_nothing_stores_nothing_if_one_is_refused(
    corridor: Any, refusal: Any, job: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    bad = job(wall_limit=None), job(priority=-2000, units=0)
    request = submit(job(), job(), job(nodes=80), *bad, all_or_nothing=True)
    found = await refusal(corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE)))
    assert (found.code, found.fields) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        (
            "jobs[2].options",
            "jobs[3].wall_limit",
            "jobs[4].options[0].units_per_node",
            "jobs[4].priority",
        ),
    )
    assert stored(corridor) == nothing


async def test_all_or_nothing_with_nothing_but_one_too_large(
    corridor: Any, job: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    request = submit(job(), job(nodes=80), all_or_nothing=True)
    code, subject, says = await quota_failure(
        corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE))
    )
    assert (code, subject) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "corridor")
    assert says.startswith("jobs[1].options: 640 units")
    assert stored(corridor) == nothing


async def test_all_or_nothing_stores_all_that_is_in_order(
    corridor: Any, job: Any, submit: Any, stored: Any
) -> None:
    request = submit(job(), job(), all_or_nothing=True)
    await corridor.jobs.SubmitJobs(request, metadata=corridor.member(MINE))
    assert stored(corridor) == {"job": 2, "request_key": 1, "event": 2}


async def test_a_batch_of_which_every_job_is_refused_stores_nothing(
    corridor: Any, job: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    """Each is answered; the key stays free for the call with better jobs."""
    who = corridor.member(MINE)
    request = submit(job(units=0), job(nodes=80))
    answer = await corridor.jobs.SubmitJobs(request, metadata=who)
    assert [(one.job_id, one.HasField("error")) for one in answer.results] == [("", True)] * 2
    assert stored(corridor) == nothing
    assert corridor.submitted == []
    better = submit(job(), request_id=request.request_id)
    await corridor.jobs.SubmitJobs(better, metadata=who)
    assert stored(corridor) == {"job": 1, "request_key": 1, "event": 1}
