"""Programmes and versions of their rules, over the real server."""

import json
from typing import Any

import grpc
import pytest
from corridor.v1 import approval_pb2, rule_pb2, subsidy_service_pb2
from corridor.v1 import rule_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.domain.approving import Approvals
from scheduler.domain.principal import Role

DAY_MS = 86_400_000
PROGRAMME = "ezhou-voucher"


def _at(ms: int) -> Timestamp:
    found = Timestamp()
    found.FromMilliseconds(ms)
    return found


def _rule(**changes: Any) -> pb.SubsidyRule:
    return pb.SubsidyRule(**{"rate_bp": 2500, "year_cap_fen": 60_000_000, **changes})


def _propose(corridor: Any, metadata: Any, rule: pb.SubsidyRule | None = None, **more: Any) -> Any:
    values: dict[str, Any] = {"request_id": "r-1", "programme": PROGRAMME, "reason": "new document"}
    request = pb.ProposeRuleVersionRequest(
        **{**values, "rule": _rule() if rule is None else rule, **more}
    )
    return corridor.subsidies.ProposeRuleVersion(request, metadata=metadata)


def _create(corridor: Any, metadata: Any, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "request_id": "r-1",
        "programme": "ezhou-opc",
        "city": "ezhou",
        "display_name": "鄂州一人公司算力券（示例）",
        "document_ref": "示例：非真实政策",
        "sample": True,
        "rule": _rule(startup_only=True),
        "reason": "decided in council",
    }
    request = pb.CreateProgrammeRequest(**{**values, **changes})
    return corridor.subsidies.CreateProgramme(request, metadata=metadata)


def _end(corridor: Any, metadata: Any, **changes: Any) -> Any:
    values: dict[str, Any] = {"request_id": "e-1", "programme": PROGRAMME, "reason": "it is over"}
    request = pb.EndProgrammeRequest(**{**values, **changes})
    return corridor.subsidies.EndProgramme(request, metadata=metadata)


async def _approve(corridor: Any, metadata: Any, number: int) -> Any:
    request = approval_pb2.ApproveChangeRequestRequest(number=number, reason="the council agreed")
    return await corridor.subsidies.ApproveChangeRequest(request, metadata=metadata)


async def _get(corridor: Any, metadata: Any, programme: str = PROGRAMME) -> Any:
    request = pb.GetProgrammeRequest(programme=programme)
    return await corridor.subsidies.GetProgramme(request, metadata=metadata)


async def _versions(corridor: Any, metadata: Any, programme: str = PROGRAMME) -> list[Any]:
    request = pb.ListRuleVersionsRequest(programme=programme)
    answer = await corridor.subsidies.ListRuleVersions(request, metadata=metadata)
    return list(answer.versions)


def _kept(corridor: Any) -> list[Any]:
    """Everything that a change of a rule could write."""
    return [
        corridor.rows(f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("programme", "rule_version", "change_request", "audit_event", "event")
    ]


async def test_a_version_is_in_force_from_its_approval_on(corridor: Any) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    before = corridor.rows("SELECT * FROM rule_version")
    asked = await _propose(corridor, ezhou)
    assert not asked.HasField("version")
    found = asked.change_request
    assert (found.number, found.kind, found.target, found.city) == (
        1, approval_pb2.CHANGE_KIND_RULE_VERSION, f"programmes/{PROGRAMME}", "ezhou",
    )  # fmt: skip
    assert json.loads(found.before_json) == {"rate_bp": 2000, "year_cap_fen": 50_000_000}
    assert json.loads(found.after_json) == {"rate_bp": 2500, "year_cap_fen": 60_000_000}
    assert (await _propose(corridor, ezhou)).change_request == found
    assert corridor.rows("SELECT * FROM rule_version") == before
    [(told,)] = corridor.rows("SELECT max(seq) FROM event")
    corridor.clock.ms += 1_000
    await _approve(corridor, operator, 1)
    newest, first = await _versions(corridor, ezhou)
    assert (newest.version, newest.rule.rate_bp, newest.state) == (2, 2500, pb.TERM_STATE_IN_FORCE)
    assert (newest.created_by, newest.approved_by) == ("admin of ezhou", "operator")
    assert newest.effective_time.ToMilliseconds() == corridor.clock.ms
    assert not newest.HasField("end_time")
    assert (first.version, first.state) == (1, pb.TERM_STATE_ENDED)
    assert first.end_time == newest.effective_time
    [(body, digest)] = corridor.rows(
        f"SELECT body, sha256 FROM rule_version WHERE programme = '{PROGRAMME}' AND version = 2"
    )
    assert newest.sha256 == digest
    assert json.loads(body)["version"] == 2
    shown = await _get(corridor, ezhou)
    assert shown.current == newest
    assert not shown.HasField("planned")
    listed = await corridor.subsidies.ListProgrammes(
        subsidy_service_pb2.ListProgrammesRequest(city="ezhou"), metadata=ezhou
    )
    [one] = listed.programmes
    assert (one.rule_version, one.rate_bp, one.enterprise_year_cap_fen) == (2, 2500, 60_000_000)
    assert corridor.rows(
        "SELECT action, actor, target FROM audit_event WHERE action LIKE 'RULE_%'"
    ) == [("RULE_VERSION_ADDED", "operator", f"programmes/{PROGRAMME}/rules/2")]
    assert corridor.rows(f"SELECT kind, city FROM event WHERE seq > {told}") == [
        ("FUND_CHANGED", "ezhou")
    ]


async def test_a_version_is_planned_until_its_day_comes(corridor: Any, refusal: Any) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    start_ms = corridor.clock.ms + 10 * DAY_MS
    await _propose(corridor, ezhou, effective_time=_at(start_ms), document_ref="示例二")
    await _approve(corridor, operator, 1)
    shown = await _get(corridor, ezhou)
    assert (shown.state, shown.current.version, shown.planned.version) == (
        pb.TERM_STATE_IN_FORCE, 1, 2,
    )  # fmt: skip
    assert shown.current.end_time == shown.planned.effective_time == _at(start_ms)
    assert shown.planned.document_ref == "示例二"
    found = await refusal(_propose(corridor, ezhou, _rule(rate_bp=1), request_id="r-2"))
    assert found.fields == ("effective_time",)
    assert "until 2026-10-01" in found.message
    late = await refusal(
        _propose(corridor, ezhou, _rule(rate_bp=1), request_id="r-3", effective_time=_at(start_ms))
    )
    assert "version 2" in late.message
    corridor.clock.ms = start_ms
    shown = await _get(corridor, ezhou)
    assert shown.current.version == 2
    assert not shown.HasField("planned")


async def test_a_rule_with_an_end_gives_nothing_after_it(corridor: Any) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    end_ms = corridor.clock.ms + DAY_MS
    await _propose(corridor, ezhou, end_time=_at(end_ms))
    await _approve(corridor, operator, 1)
    corridor.clock.ms = end_ms
    shown = await _get(corridor, ezhou)
    assert shown.state == pb.TERM_STATE_ENDED
    assert not shown.HasField("current")
    listed = await corridor.subsidies.ListProgrammes(
        subsidy_service_pb2.ListProgrammesRequest(city="ezhou"), metadata=ezhou
    )
    assert [(one.rule_version, one.rate_bp) for one in listed.programmes] == [(0, 0)]


@pytest.mark.parametrize(
    ("rule", "field", "says"),
    [
        (_rule(rate_bp=10_001), "rule.rate_bp", "0..10000"),
        (_rule(tiers=[pb.RuleTier(rate_bp=-1)]), "rule.tiers[0].rate_bp", "0..10000"),
        (
            _rule(funders=[pb.RuleFunder(funder="ezhou", share_bp=9_500)]),
            "rule.funders",
            "10000 (100 %), not 9500",
        ),
        (
            _rule(funders=[pb.RuleFunder(funder="hubei", share_bp=10_000)]),
            "rule.funders",
            "'ezhou' is one of them",
        ),
        (_rule(flavors=["mars/npu"]), "rule.flavors[0]", "wuhan-ai/ascend-910b"),
        (_rule(mode="REIMBURSE"), "rule.mode", "create another programme"),
        (_rule(mode="GIFT"), "rule.mode", "DEDUCT or REIMBURSE"),
        (_rule(base="NET"), "rule.base", "GROSS or REMAINING"),
        (_rule(validity_months=12), "rule.issue", "set issue to VOUCHER"),
        (_rule(support_years=0), "rule.support_years", "at least 1"),
        (_rule(ceiling_bp=0), "rule.ceiling_bp", "1..10000"),
        (_rule(job_cap_fen=-1), "rule.job_cap_fen", "must be 0.."),
        (_rule(sectors=["x" * 300]), "rule.sectors[0]", "256 characters"),
        (_rule(rate_bp=2000, year_cap_fen=50_000_000), "rule", "version 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_rule_is_refused_by_field_and_nothing_is_kept(
    corridor: Any, refusal: Any, rule: pb.SubsidyRule, field: str, says: str
) -> None:
    ezhou = corridor.city_admin("ezhou")
    before = _kept(corridor)
    found = await refusal(_propose(corridor, ezhou, rule))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))
    assert says in found.message
    assert _kept(corridor) == before


async def test_nothing_takes_effect_in_the_past(corridor: Any, refusal: Any) -> None:
    """Neither when it is asked for, nor when it is approved too late."""
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    now_ms = corridor.clock.ms
    for when, field in (
        ({"effective_time": _at(now_ms - 1)}, "effective_time"),
        ({"effective_time": _at(now_ms + 6 * 366 * DAY_MS)}, "effective_time"),
        ({"end_time": _at(now_ms)}, "end_time"),
        ({"effective_time": _at(now_ms + 9), "end_time": _at(now_ms + 9)}, "end_time"),
    ):
        found = await refusal(_propose(corridor, ezhou, None, **when))
        assert found.fields == (field,)
    await _propose(corridor, ezhou, effective_time=_at(now_ms + 1_000))
    corridor.clock.ms += 1_001
    before = _kept(corridor)
    request = approval_pb2.ApproveChangeRequestRequest(number=1, reason="late")
    found = await refusal(corridor.subsidies.ApproveChangeRequest(request, metadata=operator))
    assert found.code == grpc.StatusCode.FAILED_PRECONDITION
    assert "in the past" in found.message
    assert _kept(corridor) == before


async def test_of_two_requests_for_one_day_the_second_no_longer_fits(
    corridor: Any, refusal: Any
) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    start = _at(corridor.clock.ms + DAY_MS)
    await _propose(corridor, ezhou, request_id="a", effective_time=start)
    await _propose(corridor, ezhou, _rule(rate_bp=1), request_id="b", effective_time=start)
    await _approve(corridor, operator, 2)
    request = approval_pb2.ApproveChangeRequestRequest(number=1, reason="and this")
    found = await refusal(corridor.subsidies.ApproveChangeRequest(request, metadata=operator))
    assert found.code == grpc.StatusCode.FAILED_PRECONDITION
    assert "version 2" in found.message
    newest, _ = await _versions(corridor, ezhou)
    assert newest.rule.rate_bp == 1


async def test_a_programme_is_created_with_its_first_rule_when_approved(
    corridor: Any, refusal: Any
) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    asked = (await _create(corridor, ezhou)).change_request
    assert json.loads(asked.after_json)["name"] == "鄂州一人公司算力券（示例）"
    assert corridor.rows("SELECT 1 FROM programme WHERE code = 'ezhou-opc'") == []
    await _approve(corridor, operator, 1)
    shown = await _get(corridor, ezhou, "ezhou-opc")
    assert (shown.city, shown.sample, shown.state) == ("ezhou", True, pb.TERM_STATE_IN_FORCE)
    assert (shown.current.version, shown.current.rule.startup_only) == (1, True)
    found = await refusal(_create(corridor, ezhou, request_id="r-2"))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    assert corridor.rows(
        "SELECT action, target FROM audit_event WHERE action LIKE 'PROGRAMME_%'"
    ) == [("PROGRAMME_CREATED", "programmes/ezhou-opc/rules/1")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"programme": ""}, "programme"),
        ({"programme": "Ezhou:1"}, "programme"),
        ({"display_name": ""}, "display_name"),
        ({"document_ref": ""}, "document_ref"),
        ({"request_id": ""}, "request_id"),
        ({"reason": ""}, "reason"),
        ({"city": "wuhan"}, "city"),
        ({"city": "corridor"}, "city"),
    ],
)
async def test_a_wrong_programme_is_refused_by_field(
    corridor: Any, refusal: Any, changes: dict[str, Any], field: str
) -> None:
    ezhou = corridor.city_admin("ezhou")
    before = _kept(corridor)
    found = await refusal(_create(corridor, ezhou, **changes))
    assert found.fields == (field,)
    assert _kept(corridor) == before


async def test_operators_decide_among_themselves_on_programmes_of_the_corridor(
    corridor: Any, refusal: Any
) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    asked = await _propose(corridor, operator, programme="corridor-shared")
    assert asked.change_request.city == "corridor"
    found = await refusal(_propose(corridor, ezhou, programme="corridor-shared"))
    assert found.code == grpc.StatusCode.NOT_FOUND
    found = await refusal(_propose(corridor, ezhou, programme="wuhan-voucher"))
    assert found.code == grpc.StatusCode.NOT_FOUND
    request = approval_pb2.ApproveChangeRequestRequest(number=1, reason="mine")
    found = await refusal(corridor.subsidies.ApproveChangeRequest(request, metadata=ezhou))
    assert found.code == grpc.StatusCode.NOT_FOUND
    await _approve(corridor, corridor.token(Role.OPERATOR, subject="second operator"), 1)
    assert (await _get(corridor, ezhou, "corridor-shared")).current.version == 2


async def test_ending_stops_what_is_in_force_and_what_is_planned(
    corridor: Any, refusal: Any
) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    later_ms = corridor.clock.ms + 10 * DAY_MS
    await _propose(corridor, ezhou, effective_time=_at(later_ms))
    await _approve(corridor, operator, 1)
    asked = await _end(corridor, ezhou, end_time=_at(corridor.clock.ms + DAY_MS))
    assert asked.change_request.kind == approval_pb2.CHANGE_KIND_RULE_END
    await _approve(corridor, operator, 2)
    newest, first = await _versions(corridor, ezhou)
    assert first.end_time == _at(corridor.clock.ms + DAY_MS)
    assert newest.end_time == newest.effective_time
    assert newest.state == pb.TERM_STATE_ENDED, "it never was in force"
    found = await refusal(_end(corridor, ezhou, request_id="e-2", end_time=_at(later_ms)))
    assert found.fields == ("end_time",)
    assert "nearer" in found.message
    found = await refusal(_end(corridor, ezhou, request_id="e-3", version=9))
    assert found.fields == ("version",)
    corridor.clock.ms += DAY_MS
    assert (await _get(corridor, ezhou)).state == pb.TERM_STATE_ENDED
    again = await _propose(corridor, ezhou, request_id="r-2")
    await _approve(corridor, operator, again.change_request.number)
    assert (await _get(corridor, ezhou)).current.version == 3


async def test_one_planned_version_can_be_ended_alone(corridor: Any) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    await _propose(corridor, ezhou, effective_time=_at(corridor.clock.ms + DAY_MS))
    await _approve(corridor, operator, 1)
    await _end(corridor, ezhou, version=2)
    await _approve(corridor, operator, 2)
    shown = await _get(corridor, ezhou)
    assert shown.current.version == 1
    assert not shown.HasField("planned")


async def test_validation_alone_keeps_nothing(corridor: Any, refusal: Any) -> None:
    ezhou = corridor.city_admin("ezhou")
    before = _kept(corridor)
    for call in (_propose, _create, _end):
        answer = await call(corridor, ezhou, validate_only=True)
        assert answer.change_request.number == 0
        assert answer.change_request.state == approval_pb2.CHANGE_STATE_PENDING
    found = await refusal(_propose(corridor, ezhou, _rule(rate_bp=-1), validate_only=True))
    assert found.fields == ("rule.rate_bp",)
    assert _kept(corridor) == before


async def test_one_person_may_do_if_the_setting_says_so(start_corridor: Any) -> None:
    corridor = await start_corridor(approvals=Approvals(two_person=False))
    ezhou = corridor.city_admin("ezhou")
    made = await _propose(corridor, ezhou)
    assert not made.HasField("change_request")
    assert (made.version.version, made.version.created_by, made.version.approved_by) == (
        2, "admin of ezhou", "",
    )  # fmt: skip
    assert (await _create(corridor, ezhou)).version.version == 1
    assert not (await _end(corridor, ezhou)).HasField("change_request")
    assert corridor.rows("SELECT * FROM change_request") == []


async def test_versions_are_read_in_pages_and_by_those_concerned(
    corridor: Any, refusal: Any
) -> None:
    operator = corridor.operator()
    for number in range(4):
        asked = await _propose(
            corridor, corridor.city_admin("ezhou"), _rule(rate_bp=number), request_id=f"r-{number}"
        )
        await _approve(corridor, operator, asked.change_request.number)
        corridor.clock.ms += 1
    seen, token = list[int](), ""
    while True:
        request = rule_pb2.ListRuleVersionsRequest(
            programme=PROGRAMME, page_size=2, page_token=token
        )
        page = await corridor.subsidies.ListRuleVersions(request, metadata=operator)
        seen += [one.version for one in page.versions]
        token = page.next_page_token
        if not token:
            break
    assert seen == [5, 4, 3, 2, 1]
    member = corridor.member("sample-ezhou-1")
    assert (await _get(corridor, member)).current.version == 5
    for programme in ("wuhan-voucher", "none"):
        found = await refusal(_get(corridor, member, programme))
        assert found.code == grpc.StatusCode.NOT_FOUND
        found = await refusal(_versions(corridor, member, programme))
        assert found.code == grpc.StatusCode.NOT_FOUND
