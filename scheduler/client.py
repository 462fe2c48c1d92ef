"""The client of the API over grpcio, for scripts and for the command line; needs no Ray and no SQL.

    with Client("scheduler.example:7443", token, tls_ca="ca.pem") as client:
        answer = client.jobs.SubmitJobs(SubmitJobsRequest(request_id=..., jobs=[...]))

``AsyncClient`` is the same over ``grpc.aio``. Each stub's methods send the token, end after a
default deadline (streams have none) and repeat what may safely be repeated when the service is
away: reads, and calls with a request id. What a call raises is a ``grpc.RpcError``; ``problem_of``
reads its rich details.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import grpc
from corridor.v1.center_service_pb2_grpc import CenterServiceStub
from corridor.v1.identity_service_pb2_grpc import IdentityServiceStub
from corridor.v1.job_service_pb2 import WatchJobsRequest, WatchJobsResponse
from corridor.v1.job_service_pb2_grpc import JobServiceStub
from corridor.v1.quota_service_pb2_grpc import QuotaServiceStub
from corridor.v1.subsidy_service_pb2_grpc import SubsidyServiceStub

from scheduler.addresses import DEFAULT_PORT as DEFAULT_PORT
from scheduler.addresses import is_loopback as is_loopback
from scheduler.addresses import split_address as split_address
from scheduler.addresses import target_of
from scheduler.domain.traces import TRACEPARENT, parse
from scheduler.problem import Problem as Problem
from scheduler.problem import problem_of as problem_of
from scheduler.resuming import (
    RESUME_S,
    SILENT_S,
    Resuming,
    answers,
    answers_async,
    say_nothing,
)

if TYPE_CHECKING:  # they exist only in the stubs of mypy-protobuf
    from corridor.v1.center_service_pb2_grpc import CenterServiceAsyncStub
    from corridor.v1.identity_service_pb2_grpc import IdentityServiceAsyncStub
    from corridor.v1.job_service_pb2_grpc import JobServiceAsyncStub
    from corridor.v1.quota_service_pb2_grpc import QuotaServiceAsyncStub
    from corridor.v1.subsidy_service_pb2_grpc import SubsidyServiceAsyncStub

MESSAGE_MAX_BYTES: Final = 64 * 1024 * 1024
TIMEOUT_S: Final = 30.0

#: Safe to repeat without knowing what became of the first try: reads, what carries a request id,
#: and what asks for a state rather than for a change. What an etag guards is not here: repeated
#: after a lost answer it would find its own change and call it foreign.
REPEATABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "JobService": (
        "SubmitJobs", "QuoteJobs", "GetJob", "ListJobs", "CancelJobs", "HoldJobs", "ReleaseJobs",
        "GrantEmergency", "WatchJobs", "ExplainJob", "ReadJobLogs",
    ),
    "QuotaService": (
        "GetCityQuota", "ListCityQuotas", "GetEnterpriseQuota", "ListEnterpriseQuotas",
        "GetFlavorQuota", "ListFlavorQuotas", "ListQuotaChanges", "ListStopStates", "ListUsage",
        "GetBudget", "ListBudgets", "GetBudgetSettings", "VerifyBudgets", "ListLoans",
        "GetLoanRule",
    ),
    "SubsidyService": (
        "ListProgrammes", "ListFunds", "AppropriateFund", "ListTransfers", "VerifyLedger",
        "CreateStatement", "GetStatement", "ListStatements", "IssueStatement", "PayStatement",
        "DisputeStatement", "ReadStatementFile", "OpenFund", "LowerFund", "CloseFund",
        "ListBookMonths", "CloseBookMonth", "IssueVouchers", "GetVoucher", "ListVouchers",
        "RevokeVoucher", "GrantHours", "ListHourGrants", "ListWallets", "TopUpWallet",
        "SetWalletCredit",
        "GetChangeRequest", "GetLedgerDigest", "GetProgramme", "GetRunCharge", "ListAlerts",
        "ListChangeRequests", "ListLedgerDigests", "ListRuleVersions", "ForecastFunds",
        "VerifyLedgerHeads",
    ),
    "CenterService": (
        "GetCenter", "ListCenters", "CordonCenter", "DrainCenter", "ResumeCenter", "ListPrices",
        "ListReconciliations", "ListDifferences",
    ),
    "IdentityService": (
        "WhoAmI", "ListCities", "ListEnterprises", "ListTokens", "RevokeToken", "ListAuditEvents",
        "ListReplicas",
        "ListEnterpriseFacts",
    ),
}  # fmt: skip

_SERVICE_CONFIG: Final = {
    "methodConfig": [
        {
            "name": [
                {"service": f"corridor.v1.{service}", "method": method}
                for service, methods in REPEATABLE.items()
                for method in methods
            ],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2.5,
                # A service that stops says CANCELLED of calls that it has not begun.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ]
}
_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    # Field violations of a big batch travel in trailers.
    ("grpc.max_metadata_size", 256 * 1024),
    ("grpc.absolute_max_metadata_size", 512 * 1024),
    # A dead peer is noticed within 45 s; the server allows a ping every 20 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A call whose message does not fit into this buffer would not be repeated.
    ("grpc.per_rpc_retry_buffer_size", MESSAGE_MAX_BYTES),
    # Not min_reconnect_backoff_ms: that is also how long an attempt to connect may take.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


#: A token, or what gives one for each call, where tokens are renewed.
Token = str | Callable[[], str] | None
#: A W3C ``traceparent`` of the caller's own trace, or what gives it; a malformed one is left out.
Trace = str | Callable[[], str | None] | None
_ALONE: Final = (("grpc.service_config", json.dumps(_SERVICE_CONFIG)),)
#: Of several replicas each is called in turn; one that says that it does not serve, or that does
#: not answer, is left out until it does. What is repeated goes to another one.
_SHARED: Final = (
    (
        "grpc.service_config",
        json.dumps(
            {
                "loadBalancingConfig": [{"round_robin": {}}],
                "healthCheckConfig": {"serviceName": ""},
                **_SERVICE_CONFIG,
            }
        ),
    ),
)


class _Channel:
    """A channel whose calls carry the token and a default deadline.

    Cheaper than interceptors, which make a task of each call, and the same for both clients.
    """

    def __init__(
        self, channel: Any, metadata: Callable[[], tuple[tuple[str, str], ...]], timeout_s: float
    ):
        self._channel, self._metadata, self._timeout_s = channel, metadata, timeout_s

    def unary_unary(self, method: str, **how: Any) -> Any:
        return self._with_defaults(self._channel.unary_unary(method, **how), self._timeout_s)

    def unary_stream(self, method: str, **how: Any) -> Any:
        return self._with_defaults(self._channel.unary_stream(method, **how), None)

    def _with_defaults(self, call: Any, default_s: float | None) -> Any:
        own = self._metadata

        def invoke(
            request: Any,
            timeout: float | None = None,
            metadata: Sequence[tuple[str, str]] | None = None,
            **more: Any,
        ) -> Any:
            return call(
                request,
                timeout=default_s if timeout is None else timeout,
                metadata=own() if metadata is None else (*own(), *metadata),
                **more,
            )

        return invoke


def _channel(
    make_plain: Callable[..., Any],
    make_secure: Callable[..., Any],
    address: str,
    tls_ca: str | Path | None,
    insecure: bool,
    options: Sequence[tuple[str, Any]],
    identity: tuple[bytes, bytes] | None = None,
    tls_name: str | None = None,
) -> Any:
    where = target_of(address, tls_name)
    # Of equal names the first counts.
    chosen = [*options, *(_SHARED if where.is_shared else _ALONE), *_OPTIONS]
    if where.is_loopback:
        chosen.append(("grpc.enable_http_proxy", 0))
    is_plain = insecure or (where.is_loopback and tls_name is None)
    if tls_ca is None and identity is None and is_plain:
        return make_plain(where.target, options=chosen)
    if where.tls_name:
        chosen.append(("grpc.default_authority", where.tls_name))
    roots = None if tls_ca is None else Path(tls_ca).read_bytes()
    key, cert = identity or (None, None)
    return make_secure(where.target, grpc.ssl_channel_credentials(roots, key, cert), options=chosen)


def open_channel(
    address: str,
    tls_ca: str | Path | None = None,
    identity: tuple[bytes, bytes] | None = None,
    tls_name: str | None = None,
) -> grpc.aio.Channel:
    """Return a channel as ``AsyncClient`` has it, without a token: plain text to loopback only.

    ``identity`` is a key and its certificate, as PEM, to show who calls.
    """
    return _channel(  # type: ignore[no-any-return]
        grpc.aio.insecure_channel, grpc.aio.secure_channel, address, tls_ca, False, (), identity,
        tls_name,
    )  # fmt: skip


def _metadata(token: Token, trace: Trace) -> Callable[[], tuple[tuple[str, str], ...]]:
    """Return what gives the metadata of a call; what is renewed is asked for at each."""

    def now() -> tuple[tuple[str, str], ...]:
        told, parent = (one() if callable(one) else one for one in (token, trace))
        who = (("authorization", f"Bearer {told}"),) if told or callable(token) else ()
        return who if parse(parent) is None else (*who, (TRACEPARENT, str(parent)))

    if callable(token) or callable(trace):
        return now
    fixed = now()
    return lambda: fixed


class Client:
    """The blocking client; close it, or use it in a ``with`` statement. Threads may share it.

    ``address`` is ``host:port`` or ``host`` (port 7443), or several of replicas with commas
    between; a name may have several records. Calls go to all that serve in turn, and those that may
    be repeated go to another one when theirs is lost. It speaks TLS, trusting ``tls_ca`` (a PEM
    file) or the system's authorities, but plain text where ``insecure`` says so, and to loopback
    without ``tls_ca`` and ``tls_name``; that is the name that all certificates have, by default the
    host of the first of several addresses. ``timeout_s`` is the deadline of calls that name none,
    in seconds; ``options`` are further gRPC channel options, ``traceparent`` the caller's trace.
    Raises ``ValueError`` for a malformed address and ``OSError`` if ``tls_ca`` cannot be read.
    """

    def __init__(
        self,
        address: str,
        token: Token,
        *,
        tls_ca: str | Path | None = None,
        timeout_s: float = TIMEOUT_S,
        insecure: bool = False,
        tls_name: str | None = None,
        options: Sequence[tuple[str, Any]] = (),
        traceparent: Trace = None,
    ) -> None:
        self.channel: grpc.Channel = _channel(
            grpc.insecure_channel, grpc.secure_channel, address, tls_ca, insecure, options,
            tls_name=tls_name,
        )  # fmt: skip
        ours: Any = _Channel(self.channel, _metadata(token, traceparent), timeout_s)
        self.jobs: JobServiceStub = JobServiceStub(ours)
        self.quotas: QuotaServiceStub = QuotaServiceStub(ours)
        self.subsidies: SubsidyServiceStub = SubsidyServiceStub(ours)
        self.centers: CenterServiceStub = CenterServiceStub(ours)
        self.identity: IdentityServiceStub = IdentityServiceStub(ours)

    def watch(
        self,
        request: WatchJobsRequest,
        *,
        resume_s: float = RESUME_S,
        silent_s: float = SILENT_S,
        on_lost: Callable[[grpc.RpcError], None] = say_nothing,
    ) -> Generator[WatchJobsResponse]:
        """Yield events and heartbeats; a lost stream is taken up again without a gap.

        Tries for ``resume_s`` seconds after a loss, and tells ``on_lost`` of each; then raises the
        last error. A stream that never began raises at once. One that says nothing, not even a
        heartbeat, for ``silent_s`` is given up as lost, whatever the channel thinks of it.
        """
        place = Resuming(request, resume_s)
        while True:
            stream: Any = self.jobs.WatchJobs(place.request)
            try:
                with closing(answers(stream, silent_s)) as said:
                    for answer in said:
                        place.seen(answer)
                        yield answer
                return
            except grpc.RpcError as error:
                pause_s = place.pause_s(error)
                on_lost(error)
                time.sleep(pause_s)
            finally:
                stream.cancel()

    def close(self) -> None:
        """Close the channel; calls under way end with CANCELLED."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient:
    """As ``Client``, on the running event loop."""

    def __init__(
        self,
        address: str,
        token: Token,
        *,
        tls_ca: str | Path | None = None,
        timeout_s: float = TIMEOUT_S,
        insecure: bool = False,
        tls_name: str | None = None,
        options: Sequence[tuple[str, Any]] = (),
        traceparent: Trace = None,
    ) -> None:
        self.channel: grpc.aio.Channel = _channel(
            grpc.aio.insecure_channel, grpc.aio.secure_channel, address, tls_ca, insecure, options,
            tls_name=tls_name,
        )  # fmt: skip
        ours: Any = _Channel(self.channel, _metadata(token, traceparent), timeout_s)
        self.jobs: JobServiceAsyncStub = JobServiceStub(ours)
        self.quotas: QuotaServiceAsyncStub = QuotaServiceStub(ours)
        self.subsidies: SubsidyServiceAsyncStub = SubsidyServiceStub(ours)
        self.centers: CenterServiceAsyncStub = CenterServiceStub(ours)
        self.identity: IdentityServiceAsyncStub = IdentityServiceStub(ours)

    async def watch(
        self,
        request: WatchJobsRequest,
        *,
        resume_s: float = RESUME_S,
        silent_s: float = SILENT_S,
        on_lost: Callable[[grpc.RpcError], None] = say_nothing,
    ) -> AsyncGenerator[WatchJobsResponse]:
        """Yield events and heartbeats, as ``Client.watch``."""
        place = Resuming(request, resume_s)
        while True:
            stream: Any = self.jobs.WatchJobs(place.request)
            try:
                async with aclosing(answers_async(stream, silent_s)) as said:
                    async for answer in said:
                        place.seen(answer)
                        yield answer
                return
            except grpc.RpcError as error:
                pause_s = place.pause_s(error)
                on_lost(error)
                await asyncio.sleep(pause_s)
            finally:
                stream.cancel()

    async def close(self) -> None:
        """Close the channel; calls under way end with CANCELLED."""
        await self.channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
