"""What became of a soak's jobs, told from four sources: programs, Slurm's logs, sacct, the store.

The rule is one: each job succeeds in its last run, each run is one native job whose program was
started once, and is billed to the second what sacct says of it. A controller that is killed goes on
with a file that is seconds old: it forgets jobs, starts one again, loses ends. Whatever departs
from the rule is wrong unless Slurm's own log proves, for this very native job, that it happened so
(``soak_log``); then it is counted under its cause. Nothing is excused by what we made of it.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from tests.centers.soak_log import Native, SlurmLog
from tests.testbed.slurm_testbed import Accounted

#: Runs that ended so may be tried again, and cost nothing.
_SLURMS: Final = frozenset({"NODE", "CENTER", "LOST"})
_GOING_ON: Final = frozenset({"PENDING", "RUNNING", "SUSPENDED", "REQUEUED", "RESIZING"})
#: Of an end in the log and in sacct, which has whole seconds.
_CLOCKS_S: Final = 2.0
#: With all daemons and the service up for so long, what accounting says is heard.
PEACE_S: Final = 20.0
#: What no program brings about.
_CUT_OFF: Final = frozenset({"NODE_FAIL", "BOOT_FAIL", "PREEMPTED"})

FORGOTTEN: Final = "native jobs that Slurm forgot before they began, sent again"
BEGUN: Final = "native jobs that Slurm forgot after they began, heard of by nobody, sent again"
UNTAKEN: Final = "runs that Slurm took at none of many calls, queued again"
AGAIN: Final = "native jobs whose program Slurm started again"
LOST: Final = "runs whose end Slurm lost, tried again as the job asks"
RESTATED: Final = "bills of what Slurm said first; it took the job up again and said otherwise"
RETOLD: Final = "runs whose end Slurm told and took back, with no time to hear it, tried again"
NOT_BEGUN: Final = "runs that Slurm gave up before they began, tried again as the job asks"
LATER: Final = "runs whose end Slurm lost, not billed, of which sacct says seconds since"
DENIED: Final = "jobs that failed unlaunched as Slurm gave them ids of jobs that it had killed"
UNTOLD_END: Final = "runs that ended well, cut off for sacct as Slurm lost their end, not billed"
RUNAWAY: Final = "runs whose end accounting lost, closed in it by hand: 0 s for sacct, 0 s billed"
UNTOLD_START: Final = "runs whose start or record accounting lost: 0 s for sacct, 0 s billed"


class Line(NamedTuple):
    """A line that a program wrote: ``begins`` or ``ends``, and when (a node launched it before)."""

    what: str
    job: str
    native_id: int
    run_name: str
    restarts: int
    at_s: float


class Run(NamedTuple):
    """A run of the store.

    ``billed_s`` are seconds times units; ``native_id`` 0 if no native job of it is known.
    """

    name: str
    job: int
    attempt: int
    state: str
    failure: str | None
    billed_s: int
    native_id: int = 0
    submit_s: int = 0
    end_s: int = 0

    @property
    def untaken(self) -> bool:
        """Whether it was given up as Slurm had not taken it after many calls."""
        return self.failure == "CENTER" and not self.native_id and not self.billed_s


Key = tuple[int, str, int, int]


@dataclass
class Told:
    """All that sacct said at any time; ``first`` of each stretch that had ended.

    ``endless`` are names of jobs that were over in it, and had no end. ``trouble`` are the instants
    (epoch seconds) at which the service or a daemon was killed, and at which it was back.
    ``closed`` are stretches that the soak itself ended in accounting, as an operator does;
    ``begun_s`` says since when it had the start of a native job.
    """

    since_s: float = 0.0
    first: dict[Key, Accounted] = field(default_factory=dict)
    last: list[Accounted] = field(default_factory=list)
    seen: dict[tuple[int, str, int], Accounted] = field(default_factory=dict)
    endless: set[str] = field(default_factory=set)
    trouble: list[float] = field(default_factory=list)
    closed: set[Key] = field(default_factory=set)
    begun_s: dict[tuple[int, str, int], float] = field(default_factory=dict)

    def peace_s(self, since_s: float, until_s: float) -> float:
        """The longest time between these instants without trouble."""
        between = sorted(at_s for at_s in self.trouble if since_s < at_s < until_s)
        return max(two - one for one, two in pairwise([since_s, *between, until_s]))

    def close(self, before: Iterable[Accounted], after: Iterable[Accounted]) -> None:
        """Note what was closed by hand between these two words of sacct."""
        going_on = {_key(row) for row in before if row.end_s is None}
        self.closed |= {_key(row) for row in after if row.end_s is not None} & going_on

    def note(self, rows: Iterable[Accounted]) -> None:
        """Take what sacct says now."""
        self.last = [row for row in rows if row.submit_s >= int(self.since_s)]
        for row in self.last:
            if row.start_s is None:
                self.seen.setdefault((row.job_id, row.name, row.submit_s), row)
                continue
            self.seen[row.job_id, row.name, row.submit_s] = row
            self.begun_s.setdefault((row.job_id, row.name, row.submit_s), time.time())
            if row.end_s is None and row.state not in _GOING_ON:
                self.endless.add(row.name)
            if row.end_s is not None:
                self.first.setdefault(_key(row), row)


@dataclass
class Books:
    """The verdict: ``wrong`` is ours or not proven, ``counts`` say how often Slurm did what.

    ``once`` says that programs refuse a second start: then nothing excuses one.
    """

    told: Told
    log: SlurmLog
    runs: Mapping[str, Run]
    lines: Sequence[Line]
    once: bool = False
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _natives: dict[str, list[Native]] = field(default_factory=dict)
    _lines: dict[str, list[Line]] = field(default_factory=dict)
    _first: dict[str, list[Accounted]] = field(default_factory=dict)
    _last: dict[str, list[Accounted]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in self.lines:
            self._lines.setdefault(line.run_name, []).append(line)
        for row in self.told.first.values():
            self._first.setdefault(row.name, []).append(row)
        for row in self.told.last:
            self._last.setdefault(row.name, []).append(row)
        self._name_natives()

    def hold(self) -> None:
        """Judge everything."""
        self._hold_nameless()
        for run in self.runs.values():
            self._hold_run(run)
        last: dict[int, Run] = {}
        for run in self.runs.values():
            if run.job not in last or last[run.job].attempt < run.attempt:
                last[run.job] = run
        for run in self.runs.values():
            if run is not last[run.job]:
                if not run.untaken or run.name in self._natives:
                    self._hold_attempt(run)
            elif self._denied(run):
                self.counts[DENIED] += 1
            elif not any(one.what == "ends" for one in self._lines.get(run.name, ())):
                self.wrong.append(f"{run}: its program never ended")
        for run in self.runs.values():
            self._hold_bill(run)

    def _denied(self, run: Run) -> bool:
        """Whether Slurm says that it failed with exit code 1, and no node ever launched it."""
        natives = self._natives.get(run.name, [])
        failed = run.state == "FAILED" and run.failure == "USER_CODE" and not run.billed_s
        return failed and bool(natives) and natives[-1].never_let_in

    def hold_differences(self, found: Iterable[tuple[str, str]]) -> None:
        """Judge what a reconciliation found, by kind and name: Slurm must have said otherwise."""
        for kind, name in found:
            run = self.runs[name]
            if kind != "MISSING_HERE" and self._restated_s(run) is not None:
                self.counts[f"differences {kind} of jobs that Slurm took up again"] += 1
            else:
                self.wrong.append(f"a difference {kind} of {run}: {self._natives.get(name)}")

    # --- which native job is which run ----------------------------------------------------------

    def _name_natives(self) -> None:
        for line in self.lines:
            if line.what == "begins":
                native = self.log.running(line.native_id, line.at_s)
                self._name(line.run_name, line.native_id, native)
        for row in self.told.seen.values():
            self._name(row.name, row.job_id, self.log.submitted(row.job_id, row.submit_s))
        for run in self.runs.values():
            if run.native_id and run.name not in self._natives:  # forgotten since it was heard of
                native = self.log.submitted(run.native_id, run.submit_s)
                self._name(run.name, run.native_id, native)
        for several in self._natives.values():
            several.sort(key=lambda one: one.submitted_s)

    def _name(self, name: str, job_id: int, native: Native | None) -> None:
        if native is None:
            self.wrong.append(f"{name}: job {job_id} was never submitted")
        elif not any(native is one for one in self._natives.setdefault(name, [])):
            self._natives[name].append(native)

    def _hold_nameless(self) -> None:
        """Native jobs of which nobody ever told the name: nothing of them may be left."""
        named = {id(native) for several in self._natives.values() for native in several}
        for native in self.log.all():
            if id(native) in named:
                continue
            if native.forgotten_s is None:
                self.wrong.append(f"nobody knows whose this is: {native}")
            elif native.launched:
                self.wrong.append(f"its program told nothing: {native}")
            else:
                self.counts[FORGOTTEN] += 1

    # --- runs -----------------------------------------------------------------------------------

    def _hold_run(self, run: Run) -> None:
        natives = self._natives.get(run.name, [])
        if run.untaken and not natives:
            self.counts[UNTAKEN] += 1
        elif not natives:
            self.wrong.append(f"{run}: no native job of it ever was")
        for one, following in pairwise(natives):
            self._hold_resent(run, one, following)
        for native in natives:
            self._hold_starts(run, native)
        begun = Counter(
            one.restarts for one in self._lines.get(run.name, ()) if one.what == "begins"
        )
        if self.once and max(begun.values(), default=0) > 1:
            self.wrong.append(f"{run}: its program began again in spite of itself: {natives}")

    def _hold_resent(self, run: Run, one: Native, following: Native) -> None:
        """Two native jobs of one run: the first was forgotten before the second was sent."""
        forgotten = one.forgotten_s is not None and one.forgotten_s < following.submitted_s
        begun = self._begun(run.name, one)
        heard = [
            (row, self.told.begun_s.get((job_id, name, submit_s)))
            for (job_id, name, submit_s), row in self.told.seen.items()
            if name == run.name and self.log.submitted(job_id, submit_s) is one
        ]
        if not forgotten or any(row.start_s is not None for row, _ in heard):
            self.wrong.append(f"{run}: two native jobs: {one}, {following}; sacct had {heard}")
        else:
            self.counts[BEGUN if begun else FORGOTTEN] += 1

    def _begun(self, name: str, native: Native) -> list[Line]:
        return [
            one
            for one in self._lines.get(name, ())
            if one.what == "begins" and self.log.running(one.native_id, one.at_s) is native
        ]

    def _hold_starts(self, run: Run, native: Native) -> None:
        """Each start of a program is one launch of a node; a second one is Slurm's by its log."""
        begun = len(self._begun(run.name, native))
        if begun > len(native.launched):
            self.wrong.append(f"{run}: its program began {begun} times: {native}")
        elif len(native.launched) > 1 and not native.launched_again_by_slurm():
            self.wrong.append(f"{run}: launched again while its controller lived: {native}")
        elif begun > 1:
            self.counts[AGAIN] += 1

    def _hold_attempt(self, run: Run) -> None:
        """A run that was not the job's last: only because Slurm lost its end, or the job itself."""
        natives = self._natives.get(run.name, [])
        before = [
            row
            for row in self._first.get(run.name, [])
            if row.end_s is not None and row.end_s < run.end_s + _CLOCKS_S
        ]
        heard = [row for row in before if _key(row) not in self.told.closed]
        said = {row.state for row in heard}
        ours = run.failure not in _SLURMS or not self._lost(run)
        if not ours and said <= {*_CUT_OFF, "CANCELLED"}:
            begun = any(line.what == "begins" for line in self._lines.get(run.name, ()))
            self.counts[LOST if begun else NOT_BEGUN] += 1
        elif not ours and all(self._taken_back(row) for row in heard):
            self.counts[RETOLD] += 1
        else:
            self.wrong.append(f"{run} was tried again; sacct said {said}, the log {natives}")

    def _taken_back(self, row: Accounted) -> bool:
        """Whether a controller took the job up that had not heard of this end, and lost it.

        The end must have been there to hear only while something died all the time: else we did
        not listen.
        """
        native = self.log.submitted(row.job_id, row.submit_s)
        if native is None or not native.risen or not native.lost or not native.ended:
            return False
        return self.told.peace_s(native.ended[0], native.lost[0]) < PEACE_S

    # --- bills ----------------------------------------------------------------------------------

    def _hold_bill(self, run: Run) -> None:
        last = self._last.get(run.name, [])
        if run.failure in _SLURMS:
            self._hold_unbilled(run, last)
        elif run.billed_s == _seconds(last):
            self._hold_ends(run, last)
        elif run.billed_s == self._restated_s(run):
            self.counts[RESTATED] += 1
        else:
            self._wrong_bill(run)

    def _hold_unbilled(self, run: Run, last: Sequence[Accounted]) -> None:
        """Nothing is billed of what Slurm lost, whatever sacct says of it later."""
        if run.untaken and run.name not in self._natives:
            return
        if run.billed_s or not self._lost(run):
            self._wrong_bill(run)
        elif _seconds(last):
            self.counts[LATER] += 1

    def _hold_ends(self, run: Run, last: Sequence[Accounted]) -> None:
        """What sacct has no seconds of, or says was cut off, although its program ended."""
        if any(row.state in _CUT_OFF for row in last):
            if not self._lost(run):
                self._wrong_bill(run)
            self.counts[UNTOLD_END] += 1
        elif not any(row.start_s for row in last):
            self.counts[UNTOLD_START] += 1
        elif run.name in self.told.endless and not run.billed_s:
            self.counts[RUNAWAY] += 1

    def _lost(self, run: Run) -> bool:
        """Whether Slurm lost the run's end, or the run's job itself."""
        natives = self._natives.get(run.name, ())
        return any(one.given_up or one.forgotten_s is not None for one in natives)

    def _restated_s(self, run: Run) -> int | None:
        """Seconds until the end that sacct and the log told of a job before it was taken up again.

        None if none was.
        """
        for native in self._natives.get(run.name, ()):
            ended = [
                row
                for row in self._first.get(run.name, ())
                if native.risen
                and native.ended
                and abs((row.end_s or 0) - native.ended[0]) < _CLOCKS_S
            ]
            if ended:
                return _seconds(ended)
        return None

    def _wrong_bill(self, run: Run) -> None:
        rows = (*self._first.get(run.name, []), *self._last.get(run.name, []))
        said = [(row.job_id, row.state, row.start_s, row.end_s, row.elapsed_s) for row in rows]
        natives = self._natives.get(run.name)
        self.wrong.append(f"{run}: sacct said first and last {said}, the log {natives}")


def _key(row: Accounted) -> Key:
    return row.job_id, row.name, row.submit_s, row.start_s or 0


def _seconds(rows: Iterable[Accounted]) -> int:
    return sum(row.elapsed_s * row.cpus for row in rows if row.state not in _CUT_OFF)
