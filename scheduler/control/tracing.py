"""Traces of what the leader does: spans of jobs that are followed, and of batches they come in.

What is durable of a job's way is in the feed, so its spans are told from there
(``scheduler.domain.job_spans``): by whoever leads, also of what another process did. The mark up to
where it was told moves once the spans are gone out, so one that is killed tells nothing less; the
next may tell the last again, each span under the same id. Batches (a planning cycle, a transaction
of admissions or of reports) are spans of traces of their own, told only if a followed job is among
them, and linked with the spans of at most so many of those.

Where tracing is off nothing is read and nothing is kept.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from scheduler.control.tracked import Tracked
from scheduler.domain.ids import job_id
from scheduler.domain.job_spans import job_span, run_span, spans_of
from scheduler.domain.reports import Report
from scheduler.domain.traces import (
    LINKS_MAX,
    Attribute,
    SpanKind,
    SpanRecord,
    Spans,
    TraceContext,
    span_id_of,
)
from scheduler.placement.model import Plan
from scheduler.store import leader, traces
from scheduler.store.database import Connection, Database, StoreFailure
from scheduler.store.runs import OpenRun

T = TypeVar("T")

#: So many events without a followed job later it is kept that there were none.
_KEEP_EVENTS: Final = 10_000
#: Of so many jobs it is known at most in which batches they came.
_CAUSES_MAX: Final = 4_096
_EVERY_S: Final = 1.0
#: A service that stops waits so long for spans to go out.
_FLUSH_S: Final = 2.0


class LeaderPort(Protocol):
    """The loop; ``write`` raises ``leader.Fenced`` if another leads."""

    epoch: int

    def write(self, call: Callable[[Connection], T]) -> Awaitable[T]:
        """Write as the leader."""
        ...


@dataclass(frozen=True, slots=True)
class TraceDesk:
    """Where spans go, and what gives the context of a new trace that is recorded.

    Events are told every so many real seconds.
    """

    spans: Spans
    fresh: Callable[[], TraceContext]
    every_s: float = _EVERY_S


class _Told(NamedTuple):
    """Up to where was told, which jobs are over by then, and how many spans had been emitted."""

    upto_seq: int
    over: list[int]
    emitted: int


class LoopTraces:
    """One for a loop; without a desk tracing is off, and every method does nothing."""

    def __init__(self, db: Database, port: LeaderPort, desk: TraceDesk | None) -> None:
        self._db, self._port, self._desk = db, port, desk
        self._upto: int | None = None
        self._kept = 0
        self._told: deque[_Told] = deque()
        #: In which batches a job came about lately.
        self._causes: dict[int, dict[str, TraceContext]] = {}
        self._planned: TraceContext | None = None
        #: Followed jobs with runs that this process knows of, until they are over.
        self._followed: dict[int, TraceContext] = {}

    # --- jobs -------------------------------------------------------------------------------------

    def bodies(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return what runs for ever."""
        return {} if self._desk is None else {"traces": self._tell_forever}

    async def _tell_forever(self) -> None:
        assert self._desk is not None, "else it is not begun"
        while True:
            if not await self.tell():
                await asyncio.sleep(self._desk.every_s)

    async def tell(self) -> bool:
        """Tell what the feed has since; True if there may be more. Raises ``leader.Fenced``."""
        desk = self._desk
        if desk is None:
            return False
        if self._upto is None:
            epoch = self._port.epoch
            self._upto = self._kept = await self._port.write(lambda c: traces.begin(c, epoch))
        after = self._upto
        found = await self._db.read_feed(lambda c: traces.untold(c, after))
        for news in found.news:
            if news.run is not None:
                self._followed[news.job.uid] = news.job.submitted
            for span in spans_of(news, self._causes.get(news.job.uid, {})):
                desk.spans.emit(span)
        over = sorted({news.job.uid for news in found.news if news.job.over})
        for uid in over:
            self._causes.pop(uid, None)
            self._followed.pop(uid, None)
        self._upto = found.upto_seq
        if found.news or found.upto_seq - self._kept >= _KEEP_EVENTS:
            self._told.append(_Told(found.upto_seq, over, desk.spans.emitted))
        await self._keep(desk.spans)
        return found.upto_seq - after >= traces.EVENTS_MAX

    async def _keep(self, spans: Spans) -> None:
        """Keep that it was told of what has gone out."""
        over: list[int] = []
        upto = None
        while self._told and self._told[0].emitted <= spans.gone:
            upto, ended, _ = self._told.popleft()
            over += ended
        if upto is None:
            return
        epoch, seq = self._port.epoch, upto
        await self._port.write(lambda c: traces.keep(c, epoch, seq, over))
        self._kept = seq

    async def stop(self) -> None:
        """Wait a moment for what was told to go out, and keep that it did."""
        if self._desk is None or not self._told:
            return
        await asyncio.to_thread(self._desk.spans.flush, _FLUSH_S)
        with contextlib.suppress(leader.Fenced, StoreFailure):
            await self._keep(self._desk.spans)

    # --- batches ----------------------------------------------------------------------------------

    def take_over(self, open_runs: Iterable[OpenRun]) -> None:
        """Know of jobs that were started by another."""
        self._followed.update((run.uid, run.trace) for run in open_runs if run.trace is not None)

    def known(self, uids: Iterable[int]) -> dict[int, TraceContext]:
        """Return which of these jobs, which have started or are to, are followed."""
        found = self._followed
        return {uid: found[uid] for uid in uids if uid in found} if found else {}

    async def planned(self, plan: Plan, backend: str, spent_s: float) -> None:
        """Tell of a cycle that just ended, and find out which of its starts are followed."""
        self._planned = None
        if self._desk is None or not plan.starts:
            return
        uids = [start.uid for start in plan.starts]
        followed = await self._db.read(lambda c: traces.of(c, uids))
        if not followed:
            return
        self._followed.update(followed)
        end_ns = time.time_ns()
        self._planned = self._begin("plan", followed)
        self._emit(
            "plan", self._planned, "", end_ns - round(spent_s * 1e9), end_ns, followed,
            {
                "corridor.backend": backend, "corridor.looked_at": plan.looked_at,
                "corridor.starts": len(plan.starts),
            },
        )  # fmt: skip

    @contextlib.contextmanager
    def batch(
        self, name: str, followed: Mapping[int, TraceContext]
    ) -> Iterator[dict[str, Attribute]]:
        """Tell of a transaction with followed jobs; what is put into the given is said of it.

        One with starts is a part of the cycle that planned them.
        """
        said: dict[str, Attribute] = {}
        if self._desk is None or not followed:
            yield said
            return
        planned = self._planned if name == "admit" else None
        # Known before it commits: events may be told before we hear that it did.
        context = self._begin(name, followed, planned)
        start_ns = time.time_ns()
        error = ""
        try:
            yield said
        except BaseException as failure:
            error = type(failure).__name__
            raise
        finally:
            parent = "" if planned is None else planned.span_id
            self._emit(name, context, parent, start_ns, time.time_ns(), followed, said, error)

    def ingesting(
        self, ingest: Callable[[Sequence[Report]], Awaitable[None]]
    ) -> Callable[[Sequence[Report]], Awaitable[None]]:
        """Return what ingests reports and tells of it."""
        if self._desk is None:
            return ingest

        async def told(reports: Sequence[Report]) -> None:
            with self.batch("ingest", self.known(report.uid for report in reports)) as said:
                said["corridor.reports"] = len(reports)
                await ingest(reports)

        return told

    def _begin(
        self,
        name: str,
        followed: Mapping[int, TraceContext],
        parent: TraceContext | None = None,
    ) -> TraceContext:
        assert self._desk is not None, "else nothing is told"
        context = self._desk.fresh()
        if parent is not None:
            context = context._replace(trace_id=parent.trace_id)
        for uid in followed:
            self._causes.setdefault(uid, {})[name] = context
        while len(self._causes) > _CAUSES_MAX:
            del self._causes[next(iter(self._causes))]
        return context

    def _emit(
        self, name: str, context: TraceContext, parent_id: str, start_ns: int, end_ns: int,
        followed: Mapping[int, TraceContext], said: Mapping[str, Attribute], error: str = "",
    ) -> None:  # fmt: skip
        assert self._desk is not None, "else nothing is told"
        links = tuple(
            job_span(submitted, uid) for uid, submitted in list(followed.items())[:LINKS_MAX]
        )
        self._desk.spans.emit(
            SpanRecord(name, context, parent_id, start_ns, end_ns, said, links, error=error)
        )

    # --- calls ------------------------------------------------------------------------------------

    def called(self, run: Tracked, center: str, start_ns: int, outcome: str) -> None:
        """A center was asked to take a run of a followed job."""
        if self._desk is None or run.trace is None:
            return
        parent = run_span(run.trace, run.uid, run.attempt, "dispatch")
        span_id = span_id_of(run.trace.trace_id, "center.submit", run.run_id, start_ns)
        self._desk.spans.emit(
            SpanRecord(
                "center.submit", run.trace._replace(span_id=span_id), parent.span_id, start_ns,
                time.time_ns(),
                {
                    "corridor.job": job_id(run.uid), "corridor.run": run.run_id,
                    "corridor.center": center, "corridor.outcome": outcome,
                },
                kind=SpanKind.CLIENT, error="" if outcome == "Accepted" else outcome,
            )
        )  # fmt: skip
