"""A service from its start to its end: what it refuses to start on, and how it drains."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc

from adapters.contract import CenterAdapter, LogChunk, RunRef
from adapters.gate import Gate, GateSettings
from adapters.simulated import SimulatedCenter, SimulatedSettings
from scheduler import bootstrap
from scheduler.bootstrap import StopReason
from scheduler.client import AsyncClient
from scheduler.clock import WallClock
from scheduler.config import BadConfig
from scheduler.store import leader
from scheduler.store.lock import DataInUse
from scheduler.store.migrate import BadSchema

ENTERPRISE = "sample-wuhan-1"
FLAVOR = "wuhan-ai/ascend-910b"


def job(name: str, runtime_s: int = 10) -> job_pb2.JobSpec:
    spec = job_pb2.JobSpec(display_name=name, image="image", command=["run"])
    spec.options.add(flavor=FLAVOR, units_per_node=1)
    spec.wall_limit.seconds = runtime_s + 60
    spec.labels["corridor.simulated/runtime-s"] = str(runtime_s)
    return spec


async def submit(client: AsyncClient, *jobs: job_pb2.JobSpec, request_id: str = "one") -> list[str]:
    request = pb.SubmitJobsRequest(request_id=request_id, enterprise=ENTERPRISE, jobs=jobs)
    answer = await client.jobs.SubmitJobs(request)
    return [result.job_id for result in answer.results]


async def ended(client: AsyncClient, job_ids: list[str]) -> dict[str, job_pb2.Job]:
    """Watch until all jobs have ended; returns them by name."""
    request = pb.WatchJobsRequest(job_ids=job_ids, from_start=True, until_ended=True)
    async for _ in client.watch(request):
        pass
    answers = [await client.jobs.GetJob(pb.GetJobRequest(job_id=one)) for one in job_ids]
    return {answer.job.spec.display_name: answer.job for answer in answers}


# --- what a service does --------------------------------------------------------------------------


async def test_a_job_goes_its_whole_way(installed: Any, serve: Any) -> None:
    async with serve(installed) as (service, client):
        jobs = await ended(client, await submit(client, job("a"), job("b")))
        assert {one.state for one in jobs.values()} == {job_pb2.JOB_STATE_SUCCEEDED}
        assert service.context.simulated


async def test_runs_and_time_go_on_after_a_restart(installed: Any, serve: Any) -> None:
    async with serve(installed) as (service, client):
        ids = await submit(client, job("long", 1000))
        async for answer in client.watch(pb.WatchJobsRequest(job_ids=ids, from_start=True)):
            if any(event.state == job_pb2.JOB_STATE_RUNNING for event in answer.events):
                break
        before_ms = service.clock.now_ms()
    async with serve(installed) as (service, client):
        done = (await ended(client, ids))["long"]
        assert [run.attempt for run in done.runs] == [1]
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED
        assert service.clock.now_ms() >= before_ms
        # At ordinary speed again, time does not step back to that of the wall.
        ahead_ms = service.clock.now_ms()
    ordinary = installed.with_flags({"clock.speed": 1})
    async with serve(ordinary) as (service, _):
        assert not isinstance(service.clock, WallClock)
        assert service.clock.now_ms() > ahead_ms - 60_000_000


async def test_metrics_are_served(installed: Any, serve: Any) -> None:
    async with serve(installed) as (service, client):
        await ended(client, await submit(client, job("a")))
        host, port = service.metrics_address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
    assert 'corridor_jobs_submitted_total{city="wuhan"} 1.0' in text
    assert 'corridor_adapter_calls_total{center="wuhan-ai",method="submit"} 1.0' in text
    assert "corridor_leader 1.0" in text
    assert "process_resident_memory_bytes" in text


async def test_tls(installed: Any, serve: Any) -> None:
    tls = Path(__file__).parents[2] / "data/tls"
    secured = installed.with_flags(
        {"server.tls_cert": str(tls / "cert.pem"), "server.tls_key": str(tls / "key.pem")}
    )
    async with (
        serve(secured) as (service, _),
        AsyncClient(service.address, installed.token, tls_ca=tls / "cert.pem") as client,
    ):
        assert await submit(client, job("a"))


# --- what it does not start on --------------------------------------------------------------------


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:7443", "a.example:7443"])
async def test_plain_text_is_for_loopback_alone(installed: Any, listen: str) -> None:
    with pytest.raises(BadConfig, match=r"server\.tls_cert and server\.tls_key, or set server"):
        await bootstrap.start_service(installed.with_flags({"server.listen": listen}).settings)


async def test_insecure_says_that_plain_text_is_meant(installed: Any, serve: Any) -> None:
    plain = installed.with_flags({"server.listen": "0.0.0.0:0", "server.insecure": True})
    async with serve(plain) as (service, _):
        port = service.address.rpartition(":")[2]
        async with AsyncClient(f"127.0.0.1:{port}", installed.token) as client:
            assert await submit(client, job("a"))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"server.listen": "7443"}, "server.listen must be host:port"),
        ({"metrics.listen": "127.0.0.1:http"}, "metrics.listen must be host:port"),
        (
            {"server.tls_cert": "/none.pem", "server.tls_key": "/none.pem"},
            "server.tls_key: cannot read /none.pem",
        ),
    ],
)
async def test_wrong_settings_are_named(
    installed: Any, flags: dict[str, object], told: str
) -> None:
    with pytest.raises(BadConfig) as caught:
        await bootstrap.start_service(installed.with_flags(flags).settings)
    assert told in caught.value.message


async def test_a_taken_port_is_named_and_everything_is_let_go(installed: Any, serve: Any) -> None:
    async def nothing(_reader: Any, _writer: Any) -> None:
        return None

    other = await asyncio.start_server(nothing, "127.0.0.1", 0)
    async with other:
        taken = f"127.0.0.1:{other.sockets[0].getsockname()[1]}"
        for name in ("server.listen", "metrics.listen"):
            with pytest.raises(BadConfig, match=f"{name}: cannot listen on {taken}"):
                await bootstrap.start_service(installed.with_flags({name: taken}).settings)
    async with serve(installed) as (_, client):
        assert await submit(client, job("a"))


async def test_a_database_must_have_been_made(tmp_path: Path, installed: Any) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(BadSchema, match="run `corridor init` first"):
        await bootstrap.start_service(
            installed.with_flags({"store.data_dir": str(missing)}).settings
        )
    assert not missing.exists()


async def test_two_services_on_one_directory(installed: Any, serve: Any) -> None:
    async with serve(installed) as (_, client):
        with pytest.raises(DataInUse, match="is in use by another service"):
            await bootstrap.start_service(installed.settings)
        assert await submit(client, job("a"))  # the first goes on
    async with serve(installed) as (_, client):
        assert await submit(client, job("b"), request_id="two")


async def test_a_replaced_leader_stops_itself(installed: Any, serve: Any) -> None:
    async with serve(installed) as (service, client):
        await service.db.write(lambda c: leader.take_over(c, "another", service.clock.now_ms()))
        await submit(client, job("a"))  # its admission is the first write that is fenced
        assert await service.wait_stopped() is StopReason.FENCED


# --- how it drains --------------------------------------------------------------------------------


class SlowLogs(Gate):
    """A center whose logs come only when the test says so."""

    def __init__(self, inner: CenterAdapter) -> None:
        super().__init__(inner, GateSettings(), lambda: 0.0)
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.waiting = 0

    async def wait_for_change(self, timeout_s: float) -> bool:
        self.waiting += 1
        try:
            return await super().wait_for_change(timeout_s)
        finally:
            self.waiting -= 1

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        self.asked.set()
        await self.may_answer.wait()
        return await super().logs(run, offset, limit)


@pytest.fixture
def slow_logs(installed: Any) -> Callable[[WallClock], SlowLogs]:
    """Makes a center at Wuhan with slow logs."""
    flavors = [{"flavor": FLAVOR, "units": 8, "units_per_node": 8, "architecture": "aarch64"}]

    def make(clock: WallClock) -> SlowLogs:
        settings = SimulatedSettings.parse("wuhan-ai", {"flavors": flavors})
        return SlowLogs(SimulatedCenter(settings, clock.now_ms, clock.real_s))

    return make


async def test_drain_finishes_calls_under_way_and_ends_watches(
    installed: Any, serve: Any, slow_logs: Callable[[WallClock], SlowLogs]
) -> None:
    clock = WallClock()
    center = slow_logs(clock)
    async with serve(installed, clock=clock, adapters={"wuhan-ai": center}) as (service, client):
        ids = await submit(client, job("long", 3600))
        watch = client.jobs.WatchJobs(pb.WatchJobsRequest(job_ids=ids, from_start=True))
        async for answer in watch:
            if any(event.state == job_pb2.JOB_STATE_RUNNING for event in answer.events):
                break
        probe: Any = health_pb2_grpc.HealthStub(client.channel)
        health = probe.Watch(health_pb2.HealthCheckRequest(service="corridor.v1.JobService"))
        assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
        logs = asyncio.ensure_future(client.jobs.ReadJobLogs(pb.ReadJobLogsRequest(job_id=ids[0])))
        await center.asked.wait()

        stopping = asyncio.ensure_future(service.stop())
        assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in watch:
                pass
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "from the last resume token" in (caught.value.details() or "")
        assert not stopping.done()
        center.may_answer.set()
        assert (await logs).data
        await stopping
        assert center.waiting == 0  # a center is not asked any more once it is closed


async def test_drain_gives_up_on_calls_that_take_too_long(
    installed: Any, serve: Any, slow_logs: Callable[[WallClock], SlowLogs]
) -> None:
    clock = WallClock()
    center = slow_logs(clock)
    hasty = installed.with_flags({"server.drain_s": 0.05})
    async with serve(hasty, clock=clock, adapters={"wuhan-ai": center}) as (service, client):
        ids = await submit(client, job("long", 3600))
        async for answer in client.watch(pb.WatchJobsRequest(job_ids=ids, from_start=True)):
            if any(event.state == job_pb2.JOB_STATE_RUNNING for event in answer.events):
                break
        logs = asyncio.ensure_future(client.jobs.ReadJobLogs(pb.ReadJobLogsRequest(job_id=ids[0])))
        await center.asked.wait()
        await service.stop()
        assert not center.may_answer.is_set()
        logs.cancel()
    async with serve(installed) as (_, client):  # and lets go of everything all the same
        assert await submit(client, job("b"), request_id="two")
