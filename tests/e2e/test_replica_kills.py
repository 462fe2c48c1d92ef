"""Services are real processes on one PostgreSQL; whoever leads is killed, stopped or cut off.

Nothing is lost and nothing doubled: by the center's own journal, by the store, and by the ledger.
How long take-overs take is measured by ``python -m benchmarks replicas``.
"""

import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from corridor.v1 import identity_service_pb2 as identity_pb
from corridor.v1 import job_service_pb2 as pb

from scheduler.client import Client
from tests.e2e.replica_site import ReplicaSite, until
from tests.postgres import Postgres

pytestmark = pytest.mark.slow


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Iterator[ReplicaSite]:
    site = ReplicaSite(tmp_path, postgres)
    try:
        yield site
    finally:
        site.close()


def begin(site: ReplicaSite) -> None:
    site.begin()
    site.begin_load()
    site.wait_for_more_runs(10)


def conclude(site: ReplicaSite) -> None:
    site.end_load()
    until(site.settled, "the end of all jobs")
    assert site.wrong() == []


def test_leaders_are_killed_one_after_another(site: ReplicaSite) -> None:
    begin(site)
    for _ in range(3):
        old, epoch = site.leader()
        old.kill()
        site.wait_for_another(epoch)
        old.start()
        site.wait_for_more_runs(5)
    conclude(site)


def test_a_leader_that_was_stopped_wakes_up_late_and_follows(site: ReplicaSite) -> None:
    begin(site)
    for _ in range(2):
        old, epoch = site.leader()
        replaced = len(old.said("replaced"))
        old.send(signal.SIGSTOP)
        site.wait_for_another(epoch)
        site.wait_for_more_runs(5)
        old.send(signal.SIGCONT)
        old.wait_said("replaced", replaced + 1)
        assert old.lives
        site.call(lambda client: client.identity.WhoAmI(identity_pb.WhoAmIRequest()), [old])
    conclude(site)


def get_job(asked: pb.GetJobRequest, client: Client) -> pb.GetJobResponse:
    return client.jobs.GetJob(asked)


def explain_job(asked: pb.ExplainJobRequest, client: Client) -> pb.ExplainJobResponse:
    return client.jobs.ExplainJob(asked)


def test_jobs_are_shown_while_the_leader_is_silent(site: ReplicaSite) -> None:
    begin(site)
    for how in (signal.SIGSTOP, signal.SIGKILL):
        old, epoch = site.leader()
        other = next(one for one in site.replicas if one is not old)
        [shown] = site.call(lambda client: client.jobs.ListJobs(pb.ListJobsRequest(page_size=1)),
                            [other]).jobs  # fmt: skip
        asked = pb.GetJobRequest(job_id=shown.job_id)
        old.send(how)
        assert site.call(partial(get_job, asked), [other]).job.job_id == shown.job_id
        explain = pb.ExplainJobRequest(job_id=shown.job_id)
        assert site.call(partial(explain_job, explain), [other]).state
        site.wait_for_another(epoch)
        if how is signal.SIGSTOP:
            old.send(signal.SIGCONT)
            old.wait_said("replaced")
    conclude(site)


def test_a_leader_is_stopped_in_the_middle_of_a_write(site: ReplicaSite) -> None:
    begin(site)
    old, epoch = site.leader()
    with site.events_locked():
        until(site.writes_as_leader, "a write of the leader")
        old.send(signal.SIGSTOP)
    site.wait_for_another(epoch)
    site.wait_for_more_runs(5)
    old.send(signal.SIGCONT)
    old.wait_said("replaced")
    conclude(site)


def test_a_leader_that_is_cut_off_from_the_database_alone(site: ReplicaSite) -> None:
    begin(site)
    old, epoch = site.leader()
    old.wire.hold()
    site.wait_for_another(epoch)
    old.wait_said("lead_in_doubt")  # by itself: nobody can tell it
    site.wait_for_more_runs(5)
    old.wire.release()
    others = [one for one in site.replicas if one is not old]
    for one in others:
        one.end()
    until(lambda: site.leader()[0] is old, "that it leads again")
    for one in others:
        one.start()
    site.wait_for_more_runs(5)
    conclude(site)


def test_all_of_it_in_any_order(site: ReplicaSite) -> None:
    begin(site)
    rng = random.Random(5)
    for _ in range(6):
        old, epoch = site.leader()
        match rng.randrange(4):
            case 0:
                old.kill()
                site.wait_for_another(epoch)
                old.start()
            case 1:
                old.send(signal.SIGSTOP)
                site.wait_for_another(epoch)
                old.send(signal.SIGCONT)
            case 2:
                old.wire.hold()
                site.wait_for_another(epoch)
                old.wire.release()
            case _:
                assert old.end() == 0
                site.wait_for_another(epoch)
                old.start()
        site.wait_for_more_runs(5)
    conclude(site)
