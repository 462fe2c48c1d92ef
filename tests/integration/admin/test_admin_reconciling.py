"""Differences with a center's records over the real server: resolved by its record."""

import sqlite3
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import approval_pb2
from corridor.v1 import reconciliation_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from quota.rules import Rule
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import center_name, run_id
from tests.integration.conftest import refused
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

THEIRS = pb.DIFFERENCE_RESOLUTION_THEIRS
#: 222222 micro-fen a unit-second: 300 s cost 67 fen, 100 s 22.
THRESHOLD_FEN = 45


def _at(ms: int) -> Timestamp:
    found = Timestamp()
    found.FromMilliseconds(ms)
    return found


@pytest.fixture
async def corridor(start_corridor: Any, tmp_path: Path) -> Any:
    """A service with one settled run of wuhan at ``ai``; its ``use`` is our record of it."""
    it = Hands(worlds.build(rules=((Rule("pool", 1, "wuhan", 3_000), 1_000),)))
    [uid] = it.world.submit("w1", [job(NPU)])
    it.run(uid)
    it.end(uid, 300)
    path = tmp_path / "settled.db"
    raw = sqlite3.connect(path)
    it.db._raw.backup(raw)
    raw.close()
    it.db.close()
    found = await start_corridor(data=path, approvals=Approvals(threshold_fen=THRESHOLD_FEN))
    found.clock.ms = it.clock.ms + 1_000
    return found


async def _compare(corridor: Any, seconds: int) -> Any:
    """The center says that the run took so long; returns the difference."""
    [(uid, native, submit_ms, start_ms, units)] = corridor.rows(
        "SELECT job_uid, native_id, submit_ms, start_ms, units FROM usage_record WHERE revision = 0"
    )
    record = pb.CenterUse(
        name=center_name(run_id(uid, 1)), native_id=native, submit_time=_at(submit_ms),
        start_time=_at(start_ms), end_time=_at(start_ms + seconds * 1_000), cards=units,
    )  # fmt: skip
    request = pb.ReconcileCenterRequest(
        center="ai", from_time=_at(worlds.NOW_MS - 1_000), to_time=_at(corridor.clock.ms),
        source="a file", records=[record], reason="end of the month",
    )  # fmt: skip
    answer = await corridor.centers.ReconcileCenter(request, metadata=corridor.operator())
    [found] = answer.differences
    return found


def _resolve(corridor: Any, number: int, metadata: Any, how: Any = THEIRS) -> Any:
    request = pb.ResolveDifferenceRequest(
        difference_id=number, resolution=how, reason="its log is right"
    )
    return corridor.centers.ResolveDifference(request, metadata=metadata)


async def test_a_large_one_waits_for_another_person(corridor: Any) -> None:
    found = await _compare(corridor, 100)
    asked = await _resolve(corridor, found.difference_id, corridor.operator())
    assert asked.difference.open
    request = asked.change_request
    assert (request.kind, request.amount_fen) == (approval_pb2.CHANGE_KIND_CORRECTION, 45)
    assert request.target == f"centers/ai/differences/{found.difference_id}"
    accept = approval_pb2.ApproveChangeRequestRequest(number=request.number, reason="agreed")
    own = await refused(
        corridor.subsidies.ApproveChangeRequest(accept, metadata=corridor.operator())
    )
    assert own.code == grpc.StatusCode.PERMISSION_DENIED
    other = await refused(
        corridor.subsidies.ApproveChangeRequest(accept, metadata=corridor.city_admin("ezhou"))
    )
    assert other.code == grpc.StatusCode.NOT_FOUND
    assert corridor.rows("SELECT gross_fen FROM job") == [(67,)]
    await corridor.subsidies.ApproveChangeRequest(accept, metadata=corridor.city_admin("wuhan"))
    assert corridor.rows("SELECT gross_fen FROM job") == [(22,)]
    listed = await corridor.centers.ListDifferences(
        pb.ListDifferencesRequest(show_resolved=True), metadata=corridor.city_admin("wuhan")
    )
    [done] = listed.differences
    assert not done.open
    assert (done.charge_revision, done.resolved_by) == (1, "admin of wuhan")
    assert done.resolution == "THEIRS: its log is right"


async def test_a_small_one_is_taken_over_at_once_by_an_operator_alone(corridor: Any) -> None:
    found = await _compare(corridor, 299)
    for who in (corridor.city_admin("wuhan"), corridor.member("w1")):
        denied = await refused(_resolve(corridor, found.difference_id, who))
        assert denied.code == grpc.StatusCode.PERMISSION_DENIED
    wrong = await refused(_resolve(corridor, found.difference_id, corridor.operator(), 0))
    assert wrong.fields == ("resolution",)
    done = await _resolve(corridor, found.difference_id, corridor.operator())
    assert not done.HasField("change_request")
    assert (done.difference.open, done.difference.charge_revision) == (False, 1)
    again = await refused(
        _resolve(corridor, found.difference_id, corridor.operator(), pb.DIFFERENCE_RESOLUTION_OURS)
    )
    assert (again.code, again.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION, "DIFFERENCE_RESOLVED",
    )  # fmt: skip
