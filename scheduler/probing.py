"""Asks a service whether it takes calls, by the health service of gRPC; needs no token.

For probes of what runs it: a load balancer, systemd, a container's health check. One look, no
retries: whoever asks, asks again.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import grpc

from scheduler.client import split_address

_CHECK: Final = "/grpc.health.v1.Health/Check"
#: ``status`` of grpc.health.v1.HealthCheckResponse is its only field, a varint of one byte.
_SERVING: Final = b"\x08\x01"


class Health(StrEnum):
    """What a service said of itself, or that nothing was heard of it."""

    SERVING = "SERVING"
    NOT_SERVING = "NOT_SERVING"
    UNREACHABLE = "UNREACHABLE"


def probe(
    address: str,
    *,
    tls_ca: Path | None = None,
    tls_name: str | None = None,
    insecure: bool = False,
    timeout_s: float,
) -> tuple[Health, str]:
    """Return what the service at ``host:port`` says of its health, and why if it says nothing.

    Plain text where ``insecure`` says so; else TLS, trusting ``tls_ca`` (PEM) or the system's
    authorities, and expecting ``tls_name`` in the certificate instead of the host. Raises
    ``ValueError`` for a malformed address and ``OSError`` if ``tls_ca`` cannot be read.
    """
    host, port = split_address(address)
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options: list[tuple[str, Any]] = [("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)]
    if insecure:
        channel = grpc.insecure_channel(target, options=options)
    else:
        if tls_name is not None:
            options.append(("grpc.ssl_target_name_override", tls_name))
        roots = None if tls_ca is None else tls_ca.read_bytes()
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(roots), options=options)
    with channel:
        check: Any = channel.unary_unary(
            _CHECK, request_serializer=bytes, response_deserializer=bytes
        )
        try:
            said: bytes = check(b"", timeout=timeout_s)
        except grpc.RpcError as failed:
            error: Any = failed
            return Health.UNREACHABLE, f"{error.code().name}: {error.details()}"
    return (Health.SERVING if said == _SERVING else Health.NOT_SERVING), ""
