"""What became of a soak's jobs, told from three sources: their programs, sacct, and the store.

A controller that is killed takes up a file that is seconds old, and tells wrongly for ever of what
it lost so: that jobs which had ended ended later, by the failure of a node, or it runs them again;
of others it never says another word. What happened so is Slurm's, and counted apart; it is told
from what would be ours by what Slurm said of the native job at any time.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from scheduler.domain.ids import center_name, run_id
from tests.testbed.slurm_testbed import Accounted

#: Runs that ended so were no fault of the job's and cost nothing.
_NOT_BILLED: Final = frozenset({"NODE", "CENTER", "PREEMPTED", "LOST", "REJECTED_BY_CENTER"})
#: What no program brings about.
_CUT_OFF: Final = frozenset({"NODE_FAIL", "BOOT_FAIL", "PREEMPTED"})


class End(NamedTuple):
    """A line that a program wrote when it ended."""

    job: str
    native_id: int
    run_name: str


class Run(NamedTuple):
    """A run of the store; ``billed_s`` are seconds times units."""

    name: str
    state: str
    failure: str | None
    billed_s: int


Key = tuple[int, str, int, int]


@dataclass
class Told:
    """All native jobs that sacct ever knew, and what it said first of stretches that had ended."""

    first: dict[Key, Accounted] = field(default_factory=dict)
    known: set[tuple[str, int]] = field(default_factory=set)

    def note(self, rows: Iterable[Accounted]) -> None:
        """Take what sacct says now."""
        for row in rows:
            self.known.add((row.name, row.job_id))
            if row.end_s is not None and row.start_s is not None:
                self.first.setdefault((row.job_id, row.name, row.submit_s, row.start_s), row)

    def of(self, name: str) -> list[Accounted]:
        """What it said at first under a run's name."""
        return [row for key, row in self.first.items() if key[1] == name]


@dataclass
class Books:
    """The verdict: ``wrong`` is ours, ``counts`` say how often Slurm did what."""

    told: Told
    last: Mapping[str, Sequence[Accounted]]
    runs: Mapping[str, Run]
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def hold(self, ends: Sequence[End]) -> None:
        """Judge programs that ended more than once, and every bill."""
        by_job: dict[str, list[End]] = {}
        for end in ends:
            by_job.setdefault(end.job, []).append(end)
        for job, several in by_job.items():
            if len(several) > 1:
                self._hold_ends(job, several)
        for run in self.runs.values():
            if run.failure not in _NOT_BILLED:
                self._hold_bill(run)

    def _hold_ends(self, job: str, ends: Sequence[End]) -> None:
        native = {(end.run_name, end.native_id) for end in ends}
        if len(native) < len(ends):
            self.counts["programs that Slurm ran again as the same native job"] += 1
        names = {end.run_name for end in ends}
        known = native & self.told.known
        if len({name for name, _ in known}) < len(known):
            self.wrong.append(f"{job}: two native jobs of one run ran to their ends: {native}")
        elif len(known) < len(native):
            self.counts["programs that ended in a native job that Slurm told nobody of"] += 1
        last = max(names, key=lambda name: int(name.rpartition(".")[2]))
        for name in sorted(names - {last}):
            run = self.runs[name]
            if run.failure in _NOT_BILLED and self._lost(name):
                self.counts["programs whose end Slurm lost, tried again as the job asks"] += 1
            else:
                said = [row.state for row in self.told.of(name)]
                self.wrong.append(f"{job}: {run} was tried again, and sacct said {said}")

    def _lost(self, name: str) -> bool:
        """Whether Slurm never said of a native job that its program ended.

        A controller that forgot a start makes another, and the node that runs the job already has
        it cancelled, as root.
        """
        return all(row.state in _CUT_OFF or row.by_uid == 0 for row in self.told.of(name))

    def _hold_bill(self, run: Run) -> None:
        last = list(self.last.get(run.name, ()))
        if run.billed_s == _seconds(last):
            return
        first = self.told.of(run.name)
        if run.billed_s in {_seconds([row]) for row in first} | {_seconds(first)}:
            self.counts["bills of what sacct said first and says otherwise since"] += 1
            return
        said = [(r.job_id, r.state, r.start_s, r.end_s, r.elapsed_s) for r in (*first, *last)]
        self.wrong.append(f"{run}: sacct said first and last {said}")


def _seconds(rows: Sequence[Accounted]) -> int:
    return sum(row.elapsed_s * row.cpus for row in rows if row.state not in _CUT_OFF)


def read_ends(path: Path) -> list[End]:
    """What programs wrote: job, native id, run."""
    lines = (line.split() for line in path.read_text().splitlines())
    return [End(job, int(native_id), name) for job, native_id, name in lines]


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Rows of a service's database."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(statement).fetchall()


def read_runs(path: Path) -> dict[str, Run]:
    """The runs of a service's database, with what was billed, by their names at the center."""
    found = rows(
        path,
        "SELECT r.job_uid, r.attempt, r.state, r.failure_class, (SELECT coalesce(sum(l.seconds *"
        " l.units), 0) FROM rated_line l WHERE l.billed AND l.job_uid = r.job_uid"
        " AND l.attempt = r.attempt) FROM run r",
    )
    runs = (
        Run(center_name(run_id(uid, attempt)), state, failure, billed_s)
        for uid, attempt, state, failure, billed_s in found
    )
    return {run.name: run for run in runs}


def by_name(accounted: Iterable[Accounted]) -> dict[str, list[Accounted]]:
    """Rows of sacct that ran, by the name of their run."""
    found: dict[str, list[Accounted]] = {}
    for row in accounted:
        if row.start_s is not None:
            found.setdefault(row.name, []).append(row)
    return found
