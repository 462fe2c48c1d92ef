"""Ray is killed under a running service: jobs go on, and planning comes back to Ray by itself."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler import bootstrap
from scheduler.bootstrap import Service
from scheduler.client import AsyncClient
from scheduler.config import load_settings
from scheduler.settings import Settings

#: Far above what anything here takes; only a defect is waited for so long.
PATIENCE_S = 180.0


@pytest.fixture
def installed(tmp_path: Path) -> tuple[Settings, str]:
    flags = {
        "server.listen": "127.0.0.1:0",
        "metrics.listen": "",
        "store.data_dir": str(tmp_path),
        "clock.speed": 1000,
        "loop.tick_s": 0.1,
        "loop.follow_s": 0.1,
    }
    settings = load_settings(None, {}, flags)
    return settings, bootstrap.initialize(settings).token


async def run_jobs(client: AsyncClient, request_id: str) -> None:
    """Submit jobs and watch them to their end."""
    spec = job_pb2.JobSpec(display_name="a", image="image", command=["run"])
    spec.options.add(flavor="wuhan-ai/ascend-910b", units_per_node=1)
    spec.wall_limit.seconds = 60
    request = pb.SubmitJobsRequest(
        request_id=request_id, enterprise="sample-wuhan-1", jobs=[spec] * 10
    )
    ids = [result.job_id for result in (await client.jobs.SubmitJobs(request)).results]
    watch = pb.WatchJobsRequest(job_ids=ids, from_start=True, until_ended=True)
    async with asyncio.timeout(PATIENCE_S):
        async for _ in client.watch(watch):
            pass
    jobs = [(await client.jobs.GetJob(pb.GetJobRequest(job_id=one))).job for one in ids]
    assert {job.state for job in jobs} == {job_pb2.JOB_STATE_SUCCEEDED}


async def planner_is(service: Service, wanted: Callable[[str], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if wanted(service.loop.planner.backend_name):
                return
            await asyncio.sleep(0.02)


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """Each process below ``pid`` with its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended meanwhile
            continue
        if parent == pid:
            yield int(folder.name), command
            yield from descendants(int(folder.name))


def members(session: int) -> list[str]:
    """Command lines of all processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended meanwhile
            continue
    return [command for command in found if command]  # not those that nobody has waited for yet


def kill(name: str) -> None:
    """Kill the process of ours that has ``name`` in its command line."""
    found = [pid for pid, command in descendants(os.getpid()) if name in command]
    assert len(found) == 1, f"{len(found)} processes of ours are called {name}"
    os.kill(found[0], signal.SIGKILL)


async def survives(installed: tuple[Settings, str], name: str) -> None:
    """Kill one process of Ray; jobs are taken and placed before, meanwhile and after."""
    settings, token = installed
    service = await bootstrap.start_service(settings)
    try:
        async with AsyncClient(service.address, token) as client:
            await planner_is(service, lambda backend: backend == "ray")
            await run_jobs(client, "on Ray")
            old: Any = service.loop.planner._backend
            kill(name)
            await run_jobs(client, "while Ray is away")
            await planner_is(
                service,
                lambda backend: backend == "ray" and service.loop.planner._backend is not old,
            )
            await run_jobs(client, "on Ray again")
    finally:
        await service.stop()
    assert [command for _, command in descendants(os.getpid()) if "ray" in command] == []


@pytest.mark.ray
async def test_its_driver_is_killed(installed: tuple[Settings, str]) -> None:
    await survives(installed, "scheduler.control.ray_planner")


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ray::RootActor", "raylet/raylet ", "gcs/gcs_server "])
async def test_a_part_of_it_is_killed(installed: tuple[Settings, str], name: str) -> None:
    # Without its GCS the driver goes on for a minute, and then ends itself.
    await survives(installed, name)


@pytest.mark.ray
async def test_it_is_away_at_the_start(installed: tuple[Settings, str]) -> None:
    settings, token = installed
    known = {name: value for name, value, origin in settings.rows() if origin == "flag"}
    nowhere = load_settings(None, {}, {**known, "planner.ray_address": "127.0.0.1:1"})
    service = await bootstrap.start_service(nowhere)
    try:
        async with AsyncClient(service.address, token) as client:
            await run_jobs(client, "without Ray")
            assert service.loop.planner.backend_name == "local"
    finally:
        await service.stop()


@pytest.mark.ray
@pytest.mark.slow
def test_nothing_of_it_outlives_a_service_that_is_killed(installed: tuple[Settings, str]) -> None:
    data_dir = installed[0].store.data_dir
    arguments = ["serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0", "--metrics", ""]
    service = subprocess.Popen(
        [sys.executable, "-c", "from scheduler.cli.main import main; main()", *arguments],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert service.stderr is not None
    with service.stderr:
        assert any('"planner_moved"' in line for line in service.stderr)
        session = next(pid for pid, name in descendants(service.pid) if "ray_planner" in name)
        assert any("raylet/raylet" in command for command in members(session))
        service.kill()
        service.wait()
    end_s = time.monotonic() + PATIENCE_S
    while members(session):
        assert time.monotonic() < end_s, members(session)
        time.sleep(0.02)
