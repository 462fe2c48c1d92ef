"""The jobs of the last days as they came and ran: what a what-if is played on.

Read by a process of its own (``scheduler.control.simulation_reader``): it may scan.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median_low
from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.dependencies import Condition
from scheduler.domain.retries import retries_of
from scheduler.domain.states import JOB_TERMINAL, JobState
from scheduler.placement.model import (
    Delta,
    JobQueued,
    Option,
    PolicySettings,
    PoolSet,
    RunActive,
    StopSet,
)
from scheduler.replay.lives import CANCELLED, RETRIED, Attempt, Life, Stay
from scheduler.store import planner_feed, pricing, retention
from scheduler.store.database import bulk_read
from scheduler.whatif.answers import TooManyJobs
from scheduler.whatif.history import History, Prices

DAY_MS: Final = planner_feed.DAY_MS
#: What is settled later was known before: its center stated its use late.
_TAIL_MAX_MS: Final = 3_600_000


class _Job(NamedTuple):
    uid: int
    city: str
    enterprise: str
    priority: int
    submit_ms: int
    options: str
    not_before_ms: int
    subsidy: str
    self_pay_max_fen: int | None
    state: str
    deadline_ms: int | None
    attempts_max: int
    retry_on: str
    attempt: int
    end_ms: int | None
    user: str
    interruptible: bool
    emergency: bool
    array_uid: int | None


class _Run(NamedTuple):
    uid: int
    flavor: str
    option_index: int
    units: int
    nodes: int
    wall_ms: int
    state: str
    admit_ms: int
    start_ms: int | None
    end_ms: int | None
    failure: str | None
    evicted: bool
    settled_ms: int | None

    @property
    def tail_ms(self) -> int:
        """How long after its end that was known: until then it held its units."""
        if self.end_ms is None or self.settled_ms is None:
            return 0
        return min(max(0, self.settled_ms - self.end_ms), _TAIL_MAX_MS)

    @property
    def option(self) -> Option:
        """The option as it ran."""
        return Option(self.flavor, self.units, self.nodes, self.wall_ms, index=self.option_index)


_JOBS: Final = (
    "FROM job j WHERE j.submit_ms < {to} AND (j.end_ms IS NULL OR j.end_ms > {since})"
    " AND NOT j.pruned AND j.state <> 'REJECTED' AND (j.array_uid IS NULL OR j.array_uid <> j.uid)"
)


def read(
    connection: Connection, now_ms: int, days: int, policy: PolicySettings, jobs_max: int
) -> History:
    """Return the history of ``days`` days until ``now_ms``, from the start of a UTC day on.

    If the first job came later, or jobs that ended later were let go of, it begins there. Stops and
    cordons of today are left out: they
    say nothing about quotas. Raises ``TooManyJobs``.
    """
    since_ms = (now_ms // DAY_MS - days) * DAY_MS
    chosen = _JOBS.format(to=now_ms, since=since_ms)
    count, first_ms = connection.exec_driver_sql(
        f"SELECT count(*), min(j.submit_ms) {chosen}"
    ).one()
    if count > jobs_max:
        raise TooManyJobs(count, jobs_max)
    from_ms = max(since_ms, first_ms or since_ms, retention.kept(connection).jobs_upto_ms)
    jobs = [_Job(*row) for row in bulk_read(connection, f"SELECT {_COLUMNS} {chosen}{_ORDER}")]
    runs = _runs(connection, chosen)
    places = {job.uid: place for place, job in enumerate(jobs)}
    lives = _Lives(jobs, runs, _held(connection, chosen), from_ms, now_ms)
    after = _after(connection, jobs, places)
    settings = _settings(connection)
    usage = planner_feed.usage(connection, from_ms, policy, from_ms // DAY_MS)
    return History(
        (*settings, *usage),
        tuple(life._replace(after=after.get(place, ())) for place, life in enumerate(lives.made)),
        from_ms,
        now_ms,
        policy,
        _prices(connection, now_ms, {job.enterprise for job in jobs}, from_ms),
        tuple(_stay(places[run.uid], run, now_ms) for run in sorted(_all(runs), key=_when)),
        frozenset(lives.estimated),
    )


_COLUMNS: Final = (
    "j.uid, j.city, j.enterprise, j.priority, j.submit_ms, j.options, j.not_before_ms, j.subsidy,"
    " j.self_pay_max_fen, j.state, coalesce(j.met_deadline_ms, j.deadline_ms), j.attempts_max,"
    " j.retry_on, j.attempt, j.end_ms, j.user_name, j.interruptible, j.emergency, j.array_uid"
)
_ORDER: Final = " ORDER BY j.submit_ms, j.uid"


def _runs(connection: Connection, chosen: str) -> dict[int, list[_Run]]:
    """Runs by job, in the order of attempts."""
    found: dict[int, list[_Run]] = {}
    for uid, flavor, index, units, nodes, wall_s, *rest in bulk_read(
        connection,
        "SELECT job_uid, flavor, option_index, units, nodes, wall_limit_s, state, admit_ms,"
        " start_ms, end_ms, failure_class, evict_cause IS NOT NULL, settled_ms FROM run"
        f" WHERE job_uid IN (SELECT j.uid {chosen}) ORDER BY job_uid, attempt",
    ):
        run = _Run(uid, flavor, index, units, nodes, wall_s * 1000, *rest)
        found.setdefault(uid, []).append(run)
    return found


def _all(runs: Mapping[int, Sequence[_Run]]) -> Iterable[_Run]:
    return (run for of_job in runs.values() for run in of_job)


def _when(run: _Run) -> tuple[int, int]:
    return run.admit_ms, run.uid


def _held(connection: Connection, chosen: str) -> dict[int, list[tuple[int, int | None]]]:
    """Spans [from, to) in which jobs were held; to is None if they still are."""
    found: dict[int, list[tuple[int, int | None]]] = {}
    for uid, kind, at_ms in bulk_read(
        connection,
        "SELECT job_uid, kind, at_ms FROM event WHERE kind IN ('HELD', 'RELEASED')"
        f" AND job_uid IN (SELECT j.uid {chosen}) ORDER BY seq",
    ):
        spans = found.setdefault(uid, [])
        if kind == "HELD":
            spans.append((at_ms, None))
        elif spans and spans[-1][1] is None:
            spans[-1] = (spans[-1][0], at_ms)
    return found


class _Lives:
    """Makes lives of rows; what a run would have taken that has not ended is estimated."""

    def __init__(
        self, jobs: Sequence[_Job], runs: Mapping[int, list[_Run]],
        held: Mapping[int, list[tuple[int, int | None]]], from_ms: int, now_ms: int,
    ) -> None:  # fmt: skip
        self._from_ms, self._now_ms, self._held = from_ms, now_ms, held
        self._guess = _Guess(_all(runs))
        self.estimated: set[int] = set()
        self.made = [
            self._life(place, job, runs.get(job.uid, [])) for place, job in enumerate(jobs)
        ]

    def _life(self, place: int, job: _Job, runs: list[_Run]) -> Life:
        options = planner_feed.options_of(job.options, job.subsidy, job.self_pay_max_fen)
        tried = job.attempt > 1  # its row has the pause after the last attempt, not the user's wish
        queued = JobQueued(
            place, job.city, job.enterprise, job.priority, job.submit_ms, options,
            0 if tried else job.not_before_ms, user=job.user,
            interruptible=bool(job.interruptible), emergency=bool(job.emergency),
        )  # fmt: skip
        at_begin = [run for run in runs if run.admit_ms < self._from_ms]
        running = None
        if at_begin and (at_begin[-1].end_ms or self._now_ms) > self._from_ms:
            running = _active(queued, at_begin[-1], self._from_ms)
        left = runs[len(at_begin) - (running is not None) :]
        attempts = self._attempts(queued, left, running, job.state in JOB_TERMINAL)
        spans = self._held.get(job.uid, [])
        cancel_ms = job.end_ms if job.state == CANCELLED else None
        if job.state == "HELD" and spans and spans[-1][1] is None:
            cancel_ms = spans[-1][0]
        return Life(
            queued,
            max(job.submit_ms, self._from_ms),
            attempts,
            # One that failed for good is not tried again, though others of its limits were left.
            len(attempts) if job.state == JobState.FAILED else max(job.attempts_max, len(attempts)),
            RETRIED.union(
                retries_of(job.retry_on),
                # What was tried again is tried again.
                (attempt.failure for attempt in attempts[:-1]),
            ),
            cancel_ms,
            job.deadline_ms,
            tuple((from_ms, to_ms) for from_ms, to_ms in spans if to_ms is not None),
            running,
        )

    def _attempts(
        self, queued: JobQueued, runs: Sequence[_Run], running: RunActive | None, over: bool
    ) -> tuple[Attempt, ...]:
        """The attempts as they went, but for those that the platform ended."""
        found: list[Attempt] = []
        known = False
        for number, run in enumerate(runs):
            begun_ms = run.admit_ms if run.start_ms is None else run.start_ms
            lag_ms = begun_ms - run.admit_ms
            if running is not None and number == 0:
                lag_ms = begun_ms - running.start_ms
            if run.evicted or run.end_ms is None or run.state == CANCELLED:
                continue
            span_ms = max(1, run.end_ms - begun_ms)
            known = run.state == "SUCCEEDED"
            failure = "" if known else run.failure or "CENTER"
            found.append(
                Attempt(span_ms, failure, max(0, lag_ms), run.units, run.flavor, run.tail_ms)
            )
        ended_badly = over and bool(found) and len(found) == len(runs)
        if known or ended_badly:
            return tuple(found)
        self.estimated.add(queued.uid)
        last = runs[-1] if runs else None
        return (*found, self._guess.attempt(queued, last, self._now_ms))


class _Guess:
    """How long a run takes that has not ended: as others of its enterprise, by the limit."""

    def __init__(self, runs: Iterable[_Run]) -> None:
        parts: dict[str, list[int]] = {}
        lags: dict[str, list[int]] = {}
        for run in runs:
            if run.start_ms is None:
                continue
            lags.setdefault(run.flavor, []).append(run.start_ms - run.admit_ms)
            if run.state == "SUCCEEDED" and run.end_ms is not None:
                part_bp = min(10_000, (run.end_ms - run.start_ms) * 10_000 // run.wall_ms)
                parts.setdefault(run.flavor, []).append(part_bp)
        self._parts = {flavor: median_low(values) for flavor, values in parts.items()}
        self._lags = {flavor: median_low(values) for flavor, values in lags.items()}

    def attempt(self, queued: JobQueued, run: _Run | None, now_ms: int) -> Attempt:
        """Return how it goes: no less than it ran already."""
        option = queued.options[0] if run is None else run.option
        guess_ms = max(1, option.wall_ms * self._parts.get(option.flavor, 10_000) // 10_000)
        if run is not None and run.start_ms is not None:
            guess_ms = max(guess_ms, (run.end_ms or now_ms) - run.start_ms + 1)
        lag_ms = max(0, self._lags.get(option.flavor, 0))
        return Attempt(guess_ms, "", lag_ms, option.units, option.flavor)


def _active(queued: JobQueued, run: _Run, from_ms: int) -> RunActive:
    """The run that a job had at the beginning: it holds units since it was admitted."""
    began = run.start_ms is not None and run.start_ms <= from_ms
    start_ms = run.start_ms if began and run.start_ms is not None else run.admit_ms
    return RunActive(
        queued.uid, queued.city, queued.enterprise, run.option, start_ms, queued.priority,
        queued.user, queued.interruptible,
    )  # fmt: skip


def _stay(place: int, run: _Run, now_ms: int) -> Stay:
    end_ms = now_ms if run.end_ms is None else run.end_ms
    ran_ms = end_ms if run.start_ms is None else run.start_ms
    ending = "" if run.state == "SUCCEEDED" or run.end_ms is None else run.failure or run.state
    known_ms = max(end_ms, ran_ms) + run.tail_ms
    return Stay(place, run.option, run.admit_ms, ran_ms, known_ms, ending, run.tail_ms)


def _after(
    connection: Connection, jobs: Sequence[_Job], places: Mapping[int, int]
) -> dict[int, tuple[tuple[int, bool], ...]]:
    """Whom each job waits for, by place: other jobs, and within an array for a free turn."""
    elements: dict[int, list[int]] = {}
    for place, job in enumerate(jobs):
        if job.array_uid is not None:
            elements.setdefault(job.array_uid, []).append(place)
    found: dict[int, list[tuple[int, bool]]] = {}
    for uid, on_uid, condition in bulk_read(
        connection, "SELECT job_uid, on_uid, condition FROM job_dependency ORDER BY 1, 2"
    ):
        well = condition == Condition.AFTER_SUCCESS
        others = elements.get(on_uid) or ([places[on_uid]] if on_uid in places else [])
        for place in elements.get(uid) or ([places[uid]] if uid in places else []):
            found.setdefault(place, []).extend((other, well) for other in others)
    for array_uid, most in bulk_read(
        connection, "SELECT array_uid, concurrency_max FROM job_array ORDER BY 1"
    ):
        of_array = elements.get(array_uid, [])
        for turn, place in enumerate(of_array[most:] if most else ()):
            found.setdefault(place, []).append((of_array[turn], False))
    return {place: tuple(others) for place, others in found.items()}


# --- today ----------------------------------------------------------------------------------------


def _settings(connection: Connection) -> list[Delta]:
    told = planner_feed.settings(connection)
    return [
        one._replace(open=True, queue_max=None) if isinstance(one, PoolSet) else one
        for one in told
        if not isinstance(one, StopSet)
    ]


def _prices(connection: Connection, now_ms: int, enterprises: set[str], from_ms: int) -> Prices:
    money = pricing.load_money(connection, now_ms)
    payers = pricing.load_payers(connection, enterprises, money.rules, now_ms)
    funded = money.funded(now_ms)
    own = pricing.load_own(connection, money.rules, enterprises, now_ms).sources
    rights = {code: frozenset(of for who, of in own if who == code) for code in payers}
    return Prices(
        {flavor: price.price_ufen for flavor, price in sorted(money.prices.items())},
        tuple(rule for rule in money.rules if rule.programme in funded),
        {
            code: payer.applicant._replace(rights=rights[code])
            for code, payer in sorted(payers.items())
        },
        money.domestic,
        money.centers,
        dict(sorted(own.items())),
        _left(connection, {source.account for mine in own.values() for source in mine}, from_ms),
    )


def _left(connection: Connection, accounts: set[str], from_ms: int) -> dict[str, int]:
    """What vouchers and grants had at an instant: what they have, and what they gave since."""
    left = pricing.available(connection, accounts)
    for account, given in bulk_read(
        connection,
        "SELECT account_id, sum(amount_fen) FROM subsidy_line"
        f" WHERE booked_ms >= {from_ms} GROUP BY account_id",
    ):
        if account in left:
            left[account] += int(given)
    return dict(sorted(left.items()))
