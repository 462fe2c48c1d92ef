"""Puts the gRPC server together: the services, health, reflection, limits and keepalive."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
from corridor.v1 import (
    adapter_service_pb2,
    adapter_service_pb2_grpc,
    center_service_pb2,
    center_service_pb2_grpc,
    identity_service_pb2,
    identity_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
    quota_service_pb2,
    quota_service_pb2_grpc,
    subsidy_service_pb2,
    subsidy_service_pb2_grpc,
)
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from scheduler.rpc.adapter_servicer import AdapterServicer, Agents
from scheduler.rpc.center_servicer import CenterServicer
from scheduler.rpc.forwarding import Forwarder
from scheduler.rpc.guarding import Guard, Guarding
from scheduler.rpc.health_checks import HealthChecks
from scheduler.rpc.identity_servicer import IdentityServicer
from scheduler.rpc.interceptors import CallInterceptor, OnBegin, OnCall
from scheduler.rpc.quota_servicer import QuotaServicer
from scheduler.rpc.subsidy_servicer import SubsidyServicer
from scheduler.services.context import Context

MESSAGE_MAX_BYTES: Final = 64 * 1024 * 1024
#: Who watches the service's health is told of its end, then let go, before the grace is over.
_PROBES_TOLD_S: Final = 0.1
METADATA_MAX_BYTES: Final = 256 * 1024  # a BadRequest of a big batch travels in trailers
#: A client may ping every 20 s; one that answers no ping for 20 s is gone.
_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_metadata_size", METADATA_MAX_BYTES),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
    # Pings that a cut way held up arrive at once: no reason to end a caller's streams.
    ("grpc.http2.max_ping_strikes", 8),
    # A quiet connection is asked as well, however often: its caller may have vanished.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.so_reuseport", 0),
)

#: The services and their descriptors; the table of roles is tested against these.
SERVICES: Final[Mapping[str, Any]] = {
    descriptor.full_name: descriptor
    for module in (
        job_service_pb2,
        quota_service_pb2,
        subsidy_service_pb2,
        center_service_pb2,
        identity_service_pb2,
        adapter_service_pb2,
    )
    for descriptor in module.DESCRIPTOR.services_by_name.values()
}


@dataclass(frozen=True, slots=True)
class AgentsPort:
    """A further address, ``host:port``, for callers with a certificate."""

    listen: str
    credentials: grpc.ServerCredentials


@dataclass(frozen=True, slots=True)
class ServingServer:
    """A built server: ``port`` is the bound one; ``health`` says whether it takes calls.

    ``agents_port`` is that of callers with a certificate, 0 if there is none.
    """

    server: grpc.aio.Server
    port: int
    health: HealthChecks
    calls: CallInterceptor
    guarding: Guarding
    agents_port: int = 0

    async def start(self) -> None:
        """Begin to serve; health says SERVING."""
        self.guarding.start()
        await self.server.start()

    async def reaches_store(self, reaches: bool) -> None:
        """Say whether the store answers: without it, callers do better at another replica."""
        self.health.turn(reaches)

    async def drain(self, grace_s: float) -> None:
        """Answer NOT_SERVING, take no new call, end streams, give other calls ``grace_s``."""
        self.health.leave()
        stopping = asyncio.ensure_future(self.server.stop(grace_s))
        await asyncio.sleep(0)  # it takes no new calls from here on
        self.calls.end_streams()
        await asyncio.wait({stopping}, timeout=_PROBES_TOLD_S)
        self.calls.end_probes()
        await stopping
        await self.guarding.stop()


def build(
    context: Context,
    job_servicer: job_service_pb2_grpc.JobServiceServicer,
    *,
    listen: str,
    on_call: OnCall,
    credentials: grpc.ServerCredentials | None = None,
    agents: Agents | None = None,
    agents_port: AgentsPort | None = None,
    forwarder: Forwarder | None = None,
    guard: Guard | None = None,
    on_unknown: Callable[[str], None] = lambda _reason: None,
    on_begin: OnBegin | None = None,
) -> ServingServer:
    """Return a server of all services bound to ``listen`` (``host:port``, port 0 for a free one).

    ``agents`` are the centers reached through agents, by default none; ``agents_port`` is bound
    too. Without ``credentials`` it speaks plain text: for loopback, or where the operator said so.
    ``forwarder`` passes on what another replica is to answer; ``guard`` is what is asked of callers
    beside a token of ours, by default nothing; ``on_unknown`` is told why a caller is not known,
    ``on_begin`` and ``on_call`` of each call that begins and that ended.
    Raises ``OSError`` if an address cannot be bound.
    """
    guarding = Guarding(context, guard or Guard())
    verifier = guarding.verifier
    calls = CallInterceptor(verifier, on_call, forwarder, guarding.rates, on_unknown, on_begin)
    server = grpc.aio.server(interceptors=(calls,), options=_OPTIONS)
    job_service_pb2_grpc.add_JobServiceServicer_to_server(job_servicer, server)
    quota_service_pb2_grpc.add_QuotaServiceServicer_to_server(QuotaServicer(context), server)
    subsidy_service_pb2_grpc.add_SubsidyServiceServicer_to_server(SubsidyServicer(context), server)
    center_service_pb2_grpc.add_CenterServiceServicer_to_server(CenterServicer(context), server)
    identity_service_pb2_grpc.add_IdentityServiceServicer_to_server(
        IdentityServicer(context, verifier.forget), server
    )
    adapter_service_pb2_grpc.add_AdapterServiceServicer_to_server(
        AdapterServicer(context, agents or Agents()), server
    )
    serving = HealthChecks(SERVICES)
    health_pb2_grpc.add_HealthServicer_to_server(serving, server)
    reflection.enable_server_reflection(
        (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    port = _bind(server, listen, credentials)
    other = 0
    if agents_port is not None:
        other = _bind(server, agents_port.listen, agents_port.credentials)
    return ServingServer(server, port, serving, calls, guarding, other)


def _bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        if credentials is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {listen}: is the port in use?") from error
    if port == 0:
        raise OSError(f"cannot listen on {listen}: is the port in use?")
    return port
