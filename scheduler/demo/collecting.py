"""What the public API says in the end: jobs, quotas, pools, and the ledger's own verification."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from corridor.v1 import center_service_pb2 as centers_pb
from corridor.v1 import job_pb2, quota_service_pb2
from corridor.v1 import job_service_pb2 as jobs_pb
from corridor.v1 import subsidy_service_pb2 as subsidies_pb

from scheduler.client import AsyncClient
from scheduler.demo.checks import Charged, Limits, Seen
from scheduler.demo.report import EndedJob
from scheduler.demo.workload import TRACE_LABEL
from scheduler.domain.ids import job_uid

_PAGE: Final = 1_000
_STATE: Final = len("JOB_STATE_")


@dataclass(frozen=True, slots=True)
class Said:
    """All jobs in three views, limits by (city, flavor), units by flavor, and the verification."""

    seen: list[Seen]
    charged: list[Charged]
    ended: list[EndedJob]
    limits: dict[tuple[str, str], Limits]
    capacities: dict[str, int]
    verified: subsidies_pb.VerifyLedgerResponse


async def collect(client: AsyncClient) -> Said:
    """Ask for everything, as an operator."""
    seen: list[Seen] = []
    charged: list[Charged] = []
    ended: list[EndedJob] = []
    async for job in _jobs(client):
        state = job_pb2.JobState.Name(job.state)[_STATE:]
        uid, number = job_uid(job.job_id), job.spec.labels.get(TRACE_LABEL, "")
        given = sum(line.amount_fen for line in job.charge.subsidies)
        seen.append(Seen(job.job_id, job.enterprise, number, state, job.settled))
        charged.append(Charged(uid, job.charge.gross_fen, given, job.charge.self_pay_fen))
        ended.append(EndedJob(uid, job.city, state, job.submit_time.ToMilliseconds()))
    centers = await client.centers.ListCenters(centers_pb.ListCentersRequest())
    return Said(
        seen,
        charged,
        ended,
        await _limits(client),
        {one.flavor: one.capacity_units for center in centers.centers for one in center.flavors},
        await client.subsidies.VerifyLedger(subsidies_pb.VerifyLedgerRequest()),
    )


async def _jobs(client: AsyncClient) -> AsyncIterator[job_pb2.Job]:
    request = jobs_pb.ListJobsRequest(page_size=_PAGE)
    while True:
        page = await client.jobs.ListJobs(request)
        for job in page.jobs:
            yield job
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def _limits(client: AsyncClient) -> dict[tuple[str, str], Limits]:
    request = quota_service_pb2.ListCityQuotasRequest(page_size=_PAGE)
    answer = await client.quotas.ListCityQuotas(request)
    return {
        (one.city, one.flavor): Limits(
            one.nominal_units,
            one.borrow_limit_units if one.HasField("borrow_limit_units") else None,
            one.lend_limit_units if one.HasField("lend_limit_units") else None,
        )
        for one in answer.quotas
    }
