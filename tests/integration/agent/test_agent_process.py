"""``corridor agent`` put together: what it refuses, and a service that works through it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from adapters.agent.journal import Journal
from adapters.errors import Throttled
from adapters.gate import Gate
from adapters.simulated import accepted_names
from scheduler import bootstrap
from scheduler.agent.process import AgentOptions, opened
from scheduler.client import AsyncClient
from scheduler.config import load_settings
from scheduler.domain.principal import Principal, Role
from scheduler.errors import CorridorError
from scheduler.services import identity
from scheduler.store import seed
from tests.authority import Authority
from tests.integration.agent.test_agent_certificates import TLS

CENTER, FLAVOR = "wuhan-sc", "wuhan-sc/kunpeng-920"
PATIENCE_S = 30.0


@pytest.fixture
def options(tmp_path: Path) -> AgentOptions:
    """An agent of a simulated center, which has nothing to dial yet."""
    centers = yaml.safe_load((seed.DATA / "centers.yaml").read_text("utf-8"))["centers"]
    (mine,) = [one for one in centers if one["center"] == CENTER]
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"centers": [{**mine, "settings": {"settle_s": 0.1}}]}))
    return AgentOptions(CENTER, file, ("127.0.0.1:1",), tmp_path / "token", tmp_path / "agent")


async def refused(options: AgentOptions) -> str:
    with pytest.raises(CorridorError) as caught:
        async with opened(options):
            raise AssertionError("it was opened")
    return caught.value.message


async def test_wrong_options_are_told(options: AgentOptions, tmp_path: Path) -> None:
    said = await refused(replace(options, servers=("somewhere:port",)))
    assert said == "--server: 'somewhere:port' is not an address; give HOST or HOST:PORT"
    said = await refused(replace(options, center="nowhere"))
    assert said.endswith("own.yaml has no nowhere, but wuhan-sc")
    assert "cannot be read" in await refused(replace(options, centers_file=tmp_path / "none.yaml"))


async def test_the_services_own_file_is_not_the_agents(options: AgentOptions) -> None:
    centers = yaml.safe_load(options.centers_file.read_text())
    centers["centers"][0].update(kind="agent", settings={})
    options.centers_file.write_text(yaml.safe_dump(centers))
    assert "the agent's file has the kind of the center itself" in await refused(options)


async def test_wrong_settings_of_the_center_are_told(options: AgentOptions) -> None:
    centers = yaml.safe_load(options.centers_file.read_text())
    centers["centers"][0]["settings"] = {"settle": 1}
    options.centers_file.write_text(yaml.safe_dump(centers))
    assert "the settings of wuhan-sc cannot be used" in await refused(options)


async def test_what_is_the_services_business_is_left_to_it(options: AgentOptions) -> None:
    centers = yaml.safe_load(options.centers_file.read_text())
    centers["centers"][0]["settings"] |= {"queue": {"units": 10}, "gate": {"calls_per_s": 5}}
    options.centers_file.write_text(yaml.safe_dump(centers))
    async with opened(options) as agent:
        gate = agent.agent.adapter
        assert isinstance(gate, Gate)
        await gate.describe()
        with pytest.raises(Throttled):  # the center's own limit is kept where it is called
            await gate.describe()


async def test_a_second_agent_on_one_journal_is_refused(options: AgentOptions) -> None:
    journal = Journal(options.state_dir / f"{CENTER}.agent.db", CENTER)
    assert "is in use by another agent" in await refused(options)
    await journal.close()


@contextlib.asynccontextmanager
async def served(tmp_path: Path, **more: str) -> AsyncIterator[tuple[Any, AsyncClient]]:
    """A whole service that reaches one of its centers through an agent."""
    data = tmp_path / "data"
    data.mkdir()
    for path in seed.DATA.glob("*.yaml"):
        (data / path.name).write_bytes(path.read_bytes())
    centers = yaml.safe_load((data / "centers.yaml").read_text("utf-8"))
    (mine,) = [one for one in centers["centers"] if one["center"] == CENTER]
    mine.update(kind="agent", simulated=True, settings={"heartbeat_s": 1})
    (data / "centers.yaml").write_text(yaml.safe_dump(centers), "utf-8")
    flags = {
        "store.data_dir": str(tmp_path / "state"), "server.listen": "127.0.0.1:0",
        "metrics.listen": "", "planner.ray": "off", "loop.tick_s": 0.05, "loop.follow_s": 0.1,
        **{f"server.{name}": value for name, value in more.items()},
    }  # fmt: skip
    settings = load_settings(None, {}, flags)
    token = bootstrap.initialize(settings, data=data).token
    service = await bootstrap.start_service(settings)
    try:
        port = service.address.rpartition(":")[2]
        ca = more.get("tls_cert")
        async with AsyncClient(f"localhost:{port}", token, tls_ca=ca) as client:
            yield service, client
    finally:
        await service.stop(drain=False)


async def give_token(service: Any, options: AgentOptions) -> None:
    """Make the agent's token, and put it where the agent looks for it."""
    root = Principal("test", Role.OPERATOR, None, None, None, "", 1 << 60)
    _, secret = await identity.create_token(
        service.context, root, subject="agent", role=Role.AGENT, center=CENTER,
        expire_ms=service.context.wall_ms() + 3_600_000,
    )  # fmt: skip
    options.token_file.write_text(secret)


async def test_a_service_takes_agents_by_certificate(options: AgentOptions, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    cert, key = authority.pair(CENTER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = {
        "tls_cert": str(TLS / "cert.pem"), "tls_key": str(TLS / "key.pem"),
        "agents_listen": f"127.0.0.1:{port}", "agents_ca": str(tmp_path / "ca.pem"),
    }  # fmt: skip
    async with served(tmp_path, **flags) as (service, _):
        await give_token(service, options)
        mine = replace(
            options, servers=(f"localhost:{port}",), tls_ca=TLS / "cert.pem", tls_cert=cert,
            tls_key=key,
        )  # fmt: skip
        asked = asyncio.Event()
        async with opened(mine) as agent, asyncio.timeout(PATIENCE_S):
            working = asyncio.create_task(agent.run(asked))
            await agent.link.connected.wait()
            asked.set()
            await working


async def test_a_service_works_through_an_agent(options: AgentOptions, tmp_path: Path) -> None:
    async with served(tmp_path) as (service, client):
        await give_token(service, options)
        asked = asyncio.Event()
        async with opened(replace(options, servers=(service.address,))) as agent:
            working = asyncio.create_task(agent.run(asked))
            async with asyncio.timeout(PATIENCE_S):
                await agent.link.connected.wait()
                job = job_pb2.JobSpec(display_name="one", image="image", command=["run"])
                job.options.add(flavor=FLAVOR, units_per_node=1)
                job.wall_limit.seconds = 60
                job.labels["corridor.simulated/runtime-s"] = "0.1"
                request = pb.SubmitJobsRequest(
                    request_id="one", enterprise="sample-wuhan-1", jobs=[job]
                )
                job_id = (await client.jobs.SubmitJobs(request)).results[0].job_id
                watch = pb.WatchJobsRequest(job_ids=[job_id], until_ended=True)
                async for _ in client.watch(watch):
                    pass
            answer = await client.jobs.GetJob(pb.GetJobRequest(job_id=job_id))
            assert answer.job.state == job_pb2.JOB_STATE_SUCCEEDED
            gauge = service.metrics.registry.get_sample_value
            assert gauge("corridor_agent_connected", {"center": CENTER}) == 1
            assert gauge("corridor_agent_sessions_total", {"center": CENTER}) == 1
            assert (gauge("corridor_agent_reports_total", {"center": CENTER}) or 0) > 0
            asked.set()
            await working
        assert accepted_names(options.state_dir / f"{CENTER}.journal").total() == 1
        async with asyncio.timeout(PATIENCE_S):
            while gauge("corridor_agent_connected", {"center": CENTER}) == 1:
                await service.adapters[CENTER].wait_for_change(0.05)
