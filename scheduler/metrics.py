"""Metrics for Prometheus: by city, center, flavor and state; never by enterprise or job.

One registry per service, so that several services in one process (tests) do not mix.
"""

from collections import Counter as Count
from collections.abc import Mapping, Sequence

import prometheus_client as prom
from prometheus_client.registry import CollectorRegistry

from scheduler import __version__
from scheduler.control.center_worker import Tracked
from scheduler.metrics_figures import StoreFigures
from scheduler.metrics_health import HealthGauges
from scheduler.metrics_lease import LeaseGauges
from scheduler.metrics_making import Maker
from scheduler.metrics_retention import RetentionFigures
from scheduler.metrics_security import SecurityCounters
from scheduler.metrics_tracing import TracingCounters
from scheduler.placement.core import WaitingCounts
from scheduler.placement.sampling import Judged
from scheduler.store.admission import Admitted
from scheduler.store.database import Database
from scheduler.store.evicting import Orders
from scheduler.store.ingest import Ingested

_WAIT_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 3 * 86_400, 7 * 86_400)
_NOTICE_BUCKETS = (1, 5, 15, 60, 120, 300, 600, 900, 1800, 3600)
_CYCLE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics of one service; implements ``LoopMetrics``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prom.ProcessCollector(registry=self.registry)
        make = Maker(self.registry)
        self._of_jobs(make)
        self._of_runs(make)
        self._of_calls(make)
        self._of_service(make)
        self.figures = StoreFigures(make)
        self.retention = RetentionFigures(make)
        self.retention_begins, self.let_go = self.retention.begins, self.retention.let_go
        self.retention_looked = self.retention.looked
        self.health = HealthGauges(make)
        self.security = SecurityCounters(make)
        self.tracing = TracingCounters(make)
        self.lead = LeaseGauges(make, self.leader)

    def _of_jobs(self, make: Maker) -> None:
        counter, histogram = make.counter, make.histogram
        where = ("city", "flavor")
        self._submitted = counter("jobs_submitted_total", "Jobs accepted for queueing.", "city")
        self._ended = counter(
            "jobs_ended_total", "Jobs that ended after a run.", "city", "center", "state"
        )
        self._estimates = histogram(
            "start_estimate_error_seconds",
            "How far off the estimates of starts were.", _WAIT_BUCKETS, *where, "direction",
        )  # fmt: skip
        self._waits = histogram(
            "job_wait_seconds", "Wait from submission to the first start.", _WAIT_BUCKETS, *where
        )
        self._cycle = histogram(
            "planning_cycle_seconds", "Time of one planning cycle.", _CYCLE_BUCKETS, "backend"
        )
        self._candidates = counter("planning_candidates_total", "Candidates weighed in planning.")
        self._placements = counter("placements_total", "Runs admitted.", *where)
        self._refused = counter(
            "admissions_refused_total", "Planned starts that lost a guard.", *where, "reason"
        )

    def _of_runs(self, make: Maker) -> None:
        counter, histogram = make.counter, make.histogram
        self._settled = counter("runs_settled_total", "Runs that were charged, or found free.")
        self._failures = counter(
            "run_failures_total", "Runs that ended badly.", "center", "failure"
        )
        self._orders = counter(
            "evictions_total",
            "Runs ordered to end by the platform.",
            "city",
            "flavor",
            "cause",
        )
        self._ended_by_order = histogram(
            "eviction_seconds", "From the notice to the end of a run that the platform ended.",
            _NOTICE_BUCKETS, "flavor", "cause",
        )  # fmt: skip

    def _of_calls(self, make: Maker) -> None:
        gauge, counter, histogram = make.gauge, make.counter, make.histogram
        self._calls = counter("adapter_calls_total", "Calls to centers.", "center", "method")
        self._errors = counter(
            "adapter_errors_total", "Failed calls to centers.", "center", "method", "error"
        )
        self._call_seconds = histogram(
            "adapter_call_seconds", "Time of calls to centers.", _CALL_BUCKETS, "center", "method"
        )
        self._reachable = gauge("center_reachable", "1 if the center answers.", "center")
        self._breaker = gauge(
            "center_breaker_open", "1 while calls to the center are held back.", "center"
        )
        self._agent = gauge("agent_connected", "1 if the center's agent is connected.", "center")
        self._sessions = counter("agent_sessions_total", "Sessions of agents begun.", "center")
        self._reports = counter("agent_reports_total", "Runs that agents told of.", "center")
        self._orphans = counter(
            "orphans_total",
            "Runs at a center with our mark that the store does not know.",
            "center",
        )
        self._duplicates = counter(
            "duplicate_jobs_total", "Second native jobs of a run, ended by its adapter.", "center"
        )
        self._duplicates_told: dict[str, int] = {}
        self._forgotten = counter(
            "runs_forgotten_total", "Runs that a center took and has no record of.", "center"
        )

    def _of_service(self, make: Maker) -> None:
        gauge, counter, histogram = make.gauge, make.counter, make.histogram
        self._leader = gauge("leader", "1 if this process leads the control loop.")
        self._epoch = gauge("leader_epoch", "Fencing epoch of the control loop.")
        self._backend = gauge("planner_backend", "1 for where the planner lives.", "backend")
        self._loop_errors = counter("loop_errors_total", "Failures of the loop's tasks.")
        self._rpcs = counter("rpc_requests_total", "API calls.", "method", "code")
        self._rpc_seconds = histogram("rpc_seconds", "Time of API calls.", _CALL_BUCKETS, "method")
        gauge("build_info", "Version of this service.", "version").labels(__version__).set(1)

    # --- LoopMetrics ------------------------------------------------------------------------------

    def leader(self, leads: bool, epoch: int) -> None:
        """Whether this process leads, and its fencing epoch.

        What only a leader knows is shown no more once another leads.
        """
        self._leader.set(int(leads))
        self._epoch.set(epoch)
        if not leads:
            self.figures.clear()
            self.retention.clear()
            for gauge in (self._reachable, self._breaker, self._backend):
                gauge.clear()

    def backend(self, name: str) -> None:
        """Where the planner lives now."""
        for known in ("ray", "local"):
            self._backend.labels(known).set(int(known == name))

    def cycle(self, backend: str, seconds: float, looked_at: int, starts: int) -> None:
        """One planning cycle."""
        self._cycle.labels(backend).observe(seconds)
        self._candidates.inc(looked_at)

    def admitted(self, result: Admitted) -> None:
        """One transaction of admissions and refusals."""
        placed = Count((run.city, run.flavor) for run in result.admitted)
        for where, count in placed.items():
            self._placements.labels(*where).inc(count)
        for refusal, count in Count(result.refused).items():
            self._refused.labels(*refusal).inc(count)

    def ordered(self, orders: Orders) -> None:
        """Runs that were ordered to end."""
        for order, count in Count(orders.counted).items():
            self._orders.labels(*order).inc(count)

    def ingested(self, result: Ingested) -> None:
        """One transaction of reports."""
        self._settled.inc(result.settled)
        for city, flavor, wait_ms in result.waits:
            self._waits.labels(city, flavor).observe(wait_ms / 1000)
        for ended, count in Count(result.ended).items():
            self._ended.labels(*ended).inc(count)
        for failure, count in Count(result.failures).items():
            self._failures.labels(*failure).inc(count)
        for center, count in Count(result.forgotten).items():
            self._forgotten.labels(center).inc(count)
        for flavor, cause, passed_ms in result.evicted:
            self._ended_by_order.labels(flavor, cause).observe(passed_ms / 1000)

    def center(self, center: str, reachable: bool) -> None:
        """Whether a center answers."""
        self._reachable.labels(center).set(int(reachable))

    def orphan(self, center: str) -> None:
        """A run with our mark that the store does not know."""
        self._orphans.labels(center).inc()

    def judged(self, starts: Sequence[Judged]) -> None:
        """Jobs started whose start had been estimated."""
        for city, flavor, expected_ms, waited_ms in starts:
            late_s = (waited_ms - expected_ms) / 1000
            direction = "later" if late_s >= 0 else "earlier"
            self._estimates.labels(city, flavor, direction).observe(abs(late_s))

    def loop_error(self) -> None:
        """A task of the loop failed and is tried again."""
        self._loop_errors.inc()

    async def measure(
        self,
        db: Database,
        now_ms: int,
        counts: WaitingCounts | None,
        active: Mapping[str, Sequence[Tracked]],
    ) -> None:
        """Refresh gauges of queues, quotas, funds and runs."""
        await self.figures.measure(db, now_ms, counts, active)

    # --- other callers ----------------------------------------------------------------------------

    def accepted(self, city: str, count: int) -> None:
        """Jobs of a city were accepted for queueing."""
        self._submitted.labels(city).inc(count)

    def adapter_call(self, center: str, method: str, error: str, seconds: float) -> None:
        """One call to a center; ``error`` is the error's class, empty for none."""
        self._calls.labels(center, method).inc()
        self._call_seconds.labels(center, method).observe(seconds)
        if error:
            self._errors.labels(center, method, error).inc()

    def breaker(self, center: str, is_open: bool) -> None:
        """Whether calls to a center are held back, as it left too many without an answer."""
        self._breaker.labels(center).set(int(is_open))

    def duplicates(self, center: str, total: int) -> None:
        """How many second native jobs an adapter has ended by now."""
        more = total - self._duplicates_told.get(center, 0)
        self._duplicates.labels(center).inc(max(0, more))
        self._duplicates_told[center] = total

    def agent(self, center: str, event: str, number: int) -> None:
        """A center's agent came, went or told of runs; ``known`` names one that may come."""
        match event:
            case "connected":
                self._agent.labels(center).set(1)
                self._sessions.labels(center).inc(number)
            case "reports":
                self._reports.labels(center).inc(number)
            case _:
                self._agent.labels(center).set(0)

    def rpc(self, method: str, code: str, seconds: float, trace_id: str = "") -> None:
        """One API call; its trace, if it is recorded, is an exemplar of its time."""
        self._rpcs.labels(method, code).inc()
        told = {"trace_id": trace_id} if trace_id else None
        self._rpc_seconds.labels(method).observe(seconds, told)
