"""Prices of centers over the real server: dated, of several flavors at once, by two persons."""

import json
from typing import Any

import grpc
import pytest
from corridor.v1 import approval_pb2, center_service_pb2, rule_pb2
from corridor.v1 import price_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.domain.approving import Approvals
from scheduler.domain.principal import Role

DAY_MS = 86_400_000
KUNPENG, ACCELERATOR = "wuhan-sc/kunpeng-920", "wuhan-sc/accelerator"


def _at(ms: int) -> Timestamp:
    found = Timestamp()
    found.FromMilliseconds(ms)
    return found


def _set(corridor: Any, metadata: Any, *prices: tuple[str, int], **changes: Any) -> Any:
    new = prices or ((KUNPENG, 3_000), (ACCELERATOR, 150_000))
    request = pb.SetPricesRequest(
        **{
            "request_id": "p-1",
            "center": "wuhan-sc",
            "reason": "new price list",
            "prices": [
                pb.FlavorPrice(flavor=flavor, price_ufen_per_unit_second=ufen)
                for flavor, ufen in new
            ],
            **changes,
        }
    )
    return corridor.centers.SetPrices(request, metadata=metadata)


async def _approve(corridor: Any, number: int, validate_only: bool = False) -> Any:
    request = approval_pb2.ApproveChangeRequestRequest(
        number=number, reason="agreed", validate_only=validate_only
    )
    second = corridor.token(Role.OPERATOR, subject="second operator")
    return await corridor.subsidies.ApproveChangeRequest(request, metadata=second)


async def _listed(corridor: Any, flavor: str = "") -> list[Any]:
    request = pb.ListPricesRequest(center="wuhan-sc", flavor=flavor)
    answer = await corridor.centers.ListPrices(request, metadata=corridor.operator())
    return list(answer.prices)


def _kept(corridor: Any) -> list[Any]:
    return [
        corridor.rows(f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("price_version", "change_request")
    ]


async def _offered(corridor: Any, flavor: str) -> tuple[int, str]:
    """Return (price, version) that the center offers now."""
    request = center_service_pb2.GetCenterRequest(center="wuhan-sc")
    answer = await corridor.centers.GetCenter(request, metadata=corridor.operator())
    [one] = [one for one in answer.center.flavors if one.flavor == flavor]
    return one.price_ufen_per_unit_second, one.price_version


async def test_prices_of_several_flavors_take_effect_together(corridor: Any) -> None:
    operator = corridor.operator()
    before = corridor.rows("SELECT * FROM price_version")
    start_ms = corridor.clock.ms + 10 * DAY_MS
    for _ in range(2):
        asked = await _set(corridor, operator, effective_time=_at(start_ms))
        assert not asked.prices
        found = asked.change_request
        assert (found.number, found.kind, found.city, found.target) == (
            1, approval_pb2.CHANGE_KIND_PRICE_VERSION, "corridor", "centers/wuhan-sc/prices",
        )  # fmt: skip
    assert json.loads(found.before_json) == {KUNPENG: 2_778, ACCELERATOR: 166_667}
    assert json.loads(found.after_json) == {
        KUNPENG: 3_000, ACCELERATOR: 150_000, "effective_from_ms": start_ms,
    }  # fmt: skip
    assert corridor.rows("SELECT * FROM price_version") == before
    await _approve(corridor, 1)
    newest, first = await _listed(corridor, KUNPENG)
    assert (newest.price_ufen_per_unit_second, newest.state, newest.unit) == (
        3_000, rule_pb2.TERM_STATE_PLANNED, "core",
    )  # fmt: skip
    assert (newest.created_by, newest.approved_by) == ("operator", "second operator")
    assert first.end_time == newest.effective_time == _at(start_ms)
    assert not newest.HasField("end_time")
    assert await _offered(corridor, KUNPENG) == (2_778, first.price_version)
    corridor.clock.ms = start_ms
    assert await _offered(corridor, KUNPENG) == (3_000, newest.price_version)
    assert (await _offered(corridor, ACCELERATOR))[0] == 150_000
    assert corridor.rows(
        "SELECT actor, target, reason FROM audit_event WHERE action = 'PRICE_SET' ORDER BY seq"
    ) == [
        ("second operator", f"centers/wuhan-sc/prices/{KUNPENG}@2", "agreed"),
        ("second operator", f"centers/wuhan-sc/prices/{ACCELERATOR}@2", "agreed"),
    ]


@pytest.mark.parametrize(
    ("prices", "changes", "field", "says"),
    [
        (((KUNPENG, -1),), {}, "prices[0].price_ufen_per_unit_second", "must be 0.."),
        (((KUNPENG, 1), (KUNPENG, 2)), {}, "prices[1].flavor", "twice"),
        ((("wuhan-ai/ascend-910b", 1),), {}, "prices[0].flavor", "wuhan-sc offers"),
        (((KUNPENG, 2_778),), {}, "prices[0].price_ufen", "leave the flavor out"),
        ((), {"prices": []}, "prices", "one for each flavor"),
        ((), {"reason": ""}, "reason", "mandatory"),
        ((), {"request_id": ""}, "request_id", "mandatory"),
        ((), {"center": ""}, "center", "mandatory"),
        ((), {"effective_time": _at(1_000)}, "effective_time", "in the past"),
    ],
)
async def test_wrong_prices_are_refused_by_field(
    corridor: Any, refusal: Any, prices: Any, changes: dict[str, Any], field: str, says: str
) -> None:
    before = _kept(corridor)
    found = await refusal(_set(corridor, corridor.operator(), *prices, **changes))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))
    assert says in found.message
    assert _kept(corridor) == before


async def test_dates_of_prices_do_not_overlap(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    start_ms = corridor.clock.ms + 10 * DAY_MS
    await _set(corridor, operator, (KUNPENG, 3_000), effective_time=_at(start_ms))
    await _approve(corridor, 1)
    before = _kept(corridor)
    for at_ms in (start_ms - DAY_MS, start_ms):
        found = await refusal(
            _set(corridor, operator, (KUNPENG, 9), request_id="p-2", effective_time=_at(at_ms))
        )
        assert found.fields == ("prices[0].effective_time",)
        assert f"{KUNPENG}@2" in found.message
        assert "replace what is planned" in found.message
    found = await refusal(_set(corridor, operator, (KUNPENG, 9), request_id="p-3"))
    assert found.fields == ("prices[0].effective_time",)
    assert _kept(corridor) == before
    await _set(corridor, operator, (KUNPENG, 9), request_id="p-4", effective_time=_at(start_ms + 1))


async def test_what_is_planned_can_be_replaced_but_leaves_no_gap(
    corridor: Any, refusal: Any
) -> None:
    operator = corridor.operator()
    start_ms = corridor.clock.ms + 10 * DAY_MS
    await _set(corridor, operator, (KUNPENG, 30_000), effective_time=_at(start_ms))
    await _approve(corridor, 1)
    late = await refusal(
        _set(
            corridor, operator, (KUNPENG, 3_000), request_id="p-2", replace_planned=True,
            effective_time=_at(start_ms + 1),
        )
    )  # fmt: skip
    assert "would leave no price" in late.message
    await _set(
        corridor, operator, (KUNPENG, 3_000), request_id="p-3", replace_planned=True,
        effective_time=_at(start_ms - DAY_MS),
    )  # fmt: skip
    await _approve(corridor, 2)
    found = {one.price_version: one for one in await _listed(corridor, KUNPENG)}
    assert [found[f"{KUNPENG}@{n}"].state for n in (1, 2, 3)] == [
        rule_pb2.TERM_STATE_IN_FORCE, rule_pb2.TERM_STATE_ENDED, rule_pb2.TERM_STATE_PLANNED,
    ]  # fmt: skip
    corridor.clock.ms = start_ms - DAY_MS
    assert await _offered(corridor, KUNPENG) == (3_000, f"{KUNPENG}@3")


async def test_nothing_is_priced_backwards_by_a_late_approval(corridor: Any, refusal: Any) -> None:
    await _set(corridor, corridor.operator(), effective_time=_at(corridor.clock.ms + 1_000))
    corridor.clock.ms += 1_001
    before = _kept(corridor)
    found = await refusal(_approve(corridor, 1))
    assert found.code == grpc.StatusCode.FAILED_PRECONDITION
    assert "in the past" in found.message
    assert _kept(corridor) == before


async def test_prices_are_set_by_operators_and_seen_by_people(corridor: Any, refusal: Any) -> None:
    for role in (Role.CITY_ADMIN, Role.AUDITOR, Role.ENTERPRISE_ADMIN, Role.AGENT):
        metadata = corridor.token(role, city="wuhan", enterprise="sample-ezhou-1")
        found = await refusal(_set(corridor, metadata))
        assert found.code == grpc.StatusCode.PERMISSION_DENIED
    member = corridor.member("sample-ezhou-1")
    answer = await corridor.centers.ListPrices(pb.ListPricesRequest(), metadata=member)
    assert [one.flavor for one in answer.prices] == [
        "wuhan-ai/ascend-910b", ACCELERATOR, KUNPENG,
    ]  # fmt: skip
    found = await refusal(_set(corridor, corridor.operator(), center="mars"))
    assert found.code == grpc.StatusCode.NOT_FOUND


async def test_prices_come_in_pages(start_corridor: Any) -> None:
    corridor = await start_corridor(approvals=Approvals(two_person=False))
    operator = corridor.operator()
    for number in range(1, 5):
        corridor.clock.ms += 1
        made = await _set(corridor, operator, (KUNPENG, number), request_id=f"p-{number}")
        assert [one.price_version for one in made.prices] == [f"{KUNPENG}@{number + 1}"]
        assert made.prices[0].state == rule_pb2.TERM_STATE_IN_FORCE
    seen, token = list[str](), ""
    while True:
        request = pb.ListPricesRequest(page_size=2, page_token=token)
        page = await corridor.centers.ListPrices(request, metadata=operator)
        seen += [one.price_version for one in page.prices]
        token = page.next_page_token
        if not token:
            break
    kunpeng = [f"{KUNPENG}@{number}" for number in (5, 4, 3, 2, 1)]
    assert seen == ["wuhan-ai/ascend-910b@1", f"{ACCELERATOR}@1", *kunpeng]


async def test_prices_that_are_only_checked_are_not_kept(corridor: Any) -> None:
    before = _kept(corridor)
    answer = await _set(corridor, corridor.operator(), validate_only=True)
    assert answer.change_request.number == 0
    assert _kept(corridor) == before
