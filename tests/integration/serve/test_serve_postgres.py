"""A service on PostgreSQL: made by the command, jobs go their whole way, books are in order."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from corridor.v1 import job_pb2, subsidy_service_pb2
from corridor.v1 import job_service_pb2 as pb
from sqlalchemy import make_url
from typer.testing import CliRunner

from scheduler.cli.main import app
from scheduler.client import AsyncClient
from scheduler.config import load_settings
from scheduler.store import guards
from tests.postgres import Postgres

ENTERPRISE = "sample-wuhan-1"
TIMEOUT_S = 60


def init(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["init", "--json", *arguments])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


@pytest.fixture
def made(postgres: Postgres, template: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A database that ``corridor init`` filled, told of by the environment; used by the role that
    may not change the ledger."""
    monkeypatch.delenv("CORRIDOR_CONFIG", raising=False)
    url = postgres.url(postgres.create())
    monkeypatch.setenv("CORRIDOR_STORE_URL", url)
    first = init("--data-dir", str(tmp_path / "data"))
    assert first["loaded"]["cities"] == 5
    again = init("--data-dir", str(tmp_path / "data"))
    assert (again["loaded"], again["token"]) == ({}, "")
    as_service = make_url(url).update_query_dict({"options": f"-c role={guards.SERVICE_ROLE}"})
    given = template.with_flags(
        {
            "store.data_dir": str(tmp_path / "data"),
            "store.url": as_service.render_as_string(hide_password=False),
        }
    )
    return type(given)(given.settings, first["token"])


def job(number: int) -> job_pb2.JobSpec:
    spec = job_pb2.JobSpec(display_name=f"{number}", image="image", command=["run"])
    spec.options.add(flavor="wuhan-ai/ascend-910b", units_per_node=1)
    spec.wall_limit.seconds = 600
    spec.labels["corridor.simulated/runtime-s"] = "60"
    return spec


async def submit(client: AsyncClient, count: int, request_id: str) -> list[str]:
    jobs = [job(number) for number in range(count)]
    request = pb.SubmitJobsRequest(request_id=request_id, enterprise=ENTERPRISE, jobs=jobs)
    answer = await client.jobs.SubmitJobs(request)
    return [result.job_id for result in answer.results]


async def test_jobs_go_their_whole_way_and_are_charged_once(made: Any, serve: Any) -> None:
    async with serve(made) as (service, client):
        assert service.db.engine.dialect.name == "postgresql"
        ids = await submit(client, 20, "one")
        assert await submit(client, 20, "one") == ids, "the same request, the same jobs"
        request = pb.WatchJobsRequest(job_ids=ids, from_start=True, until_ended=True)
        async for _ in client.watch(request):
            pass
        page = await client.jobs.ListJobs(pb.ListJobsRequest(page_size=50))
        assert sorted(one.job_id for one in page.jobs) == sorted(ids)
        assert {one.state for one in page.jobs} == {job_pb2.JOB_STATE_SUCCEEDED}
        assert all(one.charge.gross_fen for one in page.jobs)
        found = await client.subsidies.VerifyLedger(subsidy_service_pb2.VerifyLedgerRequest())
        assert (found.problems, found.run_count) == ([], 20)
    async with serve(made) as (service, client):
        page = await client.jobs.ListJobs(pb.ListJobsRequest(page_size=50))
        assert len(page.jobs) == 20


async def test_what_is_due_is_done_on_every_tick(made: Any, serve: Any) -> None:
    """First jobs whose deadline has passed, then money and budgets: none of it may fail."""
    async with serve(made) as (service, client):
        late = job(1)
        late.held = True
        late.queue_deadline.FromMilliseconds(service.clock.now_ms() + 3_600_000)
        request = pb.SubmitJobsRequest(request_id="late", enterprise=ENTERPRISE, jobs=[late])
        [result] = (await client.jobs.SubmitJobs(request)).results
        wanted = pb.WatchJobsRequest(job_ids=[result.job_id], from_start=True, until_ended=True)
        async with asyncio.timeout(TIMEOUT_S):
            async for _ in client.watch(wanted):
                pass
        found = (await client.jobs.GetJob(pb.GetJobRequest(job_id=result.job_id))).job
        assert found.state == job_pb2.JOB_STATE_EXPIRED
        assert service.metrics.registry.get_sample_value("corridor_loop_errors_total") == 0


def test_a_server_that_is_away_is_told_in_a_line(tmp_path: Path) -> None:
    settings = load_settings(None, {}, {"store.url": f"postgresql://a@/b?host={tmp_path}"})
    done = CliRunner().invoke(
        app, ["init", "--database", settings.store.url, "--data-dir", str(tmp_path / "data")]
    )
    assert done.exit_code == 1
    assert "cannot be read" in done.output
