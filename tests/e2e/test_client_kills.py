"""A client of three services, real processes on one PostgreSQL: one after another is killed."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from corridor.v1 import identity_service_pb2 as identity_pb
from corridor.v1 import job_service_pb2 as pb

from scheduler.client import Client
from tests.e2e.replica_site import ENTERPRISE, FLAVOR, ReplicaSite
from tests.postgres import Postgres
from tests.processes import until

pytestmark = pytest.mark.slow


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Iterator[ReplicaSite]:
    site = ReplicaSite(tmp_path, postgres)
    try:
        yield site
    finally:
        site.close()


def submit(client: Client, number: int) -> list[str]:
    request = pb.SubmitJobsRequest(request_id=f"kills-{number}", enterprise=ENTERPRISE)
    job = request.jobs.add(display_name="a", image="image", command=["run"])
    job.options.add(flavor=FLAVOR, units_per_node=1)
    job.wall_limit.seconds = 3600
    job.labels["corridor.simulated/runtime-s"] = "1"
    return [one.job_id for one in client.jobs.SubmitJobs(request).results]


def test_reads_submissions_and_a_watch_survive_every_kill(site: ReplicaSite) -> None:
    site.begin()
    addresses = ",".join(one.address for one in site.replicas)
    told: list[tuple[int, str, str]] = []
    with Client(addresses, site.token, timeout_s=60) as client:

        def follow() -> None:
            request = pb.WatchJobsRequest(enterprise=ENTERPRISE, from_start=True)
            with contextlib.suppress(grpc.RpcError):  # the client is closed at the end
                for answer in client.watch(request):
                    told.extend((one.sequence, one.job_id, one.kind) for one in answer.events)

        watching = threading.Thread(target=follow, daemon=True)
        watching.start()
        jobs: dict[int, list[str]] = {}
        for turn, victim in enumerate(site.replicas):
            for number in range(turn * 40, turn * 40 + 40):
                if number % 40 == 20:
                    victim.kill()
                jobs[number] = submit(client, number)
                site.acknowledged += jobs[number]
                client.identity.WhoAmI(identity_pb.WhoAmIRequest())
                client.jobs.ListJobs(pb.ListJobsRequest(page_size=1))
            victim.start()
            until(lambda one=victim: bool(one.said("serving")[1:]), "it serves again")  # type: ignore[misc]
        assert [submit(client, number) for number in jobs] == list(jobs.values())
        wanted = {job_id for [job_id] in jobs.values()}
        assert len(wanted) == 120
        until(lambda: {uid for _, uid, kind in told if kind == "SUCCEEDED"} == wanted, "all ends")
    watching.join()
    assert told == sorted(set(told)), "each event once and in order"
    until(site.settled, "the end of all jobs")
    assert site.wrong() == []
