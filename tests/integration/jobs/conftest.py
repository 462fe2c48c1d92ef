"""A service whose jobs the tests move by hand, through the same writes as the control loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from adapters.contract import FailureClass, LogChunk, Observation, Phase, Usage
from scheduler.domain.ids import job_uid, run_id
from scheduler.domain.inventory import Inventory
from scheduler.domain.reports import observed
from scheduler.errors import TemporarilyAway
from scheduler.placement.model import Explanation, JobQueued, Start
from scheduler.services.context import CenterStatus
from scheduler.store import admission, ingest, leader, runs
from scheduler.store.planner_feed import options_of

NPU = "wuhan-ai/ascend-910b"
CPU = "wuhan-sc/kunpeng-920"
EZHOU, EZHOU_2, WUHAN = "sample-ezhou-1", "sample-ezhou-2", "sample-wuhan-1"


def spec(name: str = "train", *, flavor: str = NPU, units: int = 8, **more: Any) -> job_pb2.JobSpec:
    """A job of an hour on one node."""
    option = job_pb2.ResourceOption(flavor=flavor, units_per_node=units)
    return job_pb2.JobSpec(
        display_name=name, options=[option], wall_limit=Duration(seconds=3600), command=["true"],
        **more,
    )  # fmt: skip


@dataclass
class Planner:
    """Says what the test wants it to say; away until it is told to be there."""

    known: dict[int, Explanation] | None = None
    estimates: Callable[[JobQueued], Explanation] | None = None
    asked: list[JobQueued] = field(default_factory=list)

    async def explain(self, uid: int) -> Explanation | None:
        if self.known is None:
            raise TemporarilyAway("the planner is away; ask again in a second")
        return self.known.get(uid)

    async def estimate(self, job: JobQueued) -> Explanation:
        self.asked.append(job)
        if self.estimates is None:
            raise TemporarilyAway("the planner is away; ask again in a second")
        return self.estimates(job)


@dataclass
class Centers:
    """Centers with one log for all runs, or with an error."""

    log: bytes = b""
    error: Exception | None = None
    asked: list[tuple[str, str, int, int]] = field(default_factory=list)

    def status(self, center: str) -> CenterStatus:
        return CenterStatus(True, "", 0)

    async def take_inventory(self, center: str) -> Inventory:
        return Inventory(0, 0, 0, ())

    async def usage(self, center: str, run_ids: Sequence[str]) -> Mapping[str, tuple[Usage, ...]]:
        return {}

    async def read_logs(self, center: str, run_id: str, offset: int, limit: int) -> LogChunk:
        self.asked.append((center, run_id, offset, limit))
        if self.error is not None:
            raise self.error
        data = self.log[offset : offset + limit]
        return LogChunk(data, offset, offset + len(data), offset + len(data) == len(self.log))


class Hands:
    """Does by hand what the control loop does, through the same writes."""

    spec = staticmethod(spec)
    SUCCEEDED, FAILED, CANCELLED = Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED

    def __init__(self, corridor: Any) -> None:
        self.corridor = corridor
        self._calls = 0
        self._epoch = 0

    async def submit(self, enterprise: str, *specs: job_pb2.JobSpec) -> list[str]:
        """Submit jobs; returns their ids."""
        self._calls += 1
        answer = await self.corridor.jobs.SubmitJobs(
            pb.SubmitJobsRequest(
                request_id=f"call-{self._calls}", enterprise=enterprise, jobs=specs or [spec()]
            ),
            metadata=self.corridor.operator(),
        )
        assert not [result.error for result in answer.results if result.error.code]
        return [result.job_id for result in answer.results]

    async def _write(self, call: Callable[[Any, int], Any]) -> Any:
        if not self._epoch:
            self._epoch = await self.corridor.db.write(lambda c: leader.take_over(c, "test", 0))
        return await self.corridor.db.write(lambda c: call(c, self._epoch))

    async def admit(self, *job_ids: str) -> admission.Admitted:
        """Admit jobs on their first option."""
        uids = [job_uid(one) for one in job_ids]
        listed = ", ".join(map(str, uids))
        rows = self.corridor.rows(
            f"SELECT uid, city, enterprise, options FROM job WHERE uid IN ({listed})"
        )
        starts = [Start(uid, city, who, options_of(of)[0], 0) for uid, city, who, of in rows]
        now_ms = self.corridor.clock.ms
        admitted: admission.Admitted = await self._write(
            lambda c, epoch: admission.admit(c, epoch, starts, now_ms)
        )
        return admitted

    async def report(
        self, job_ids: Sequence[str], phase: Phase, *, metered: bool = True, **more: Any
    ) -> None:
        """The center says how the last runs of these jobs stand; metered once they have ended."""
        now_ms = self.corridor.clock.ms
        reports = []
        for job_id in job_ids:
            uid = job_uid(job_id)
            ((attempt, flavor, units, start_ms),) = self.corridor.rows(
                "SELECT attempt, flavor, units, coalesce(start_ms, 0) FROM run"
                f" WHERE job_uid = {uid} ORDER BY attempt DESC LIMIT 1"
            )
            started, ended = start_ms or now_ms, phase not in (Phase.WAITING, Phase.RUNNING)
            native = f"native-{uid}-{attempt}"
            seen = Observation(
                run_id(uid, attempt), native, phase, 1 + ended, now_ms,
                start_ms=started, end_ms=now_ms if ended else None, **more,
            )  # fmt: skip
            usage = Usage(
                run_id(uid, attempt), native, now_ms, 0, 0, started, now_ms, units, "00", flavor
            )
            reports.append(observed(uid, attempt, seen, (usage,) if ended and metered else None))
        await self._write(lambda c, epoch: ingest.ingest(c, epoch, reports, now_ms, lambda: 0.0))

    async def run(self, *job_ids: str) -> None:
        """Admit jobs, send them to their center, and let them begin."""
        admitted = (await self.admit(*job_ids)).admitted
        keys = [(run.uid, run.attempt) for run in admitted]
        now_ms = self.corridor.clock.ms
        await self._write(lambda c, epoch: runs.mark_submitting(c, epoch, keys, now_ms))
        await self.report(job_ids, Phase.RUNNING)

    async def succeed(self, *job_ids: str) -> None:
        """Admit jobs, let them run ten minutes, and end well."""
        await self.run(*job_ids)
        self.corridor.clock.ms += 600_000
        await self.report(job_ids, Phase.SUCCEEDED, exit_code=0)

    async def fail(self, *job_ids: str) -> None:
        """Let running jobs lose their node: they are queued again."""
        await self.report(job_ids, Phase.FAILED, failure=FailureClass.NODE, exit_code=1)

    def events(self, job_id: str) -> list[str]:
        """The kinds of a job's events, in order."""
        uid = job_uid(job_id)
        rows = self.corridor.rows(f"SELECT kind FROM event WHERE job_uid = {uid} ORDER BY seq")
        return [kind for (kind,) in rows]

    def states(self) -> dict[str, int]:
        """How many jobs are in each state."""
        return dict(self.corridor.rows("SELECT state, count(*) FROM job GROUP BY state"))


@pytest.fixture
def planner() -> Planner:
    """The planner's stand-in."""
    return Planner()


@pytest.fixture
def centers() -> Centers:
    """The centers' stand-in."""
    return Centers()


@pytest.fixture
async def corridor(start_corridor: Any, planner: Planner, centers: Centers) -> Any:
    """A service without a control loop."""
    return await start_corridor(planner=planner, centers=centers)


@pytest.fixture
def hands(corridor: Any) -> Hands:
    """Moves the jobs of ``corridor``."""
    return Hands(corridor)


@pytest.fixture
def hands_of() -> Callable[[Any], Hands]:
    """Makes what moves the jobs of another service."""
    return Hands


@pytest.fixture
def new_spec() -> Callable[..., job_pb2.JobSpec]:
    """Makes a job."""
    return spec
