"""Who gets in: tokens and roles over the real server."""

from typing import Any

import grpc
import pytest
from corridor.v1 import (
    center_service_pb2,
    identity_service_pb2,
    job_service_pb2,
    quota_service_pb2,
    subsidy_service_pb2,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from scheduler.auth import roles, tokens
from scheduler.domain.principal import Role

GetJob = job_service_pb2.GetJobRequest
WatchJobs = job_service_pb2.WatchJobsRequest
WhoAmI = identity_service_pb2.WhoAmIRequest
MODULES = (
    job_service_pb2,
    quota_service_pb2,
    subsidy_service_pb2,
    center_service_pb2,
    identity_service_pb2,
)
METHODS = [
    (f"/{service.full_name}/{method.name}", method.server_streaming)
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


async def _raw(corridor: Any, method: str, streaming: bool, metadata: Any = None) -> Any:
    """Call with an empty request, raw; returns the answers."""
    if streaming:
        call = corridor.channel.unary_stream(method)(b"", metadata=metadata)
        return [answer async for answer in call]
    return await corridor.channel.unary_unary(method)(b"", metadata=metadata)


@pytest.mark.parametrize(("method", "streaming"), METHODS)
async def test_no_call_without_a_token(
    corridor: Any, refusal: Any, method: str, streaming: bool
) -> None:
    found = await refusal(_raw(corridor, method, streaming))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    assert corridor.calls[-1] == (method, "UNAUTHENTICATED")


async def test_what_a_role_may_not_call_is_refused_before_it_is_read(
    corridor: Any, refusal: Any
) -> None:
    for role, scope in (
        (Role.AGENT, {"center": "wuhan-ai"}),
        (Role.ENTERPRISE_MEMBER, {"enterprise": "sample-ezhou-1"}),
        (Role.AUDITOR, {}),
    ):
        metadata = corridor.token(role, **scope)
        for method, streaming in METHODS:
            if role in roles.ROLES[method]:
                continue
            found = await refusal(_raw(corridor, method, streaming, metadata))
            assert found.code == grpc.StatusCode.PERMISSION_DENIED, method
            assert found.info == {"role": str(role), "method": method}


async def test_foreign_malformed_expired_and_revoked_tokens(corridor: Any, refusal: Any) -> None:
    who = corridor.identity.WhoAmI
    foreign = (("authorization", f"Bearer {tokens.new_secret()}"),)
    assert (await refusal(who(WhoAmI(), metadata=foreign))).reason == "TOKEN_UNKNOWN"
    malformed = (("authorization", "Basic aGk="),)
    assert (await refusal(who(WhoAmI(), metadata=malformed))).reason == "TOKEN_MALFORMED"

    soon = corridor.token(Role.AUDITOR, expire_ms=corridor.clock.ms + 10)
    await who(WhoAmI(), metadata=soon)
    corridor.clock.ms += 10
    found = await refusal(who(WhoAmI(), metadata=soon))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")

    doomed = corridor.token(Role.AUDITOR)
    operator = corridor.operator()
    await who(WhoAmI(), metadata=doomed)
    digest = tokens.fingerprint(doomed[0][1].removeprefix("Bearer "))
    ((token_id,),) = corridor.rows(f"SELECT token_id FROM token WHERE secret_sha256 = '{digest}'")
    await corridor.identity.RevokeToken(
        identity_service_pb2.RevokeTokenRequest(token_id=token_id), metadata=operator
    )
    found = await refusal(who(WhoAmI(), metadata=doomed))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REVOKED")


async def test_a_defect_gives_an_id_and_no_secret(corridor: Any, refusal: Any) -> None:
    metadata = corridor.operator()
    with capture_logs() as logs:
        found = await refusal(corridor.jobs.GetJob(GetJob(job_id="defect"), metadata=metadata))
    assert (found.code, found.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret detail" not in found.message
    assert found.info["incident"] in found.message
    (logged,) = [line for line in logs if line["event"] == "call_failed"]
    assert logged["incident"] == found.info["incident"]
    assert "secret detail" in str(logged["exc_info"])
    assert corridor.calls[-1] == ("/corridor.v1.JobService/GetJob", "INTERNAL")


async def test_a_stream_passes_its_answers_and_ends_with_its_error(corridor: Any) -> None:
    call = corridor.jobs.WatchJobs(WatchJobs(), metadata=corridor.operator())
    assert await call.read() == job_service_pb2.WatchJobsResponse()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert corridor.calls[-1] == ("/corridor.v1.JobService/WatchJobs", "INTERNAL")


async def test_calls_are_told_with_their_codes(corridor: Any) -> None:
    await corridor.jobs.GetJob(GetJob(), metadata=corridor.operator())
    assert corridor.calls == [("/corridor.v1.JobService/GetJob", "OK")]


async def test_an_unknown_method_is_unimplemented(corridor: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _raw(corridor, "/corridor.v1.JobService/DropAll", False, corridor.operator())
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_health_is_open_and_reflection_is_for_those_we_know(
    corridor: Any, refusal: Any
) -> None:
    health: Any = health_pb2_grpc.HealthStub(corridor.channel)
    serving = health_pb2.HealthCheckResponse.SERVING
    for name in ("", "corridor.v1.JobService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == serving
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(corridor.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")

    async def services(metadata: Any) -> set[str]:
        call = reflection.ServerReflectionInfo(iter([asked]), metadata=metadata)
        return {one.name async for answer in call for one in answer.list_services_response.service}

    assert (await refusal(services(None))).reason == "TOKEN_MISSING"
    found = await services(corridor.token(Role.AUDITOR))
    assert {"corridor.v1.JobService", "corridor.v1.IdentityService"} <= found


async def test_who_am_i_names_the_caller(corridor: Any) -> None:
    metadata = corridor.token(Role.ENTERPRISE_ADMIN, enterprise="sample-ezhou-1", subject="Li Na")
    who = await corridor.identity.WhoAmI(WhoAmI(), metadata=metadata)
    assert (who.subject, who.city, who.enterprise) == ("Li Na", "ezhou", "sample-ezhou-1")
    assert who.role == identity_service_pb2.ROLE_ENTERPRISE_ADMIN
    assert who.simulated
    assert who.service_version == "0.1.0-test"
    assert who.now.ToMilliseconds() == corridor.clock.ms
