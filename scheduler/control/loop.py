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
from typing import TypeVar

import structlog

from adapters.contract import CenterAdapter, RunRequest, boot_s
from adapters.telling import about
from scheduler.clock import Clock
from scheduler.control.acknowledging import Acknowledger
from scheduler.control.bookkeeping import BookDesk, Bookkeeping
from scheduler.control.capacity_watch import CapacityWatch
from scheduler.control.center_worker import CenterWorker, Pause, RunKey
from scheduler.control.executing import Executor
from scheduler.control.follower import Follower
from scheduler.control.housekeeping import Housekeeping
from scheduler.control.inbox import Inbox
from scheduler.control.measuring import Measuring
from scheduler.control.metrics_port import LoopMetrics
from scheduler.control.planner import Beginning, PlannerHost
from scheduler.control.pools_open import OpenPools
from scheduler.control.reason_keeper import ReasonKeeper
from scheduler.control.requests import request_of
from scheduler.control.settings import LoopSettings
from scheduler.control.tracing import LoopTraces, TraceDesk
from scheduler.control.tracked import taken_over
from scheduler.control.unparking import MoneyBack
from scheduler.control.workers_view import WorkersView
from scheduler.domain.ids import parse_run_id, run_id
from scheduler.domain.reports import Report
from scheduler.domain.spec import JobSpec
from scheduler.errors import TemporarilyAway
from scheduler.placement.model import CitySet, Delta
from scheduler.store import feed, ingest, leader, planner_feed, promises, runs
from scheduler.store.database import Connection, Database

log = structlog.get_logger()

T = TypeVar("T")


class ControlLoop:
    """Runs between ``start`` and ``stop``; ``fenced`` is set if another leader took over.

    ``decode_spec`` turns a stored spec into data; ``holder`` names this process in the leader row;
    ``pause`` waits real seconds for centers that ask, ``now_s`` are seconds in which a stopped
    process grows old. After ``lead`` and ``load``, ``cycle``, ``housekeeping`` and the steps of
    the workers move the loop by hand, beside ``ingest_forever``.
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
        pause: Pause = asyncio.sleep,
        now_s: Callable[[], float] = boot_s,
        books: BookDesk | None = None,
        tracing: TraceDesk | None = None,
    ) -> None:
        self.db, self.clock, self.metrics, self.settings = db, clock, metrics, settings
        self._decode, self._holder, self._rng = decode_spec, holder, rng
        self.traces = LoopTraces(db, self, tracing)
        self.workers = {
            center: CenterWorker(
                center,
                adapter,
                self,
                clock,
                settings,
                self._orphan,
                pause,
                rng.random,
                now_s,
                self.traces.called,
            )
            for center, adapter in adapters.items()
        }
        self.planner = PlannerHost(settings, clock, db, self._snapshot)
        self.capacity = CapacityWatch(adapters, clock, settings, self)
        self.centers = WorkersView(self.workers, self.capacity.offered)
        self._measuring = Measuring(db, clock, metrics, self.planner, self.workers, self.centers)
        self.acknowledger = Acknowledger(adapters, db, settings, self, rng.random)
        self.epoch = 0
        self.fenced = asyncio.Event()
        self._revision = 0
        self._heard = 0  # of wishes to cancel; the planner may have seen more by a snapshot
        self._pools = OpenPools(self._answers)
        self._volatile: list[Delta] = []
        self._executor = Executor(
            self, clock, metrics, self.workers, settings.admit_batch, self._tell_planner,
            self.traces,
        )  # fmt: skip
        self.follower = Follower(db, clock, self)
        answering = self.centers.answering
        self.housekeeping = Housekeeping(
            db, clock, settings, self, self._executor.ordered, answering
        )
        self.books = None if books is None else Bookkeeping(db, clock, self, books)
        self.reasons = ReasonKeeper(db, clock, settings, self.planner, self, metrics)
        self._wake = asyncio.Event()
        ingest = self.traces.ingesting(self._ingest)
        self._inbox = Inbox(ingest, metrics.loop_error, settings.admit_batch * 2)
        self._tasks: list[asyncio.Task[None]] = []
        self._hooks: list[Callable[[], None]] = []
        self._money_back = MoneyBack(clock)

    # --- life -------------------------------------------------------------------------------------

    async def lead(self) -> None:
        """Take the lead, take over open runs and fill the planner; nothing moves by itself yet."""
        await self._take_over()
        await self.load()

    async def _take_over(self, epoch: int | None = None) -> None:
        now_ms = self.clock.now_ms()
        if epoch is None:
            epoch = await self.db.write(
                lambda c: leader.take_over(c, self._holder, now_ms), alone=True
            )
        self.epoch = epoch
        self.metrics.leader(True, self.epoch)
        self._heard, open_runs = await self.db.read_feed(
            lambda c: (feed.head(c), runs.open_runs(c))
        )
        self._track(open_runs)
        self.traces.take_over(open_runs)
        await self.acknowledger.begin()
        await self.planner.start()
        log.info("leading", epoch=self.epoch, centers=sorted(self.workers))

    async def start(self, epoch: int | None = None) -> None:
        """Take the lead, take over open runs, and begin; the planner is filled beside.

        With an ``epoch`` that was taken already it leads under that one.
        """
        await self._take_over(epoch)
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is to be woken
                loop.call_soon_threadsafe(self._wake.set)

        self.db.after_commit.append(wake)
        self._hooks.append(wake)
        for worker in self.workers.values():
            worker.start()
        self.capacity.start()
        self.acknowledger.start()
        self._tasks = [
            asyncio.create_task(self._guarded(self._plan_forever), name="plan"),
            asyncio.create_task(self._guarded(self.ingest_forever), name="ingest"),
            asyncio.create_task(self._guarded(self._keep_house_forever), name="house"),
            asyncio.create_task(self._guarded(self._measure_forever), name="measure"),
            asyncio.create_task(self._guarded(self._keep_reasons_forever), name="reasons"),
        ]
        books = {} if self.books is None else self.books.bodies()
        for name, body in (self.traces.bodies() | books).items():
            self._tasks.append(asyncio.create_task(self._guarded(body), name=name))

    async def stop(self) -> None:
        """Stop deciding; runs at the centers go on, and the next leader finds them."""
        while self._hooks:
            self.db.after_commit.remove(self._hooks.pop())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.traces.stop()
        await self.capacity.stop()
        await self.acknowledger.stop()
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
                self._lost(error)
                return
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("loop_failed")
                self.metrics.loop_error()
                await asyncio.sleep(self.settings.retry_s)

    def _lost(self, error: leader.Fenced) -> None:
        """Another leader has taken over: nothing more is written here."""
        if not self.fenced.is_set():
            log.error("fenced", error=str(error))
            self.metrics.leader(False, self.epoch)
            self.fenced.set()

    async def write(self, call: Callable[[Connection], T]) -> T:
        """Write as the leader; every such call checks the epoch in its transaction."""
        try:
            return await self.db.write(call)
        except leader.Fenced as error:
            self._lost(error)
            raise

    def _track(self, open_runs: Iterable[runs.OpenRun]) -> None:
        """Take over runs. Another leader may have called for them until now."""
        now_ms = self.clock.now_ms()
        for run in open_runs:
            worker = self.workers.get(run.center)
            if worker is None:
                with about(taken_over(run, now_ms)):
                    log.error("run_without_center", center=run.center)
                continue
            worker.track([taken_over(run, now_ms)])

    # --- planning ---------------------------------------------------------------------------------

    def _snapshot(self, connection: Connection) -> Beginning:
        """All the planner must know; pools of centers that do not answer are closed."""
        policy, now_ms = self.settings.policy, self.clock.now_ms()
        revision, told = planner_feed.snapshot(connection, now_ms, policy)
        return Beginning(revision, self._pools.note(told), feed.beyond(connection))

    def _answers(self, center: str) -> bool:
        worker = self.workers.get(center)
        return worker is not None and worker.reachable

    async def load(self) -> None:
        """Give the planner a new snapshot; what an unfinished cycle took is in it."""
        self._revision = await self.planner.load()
        self._volatile.clear()

    async def _plan_forever(self) -> None:
        await self.load()
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
        # Not wait_for: before Python 3.12 it may swallow the cancellation that ends its caller.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        self._wake.clear()

    async def cycle(self) -> bool:
        """Tell the planner what changed, admit what it starts; True if more is due at once."""
        await self.follower.step()
        before, batch, had = self._revision, self.settings.feed_batch, self.planner.had
        after, deltas, cancels, changed = await self.db.read_feed(
            lambda c: planner_feed.read_deltas(c, before, batch, had)
        )
        if changed:
            told = self._pools.note(await self.db.read(planner_feed.settings))
            deltas += told
            self._money_back.into(delta.city for delta in told if isinstance(delta, CitySet))
        if self._heard == before:
            self._cancel(cancels)
            self._heard = after
        volatile, self._volatile = self._volatile, []
        began = time.perf_counter()
        told_first = [*volatile, *self._money_back.due()]
        plan = await self.planner.cycle(before, [*told_first, *deltas], after)
        self._revision = self.planner.revision
        spent_s, backend = time.perf_counter() - began, self.planner.backend_name
        await self._hear()
        self.metrics.cycle(backend, spent_s, plan.looked_at, len(plan.starts))
        await self.traces.planned(plan, backend, spent_s)
        await self._executor.carry_out(plan)
        await self._keep_promises()
        more_feed = after - before >= batch
        return more_feed or plan.more

    async def _keep_promises(self) -> None:
        """Have the next leader know to whom pools are promised."""
        now = self._pools.to_keep(self.planner.promises or ())
        if now is None:
            return
        now_ms, epoch = self.clock.now_ms(), self.epoch
        await self.write(lambda c: promises.keep(c, epoch, *now, now_ms))
        self._pools.kept(now)

    async def _hear(self) -> None:
        """Heed wishes to cancel that the planner went past by a snapshot."""
        after, upto = self._heard, self._revision
        if after < upto:
            self._cancel(await self.db.read(lambda c: runs.cancel_wanted(c, after, upto)))
            self._heard = upto

    def _cancel(self, uids: Iterable[int]) -> None:
        for uid in uids:
            any(worker.cancel(uid) for worker in self.workers.values())

    def _tell_planner(self, deltas: Sequence[Delta]) -> None:
        """Have the planner hear of it in the next cycle."""
        self._volatile += deltas

    # --- what the workers call --------------------------------------------------------------------

    async def mark_submitting(self, center: str, keys: list[RunKey]) -> list[RunRequest]:
        """Make the intent to send durable; gives the requests to send."""
        now_ms = self.clock.now_ms()
        sends, ended = await self.write(lambda c: runs.mark_submitting(c, self.epoch, keys, now_ms))
        self._after_ingest(ended)
        return [request_of(send, self._decode(send.spec), self.epoch) for send in sends]

    async def report(self, reports: list[Report]) -> None:
        """Make reports durable; returns when they are."""
        await self._inbox.report(reports)

    async def is_finished(self, run_ids: list[str]) -> set[str]:
        """Which of these runs the store holds to be ended; what is no run id is not."""
        keys: dict[RunKey, str] = {}
        for text in run_ids:
            with contextlib.suppress(ValueError):
                keys[parse_run_id(text)] = text
        ended = await self.db.read(lambda c: runs.finished(c, list(keys)))
        return {keys[key] for key in ended}

    def center_changed(self, center: str, reachable: bool) -> None:
        """Open or close a center's pools for the planner."""
        self._volatile += self._pools.of(center)
        self.metrics.center(center, reachable)
        self._wake.set()

    def _orphan(self, center: str, run: str) -> None:
        log.error("orphan", center=center, run=run, hint="carries our mark, unknown to the store")
        self.metrics.orphan(center)

    async def ingest_forever(self) -> None:
        """Make the reports of all workers durable as they come."""
        await self._inbox.serve_forever()

    async def _ingest(self, reports: Sequence[Report]) -> None:
        now_ms = self.clock.now_ms()
        self._after_ingest(
            await self.write(
                lambda c: ingest.ingest(c, self.epoch, reports, now_ms, self._rng.random)
            )
        )

    def _after_ingest(self, result: ingest.Ingested) -> None:
        self._forget(result.done)
        self.metrics.ingested(result)
        self._money_back.into(result.cities)

    def _forget(self, keys: Sequence[RunKey]) -> None:
        for key in keys:
            text = run_id(*key)
            for worker in self.workers.values():
                worker.forget(text)

    # --- housekeeping -----------------------------------------------------------------------------

    async def _keep_house_forever(self) -> None:
        while True:
            await self.housekeeping.once()
            await asyncio.sleep(self.settings.tick_s)

    async def _keep_reasons_forever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.reasons_s)
            with contextlib.suppress(TemporarilyAway):
                await self.reasons.once()

    async def _measure_forever(self) -> None:
        while True:
            await self._measuring.once()
            await asyncio.sleep(self.settings.metrics_s)
