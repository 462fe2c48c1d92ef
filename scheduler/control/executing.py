"""Plans carried out: starts are admitted, evictions ordered, and the workers given what follows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import structlog

from adapters.telling import about
from scheduler.clock import Clock
from scheduler.control.center_worker import CenterWorker, Tracked
from scheduler.control.metrics_port import LoopMetrics
from scheduler.control.tracing import LoopTraces
from scheduler.domain.ids import job_id, run_id
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.domain.states import RunState
from scheduler.domain.traces import TraceContext
from scheduler.placement.model import (
    Delta,
    Eviction,
    EvictionRefused,
    Plan,
    Start,
    StartRefused,
)
from scheduler.store import admission, evicting, leader
from scheduler.store.admission import AdmittedRun
from scheduler.store.database import Connection, StoreFailure

log = structlog.get_logger()

T = TypeVar("T")


class _Wanted(NamedTuple):
    """A planned start, for the log."""

    start: Start
    trace: TraceContext | None

    @property
    def said(self) -> Mapping[str, str]:
        """What lines about it say."""
        ids = {
            "job": job_id(self.start.uid), "city": self.start.city,
            "enterprise": self.start.enterprise,
        }  # fmt: skip
        return ids if self.trace is None else {**ids, "trace_id": self.trace.trace_id}


def _tracked(run: AdmittedRun, now_ms: int, enterprise: str, trace: TraceContext | None) -> Tracked:
    return Tracked(
        run.uid, run.attempt, RunState.PENDING, 0, now_ms, city=run.city, enterprise=enterprise,
        trace=trace,
    )  # fmt: skip


class ExecutorPort(Protocol):
    """What carrying out needs of the loop; ``write`` raises ``leader.Fenced`` if another leads."""

    epoch: int

    def write(self, call: Callable[[Connection], T]) -> Awaitable[T]:
        """Write as the leader."""
        ...


class Executor:
    """Carries out plans; ``tell`` collects what the planner must hear of what lost its guard."""

    def __init__(
        self,
        port: ExecutorPort,
        clock: Clock,
        metrics: LoopMetrics,
        workers: Mapping[str, CenterWorker],
        batch: int,
        tell: Callable[[Sequence[Delta]], None],
        traces: LoopTraces,
    ) -> None:
        self._port, self._clock, self._metrics = port, clock, metrics
        self._workers, self._batch, self._tell, self._traces = workers, batch, tell, traces

    async def carry_out(self, plan: Plan) -> None:
        """Order the evictions and admit the starts of a plan."""
        if plan.evictions:
            await self._evict(plan.evictions)
        for first in range(0, len(plan.starts), self._batch):
            await self._admit(plan.starts[first : first + self._batch])

    async def _admit(self, starts: Sequence[Start]) -> None:
        """Admit starts together; if that fails, in halves, so that one never bars the others."""
        now_ms, epoch = self._clock.now_ms(), self._port.epoch
        mine = self._traces.known(one.uid for one in starts)
        try:
            with self._traces.batch("admit", mine) as said:
                result = await self._port.write(lambda c: admission.admit(c, epoch, starts, now_ms))
                said["corridor.admitted"] = len(result.admitted)
                said["corridor.refused"] = len(result.refused)
        except (leader.Fenced, StoreFailure):
            raise
        except Exception:
            if len(starts) > 1:
                middle = len(starts) // 2
                await self._admit(starts[:middle])
                await self._admit(starts[middle:])
                return
            one = starts[0]
            with about(_Wanted(one, mine.get(one.uid))):
                log.exception("admission_failed")
            self._metrics.loop_error()
            reason = PendingReason(ReasonCode.MISCONFIGURED, "corridor", starts[0].option.flavor)
            self._tell([StartRefused(starts[0].uid, reason, now_ms + admission.RETRY_MS)])
            return
        self._tell(result.deltas)
        self._metrics.admitted(result)
        owners = {one.uid: one.enterprise for one in starts}
        for run in result.admitted:
            tracked = _tracked(run, now_ms, owners[run.uid], mine.get(run.uid))
            with about(tracked):
                log.debug("admitted", center=run.center, flavor=run.flavor)
            worker = self._workers.get(run.center)
            if worker is not None:
                worker.track([tracked])

    async def _evict(self, evictions: Sequence[Eviction]) -> None:
        """Order evictions; those that lost their guard are told to the planner."""
        now_ms, epoch = self._clock.now_ms(), self._port.epoch
        orders = await self._port.write(lambda c: evicting.reclaim(c, epoch, evictions, now_ms))
        self._tell([EvictionRefused(uid) for uid in orders.refused])
        self.ordered(orders)

    def ordered(self, orders: evicting.Orders) -> None:
        """Have the workers end runs whose end was ordered."""
        self._metrics.ordered(orders)
        for one in orders.ordered:
            worker = self._workers.get(one.center)
            if worker is not None:
                worker.end(run_id(one.uid, one.attempt), one.cause, one.grace_ms)
