"""What the leader reads from the store and the planner, as gauges: queues, quotas, money, runs."""

from collections import Counter as Count
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import prometheus_client as prom

from scheduler.control.center_worker import Tracked
from scheduler.domain.states import RUN_ACTIVE, RunState
from scheduler.metrics_making import Maker
from scheduler.placement.core import WaitingCounts
from scheduler.store import alarms, apart, book_figures, figures, stops
from scheduler.store.apart import Apart
from scheduler.store.database import Database
from scheduler.store.quota_tables import CHANGE_STATES

#: Jobs that the planner is not told of, and the books, are looked at at every so many looks.
_RARELY: Final = 5


class StoreFigures:
    """Gauges of one look after another. Only who leads looks; ``clear`` ends what was shown."""

    def __init__(self, make: Maker) -> None:
        self._apart: list[Apart] = []
        self._looks = self._looks_at_books = 0
        self._of_queues(make)
        self._of_quotas(make)
        self._of_budgets(make)
        self._of_money(make)

    def _of_queues(self, make: Maker) -> None:
        gauge, where = make.gauge, ("city", "flavor")
        self._waiting = gauge("jobs_waiting", "Jobs that wait for placement.", *where)
        self._oldest = gauge(
            "jobs_waiting_oldest_seconds", "Age of the oldest waiting job.", *where
        )
        self._reasons = gauge(
            "jobs_pending_reason", "Waiting jobs by the reason they wait.", *where, "reason"
        )
        self._reasons_oldest = gauge(
            "jobs_pending_reason_oldest_seconds", "Age of the oldest by reason.", *where, "reason"
        )
        self._runs = gauge("runs", "Active runs.", "center", "state")
        self._unknown = gauge(
            "runs_unknown_oldest_seconds", "Age of the oldest run in UNKNOWN.", "center"
        )

    def _of_quotas(self, make: Maker) -> None:
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

    def _of_budgets(self, make: Maker) -> None:
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

    def _of_money(self, make: Maker) -> None:
        gauge, fund = make.gauge, ("city", "programme")
        self._available = gauge("fund_available_fen", "Fund money neither held nor spent.", *fund)
        self._held = gauge("fund_held_fen", "Fund money held for runs.", *fund)
        self._posted = gauge("fund_posted_fen", "Fund money spent.", *fund)
        self._alerted = gauge(
            "fund_alert_percent", "Highest percent told of a fund: 50, 80, 100; 0 for none.", *fund
        )
        self._holds = gauge("holds", "Runs whose money is held, by their state.", "state")
        self._hold_oldest = gauge(
            "hold_oldest_seconds",
            "Age of the oldest hold of runs in a state; ENDED: since the end of its run.",
            "state",
        )
        self._digest_due = gauge(
            "ledger_digest_due_seconds", "For how long a day's digest has not been signed."
        )
        self._corrections = gauge("charge_corrections", "Charges ever changed, by kind.", "kind")
        self._events_oldest = gauge(
            "events_oldest_seconds", "Age of the oldest event that is kept."
        )
        self._undelivered = gauge("alerts_undelivered", "Alerts on money that nobody took yet.")
        self._undelivered_oldest = gauge(
            "alerts_undelivered_oldest_seconds", "Age of the oldest of them."
        )
        self._differ = gauge(
            "recon_differences", "Open differences with a center's own records.", "center", "kind"
        )

    def clear(self) -> None:
        """Show nothing: another process leads, and shows how things stand now."""
        for gauge in vars(self).values():
            if isinstance(gauge, prom.Gauge):
                gauge.clear()
        self._show_books(book_figures.NOTHING)
        self._looks = self._looks_at_books = 0

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
        if self._looks_at_books % _RARELY == 0:
            read_books = await db.read(lambda connection: book_figures.read(connection, now_ms))
            self._show_books(read_books)
        self._looks_at_books += 1

    def _show_books(self, read: book_figures.BookFigures) -> None:
        self._digest_due.set(read.digest_due_ms / 1000)
        self._events_oldest.set(read.events_oldest_ms / 1000)
        self._undelivered.set(read.undelivered)
        self._undelivered_oldest.set(read.undelivered_oldest_ms / 1000)
        for kind, count in read.corrections.items():
            self._corrections.labels(kind).set(count)

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


def _with(counts: WaitingCounts, others: Sequence[Apart]) -> WaitingCounts:
    """Counts of reasons with those of jobs that the planner is not told of."""
    reasons, oldest = dict(counts.reasons), dict(counts.reasons_oldest_ms)
    for city, flavor, reason, jobs, oldest_ms in others:
        key = city, flavor, str(reason)
        reasons[key] = reasons.get(key, 0) + jobs
        oldest[key] = min(oldest.get(key, oldest_ms), oldest_ms)
    return replace(counts, reasons=reasons, reasons_oldest_ms=oldest)
