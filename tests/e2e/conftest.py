"""A story of a few jobs told to a service that dies somewhere in it, and what must hold after."""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
import yaml
from corridor.v1 import center_service_pb2 as center_pb
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from adapters.simulated.journal import accepted_names, read_events
from scheduler import bootstrap
from scheduler.client import Client
from scheduler.config import load_settings
from scheduler.demo.checks import Charged, ledger_holds, no_run_doubled
from scheduler.demo.journals import stays
from scheduler.domain.ids import job_uid
from scheduler.settings import Settings
from scheduler.store import evidence, funds, seed
from scheduler.store.database import Database

T = TypeVar("T")
Kill = tuple[str, str, int]

PROGRAM = Path(__file__).parent / "killable_service.py"
ENTERPRISE = "sample-wuhan-1"
FLAVOR = "wuhan-ai/ascend-910b"
#: Far above what anything here takes; only a defect is waited for so long.
PATIENCE_S = 60.0
#: Simulated time runs fast, centers know of usage a little late and of absence soon.
SETTINGS: Mapping[str, object] = {
    "server.listen": "127.0.0.1:0",
    "metrics.listen": "",
    "log.level": "error",
    "clock.speed": 2000,
    "planner.ray": "off",
    "loop.tick_s": 0.05,
    "loop.gather_s": 0.001,
    "loop.follow_s": 0.1,
    "loop.metrics_s": 60,
    "loop.drain_grace_s": 60,
}
CENTER_SETTINGS = {"settle_s": 0.05, "usage_delay_s": 20}
RUNTIME, OUTCOME, LOSE = (
    "corridor.simulated/runtime-s",
    "corridor.simulated/outcome",
    "test/lose-answer",
)


def job(
    name: str, labels: Mapping[str, str], *, runtime_s: int = 20, held: bool = False
) -> job_pb2.JobSpec:
    """A small job."""
    spec = job_pb2.JobSpec(display_name=name, image="image", command=["run"], held=held)
    spec.options.add(flavor=FLAVOR, units_per_node=2)
    spec.wall_limit.seconds = 2 * runtime_s + 3600
    spec.labels.update({RUNTIME: str(runtime_s), **labels})
    return spec


#: Requests of the story by request id, and how each job must end.
REQUESTS: Mapping[str, Sequence[job_pb2.JobSpec]] = {
    "batch": [
        job("well", {}),
        job("retried", {OUTCOME: "NODE@1"}),
        job("fails", {OUTCOME: "USER_CODE"}),
        job("unanswered", {LOSE: "yes"}),
    ],
    "one": [job("long", {}, runtime_s=5 * 86_400)],  # minutes of ours: it waits for its end
    "held": [job("released", {}, held=True), job("dropped", {}, held=True)],
}
ENDS = {
    "well": "SUCCEEDED",
    "retried": "SUCCEEDED",
    "fails": "FAILED",
    "unanswered": "SUCCEEDED",
    "long": "CANCELLED",
    "released": "SUCCEEDED",
    "dropped": "CANCELLED",
}


class Zygote:
    """The program that forks services; at most one lives at a time."""

    def __init__(self, errors: Path, program: Path = PROGRAM) -> None:
        self._errors_path, self._errors = errors, errors.open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "GRPC_VERBOSITY": "NONE", "GRPC_ENABLE_FORK_SUPPORT": "0"},
        )
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.living: int | None = None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))

    def start(self, order: Mapping[str, object]) -> None:
        """Let a service be born."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.living = self._lines.get(timeout=PATIENCE_S)["born"]

    def hear(self) -> dict[str, Any]:
        """What the service says next: where it listens, or how it ended."""
        assert self.living is not None
        try:
            said = self._lines.get(timeout=PATIENCE_S)
        except queue.Empty:
            os.kill(self.living, signal.SIGUSR1)  # it shows where its threads stand
            time.sleep(1.0)
            shown = self._errors_path.read_text("utf-8", "replace")[-20_000:]
            raise AssertionError(f"silent for {PATIENCE_S:g} s\n{shown}") from None
        if "ended" in said:
            self.living = None
        return said

    def clear(self) -> None:
        """Kill what a failed story left alive."""
        if self.living is not None:
            os.kill(self.living, signal.SIGKILL)
            while "ended" not in self.hear():
                pass

    def close(self) -> None:
        """End the program; a service that still lives is killed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


@dataclass
class Story:
    """Tells the story to a service whose first life ends at ``kill``; another follows.

    In one that is ``drained`` the center is emptied while the long job runs, and opened again.
    """

    zygote: Zygote
    settings: Mapping[str, object]
    token: str
    kill: Kill | None
    hasty: bool = False
    drained: bool = False
    deaths: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    _client: Client | None = None

    def tell(self) -> None:
        """From the first submission to the last settlement, then a stop in order."""
        for request_id, specs in REQUESTS.items():
            answer = self.call(
                lambda client, request_id=request_id, specs=specs: client.jobs.SubmitJobs(  # type: ignore[misc]
                    pb.SubmitJobsRequest(request_id=request_id, enterprise=ENTERPRISE, jobs=specs)
                )
            )
            for spec, result in zip(specs, answer.results, strict=True):
                assert result.job_id, result.error
                self.acknowledged[result.job_id] = spec.display_name
        ids = {name: job_id for job_id, name in self.acknowledged.items()}
        self.call(
            lambda client: client.jobs.ReleaseJobs(
                pb.ReleaseJobsRequest(selection=selected(ids["released"]), reason="test")
            )
        )
        self.cancel(ids["dropped"])
        self.wait(lambda jobs: jobs["long"].state == job_pb2.JOB_STATE_RUNNING)
        if self.drained:
            self.drain(ids["long"])
        self.cancel(ids["long"])
        self.wait(lambda jobs: all(one.settled for one in jobs.values()))
        self.stop()

    def drain(self, job_id: str) -> None:
        """Empty the center until the job's run is ended; open it, and let the job run again."""
        center = FLAVOR.partition("/")[0]
        drain = center_pb.DrainCenterRequest(center=center, reason="test")
        self.call(lambda client: client.centers.DrainCenter(drain))
        self.wait(lambda jobs: jobs["long"].state == job_pb2.JOB_STATE_QUEUED)
        resume = center_pb.ResumeCenterRequest(center=center, reason="test")
        self.call(lambda client: client.centers.ResumeCenter(resume))
        self.wait(lambda jobs: jobs["long"].state == job_pb2.JOB_STATE_RUNNING)
        request = pb.GetJobRequest(job_id=job_id)
        runs = self.call(lambda client: client.jobs.GetJob(request)).job.runs
        assert [run.evict_cause for run in runs] == [
            job_pb2.EVICT_CAUSE_DRAIN,
            job_pb2.EVICT_CAUSE_UNSPECIFIED,
        ]
        assert runs[0].state == job_pb2.RUN_STATE_PREEMPTED

    def cancel(self, job_id: str) -> None:
        """Cancel a job, as often as it takes to be heard."""
        self.call(
            lambda client: client.jobs.CancelJobs(
                pb.CancelJobsRequest(selection=selected(job_id), reason="test")
            )
        )

    def wait(self, until: Callable[[Mapping[str, job_pb2.Job]], bool]) -> None:
        """Ask for all jobs until ``until`` holds of them, by name."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            answer = self.call(lambda client: client.jobs.ListJobs(pb.ListJobsRequest()))
            jobs = {one.spec.display_name: one for one in answer.jobs}
            lost = set(self.acknowledged.values()) - jobs.keys()
            assert not lost, f"acknowledged and lost: {sorted(lost)}"
            if until(jobs):
                return
            time.sleep(0.005)
        raise AssertionError(f"did not come in {PATIENCE_S:g} s: {answer}")

    def call(self, what: Callable[[Client], T]) -> T:
        """Call the service; when it dies, wait for its next life and call again."""
        while True:
            client = self._client or self._live()
            try:
                return what(client)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                told = error.details()
            self._bury(told)

    def stop(self) -> None:
        """End the service with SIGTERM; it must end well."""
        assert self._client is not None
        assert self.zygote.living is not None
        os.kill(self.zygote.living, signal.SIGTERM)
        ended = self.zygote.hear()["ended"]
        self._client.close()
        self._client = None
        if ended == -signal.SIGKILL:  # the point lay in its end
            self.deaths += 1
            self._live()
            self.stop()
            return
        assert ended == 0

    def _live(self) -> Client:
        while True:
            kill = self.kill if self.deaths == 0 else None
            self.zygote.start({"settings": dict(self.settings), "kill": kill, "hasty": self.hasty})
            said = self.zygote.hear()
            if "address" in said:
                self._client = Client(
                    said["address"], self.token, options=(("grpc.enable_retries", 0),)
                )
                return self._client
            self._died(said)

    def _bury(self, told: str | None) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        try:
            self._died(self.zygote.hear())
        except AssertionError as error:
            raise AssertionError(f"{error}; a call was told {told!r}") from error

    def _died(self, said: Mapping[str, Any]) -> None:
        assert said == {"ended": -signal.SIGKILL}, f"it ended by itself: {said}"
        self.deaths += 1
        assert self.deaths == 1, "it was killed once and died again"


def selected(job_id: str) -> pb.JobSelection:
    """One job."""
    return pb.JobSelection(job_ids=[job_id])


# --- what must hold -------------------------------------------------------------------------------


def problems(settings: Settings, acknowledged: Mapping[str, str]) -> list[str]:
    """All that is wrong after the story; empty if it was told well."""
    db = Database(settings.database_url)
    try:
        return db.read_sync(lambda c: _problems(c, settings, acknowledged))
    finally:
        db.close()


def _problems(connection: Any, settings: Settings, acknowledged: Mapping[str, str]) -> list[str]:
    run = connection.exec_driver_sql
    found: list[str] = []
    rows = {row.uid: row for row in run("SELECT * FROM job")}
    for job_id, name in acknowledged.items():
        row = rows.get(job_uid(job_id))
        if row is None:
            found.append(f"{name} was acknowledged and is lost")
        elif (row.display_name, row.state, bool(row.settled)) != (name, ENDS[name], True):
            found.append(f"{name} is {row.display_name}, {row.state}, settled {row.settled}")
    if len(rows) != len(acknowledged):
        found.append(f"{len(rows)} jobs are stored, {len(acknowledged)} were acknowledged")
    found += [f"ledger: {problem}" for problem in funds.verify(connection).problems]
    for table in ("city_quota", "enterprise_quota"):
        held = run(f"SELECT * FROM {table} WHERE used_units <> 0").all()
        found += [f"{table} is not given back: {row}" for row in held]
    stayed = []
    for path in (Path(settings.store.data_dir) / "centers").glob("*.journal"):
        found += [f"{name} ran twice" for name, n in accepted_names(path).items() if n > 1]
        stayed += stays(path.stem, read_events(path))
    seen = evidence.read(connection)
    prices = dict(tuple(row) for row in run("SELECT flavor, price_ufen FROM price_version"))
    charged = [
        Charged(uid, row.gross_fen, row.subsidy_fen, row.self_pay_fen) for uid, row in rows.items()
    ]
    found += no_run_doubled(stayed, seen.runs).problems
    found += ledger_holds(
        seen.transfers, seen.accounts, seen.open_holds, stayed, prices, charged
    ).problems
    last, count = run("SELECT max(seq), count(*) FROM event").one()
    if last != count:
        found.append(f"the feed has {count} events up to {last}")
    return found


# --- fixtures -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """One zygote for all stories."""
    with contextlib.closing(Zygote(tmp_path_factory.mktemp("zygote") / "errors.log")) as one:
        yield one


@dataclass(frozen=True)
class Stories:
    """Makes stories on fresh copies of one initialized data directory."""

    zygote: Zygote
    template: Path
    token: str
    folder: Path

    def tell(
        self, kill: Kill | None, *, hasty: bool = False, drained: bool = False
    ) -> tuple[Story, list[str]]:
        """Tell a story to its end; returns it, and what is wrong after it."""
        data_dir = self.folder / "data"
        shutil.rmtree(data_dir, ignore_errors=True)
        shutil.copytree(self.template, data_dir)
        flags = {**SETTINGS, "store.data_dir": str(data_dir)}
        story = Story(self.zygote, flags, self.token, kill, hasty, drained)
        story.tell()
        return story, problems(load_settings(None, {}, flags), story.acknowledged)


@pytest.fixture
def stories(zygote: Zygote, tmp_path: Path) -> Iterator[Stories]:
    """Stories with the sample data and two quick simulated centers."""
    data = tmp_path / "seed"
    shutil.copytree(seed.DATA, data)
    path = data / "centers.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    for center in document["centers"]:
        center["settings"] |= CENTER_SETTINGS
    path.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    template = tmp_path / "template"
    settings = load_settings(None, {}, {**SETTINGS, "store.data_dir": str(template)})
    done = bootstrap.initialize(settings, data=data)
    yield Stories(zygote, template, done.token, tmp_path)
    zygote.clear()
