"""A replica that another reaches by a bare address is known by the name in its certificate."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health as grpc_health
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scheduler.leading import open_peer
from scheduler.settings import ServerSettings, Settings
from tests.authority import Authority


@pytest.mark.parametrize("name", ["replica.example", ""])
async def test_name_of_peers(tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.signed("replica.example")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    server = grpc.aio.server()
    serving = grpc_health.aio.HealthServicer()  # type: ignore[attr-defined, unused-ignore]
    health_pb2_grpc.add_HealthServicer_to_server(serving, server)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, cert)]))
    await server.start()
    settings = Settings(ServerSettings(tls_cert="given", peers_ca=str(ca), peers_name=name))
    async with open_peer(settings, f"127.0.0.1:{port}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        call = health.Check(health_pb2.HealthCheckRequest())
        if name:
            assert (await call).status == health_pb2.HealthCheckResponse.SERVING
        else:
            with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
                await call
    await server.stop(0)
