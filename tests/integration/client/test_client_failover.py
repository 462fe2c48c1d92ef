"""The client of several replicas: calls go to all that serve, and to another when one is lost."""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import identity_service_pb2, identity_service_pb2_grpc, job_service_pb2_grpc
from corridor.v1 import job_service_pb2 as pb
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from scheduler.client import AsyncClient, Client

TLS = Path(__file__).parents[2] / "data/tls"
TIMEOUT_S = 60
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
WhoAmI = identity_service_pb2.WhoAmIRequest


class Replica:
    """A server that counts its calls; ``answer`` is what it does with a submission."""

    def __init__(self, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> None:
        self.calls = 0
        self.called = threading.Event()
        self.submitted: list[str] = []
        self.answer: Callable[[Any], None] = lambda context: None
        self.health: Any = health.HealthServicer()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)]
        )
        ours: Any = self
        identity_service_pb2_grpc.add_IdentityServiceServicer_to_server(ours, self._server)
        job_service_pb2_grpc.add_JobServiceServicer_to_server(ours, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        where = f"127.0.0.1:{port}"
        if credentials is None:
            self.port = self._server.add_insecure_port(where)
        else:
            self.port = self._server.add_secure_port(where, credentials)
        self.health.set("", SERVING)
        self._server.start()

    def WhoAmI(self, request: Any, context: Any) -> identity_service_pb2.WhoAmIResponse:
        self.calls += 1
        self.called.set()
        return identity_service_pb2.WhoAmIResponse()

    def SubmitJobs(self, request: Any, context: Any) -> pb.SubmitJobsResponse:
        self.submitted.append(request.request_id)
        self.called.set()
        self.answer(context)
        return pb.SubmitJobsResponse()

    def WatchJobs(self, request: Any, context: Any) -> Iterator[pb.WatchJobsResponse]:
        self.submitted.append(request.resume_token)
        yield pb.WatchJobsResponse(resume_token=f"{self.port}")
        self.answer(context)

    def __getattr__(self, name: str) -> Any:
        return lambda request, context: context.abort(grpc.StatusCode.UNIMPLEMENTED, name)

    def stop(self) -> None:
        """End all calls at once and free the port."""
        self._server.stop(None).wait()


@pytest.fixture
def replicas() -> Iterator[list[Replica]]:
    both = [Replica(), Replica()]
    yield both
    for one in both:
        one.stop()


def addresses(replicas: list[Replica]) -> str:
    return ",".join(f"127.0.0.1:{one.port}" for one in replicas)


def call_until(client: Client, holds: Callable[[], bool]) -> None:
    """Call until something holds, for connections are made beside; no call may fail."""
    for _ in range(20_000):
        client.identity.WhoAmI(WhoAmI())
        if holds():
            return
    raise AssertionError("it never held")


def test_calls_go_to_all_in_turn(replicas: list[Replica]) -> None:
    first, second = replicas
    with Client(addresses(replicas), "cor_secret") as client:
        call_until(client, lambda: bool(first.calls and second.calls))
        before = first.calls, second.calls
        for _ in range(10):
            client.identity.WhoAmI(WhoAmI())
        assert (first.calls - before[0], second.calls - before[1]) == (5, 5)


def test_one_that_says_that_it_does_not_serve_is_not_called(replicas: list[Replica]) -> None:
    first, second = replicas
    first.health.set("", NOT_SERVING)
    with Client(addresses(replicas), "cor_secret") as client:
        for _ in range(20):
            client.identity.WhoAmI(WhoAmI())
        assert (first.calls, second.calls) == (0, 20)
        first.health.set("", SERVING)
        call_until(client, lambda: first.calls > 0)
        second.health.set("", NOT_SERVING)
        client.identity.WhoAmI(WhoAmI())
        last: list[int] = []

        def alone() -> bool:
            last.append(second.calls)
            return len(last) > 10 and last[-1] == last[-10]

        call_until(client, alone)


def test_reads_go_on_while_one_dies_and_comes_back(replicas: list[Replica]) -> None:
    first, second = replicas
    with Client(addresses(replicas), "cor_secret") as client:
        call_until(client, lambda: bool(first.calls and second.calls))
        first.stop()
        for _ in range(50):
            client.identity.WhoAmI(WhoAmI())
        replicas[0] = again = Replica(first.port)
        call_until(client, lambda: again.calls > 0)


def test_a_submission_whose_replica_dies_is_repeated_at_the_other(
    replicas: list[Replica],
) -> None:
    """With the same request id: whether the first stored it nobody knows, and need not."""
    held, may_go = threading.Event(), threading.Event()

    def hold(context: Any) -> None:
        if not held.is_set():
            held.set()
            may_go.wait(TIMEOUT_S)

    for one in replicas:
        one.answer = hold
    with (
        Client(addresses(replicas), "cor_secret") as client,
        futures.ThreadPoolExecutor(1) as beside,
    ):
        call = beside.submit(client.jobs.SubmitJobs, pb.SubmitJobsRequest(request_id="one"))
        assert held.wait(TIMEOUT_S)
        busy = next(one for one in replicas if one.submitted)
        other = next(one for one in replicas if one is not busy)
        stopping = threading.Thread(target=busy.stop)
        stopping.start()
        call.result(TIMEOUT_S)
        may_go.set()
        stopping.join()
        assert busy.submitted == other.submitted == ["one"]


def test_a_watch_goes_on_at_the_other_from_its_place(replicas: list[Replica]) -> None:
    stop = threading.Event()

    def wait(context: Any) -> None:
        stop.wait(TIMEOUT_S)

    for one in replicas:
        one.answer = wait
    with Client(addresses(replicas), "cor_secret") as client:
        watch = client.watch(pb.WatchJobsRequest())
        token = next(watch).resume_token
        busy = next(one for one in replicas if str(one.port) == token)
        other = next(one for one in replicas if one is not busy)
        stopping = threading.Thread(target=busy.stop)
        stopping.start()
        assert next(watch).resume_token == str(other.port)
        assert other.submitted == [token]
        watch.close()
        stop.set()
        stopping.join()


async def test_the_client_on_the_event_loop_finds_the_one_that_lives() -> None:
    gone, lives = Replica(), Replica()
    gone.stop()
    async with AsyncClient(addresses([gone, lives]), "cor_secret") as client:
        for _ in range(5):
            await client.identity.WhoAmI(WhoAmI())
    assert lives.calls == 5
    lives.stop()


def test_all_replicas_may_show_one_certificate() -> None:
    """It is of the name localhost, which is none of the addresses'."""
    pair = [((TLS / "key.pem").read_bytes(), (TLS / "cert.pem").read_bytes())]
    both = [Replica(credentials=grpc.ssl_server_credentials(pair)) for _ in range(2)]
    where = addresses(both).replace("127.0.0.1", "127.0.0.2", 1)
    for name, address in (("localhost", where), (None, f"localhost:{both[0].port},{where}")):
        with Client(address, "cor_secret", tls_ca=TLS / "cert.pem", tls_name=name) as client:
            client.identity.WhoAmI(WhoAmI())
    with (
        Client(where, "cor_secret", tls_ca=TLS / "cert.pem", tls_name="other.example") as client,
        pytest.raises(grpc.RpcError) as caught,
    ):
        client.identity.WhoAmI(WhoAmI())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    for one in both:
        one.stop()
