"""Parts of a Ray cluster are lost under a running service: jobs go on, and planning comes back.

What is waited for is that the planner is in process, and on Ray again; how long that takes is
measured by ``python -m benchmarks ray``.
"""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scheduler import bootstrap
from scheduler.bootstrap import Service
from scheduler.client import AsyncClient
from scheduler.config import load_settings
from tests.e2e.test_ray_faults import planner_is, run_jobs
from tests.ray_nodes import Cluster, running

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """A head and a worker, for all tests here."""
    with running(workers=1) as one:
        yield one


@pytest.fixture
def cluster(nodes: Cluster) -> Cluster:
    """They are all there."""
    nodes.restore()
    return nodes


@asynccontextmanager
async def serving(
    tmp_path: Path, cluster: Cluster, token: Path
) -> AsyncIterator[tuple[Service, AsyncClient]]:
    """A service that plans on the cluster as soon as it can."""
    flags = {
        "server.listen": "127.0.0.1:0",
        "metrics.listen": "",
        "store.data_dir": str(tmp_path / "data"),
        "clock.speed": 1000,
        "loop.tick_s": 0.1,
        "loop.follow_s": 0.1,
        "planner.ray_address": cluster.address,
        "planner.ray_token_file": str(token),
    }
    settings = load_settings(None, {}, flags)
    own = bootstrap.initialize(settings).token
    service = await bootstrap.start_service(settings)
    try:
        async with AsyncClient(service.address, own) as client:
            yield service, client
    finally:
        await service.stop()


def kill_actor(cluster: Cluster) -> None:
    (root,) = [pid for node in cluster.nodes for pid in node.actors("RootActor")]
    os.kill(root, signal.SIGKILL)


def kill_worker(cluster: Cluster) -> None:
    cluster.nodes[1].kill()


def cut_worker(cluster: Cluster) -> None:
    cluster.nodes[1].cut()


def kill_head(cluster: Cluster) -> None:
    cluster.nodes[0].kill()


@pytest.mark.parametrize("fault", [kill_actor, kill_worker, cut_worker, kill_head])
async def test_jobs_go_on_and_planning_comes_back(
    tmp_path: Path, cluster: Cluster, fault: Any
) -> None:
    async with serving(tmp_path, cluster, cluster.token) as (service, client):
        await planner_is(service, lambda backend: backend == "ray")
        await run_jobs(client, "on the cluster")
        fault(cluster)
        await planner_is(service, lambda backend: backend == "local")
        await run_jobs(client, "while it is away")
        if fault is kill_head:
            cluster.restore()  # at the address at which it was
        await planner_is(service, lambda backend: backend == "ray")
        await run_jobs(client, "on the cluster again")


async def test_a_wrong_token_is_borne_until_it_is_put_right(
    tmp_path: Path, cluster: Cluster
) -> None:
    token = tmp_path / "token"
    token.write_text("0" * 64)
    async with serving(tmp_path, cluster, token) as (service, client):
        await run_jobs(client, "without the cluster")
        assert service.loop.planner.backend_name == "local"
        token.write_text(cluster.token.read_text())
        await planner_is(service, lambda backend: backend == "ray")
        await run_jobs(client, "on the cluster")
