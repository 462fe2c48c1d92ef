"""Who may submit for whom."""

from typing import Any

import grpc
import pytest

from scheduler.auth import tokens
from scheduler.domain.principal import Role

MINE, THEIRS = "sample-ezhou-1", "sample-wuhan-1"


@pytest.mark.parametrize("role", [Role.ENTERPRISE_MEMBER, Role.ENTERPRISE_ADMIN])
async def test_an_enterprise_submits_for_itself_only(
    corridor: Any, refusal: Any, submit: Any, stored: Any, nothing: Any, role: Role
) -> None:
    who = corridor.token(role, enterprise=MINE)
    for other in (THEIRS, "sample-ezhou-2", "nobody"):
        found = await refusal(corridor.jobs.SubmitJobs(submit(enterprise=other), metadata=who))
        assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
        assert found.message == f"no enterprise {other!r} that you may see"
    assert stored(corridor) == nothing
    await corridor.jobs.SubmitJobs(submit(enterprise=MINE), metadata=who)
    assert corridor.rows("SELECT enterprise, city FROM job") == [(MINE, "ezhou")]


async def test_an_operator_names_the_enterprise(
    corridor: Any, refusal: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    who = corridor.operator()
    found = await refusal(corridor.jobs.SubmitJobs(submit(), metadata=who))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("enterprise",))
    found = await refusal(corridor.jobs.SubmitJobs(submit(enterprise="nobody"), metadata=who))
    assert found.code == grpc.StatusCode.NOT_FOUND
    assert stored(corridor) == nothing
    await corridor.jobs.SubmitJobs(submit(enterprise=THEIRS), metadata=who)
    assert corridor.rows("SELECT enterprise, city FROM job") == [(THEIRS, "wuhan")]


@pytest.mark.parametrize(
    ("role", "scope"),
    [
        (Role.CITY_ADMIN, {"city": "ezhou"}),
        (Role.AUDITOR, {}),
        (Role.AGENT, {"center": "wuhan-ai"}),
    ],
)
async def test_others_may_not_submit(
    corridor: Any, refusal: Any, submit: Any, stored: Any, nothing: Any,
    role: Role, scope: dict[str, str],
) -> None:  # fmt: skip
    who = corridor.token(role, **scope)
    found = await refusal(corridor.jobs.SubmitJobs(submit(enterprise=MINE), metadata=who))
    assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
    assert stored(corridor) == nothing


async def test_without_a_token_of_this_service_nothing_is_stored(
    corridor: Any, refusal: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    expired = corridor.token(
        Role.ENTERPRISE_MEMBER, enterprise=MINE, expire_ms=corridor.clock.ms - 1
    )
    foreign = (("authorization", f"Bearer {tokens.new_secret()}"),)
    for who, reason in (
        (None, "TOKEN_MISSING"),
        (foreign, "TOKEN_UNKNOWN"),
        (expired, "TOKEN_EXPIRED"),
    ):
        found = await refusal(corridor.jobs.SubmitJobs(submit(), metadata=who))
        assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    assert stored(corridor) == nothing
