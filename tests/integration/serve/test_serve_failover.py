"""Two services on one PostgreSQL: a leader hears at once what a follower took, clients go over."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler import bootstrap
from scheduler.bootstrap import Service
from scheduler.client import AsyncClient
from scheduler.store import feed, seed
from tests.postgres import Postgres

ENTERPRISE = "sample-wuhan-1"
TIMEOUT_S = 40


@pytest.fixture
def replica(postgres: Postgres, template: Any, tmp_path: Path) -> Callable[[], Any]:
    """Gives the settings of one replica after another; their centers are behind agents.

    Nothing happens by a tick within the test: what happens somebody was woken for.
    """
    data = tmp_path / "behind-agents"
    data.mkdir()
    for path in seed.DATA.glob("*.yaml"):
        (data / path.name).write_bytes(path.read_bytes())
    centers = yaml.safe_load((data / "centers.yaml").read_text("utf-8"))
    for one in centers["centers"]:
        one.update(kind="agent", simulated=True, settings={"heartbeat_s": 1})
    (data / "centers.yaml").write_text(yaml.safe_dump(centers), "utf-8")
    url = postgres.url(postgres.lend())
    tokens: list[str] = []

    def settings() -> Any:
        number = len(tokens) + 1
        given = template.with_flags(
            {
                "store.data_dir": str(tmp_path / f"data-{number}"),
                "store.url": url,
                "server.name": f"replica-{number}",
                "clock.speed": 1,
                "loop.tick_s": 60.0,
                "leader.look_s": 0.1,
            }
        )
        tokens.append(
            tokens[0] if tokens else bootstrap.initialize(given.settings, data=data).token
        )
        return type(given)(given.settings, tokens[0])

    return settings


async def submit(client: AsyncClient, request_id: str) -> list[str]:
    spec = job_pb2.JobSpec(display_name="a", image="image", command=["run"])
    spec.options.add(flavor="wuhan-sc/kunpeng-920", units_per_node=1)
    spec.wall_limit.seconds = 600
    request = pb.SubmitJobsRequest(request_id=request_id, enterprise=ENTERPRISE, jobs=[spec])
    return [one.job_id for one in (await client.jobs.SubmitJobs(request)).results]


async def test_the_leader_plans_at_once_what_a_follower_took(replica: Any, serve: Any) -> None:
    async with serve(replica()) as (leader, _), serve(replica()) as (follower, client):
        assert leader.leadership.epoch is not None
        assert follower.leadership.epoch is None
        for number in range(3):
            await submit(client, f"r{number}")
            taken = await follower.db.read_feed(feed.head)
            async with asyncio.timeout(TIMEOUT_S):
                while leader.loop.planner.revision < taken:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.01)


async def test_calls_and_watches_go_on_while_a_replica_ends(replica: Any, serve: Any) -> None:
    """Reads, submissions and a watch are under way when the one that is watched takes no more."""
    async with serve(replica()) as (one, _), serve(replica()) as (other, _):
        addresses = f"{one.address},{other.address}"
        token = replica().token
        async with AsyncClient(addresses, token) as client:
            told: list[tuple[int, str]] = []
            watching = asyncio.create_task(follow(client, told))
            before = await asyncio.gather(*(submit(client, f"before-{n}") for n in range(10)))
            ending = busy(one, other)
            reads = [
                asyncio.ensure_future(client.jobs.GetJob(pb.GetJobRequest(job_id=job_id)))
                for [job_id] in before * 5
            ]
            during = [asyncio.create_task(submit(client, f"during-{n}")) for n in range(30)]
            stopping = asyncio.create_task(ending.stop())
            answers = await asyncio.gather(*during)
            assert len(await asyncio.gather(*reads)) == 50
            await stopping
            again = [await submit(client, f"during-{n}") for n in range(30)]
            assert again == answers, "a request that was repeated makes no second job"
            jobs = {job_id for [job_id] in (*before, *answers)}
            assert len(jobs) == 40
            async with asyncio.timeout(TIMEOUT_S):
                while {job_id for _, job_id in told} != jobs:  # noqa: ASYNC110 - told beside
                    await asyncio.sleep(0.01)
            assert told == sorted(set(told)), "each event once and in order"
            watching.cancel()


async def follow(client: AsyncClient, told: list[tuple[int, str]]) -> None:
    async for answer in client.watch(pb.WatchJobsRequest(enterprise=ENTERPRISE, from_start=True)):
        told += [(one.sequence, one.job_id) for one in answer.events]


def busy(*services: Service) -> Service:
    """The one at which somebody watches."""
    return next(one for one in services if one._serving.calls._streams)
