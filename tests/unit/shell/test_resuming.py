"""A watch whose stream says nothing is taken up again: real streams of one that falls silent."""

import threading
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent import futures
from contextlib import closing
from typing import Any

import grpc
import pytest
from corridor.v1 import job_service_pb2 as pb
from corridor.v1 import job_service_pb2_grpc

from scheduler import resuming
from scheduler.client import AsyncClient, Client

#: Far longer than an answer takes, even on a busy machine, and short enough to be waited for.
SILENT_S = 2.0


_Servicer: Any = job_service_pb2_grpc.JobServiceServicer


class Silenced(_Servicer):  # type: ignore[misc]
    """Says ``words`` on its first stream, and nothing more until it is let go; then it speaks."""

    def __init__(self, words: int) -> None:
        self.words = words
        self.asked: list[str] = []
        self.over = threading.Event()

    def WatchJobs(
        self, request: pb.WatchJobsRequest, context: Any
    ) -> Iterator[pb.WatchJobsResponse]:
        self.asked.append(request.resume_token)
        if len(self.asked) > 1:
            yield pb.WatchJobsResponse(resume_token="spoken")
            return
        for number in range(self.words):
            yield pb.WatchJobsResponse(resume_token=f"word-{number}")
        self.over.wait()


@pytest.fixture
def silenced() -> Iterator[tuple[Silenced, str]]:
    servicer = Silenced(words=2)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    job_service_pb2_grpc.add_JobServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    servicer.over.set()
    server.stop(None).wait()


def test_a_silent_stream_is_given_up_and_taken_up_where_it_stood(
    silenced: tuple[Silenced, str],
) -> None:
    servicer, address = silenced
    lost: list[grpc.RpcError] = []
    with Client(address, "cor_none") as client:
        asked = pb.WatchJobsRequest(from_start=True)
        said = [one.resume_token for one in client.watch(
            asked, silent_s=SILENT_S, on_lost=lost.append)]  # fmt: skip
    assert said == ["word-0", "word-1", "spoken"]
    assert servicer.asked == ["", "word-1"]
    assert [type(one) for one in lost] == [resuming.Silent]
    assert str(lost[0]) == "nothing was heard for 2 s, not even a heartbeat"


async def test_so_is_one_of_the_other_client(silenced: tuple[Silenced, str]) -> None:
    servicer, address = silenced
    lost: list[grpc.RpcError] = []
    async with AsyncClient(address, "cor_none") as client:
        watch = client.watch(pb.WatchJobsRequest(), silent_s=SILENT_S, on_lost=lost.append)
        said = [one.resume_token async for one in watch]
    assert said == ["word-0", "word-1", "spoken"]
    assert servicer.asked == ["", "word-1"]
    assert [type(one) for one in lost] == [resuming.Silent]


def test_one_that_never_spoke_is_told_at_once(silenced: tuple[Silenced, str]) -> None:
    servicer, address = silenced
    servicer.words = 0
    with Client(address, "cor_none") as client, pytest.raises(resuming.Silent) as told:
        next(client.watch(pb.WatchJobsRequest(), silent_s=0.2))
    assert told.value.code() is grpc.StatusCode.UNAVAILABLE
    assert servicer.asked == [""]


class Words:
    """A stream that has all its words at once, and says whether it was given up."""

    def __init__(self, count: int) -> None:
        self._left = iter(range(count))
        self.cancelled = threading.Event()

    def __next__(self) -> pb.WatchJobsResponse:
        return pb.WatchJobsResponse(resume_token=str(next(self._left)))

    def cancel(self) -> None:
        self.cancelled.set()


def listening() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "corridor-watch"]


def test_what_the_caller_does_with_an_answer_is_no_silence() -> None:
    words = Words(3)
    said = []
    for one in resuming.answers(words, silent_s=0.01):
        said.append(one.resume_token)
        # Ten times as long as would be silence, and as often as it is looked for.
        assert not words.cancelled.wait(0.1)
    assert said == ["0", "1", "2"]


def test_nobody_listens_for_a_watch_that_is_over() -> None:
    watch: Generator[pb.WatchJobsResponse] = resuming.answers(Words(3), silent_s=600.0)
    with closing(watch):
        next(watch)
        [listener] = listening()
    listener.join(10.0)
    assert not listener.is_alive()


async def told_once(stream: AsyncIterator[pb.WatchJobsResponse]) -> list[str]:
    return [one.resume_token async for one in resuming.answers_async(stream, 60.0)]


async def test_a_stream_that_ends_ends_the_watch() -> None:
    async def spoken() -> AsyncIterator[pb.WatchJobsResponse]:
        yield pb.WatchJobsResponse(resume_token="only")

    assert await told_once(spoken()) == ["only"]
