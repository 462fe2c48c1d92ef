"""Where the planner lives: in a thread of this process, or in actors of Ray.

Both run the same ``RootPlanner``; a backend is only the way to it. ``PlannerHost`` plans in
process until Ray is up and whenever Ray is away, and moves back by itself. Either backend is
refilled from the store, never from the other (DESIGN.md 6).
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

import structlog

from scheduler.clock import Clock
from scheduler.control.questions import Questions
from scheduler.control.settings import LoopSettings
from scheduler.errors import TemporarilyAway
from scheduler.placement.core import PlanningCore, Sampled, StaleRevision, WaitingCounts
from scheduler.placement.model import (
    Delta,
    Explanation,
    JobQueued,
    Plan,
    PolicySettings,
    Promised,
)
from scheduler.store.database import Connection, Database

if TYPE_CHECKING:
    from scheduler.control.ray_link import RayPlanner

log = structlog.get_logger()

T = TypeVar("T")
#: Pauses between attempts to get to Ray, in real seconds.
_RETRY_S: Final = 1.0
_RETRY_MAX_S: Final = 30.0


class Beginning(NamedTuple):
    """What a planner begins with: all there is at a revision, and of which events beyond it that
    tells already."""

    revision: int
    deltas: list[Delta]
    had: frozenset[int] = frozenset()


Snapshot = Callable[[Connection], Beginning]


class PlannerAway(Exception):
    """The backend does not answer; use another one."""


class PlannerBackend(Protocol):
    """A place where a planner lives. Methods raise ``PlannerAway`` when it does not answer."""

    name: str

    async def load(self, revision: int, deltas: Sequence[Delta], now_ms: int) -> None:
        """Forget everything and take this snapshot."""
        ...

    async def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        """Apply what happened from revision ``before`` to ``after``, then plan."""
        ...

    async def explain(self, uid: int, now_ms: int) -> Explanation | None:
        """Why a job waits."""
        ...

    async def estimate(self, job: JobQueued, now_ms: int) -> Explanation:
        """What would be said of the job if it were queued now."""
        ...

    async def counts(self, now_ms: int) -> WaitingCounts:
        """Waiting jobs by city, flavor and reason."""
        ...

    async def sample(self, now_ms: int, estimate: bool) -> Sampled:
        """Who waits for what, and how good estimates were."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class LocalPlanner:
    """The planner in one thread of this process, so that the event loop stays free."""

    name = "local"

    def __init__(self, policy: PolicySettings, shards: int) -> None:
        self._core = PlanningCore(policy, shards=shards)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="corridor-plan")

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def load(self, revision: int, deltas: Sequence[Delta], now_ms: int) -> None:
        await self._run(lambda: self._core.load(revision, deltas, now_ms))

    async def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        return await self._run(lambda: self._core.cycle(before, deltas, after, now_ms))

    async def explain(self, uid: int, now_ms: int) -> Explanation | None:
        return await self._run(lambda: self._core.explain(uid, now_ms))

    async def estimate(self, job: JobQueued, now_ms: int) -> Explanation:
        return await self._run(lambda: self._core.estimate(job, now_ms))

    async def counts(self, now_ms: int) -> WaitingCounts:
        return await self._run(lambda: self._core.counts(now_ms))

    async def sample(self, now_ms: int, estimate: bool) -> Sampled:
        return await self._run(lambda: self._core.sample(now_ms, estimate))

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class PlannerHost:
    """The planner the loop speaks to, wherever it lives. Implements ``PlannerView``.

    ``revision`` is what the planner has seen, ``wake_ms`` when planning matters without any news.
    """

    def __init__(
        self, settings: LoopSettings, clock: Clock, db: Database, snapshot: Snapshot
    ) -> None:
        self._settings, self._clock, self._db, self._snapshot = settings, clock, db, snapshot
        self._backend: PlannerBackend | None = None
        self._ready: PlannerBackend | None = None  # a better backend, to be moved to
        self._raising: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._questions = Questions()
        #: Of the last plan; None before the first.
        self.promises: tuple[Promised, ...] | None = None
        self.revision = 0
        #: Events beyond the revision of the last snapshot that it had: they are not told again.
        self.had: frozenset[int] = frozenset()
        self.wake_ms: int | None = None

    @property
    def backend_name(self) -> str:
        """``ray``, ``local`` or ``none``."""
        return self._backend.name if self._backend is not None else "none"

    def ray_player(self) -> "RayPlanner | None":
        """Return the planner on Ray, which plays simulations too; None while Ray is away."""
        from scheduler.control.ray_link import RayPlanner

        return self._backend if isinstance(self._backend, RayPlanner) else None

    async def start(self) -> None:
        """Plan in process at once; begin to raise Ray beside it unless it is off."""
        self._backend = LocalPlanner(self._settings.policy, self._settings.shards)
        if self._settings.ray != "off":
            self._raise_ray()

    async def close(self) -> None:
        """Let go of the planner and of Ray."""
        if self._raising is not None:
            self._raising.cancel()
            await asyncio.gather(self._raising, return_exceptions=True)
        for backend in (self._backend, self._ready):
            self._let_go(backend)
        self._backend = self._ready = None
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _raise_ray(self) -> None:
        if self._raising is None or self._raising.done():
            self._raising = asyncio.create_task(self._ray_forever(), name="raise-ray")

    async def _ray_forever(self) -> None:
        """Try to get a planner on Ray until there is one; the loop moves to it between cycles."""
        from scheduler.control.ray_link import ClusterAway, RayPlanner

        pause_s, told = _RETRY_S, ""
        while True:
            try:
                self._ready = await RayPlanner.open(self._settings)
                return
            except ClusterAway as error:  # it costs next to nothing to look again
                pause_s = _RETRY_S
                if str(error) != told:
                    log.warning("ray_away", error=str(error), retry_s=pause_s)
                told = str(error)
            except PlannerAway as error:
                log.warning("ray_away", error=str(error), retry_s=pause_s)
                told = ""
            except Exception:  # this task must not end before there is a planner on Ray
                log.exception("ray_away", retry_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _RETRY_MAX_S)

    async def load(self) -> int:
        """Give the planner a new snapshot; returns its revision."""
        async with self._lock:
            return await self._fill()

    async def _fill(self) -> int:
        """Fill the planner, or one in process if it is away."""
        try:
            return await self._load()
        except PlannerAway as error:
            self._fall_back(error)
            return await self._load()

    async def _load(self, into: PlannerBackend | None = None) -> int:
        """Fill the planner, or another one, from the store; promises of the last plan are kept.

        What the store has of promises is of another leader, or of pools that are closed now.
        """
        backend = into or self._backend
        assert backend is not None, "start() makes a backend"
        revision, told, had = await self._db.read_feed(self._snapshot)
        own = self.promises or ()
        flavors = {one.flavor for one in own}
        told = [one for one in told if not (isinstance(one, Promised) and one.flavor in flavors)]
        await backend.load(revision, [*told, *own], self._clock.now_ms())
        self.revision, self.had, self.wake_ms = revision, had, None
        log.info("planner_loaded", backend=backend.name, revision=revision, told=len(told))
        return revision

    async def cycle(self, before: int, deltas: Sequence[Delta], after: int) -> Plan:
        """Tell what changed and plan; a planner that is away or behind is replaced or refilled."""
        async with self._lock:
            if self._ready is not None and await self._move():
                before, deltas, after = self.revision, (), self.revision
            if self.revision == before:
                try:
                    return await self._plan(before, deltas, after)
                except (PlannerAway, StaleRevision) as error:
                    self._fall_back(error)
            await self._fill()
            return await self._plan(self.revision, (), self.revision)

    async def _plan(self, before: int, deltas: Sequence[Delta], after: int) -> Plan:
        backend = self._backend
        assert backend is not None, "start() makes a backend"
        plan = await backend.cycle(before, deltas, after, self._clock.now_ms())
        self.revision, self.wake_ms = after, plan.wake_ms
        self.promises = tuple(
            Promised(one.uid, one.flavor, one.units, one.evicts) for one in plan.reservations
        )
        return plan

    async def _move(self) -> bool:
        """Fill the better backend with a snapshot, and go on with it if that works.

        Until then the old one answers questions. What the caller was about to tell is in the
        snapshot.
        """
        ready, self._ready = self._ready, None
        assert ready is not None, "the caller has looked"
        try:
            await self._load(into=ready)
        except BaseException as error:
            log.warning("planner_away", backend=ready.name, error=str(error))
            self._let_go(ready)
            self._raise_ray()
            if isinstance(error, PlannerAway):
                return False
            raise
        old, self._backend = self._backend, ready
        self._let_go(old)
        log.info("planner_moved", backend=self.backend_name)
        return True

    def _fall_back(self, why: Exception) -> None:
        """Plan in process from now on, and raise Ray again."""
        old = self._backend
        if self.backend_name == LocalPlanner.name:
            return
        log.warning("planner_away", backend=self.backend_name, error=str(why))
        self._backend = LocalPlanner(self._settings.policy, self._settings.shards)
        self._let_go(old)
        self._raise_ray()

    def _let_go(self, backend: PlannerBackend | None) -> None:
        """Close a backend beside: planning must not wait for it."""
        if backend is not None:
            task = asyncio.create_task(backend.close(), name="close-planner")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    # --- PlannerView --------------------------------------------------------------------------

    def _answering(self) -> PlannerBackend:
        if self._backend is None:
            raise TemporarilyAway("the planner is not up yet; ask again in a second")
        return self._backend

    async def explain(self, uid: int) -> Explanation | None:
        """Why a job waits; None if the planner does not hold it."""
        try:
            return await self._questions.ask(
                lambda: self._answering().explain(uid, self._clock.now_ms())
            )
        except PlannerAway as error:
            raise TemporarilyAway("the planner is away; ask again in a second") from error

    async def estimate(self, job: JobQueued) -> Explanation:
        """What would be said of this job if it were queued now."""
        try:
            return await self._questions.ask(
                lambda: self._answering().estimate(job, self._clock.now_ms())
            )
        except PlannerAway as error:
            raise TemporarilyAway("the planner is away; ask again in a second") from error

    async def counts(self) -> WaitingCounts:
        """Waiting jobs by city, flavor and reason."""
        try:
            return await self._answering().counts(self._clock.now_ms())
        except PlannerAway as error:
            raise TemporarilyAway("the planner is away; ask again in a second") from error

    async def sample(self, estimate: bool) -> Sampled:
        """Who waits for what, and judged starts; with ``estimate`` new estimates are made."""
        try:
            return await self._answering().sample(self._clock.now_ms(), estimate)
        except PlannerAway as error:
            raise TemporarilyAway("the planner is away; ask again in a second") from error
