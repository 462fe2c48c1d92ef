"""Traces of jobs over a whole service, as a real collector receives them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.bootstrap import Service
from scheduler.client import AsyncClient
from scheduler.domain.job_spans import SPANS
from scheduler.domain.traces import FOLLOWED_MAX
from tests.collector import Collector, Kept, collecting

ENTERPRISE = "sample-wuhan-1"
SUBMIT = "corridor.v1.JobService/SubmitJobs"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{CALLER}-01"
#: The whole way of a job that needs one run.
WAY = {"job", "queue", "run", "dispatch", "center.submit", "center.queue", "execute", "settle"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def job(runtime_s: int = 10, **labels: str) -> job_pb2.JobSpec:
    spec = job_pb2.JobSpec(display_name="traced", image="image", command=["run"])
    spec.options.add(flavor="wuhan-ai/ascend-910b", units_per_node=1)
    spec.wall_limit.seconds = runtime_s + 60
    spec.labels["corridor.simulated/runtime-s"] = str(runtime_s)
    return spec


async def submit(
    client: AsyncClient, *jobs: job_pb2.JobSpec, parent: str | None = PARENT, key: str = "one"
) -> list[str]:
    request = pb.SubmitJobsRequest(request_id=key, enterprise=ENTERPRISE, jobs=jobs)
    said = () if parent is None else (("traceparent", parent),)
    answer = await client.jobs.SubmitJobs(request, metadata=said)
    return [result.job_id for result in answer.results]


async def until(client: AsyncClient, ids: list[str], state: int) -> None:
    left = set(ids)
    request = pb.WatchJobsRequest(job_ids=ids, from_start=True)
    async for answer in client.watch(request):
        left -= {event.job_id for event in answer.events if event.state == state}
        if not left:
            return


def traced(installed: Any, collector: Collector, **flags: object) -> Any:
    return installed.with_flags(
        {"tracing.endpoint": collector.address, "tracing.ratio": 0.0, **flags}
    )


def whole(*ids: str) -> Callable[[list[Kept]], bool]:
    """Whether all is told of jobs."""

    def enough(spans: list[Kept]) -> bool:
        return all({one.name for one in of_job(spans, name)} >= WAY for name in ids)

    return enough


def of_job(spans: list[Kept], job_id: str) -> list[Kept]:
    return [span for span in spans if span.said.get("corridor.job") == job_id]


def one(spans: list[Kept], name: str) -> Kept:
    [found] = [span for span in spans if span.name == name]
    return found


async def wait_for(collector: Collector, enough: Callable[[list[Kept]], bool]) -> list[Kept]:
    return await asyncio.to_thread(collector.until, enough)


def check_tree(spans: list[Kept], job_id: str) -> None:
    """One trace, and each span under the one it is a part of."""
    mine = of_job(spans, job_id)
    assert {span.trace_id for span in mine} == {TRACE}
    call = one(spans, SUBMIT)
    assert (call.trace_id, call.parent_id) == (TRACE, CALLER)
    tops = {name: one(mine, name) for name in ("job", "run", "dispatch")}
    under = {
        "job": call.span_id, "queue": tops["job"].span_id, "run": tops["job"].span_id,
        "center.submit": tops["dispatch"].span_id,
        **dict.fromkeys(("dispatch", "center.queue", "execute", "settle"), tops["run"].span_id),
    }  # fmt: skip
    assert {span.name: span.parent_id for span in mine} == under
    for span in mine:
        assert span.start_ns <= span.end_ns
        assert set(span.said) <= set(SPANS[span.name])
        if span.name not in ("job", "queue"):
            assert span.said["corridor.run"] == f"{job_id}.1"


async def test_one_trace_tells_a_jobs_way(installed: Any, serve: Any, collector: Collector) -> None:
    async with serve(traced(installed, collector)) as (_, client):
        [job_id, other] = await submit(client, job(), job())
        await submit(client, job(), parent=None, key="two")
        spans = await wait_for(collector, whole(job_id, other))
        check_tree(spans, job_id)
        mine = of_job(spans, job_id)
        assert one(mine, "job").said["corridor.state"] == "SUCCEEDED"
        assert one(mine, "run").said["corridor.center"] == "wuhan-ai"
        call = one(spans, SUBMIT)
        assert call.said["corridor.jobs"] == call.said["corridor.jobs_followed"] == 2
        assert (call.said["corridor.enterprise"], call.said["corridor.city"]) == (
            ENTERPRISE, "wuhan",
        )  # fmt: skip
        assert call.said["rpc.grpc.status_code"] == "OK"
        assert call.resource["service.name"] == "corridor"
        # What nobody records is not told of: neither the other call nor any other call of ours.
        assert {span.trace_id for span in spans if span.name.startswith("corridor.")} == {TRACE}


async def test_batches_are_traces_of_their_own_that_are_linked(
    installed: Any, serve: Any, collector: Collector
) -> None:
    async with serve(traced(installed, collector)) as (_, client):
        ids = await submit(client, *(job() for _ in range(3)))
        spans = await wait_for(collector, whole(*ids))
    batches = [span for span in spans if span.name in ("plan", "admit", "ingest")]
    assert {span.name for span in batches} == {"plan", "admit", "ingest"}
    assert TRACE not in {span.trace_id for span in batches}
    by_key = {span.key: span for span in batches}
    jobs = {one(of_job(spans, name), "job").key for name in ids}
    for span in batches:
        assert set(span.links) <= jobs
        assert set(span.said) <= set(SPANS[span.name])
        if span.name == "admit":
            assert by_key[span.trace_id, span.parent_id].name == "plan"
    for name in ids:
        queue, settle = (one(of_job(spans, name), part) for part in ("queue", "settle"))
        assert [by_key[link].name for link in queue.links] == ["plan", "admit"]
        assert [by_key[link].name for link in settle.links] == ["ingest"]
        for link in (*queue.links, *settle.links):
            assert one(of_job(spans, name), "job").key in by_key[link].links


async def test_a_trace_goes_on_after_a_restart(
    installed: Any, serve: Any, collector: Collector
) -> None:
    under = traced(installed, collector)
    async with serve(under) as (_, client):
        [job_id] = await submit(client, job(1000))
        await until(client, [job_id], job_pb2.JOB_STATE_RUNNING)
    async with serve(under) as (service, client):
        spans = await wait_for(collector, whole(job_id))
        check_tree(list({span.key: span for span in spans}.values()), job_id)
        await forgotten(service)


async def forgotten(service: Service) -> None:
    """Wait until no job is followed any more."""

    async def none() -> bool:
        count = await service.db.read(
            lambda c: c.exec_driver_sql("SELECT count(*) FROM job_trace").scalar_one()
        )
        return not count

    await until_true(none)


async def until_true(check: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await check():
            return
        await asyncio.sleep(0.05)


async def test_a_large_call_is_followed_in_part(
    installed: Any, serve: Any, collector: Collector
) -> None:
    async with serve(traced(installed, collector)) as (service, client):
        array = job()
        array.array.size = 100
        await submit(client, *(job() for _ in range(20)), array)
        rows = await service.db.read(
            lambda c: c.exec_driver_sql(
                "SELECT count(*), count(DISTINCT trace_id), count(DISTINCT span_id) FROM job_trace"
            ).one()
        )
        assert tuple(rows) == (FOLLOWED_MAX, 1, 1)
        spans = await wait_for(
            collector, lambda all_: sum(span.name == "settle" for span in all_) >= FOLLOWED_MAX - 1
        )
        elements = [span for span in spans if "corridor.index" in span.said]
        assert {span.said["corridor.index"] for span in elements} <= set(range(FOLLOWED_MAX))


@pytest.mark.parametrize(
    "parent",
    [None, "nonsense", f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00", PARENT + "-more"],
)
async def test_what_is_not_recorded_leaves_nothing(
    installed: Any, serve: Any, collector: Collector, parent: str | None
) -> None:
    async with serve(traced(installed, collector)) as (service, client):
        await submit(client, job(), parent=parent)
        await submit(client, job(), key="told")
        followed = await service.db.read(
            lambda c: c.exec_driver_sql("SELECT trace_id FROM job_trace").scalars().all()
        )
        assert followed == [TRACE]


async def test_a_part_of_all_calls_is_recorded(
    installed: Any, serve: Any, collector: Collector
) -> None:
    async with serve(traced(installed, collector, **{"tracing.ratio": 1.0})) as (_, client):
        [job_id] = await submit(client, job(), parent=None)
        spans = await wait_for(collector, whole(job_id))
        call = one(spans, SUBMIT)
        assert call.parent_id == ""
        assert one(of_job(spans, job_id), "job").trace_id == call.trace_id


async def test_a_collector_that_is_slow_or_away_holds_up_nothing(
    installed: Any, serve: Any, collector: Collector
) -> None:
    collector.open.clear()
    flags = {"tracing.queue_max": 4, "tracing.timeout_s": 0.5}
    async with serve(traced(installed, collector, **flags)) as (service, client):
        ids = await submit(client, *(job() for _ in range(5)))
        await until(client, ids, job_pb2.JOB_STATE_SUCCEEDED)
        value = service.metrics.registry.get_sample_value

        async def counted() -> bool:
            labels = ({"outcome": outcome} for outcome in ("dropped", "failed"))
            return all(value("corridor_trace_spans_total", one) for one in labels)

        await until_true(counted)
        await forgotten(service)
        assert collector.spans == []


async def test_headers_of_a_file_go_with_what_is_sent(
    installed: Any, serve: Any, collector: Collector, tmp_path: Path
) -> None:
    secret = tmp_path / "headers"
    secret.write_text("authorization: Basic c2VjcmV0\n\nx-tenant: wuhan\n")
    under = traced(installed, collector, **{"tracing.headers_file": str(secret)})
    async with serve(under) as (_, client):
        await submit(client, job())
        await wait_for(collector, lambda spans: any(span.name == SUBMIT for span in spans))
    said = collector.metadata[0]
    assert (said["authorization"], said["x-tenant"]) == ("Basic c2VjcmV0", "wuhan")


async def test_a_command_goes_on_in_the_trace_of_its_environment(
    installed: Any, serve: Any, collector: Collector
) -> None:
    async with serve(traced(installed, collector)) as (service, _):
        for parent in ("nonsense", PARENT):
            told = {"TRACEPARENT": parent, "CORRIDOR_TOKEN": installed.token}
            command = await asyncio.create_subprocess_exec(
                Path(sys.executable).with_name("corridor"), "jobs", "--server", service.address,
                env={**os.environ, **told}, stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            assert await command.wait() == 0
        spans = await wait_for(collector, lambda spans: any("ListJobs" in s.name for s in spans))
    [listed] = [span for span in spans if span.name.endswith("/ListJobs")]
    assert (listed.trace_id, listed.parent_id) == (TRACE, CALLER)


_OFF = """
import asyncio, json, sys
from scheduler import bootstrap
from scheduler.config import load_settings

async def main() -> None:
    service = await bootstrap.start_service(load_settings(None, {}, json.loads(sys.argv[1])))
    await service.stop(drain=False)
    print(json.dumps(sorted(name for name in sys.modules if name.startswith("opentelemetry"))))

asyncio.run(main())
"""


@pytest.mark.parametrize("on", [False, True])
def test_what_sends_traces_is_imported_only_where_they_are_sent(
    installed: Any, collector: Collector, on: bool
) -> None:
    under = traced(installed, collector) if on else installed
    flags = {name: value for name, value, origin in under.settings.rows() if origin == "flag"}
    done = subprocess.run(
        [sys.executable, "-c", _OFF, json.dumps(flags)], capture_output=True, text=True, check=True
    )
    assert bool(json.loads(done.stdout.splitlines()[-1])) is on
