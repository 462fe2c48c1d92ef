"""A request for each method that the service accepts, so that what is wrong is wrong at one place.

A method of the descriptors without one is found by a test. The caller is one who may, and of ezhou
where anybody of a city may; ``stage`` is the stage of the world that it needs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from scheduler.rpc.server import SERVICES
from tests.fuzz.world import DAY_MS, EZHOU, MONTH, OPEN, WHY, World, at
from tests.integration.jobs.conftest import CPU, NPU

Given = Callable[[World], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Base:
    """Who calls with what; the fields of messages and lists of them as plain values."""

    caller: str
    given: Given = lambda _: {}
    stage: str = OPEN


def fixed(**given: Any) -> Given:
    """The same fields each time."""
    return lambda _: given


def new(**given: Any) -> Given:
    """These fields and a new request id."""
    return lambda w: {"request_id": w.new(), **given}


def named(field: str, name: str, **more: Any) -> Given:
    """A field is what the world has of a name."""
    return lambda w: {field: w.of[name], **more}


def _selected(name: str) -> Given:
    return lambda w: {"selection": {"job_ids": [w.of[name]]}, "reason": WHY}


def _spec(w: World) -> Mapping[str, Any]:
    """A job that says something in every field; array and finish_by exclude others."""
    later = at(w.now_ms + DAY_MS)
    return {
        "display_name": "fuzzed",
        "options": [{"flavor": NPU, "units_per_node": 8, "nodes": 2, "nodes_min": 1,
                     "memory_mib_per_node": 1_024, "wall_limit": {"seconds": 600}},
                    {"flavor": CPU, "units_per_node": 4, "nodes": 1}],
        "wall_limit": {"seconds": 3_600},
        "image": "registry.example/train:1",
        "command": ["python", "train.py"],
        "environment": {"SEED": "1"},
        "architecture": 0,
        "inputs": [{"uri": "obs://a/b", "size_bytes": 1 << 30, "location": "centers/wuhan-ai"}],
        "outputs": [{"uri": "obs://a/c"}],
        "priority": 1,
        "queue_deadline": later,
        "retry_policy": {"attempts_max": 3, "retry_on": [4],
                         "limits": [{"failure_class": 4, "retries_max": 1}]},
        "self_pay_max_fen": 10**9,
        "labels": {"team": "vision"},
        "start_not_before": at(w.now_ms + 1_000),
        "interruptible": True,
        "checkpoint_notice": {"seconds": 30},
        "depends_on": [{"job": w.of["queued"], "condition": 1}],
        "contract": "HT-1",
        "project": "P-1",
    }  # fmt: skip


_QUOTA: Final = {"city": "ezhou", "flavor": NPU, "nominal_units": 28, "borrow_limit_units": 8,
                 "lend_limit_units": 8}  # fmt: skip
_SCENARIO: Final = {
    "name": "more",
    "cities": [{"city": "ezhou", "flavor": NPU, "nominal_units": 80, "borrow_limit_units": 1,
                "lend_limit_units": 1}],
    "enterprises": [{"enterprise": EZHOU, "flavor": NPU, "cap_units": 8}],
    "order": {"ageing": {"seconds": 3_600}},
}  # fmt: skip


def _comparison(w: World) -> Mapping[str, Any]:
    return {
        "center": "wuhan-ai", "from_time": at(w.now_ms - DAY_MS), "to_time": at(w.now_ms),
        "source": "a file", "records": [w.of["record"]], "submit_tolerance": {"seconds": 60},
        "tolerance_seconds": 1, "tolerance_fen": 1, "reason": WHY,
    }  # fmt: skip


def _resolution(w: World) -> Mapping[str, Any]:
    return {
        "run_id": w.of["unknown-run"], "resolution": 4, "exit_code": 0,
        "end_time": at(w.now_ms - 1_000), "reason": WHY,
    }  # fmt: skip


def _token(w: World) -> Mapping[str, Any]:
    end = at(w.now_ms + DAY_MS)
    return {"token": {"subject": "s", "role": 2, "enterprise": EZHOU, "expire_time": end}}


_FACT: Final = {"enterprise": EZHOU, "source": "notice"}
_JOBS: Final[Mapping[str, Base]] = {
    "SubmitJobs": Base("member", lambda w: {
        "request_id": w.new(), "enterprise": EZHOU, "jobs": [_spec(w)], "all_or_nothing": True,
    }),
    "QuoteJobs": Base("member", lambda w: {"enterprise": EZHOU, "jobs": [_spec(w)]}),
    "GetJob": Base("member", named("job_id", "ended")),
    "ListJobs": Base("city", lambda w: {
        "filter": {"states": [1, 4, 5], "enterprise": EZHOU, "city": "ezhou", "flavor": NPU,
                   "display_name_prefix": "ours", "submit_time_from": at(w.now_ms - 10 * DAY_MS),
                   "submit_time_until": at(w.now_ms + DAY_MS)},
        "page_size": 2,
    }),
    "CancelJobs": Base("city", _selected("queued")),
    "HoldJobs": Base("city", _selected("queued")),
    "ReleaseJobs": Base("city", _selected("held")),
    "GrantEmergency": Base("operator", named("job_id", "queued", reason=WHY)),
    "WatchJobs": Base("member", named("job_ids", "listed", enterprise=EZHOU, from_start=True)),
    "ExplainJob": Base("member", named("job_id", "ended")),
    "ReadJobLogs": Base("member", named("job_id", "ended", attempt=1, limit_bytes=100)),
}  # fmt: skip
_QUOTAS: Final[Mapping[str, Base]] = {
    "GetCityQuota": Base("city", fixed(city="ezhou", flavor=NPU)),
    "ListCityQuotas": Base("city", fixed(city="ezhou", page_size=1)),
    "UpdateCityQuota": Base("operator", lambda w: {
        "quota": {**_QUOTA, "etag": w.of["etag"]}, "reason": WHY,
    }),
    "GetEnterpriseQuota": Base("member", fixed(enterprise=EZHOU, flavor=NPU)),
    "ListEnterpriseQuotas": Base("city", fixed(city="ezhou", page_size=1)),
    "UpdateEnterpriseQuota": Base("city", fixed(
        quota={"enterprise": EZHOU, "flavor": NPU, "cap_units": 8},
        reason=WHY,
    )),
    "GetFlavorQuota": Base("operator", fixed(flavor=NPU)),
    "ListFlavorQuotas": Base("operator"),
    "UpdateFlavorQuota": Base("operator", lambda w: {
        "quota": {"flavor": NPU, "granted_units": 632, "corridor_units": 0,
                  "etag": w.of["flavor-etag"],
                  "reclaim": {"mode": 2, "lease_s": 3_600, "run_min_s": 60, "grace_s": 60,
                              "rate_bps": 100, "rate_s": 60}},
        "reason": WHY,
    }),
    "ListQuotaChanges": Base("city", fixed(all_states=True, page_size=1)),
    "CancelQuotaChange": Base("operator", named("change_id", "quota-change", reason=WHY)),
    "ListStopStates": Base("city", fixed(all_states=True, page_size=1)),
    "SetStopState": Base("city", fixed(node=f"enterprises/{EZHOU}", state=2, reason=WHY)),
    "ListUsage": Base("city", fixed(city="ezhou", flavor=NPU, page_size=1)),
    "GetBudget": Base("city", fixed(city="ezhou", flavor=NPU, period=MONTH)),
    "ListBudgets": Base("city", fixed(city="ezhou", flavor=NPU, period=MONTH, page_size=1)),
    "UpdateBudget": Base("operator", fixed(
        budget={"city": "ezhou", "flavor": NPU, "period": MONTH, "etag": "1",
                "allotted_unit_seconds": 2 * 10**7},
        reason=WHY,
    )),
    "GetBudgetSettings": Base("city", fixed(city="ezhou")),
    "UpdateBudgetSettings": Base("operator", lambda w: {
        "settings": {"city": "ezhou", "enabled": True, "period_months": 3, "mode": 1,
                     "overburn_bps": 100, "share_limit_bps": 10_000, "grace_seconds": 60,
                     "lender_keeps_bps": 1_000, "debt_cap_bps": 5_000, "repay_bps": 5_000,
                     "etag": w.of["settings-etag"]},
        "reason": WHY,
    }),
    "VerifyBudgets": Base("city"),
    "LendHours": Base("city", fixed(
        lender="wuhan", borrower="ezhou", flavor=NPU, unit_seconds=3_600, reason=WHY
    )),
    "AcceptLoan": Base("city", named("loan_id", "loan", reason=WHY)),
    "DeclineLoan": Base("city", named("loan_id", "loan-2", reason=WHY)),
    "ListLoans": Base("city", fixed(states=[1, 2], page_size=1)),
    "ForgiveLoan": Base("operator", fixed(
        debt={"lender": "wuhan", "borrower": "cities/ezhou", "flavor": NPU, "unit_seconds": 60},
        reason=WHY,
    )),
    "GetLoanRule": Base("city", fixed(lender="ezhou", flavor=NPU)),
    "UpdateLoanRule": Base("city", fixed(
        rule={"lender": "ezhou", "flavor": NPU, "borrowers": ["wuhan"], "loan_unit_seconds": 60,
              "period_unit_seconds": 600},
        reason=WHY,
    )),
    "SimulateQuotas": Base("city", fixed(days=1, scenarios=[_SCENARIO])),
}  # fmt: skip
_CENTERS: Final[Mapping[str, Base]] = {
    "GetCenter": Base("member", fixed(center="wuhan-ai")),
    "ListCenters": Base("member"),
    "CordonCenter": Base("operator", fixed(center="wuhan-ai", reason=WHY)),
    "DrainCenter": Base("operator", lambda w: {
        "center": "wuhan-ai", "reason": WHY, "deadline": at(w.now_ms + DAY_MS),
    }),
    "ResumeCenter": Base("operator", fixed(center="wuhan-ai", reason=WHY)),
    "TakeInventory": Base("operator", fixed(center="wuhan-ai")),
    "ListPrices": Base("member", fixed(center="wuhan-ai", flavor=NPU, page_size=1)),
    "SetPrices": Base("operator", lambda w: {
        "request_id": w.new(), "center": "wuhan-ai", "replace_planned": True, "reason": WHY,
        "prices": [{"flavor": NPU, "price_ufen_per_unit_second": 1_000}],
        "effective_time": at(w.now_ms + DAY_MS),
    }),
    "ReconcileCenter": Base("operator", _comparison),
    "ListReconciliations": Base("operator", fixed(center="wuhan-ai", page_size=1)),
    "ListDifferences": Base("city", fixed(center="wuhan-ai", show_resolved=True, page_size=1)),
    "ResolveDifference": Base(
        "operator", named("difference_id", "difference", resolution=1, reason=WHY)
    ),
    "ResolveRun": Base("operator", _resolution),
    "SetFlavorDomestic": Base("operator", fixed(flavor=NPU, domestic=False, reason=WHY)),
}  # fmt: skip
_IDENTITY: Final[Mapping[str, Base]] = {
    "WhoAmI": Base("member"),
    "ListCities": Base("member"),
    "CreateEnterprise": Base("city", lambda w: {"enterprise": {
        "enterprise": f"new-{w.new()}", "city": "ezhou", "display_name": "新", "startup": True,
        "size_class": "SMALL", "sector": "ai",
    }}),
    "ListEnterprises": Base("city", fixed(city="ezhou", page_size=1)),
    "CreateToken": Base("city", _token),
    "ListTokens": Base("city", fixed(page_size=1)),
    "RevokeToken": Base("operator", named("token_id", "token")),
    "ListAuditEvents": Base("city", fixed(city="ezhou", page_size=1)),
    "ListReplicas": Base("operator"),
    "ListEnterpriseFacts": Base("member", fixed(enterprise=EZHOU, show_ended=True)),
    "AddEnterpriseFact": Base("city", lambda w: {"fact": {
        **_FACT, "listed_project": {"list": "ai-list", "project": "P-1"},
        "effective_time": at(w.now_ms + DAY_MS), "end_time": at(w.now_ms + 2 * DAY_MS),
    }, "reason": WHY}),
    "EndEnterpriseFact": Base("city", lambda w: {
        "fact": {**_FACT, "related_party": {"center": "wuhan-ai"}}, "reason": WHY,
        "end_time": at(w.now_ms + DAY_MS),
    }),
}  # fmt: skip
_AGENTS: Final[Mapping[str, Base]] = {
    "Connect": Base("agent", fixed(hello={
        "protocol": 1, "center": "wuhan-sc", "agent_version": "1", "journal_id": "j",
    })),
}  # fmt: skip


def bases() -> dict[str, Base]:
    """The base of each method, by its full name with a slash before."""
    from tests.fuzz.bases_money import SUBSIDIES

    tables = {
        "JobService": _JOBS, "QuotaService": _QUOTAS, "CenterService": _CENTERS,
        "IdentityService": _IDENTITY, "AdapterService": _AGENTS, "SubsidyService": SUBSIDIES,
    }  # fmt: skip
    ours = {
        f"/corridor.v1.{service}/{name}": base
        for service, table in tables.items()
        for name, base in table.items()
    }
    return {
        **ours,
        "/grpc.health.v1.Health/Check": Base("nobody", fixed(service="corridor.v1.JobService")),
        "/grpc.health.v1.Health/Watch": Base("nobody", fixed(service="corridor.v1.JobService")),
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Base(
            "member", fixed(host="h", file_containing_symbol="corridor.v1.JobService")
        ),
    }


#: It is in the descriptors of the library of health checks, which does not have it.
_UNMADE: Final = "grpc.health.v1.Health.List"


def methods() -> Iterator[tuple[str, MethodDescriptor]]:
    """Every method that the server has, ours and those beside."""
    beside = (health_pb2, reflection_pb2)
    services = [*SERVICES.values()]
    services += [one for module in beside for one in module.DESCRIPTOR.services_by_name.values()]
    for service in services:
        for method in service.methods:
            if method.full_name == _UNMADE:
                continue
            yield f"/{service.full_name}/{method.name}", method


def request(method: MethodDescriptor, base: Base, world: World) -> Message:
    """Return the base request of a method, made anew."""
    kind = method.input_type
    assert kind is not None
    made: Message = GetMessageClass(kind)(**base.given(world))
    return made
