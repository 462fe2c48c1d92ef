"""The independent auditor of a story: after each step it reads the store and the centers' own truth
and says what must not be so.

It shares no code with what it audits: sums are made here, prices and rates are those of the world,
use is what the centers really did.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.contract import ACTIVE_PHASES
from adapters.simulated import SimulatedCenter
from scheduler.domain.ids import parse_run_id
from scheduler.domain.retries import retries_of
from scheduler.placement.model import Plan
from scheduler.store import funds
from tests.simulation.world import PRICES, World

_UNBILLED = {"NODE", "CENTER", "PREEMPTED", "LOST", "REJECTED_BY_CENTER"}
#: Between a center's word that a run waits and its cancellation there (7 s) it may have begun.
_JUST_BEGUN_MS = 30_000
_FINAL_JOBS = {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "REJECTED"}
_FINAL_RUNS = {"SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST"}
_AFTER = {
    "QUEUED": {"ADMITTED", "HELD", "CANCELLED", "EXPIRED", "REJECTED"},
    "HELD": {"QUEUED", "CANCELLED", "EXPIRED"},
    "ADMITTED": {"RUNNING", "QUEUED", "HELD", "SUCCEEDED", "FAILED", "CANCELLED"},
    "RUNNING": {"QUEUED", "SUCCEEDED", "FAILED", "CANCELLED"},
}
#: An array stands as those of its elements do that were not started, and has no runs of its own.
_ARRAY_AFTER = {
    "QUEUED": {"HELD", "RUNNING", "CANCELLED", "EXPIRED"},
    "HELD": {"QUEUED", "RUNNING", "CANCELLED", "EXPIRED"},
    "RUNNING": {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"},
}


@dataclass
class Auditor:
    """Keeps what it saw before, to see that nothing final changes."""

    world: World
    centers: Mapping[str, SimulatedCenter]
    acknowledged: set[int] = field(default_factory=set)
    evictions_planned: int = 0
    _final_jobs: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    _final_runs: dict[tuple[int, int], tuple[Any, ...]] = field(default_factory=dict)
    _last_seq: int = 0
    _states: dict[int, str] = field(default_factory=dict)
    _above: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Raise AssertionError for the first thing that is wrong."""
        self._jobs_and_runs()
        self._relations()
        self._feed()
        self._quota()
        self._accounts()
        self._caps()
        self._charges()
        self._natives()
        self._endings()

    # --- jobs, runs, events -----------------------------------------------------------------------

    def _jobs_and_runs(self) -> None:
        """Invariants 1, 3 and 4."""
        rows = self.world.db.rows
        jobs = {row[0]: row[1:] for row in rows("SELECT uid, state, end_ms, settled FROM job")}
        assert self.acknowledged <= set(jobs), "an acknowledged job is lost"
        for uid, before in self._final_jobs.items():
            now = jobs[uid]
            assert now[:2] == before[:2], f"job {uid} was {before} and is {now}"
            assert now[2] >= before[2], f"job {uid} was settled and is no more"
        self._final_jobs = {uid: job for uid, job in jobs.items() if job[0] in _FINAL_JOBS}
        runs = {
            (row[0], row[1]): row[2:]
            for row in rows(
                "SELECT job_uid, attempt, state, end_ms, failure_class, settled_ms FROM run"
            )
        }
        for key, before in self._final_runs.items():
            assert runs[key][:3] == before[:3], f"run {key} was {before} and is {runs[key]}"
            assert before[3] in (None, runs[key][3]), f"run {key} was settled twice"
        self._final_runs = {key: run for key, run in runs.items() if run[0] in _FINAL_RUNS}
        again = rows("SELECT uid FROM job WHERE cancel_requested AND state = 'QUEUED'")
        assert not again, f"jobs {again} are queued again though they are to be cancelled"
        active = Counter(key[0] for key, run in runs.items() if run[0] not in _FINAL_RUNS)
        assert all(count == 1 for count in active.values()), "a job has two active runs"
        arrays = {uid for (uid,) in rows("SELECT array_uid FROM job_array")}
        for uid, (state, _, settled) in jobs.items():
            if uid in arrays:
                assert bool(settled) == (state in _FINAL_JOBS), f"array {uid}: settled"
                continue
            expected = state in ("ADMITTED", "RUNNING")
            assert (uid in active) == expected, f"job {uid} is {state}, active runs {active[uid]}"
            open_runs = [key for key, run in runs.items() if key[0] == uid and run[3] is None]
            assert bool(settled) == (state in _FINAL_JOBS and not open_runs), f"job {uid}: settled"

    def _relations(self) -> None:
        """What waits for others has no run before they have ended; arrays keep to their limits."""
        rows = self.world.db.rows
        early = rows(
            "SELECT d.job_uid, o.uid, o.state FROM job_dependency d JOIN job o ON o.uid = d.on_uid"
            " JOIN job j ON coalesce(j.array_uid, j.uid) = d.job_uid WHERE j.attempt > 0"
            " AND (o.state IN ('QUEUED', 'HELD', 'ADMITTED', 'RUNNING')"
            " OR (d.condition = 'AFTER_SUCCESS' AND o.state <> 'SUCCEEDED'))"
        )
        assert not early, f"{early} began too soon"
        crowded = rows(
            "SELECT a.array_uid FROM job_array a JOIN job j ON j.array_uid = a.array_uid"
            " AND j.uid <> a.array_uid WHERE j.state IN ('ADMITTED', 'RUNNING')"
            " GROUP BY a.array_uid, a.concurrency_max HAVING count(*) > a.concurrency_max"
        )
        assert not crowded, f"arrays {crowded} run more elements than they may"

    def _feed(self) -> None:
        """Invariant 8: no hole, and each job's states follow one another as they may."""
        arrays = {uid for (uid,) in self.world.db.rows("SELECT array_uid FROM job_array")}
        for seq, uid, kind, state in self.world.db.rows(
            f"SELECT seq, job_uid, kind, state FROM event WHERE seq > {self._last_seq} ORDER BY seq"
        ):
            assert seq == self._last_seq + 1, f"the feed goes from {self._last_seq} to {seq}"
            self._last_seq = seq
            if not uid:
                continue
            before = self._states.get(uid, state)
            after = _ARRAY_AFTER if uid in arrays else _AFTER
            assert state == before or state in after.get(before, set()), (
                f"event {seq} {kind}: job {uid} goes from {before} to {state}"
            )
            self._states[uid] = state
        stored = dict(self.world.db.rows("SELECT uid, state FROM job"))
        assert {uid: stored[uid] for uid in self._states} == self._states, "the feed tells else"

    # --- quota ------------------------------------------------------------------------------------

    def _quota(self) -> None:
        """Invariant 6 for units: use is that of active runs; no limit is newly passed."""
        rows = self.world.db.rows
        cities: Counter[tuple[str, str]] = Counter()
        enterprises: Counter[tuple[str, str]] = Counter()
        for city, enterprise, flavor, units, state in rows(
            "SELECT city, enterprise, flavor, units, state FROM run"
        ):
            if state not in _FINAL_RUNS:
                cities[city, flavor] += units
                enterprises[enterprise, flavor] += units
        capacity = {
            flavor: granted if reported is None else min(granted, reported)
            for flavor, granted, reported in rows(
                "SELECT f.code, f.capacity_units, r.units FROM flavor f"
                " LEFT JOIN pool_report r ON r.flavor = f.code"
            )
        }
        limits: dict[str, int] = {}
        held: dict[str, int] = defaultdict(int)
        committed: dict[str, int] = defaultdict(int)
        nominals: dict[str, int] = defaultdict(int)
        for city, flavor, nominal, borrow, lend, used in rows(
            "SELECT city, flavor, nominal_units, borrow_limit_units, lend_limit_units, used_units"
            " FROM city_quota"
        ):
            assert used == cities[city, flavor], f"{city} {flavor}: {used} units in use"
            guarantee = 0 if lend is None else nominal - lend
            held[flavor] += used
            committed[flavor] += max(used, guarantee)
            nominals[flavor] += nominal
            if borrow is not None:
                limits[f"A1 {city} {flavor}"] = used - nominal - borrow
        for enterprise, flavor, cap, used in rows(
            "SELECT enterprise, flavor, cap_units, used_units FROM enterprise_quota"
        ):
            assert used == enterprises[enterprise, flavor], f"{enterprise} {flavor}: {used} units"
            if cap is not None:
                limits[f"A3 {enterprise} {flavor}"] = used - cap
        for flavor, units in capacity.items():
            limits[f"A2 {flavor}"] = committed[flavor] - max(units, nominals[flavor])
            limits[f"A5 {flavor}"] = held[flavor] - units
        for name, above in limits.items():
            assert above <= max(0, self._above.get(name, above)), f"{name}: {above} above"
        self._above = limits

    def limits_changed(self) -> None:
        """A limit was set by somebody: what is above it by now is no admission's doing."""
        self._above = {}

    # --- evictions --------------------------------------------------------------------------------

    def planned(self, plan: Plan, revision: int) -> None:
        """The planner planned evictions: a city that borrows gives way to one within its nominal.

        That the one who gets the units does not borrow is what keeps cities from taking turns. A
        planner that was not told everything yet is not judged.
        """
        rows = self.world.db.rows
        [(head,)] = rows("SELECT coalesce(max(seq), 0) FROM event")
        if not plan.evictions or revision != head:
            return
        starting: Counter[tuple[str, str]] = Counter()
        for start in plan.starts:
            starting[start.city, start.option.flavor] += start.option.units
        self.evictions_planned += len(plan.evictions)
        for one in plan.evictions:
            if any(start.uid == one.uid for start in plan.starts):
                continue  # where runs may be evicted at once; it is refused, for nothing runs yet
            [(city, flavor, state)] = rows(
                "SELECT r.city, r.flavor, r.state FROM run r JOIN job j ON j.uid = r.job_uid"
                f" AND j.attempt = r.attempt WHERE r.job_uid = {one.uid}"
            )
            [(whose, options)] = rows(
                "SELECT j.city, j.options FROM job j LEFT JOIN job_array a ON a.array_uid = j.uid"
                f" WHERE j.uid = {one.for_uid} OR {one.for_uid} BETWEEN j.uid AND j.uid + a.size"
                " ORDER BY j.uid DESC LIMIT 1"
            )
            assert state not in _FINAL_RUNS, f"{one.uid} is {state}"
            assert flavor == one.flavor
            assert city != whose, f"{city} evicts its own for {one.for_uid}"
            quota = {
                owner: (used, nominal)
                for owner, used, nominal in rows(
                    "SELECT city, used_units, nominal_units FROM city_quota"
                    f" WHERE flavor = '{flavor}'"
                )
            }
            used, nominal = quota[city]
            used += starting[city, flavor]
            assert used > nominal, f"{city} gives way on {flavor} though it borrows nothing"
            used, nominal = quota[whose]
            least = min(option[1] for option in json.loads(options) if option[0] == flavor)
            assert used + least <= nominal, f"{whose} would borrow what it reclaims"

    def _endings(self) -> None:
        """Whom the platform ended was told, had its grace, pays nothing and lost no attempt."""
        rows = self.world.db.rows
        natives = {
            parse_run_id(run_id): run
            for one in self.centers.values()
            for run_id, run in one._cluster.by_run_id.items()
        }
        gave_way: Counter[int] = Counter()
        free: Counter[int] = Counter()
        for uid, attempt, state, cause, grace_ms, failure, posted, wish in rows(
            "SELECT r.job_uid, r.attempt, r.state, r.evict_cause, r.evict_grace_ms,"
            " r.failure_class, h.posted_fen, j.cancel_requested FROM run r JOIN job j"
            " ON j.uid = r.job_uid JOIN hold h ON h.job_uid = r.job_uid AND h.attempt = r.attempt"
            " AND h.rev = 0"
            " WHERE r.evict_cause IS NOT NULL"
        ):
            if state == "PREEMPTED" and cause not in ("START_TIMEOUT", "UNPAID"):
                gave_way[uid] += cause == "RECLAIM"
                free[uid] += 1
                assert failure == "PREEMPTED"
                assert posted == 0, f"run {uid}.{attempt} was evicted and is billed"
            native = natives.get((uid, attempt))
            if native is None or wish or native.phase.value != "CANCELLED":
                continue
            began_ms, ended_ms, told_ms = native.start_ms, native.end_ms, native.notice_ms
            if began_ms is None or ended_ms is None or ended_ms - began_ms < _JUST_BEGUN_MS:
                continue  # it waited when its center was asked to end it
            assert cause != "START_TIMEOUT", f"run {uid}.{attempt} ran and was ended as late"
            assert told_ms is not None, f"run {uid}.{attempt} was ended without a word"
            assert ended_ms - told_ms >= grace_ms, f"run {uid}.{attempt} had no grace"
        for uid, evictions, attempt, attempts_free, attempts_max, retry_on, failures in rows(
            "SELECT uid, evictions, attempt, attempts_free, attempts_max, retry_on, failures"
            " FROM job"
        ):
            assert evictions == gave_way[uid] <= 2, f"job {uid} was evicted {evictions} times"
            assert free[uid] <= attempts_free <= attempt
            assert attempt - attempts_free <= attempts_max, f"job {uid} had too many attempts"
            limits = retries_of(retry_on)
            for failure, count in retries_of(failures).items():
                most = limits.get(failure, 0)
                assert most is None or (count or 0) <= most, f"job {uid}: {failures}"

    # --- money ------------------------------------------------------------------------------------

    def _accounts(self) -> None:
        """Invariants 6 and 7: balances are sums of legs and payments, and never overdrawn."""
        rows = self.world.db.rows
        debits: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        credits: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for debit, credit, amount, posted, state in rows(
            "SELECT l.debit_account, l.credit_account, l.amount_fen, l.posted_fen, h.state"
            " FROM hold_leg l JOIN hold h ON h.job_uid = l.job_uid AND h.attempt = l.attempt"
            " AND h.rev = l.rev"
        ):
            assert 0 <= posted <= amount
            pending = amount if state == "HELD" else 0
            for side, account in ((debits, debit), (credits, credit)):
                side[account][0] += pending
                side[account][1] += posted
        for debit, credit, amount in rows(
            "SELECT debit_account, credit_account, amount_fen FROM transfer WHERE kind = 'DIRECT'"
        ):
            debits[debit][1] += amount
            credits[credit][1] += amount
        for account, limited, credit, dp, dd, cp, cc in rows(
            "SELECT account_id, limited, credit_limit_fen, debits_pending, debits_posted,"
            " credits_pending, credits_posted FROM account"
        ):
            assert [dp, dd] == debits[account], f"{account}: debits {dp} {dd}"
            assert [cp, cc] == credits[account], f"{account}: credits {cp} {cc}"
            assert not limited or dp + dd <= cc + credit, f"{account} is overdrawn"

    def _caps(self) -> None:
        """I5: counters of years are sums of subsidies, within their limits."""
        rows = self.world.db.rows
        sums: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0])
        for programme, enterprise, year, amount, posted, state in rows(
            "SELECT l.programme, r.enterprise, l.cap_year, l.amount_fen, l.posted_fen, h.state"
            " FROM hold_leg l JOIN hold h ON h.job_uid = l.job_uid AND h.attempt = l.attempt"
            " AND h.rev = l.rev"
            " JOIN run r ON r.job_uid = l.job_uid AND r.attempt = l.attempt"
            " WHERE l.programme IS NOT NULL"
        ):
            sums[programme, enterprise, year][0] += amount if state == "HELD" else 0
            sums[programme, enterprise, year][1] += posted
        for programme, enterprise, year, pending, posted, limit in rows(
            "SELECT programme, enterprise, year, pending_fen, posted_fen, limit_fen"
            " FROM cap_counter"
        ):
            assert [pending, posted] == sums[programme, enterprise, year]
            assert limit is None or pending + posted <= limit

    def _charges(self) -> None:
        """Invariant 7: each run is charged once, for what its center really did, if at all."""
        natives = {
            parse_run_id(run_id): (center, run)
            for center, one in self.centers.items()
            for run_id, run in one._cluster.by_run_id.items()
        }
        charged: Counter[int] = Counter()
        for (
            uid,
            attempt,
            flavor,
            failure,
            settled,
            posted,
            hold,
            wall_s,
            units,
        ) in self.world.db.rows(
            "SELECT r.job_uid, r.attempt, r.flavor, r.failure_class, r.settled_ms,"
            " (SELECT sum(x.posted_fen) FROM hold x WHERE x.job_uid = r.job_uid"
            " AND x.attempt = r.attempt), h.state, r.wall_limit_s, r.units FROM run r JOIN hold h"
            " ON h.job_uid = r.job_uid AND h.attempt = r.attempt AND h.rev = 0"
        ):
            assert (settled is None) == (hold == "HELD"), f"run {uid}.{attempt}: hold is {hold}"
            charged[uid] += posted
            if settled is None:
                assert posted == 0
                continue
            due = 0
            if failure not in _UNBILLED and (uid, attempt) in natives:
                native = natives[uid, attempt][1]
                # One that its center took and lost all trace of may look as if never taken.
                lost = native.vanished
                if native.start_ms is not None and native.end_ms is not None and not lost:
                    seconds = (native.end_ms - native.start_ms) // 1000
                    due = (units * seconds * PRICES[flavor] * 2 + 1_000_000) // 2_000_000
                    assert seconds <= wall_s
            assert posted == due, f"run {uid}.{attempt} was charged {posted} fen, not {due}"
        for uid, gross, subsidy, self_pay in self.world.db.rows(
            "SELECT uid, gross_fen, subsidy_fen, self_pay_fen FROM job"
        ):
            assert gross == charged[uid] == subsidy + self_pay, f"job {uid} shows {gross} fen"

    # --- centers ----------------------------------------------------------------------------------

    def _natives(self) -> None:
        """Invariants 3 and 5: one native run a run, one active native run a job, all known."""
        active: Counter[int] = Counter()
        states = {
            (uid, attempt): (center, state)
            for uid, attempt, center, state in self.world.db.rows(
                "SELECT job_uid, attempt, center, state FROM run"
            )
        }
        for center, one in self.centers.items():
            for run_id, run in one._cluster.by_run_id.items():
                key = parse_run_id(run_id)
                assert key in states, f"{center} runs {run_id}, which the store never knew"
                where, state = states[key]
                assert where == center, f"{run_id} is at {center}, not at {where}"
                if run.phase in ACTIVE_PHASES:
                    active[key[0]] += 1
                    assert state not in _FINAL_RUNS, f"{center} runs {run_id}, which is {state}"
        assert all(count == 1 for count in active.values()), "a job runs twice"

    def verify(self) -> None:
        """The service's own verification finds nothing."""
        found = self.world.db.read_sync(funds.verify)
        assert found.ok, found.problems[:5]

    def check_end(self) -> None:
        """When all has come to rest: every job has ended, nothing is held."""
        self.check()
        self.verify()
        rows = self.world.db.rows
        waiting = rows(
            "SELECT uid, state, enterprise, options FROM job WHERE state NOT IN"
            " ('SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED', 'REJECTED')"
        )
        assert waiting == [], waiting
        assert rows("SELECT count(*) FROM job WHERE NOT settled") == [(0,)]
        assert rows("SELECT count(*) FROM run WHERE settled_ms IS NULL") == [(0,)]
        assert rows("SELECT count(*) FROM hold WHERE state = 'HELD'") == [(0,)]
        assert rows("SELECT coalesce(sum(used_units), 0) FROM city_quota") == [(0,)]
        assert rows("SELECT sum(debits_pending), sum(credits_pending) FROM account") == [(0, 0)]
