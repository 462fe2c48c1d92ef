"""When answers are lost and services die: jobs are submitted once, watches go on."""

import contextlib
import json
import queue
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from corridor.v1.job_service_pb2 import JobFilter, ListJobsRequest

from scheduler.client import Client

EZHOU = "sample-ezhou-1"


class Proxy:
    """Passes bytes on until ``marked`` has passed; then it swallows the answer and hangs up.

    The first connection only: later ones are passed on as they are.
    """

    def __init__(self, port: int, marked: bytes) -> None:
        self._target, self._marked = ("127.0.0.1", port), marked
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.cut = threading.Event()
        self.stored = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._target)
                self._sockets += near, far
                self._start(self._pass, near, far, True)
                self._start(self._pass, far, near, False)

    def _pass(self, source: socket.socket, sink: socket.socket, asks: bool) -> None:
        tail = b""
        first = not self.cut.is_set()
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if asks and first and self._marked in tail + data:
                    self.cut.set()
                    sink.sendall(data)
                    self.stored.wait()
                    break
                tail = data[-len(self._marked) :]
                if not asks and first and self.cut.is_set():
                    continue  # the answer is lost
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more connections and end those there are."""
        for one in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listening, *self._sockets):
            one.close()


def jobs_named(served: Any, name: str) -> list[str]:
    """Ids of the jobs of a name, asked for beside the proxy."""
    with Client(f"127.0.0.1:{served.port}", served.token) as client:
        request = ListJobsRequest(filter=JobFilter(display_name_prefix=name))
        return [job.job_id for job in client.jobs.ListJobs(request).jobs]


@pytest.mark.parametrize("copies", [1, 300])
def test_a_job_whose_answer_is_lost_is_submitted_once(
    served: Any, job_text: Any, copies: int
) -> None:
    name = f"answer-lost-{copies}"
    file = served.file("---\n".join([job_text(name, more="held: true\n")] * copies))
    proxy = Proxy(served.port, name.encode())

    def wait_until_stored() -> None:
        proxy.cut.wait()
        while len(jobs_named(served, name)) < min(copies, 100):
            proxy.stored.wait(0.02)
        proxy.stored.set()

    waiting = threading.Thread(target=wait_until_stored, daemon=True)
    waiting.start()
    served.token_of(EZHOU)
    ran = served.ok("submit", file, who=EZHOU, CORRIDOR_SERVER=f"127.0.0.1:{proxy.port}")
    waiting.join()
    proxy.close()
    assert proxy.stored.is_set()
    assert "was answered before" in ran.err
    assert len(ran.lines) == len(set(ran.lines)) == copies
    found = served.ok("jobs", "--name", name, "--all", "--json", who=EZHOU).json["jobs"]
    assert {job["job_id"] for job in found} == set(ran.lines)
    served.ok("cancel", "--name", name, "--yes", who=EZHOU)


def test_a_submission_that_stays_unanswered_says_how_to_repeat_it(
    served: Any, job_text: Any
) -> None:
    file = served.file(job_text("x"))
    ran = served.run("submit", "--request-id", "night-7", "--server", "127.0.0.1:1", file)
    assert (ran.code, ran.err.count("\n")) == (5, 1)
    assert "repeat it with --request-id night-7" in ran.err


class Watching:
    """A watch in a process of its own; ``events`` has what it prints, None at its end."""

    def __init__(self, served: Any, *args: str) -> None:
        self.process = subprocess.Popen(
            [*served.program, "watch", "--json", *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=served.environment(served.token_of(EZHOU)), cwd=served.home,
        )  # fmt: skip
        self.events: queue.Queue[Any] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def end(self) -> str:
        """Wait for its end; returns what it said on stderr."""
        self._reader.join()
        with self.process as process:
            assert process.stderr is not None
            return process.stderr.read()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put(None)

    def __iter__(self) -> Iterator[Any]:
        while (event := self.events.get(timeout=60)) is not None:
            yield event


def test_a_watch_goes_on_over_the_death_of_the_service(own: Any, job_text: Any) -> None:
    text = job_text("watched", runtime_s=600, more="held: true\n")
    (job,) = own.ok("submit", own.file(text), who=EZHOU).lines
    watching = Watching(own, "--from-start", "--until-ended", job)
    seen = iter(watching)
    events = [next(seen)]
    assert events[0]["kind"] == "SUBMITTED"
    own.kill()
    own.start()
    own.ok("release", job, who=EZHOU)
    own.stop()
    own.start()
    events += seen
    told = watching.end()
    assert watching.process.returncode == 0, told
    assert f"connection to 127.0.0.1:{own.port} lost, trying again" in told
    whole = own.ok("watch", "--from-start", "--until-ended", "--json", job, who=EZHOU)
    expected = [json.loads(line) for line in whole.lines]
    assert [event["sequence"] for event in events] == [event["sequence"] for event in expected]
    assert [event["kind"] for event in events] == [event["kind"] for event in expected]
