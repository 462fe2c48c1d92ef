"""How fast the store moves jobs through their states, with events, holds and ledger entries."""

from collections.abc import Callable, Sequence
from contextlib import closing
from time import perf_counter
from typing import Final, TypeVar

from adapters.contract import Observation, Phase, Usage
from benchmarks.report import Figure
from benchmarks.site import new_site
from benchmarks.stored import Waiting, fill, now_ms
from benchmarks.writers import as_served
from scheduler.control.settings import LoopSettings
from scheduler.domain.ids import run_id
from scheduler.domain.reports import Report, accepted, observed
from scheduler.placement.model import Start
from scheduler.store import admission, funds, ingest, leader, runs
from scheduler.store.database import Connection, Database

T = TypeVar("T")
_RUN_S: Final = 300
#: Guarded moves for each job: its run's to SUBMITTING, ACCEPTED, RUNNING and SUCCEEDED, its own to
#: ADMITTED, RUNNING and SUCCEEDED. Each with an event, beside them six ledger entries.
_MOVES: Final = 7


def run(quick: bool) -> list[Figure]:
    """Move jobs from QUEUED to settled, in batches as the control loop's."""
    with new_site(units=65_536) as site, closing(Database(site.settings.database_url)) as db:
        return _figures(db, 5_000 if quick else 50_000)


def _figures(db: Database, count: int) -> list[Figure]:
    waiting = fill(db, count)
    mover = Mover(db)
    size = LoopSettings().admit_batch
    with as_served():
        for first in range(0, count, size):
            mover.move(waiting[first : first + size])
    problems = db.read_sync(lambda c: funds.verify(c).problems)
    if problems:
        raise RuntimeError(f"the ledger does not verify: {problems[0]}")
    total_s = sum(mover.spent_s.values())
    figures = [
        Figure(
            "move", "moves of jobs and runs with events, holds and ledger",
            _MOVES * count / total_s,
            "moves/s", 15_000, at_most=False, peer="jobs/s", peer_value=count / total_s,
        )
    ]  # fmt: skip
    figures += [
        Figure("move", f"{step} ({size} at once)", count / spent_s, "runs/s")
        for step, spent_s in mover.spent_s.items()
    ]
    return figures


class Mover:
    """Does what the loop and the workers have the store do; each step is a transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._epoch = self._write(lambda c: leader.take_over(c, "benchmark", now_ms()))
        self.spent_s: dict[str, float] = {}

    def _write(self, call: Callable[[Connection], T]) -> T:
        return self._db.write_future(call).result()

    def _step(self, name: str, call: Callable[[Connection], T]) -> T:
        began_s = perf_counter()
        result = self._write(call)
        self.spent_s[name] = self.spent_s.get(name, 0.0) + perf_counter() - began_s
        return result

    def admit(self, jobs: Sequence[Waiting]) -> None:
        """Admit jobs from the queue."""
        epoch, at_ms = self._epoch, now_ms()
        starts = [Start(one.uid, one.city, one.enterprise, one.option, 0) for one in jobs]
        admitted = self._step("admitted", lambda c: admission.admit(c, epoch, starts, at_ms))
        if len(admitted.admitted) != len(jobs):
            raise RuntimeError(f"not admitted: {admitted.refused[:3]}")

    def accept(self, jobs: Sequence[Waiting]) -> None:
        """Move jobs from the queue to their center's acceptance."""
        self.admit(jobs)
        epoch, at_ms = self._epoch, now_ms()
        keys = [(one.uid, 1) for one in jobs]
        self._step("submitting", lambda c: runs.mark_submitting(c, epoch, keys, at_ms))
        self.report("accepted", [accepted(one.uid, 1, f"n{one.uid}", at_ms) for one in jobs])

    def move(self, jobs: Sequence[Waiting]) -> None:
        """Move jobs from the queue to their settlement."""
        self.accept(jobs)
        at_ms = now_ms()
        self.report("started", [_seen(one, Phase.RUNNING, at_ms) for one in jobs])
        self.report("settled", [_seen(one, Phase.SUCCEEDED, at_ms) for one in jobs])

    def report(self, name: str, reports: Sequence[Report]) -> None:
        """Have reports ingested."""
        epoch, at_ms = self._epoch, now_ms()
        self._step(name, lambda c: ingest.ingest(c, epoch, reports, at_ms, lambda: 0.5))


def _seen(one: Waiting, phase: Phase, start_ms: int) -> Report:
    run, native = run_id(one.uid, 1), f"n{one.uid}"
    ended = phase is Phase.SUCCEEDED
    end_ms = start_ms + _RUN_S * 1000 if ended else None
    seen = Observation(run, native, phase, 3 if ended else 2, start_ms, start_ms, end_ms)
    usage = None
    if end_ms is not None:
        usage = (
            Usage(
                run,
                native,
                start_ms,
                1,
                1,
                start_ms,
                end_ms,
                one.option.units,
                "0" * 64,
                "simulated",
            ),
        )
    return observed(one.uid, 1, seen, usage)
