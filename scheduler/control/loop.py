"""The control loop: the leader's one thread of decisions.

It is woken by commits (submissions, reports, changed quotas) and by a tick; it tells the planner
what changed, admits the planned starts under quota and money, hands them to the centers' workers,
and makes their reports durable. All truth is in the store: the loop may die at any line and a new
one goes on from there, fenced by its epoch.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from adapters.contract import CenterAdapter, LogChunk, RunRequest
from scheduler.clock import Clock
from scheduler.control.center_worker import CenterWorker, RunKey, Tracked
from scheduler.control.metrics_port import LoopMetrics
from scheduler.control.planner import PlannerHost
from scheduler.control.requests import request_of
from scheduler.control.settings import LoopSettings
from scheduler.domain.ids import parse_run_id, run_id
from scheduler.domain.reports import Report
from scheduler.domain.spec import JobSpec
from scheduler.domain.states import RUN_TERMINAL, RunState
from scheduler.errors import TemporarilyAway
from scheduler.placement.model import Delta, Plan, PoolSet, Unparked
from scheduler.services.context import CenterStatus
from scheduler.store import admission, ingest, leader, planner_feed, runs
from scheduler.store.database import Connection, Database

log = structlog.get_logger()


class ControlLoop:
    """Runs between ``start`` and ``stop``; ``fenced`` is set if another leader took over.

    ``decode_spec`` turns a stored spec into data; ``holder`` names this process in the leader row.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        adapters: Mapping[str, CenterAdapter],
        metrics: LoopMetrics,
        settings: LoopSettings,
        decode_spec: Callable[[bytes], JobSpec],
        holder: str,
        rng: random.Random,
    ) -> None:
        self.db, self.clock, self.metrics, self.settings = db, clock, metrics, settings
        self._decode, self._holder, self._rng = decode_spec, holder, rng
        self.workers = {
            center: CenterWorker(center, adapter, self, clock, settings, self._orphan)
            for center, adapter in adapters.items()
        }
        self.planner = PlannerHost(settings, clock, db, self._snapshot)
        self.centers = WorkersView(self.workers)
        self.epoch = 0
        self.fenced = asyncio.Event()
        self._revision = 0
        self._pools: list[PoolSet] = []
        self._volatile: list[Delta] = []
        self._wake = asyncio.Event()
        self._inbox: asyncio.Queue[tuple[list[Report], asyncio.Future[None]]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._unparked_ms: dict[str, float] = {}

    # --- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the lead, take over open runs, and begin."""
        now_ms = self.clock.now_ms()
        self.epoch = await self.db.write(
            lambda c: leader.take_over(c, self._holder, now_ms), alone=True
        )
        self.metrics.leader(True, self.epoch)
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is to be woken
                loop.call_soon_threadsafe(self._wake.set)

        self.db.after_commit.append(wake)
        self._track(await self.db.read(runs.open_runs))
        for worker in self.workers.values():
            worker.start()
        await self.planner.start()
        self._tasks = [
            asyncio.create_task(self._guarded(self._plan_forever), name="plan"),
            asyncio.create_task(self._guarded(self._ingest_forever), name="ingest"),
            asyncio.create_task(self._guarded(self._expire_forever), name="expire"),
            asyncio.create_task(self._guarded(self._measure_forever), name="measure"),
        ]
        log.info("leading", epoch=self.epoch, centers=sorted(self.workers))

    async def stop(self) -> None:
        """Stop deciding; runs at the centers go on, and the next leader finds them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self.workers.values():
            await worker.stop()
        await self.planner.close()
        self.metrics.leader(False, self.epoch)

    async def _guarded(self, body: Callable[[], "asyncio.Future[None] | object"]) -> None:
        """Run one of the loop's tasks for ever: a failure is logged and tried again."""
        while True:
            try:
                await body()  # type: ignore[misc]
            except leader.Fenced as error:
                log.error("fenced", error=str(error))
                self.metrics.leader(False, self.epoch)
                self.fenced.set()
                return
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("loop_failed")
                self.metrics.loop_error()
                await asyncio.sleep(self.settings.retry_s)

    def _track(self, open_runs: Iterable[runs.OpenRun]) -> None:
        for run in open_runs:
            worker = self.workers.get(run.center)
            if worker is None:
                log.error("run_without_center", center=run.center, job=run.uid)
                continue
            tracked = Tracked(
                run.uid, run.attempt, run.state, run.sequence, self.clock.now_ms(), run.cancel
            )
            worker.track([tracked])

    # --- planning ---------------------------------------------------------------------------------

    def _snapshot(self, connection: Connection) -> tuple[int, list[Delta]]:
        """All the planner must know; pools of centers that do not answer are closed."""
        half_life_ms = self.settings.policy.usage_half_life_ms
        revision, told = planner_feed.snapshot(connection, self.clock.now_ms(), half_life_ms)
        return revision, self._closed_pools(told)

    def _closed_pools(self, told: Iterable[Delta]) -> list[Delta]:
        """Note the pools, and close those whose center does not answer."""
        deltas = list(told)
        self._pools = [delta for delta in deltas if isinstance(delta, PoolSet)]
        return [self._as_reachable(delta) for delta in deltas]

    def _as_reachable(self, delta: Delta) -> Delta:
        if not isinstance(delta, PoolSet):
            return delta
        worker = self.workers.get(delta.center)
        if worker is None or not worker.reachable:
            return delta._replace(open=False)
        return delta

    async def _plan_forever(self) -> None:
        # What an unfinished cycle had taken from the feed is told again by a snapshot.
        self._revision = await self.planner.load()
        self._volatile.clear()
        due = True
        while True:
            if not due:
                await self._woken()
            began = time.perf_counter()
            due = await self.cycle()
            spent = time.perf_counter() - began
            await asyncio.sleep(0 if due else max(self.settings.gather_s, spent))

    async def _woken(self) -> None:
        timeout = self.settings.tick_s
        wake_ms = self.planner.wake_ms
        if wake_ms is not None:
            left_s = self.clock.real_s(wake_ms - self.clock.now_ms())
            timeout = min(timeout, max(0.0, left_s))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout)
        self._wake.clear()

    async def cycle(self) -> bool:
        """Tell the planner what changed, admit what it starts; True if more is due at once."""
        before, batch = self._revision, self.settings.feed_batch
        after, deltas, cancels, changed = await self.db.read(
            lambda c: planner_feed.read_deltas(c, before, batch)
        )
        if changed:
            deltas += self._closed_pools(await self.db.read(planner_feed.settings))
        for uid in cancels:
            self._cancel(uid)
        volatile, self._volatile = self._volatile, []
        began = time.perf_counter()
        plan = await self.planner.cycle(before, [*volatile, *deltas], after)
        self._revision = self.planner.revision
        self.metrics.cycle(
            self.planner.backend_name, time.perf_counter() - began, plan.looked_at, len(plan.starts)
        )
        await self._admit(plan)
        more_feed = after - before >= batch
        return more_feed or plan.more

    async def _admit(self, plan: Plan) -> None:
        size = self.settings.admit_batch
        for first in range(0, len(plan.starts), size):
            starts = plan.starts[first : first + size]
            now_ms = self.clock.now_ms()
            result = await self.db.write(
                lambda c, starts=starts, now_ms=now_ms: admission.admit(  # type: ignore[misc]
                    c, self.epoch, starts, now_ms
                )
            )
            self._volatile += result.deltas
            self.metrics.admitted(result)
            for run in result.admitted:
                worker = self.workers.get(run.center)
                if worker is not None:
                    worker.track([Tracked(run.uid, run.attempt, RunState.PENDING, 0, now_ms)])

    def _cancel(self, uid: int) -> None:
        for worker in self.workers.values():
            if worker.cancel(uid):
                return

    # --- what the workers call --------------------------------------------------------------------

    async def mark_submitting(self, center: str, keys: list[RunKey]) -> list[RunRequest]:
        """Make the intent to send durable; gives the requests to send."""
        now_ms = self.clock.now_ms()
        sends, ended = await self.db.write(
            lambda c: runs.mark_submitting(c, self.epoch, keys, now_ms)
        )
        self._after_ingest(ended)
        return [request_of(send, self._decode(send.spec), self.epoch) for send in sends]

    async def report(self, reports: list[Report]) -> None:
        """Make reports durable; returns when they are."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait((reports, done))
        await done

    async def is_finished(self, run_ids: list[str]) -> set[str]:
        """Which of these runs the store holds to be ended."""
        keys = {parse_run_id(text): text for text in run_ids}
        ended = await self.db.read(lambda c: runs.finished(c, list(keys)))
        return {keys[key] for key in ended}

    def center_changed(self, center: str, reachable: bool) -> None:
        """Open or close a center's pools for the planner."""
        self._volatile += [
            self._as_reachable(pool) for pool in self._pools if pool.center == center
        ]
        self.metrics.center(center, reachable)
        self._wake.set()

    def _orphan(self, center: str, run: str) -> None:
        log.error("orphan", center=center, run=run, hint="carries our mark, unknown to the store")
        self.metrics.orphan(center)

    async def _ingest_forever(self) -> None:
        while True:
            first = await self._inbox.get()
            group = [first]
            count = len(first[0])
            while count < self.settings.admit_batch * 2 and not self._inbox.empty():
                group.append(self._inbox.get_nowait())
                count += len(group[-1][0])
            reports = [report for part, _ in group for report in part]
            now_ms = self.clock.now_ms()
            try:
                result = await self.db.write(
                    lambda c, reports=reports, now_ms=now_ms: ingest.ingest(  # type: ignore[misc]
                        c, self.epoch, reports, now_ms, self._rng.random
                    )
                )
            except BaseException as error:
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
                raise
            self._after_ingest(result)
            for _, done in group:
                if not done.done():
                    done.set_result(None)

    def _after_ingest(self, result: ingest.Ingested) -> None:
        if result.done:
            self._forget(result.done)
        self.metrics.ingested(result)
        now = time.monotonic()
        for city in result.cities:
            if now - self._unparked_ms.get(city, 0.0) > 1.0:
                self._unparked_ms[city] = now
                self._volatile.append(Unparked(city))

    def _forget(self, keys: Sequence[RunKey]) -> None:
        for key in keys:
            text = run_id(*key)
            for worker in self.workers.values():
                worker.forget(text)

    # --- housekeeping -----------------------------------------------------------------------------

    async def _expire_forever(self) -> None:
        while True:
            now_ms = self.clock.now_ms()
            due = await self.db.read(lambda c, now_ms=now_ms: runs.any_expired(c, now_ms))  # type: ignore[misc]
            if due:
                await self.db.write(
                    lambda c, now_ms=now_ms: runs.expire(c, self.epoch, now_ms)  # type: ignore[misc]
                )
            await asyncio.sleep(self.settings.tick_s)

    async def _measure_forever(self) -> None:
        while True:
            counts = None
            with contextlib.suppress(TemporarilyAway):
                counts = await self.planner.counts()
            active = {
                center: [run for run in worker.tracked.values() if run.state not in RUN_TERMINAL]
                for center, worker in self.workers.items()
            }
            await self.metrics.measure(self.db, self.clock.now_ms(), counts, active)
            self.metrics.backend(self.planner.backend_name)
            await asyncio.sleep(self.settings.metrics_s)


class WorkersView:
    """The centers as the use cases may see them (``CentersView``)."""

    def __init__(self, workers: Mapping[str, CenterWorker]) -> None:
        self._workers = workers

    def status(self, center: str) -> CenterStatus:
        """Whether the center answers; a center without an adapter here does not."""
        worker = self._workers.get(center)
        if worker is None:
            return CenterStatus(False, "no adapter is configured for it in this service", 0)
        return worker.status()

    async def read_logs(self, center: str, run_id: str, offset: int, limit: int) -> LogChunk:
        """A piece of a run's log; ``TemporarilyAway`` if the center cannot be asked."""
        worker = self._workers.get(center)
        if worker is None:
            raise TemporarilyAway(f"no adapter is configured for {center} in this service")
        return await worker.read_logs(run_id, offset, limit)
