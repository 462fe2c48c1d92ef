"""The audit log over the API: who sees which entries, filtered and page by page."""

import json
from typing import Any

import grpc
import pytest
from corridor.v1 import identity_service_pb2 as pb
from corridor.v1 import quota_service_pb2

from scheduler.domain.principal import Role

NPU, CPU = "wuhan-ai/ascend-910b", "wuhan-sc/kunpeng-920"
EZHOU_1, WUHAN_1 = "sample-ezhou-1", "sample-wuhan-1"


async def cap(corridor: Any, enterprise: str, units: int, caller: Any, flavor: str = NPU) -> None:
    """Set an enterprise's cap."""
    asked = quota_service_pb2.GetEnterpriseQuotaRequest(enterprise=enterprise, flavor=flavor)
    quota = (await corridor.quotas.GetEnterpriseQuota(asked, metadata=caller)).quota
    quota.cap_units = units
    request = quota_service_pb2.UpdateEnterpriseQuotaRequest(quota=quota, reason=f"to {units}")
    await corridor.quotas.UpdateEnterpriseQuota(request, metadata=caller)


@pytest.fixture
async def changed(corridor: Any) -> Any:
    """Caps of two cities were set, one of them twice."""
    await cap(corridor, EZHOU_1, 5, corridor.city_admin("ezhou"))
    await cap(corridor, WUHAN_1, 7, corridor.city_admin("wuhan"))
    await cap(corridor, EZHOU_1, 9, corridor.operator())
    await cap(corridor, EZHOU_1, 3, corridor.operator(), CPU)
    return corridor


async def seen(corridor: Any, caller: Any, size: int = 2, **filters: Any) -> list[pb.AuditEvent]:
    """All entries of caps that a caller sees, page by page."""
    found: list[pb.AuditEvent] = []
    token = ""
    while True:
        request = pb.ListAuditEventsRequest(
            page_size=size, page_token=token, action="ENTERPRISE_QUOTA_CHANGED", **filters
        )
        answer = await corridor.identity.ListAuditEvents(request, metadata=caller)
        found += answer.events
        token = answer.next_page_token
        if not token:
            return found


async def test_an_entry_says_who_what_before_and_after_and_why(changed: Any) -> None:
    last, second, *_ = await seen(changed, changed.operator(), size=10)
    assert last.event_id > second.event_id
    assert (second.action, second.role) == ("ENTERPRISE_QUOTA_CHANGED", pb.ROLE_OPERATOR)
    assert second.target == f"enterprises/{EZHOU_1}/quotas/{NPU}"
    assert (second.city, second.enterprise, second.reason) == ("ezhou", EZHOU_1, "to 9")
    assert json.loads(second.before)["cap_units"] == 5
    assert json.loads(second.after)["cap_units"] == 9
    assert second.time.seconds


async def test_a_city_sees_what_concerns_it_and_an_auditor_all(changed: Any, refusal: Any) -> None:
    def why(found: list[pb.AuditEvent]) -> list[str]:
        return [one.reason for one in found]

    assert why(await seen(changed, changed.operator())) == ["to 3", "to 9", "to 7", "to 5"]
    assert why(await seen(changed, changed.token(Role.AUDITOR))) == ["to 3", "to 9", "to 7", "to 5"]
    assert why(await seen(changed, changed.city_admin("ezhou"))) == ["to 3", "to 9", "to 5"]
    assert why(await seen(changed, changed.city_admin("huangshi"))) == []
    assert why(await seen(changed, changed.city_admin("ezhou"), city="wuhan")) == []
    told = await refusal(seen(changed, changed.member(EZHOU_1)))
    assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"target": f"enterprises/{EZHOU_1}"}, ["to 3", "to 9", "to 5"]),
        ({"target": f"enterprises/{EZHOU_1}/quotas/{CPU}"}, ["to 3"]),
        ({"target": "enterprises/sample-ezhou"}, []),
        ({"actor": "admin of wuhan"}, ["to 7"]),
        ({"city": "ezhou"}, ["to 3", "to 9", "to 5"]),
    ],
)
async def test_entries_are_filtered(
    changed: Any, filters: dict[str, Any], expected: list[str]
) -> None:
    found = await seen(changed, changed.operator(), **filters)
    assert [one.reason for one in found] == expected


async def test_a_page_token_of_another_list_is_refused(changed: Any, refusal: Any) -> None:
    request = pb.ListAuditEventsRequest(page_token="abc")
    told = await refusal(changed.identity.ListAuditEvents(request, metadata=changed.operator()))
    assert (told.code, told.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("page_token",))
