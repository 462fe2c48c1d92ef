"""Centers over the real server."""

from typing import Any

import grpc
from corridor.v1 import center_service_pb2 as pb

from scheduler.domain.principal import Role


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
