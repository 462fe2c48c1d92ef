"""The center in the process of a test: faults and jobs are awaited, not asked for."""

import asyncio
import os
import select
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.modelarts_center.center import Center, running
from tests.modelarts_center.faults import Fault
from tests.modelarts_center.settings import DOMAIN, PASSWORD, PROJECT, REGION, USER, CenterSettings

pytestmark = pytest.mark.centers

JOBS = f"/v2/{PROJECT}/training-jobs"


@pytest.fixture
async def center(tmp_path: Path) -> AsyncIterator[Center]:
    """A center in this process."""
    async with running(CenterSettings(tmp_path / "center")) as center:
        yield center


@pytest.fixture
async def client(center: Center) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a token."""
    user = {"name": USER, "password": PASSWORD, "domain": {"name": DOMAIN}}
    identity = {"methods": ["password"], "password": {"user": user}}
    asked = {"auth": {"identity": identity, "scope": {"project": {"name": REGION}}}}
    async with httpx.AsyncClient(base_url=center.url, trust_env=False) as client:
        given = await client.post("/v3/auth/tokens", json=asked)
        client.headers["X-Auth-Token"] = given.headers["X-Subject-Token"]
        yield client


def body(name: str, command: str) -> dict[str, object]:
    """A job of one card."""
    resource = {"flavor_id": "modelarts.pool.visual.xlarge", "node_count": 1}
    return {
        "kind": "job",
        "metadata": {"name": name},
        "algorithm": {"command": command},
        "spec": {"resource": resource},
    }


async def test_a_held_answer_and_a_running_job(center: Center, client: httpx.AsyncClient) -> None:
    fault = center.faults.add(Fault("create", "hold"))
    answer = asyncio.create_task(client.post(JOBS, json=body("cor-1", "sleep 60")))
    await center.faults.fired(fault)
    job = await center.until_phase("cor-1", "Running")
    assert not answer.done()
    fault.released.set()
    assert (await answer).json()["metadata"]["id"] == job.id
    assert center.gateway.calls == {"token": 1, "create": 1}


async def test_nothing_runs_on_when_the_center_is_closed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    os.mkfifo(told)
    async with running(CenterSettings(tmp_path / "center")) as center:
        center.machine.create(
            body("cor-1", f"echo $$ >{told}; sleep 60"),
            {
                "name": "cor-1",
                "workspace_id": "0",
                "pool": center.settings.pools[0].name,
                "cards": 1,
                "node_count": 1,
                "priority": 1,
                "preemptible": False,
                "retries_left": 0,
                "auto_stop_h": 0,
            },
        )
        pidfd = os.pidfd_open(int(await asyncio.to_thread(told.read_text)))
    ended, _, _ = await asyncio.to_thread(select.select, [pidfd], [], [], 30)
    os.close(pidfd)
    assert ended == [pidfd]


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.0\r\nHost: a",
        "GET /",
        "GET / HTTP/1.1",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1",
        "GET / HTTP/1.1\r\nHost : a",
    ],
)
async def test_what_is_no_request_ends_the_connection(center: Center, head: str) -> None:
    host, _, port = center.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{head}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_a_failure_of_the_center_itself_is_answered(
    center: Center, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    given = await client.post(f"/v2/{PROJECT}/training-job-searches", json={"filters": 3})
    assert (given.status_code, given.json()["error_code"]) == (500, "ModelArts.0010")
    assert "training-job-searches" in caplog.text
