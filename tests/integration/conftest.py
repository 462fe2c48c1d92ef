"""Real servers on loopback ports, each over a SQLite file with the sample data."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from corridor.v1 import (
    center_service_pb2_grpc,
    identity_service_pb2_grpc,
    job_service_pb2_grpc,
    quota_service_pb2_grpc,
    subsidy_service_pb2_grpc,
)
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from adapters.contract import LogChunk, RunRef, Usage
from scheduler.auth import tokens
from scheduler.control.simulations import Simulations
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import IdGenerator
from scheduler.domain.inventory import Inventory
from scheduler.domain.principal import Principal, Role
from scheduler.errors import TemporarilyAway
from scheduler.placement.model import CORRIDOR, Explanation, JobQueued
from scheduler.rpc.guarding import Guard
from scheduler.rpc.job_servicer import JobServicer
from scheduler.rpc.server import ServingServer, build
from scheduler.services.context import CenterStatus, CentersView, Context, PlannerView
from scheduler.services.feed_tail import DEFAULTS, WatchSettings
from scheduler.settings import SimulationSettings
from scheduler.store import identity, migrate, seed
from scheduler.store.database import Database
from scheduler.store.identity import TokenRow

NOW_MS = 1_790_000_000_000  # 2026-09-21
ROOT = Principal("test", Role.OPERATOR, None, None, None, "", 0)


class HandClock:
    """Scheduling and wall time that tests move."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def real_s(self, duration_ms: int) -> float:
        return duration_ms / 1000


class NoPlanner:
    """A planner that is away."""

    async def explain(self, uid: int) -> Explanation | None:
        raise TemporarilyAway("the planner is away; ask again in a second")

    async def estimate(self, job: JobQueued) -> Explanation:
        raise TemporarilyAway("the planner is away; ask again in a second")


class QuietCenters:
    """Centers that answered a second ago, and whose runs wrote nothing."""

    def status(self, center: str) -> CenterStatus:
        return CenterStatus(True, f"{center} is well", NOW_MS - 1000)

    async def take_inventory(self, center: str) -> Inventory:
        return Inventory(NOW_MS - 500, 0, 0, ())

    async def usage(self, center: str, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        return {}

    async def read_logs(self, center: str, run: RunRef, offset: int, limit: int) -> LogChunk:
        return LogChunk(b"", offset, offset, True)


@dataclass
class Corridor:
    """The running service with what tests need of it."""

    db: Database
    clock: HandClock
    serving: ServingServer
    channel: grpc.aio.Channel
    context: Context
    calls: list[tuple[str, str]] = field(default_factory=list)
    submitted: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.quotas: Any = quota_service_pb2_grpc.QuotaServiceStub(self.channel)
        self.subsidies: Any = subsidy_service_pb2_grpc.SubsidyServiceStub(self.channel)
        self.centers: Any = center_service_pb2_grpc.CenterServiceStub(self.channel)
        self.identity: Any = identity_service_pb2_grpc.IdentityServiceStub(self.channel)
        self.jobs: Any = job_service_pb2_grpc.JobServiceStub(self.channel)

    def token(
        self,
        role: Role,
        *,
        city: str | None = None,
        enterprise: str | None = None,
        center: str | None = None,
        expire_ms: int = NOW_MS + 1_000_000_000,
        subject: str = "somebody",
    ) -> tuple[tuple[str, str], ...]:
        """Store a token; returns the call metadata that presents it."""
        secret = tokens.new_secret()
        row = TokenRow(
            tokens.new_token_id(), subject, role, city, enterprise, center, NOW_MS, expire_ms, None
        )
        digest = tokens.fingerprint(secret)
        self.db.write_future(lambda c: identity.create_token(c, ROOT, row, digest)).result()
        return (("authorization", f"Bearer {secret}"),)

    def operator(self) -> tuple[tuple[str, str], ...]:
        """Return an operator's call metadata."""
        return self.token(Role.OPERATOR, subject="operator")

    def city_admin(self, city: str) -> tuple[tuple[str, str], ...]:
        """Return a city admin's call metadata."""
        return self.token(Role.CITY_ADMIN, city=city, subject=f"admin of {city}")

    def member(self, enterprise: str) -> tuple[tuple[str, str], ...]:
        """Return the call metadata of a member of an enterprise."""
        return self.token(Role.ENTERPRISE_MEMBER, enterprise=enterprise, subject=enterprise)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what a query gives."""
        return [tuple(row) for row in self.db.read_sync(lambda c: c.exec_driver_sql(sql).all())]


@dataclass(frozen=True)
class Refused:
    """How a call was refused."""

    code: grpc.StatusCode
    reason: str
    message: str
    info: dict[str, str]
    fields: tuple[str, ...]


async def refused(call: Awaitable[Any]) -> Refused:
    """Await a call that must fail; returns its code and details."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error: Any = caught.value
    status = rpc_status.from_call(error)
    assert status is not None, f"no rich status: {error!r}"
    reason, info, fields = "", {}, []
    for detail in status.details:
        about = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(about):
            reason, info = about.reason, dict(about.metadata)
        elif detail.Unpack(bad):
            fields = [violation.field for violation in bad.field_violations]
    return Refused(error.code(), reason, error.details() or "", info, tuple(fields))


Start = Callable[..., Awaitable[Corridor]]


@pytest.fixture(scope="session")
def seeded_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file with the sample data, to be copied."""
    path = tmp_path_factory.mktemp("seeded") / "corridor.db"
    db = Database(f"sqlite:///{path}")
    migrate.upgrade(db.engine)
    db.write_future(lambda c: seed.load(c, seed.DATA, NOW_MS)).result()
    db.close()
    return path


@pytest.fixture
async def start_corridor(seeded_database: Path, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts services with the sample data; they are stopped after the test.

    ``planner`` and ``centers`` stand in for those of the control loop, ``jobs`` for the job
    service, ``data`` is another database to copy. Every call that a service ends is noted in its
    ``calls``.
    """
    async with contextlib.AsyncExitStack() as stack:
        count = 0

        async def start(
            *,
            planner: PlannerView | None = None,
            centers: CentersView | None = None,
            jobs: job_service_pb2_grpc.JobServiceServicer | None = None,
            watch: WatchSettings = DEFAULTS,
            data: Path | None = None,
            simulation: SimulationSettings | None = None,
            approvals: Approvals | None = None,
            guard: Guard | None = None,
        ) -> Corridor:
            nonlocal count
            count += 1
            path = tmp_path / f"corridor-{count}.db"
            shutil.copyfile(data or seeded_database, path)
            return await stack.enter_async_context(
                _serve(
                    path, planner or NoPlanner(), centers or QuietCenters(), jobs, watch,
                    simulation or SimulationSettings(), approvals or Approvals(), guard,
                )
            )  # fmt: skip

        yield start


@contextlib.asynccontextmanager
async def _serve(
    path: Path,
    planner: PlannerView,
    centers: CentersView,
    jobs: job_service_pb2_grpc.JobServiceServicer | None,
    watch: WatchSettings,
    simulation: SimulationSettings,
    approvals: Approvals,
    guard: Guard | None,
) -> AsyncIterator[Corridor]:
    db = Database(f"sqlite:///{path}")
    clock = HandClock()
    context = Context(
        db, clock, clock.now_ms, IdGenerator(0, clock.now_ms), planner, centers, True,
        "0.1.0-test", simulator=Simulations(db, clock, CORRIDOR, simulation, lambda: None),
        approvals=approvals,
    )  # fmt: skip
    calls: list[tuple[str, str]] = []
    submitted: list[tuple[str, int]] = []
    serving = build(
        context,
        jobs or JobServicer(context, lambda city, count: submitted.append((city, count)), watch),
        listen="127.0.0.1:0",
        on_call=lambda method, code, _seconds: calls.append((method, code)),
        guard=guard,
    )
    await serving.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{serving.port}") as channel:
        yield Corridor(db, clock, serving, channel, context, calls, submitted)
    await serving.drain(0)
    db.close()


@pytest.fixture
async def corridor(start_corridor: Start) -> Corridor:
    """A service without a control loop: nothing moves but what the test moves."""
    return await start_corridor()


@pytest.fixture
def refusal() -> Callable[[Awaitable[Any]], Awaitable[Refused]]:
    """The helper that awaits a call which must fail."""
    return refused


__all__ = ["Corridor", "Refused"]
