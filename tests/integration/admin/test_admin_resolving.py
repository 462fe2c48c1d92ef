"""Runs resolved by hand over the real server: who may, what is refused, and what is kept."""

import sqlite3
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import resolution_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.domain.ids import run_id
from scheduler.domain.reports import silent
from tests.integration.conftest import refused
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job


def _at(ms: int) -> Timestamp:
    found = Timestamp()
    found.FromMilliseconds(ms)
    return found


@pytest.fixture
async def corridor(start_corridor: Any, tmp_path: Path) -> Any:
    """A service with a run of wuhan at ``ai`` that began, and whose outcome nobody knows."""
    it = Hands(worlds.build(rules=()))
    [uid] = it.world.submit("w1", [job(NPU)])
    it.run(uid)
    it.report(silent(uid, 1, "no answer"))
    path = tmp_path / "unknown.db"
    raw = sqlite3.connect(path)
    it.db._raw.backup(raw)
    raw.close()
    it.db.close()
    found = await start_corridor(data=path)
    found.clock.ms = it.clock.ms + 3_600_000
    found.run, found.start_ms = run_id(uid, 1), it.clock.ms
    return found


def _ended(corridor: Any, **changes: Any) -> pb.ResolveRunRequest:
    given: dict[str, Any] = {
        "run_id": corridor.run, "resolution": pb.RUN_RESOLUTION_ENDED, "exit_code": 0,
        "end_time": _at(corridor.start_ms + 300_000), "reason": "its log says so", **changes,
    }  # fmt: skip
    return pb.ResolveRunRequest(**{key: value for key, value in given.items() if value is not None})


async def test_an_operator_says_how_a_run_ended_and_it_is_billed(corridor: Any) -> None:
    operator = corridor.operator()
    done = await corridor.centers.ResolveRun(_ended(corridor), metadata=operator)
    assert (done.run_id, done.center) == (corridor.run, "ai")
    assert (done.run_state, done.job_state, done.gross_fen) == ("SUCCEEDED", "SUCCEEDED", 67)
    again = await corridor.centers.ResolveRun(_ended(corridor), metadata=operator)
    assert again == done
    other = _ended(corridor, resolution=pb.RUN_RESOLUTION_LOST, exit_code=None, end_time=None)
    denied = await refused(corridor.centers.ResolveRun(other, metadata=operator))
    assert denied.code == grpc.StatusCode.FAILED_PRECONDITION
    assert corridor.rows(
        "SELECT action, reason FROM audit_event WHERE action = 'RUN_RESOLVED'"
    ) == [("RUN_RESOLVED", "its log says so")]


async def test_nobody_else_may(corridor: Any) -> None:
    for who in (corridor.city_admin("wuhan"), corridor.member("w1")):
        denied = await refused(corridor.centers.ResolveRun(_ended(corridor), metadata=who))
        assert denied.code == grpc.StatusCode.PERMISSION_DENIED
    assert corridor.rows("SELECT state FROM run") == [("UNKNOWN",)]


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("reason", {"reason": " "}),
        ("run", {"run_id": "j1"}),
        ("resolution", {"resolution": 0}),
        ("resolution", {"resolution": 77}),
        ("exit_code", {"exit_code": None}),
        ("exit_code", {"exit_code": 256}),
        ("end_time", {"end_time": None}),
        ("end_time", {"end_time": Timestamp(seconds=1)}),
        ("exit_code", {"resolution": pb.RUN_RESOLUTION_LOST, "end_time": None}),
        ("end_time", {"resolution": pb.RUN_RESOLUTION_CANCELLED, "exit_code": None}),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    corridor: Any, field: str, changes: dict[str, Any]
) -> None:
    request = _ended(corridor, **changes)
    found = await refused(corridor.centers.ResolveRun(request, metadata=corridor.operator()))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))
    assert corridor.rows("SELECT state, resolution FROM run") == [("UNKNOWN", "")]


async def test_a_run_that_is_not_there_is_named(corridor: Any) -> None:
    request = _ended(corridor, run_id="j0000000000001.1")
    gone = await refused(corridor.centers.ResolveRun(request, metadata=corridor.operator()))
    assert gone.code == grpc.StatusCode.NOT_FOUND
