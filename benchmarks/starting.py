"""From the start of a process to its first decisions, without jobs and with very many waiting."""

import time
import uuid
from collections.abc import Callable
from contextlib import closing
from time import perf_counter
from typing import Final, TypeVar

from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from benchmarks.load import spec
from benchmarks.report import Figure
from benchmarks.serving import Served, serve
from benchmarks.site import Site, new_site
from benchmarks.stored import fill
from benchmarks.workload import members
from scheduler.client import Client
from scheduler.store import runs
from scheduler.store.database import Database

T = TypeVar("T")
_POLL_S: Final = 0.005
_PATIENCE_S: Final = 120.0
_BYTES: Final = 600.0


def run(quick: bool) -> list[Figure]:
    """Start on an empty store, and again on one with a million waiting jobs (quick: 100,000)."""
    waiting = 100_000 if quick else 1_000_000
    with new_site() as site:
        figures = _empty(site)
    with new_site(planner__ray="off") as site:
        with serve(site) as served:
            first_placement(served)
            before = served.process.private_bytes()
        with closing(Database(site.settings.database_url)) as db:
            fill(db, waiting)
        return figures + _full(site, waiting, before)


def _empty(site: Site) -> list[Figure]:
    with serve(site) as served:
        began_s = served.process.began_s
        serving_s = perf_counter() - began_s
        taken_s, placed_s = first_placement(served)
        served.process.hear("planner_moved")
        moved_s = perf_counter() - began_s
    return [
        Figure(
            "start", "start -> first job accepted", taken_s - began_s, "s", 2,
            peer="the server listens", peer_value=serving_s,
        ),
        Figure(
            "start", "start -> first job placed", placed_s - began_s, "s", 10,
            peer="the planner is on Ray", peer_value=moved_s,
        ),
    ]  # fmt: skip


def first_placement(served: Served) -> tuple[float, float]:
    """Submit a job; returns when it was accepted and when it was placed (``perf_counter``)."""
    request = pb.SubmitJobsRequest(
        request_id=str(uuid.uuid4()), enterprise=members()[0][0], jobs=[spec(0, 0.01)]
    )
    with Client(served.address, served.token) as client:
        job = client.jobs.SubmitJobs(request).results[0].job_id
        taken_s = perf_counter()
        asked = pb.GetJobRequest(job_id=job)
        _until(lambda: client.jobs.GetJob(asked).job.state != job_pb2.JOB_STATE_QUEUED)
        placed_s = perf_counter()
        _until(lambda: client.jobs.GetJob(asked).job.settled)
    return taken_s, placed_s


def _full(site: Site, waiting: int, before: int) -> list[Figure]:
    """Restart with waiting jobs; the first decision shows in the store."""
    with closing(Database(site.settings.database_url)) as db, serve(site) as served:
        listening_s = perf_counter() - served.process.began_s
        _until(lambda: db.read_sync(runs.open_runs))
        decided_s = perf_counter() - served.process.began_s
        taken = served.process.private_bytes() - before
    return [
        Figure(
            "start", f"restart with {waiting:,} waiting -> first decision", decided_s, "s", 10,
            peer="the server listens", peer_value=listening_s,
        ),
        Figure(
            "start", f"memory of service and planner for one of {waiting:,} waiting jobs",
            taken / waiting, "B", _BYTES,
        ),
    ]  # fmt: skip


def _until(come: Callable[[], object]) -> None:
    end_s = perf_counter() + _PATIENCE_S
    while not come():
        if perf_counter() > end_s:
            raise RuntimeError(f"it did not come within {_PATIENCE_S:g} s")
        time.sleep(_POLL_S)
