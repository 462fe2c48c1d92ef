"""Centers over the real server."""

from typing import Any

import grpc
import pytest
from corridor.v1 import center_service_pb2 as pb
from corridor.v1 import inventory_pb2, job_pb2

from adapters.contract import FlavorCapacity, Phase
from adapters.gate import GateState
from scheduler.domain.inventory import Inventoried, Inventory, Standing
from scheduler.domain.principal import Role
from scheduler.domain.states import RunState
from scheduler.errors import TemporarilyAway
from scheduler.services.context import CenterStatus
from tests.integration.conftest import NOW_MS, QuietCenters


async def test_centers_show_what_they_offer(corridor: Any, refusal: Any) -> None:
    member = corridor.token(Role.ENTERPRISE_MEMBER, enterprise="sample-ezhou-1")
    answer = await corridor.centers.ListCenters(pb.ListCentersRequest(), metadata=member)
    assert [one.center for one in answer.centers] == ["wuhan-ai", "wuhan-sc"]
    npu = answer.centers[0]
    assert npu.simulated
    assert npu.reachable
    assert npu.health_detail == "wuhan-ai is well"
    assert npu.display_name_zh == "武汉人工智能计算中心"
    (flavor,) = npu.flavors
    assert (flavor.flavor, flavor.capacity_units, flavor.units_per_node) == (
        "wuhan-ai/ascend-910b", 632, 8,
    )  # fmt: skip
    assert flavor.price_ufen_per_unit_second == 222_222
    assert flavor.price_version
    assert flavor.wall_limit_max_s == 14 * 86_400
    one = await corridor.centers.GetCenter(pb.GetCenterRequest(center="wuhan-ai"), metadata=member)
    assert one.center == npu
    found = await refusal(
        corridor.centers.GetCenter(pb.GetCenterRequest(center="mars"), metadata=member)
    )
    assert found.code == grpc.StatusCode.NOT_FOUND
    assert "wuhan-ai, wuhan-sc" in found.message


async def test_an_operator_cordons_drains_and_resumes_with_a_reason(
    corridor: Any, refusal: Any
) -> None:
    operator = corridor.operator()
    cordon, resume = corridor.centers.CordonCenter, corridor.centers.ResumeCenter
    request = pb.CordonCenterRequest(center="wuhan-sc")
    found = await refusal(cordon(request, metadata=operator))
    assert found.fields == ("reason",)
    request.reason = "cooling is serviced"
    for _ in range(2):  # the second changes nothing and notes nothing
        answer = await cordon(request, metadata=operator)
        assert answer.center.state == pb.CENTER_STATE_CORDONED
    drain = pb.DrainCenterRequest(center="wuhan-sc", reason="it takes long")
    answer = await corridor.centers.DrainCenter(drain, metadata=operator)
    assert answer.center.state == pb.CENTER_STATE_DRAINING
    again = pb.ResumeCenterRequest(center="wuhan-sc", reason="done")
    answer = await resume(again, metadata=operator)
    assert answer.center.state == pb.CENTER_STATE_OPEN
    assert corridor.rows(
        'SELECT target, "before", "after", reason FROM audit_event'
        " WHERE action = 'CENTER_CHANGED' ORDER BY seq"
    ) == [
        ("centers/wuhan-sc", '{"state":"OPEN"}', '{"state":"CORDONED"}', "cooling is serviced"),
        ("centers/wuhan-sc", '{"state":"CORDONED"}', '{"state":"DRAINING"}', "it takes long"),
        ("centers/wuhan-sc", '{"state":"DRAINING"}', '{"state":"OPEN"}', "done"),
    ]
    assert len(corridor.rows("SELECT 1 FROM event WHERE kind = 'CENTER_CHANGED'")) == 3


async def test_a_drain_may_have_a_deadline_that_lies_ahead(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    drain = pb.DrainCenterRequest(center="wuhan-sc", reason="new racks")
    drain.deadline.FromMilliseconds(corridor.clock.now_ms())
    found = await refusal(corridor.centers.DrainCenter(drain, metadata=operator))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("deadline",))
    assert corridor.rows("SELECT state FROM center WHERE code = 'wuhan-sc'") == [("OPEN",)]
    drain.deadline.FromMilliseconds(corridor.clock.now_ms() + 3_600_000)
    answer = await corridor.centers.DrainCenter(drain, metadata=operator)
    assert answer.center.drain_deadline == drain.deadline
    resumed = pb.ResumeCenterRequest(center="wuhan-sc", reason="done")
    answer = await corridor.centers.ResumeCenter(resumed, metadata=operator)
    assert not answer.center.HasField("drain_deadline")


class Told(QuietCenters):
    """Centers that tell all there is to tell."""

    def status(self, center: str) -> CenterStatus:
        theirs = FlavorCapacity("wuhan-sc/accelerator", 24, 8, "aarch64", 20, 3)
        return CenterStatus(
            False, "Unavailable: no route", NOW_MS - 9_000, "Unavailable: no route", NOW_MS - 1_000,
            GateState(False, 5, 7.5, 20.0), {theirs.flavor: theirs}, {"wuhan-sc/accelerator": 4},
        )  # fmt: skip

    async def take_inventory(self, center: str) -> Inventory:
        if center == "wuhan-ai":
            raise TemporarilyAway("wuhan-ai does not answer: Unavailable: no route")
        runs = [
            Inventoried(f"j{number:04d}.1", f"n{number}", Standing.STRAY, None, Phase.RUNNING)
            for number in range(1_200)
        ]
        told = Inventoried("j.1", "", Standing.MISSING, RunState.ACCEPTED, None)
        return Inventory(NOW_MS - 500, 7, 2, (told, *runs))


@pytest.fixture
async def told(start_corridor: Any) -> Any:
    """A service whose centers tell more."""
    return await start_corridor(centers=Told())


async def test_a_center_shows_live_what_it_told(told: Any) -> None:
    answer = await told.centers.GetCenter(
        pb.GetCenterRequest(center="wuhan-sc"), metadata=told.operator()
    )
    center = answer.center
    assert (center.last_error, center.reachable) == ("Unavailable: no route", False)
    assert center.last_error_time.ToMilliseconds() == NOW_MS - 1_000
    assert (center.gate.passes, center.gate.unanswered_calls) == (False, 5)
    assert (center.gate.next_call.ToMilliseconds(), center.gate.calls_per_second) == (7_500, 20.0)
    cards, cores = center.flavors
    assert (cards.center_used_units, cards.center_waiting_runs, cards.waiting_jobs) == (20, 3, 4)
    assert not cores.HasField("center_used_units")
    assert cores.waiting_jobs == 0


async def test_an_inventory_tells_at_most_a_thousand_runs(told: Any) -> None:
    request = inventory_pb2.TakeInventoryRequest(center="wuhan-sc")
    found = await told.centers.TakeInventory(request, metadata=told.operator())
    assert (found.agreed_count, found.unsent_count, found.run_count) == (7, 2, 1_201)
    assert len(found.runs) == 1_000
    assert found.look_time.ToMilliseconds() == NOW_MS - 500
    first, second = found.runs[:2]
    assert first.standing == inventory_pb2.INVENTORY_STANDING_MISSING
    assert (first.our_state, first.center_state) == (
        job_pb2.RUN_STATE_ACCEPTED, job_pb2.RUN_STATE_UNSPECIFIED,
    )  # fmt: skip
    assert second.standing == inventory_pb2.INVENTORY_STANDING_STRAY
    assert (second.our_state, second.center_state) == (
        job_pb2.RUN_STATE_UNSPECIFIED, job_pb2.RUN_STATE_RUNNING,
    )  # fmt: skip


async def test_an_inventory_needs_a_center_that_answers_and_an_operator(
    told: Any, refusal: Any
) -> None:
    take, operator = told.centers.TakeInventory, told.operator()
    away = inventory_pb2.TakeInventoryRequest(center="wuhan-ai")
    found = await refusal(take(away, metadata=operator))
    assert found.code == grpc.StatusCode.UNAVAILABLE
    nowhere = inventory_pb2.TakeInventoryRequest(center="mars")
    assert (await refusal(take(nowhere, metadata=operator))).code == grpc.StatusCode.NOT_FOUND
    none = inventory_pb2.TakeInventoryRequest()
    assert (await refusal(take(none, metadata=operator))).fields == ("center",)
    member = told.token(Role.ENTERPRISE_MEMBER, enterprise="sample-ezhou-1")
    denied = await refusal(take(away, metadata=member))
    assert denied.code == grpc.StatusCode.PERMISSION_DENIED
