"""Service and agent are real processes, killed with SIGKILL again and again while jobs run.

Nothing is lost and nothing doubled: by the center's own journal, by the store, and by the ledger.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from corridor.v1 import center_service_pb2 as center_pb
from corridor.v1 import identity_service_pb2 as identity_pb
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from adapters.agent.journal import Journal
from adapters.simulated.journal import accepted_names, read_events
from scheduler import bootstrap
from scheduler.client import Client
from scheduler.config import load_settings
from scheduler.store import funds, seed
from scheduler.store.database import Database
from tests.processes import PATIENCE_S, Process, free_port, until

pytestmark = pytest.mark.slow

CENTER, FLAVOR, ENTERPRISE = "wuhan-sc", "wuhan-sc/kunpeng-920", "sample-wuhan-1"
JOBS, KILLS = 60, 6


class Site:
    """A service whose center is reached through an agent, both as processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = folder / "own.yaml"
        data = folder / "data"
        data.mkdir()
        for path in seed.DATA.glob("*.yaml"):
            (data / path.name).write_bytes(path.read_bytes())
        centers = yaml.safe_load((data / "centers.yaml").read_text("utf-8"))
        (mine,) = [one for one in centers["centers"] if one["center"] == CENTER]
        settings = {"settle_s": 0.2, "usage_delay_s": 0.1, "lost_answer_rate": 0.1, "seed": 3}
        self.own.write_text(yaml.safe_dump({"centers": [{**mine, "settings": settings}]}))
        mine.update(kind="agent", simulated=True, settings={"heartbeat_s": 1})
        (data / "centers.yaml").write_text(yaml.safe_dump(centers), "utf-8")
        self.address = f"127.0.0.1:{free_port()}"
        flags = {
            "store.data_dir": str(folder / "state"), "server.listen": self.address,
            "metrics.listen": "", "planner.ray": "off", "log.format": "json",
            "loop.follow_s": 0.2, "loop.tick_s": 0.1,
        }  # fmt: skip
        self.settings = load_settings(None, {}, flags)
        self.token = bootstrap.initialize(self.settings, data=data).token
        sets = [f"--set={name}={value}" for name, value in flags.items()]
        self.service = Process(folder / "service.log", "serve", *sets)
        self.agent = Process(
            folder / "agent.log", "agent", "--json", "--center", CENTER,
            "--centers", str(self.own), "--server", self.address,
            "--token-file", str(folder / "token"), "--state-dir", str(folder / "agent"),
        )  # fmt: skip

    @property
    def journal(self) -> Path:
        """The center's own."""
        return self.folder / "agent" / f"{CENTER}.journal"

    def call(self, what: Callable[[Client], Any]) -> Any:
        """Call the service, as often as it takes until one answers."""
        end_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                with Client(self.address, self.token) as client:
                    return what(client)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > end_s:
                    raise

    def begin(self) -> None:
        """Start both; the agent's token is made on the way."""
        self.service.start()
        token = identity_pb.Token(subject="agent", role=identity_pb.ROLE_AGENT, center=CENTER)
        token.expire_time.FromSeconds(int(time.time()) + 86_400)
        request = identity_pb.CreateTokenRequest(token=token)
        secret = self.call(lambda client: client.identity.CreateToken(request)).secret
        (self.folder / "token").write_text(secret)
        self.agent.start()

    def submit(self) -> list[str]:
        """Submit all jobs; returns their ids."""
        jobs = []
        for number in range(JOBS):
            job = job_pb2.JobSpec(display_name=f"job-{number}", image="image", command=["run"])
            job.options.add(flavor=FLAVOR, units_per_node=1)
            job.wall_limit.seconds = 3600
            job.labels["corridor.simulated/runtime-s"] = str(1 + number % 5)
            jobs.append(job)
        request = pb.SubmitJobsRequest(request_id="all", enterprise=ENTERPRISE, jobs=jobs)
        answer = self.call(lambda client: client.jobs.SubmitJobs(request))
        return [result.job_id for result in answer.results]

    def events(self) -> int:
        """How much has happened at the center."""
        return sum(1 for _ in read_events(self.journal))

    def settled(self) -> bool:
        """Whether all jobs have ended and are settled."""
        request = pb.ListJobsRequest(page_size=1000)
        jobs = self.call(lambda client: client.jobs.ListJobs(request)).jobs
        return len(jobs) == JOBS and all(job.settled for job in jobs)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.agent.kill()
    site.service.kill()


def test_nothing_is_lost_or_doubled_whoever_is_killed(site: Site) -> None:
    rng = random.Random(1)
    site.begin()
    job_ids = site.submit()
    until(site.journal.exists, "the first job at the center")
    for number in range(KILLS):
        at = site.events() + rng.randrange(1, 12)
        until(lambda at=at: site.events() >= at or site.settled(), f"event {at}")  # type: ignore[misc]
        victims = [site.agent, site.service]
        rng.shuffle(victims)
        both = number % 3 == 2
        for victim in victims if both else victims[:1]:
            victim.kill()
        for victim in reversed(victims) if both else victims[:1]:
            victim.start()
    until(site.settled, "the end of all jobs")
    assert _wrong(site, job_ids) == []
    # What is settled is forgotten by the agent too, which has been told so.
    assert site.agent.end() == 0
    site.agent.start()
    site.agent.wait_said("agent_stopped")
    until(lambda: _is_reachable(site), "the agent")
    assert site.service.end() == 0
    assert site.agent.end() == 0
    assert _left(site) == {}


def _is_reachable(site: Site) -> bool:
    request = center_pb.GetCenterRequest(center=CENTER)
    return bool(site.call(lambda client: client.centers.GetCenter(request)).center.reachable)


def _left(site: Site) -> Mapping[str, object]:
    """Return what the agent's journal still holds."""
    journal = Journal(site.folder / "agent" / f"{CENTER}.agent.db", CENTER)
    journal._thread.shutdown()
    journal._connection.close()
    return journal.runs


def _wrong(site: Site, job_ids: list[str]) -> list[str]:
    """All that is wrong at the end."""
    taken = accepted_names(site.journal)
    found = [f"{name} was taken {times} times" for name, times in taken.items() if times != 1]
    db = Database(site.settings.database_url)
    try:
        jobs = db.read_sync(lambda c: c.exec_driver_sql("SELECT state FROM job").all())
        runs = db.read_sync(lambda c: c.exec_driver_sql("SELECT count(*) FROM run").scalar_one())
        charges = db.read_sync(
            lambda c: c.exec_driver_sql("SELECT count(DISTINCT job_uid) FROM usage_record").all()
        )
        found += [f"ledger: {one}" for one in db.read_sync(funds.verify).problems]
    finally:
        db.close()
    found += [f"a job ended {state}" for (state,) in jobs if state != "SUCCEEDED"]
    if not (len(job_ids) == len(jobs) == len(taken) == runs == charges[0][0]):
        found.append(f"{len(job_ids)} sent, {len(taken)} taken, {runs} runs, {charges} metered")
    return found


def test_an_agent_stops_in_order_and_its_jobs_go_on(site: Site) -> None:
    site.begin()
    site.submit()
    until(lambda: site.journal.exists() and len(accepted_names(site.journal)) == JOBS, "all jobs")
    assert site.agent.end() == 0
    site.agent.start()
    until(site.settled, "the end of all jobs")
    taken = accepted_names(site.journal)
    assert set(taken.values()) == {1}
