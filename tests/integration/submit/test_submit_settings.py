"""Settings that change: jobs are judged by what holds when they are stored."""

import asyncio
from dataclasses import replace
from typing import Any

import grpc
import pytest
from corridor.v1 import identity_service_pb2, quota_service_pb2

from scheduler.domain.principal import Principal, Role
from scheduler.errors import QuotaExceeded
from scheduler.rpc.job_submission import submit_jobs
from scheduler.services.submission_desk import SubmissionDesk
from scheduler.store import quotas
from scheduler.store.database import Database
from scheduler.store.submission_book import Revision
from scheduler.store.submissions import Outcome, Submission

NPU = "wuhan-ai/ascend-910b"
MINE = "sample-ezhou-1"
MEMBER = Principal("m", Role.ENTERPRISE_MEMBER, "ezhou", MINE, None, "t", 1 << 60)
OPERATOR = Principal("o", Role.OPERATOR, None, None, None, "t", 1 << 60)


async def set_cap(corridor: Any, units: int | None) -> None:
    """Set the cap of cards of the enterprise."""
    operator = corridor.operator()
    request = quota_service_pb2.ListEnterpriseQuotasRequest(enterprise=MINE)
    found = (await corridor.quotas.ListEnterpriseQuotas(request, metadata=operator)).quotas
    quota = quota_service_pb2.EnterpriseQuota(
        enterprise=MINE, flavor=NPU, cap_units=units, etag=found[0].etag if found else ""
    )
    await corridor.quotas.UpdateEnterpriseQuota(
        quota_service_pb2.UpdateEnterpriseQuotaRequest(quota=quota, reason="a test"),
        metadata=operator,
    )


async def test_a_changed_quota_counts_at_once(
    corridor: Any, refusal: Any, job: Any, submit: Any, stored: Any
) -> None:
    who = corridor.member(MINE)
    await corridor.jobs.SubmitJobs(submit(job(nodes=2)), metadata=who)
    await set_cap(corridor, 8)
    found = await refusal(corridor.jobs.SubmitJobs(submit(job(nodes=2)), metadata=who))
    assert found.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    await set_cap(corridor, None)
    batch = submit(job(nodes=2), job(nodes=2))
    answer = await corridor.jobs.SubmitJobs(batch, metadata=who)
    assert [one.HasField("error") for one in answer.results] == [False, False]
    assert stored(corridor)["job"] == 3


async def create(corridor: Any, code: str, **change: Any) -> Any:
    """Make an enterprise of Wuhan; returns the call metadata of a member."""
    made = identity_service_pb2.Enterprise(
        enterprise=code, city="wuhan", display_name="新来", **change
    )
    request = identity_service_pb2.CreateEnterpriseRequest(enterprise=made)
    await corridor.identity.CreateEnterprise(request, metadata=corridor.operator())
    return corridor.member(code)


async def test_a_new_enterprise_submits_at_once(corridor: Any, submit: Any) -> None:
    await corridor.jobs.SubmitJobs(submit(), metadata=corridor.member(MINE))
    await corridor.jobs.SubmitJobs(submit(), metadata=await create(corridor, "newcomer"))
    assert corridor.submitted == [("ezhou", 1), ("wuhan", 1)]


async def test_a_blocked_enterprise_does_not_submit(
    corridor: Any, refusal: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    who = await create(corridor, "newcomer", blocked=True)
    found = await refusal(corridor.jobs.SubmitJobs(submit(), metadata=who))
    assert (found.code, found.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ENTERPRISE_BLOCKED",
    )
    assert "newcomer is blocked" in found.message
    assert "ask the admin of wuhan" in found.message
    assert stored(corridor) == nothing


class WatchedDesk(SubmissionDesk):
    """Tells when a judged submission is handed in."""

    def __init__(self) -> None:
        super().__init__()
        self.judged_by: list[Revision] = []
        self.handed_in = asyncio.Event()

    async def store(self, db: Database, submission: Submission) -> Outcome:
        self.judged_by.append(submission.revision)
        self.handed_in.set()
        return await super().store(db, submission)


@pytest.mark.parametrize(("cap_units", "accepted"), [(8, False), (16, True)])
async def test_a_judgement_by_old_settings_is_made_again(
    corridor: Any, job: Any, submit: Any, stored: Any, nothing: Any, hold: Any,
    cap_units: int, accepted: bool,
) -> None:  # fmt: skip
    """A cap is set between the moment a job is judged and the moment it is stored."""
    desk = WatchedDesk()
    context = replace(corridor.context, desk=desk)
    change = quotas.Change(OPERATOR, "", "a test", corridor.clock.ms, corridor.clock.ms)
    gate = hold()
    changed = corridor.db.write_future(
        lambda c: quotas.update_enterprise_quota(c, MINE, NPU, cap_units, change)
    )
    call = asyncio.create_task(
        submit_jobs(context, MEMBER, submit(job(nodes=2)), lambda city, count: None)
    )
    await desk.handed_in.wait()
    gate.open()
    if accepted:
        assert (await call).results[0].job_id
        assert desk.judged_by == sorted(set(desk.judged_by))
        assert len(desk.judged_by) == 2
        assert stored(corridor)["job"] == 1
    else:
        with pytest.raises(QuotaExceeded):
            await call
        assert len(desk.judged_by) == 1
        assert stored(corridor) == nothing
    changed.result()
