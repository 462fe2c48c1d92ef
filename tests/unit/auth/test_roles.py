import pytest
from corridor.v1 import (
    adapter_service_pb2,
    center_service_pb2,
    identity_service_pb2,
    job_service_pb2,
    quota_service_pb2,
    subsidy_service_pb2,
)

from scheduler.auth import roles
from scheduler.domain.principal import Role
from scheduler.errors import Forbidden

_MODULES = (
    job_service_pb2,
    quota_service_pb2,
    subsidy_service_pb2,
    center_service_pb2,
    identity_service_pb2,
    adapter_service_pb2,
)


def _methods() -> set[str]:
    return {
        f"/{service.full_name}/{method.name}"
        for module in _MODULES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_the_table_names_every_method_and_no_other() -> None:
    assert set(roles.ROLES) == _methods()
    assert all(roles.ROLES.values())


def test_an_auditor_changes_nothing() -> None:
    reads = (
        "Get", "List", "Watch", "Explain", "Read", "Quote", "Verify", "WhoAmI", "Simulate",
        "Forecast",
    )  # fmt: skip
    for method, allowed in roles.ROLES.items():
        if Role.AUDITOR in allowed:
            assert method.rpartition("/")[2].startswith(reads), method


@pytest.mark.parametrize(
    ("method", "role"),
    [
        ("UpdateCityQuota", Role.CITY_ADMIN),
        ("UpdateCityQuota", Role.ENTERPRISE_ADMIN),
        ("CordonCenter", Role.CITY_ADMIN),
        ("DrainCenter", Role.CITY_ADMIN),
        ("GrantEmergency", Role.CITY_ADMIN),
        ("GrantEmergency", Role.ENTERPRISE_ADMIN),
        ("AppropriateFund", Role.ENTERPRISE_ADMIN),
        ("CreateToken", Role.ENTERPRISE_MEMBER),
        ("ListTransfers", Role.ENTERPRISE_ADMIN),
        ("SubmitJobs", Role.AUDITOR),
        ("SubmitJobs", Role.AGENT),
    ],
)
def test_what_a_role_may_not_do(method: str, role: Role) -> None:
    (full,) = (name for name in roles.ROLES if name.endswith(f"/{method}"))
    with pytest.raises(Forbidden) as caught:
        roles.check(full, role)
    assert caught.value.reason == "ROLE_NOT_ALLOWED"


def test_an_unlisted_method_is_forbidden_to_all() -> None:
    for role in Role:
        with pytest.raises(Forbidden):
            roles.check("/corridor.v1.JobService/DropEverything", role)


def test_only_an_agent_speaks_as_one() -> None:
    for role in Role:
        if role is Role.AGENT:
            roles.check("/corridor.v1.AdapterService/Connect", role)
        else:
            with pytest.raises(Forbidden):
                roles.check("/corridor.v1.AdapterService/Connect", role)
