"""What tests of submission share: a good job, requests, and what is stored."""

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from sqlalchemy import Connection

from scheduler.store.database import Database

NPU = "wuhan-ai/ascend-910b"
MINE = "sample-ezhou-1"
_numbers = itertools.count(1)


def job(name: str = "train", **change: Any) -> job_pb2.JobSpec:
    """A job of 8 cards for an hour; ``units`` and ``nodes`` change its size."""
    units, nodes = change.pop("units", 8), change.pop("nodes", 1)
    option = job_pb2.ResourceOption(flavor=NPU, units_per_node=units, nodes=nodes)
    given = {"options": [option], "wall_limit": Duration(seconds=3600), "command": ["true"]}
    return job_pb2.JobSpec(display_name=name, **{**given, **change})


def submit(*jobs: job_pb2.JobSpec, **change: Any) -> pb.SubmitJobsRequest:
    """A request under a key of its own."""
    given = {"request_id": f"request-{next(_numbers)}", "jobs": jobs or [job()]}
    return pb.SubmitJobsRequest(**{**given, **change})


def stored(corridor: Any) -> dict[str, int]:
    """How many rows there are of what a submission stores."""
    counts = {
        table: corridor.rows(f"SELECT count(*) FROM {table}")[0][0]
        for table in ("job", "request_key")
    }
    about_jobs = "SELECT count(*) FROM event WHERE job_uid > 0"
    return {**counts, "event": corridor.rows(about_jobs)[0][0]}


NOTHING = {"job": 0, "request_key": 0, "event": 0}


class Gate:
    """Holds the writer of a database until it is opened: what comes meanwhile waits together."""

    def __init__(self, db: Database) -> None:
        self._entered, self._open = threading.Event(), threading.Event()
        self._future = db.write_future(self._hold, alone=True)
        self._entered.wait()

    def _hold(self, _connection: Connection) -> None:
        self._entered.set()
        self._open.wait()

    def open(self) -> None:
        """Let the writer go on."""
        self._open.set()


@pytest.fixture(name="job")
def job_fixture() -> Callable[..., job_pb2.JobSpec]:
    """Makes a good job with changes."""
    return job


@pytest.fixture(name="submit")
def submit_fixture() -> Callable[..., pb.SubmitJobsRequest]:
    """Makes a request with a key of its own."""
    return submit


@pytest.fixture(name="stored")
def stored_fixture() -> Callable[[Any], dict[str, int]]:
    """Counts what is stored."""
    return stored


@pytest.fixture
def hold(corridor: Any) -> Iterator[Callable[[], Gate]]:
    """Holds the writer from when it is called; it is let go at the end of the test."""
    gates: list[Gate] = []

    def begin() -> Gate:
        gates.append(Gate(corridor.db))
        return gates[-1]

    yield begin
    for gate in gates:
        gate.open()


@pytest.fixture
def nothing() -> dict[str, int]:
    """What ``stored`` gives while nothing is."""
    return dict(NOTHING)
