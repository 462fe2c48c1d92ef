"""A whole service whose PostgreSQL crashes and comes back: what is told, and that all goes on."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from structlog.testing import capture_logs

from scheduler import bootstrap
from scheduler.client import AsyncClient
from tests import memory
from tests import postgres as postgresql
from tests.postgres import NoServer, Postgres

ENTERPRISE = "sample-wuhan-1"
TIMEOUT_S = 90
ONE_TRY = (("grpc.enable_retries", 0),)


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server that nobody else uses."""
    try:
        with postgresql.running(memory.folder()) as server:
            yield server
    except NoServer as missing:
        pytest.skip(str(missing))


async def submit(client: AsyncClient, request_id: str) -> list[str]:
    spec = job_pb2.JobSpec(display_name="a", image="image", command=["run"])
    spec.options.add(flavor="wuhan-sc/kunpeng-920", units_per_node=1)
    spec.wall_limit.seconds = 600
    request = pb.SubmitJobsRequest(request_id=request_id, enterprise=ENTERPRISE, jobs=[spec, spec])
    return [one.job_id for one in (await client.jobs.SubmitJobs(request)).results]


class Ends:
    """Watches all jobs, over every loss, and notes which ended."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self.seqs: list[int] = []
        self.kinds: dict[str, list[str]] = {}
        self.lost: list[grpc.StatusCode] = []
        self._news = asyncio.Condition()

    async def follow(self) -> None:
        def lost(error: Any) -> None:
            self.lost.append(error.code())

        request = pb.WatchJobsRequest(enterprise=ENTERPRISE)
        async for answer in self._client.watch(request, on_lost=lost):
            async with self._news:
                for event in answer.events:
                    self.kinds.setdefault(event.job_id, []).append(event.kind)
                self._news.notify_all()

    async def wait(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S), self._news:
            await self._news.wait_for(holds)

    def over(self, job_ids: list[str]) -> bool:
        return all("SUCCEEDED" in self.kinds.get(one, ()) for one in job_ids)


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    assert error.code() is grpc.StatusCode.UNAVAILABLE, error
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, error
    assert any(one.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for one in status.details)
    return error


@pytest.fixture
def said() -> Iterator[list[Any]]:
    """What was logged; it is not printed, for the loop has much to say of an outage."""
    with capture_logs() as entries:
        yield entries


async def test_all_goes_on_after_the_database_crashed(
    template: Any, own_server: Postgres, tmp_path: Any, said: list[Any]
) -> None:
    given = template.with_flags(
        {
            "store.data_dir": str(tmp_path / "data"),
            "store.url": own_server.url(own_server.create()),
        }
    )
    token = bootstrap.initialize(given.settings).token
    service = await bootstrap.start_service(given.settings)
    async with (
        contextlib.AsyncExitStack() as ending,
        AsyncClient(service.address, token) as client,
        AsyncClient(service.address, token, options=ONE_TRY) as hasty,
    ):
        ending.push_async_callback(service.stop, False)
        ends = Ends(client)
        following = asyncio.create_task(ends.follow())
        first = await submit(client, "one")
        await ends.wait(lambda: len(ends.kinds) == 2)

        await asyncio.to_thread(own_server.stop)
        for call in (
            hasty.jobs.GetJob(pb.GetJobRequest(job_id=first[0])),
            hasty.jobs.ListJobs(pb.ListJobsRequest()),
            submit(hasty, "two"),
        ):
            error = await refused(call)
            assert "the database does not answer, and nothing was stored" in error.details()  # type: ignore[operator]
        waiting = asyncio.create_task(submit(client, "three"))
        await asyncio.to_thread(own_server.start)

        second = await submit(client, "two")
        assert await submit(client, "two") == second
        assert await waiting == await submit(client, "three")
        await ends.wait(lambda: ends.over([*first, *second, *waiting.result()]))
        assert not [kinds for kinds in ends.kinds.values() if kinds.count("SUCCEEDED") != 1]
        assert len(ends.kinds) == 6, "each job once"
        assert set(ends.lost) <= {grpc.StatusCode.UNAVAILABLE}
        assert not [one for one in said if one["event"] == "call_failed"], "no call was a defect"
        following.cancel()
