"""``corridor health`` against real servers: what it says, and its exit codes."""

import asyncio
import json
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health as grpc_health
from grpc_health.v1 import health_pb2, health_pb2_grpc
from typer.testing import CliRunner, Result

from scheduler.cli.main import app
from scheduler.rpc.server import ServingServer
from tests.authority import Authority
from tests.integration.conftest import Corridor

NOWHERE = "127.0.0.1:1"


async def health(*words: str) -> Result:
    """Run the command beside the server of this loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["health", *words])


def address(serving: ServingServer) -> str:
    return f"127.0.0.1:{serving.port}"


async def test_a_service_that_takes_calls_is_healthy(corridor: Corridor) -> None:
    told = await health("--address", address(corridor.serving))
    assert (told.exit_code, told.stdout) == (0, f"{address(corridor.serving)} SERVING\n")


async def test_who_does_not_reach_the_store_lives_and_takes_no_calls(corridor: Corridor) -> None:
    await corridor.serving.reaches_store(False)
    asked = ("--address", address(corridor.serving), "--json")
    told, alive = await health(*asked), await health(*asked, "--alive")
    assert json.loads(told.stdout)["health"] == "NOT_SERVING"
    assert (told.exit_code, alive.exit_code) == (1, 0)


@pytest.mark.parametrize("more", [(), ("--alive",)])
async def test_nobody_there(more: tuple[str, ...]) -> None:
    told = await health("--address", NOWHERE, "--json", *more)
    assert told.exit_code == 5
    found = json.loads(told.stdout)
    assert (found["address"], found["health"]) == (NOWHERE, "UNREACHABLE")
    assert found["why"].startswith("UNAVAILABLE: ")


@pytest.mark.parametrize("words", [("--address", "a/b"), ("--tls-ca", "/nowhere/ca.pem")])
async def test_wrong_use(words: tuple[str, ...]) -> None:
    told = await health(*words)
    assert told.exit_code == 2
    assert words[0] in told.stderr


async def test_tls_by_the_name_of_the_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.signed("corridor.example")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    server = grpc.aio.server()
    serving = grpc_health.aio.HealthServicer()  # type: ignore[attr-defined, unused-ignore]
    health_pb2_grpc.add_HealthServicer_to_server(serving, server)
    await serving.set("", health_pb2.HealthCheckResponse.SERVING)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, cert)]))
    await server.start()
    asked = ("--address", f"127.0.0.1:{port}", "--tls-ca", str(ca))
    named, unnamed = await health(*asked, "--tls-name", "corridor.example"), await health(*asked)
    await server.stop(0)
    assert (named.exit_code, unnamed.exit_code) == (0, 5)
