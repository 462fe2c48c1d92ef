"""The quota book over the real server: flavors, guarantees, stops, changes to come, use."""

from typing import Any

import grpc
import pytest
from corridor.v1 import center_service_pb2
from corridor.v1 import quota_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.store import leader, quotas_dated, quotas_flavors

NPU = "wuhan-ai/ascend-910b"
DAY_MS = 86_400_000


def moment(at_ms: int) -> Timestamp:
    """An instant as a message."""
    at = Timestamp()
    at.FromMilliseconds(at_ms)
    return at


async def flavor(corridor: Any, metadata: Any) -> Any:
    """The corridor's own part of a flavor."""
    request = pb.GetFlavorQuotaRequest(flavor=NPU)
    return (await corridor.quotas.GetFlavorQuota(request, metadata=metadata)).quota


async def city(corridor: Any, metadata: Any, name: str = "ezhou") -> Any:
    """A city's quota."""
    request = pb.GetCityQuotaRequest(city=name, flavor=NPU)
    return (await corridor.quotas.GetCityQuota(request, metadata=metadata)).quota


def stop(corridor: Any, metadata: Any, node: str, state: Any, etag: str = "") -> Any:
    """Set a node's state."""
    request = pb.SetStopStateRequest(node=node, state=state, reason="because", etag=etag)
    return corridor.quotas.SetStopState(request, metadata=metadata)


async def test_a_flavor_is_set_by_an_operator_under_its_etag(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    quota = await flavor(corridor, operator)
    assert (quota.granted_units, quota.nominal_units, quota.effective_units) == (632, 632, 632)
    assert not quota.HasField("corridor_units")
    assert not quota.HasField("reported_units")
    assert quota.reclaim.mode == pb.RECLAIM_MODE_CHURN
    quota.reclaim.mode, quota.reclaim.lease_s, quota.granted_units = pb.RECLAIM_MODE_LEASE, 60, 640
    quota.corridor_units = 8
    request = pb.UpdateFlavorQuotaRequest(quota=quota, reason="more cards")
    set_ = (await corridor.quotas.UpdateFlavorQuota(request, metadata=operator)).quota
    assert set_ == await flavor(corridor, operator)
    assert (set_.granted_units, set_.corridor_units, set_.reclaim.lease_s) == (640, 8, 60)
    found = await refusal(corridor.quotas.UpdateFlavorQuota(request, metadata=operator))
    assert found.code == grpc.StatusCode.ABORTED
    request.quota.etag, request.quota.corridor_units = set_.etag, 9
    found = await refusal(corridor.quotas.UpdateFlavorQuota(request, metadata=operator))
    assert (found.code, found.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED, "CORRIDOR_ABOVE_CAPACITY"
    )  # fmt: skip


async def test_what_is_unset_of_a_flavor_stays_or_is_the_rest(corridor: Any) -> None:
    operator = corridor.operator()
    first = pb.FlavorQuota(flavor=NPU, granted_units=700, corridor_units=5)
    first.reclaim.mode = pb.RECLAIM_MODE_EVICT
    request = pb.UpdateFlavorQuotaRequest(quota=first, reason="x")
    set_ = (await corridor.quotas.UpdateFlavorQuota(request, metadata=operator)).quota
    assert (set_.reclaim.run_min_s, set_.reclaim.grace_s, set_.reclaim.rate_bps) == (
        1800,
        300,
        1000,
    )
    request.quota.CopyFrom(pb.FlavorQuota(flavor=NPU, etag=set_.etag))
    set_ = (await corridor.quotas.UpdateFlavorQuota(request, metadata=operator)).quota
    assert (set_.granted_units, set_.HasField("corridor_units")) == (700, False)
    assert set_.reclaim.mode == pb.RECLAIM_MODE_EVICT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lease_s", -1),
        ("run_min_s", -1),
        ("grace_s", 1 << 40),
        ("rate_bps", 10_001),
        ("rate_s", -1),
    ],
)
async def test_a_wrong_figure_of_a_reclaim_rule_is_named(
    corridor: Any, refusal: Any, field: str, value: int
) -> None:
    quota = pb.FlavorQuota(flavor=NPU)
    setattr(quota.reclaim, field, value)
    request = pb.UpdateFlavorQuotaRequest(quota=quota, reason="x")
    found = await refusal(corridor.quotas.UpdateFlavorQuota(request, metadata=corridor.operator()))
    assert found.fields == (f"quota.reclaim.{field}",)


async def test_capacity_that_a_center_lost_is_shown_wherever_it_matters(corridor: Any) -> None:
    operator, ezhou = corridor.operator(), corridor.city_admin("ezhou")
    epoch = corridor.db.write_future(lambda c: leader.take_over(c, "test", 0)).result()
    corridor.db.write_future(
        lambda c: quotas_flavors.report_capacity(c, epoch, "wuhan-ai", {NPU: 600}, 1)
    ).result()
    assert (await city(corridor, ezhou)).overcommitted_units == 32
    quota = await flavor(corridor, ezhou)
    assert (quota.reported_units, quota.effective_units, quota.overcommitted_units) == (
        600,
        600,
        32,
    )
    request = center_service_pb2.GetCenterRequest(center="wuhan-ai")
    [shown] = (await corridor.centers.GetCenter(request, metadata=operator)).center.flavors
    assert (shown.capacity_units, shown.reported_units, shown.effective_units) == (632, 600, 600)
    assert shown.overcommitted_units == 32


async def test_a_city_guarantees_its_enterprises_no_more_than_it_has(
    corridor: Any, refusal: Any
) -> None:
    operator, ezhou = corridor.operator(), corridor.city_admin("ezhou")
    own = await city(corridor, operator)
    own.lend_limit_units = own.nominal_units - 10
    request = pb.UpdateCityQuotaRequest(quota=own, reason="x")
    set_ = (await corridor.quotas.UpdateCityQuota(request, metadata=operator)).quota
    assert set_.guaranteed_units == 10
    wanted = pb.EnterpriseQuota(enterprise="sample-ezhou-1", flavor=NPU, guarantee_units=11)
    change = pb.UpdateEnterpriseQuotaRequest(quota=wanted, reason="x")
    found = await refusal(corridor.quotas.UpdateEnterpriseQuota(change, metadata=ezhou))
    assert (found.code, found.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED, "GUARANTEE_ABOVE_CITY"
    )  # fmt: skip
    change.quota.guarantee_units = 10
    done = (await corridor.quotas.UpdateEnterpriseQuota(change, metadata=ezhou)).quota
    assert (done.guarantee_units, done.city) == (10, "ezhou")
    get = pb.GetEnterpriseQuotaRequest(enterprise="sample-ezhou-1", flavor=NPU)
    assert (await corridor.quotas.GetEnterpriseQuota(get, metadata=ezhou)).quota == done
    change.quota.cap_units, change.quota.etag = 9, done.etag
    found = await refusal(corridor.quotas.UpdateEnterpriseQuota(change, metadata=ezhou))
    assert found.fields == ("quota.guarantee_units",)
    found = await refusal(
        corridor.quotas.GetEnterpriseQuota(get, metadata=corridor.city_admin("wuhan"))
    )
    assert found.code == grpc.StatusCode.NOT_FOUND


async def test_a_change_to_come_is_shown_applied_and_taken_back(
    corridor: Any, refusal: Any
) -> None:
    operator = corridor.operator()
    quota = await city(corridor, operator)
    before = quota.nominal_units
    quota.nominal_units = 7
    request = pb.UpdateCityQuotaRequest(
        quota=quota, reason="next year", effective_time=moment(corridor.clock.ms + DAY_MS)
    )
    answer = await corridor.quotas.UpdateCityQuota(request, metadata=operator)
    assert (answer.quota.nominal_units, answer.change.city_quota.nominal_units) == (before, 7)
    assert answer.change.state == pb.QUOTA_CHANGE_STATE_PENDING
    second = (await corridor.quotas.UpdateCityQuota(request, metadata=operator)).change
    listed = await corridor.quotas.ListQuotaChanges(
        pb.ListQuotaChangesRequest(page_size=1), metadata=operator
    )
    assert list(listed.changes) == [answer.change]
    listed = await corridor.quotas.ListQuotaChanges(
        pb.ListQuotaChangesRequest(page_token=listed.next_page_token), metadata=operator
    )
    assert (list(listed.changes), listed.next_page_token) == ([second], "")
    cancel = pb.CancelQuotaChangeRequest(change_id=second.change_id, reason="once is enough")
    done = (await corridor.quotas.CancelQuotaChange(cancel, metadata=operator)).change
    assert done.state == pb.QUOTA_CHANGE_STATE_CANCELLED
    found = await refusal(corridor.quotas.CancelQuotaChange(cancel, metadata=operator))
    assert found.code == grpc.StatusCode.FAILED_PRECONDITION
    corridor.clock.ms += DAY_MS
    epoch = corridor.db.write_future(lambda c: leader.take_over(c, "test", 0)).result()
    corridor.db.write_future(
        lambda c: quotas_dated.apply_due(c, epoch, corridor.clock.ms, 1)
    ).result()
    assert (await city(corridor, operator)).nominal_units == 7
    everything = pb.ListQuotaChangesRequest(all_states=True)
    listed = await corridor.quotas.ListQuotaChanges(everything, metadata=operator)
    assert [one.state for one in listed.changes] == [
        pb.QUOTA_CHANGE_STATE_APPLIED, pb.QUOTA_CHANGE_STATE_CANCELLED
    ]  # fmt: skip


@pytest.mark.parametrize("ahead_ms", [0, -DAY_MS, 6 * 366 * DAY_MS])
async def test_a_change_to_come_lies_ahead(corridor: Any, refusal: Any, ahead_ms: int) -> None:
    operator = corridor.operator()
    request = pb.UpdateCityQuotaRequest(
        quota=await city(corridor, operator),
        reason="x",
        effective_time=moment(corridor.clock.ms + ahead_ms),
    )
    found = await refusal(corridor.quotas.UpdateCityQuota(request, metadata=operator))
    assert found.fields == ("effective_time",)


async def test_nodes_are_stopped_and_opened_within_the_scope(corridor: Any, refusal: Any) -> None:
    operator, ezhou = corridor.operator(), corridor.city_admin("ezhou")
    member = corridor.member("sample-ezhou-1")
    set_ = (await stop(corridor, ezhou, "enterprises/sample-ezhou-1", pb.STOP_STATE_HOLD)).stop
    assert (set_.state, set_.set_by, set_.reason) == (
        pb.STOP_STATE_HOLD, "admin of ezhou", "because"
    )  # fmt: skip
    await stop(corridor, operator, "cities/ezhou", pb.STOP_STATE_DRAIN)
    found = await refusal(stop(corridor, ezhou, "cities/ezhou", pb.STOP_STATE_OPEN, "1"))
    assert (found.code, found.reason) == (
        grpc.StatusCode.PERMISSION_DENIED, "STOPPED_BY_OPERATOR"
    )  # fmt: skip
    found = await refusal(stop(corridor, ezhou, "cities/wuhan", pb.STOP_STATE_HOLD))
    assert found.code == grpc.StatusCode.NOT_FOUND
    found = await refusal(stop(corridor, member, "cities/ezhou", pb.STOP_STATE_HOLD))
    assert found.reason == "ROLE_NOT_ALLOWED"
    for wrong in (pb.STOP_STATE_UNSPECIFIED, 99):
        found = await refusal(stop(corridor, operator, "cities/ezhou", wrong))
        assert found.fields == ("state",)
    listed = await corridor.quotas.ListStopStates(pb.ListStopStatesRequest(), metadata=member)
    assert [one.node for one in listed.stops] == ["cities/ezhou", "enterprises/sample-ezhou-1"]
    other = await corridor.quotas.ListStopStates(
        pb.ListStopStatesRequest(), metadata=corridor.city_admin("wuhan")
    )
    assert not other.stops
    page = await corridor.quotas.ListStopStates(
        pb.ListStopStatesRequest(page_size=1), metadata=operator
    )
    rest = await corridor.quotas.ListStopStates(
        pb.ListStopStatesRequest(page_token=page.next_page_token), metadata=operator
    )
    assert [*page.stops, *rest.stops] == list(listed.stops)


async def test_use_is_paged_and_scoped(corridor: Any) -> None:
    corridor.db.write_future(
        lambda c: c.exec_driver_sql(
            "INSERT INTO enterprise_quota (enterprise, flavor, used_units, version, updated_ms)"
            f" VALUES ('sample-ezhou-1', '{NPU}', 5, 0, 1), ('sample-wuhan-1', '{NPU}', 6, 0, 1)"
        )
    ).result()
    operator, seen, token = corridor.operator(), [], ""
    while True:
        request = pb.ListUsageRequest(flavor=NPU, page_size=3, page_token=token)
        page = await corridor.quotas.ListUsage(request, metadata=operator)
        seen += [(one.city, one.enterprise) for one in page.usages]
        token = page.next_page_token
        if not token:
            break
    assert seen == sorted(set(seen))
    assert len(seen) == 5 + 2
    for metadata in (corridor.city_admin("ezhou"), corridor.member("sample-ezhou-1")):
        page = await corridor.quotas.ListUsage(pb.ListUsageRequest(flavor=NPU), metadata=metadata)
        shown = [(one.city, one.enterprise, one.used_units) for one in page.usages]
        assert shown == [("ezhou", "", 0), ("ezhou", "sample-ezhou-1", 5)]
    other = pb.ListUsageRequest(city="wuhan")
    page = await corridor.quotas.ListUsage(other, metadata=corridor.member("sample-ezhou-1"))
    assert not page.usages
