"""The client over real channels: token, deadline, repeating, TLS, watching, rich errors."""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import (
    identity_service_pb2,
    identity_service_pb2_grpc,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
)
from google.protobuf import descriptor_pool
from grpc_status import rpc_status

from scheduler import errors
from scheduler.client import REPEATABLE, AsyncClient, Client, problem_of, split_address
from scheduler.rpc.errors import to_status

TLS = Path(__file__).parents[2] / "data/tls"
WhoAmI = identity_service_pb2.WhoAmIRequest
SubmitJobs = job_service_pb2.SubmitJobsRequest
WatchJobs = job_service_pb2.WatchJobsRequest
Behavior = Callable[[Any, Any], Any]


class Scripted:
    """Answers each method with what the test wants, and notes who asked what."""

    def __init__(self) -> None:
        self.behavior: Behavior = lambda request, context: None
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.remaining_s: list[float] = []

    def __getattr__(self, name: str) -> Behavior:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            self.requests.append(request)
            self.metadata.append(dict(context.invocation_metadata()))
            self.remaining_s.append(context.time_remaining())
            return self.behavior(request, context)

        return answer


class Server:
    """A server on a loopback port that speaks the script."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.script = Scripted()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(4),
            options=[("grpc.max_receive_message_length", 64 << 20)],
        )
        script: Any = self.script
        job_service_pb2_grpc.add_JobServiceServicer_to_server(script, self._server)
        identity_service_pb2_grpc.add_IdentityServiceServicer_to_server(script, self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    def stop(self) -> None:
        """End all calls and free the port."""
        self._server.stop(None).wait()


@pytest.fixture
def server() -> Iterator[Server]:
    """A plain server."""
    serving = Server()
    yield serving
    serving.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of it."""
    with Client(f"127.0.0.1:{server.port}", "cor_secret") as one:
        yield one


def away(times: int, then: Any) -> Behavior:
    """Answer UNAVAILABLE so many times, then ``then``."""
    left = [times]

    def behavior(request: Any, context: grpc.ServicerContext) -> Any:
        if left[0]:
            left[0] -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
        return then

    return behavior


def test_every_call_carries_the_token_and_a_deadline(server: Server, client: Client) -> None:
    server.script.behavior = lambda request, context: identity_service_pb2.WhoAmIResponse()
    client.identity.WhoAmI(WhoAmI())
    client.identity.WhoAmI(WhoAmI(), timeout=1000, metadata=(("x-more", "1"),))
    assert [one["authorization"] for one in server.script.metadata] == ["Bearer cor_secret"] * 2
    assert server.script.metadata[1]["x-more"] == "1"
    assert 20 < server.script.remaining_s[0] < 31 < server.script.remaining_s[1]


def test_a_lost_answer_is_asked_for_again_with_the_same_request(
    server: Server, client: Client
) -> None:
    server.script.behavior = away(2, job_service_pb2.SubmitJobsResponse(replayed=True))
    script = "x" * 3000  # 3 MB in all: more than the channel's usual buffer for repeating
    request = SubmitJobs(request_id="one", jobs=[job_pb2.JobSpec(script=script)] * 1000)
    assert client.jobs.SubmitJobs(request).replayed
    assert server.script.requests == [request] * 3


def test_what_may_not_be_done_twice_is_not_repeated(server: Server, client: Client) -> None:
    server.script.behavior = away(1, identity_service_pb2.CreateTokenResponse())
    with pytest.raises(grpc.RpcError) as caught:
        client.identity.CreateToken(identity_service_pb2.CreateTokenRequest())
    assert problem_of(caught.value).code == "UNAVAILABLE"
    assert len(server.script.requests) == 1


def test_the_table_of_repeatable_calls_names_methods_and_leaves_no_read_out() -> None:
    pool = descriptor_pool.Default()
    for service, methods in REPEATABLE.items():
        known = {method.name for method in pool.FindServiceByName(f"corridor.v1.{service}").methods}
        assert set(methods) <= known
        reads = {name for name in known if name.startswith(("Get", "List", "Read", "Explain"))}
        assert reads <= set(methods)


def test_a_call_that_is_not_answered_ends(server: Server) -> None:
    done = threading.Event()
    server.script.behavior = lambda request, context: done.wait()
    with (
        Client(f"127.0.0.1:{server.port}", None, timeout_s=0.1) as client,
        pytest.raises(grpc.RpcError) as caught,
    ):
        client.identity.WhoAmI(WhoAmI())
    done.set()
    problem = problem_of(caught.value)
    assert (problem.code, problem.reason) == ("DEADLINE_EXCEEDED", "")
    assert problem.advice


async def test_both_clients_do_the_same(server: Server) -> None:
    server.script.behavior = away(1, identity_service_pb2.WhoAmIResponse(subject="Li Na"))
    async with AsyncClient(f"127.0.0.1:{server.port}", "cor_secret") as client:
        assert (await client.identity.WhoAmI(WhoAmI())).subject == "Li Na"
    assert server.script.metadata[1]["authorization"] == "Bearer cor_secret"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            errors.InvalidRequest([errors.FieldViolation("jobs[0].wall_limit", "is mandatory")]),
            {"code": "INVALID_ARGUMENT", "reason": "INVALID_REQUEST"},
        ),
        (
            errors.QuotaExceeded("too large", subject="cities/wuhan"),
            {"code": "RESOURCE_EXHAUSTED", "reason": "EXCEEDS_MAX", "subject": "cities/wuhan"},
        ),
        (
            errors.WrongState("not now", subject="jobs/j1", reason="NO_RUN"),
            {"code": "FAILED_PRECONDITION", "reason": "NO_RUN", "subject": "jobs/j1"},
        ),
        (
            errors.TemporarilyAway("wait", retry_after_s=2.5),
            {"code": "UNAVAILABLE", "reason": "UNAVAILABLE", "retry_after_s": 2.5},
        ),
        (
            errors.Forbidden("no", metadata={"role": "AGENT"}),
            {"code": "PERMISSION_DENIED", "reason": "FORBIDDEN", "metadata": {"role": "AGENT"}},
        ),
    ],
)
async def test_the_details_of_an_error_are_read_by_both(
    server: Server, client: Client, error: errors.CorridorError, expected: dict[str, Any]
) -> None:
    def refuse(request: Any, context: grpc.ServicerContext) -> None:
        context.abort_with_status(rpc_status.to_status(to_status(error)))

    server.script.behavior = refuse
    create = identity_service_pb2.CreateTokenRequest()
    with pytest.raises(grpc.RpcError) as caught:
        client.identity.CreateToken(create)
    async with AsyncClient(f"127.0.0.1:{server.port}", None) as other:
        with pytest.raises(grpc.RpcError) as caught_there:
            await other.identity.CreateToken(create)
    problem = problem_of(caught.value)
    assert problem == problem_of(caught_there.value) == problem_of(to_status(error))
    assert {name: getattr(problem, name) for name in expected} == expected
    assert problem.message == error.message
    assert problem.advice == ""
    if isinstance(error, errors.InvalidRequest):
        assert problem.violations == error.violations


def test_many_violations_fit_into_the_trailers(server: Server, client: Client) -> None:
    violations = [errors.FieldViolation(f"jobs[{at}].name", "x" * 300) for at in range(10_000)]
    status = rpc_status.to_status(to_status(errors.InvalidRequest(violations)))
    server.script.behavior = lambda request, context: context.abort_with_status(status)
    with pytest.raises(grpc.RpcError) as caught:
        client.jobs.SubmitJobs(SubmitJobs())
    assert problem_of(caught.value).violations[0] == violations[0]


# --- watching -------------------------------------------------------------------------------------


def answer(sequence: int) -> job_service_pb2.WatchJobsResponse:
    """One event and where to go on."""
    events = [job_pb2.JobEvent(sequence=sequence)]
    return job_service_pb2.WatchJobsResponse(events=events, resume_token=f"after-{sequence}")


def interrupted(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    """Two events a stream, until the fifth; each stream but the last is cut off."""
    after = int(request.resume_token.partition("-")[2] or 0)
    for sequence in range(after + 1, min(after + 3, 6)):
        yield answer(sequence)
    if after < 4:
        context.abort(grpc.StatusCode.UNAVAILABLE, "the service goes down")


def sequences(answers: Any) -> list[int]:
    """Sequence numbers of all events."""
    return [event.sequence for one in answers for event in one.events]


def test_a_lost_watch_goes_on_without_gap_or_repetition(server: Server, client: Client) -> None:
    server.script.behavior = interrupted
    lost: list[grpc.RpcError] = []
    watched = list(client.watch(WatchJobs(from_start=True), on_lost=lost.append))
    assert sequences(watched) == [1, 2, 3, 4, 5]
    tokens = [request.resume_token for request in server.script.requests]
    assert tokens == ["", "after-2", "after-4"]
    assert len(lost) == 2


async def test_a_lost_watch_goes_on_in_the_other_client_too(server: Server) -> None:
    server.script.behavior = interrupted
    async with AsyncClient(f"127.0.0.1:{server.port}", None) as client:
        watched = [one async for one in client.watch(WatchJobs(from_start=True))]
    assert sequences(watched) == [1, 2, 3, 4, 5]


def test_a_watch_that_never_began_or_is_refused_is_told(server: Server, client: Client) -> None:
    server.script.behavior = lambda request, context: context.abort(
        grpc.StatusCode.PERMISSION_DENIED, "not yours"
    )
    with pytest.raises(grpc.RpcError) as caught:
        list(client.watch(WatchJobs()))
    assert problem_of(caught.value).code == "PERMISSION_DENIED"
    with Client("127.0.0.1:1", None) as nowhere, pytest.raises(grpc.RpcError) as caught:
        list(nowhere.watch(WatchJobs()))
    assert problem_of(caught.value).code == "UNAVAILABLE"


def test_a_watch_gives_up_once_its_time_is_over(server: Server, client: Client) -> None:
    server.script.behavior = interrupted
    watching = client.watch(WatchJobs(from_start=True), resume_s=-1)
    with pytest.raises(grpc.RpcError) as caught:
        list(watching)
    assert problem_of(caught.value).code == "UNAVAILABLE"
    assert len(server.script.requests) == 1


def test_a_watch_that_is_left_is_cancelled(server: Server, client: Client) -> None:
    cancelled = threading.Event()

    def endless(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        context.add_callback(cancelled.set)
        yield answer(1)
        cancelled.wait()

    server.script.behavior = endless
    watching = client.watch(WatchJobs())
    next(watching)
    watching.close()
    assert cancelled.wait(timeout=60)


# --- addresses and TLS ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("host", ("host", 7443)),
        ("host:1", ("host", 1)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("::1", ("::1", 7443)),
        ("[::1]", ("::1", 7443)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["", ":80", "host:", "host:x", "host:70000", "http://host/"])
def test_malformed_addresses(address: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        split_address(address)


def test_tls_with_an_authority_file(tmp_path: Path) -> None:
    pair = [((TLS / "key.pem").read_bytes(), (TLS / "cert.pem").read_bytes())]
    serving = Server(grpc.ssl_server_credentials(pair))
    serving.script.behavior = lambda request, context: identity_service_pb2.WhoAmIResponse()
    address = f"localhost:{serving.port}"
    try:
        with Client(address, "cor_secret", tls_ca=TLS / "cert.pem") as client:
            client.identity.WhoAmI(WhoAmI())
        for options in ({"tls_ca": TLS / "other.pem"}, {"insecure": True}):
            with (
                Client(address, "cor_secret", **options) as client,
                pytest.raises(grpc.RpcError) as caught,
            ):
                client.identity.WhoAmI(WhoAmI())
            assert problem_of(caught.value).code == "UNAVAILABLE"
    finally:
        serving.stop()
    assert len(serving.script.requests) == 1
    with pytest.raises(OSError, match="No such file"):
        Client(address, None, tls_ca=tmp_path / "none.pem")
