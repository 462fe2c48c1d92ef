"""Several services on one PostgreSQL, in this process: who leads, who follows, who takes over."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from corridor.v1 import center_service_pb2 as center_pb
from corridor.v1 import inventory_pb2, job_pb2
from corridor.v1 import job_service_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scheduler import bootstrap
from scheduler.bootstrap import Service, StopReason
from scheduler.client import AsyncClient
from scheduler.config import BadConfig
from scheduler.control.leadership import OtherLeads
from scheduler.problem import problem_of
from scheduler.rpc.forwarding import MARK
from scheduler.store import leader, replicas, seed
from tests.postgres import Postgres

CENTER, ENTERPRISE = "wuhan-sc", "sample-wuhan-1"
TIMEOUT_S = 60
TLS = Path(__file__).parents[2] / "data/tls"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample data whose centers are reached through agents."""
    folder = tmp_path_factory.mktemp("behind-agents")
    for path in seed.DATA.glob("*.yaml"):
        (folder / path.name).write_bytes(path.read_bytes())
    centers = yaml.safe_load((folder / "centers.yaml").read_text("utf-8"))
    for one in centers["centers"]:
        one.update(kind="agent", simulated=True, settings={"heartbeat_s": 1})
    (folder / "centers.yaml").write_text(yaml.safe_dump(centers), "utf-8")
    return folder


@pytest.fixture
def replica(postgres: Postgres, template: Any, seeded: Path, tmp_path: Path) -> Callable[..., Any]:
    """Gives the settings of one replica after another on the same database."""
    url = postgres.url(postgres.lend())
    made: list[Any] = []

    def settings(**more: object) -> Any:
        number = len(made) + 1
        flags = {
            "store.data_dir": str(tmp_path / f"data-{number}"),
            "store.url": url,
            "server.name": f"replica-{number}",
            "clock.speed": 1,
            "leader.lease_s": 6.0,
            "leader.renew_s": 0.5,
            "leader.look_s": 0.1,
            **more,
        }
        given = template.with_flags(flags)
        if not made:
            made.append(bootstrap.initialize(given.settings, data=seeded).token)
        else:
            made.append("")
        return type(given)(given.settings, made[0])

    return settings


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not holds():  # noqa: ASYNC110 - of several services, seen from outside
            await asyncio.sleep(0.02)


def leads(service: Service) -> bool:
    return service.leadership.epoch is not None


def job(name: str) -> job_pb2.JobSpec:
    spec = job_pb2.JobSpec(display_name=name, image="image", command=["run"])
    spec.options.add(flavor=f"{CENTER}/kunpeng-920", units_per_node=1)
    spec.wall_limit.seconds = 600
    return spec


async def submit(client: AsyncClient, request_id: str, count: int = 1) -> list[str]:
    jobs = [job(f"{number}") for number in range(count)]
    request = pb.SubmitJobsRequest(request_id=request_id, enterprise=ENTERPRISE, jobs=jobs)
    answer = await client.jobs.SubmitJobs(request)
    return [one.job_id for one in answer.results]


async def test_one_leads_and_the_other_takes_over_when_it_ends(replica: Any, serve: Any) -> None:
    first_settings, second_settings = replica(), replica()
    async with serve(second_settings) as (second, client):
        assert leads(second), "nobody led: the first that starts does"
        second_epoch = second.loop.epoch
        async with serve(first_settings) as (first, _):
            assert not leads(first)
            assert first.leadership.lease.name == "replica-2"
            assert await submit(client, "one")
            await second.stop()
            await until(lambda: leads(first))
            assert first.loop.epoch == second_epoch + 1
            value = first.metrics.registry.get_sample_value
            assert value("corridor_leader") == 1
            assert value("corridor_leader_epoch") == first.loop.epoch
            assert value("corridor_leader_takeovers_total") == 1


async def test_a_follower_serves_and_says_so(replica: Any, serve: Any) -> None:
    async with serve(replica()) as (first, _), serve(replica()) as (second, client):
        assert leads(first)
        assert not leads(second)
        probe: Any = health_pb2_grpc.HealthStub(client.channel)
        health = await probe.Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        [job_id] = await submit(client, "one")
        await until(lambda: first.loop.planner.revision > 0)
        found = (await client.jobs.GetJob(pb.GetJobRequest(job_id=job_id))).job
        assert found.state == job_pb2.JOB_STATE_QUEUED
        assert second.metrics.registry.get_sample_value("corridor_leader") == 0


async def test_what_only_the_leader_knows_a_follower_has_answered_by_it(
    replica: Any, serve: Any
) -> None:
    async with serve(replica()) as (first, asked), serve(replica()) as (_, client):
        [job_id] = await submit(client, "one")
        async with asyncio.timeout(TIMEOUT_S):
            while True:  # until the planner has looked at it
                told = await client.jobs.ExplainJob(pb.ExplainJobRequest(job_id=job_id))
                if told.reason.code != job_pb2.REASON_CODE_NOT_EVALUATED:
                    break
                await asyncio.sleep(0.05)
        direct = await asked.jobs.ExplainJob(pb.ExplainJobRequest(job_id=job_id))
        assert told.reason.code == direct.reason.code
        shown = await client.jobs.GetJob(pb.GetJobRequest(job_id=job_id))
        assert shown.job.pending_reason.code == direct.reason.code
        assert first.loop.centers.status(CENTER).detail
        listed = await client.centers.ListCenters(center_pb.ListCentersRequest())
        center = next(one for one in listed.centers if one.center == CENTER)
        assert center.health_detail == first.loop.centers.status(CENTER).detail
        # What the leader refuses is refused with all that it says.
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.jobs.ExplainJob(pb.ExplainJobRequest(job_id="j0000000000000"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        problem = problem_of(caught.value)
        assert problem is not None
        assert problem.reason == "NOT_FOUND"


async def test_replicas_speak_tls_with_each_other_where_callers_do(
    replica: Any, serve: Any
) -> None:
    cert, key = str(TLS / "cert.pem"), str(TLS / "key.pem")
    tls = {"server.tls_cert": cert, "server.tls_key": key, "server.peers_ca": cert}
    made = replica(**tls)
    async with (
        serve(made) as (first, _),
        serve(replica(**tls)) as (second, _),
        AsyncClient(second.address, made.token, tls_ca=cert) as client,
    ):
        assert (leads(first), leads(second)) == (True, False)
        shown = await client.centers.GetCenter(center_pb.GetCenterRequest(center=CENTER))
        assert shown.center.health_detail == first.loop.centers.status(CENTER).detail


async def shows_what_is_stored(client: AsyncClient, job_id: str) -> None:
    """All that a store can answer is answered, and says what is not known."""
    got = await client.jobs.GetJob(pb.GetJobRequest(job_id=job_id))
    assert (got.job.state, got.planner_away) == (job_pb2.JOB_STATE_QUEUED, True)
    told = await client.jobs.ExplainJob(pb.ExplainJobRequest(job_id=job_id))
    assert (told.state, told.planner_away) == (job_pb2.JOB_STATE_QUEUED, True)
    assert told.reason.code == got.job.pending_reason.code
    listed = await client.jobs.ListJobs(pb.ListJobsRequest())
    assert [one.job_id for one in listed.jobs] == [job_id]
    centers = (await client.centers.ListCenters(center_pb.ListCentersRequest())).centers
    assert all(one.health_unknown and not one.reachable for one in centers)
    shown = await client.centers.GetCenter(center_pb.GetCenterRequest(center=CENTER))
    assert "no replica leads at the moment" in shown.center.health_detail
    quoted = await client.jobs.QuoteJobs(
        pb.QuoteJobsRequest(enterprise=ENTERPRISE, jobs=[job("a")])
    )
    assert quoted.planner_away
    [option] = quoted.quotes[0].options
    assert option.charge.gross_fen
    assert not option.HasField("start_likely_time")


async def test_a_leader_that_cannot_be_reached_is_named(replica: Any, serve: Any) -> None:
    async with serve(replica()) as (first, _), serve(replica()) as (second, client):
        [job_id] = await submit(client, "one")
        await first._serving.drain(0.0)  # it leads on, and nobody can call it
        await shows_what_is_stored(client, job_id)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.jobs.ReadJobLogs(pb.ReadJobLogsRequest(job_id=job_id), timeout=30.0)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        told = f"the replica that leads, {first.address}, does not answer"
        assert told in (caught.value.details() or "")
        assert not leads(second)


async def test_without_a_leader_its_knowledge_is_unavailable_and_all_else_goes_on(
    replica: Any, serve: Any
) -> None:
    async with serve(replica()) as (first, _), serve(replica()) as (second, client):
        beat = second.leadership._beat
        beat.willing, before_s = False, beat.reached_s
        # A look that had begun may be willing still; there is a leader until it has ended.
        await until(lambda: beat.reached_s != before_s)
        await first.stop()
        await until(lambda: second.leadership.lease.address == "")
        [job_id] = await submit(client, "one")
        await shows_what_is_stored(client, job_id)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.centers.TakeInventory(inventory_pb2.TakeInventoryRequest(center=CENTER))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "no replica leads at the moment" in (caught.value.details() or "")


async def test_a_call_is_passed_on_once(replica: Any, serve: Any) -> None:
    async with serve(replica()), serve(replica()) as (_, client):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.centers.TakeInventory(
                inventory_pb2.TakeInventoryRequest(center=CENTER), metadata=((MARK, "another"),)
            )
        assert "no replica leads at the moment" in (caught.value.details() or "")


async def test_one_that_was_replaced_writes_nothing_and_follows(replica: Any, serve: Any) -> None:
    async with serve(replica()) as (first, client):
        old = first.loop
        # As another would that took it for dead: with the lease and the epoch.
        await first.db.write(_seize)
        with pytest.raises(leader.Fenced):
            await old.write(lambda c: leader.check(c, old.epoch))
        await until(lambda: first.leadership.present is not old)
        # Nobody renews what was seized, so the same replica takes it again.
        await until(lambda: leads(first))
        assert first.loop.epoch == old.epoch + 2
        assert await submit(client, "one")


def _seize(connection: Any) -> None:
    by = leader.Candidate("another", "another", "127.0.0.1:1", 500)
    # Its holder may renew between the look and the take: then what is there now is looked at.
    while not leader.take_lease(
        connection, leader.read_lease(connection), by, leader.database_ms(connection)
    ):
        pass


async def test_two_replicas_never_share_a_number(replica: Any, serve: Any) -> None:
    async with serve(replica()) as (first, one), serve(replica()) as (_, two):
        rows = await first.db.read(lambda c: replicas.present(c, 0))
        assert [row.number for row in rows] == [0, 1]
        assert [row.name for row in rows] == ["replica-1", "replica-2"]
        made = await asyncio.gather(
            *(submit(client, f"{turn}", 20) for turn, client in enumerate([one, two] * 5))
        )
        ids = [job_id for part in made for job_id in part]
        assert len(set(ids)) == len(ids) == 200


async def test_the_same_request_at_two_replicas_makes_one_set_of_jobs(
    replica: Any, serve: Any
) -> None:
    async with serve(replica()) as (first, one), serve(replica()) as (_, two):
        for turn in range(10):
            same, again = await asyncio.gather(submit(one, f"{turn}", 5), submit(two, f"{turn}", 5))
            assert same == again
        assert await first.db.read(
            lambda c: c.exec_driver_sql("SELECT count(*) FROM job").scalar_one() == 50
        )


async def test_replicas_have_one_time_that_of_the_wall(replica: Any, serve: Any) -> None:
    fast = replica(**{"clock.speed": 60})
    with pytest.raises(BadConfig, match=r"clock\.speed is 60, and other replicas can work on this"):
        await bootstrap.start_service(fast.settings)
    async with serve(replica()) as (first, client):
        assert leads(first), "nothing of the refused one is left"
        assert await submit(client, "one")


async def test_a_service_that_nobody_can_take_over_may_run_fast(
    postgres: Postgres, template: Any, tmp_path: Path, serve: Any
) -> None:
    # Its centers are simulated in the process; on SQLite one service has the database for itself.
    url = postgres.url(postgres.lend())
    fast = template.with_flags(
        {"store.url": url, "store.data_dir": str(tmp_path / "a"), "clock.speed": 60}
    )
    token = bootstrap.initialize(fast.settings).token
    async with serve(type(fast)(fast.settings, token)) as (_, client):
        assert await submit(client, "one")


async def test_centers_simulated_in_the_process_let_no_second_replica_start(
    postgres: Postgres, template: Any, tmp_path: Path, serve: Any
) -> None:
    url = postgres.url(postgres.lend())
    times = {"leader.lease_s": 0.6, "leader.renew_s": 0.1, "leader.look_s": 0.1}
    both = [
        template.with_flags(
            {"store.url": url, "store.data_dir": str(tmp_path / name), "clock.speed": 1, **times}
        )
        for name in ("a", "b")
    ]
    token = bootstrap.initialize(both[0].settings).token
    async with serve(type(both[0])(both[0].settings, token)) as (first, client):
        with pytest.raises(OtherLeads, match="run them behind `corridor agent`"):
            await bootstrap.start_service(both[1].settings)
        assert await submit(client, "one")
        await first.db.write(_seize)
        assert await first.wait_stopped() is StopReason.FENCED
