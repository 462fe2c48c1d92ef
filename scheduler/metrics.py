"""Metrics for Prometheus: by city, center, flavor and state; never by enterprise or job.

One registry per service, so that several services in one process (tests) do not mix.
"""

from collections import Counter as Count
from collections.abc import Mapping, Sequence
from dataclasses import replace

import prometheus_client as prom
from prometheus_client.registry import CollectorRegistry

from scheduler import __version__
from scheduler.control.center_worker import Tracked
from scheduler.domain.states import RUN_ACTIVE, RunState
from scheduler.placement.core import WaitingCounts
from scheduler.placement.sampling import Judged
from scheduler.store import alarms, apart, figures, stops
from scheduler.store.admission import Admitted
from scheduler.store.apart import Apart
from scheduler.store.database import Database
from scheduler.store.evicting import Orders
from scheduler.store.ingest import Ingested
from scheduler.store.quota_tables import CHANGE_STATES

_WAIT_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 3 * 86_400, 7 * 86_400)
_NOTICE_BUCKETS = (1, 5, 15, 60, 120, 300, 600, 900, 1800, 3600)
_CYCLE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
#: Jobs that the planner is not told of are counted at every so many looks.
_RARELY = 5
_CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class _Maker:
    """Makes metrics with our prefix in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def gauge(self, name: str, text: str, *labels: str) -> prom.Gauge:
        return prom.Gauge(f"corridor_{name}", text, labels, registry=self._registry)

    def counter(self, name: str, text: str, *labels: str) -> prom.Counter:
        return prom.Counter(f"corridor_{name}", text, labels, registry=self._registry)

    def histogram(
        self, name: str, text: str, buckets: Sequence[float], *labels: str
    ) -> prom.Histogram:
        name = f"corridor_{name}"
        return prom.Histogram(name, text, labels, registry=self._registry, buckets=tuple(buckets))


class Metrics:
    """All metrics of one service; implements ``LoopMetrics``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._apart: list[Apart] = []
        self._looks = 0
        prom.ProcessCollector(registry=self.registry)
        make = _Maker(self.registry)
        self._of_jobs(make)
        self._of_runs(make)
        self._of_quotas(make)
        self._of_budgets(make)
        self._of_money_and_calls(make)
        self._of_service(make)

    def _of_jobs(self, make: _Maker) -> None:
        gauge, counter, histogram = make.gauge, make.counter, make.histogram
        where = ("city", "flavor")
        self._waiting = gauge("jobs_waiting", "Jobs that wait for placement.", *where)
        self._oldest = gauge(
            "jobs_waiting_oldest_seconds", "Age of the oldest waiting job.", *where
        )
        self._reasons = gauge(
            "jobs_pending_reason", "Waiting jobs by the reason they wait.", *where, "reason"
        )
        self.submitted = counter("jobs_submitted_total", "Jobs accepted for queueing.", "city")
        self._ended = counter(
            "jobs_ended_total", "Jobs that ended after a run.", "city", "center", "state"
        )
        self._reasons_oldest = gauge(
            "jobs_pending_reason_oldest_seconds", "Age of the oldest by reason.", *where, "reason"
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

    def _of_runs(self, make: _Maker) -> None:
        gauge, counter, histogram = make.gauge, make.counter, make.histogram
        where = ("city", "flavor")
        self._runs = gauge("runs", "Active runs.", "center", "state")
        self._unknown = gauge(
            "runs_unknown_oldest_seconds", "Age of the oldest run in UNKNOWN.", "center"
        )
        self._failures = counter(
            "run_failures_total", "Runs that ended badly.", "center", "failure"
        )
        self._orders = counter(
            "evictions_total", "Runs ordered to end by the platform.", *where, "cause"
        )
        self._ended_by_order = histogram(
            "eviction_seconds", "From the notice to the end of a run that the platform ended.",
            _NOTICE_BUCKETS, "flavor", "cause",
        )  # fmt: skip

    def _of_quotas(self, make: _Maker) -> None:
        gauge = make.gauge
        where = ("city", "flavor")
        self._nominal = gauge("quota_nominal_units", "Nominal instant quota.", *where)
        self._used = gauge("quota_used_units", "Units held under a city's quota.", *where)
        self._borrowed = gauge("quota_borrowed_units", "Units held above nominal.", *where)
        self._guaranteed = gauge("quota_guaranteed_units", "Units no other city may hold.", *where)
        self._lent = gauge("quota_lent_units", "Nominal units that others hold.", *where)
        self._stops = gauge(
            "quota_stops", "Cities and enterprises on hold or draining.", "kind", "state"
        )
        self._changes = gauge(
            "quota_changes", "Changes of quotas ordered for later, by what became of them.", "state"
        )
        self._capacity = gauge("pool_capacity_units", "Units a center grants.", "flavor")
        self._effective = gauge(
            "pool_effective_units", "Units granted, or reported if less.", "flavor"
        )
        self._overcommitted = gauge(
            "pool_overcommitted_units", "Units promised that the center has not got.", "flavor"
        )
        self._pool_used = gauge("pool_used_units", "Units held by runs.", "flavor")

    def _of_budgets(self, make: _Maker) -> None:
        gauge, where = make.gauge, ("city", "flavor")
        self._allotted = gauge("budget_allotted_unit_seconds", "Allotted this period.", *where)
        self._budget_held = gauge("budget_held_unit_seconds", "Held for runs.", *where)
        self._settled = gauge("budget_settled_unit_seconds", "Used by runs that ended.", *where)
        self._free = gauge("budget_free_unit_seconds", "Neither held nor used.", *where)
        self._debt = gauge(
            "budget_debt_unit_seconds", "Owed by a city and its enterprises.", *where
        )
        self._overrun = gauge(
            "budget_overrun_unit_seconds", "Ever run by centers beyond holds.", "flavor"
        )

    def _of_money_and_calls(self, make: _Maker) -> None:
        gauge, counter, histogram = make.gauge, make.counter, make.histogram
        fund = ("city", "programme")
        self._available = gauge("fund_available_fen", "Fund money neither held nor spent.", *fund)
        self._held = gauge("fund_held_fen", "Fund money held for runs.", *fund)
        self._posted = gauge("fund_posted_fen", "Fund money spent.", *fund)
        self._alerted = gauge(
            "fund_alert_percent", "Highest percent told of a fund: 50, 80, 100; 0 for none.", *fund
        )
        self._holds = gauge("holds", "Runs whose money is held, by their state.", "state")
        self._hold_oldest = gauge(
            "hold_oldest_seconds", "Age of the oldest hold of runs in a state.", "state"
        )
        self._differ = gauge(
            "recon_differences", "Open differences with a center's own records.", "center", "kind"
        )
        self._calls = counter("adapter_calls_total", "Calls to centers.", "center", "method")
        self._errors = counter(
            "adapter_errors_total", "Failed calls to centers.", "center", "method", "error"
        )
        self._call_seconds = histogram(
            "adapter_call_seconds", "Time of calls to centers.", _CALL_BUCKETS, "center", "method"
        )
        self._reachable = gauge("center_reachable", "1 if the center answers.", "center")
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

    def _of_service(self, make: _Maker) -> None:
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
        """Whether this process leads, and its fencing epoch."""
        self._leader.set(int(leads))
        self._epoch.set(epoch)

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
        """A center was lost or came back."""
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
        if counts is not None:
            if self._looks % _RARELY == 0:
                self._apart = await db.read(apart.read)
            self._looks += 1
            self._queues(_with(counts, self._apart), now_ms)
        for center, runs in active.items():
            states = Count(run.state for run in runs)
            for state in RUN_ACTIVE:
                self._runs.labels(center, state).set(states[state])
            unknown = [run.sent_ms for run in runs if run.state is RunState.UNKNOWN]
            age_s = (now_ms - min(unknown)) / 1000 if unknown else 0
            self._unknown.labels(center).set(age_s)
        read = await db.read(figures.read)
        self._quotas(read)
        self._budgets(await db.read(lambda connection: figures.read_budgets(connection, now_ms)))
        for city, programme, available, held, posted in read.funds:
            self._available.labels(city, programme).set(available)
            self._held.labels(city, programme).set(held)
            self._posted.labels(city, programme).set(posted)
            self._alerted.labels(city, programme).set(read.alerts.get((city, programme), 0))
        self._differ.clear()
        for (center, kind), count in read.differences.items():
            self._differ.labels(center, kind).set(count)
        self._ages(await db.read(alarms.ages), now_ms)

    def _ages(self, read: Sequence[alarms.Aged], now_ms: int) -> None:
        """States without a hold show 0, so that an alarm on the age ends."""
        found = {one.state: one for one in read}
        for state in (*RUN_ACTIVE, "ENDED"):
            one = found.get(state)
            self._holds.labels(state).set(0 if one is None else one.runs)
            age_ms = 0 if one is None else max(0, now_ms - one.oldest_ms)
            self._hold_oldest.labels(state).set(age_ms / 1000)

    def _budgets(self, read: figures.BudgetFigures) -> None:
        """Cities without a limit show what is held and used alone."""
        for gauge in (self._allotted, self._budget_held, self._settled, self._free, self._debt):
            gauge.clear()
        for city, flavor, allotted, held, settled, free in read.budgets:
            self._budget_held.labels(city, flavor).set(held)
            self._settled.labels(city, flavor).set(settled)
            if allotted is not None and free is not None:
                self._allotted.labels(city, flavor).set(allotted)
                self._free.labels(city, flavor).set(free)
        for city, flavor, owed in read.debts:
            self._debt.labels(city, flavor).set(owed)
        for flavor, over in read.overruns:
            self._overrun.labels(flavor).set(over)

    def _quotas(self, read: figures.Figures) -> None:
        for row in read.quotas:
            where = row.city, row.flavor
            self._nominal.labels(*where).set(row.nominal_units)
            self._used.labels(*where).set(row.used_units)
            self._borrowed.labels(*where).set(row.borrowed_units)
            self._guaranteed.labels(*where).set(row.guaranteed_units)
            self._lent.labels(*where).set(row.lent_units)
        for pool, used in read.pools:
            self._capacity.labels(pool.flavor).set(pool.granted_units)
            self._effective.labels(pool.flavor).set(pool.effective_units)
            self._overcommitted.labels(pool.flavor).set(pool.overcommitted_units)
            self._pool_used.labels(pool.flavor).set(used)
        for kind in ("cities", "enterprises"):
            for state in (stops.HOLD, stops.DRAIN):
                self._stops.labels(kind, state).set(read.stops.get((kind, state), 0))
        for state in CHANGE_STATES:
            self._changes.labels(state).set(read.changes.get(state, 0))

    def _queues(self, counts: WaitingCounts, now_ms: int) -> None:
        self._waiting.clear()
        self._oldest.clear()
        self._reasons.clear()
        for (city, flavor), count in counts.jobs.items():
            self._waiting.labels(city, flavor).set(count)
            age_s = max(0, now_ms - counts.oldest_ms[city, flavor]) / 1000
            self._oldest.labels(city, flavor).set(age_s)
        for (city, flavor, reason), count in counts.reasons.items():
            self._reasons.labels(city, flavor, reason).set(count)
        self._reasons_oldest.clear()
        for (city, flavor, reason), queued_ms in counts.reasons_oldest_ms.items():
            age_s = max(0, now_ms - queued_ms) / 1000
            self._reasons_oldest.labels(city, flavor, reason).set(age_s)

    # --- other callers ----------------------------------------------------------------------------

    def adapter_call(self, center: str, method: str, error: str, seconds: float) -> None:
        """One call to a center; ``error`` is the error's class, empty for none."""
        self._calls.labels(center, method).inc()
        self._call_seconds.labels(center, method).observe(seconds)
        if error:
            self._errors.labels(center, method, error).inc()

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

    def rpc(self, method: str, code: str, seconds: float) -> None:
        """One API call."""
        self._rpcs.labels(method, code).inc()
        self._rpc_seconds.labels(method).observe(seconds)


def _with(counts: WaitingCounts, others: Sequence[Apart]) -> WaitingCounts:
    """Counts of reasons with those of jobs that the planner is not told of."""
    reasons, oldest = dict(counts.reasons), dict(counts.reasons_oldest_ms)
    for city, flavor, reason, jobs, oldest_ms in others:
        key = city, flavor, str(reason)
        reasons[key] = reasons.get(key, 0) + jobs
        oldest[key] = min(oldest.get(key, oldest_ms), oldest_ms)
    return replace(counts, reasons=reasons, reasons_oldest_ms=oldest)
