"""Quotas over the real server: scopes, etags, limits, audit."""

import asyncio
import json
from typing import Any

import grpc
import pytest
from corridor.v1 import quota_service_pb2 as pb

from scheduler.domain.principal import Role

NPU = "wuhan-ai/ascend-910b"


async def _get(corridor: Any, metadata: Any, city: str) -> Any:
    request = pb.GetCityQuotaRequest(city=city, flavor=NPU)
    return (await corridor.quotas.GetCityQuota(request, metadata=metadata)).quota


def _update(corridor: Any, metadata: Any, quota: Any, reason: str = "because") -> Any:
    request = pb.UpdateCityQuotaRequest(quota=quota, reason=reason)
    return corridor.quotas.UpdateCityQuota(request, metadata=metadata)


def _cap(corridor: Any, metadata: Any, quota: Any, reason: str = "because") -> Any:
    request = pb.UpdateEnterpriseQuotaRequest(quota=quota, reason=reason)
    return corridor.quotas.UpdateEnterpriseQuota(request, metadata=metadata)


async def test_a_quota_is_set_under_its_etag_and_leaves_a_trace(corridor: Any) -> None:
    operator = corridor.operator()
    quota = await _get(corridor, operator, "wuhan")
    assert quota.nominal_units == 319
    assert not quota.HasField("borrow_limit_units")
    quota.nominal_units, quota.borrow_limit_units, quota.lend_limit_units = 300, 0, 100
    answer = await _update(corridor, operator, quota, "a loan to Ezhou")
    assert answer.quota.etag != quota.etag
    read = await _get(corridor, operator, "wuhan")
    assert read == answer.quota
    assert (read.nominal_units, read.borrow_limit_units, read.lend_limit_units) == (300, 0, 100)
    ((actor, role, target, before, after, reason, city),) = corridor.rows(
        "SELECT actor, role, target, before, after, reason, city FROM audit_event"
        " WHERE action = 'QUOTA_CHANGED'"
    )
    assert (actor, role, city) == ("operator", "OPERATOR", "wuhan")
    assert target == f"cities/wuhan/quotas/{NPU}"
    assert json.loads(before)["nominal_units"] == 319
    assert json.loads(after) == {
        "borrow_limit_units": 0, "lend_limit_units": 100, "nominal_units": 300,
    }  # fmt: skip
    assert reason == "a loan to Ezhou"
    assert corridor.rows("SELECT city FROM event WHERE kind = 'QUOTA_CHANGED'") == [("wuhan",)]


async def test_a_stale_etag_aborts_and_changes_nothing(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    stale = await _get(corridor, operator, "ezhou")
    fresh = await _get(corridor, operator, "ezhou")
    fresh.nominal_units = 20
    await _update(corridor, operator, fresh)
    before = corridor.rows("SELECT * FROM city_quota ORDER BY city, flavor")
    stale.nominal_units = 5
    for etag in (stale.etag, "", "nonsense"):
        stale.etag = etag
        found = await refusal(_update(corridor, operator, stale))
        assert (found.code, found.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
        assert found.info["etag"] == "2"
    assert corridor.rows("SELECT * FROM city_quota ORDER BY city, flavor") == before
    assert len(corridor.rows("SELECT * FROM event WHERE kind = 'QUOTA_CHANGED'")) == 1
    assert len(corridor.rows("SELECT * FROM audit_event WHERE action = 'QUOTA_CHANGED'")) == 1


async def test_nominal_quotas_stay_within_what_the_center_grants(
    corridor: Any, refusal: Any
) -> None:
    operator = corridor.operator()
    quota = await _get(corridor, operator, "wuhan")
    quota.nominal_units = 320
    found = await refusal(_update(corridor, operator, quota))
    assert found.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert found.reason == "NOMINAL_ABOVE_CAPACITY"
    for figure in ("320", "632", "313", "319"):
        assert figure in found.message


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"nominal_units": -1}, "quota.nominal_units"),
        ({"borrow_limit_units": -1}, "quota.borrow_limit_units"),
        ({"lend_limit_units": 320}, "quota.lend_limit_units"),
        ({"nominal_units": 1 << 62}, "quota.nominal_units"),
        ({"flavor": "mars/cray"}, "quota.flavor"),
        ({"flavor": ""}, "quota.flavor"),
        ({"city": ""}, "quota.city"),
    ],
)
async def test_a_wrong_field_is_named(
    corridor: Any, refusal: Any, change: dict[str, Any], field: str
) -> None:
    operator = corridor.operator()
    quota = await _get(corridor, operator, "wuhan")
    for name, value in change.items():
        setattr(quota, name, value)
    found = await refusal(_update(corridor, operator, quota))
    assert found.code == grpc.StatusCode.INVALID_ARGUMENT
    assert field in found.fields


async def test_a_change_needs_a_reason(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    quota = await _get(corridor, operator, "wuhan")
    assert (await refusal(_update(corridor, operator, quota, "  "))).fields == ("reason",)


async def test_one_city_sees_nothing_of_another(corridor: Any, refusal: Any) -> None:
    ezhou = corridor.city_admin("ezhou")
    member = corridor.token(Role.ENTERPRISE_MEMBER, enterprise="sample-ezhou-1")
    for metadata in (ezhou, member):
        seen = await corridor.quotas.ListCityQuotas(pb.ListCityQuotasRequest(), metadata=metadata)
        assert {quota.city for quota in seen.quotas} == {"ezhou"}
        other = await corridor.quotas.ListCityQuotas(
            pb.ListCityQuotasRequest(city="wuhan"), metadata=metadata
        )
        assert not other.quotas
        found = await refusal(_get(corridor, metadata, "wuhan"))
        assert found.code == grpc.StatusCode.NOT_FOUND
    quota = pb.EnterpriseQuota(enterprise="sample-wuhan-1", flavor=NPU, cap_units=8)
    found = await refusal(_cap(corridor, ezhou, quota))
    assert found.code == grpc.StatusCode.NOT_FOUND
    assert not corridor.rows("SELECT * FROM enterprise_quota")


async def test_a_city_admin_caps_the_own_enterprises(corridor: Any, refusal: Any) -> None:
    ezhou = corridor.city_admin("ezhou")
    quota = pb.EnterpriseQuota(enterprise="sample-ezhou-1", flavor=NPU, cap_units=8)
    first = (await _cap(corridor, ezhou, quota)).quota
    assert (first.cap_units, first.used_units, first.etag) == (8, 0, "1")
    assert (await refusal(_cap(corridor, ezhou, quota))).code == grpc.StatusCode.ABORTED
    first.ClearField("cap_units")
    second = (await _cap(corridor, ezhou, first)).quota
    assert not second.HasField("cap_units")
    mine = corridor.token(Role.ENTERPRISE_MEMBER, enterprise="sample-ezhou-1")
    other = corridor.token(Role.ENTERPRISE_MEMBER, enterprise="sample-ezhou-2")
    request = pb.ListEnterpriseQuotasRequest()
    seen = await corridor.quotas.ListEnterpriseQuotas(request, metadata=mine)
    assert list(seen.quotas) == [second]
    seen = await corridor.quotas.ListEnterpriseQuotas(request, metadata=other)
    assert not seen.quotas


async def test_a_row_made_by_use_is_capped_without_an_etag(corridor: Any) -> None:
    corridor.db.write_future(
        lambda c: c.exec_driver_sql(
            "INSERT INTO enterprise_quota (enterprise, flavor, used_units, version, updated_ms)"
            f" VALUES ('sample-ezhou-1', '{NPU}', 5, 0, 1)"
        )
    ).result()
    quota = pb.EnterpriseQuota(enterprise="sample-ezhou-1", flavor=NPU, cap_units=8)
    answer = await _cap(corridor, corridor.operator(), quota)
    assert (answer.quota.used_units, answer.quota.etag) == (5, "1")


async def test_pages_hold_every_quota_once(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    seen: list[tuple[str, str]] = []
    token = ""
    while True:
        request = pb.ListCityQuotasRequest(page_size=4, page_token=token)
        page = await corridor.quotas.ListCityQuotas(request, metadata=operator)
        assert len(page.quotas) <= 4
        seen += [(quota.city, quota.flavor) for quota in page.quotas]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == 15
    assert seen == sorted(set(seen))
    for wrong in (
        pb.ListCityQuotasRequest(page_token="%%%"),
        pb.ListCityQuotasRequest(page_token="WzFd"),
        pb.ListCityQuotasRequest(page_size=-1),
    ):
        found = await refusal(corridor.quotas.ListCityQuotas(wrong, metadata=operator))
        assert found.code == grpc.StatusCode.INVALID_ARGUMENT


async def test_of_many_who_read_the_same_etag_one_wins(corridor: Any) -> None:
    operator = corridor.operator()
    quota = await _get(corridor, operator, "xianning")
    wanted = []
    for units in range(10):
        changed = pb.CityQuota()
        changed.CopyFrom(quota)
        changed.nominal_units = units
        wanted.append(_update(corridor, operator, changed))
    answers = await asyncio.gather(*wanted, return_exceptions=True)
    lost = [one for one in answers if isinstance(one, grpc.aio.AioRpcError)]
    assert {one.code() for one in lost} == {grpc.StatusCode.ABORTED}
    (won,) = (one for one in answers if not isinstance(one, BaseException))
    assert await _get(corridor, operator, "xianning") == won.quota
