"""What rules ask about enterprises and flavors, over the real server: who says so, and the log."""

import json
from typing import Any

import grpc
import pytest
from corridor.v1 import center_service_pb2, rule_pb2
from corridor.v1 import fact_pb2 as pb
from corridor.v1 import identity_service_pb2 as identity_pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.domain.principal import Role
from tests.integration.conftest import refused

DAY_MS = 86_400_000
FLAVOR = "wuhan-sc/accelerator"
FACTS: dict[str, dict[str, Any]] = {
    "related": {"related_party": pb.RelatedParty(center="wuhan-ai")},
    "listed": {"listed_project": pb.ListedProject(list="ai-list", project="P-1")},
    "supported": {"earlier_support": pb.EarlierSupport(programme="wuhan-startup", since_year=2025)},
}


def _at(ms: int) -> Timestamp:
    found = Timestamp()
    found.FromMilliseconds(ms)
    return found


def _add(corridor: Any, metadata: Any, what: str = "related", **changes: Any) -> Any:
    said: dict[str, Any] = {"enterprise": "sample-wuhan-1", "source": "notice 8", **FACTS[what]}
    reason = changes.pop("reason", "found in the register")
    checked = changes.pop("validate_only", False)
    request = pb.AddEnterpriseFactRequest(
        fact=pb.EnterpriseFact(**{**said, **changes}), reason=reason, validate_only=checked
    )
    return corridor.identity.AddEnterpriseFact(request, metadata=metadata)


def _end(corridor: Any, metadata: Any, what: str = "related", **changes: Any) -> Any:
    fact = pb.EnterpriseFact(enterprise="sample-wuhan-1", **FACTS[what])
    request = pb.EndEnterpriseFactRequest(**{"fact": fact, "reason": "sold its share", **changes})
    return corridor.identity.EndEnterpriseFact(request, metadata=metadata)


async def _facts(corridor: Any, metadata: Any, *, ended: bool = False) -> list[Any]:
    request = pb.ListEnterpriseFactsRequest(enterprise="sample-wuhan-1", show_ended=ended)
    answer = await corridor.identity.ListEnterpriseFacts(request, metadata=metadata)
    return list(answer.facts)


@pytest.mark.parametrize("what", sorted(FACTS))
async def test_a_fact_goes_from_its_beginning_to_its_end(corridor: Any, what: str) -> None:
    admin = corridor.city_admin("wuhan")
    start_ms = corridor.clock.ms + DAY_MS
    asked = await _add(corridor, admin, what, effective_time=_at(start_ms), validate_only=True)
    assert asked.fact.state == rule_pb2.TERM_STATE_PLANNED
    assert await _facts(corridor, admin) == []
    added = (await _add(corridor, admin, what, effective_time=_at(start_ms))).fact
    assert await _facts(corridor, corridor.member("sample-wuhan-1")) == [added]
    assert added.effective_time.ToMilliseconds() == start_ms
    assert not added.HasField("end_time")
    again = await refused(_add(corridor, admin, what, effective_time=_at(start_ms + 1)))
    assert (again.code, again.reason) == (grpc.StatusCode.ALREADY_EXISTS, "FACT_THERE")
    corridor.clock.ms = start_ms
    [there] = await _facts(corridor, admin)
    assert there.state == rule_pb2.TERM_STATE_IN_FORCE
    [ended] = (await _end(corridor, admin, what)).facts
    assert ended.end_time.ToMilliseconds() == start_ms
    assert await _facts(corridor, admin) == []
    assert await _facts(corridor, admin, ended=True) == [ended]
    gone = await refused(_end(corridor, admin, what))
    assert gone.code == grpc.StatusCode.NOT_FOUND


async def test_each_change_is_in_the_audit_log_with_before_and_after(corridor: Any) -> None:
    admin = corridor.city_admin("wuhan")
    now_ms = corridor.clock.ms
    await _add(corridor, admin, "supported")
    await _end(corridor, admin, "supported", end_time=_at(now_ms + DAY_MS))
    request = identity_pb.ListAuditEventsRequest(target="enterprises/sample-wuhan-1")
    events = (await corridor.identity.ListAuditEvents(request, metadata=admin)).events
    said = {"since_year": 2025, "valid_from_ms": now_ms, "source": "notice 8"}
    assert [
        (
            one.action, one.target, one.actor, one.enterprise, one.reason,
            json.loads(one.before or "null"), json.loads(one.after),
        )
        for one in events
    ] == [
        (
            "ENTERPRISE_FACT_ENDED", "enterprises/sample-wuhan-1/earlierSupport/wuhan-startup",
            "admin of wuhan", "sample-wuhan-1", "sold its share", {**said, "valid_to_ms": None},
            {**said, "valid_to_ms": now_ms + DAY_MS},
        ),
        (
            "ENTERPRISE_FACT_ADDED", "enterprises/sample-wuhan-1/earlierSupport/wuhan-startup",
            "admin of wuhan", "sample-wuhan-1", "found in the register", None,
            {**said, "valid_to_ms": None},
        ),
    ]  # fmt: skip


async def test_only_its_own_city_and_operators_say_what_an_enterprise_is(corridor: Any) -> None:
    other = corridor.city_admin("ezhou")
    for call in (
        _add(corridor, other),
        _end(corridor, other),
        _facts(corridor, other),
        _facts(corridor, corridor.member("sample-ezhou-1")),
    ):
        assert (await refused(call)).code == grpc.StatusCode.NOT_FOUND
    for who in (
        corridor.member("sample-wuhan-1"),
        corridor.token(Role.ENTERPRISE_ADMIN, enterprise="sample-wuhan-1"),
        corridor.token(Role.AUDITOR),
    ):
        for call in (_add(corridor, who), _end(corridor, who)):
            assert (await refused(call)).code == grpc.StatusCode.PERMISSION_DENIED
    assert await _facts(corridor, corridor.token(Role.AUDITOR), ended=True) == []
    await _add(corridor, corridor.operator())
    assert len(await _facts(corridor, corridor.token(Role.AUDITOR))) == 1


async def test_bad_facts_are_refused_and_nothing_is_written(corridor: Any) -> None:
    admin = corridor.city_admin("wuhan")
    past = _at(corridor.clock.ms - 1)
    for field, changes in (
        ("reason", {"reason": " "}),
        ("fact.source", {"source": ""}),
        ("fact.enterprise", {"enterprise": ""}),
        ("fact", {"related_party": None}),
        ("fact.related_party.center", {"related_party": pb.RelatedParty()}),
        ("fact.related_party.center", {"related_party": pb.RelatedParty(center="moon")}),
        ("fact.effective_time", {"effective_time": past}),
        ("fact.end_time", {"end_time": past}),
    ):
        found = await refused(_add(corridor, admin, **changes))
        assert found.code == grpc.StatusCode.INVALID_ARGUMENT, changes
        assert field in found.fields, changes
    late = await refused(_end(corridor, admin, end_time=past))
    assert late.fields == ("end_time",)
    there = corridor.rows("SELECT * FROM related_party WHERE enterprise = 'sample-wuhan-1'")
    assert there == []
    assert corridor.rows("SELECT * FROM audit_event WHERE action LIKE '%FACT%'") == []


async def test_an_operator_says_what_is_of_domestic_make(corridor: Any) -> None:
    async def shown() -> bool:
        request = center_service_pb2.GetCenterRequest(center="wuhan-sc")
        answer = await corridor.centers.GetCenter(request, metadata=operator)
        [found] = [one.domestic for one in answer.center.flavors if one.flavor == FLAVOR]
        return bool(found)

    operator = corridor.operator()
    assert not await shown()
    request = pb.SetFlavorDomesticRequest(flavor=FLAVOR, domestic=True, reason="new cards")
    for _ in range(2):  # the second time it is so already
        answer = await corridor.centers.SetFlavorDomestic(request, metadata=operator)
        assert answer.domestic
    assert await shown()
    events = corridor.rows(
        "SELECT target, reason, before, after FROM audit_event WHERE action = 'FLAVOR_DOMESTIC_SET'"
    )
    target = f"centers/wuhan-sc/flavors/{FLAVOR}"
    assert events == [(target, "new cards", '{"domestic":false}', '{"domestic":true}')]
    admin = corridor.city_admin("wuhan")
    denied = await refused(corridor.centers.SetFlavorDomestic(request, metadata=admin))
    assert denied.code == grpc.StatusCode.PERMISSION_DENIED
    for field, changes in (("reason", {"reason": ""}), ("flavor", {"flavor": ""})):
        given: dict[str, Any] = {"flavor": FLAVOR, "reason": "x", **changes}
        wrong = pb.SetFlavorDomesticRequest(**given)
        found = await refused(corridor.centers.SetFlavorDomestic(wrong, metadata=operator))
        assert found.fields == (field,)
    request.flavor = "wuhan-sc/moon"
    gone = await refused(corridor.centers.SetFlavorDomestic(request, metadata=operator))
    assert gone.code == grpc.StatusCode.NOT_FOUND
