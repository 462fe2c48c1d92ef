"""A planner on a Ray cluster of several nodes: the same plans, on every node, under its token."""

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import workload
from scheduler.control.planner import PlannerAway
from scheduler.control.ray_link import RayPlanner
from scheduler.control.settings import LoopSettings
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import CORRIDOR
from tests.integration.test_planner_on_ray import NOW_MS, Days
from tests.ray_nodes import Cluster, members, running

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SHARDS = 3
CYCLES = 40


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head alone; tests add workers."""
    with running(workers=0) as one:
        yield one


def settings_for(cluster: Cluster) -> LoopSettings:
    return LoopSettings(
        shards=SHARDS,
        ray_address=cluster.address,
        ray_token_file=str(cluster.token),
        ray_namespace="corridor-test",
        ray_silence_s=60,
    )


async def digest(planner: RayPlanner | None) -> str:
    """Digest of all plans over a course of events, of a planner on Ray or of one in process."""
    days, core, found = Days(1), PlanningCore(CORRIDOR), hashlib.sha256()
    begin = [*workload.rules(), *days.jobs(2_000, NOW_MS)]
    core.load(0, begin, NOW_MS)
    if planner is not None:
        await planner.load(0, begin, NOW_MS)
    now_ms, deltas = NOW_MS, list[object]()
    for revision in range(CYCLES):
        now_ms += 1_000
        given = (revision, deltas, revision + 1, now_ms)
        plan = core.cycle(*given) if planner is None else await planner.cycle(*given)  # type: ignore[arg-type]
        found.update(repr(plan).encode())
        days.running += [start.uid for start in plan.starts]
        deltas = list(days.happenings(now_ms))
    assert days.running
    return found.hexdigest()


async def spread_over(cluster: Cluster, nodes: int) -> None:
    """Wait until all shards are seen, on so many nodes."""
    async with asyncio.timeout(180):  # Ray writes their names when it gets to it
        while True:
            found = [len(node.actors("ShardActor")) for node in cluster.nodes]
            if sum(found) == SHARDS and sum(map(bool, found)) == nodes:
                return
            await asyncio.sleep(0.05)


async def test_plans_are_the_same_on_one_two_and_three_nodes(cluster: Cluster) -> None:
    wanted = await digest(None)
    for nodes in (1, 2, 3):
        while len(cluster.nodes) < nodes:
            cluster.add(len(cluster.nodes)).wait_started()
        planner = await RayPlanner.open(settings_for(cluster))
        try:
            await spread_over(cluster, nodes)
            assert await digest(planner) == wanted, f"on {nodes} nodes"
        finally:
            await planner.close()


async def test_two_services_share_a_cluster_and_a_name(cluster: Cluster) -> None:
    first = await RayPlanner.open(settings_for(cluster))
    try:
        second = await RayPlanner.open(settings_for(cluster))  # as one that takes over
        try:
            await first.load(0, workload.rules(), NOW_MS)
            await second.load(5, workload.rules(), NOW_MS)
            await first.cycle(0, (), 1, NOW_MS)
            await second.cycle(5, (), 6, NOW_MS)
        finally:
            await second.close()
        await first.cycle(1, (), 2, NOW_MS)
    finally:
        await first.close()


@pytest.mark.parametrize("shown", ["0" * 64, None])
async def test_a_wrong_token_is_told_of_before_ray_is_asked(
    cluster: Cluster, tmp_path: Path, shown: str | None
) -> None:
    path = tmp_path / "token"
    if shown is not None:
        path.write_text(shown)
    wrong = replace(settings_for(cluster), ray_token_file=str(path))
    wanted = "does not know the token of planner.ray_token_file" if shown else "cannot read"
    with pytest.raises(PlannerAway, match=wanted):
        await RayPlanner.open(wrong)


def wait_for_the_end(session: int) -> None:
    end_s = time.monotonic() + 60
    while found := members(session):
        assert time.monotonic() < end_s, found
        time.sleep(0.05)


async def test_its_node_ends_with_the_child_however_that_ends(cluster: Cluster) -> None:
    planner = await RayPlanner.open(settings_for(cluster))
    session = planner._process.pid
    try:
        assert any("raylet/raylet " in command for _, command in members(session))
        os.kill(session, signal.SIGKILL)
        await asyncio.to_thread(wait_for_the_end, session)
    finally:
        await planner.close()
    assert not await asyncio.to_thread(os.path.exists, planner._folder)
