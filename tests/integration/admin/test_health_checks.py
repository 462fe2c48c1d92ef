"""Health over the real server: what is asked wrongly is told so, and is no failure of ours."""

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

NOT_UTF8 = b"\x0a\x02\xff\xfe"


def checked(corridor: Any, request: bytes) -> Any:
    """How a service is, asked for with bytes."""
    serve = health_pb2.HealthCheckResponse.FromString
    ask = corridor.channel.unary_unary("/grpc.health.v1.Health/Check", None, serve)
    return ask(request)


async def test_services_are_told_of_and_others_are_not_there(corridor: Any, refusal: Any) -> None:
    for name in ("", "corridor.v1.JobService"):
        request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
        answer = await checked(corridor, request)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    other = health_pb2.HealthCheckRequest(service="corridor.v1.Other" + "x" * 3_000)
    found = await refusal(checked(corridor, other.SerializeToString()))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert "ask for corridor.v1.AdapterService" in found.message
    assert len(found.message) < 800


@pytest.mark.parametrize("request_bytes", [NOT_UTF8, b"\x0a\x03a\0b", b"\x0a\x7f"])
async def test_what_cannot_be_read_is_the_callers_fault(
    corridor: Any, refusal: Any, request_bytes: bytes
) -> None:
    found = await refusal(checked(corridor, request_bytes))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")

    async def first() -> Any:
        watch = corridor.channel.unary_stream("/grpc.health.v1.Health/Watch", None, None)
        return await anext(aiter(watch(request_bytes)))

    found = await refusal(first())
    assert found.code == grpc.StatusCode.INVALID_ARGUMENT
