"""All faults at one kind of center in one story: each row has jobs of its own, struck on their way.

A row's three jobs end well, end badly, and are cancelled while they run. What became of them is
counted four times over, from sources that know nothing of each other: the API's acknowledgements,
the center's own books, the store's runs, and the ledger.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import grpc
import yaml
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler import bootstrap
from scheduler.client import Client
from scheduler.config import load_settings
from scheduler.domain.ids import center_name, job_uid, run_id
from scheduler.domain.states import RUN_TERMINAL
from scheduler.settings import Settings
from scheduler.store import funds, seed
from scheduler.store.database import Database
from tests.centers.stricken import ROW_LABEL, STRIKE_LABEL
from tests.e2e.conftest import Zygote

T = TypeVar("T")
PROGRAM: Final = Path(__file__).parent / "mortal_service.py"
ENTERPRISE: Final = "sample-wuhan-1"
#: A fen for each unit and second, so that every second shows in the money.
PRICE_UFEN: Final = 1_000_000
#: The variable by which a job's row is known on the wire.
ROW_VARIABLE: Final = "CORRIDOR_TEST_ROW"
FATES: Final = ("ok", "bad", "cut")
_ENDS: Final = {"ok": "SUCCEEDED", "bad": "FAILED", "cut": "CANCELLED"}
#: A controller that was killed may forget that a job was cancelled: it says FAILED then.
_FORGETFUL: Final = "slurmctld-killed"
#: Far above what anything here takes; only a defect is waited for so long.
PATIENCE_S: Final = 120.0
FLAGS: Mapping[str, object] = {
    "server.listen": "127.0.0.1:0",
    "metrics.listen": "",
    "log.level": "error",
    "planner.ray": "off",
    "loop.tick_s": 0.05,
    "loop.gather_s": 0.001,
    "loop.follow_s": 0.2,
    "loop.metrics_s": 60,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A fault at a step of a run's way: ``fault`` and ``step`` are words of the page of outcomes.

    ``strike`` is done inside the service or the agent (``stricken``), if it is given.
    """

    fault: str
    step: str
    strike: str = ""

    @property
    def name(self) -> str:
        """Unique among the rows of a kind; part of the names of its jobs."""
        return f"{self.fault}-{self.step}"


@dataclass(frozen=True, slots=True)
class Native:
    """What a center's own books have under one name: jobs made, seconds of use."""

    jobs: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row. ``seconds`` are the center's, ``billed_s`` ours."""

    row: Row
    struck: int
    jobs: int
    native: int
    runs: int
    charges: int
    seconds: int
    billed_s: int
    wrong: tuple[str, ...]

    @property
    def even(self) -> bool:
        """Whether nothing was lost, doubled or billed wrongly, although the row was struck."""
        counts = {self.jobs, self.native, self.runs, self.charges, len(FATES)}
        return len(counts) == 1 and self.seconds == self.billed_s and not self.wrong and (
            self.struck > 0 or self.row.fault == "none"
        )  # fmt: skip


class Bench(Protocol):
    """One kind of center that can be harmed."""

    kind: str
    center: str
    flavor: str
    flags: Mapping[str, object]

    @property
    def waves(self) -> Sequence[Sequence[Row]]:
        """All that strikes it; rows of one wave strike together."""
        ...

    def entry(self) -> Mapping[str, Any]:
        """What the center's entry in centers.yaml has instead of the sample's."""
        ...

    def job(self, fate: str) -> job_pb2.JobSpec:
        """A job of that fate, without its name and labels."""
        ...

    def arm(self, rows: Sequence[Row]) -> None:
        """Get ready to strike a wave, that is to be submitted now."""
        ...

    def cut_after_s(self, row: Row) -> float:
        """How long the job that is cut has run by then."""
        ...

    def struck(self, row: Row) -> int:
        """How often the row was struck."""
        ...

    def native(self) -> Mapping[str, Native]:
        """The center's own books by name, once all has ended."""
        ...


@dataclass
class Story:
    """One service, as often reborn as it is killed, with the jobs of all rows."""

    bench: Bench
    zygote: Zygote
    folder: Path
    deaths: int = 0
    acknowledged: dict[str, tuple[Row, str]] = field(default_factory=dict)
    _client: Client | None = None
    _cancelled: set[str] = field(default_factory=set)
    _running_s: dict[str, float] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make the data directory of a corridor with the bench's center in it."""
        data = self.folder / "seed"
        shutil.copytree(seed.DATA, data)
        _edit(data / "centers.yaml", self._put_center)
        _edit(data / "prices.yaml", _dear)
        self.strikes.mkdir()
        self.token = bootstrap.initialize(self.settings, data=data).token

    def _put_center(self, document: dict[str, Any]) -> None:
        for center in document["centers"]:
            if center["center"] == self.bench.center:
                center |= self.bench.entry()

    @property
    def strikes(self) -> Path:
        """Where the service notes what struck it."""
        return self.folder / "strikes"

    @property
    def settings(self) -> Settings:
        """The service's settings."""
        return load_settings(None, {}, self._flags)

    @property
    def _flags(self) -> Mapping[str, object]:
        return {**FLAGS, **self.bench.flags, "store.data_dir": str(self.folder / "data")}

    def tell(self) -> None:
        """Tell all waves, one after the other, and stop."""
        for rows in self.bench.waves:
            began_s = time.monotonic()
            self.bench.arm(rows)
            self._tell(rows)
            print(f"{len(rows)} rows from {rows[0].name} on: {time.monotonic() - began_s:.1f} s")
        self._until_struck([row for rows in self.bench.waves for row in rows])  # some late
        self.stop()

    def _tell(self, rows: Sequence[Row]) -> None:
        """Submit the jobs of all rows, cancel those to be cut, wait until all is settled."""
        for row in rows:
            specs = [self._spec(row, fate) for fate in FATES]
            request = pb.SubmitJobsRequest(request_id=row.name, enterprise=ENTERPRISE, jobs=specs)
            answer = self.call(lambda client, request=request: client.jobs.SubmitJobs(request))  # type: ignore[misc]
            for fate, result in zip(FATES, answer.results, strict=True):
                assert result.job_id, result.error
                self.acknowledged[result.job_id] = (row, fate)
            if row.step == "submit" and "kill" in row.strike:
                self._until_struck([row])  # before another death strikes its submissions
        self.wait()

    def _until_struck(self, rows: Sequence[Row]) -> None:
        """Wait for that; a row that is spared all the same is told of as such (``Outcome``)."""
        end_s = time.monotonic() + PATIENCE_S
        while any(row.fault != "none" and not self.bench.struck(row) for row in rows):
            if time.monotonic() > end_s:
                return
            self._jobs()  # a service that is dead is born again
            time.sleep(0.05)

    def _jobs(self) -> Sequence[job_pb2.Job]:
        request = pb.ListJobsRequest(page_size=1_000)
        answer = self.call(lambda client: client.jobs.ListJobs(request))
        assert not answer.next_page_token
        return answer.jobs

    def _spec(self, row: Row, fate: str) -> job_pb2.JobSpec:
        spec = self.bench.job(fate)
        spec.display_name = f"{row.name}-{fate}"
        spec.labels[ROW_LABEL] = row.name
        if row.strike:
            spec.labels[STRIKE_LABEL] = row.strike
        spec.environment[ROW_VARIABLE] = row.name
        return spec

    def wait(self) -> None:
        """Until every job is settled; cut jobs are cancelled when they run."""
        end_s = time.monotonic() + PATIENCE_S
        open_jobs: list[job_pb2.Job] = []
        while time.monotonic() < end_s:
            jobs = {one.job_id: one for one in self._jobs() if one.job_id in self.acknowledged}
            assert jobs.keys() == self.acknowledged.keys(), "acknowledged and lost"
            self._cut(jobs)
            open_jobs = [one for one in jobs.values() if not one.settled]
            if not open_jobs:
                return
            time.sleep(0.1)
        shown = "\n".join(self._told_of(one) for one in open_jobs[:10])
        raise AssertionError(f"{len(open_jobs)} jobs are open after {PATIENCE_S:g} s:\n{shown}")

    def _told_of(self, job: job_pb2.Job) -> str:
        state = job_pb2.JobState.Name(job.state)
        request = pb.GetJobRequest(job_id=job.job_id)
        runs = self.call(lambda client: client.jobs.GetJob(request)).job.runs
        return f"{job.spec.display_name} is {state} {job.pending_reason}: {runs}"

    def _cut(self, jobs: Mapping[str, job_pb2.Job]) -> None:
        now_s = time.monotonic()
        for key, job in jobs.items():
            if job.state == job_pb2.JOB_STATE_RUNNING:
                self._running_s.setdefault(key, now_s)
        ready = [
            key
            for key, (row, fate) in self.acknowledged.items()
            if fate == "cut"
            and key not in self._cancelled
            and now_s - self._running_s.get(key, now_s) > self.bench.cut_after_s(row)
        ]
        if ready:
            self._cancelled.update(ready)
            request = pb.CancelJobsRequest(selection=pb.JobSelection(job_ids=ready), reason="test")
            self.call(lambda client: client.jobs.CancelJobs(request))

    def call(self, what: Callable[[Client], T]) -> T:
        """Call the service; when it dies, let it be born again and repeat the call."""
        while True:
            try:
                return what(self._client or self._live())
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
            self._bury()

    def stop(self) -> None:
        """End the service in order."""
        assert self.zygote.living is not None
        os.kill(self.zygote.living, signal.SIGTERM)
        assert self.zygote.hear()["ended"] == 0
        self._hang_up()

    def kill(self) -> None:
        """Kill the service; the next call finds the next one. Raises ``LookupError`` if none is."""
        if self.zygote.living is None:
            raise LookupError("no service lives now")
        os.kill(self.zygote.living, signal.SIGKILL)

    def _live(self) -> Client:
        while True:
            self.zygote.start({"settings": dict(self._flags), "strikes": str(self.strikes)})
            said = self.zygote.hear()
            if "address" in said:
                self._client = Client(
                    said["address"], self.token, options=(("grpc.enable_retries", 0),)
                )
                return self._client
            self._died(said)

    def _bury(self) -> None:
        self._hang_up()
        self._died(self.zygote.hear())

    def _died(self, said: Mapping[str, Any]) -> None:
        assert said == {"ended": -signal.SIGKILL}, f"it ended by itself: {said}"
        self.deaths += 1

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self) -> None:
        """Leave nothing running after a story that failed."""
        self._hang_up()
        self.zygote.clear()


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = yaml.safe_load(path.read_text("utf-8"))
    change(document)
    path.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")


def _dear(document: dict[str, Any]) -> None:
    for price in document["prices"]:
        price["price_ufen"] = PRICE_UFEN


# --- what became of it ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Books:
    """The store's and the ledger's word."""

    ends: Mapping[int, str]
    runs: Mapping[int, Sequence[tuple[int, str]]]  # attempt and state, by job
    holds: Mapping[int, Sequence[tuple[str, int]]]  # state and what was posted, by job
    seconds: Mapping[int, int]
    wrong: tuple[str, ...]


def _read(settings: Settings) -> _Books:
    db = Database(settings.database_url)
    try:
        return db.read_sync(_books)
    finally:
        db.close()


def _books(connection: Any) -> _Books:
    run = connection.exec_driver_sql
    runs: dict[int, list[tuple[int, str]]] = {}
    for uid, attempt, state in run("SELECT job_uid, attempt, state FROM run"):
        runs.setdefault(uid, []).append((attempt, state))
    holds: dict[int, list[tuple[str, int]]] = {}
    for uid, state, posted in run("SELECT job_uid, state, posted_fen FROM hold"):
        holds.setdefault(uid, []).append((state, posted))
    seconds = dict(
        tuple(row)
        for row in run("SELECT job_uid, sum(seconds * units) FROM rated_line GROUP BY job_uid")
    )
    wrong = [f"ledger: {problem}" for problem in funds.verify(connection).problems]
    for table in ("city_quota", "enterprise_quota"):
        held = run(f"SELECT * FROM {table} WHERE used_units <> 0").all()
        wrong += [f"{table} is not given back: {row}" for row in held]
    ends = dict(tuple(row) for row in run("SELECT uid, state FROM job"))
    return _Books(ends, runs, holds, seconds, tuple(wrong))


def outcomes(story: Story) -> list[Outcome]:
    """What became of each row, counted after the story."""
    books, native = _read(story.settings), story.bench.native()
    assert books.wrong == ()
    found = []
    for row in (row for rows in story.bench.waves for row in rows):
        mine = {job_uid(key): fate for key, (of, fate) in story.acknowledged.items() if of == row}
        found.append(_outcome(row, story.bench.struck(row), mine, books, native))
    return found


def _ends(row: Row, fate: str) -> set[str]:
    """How a job of a row may end."""
    forgotten = fate == "cut" and row.fault.startswith(_FORGETFUL)
    return {_ENDS[fate], "FAILED"} if forgotten else {_ENDS[fate]}


def _outcome(
    row: Row, struck: int, mine: Mapping[int, str], books: _Books, native: Mapping[str, Native]
) -> Outcome:
    made = [
        native.get(center_name(run_id(uid, attempt)), Native(0, 0))
        for uid in mine
        for attempt, _ in books.runs.get(uid, ())
    ]
    charges = [hold for uid in mine for hold in books.holds.get(uid, ()) if hold[0] == "SETTLED"]
    billed_s = sum(books.seconds.get(uid, 0) for uid in mine)
    wrong = [
        f"{fate} ended {books.ends.get(uid)}"
        for uid, fate in mine.items()
        if books.ends.get(uid) not in _ends(row, fate)
    ]
    posted = sum(fen for _, fen in charges)
    if posted != billed_s:  # a fen a second
        wrong.append(f"{posted} fen were posted for {billed_s} seconds")
    return Outcome(
        row, struck, jobs=len(mine), native=sum(one.jobs for one in made),
        runs=sum(state in RUN_TERMINAL for uid in mine for _, state in books.runs.get(uid, ())),
        charges=len(charges), seconds=sum(one.seconds for one in made), billed_s=billed_s,
        wrong=tuple(wrong),
    )  # fmt: skip
