"""What Slurm's daemons wrote down themselves: each native job, from its submission to its end.

``sacct`` knows a native job only as far as its controller told of it. The logs know all: a line
for each submission (written before it is acknowledged), each start, each launch on a node, each
end, and for each job that a controller which is started again takes up from its file. No daemon of
a node is killed, so that their logs are whole.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

#: Ended jobs are kept by a controller for so long (MinJobAge), but a little.
_KEPT_S: Final = 290.0
_LINE: Final = re.compile(r"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\] (.*)")
_LIFE: Final = "slurmctld version "
_EVENTS: Final = (
    ("submitted", re.compile(r"_slurm_rpc_submit_batch_job: JobId=(\d+) ")),
    ("started", re.compile(r"sched: Allocate JobId=(\d+) ")),
    ("started", re.compile(r"sched/backfill: _start_job: Started JobId=(\d+) ")),
    ("taken_up", re.compile(r"Recovered JobId=(\d+) Assoc=")),
    ("ended", re.compile(r"_job_complete: JobId=(\d+) WEXITSTATUS ")),
    ("lost", re.compile(r"_job_complete: JobId=(\d+) cancelled by node failure")),
    ("lost", re.compile(r"Batch JobId=(\d+) missing from batch node ")),
    ("killed", re.compile(r"REQUEST_KILL_JOB JobId=(\d+) uid ")),
    ("refused", re.compile(r"Could not launch job (\d+) and not able to requeue it, cancelling")),
    ("denied", re.compile(r"error: Job (\d+) already killed, do not launch batch job")),
    ("launched", re.compile(r"Launching batch job (\d+) for UID ")),
)

#: A busy node may write these down when the id was given again: of the newest job that had started.
_BY_NODES: Final = frozenset({"launched", "refused", "denied"})


@dataclass
class Native:
    """One native job: instants in epoch seconds of what became of it, in order.

    ``forgotten_s`` is the start of the first controller that had it not in its file,
    ``given_again`` says that an earlier job had its id.
    """

    job_id: int
    submitted_s: float
    started: list[float] = field(default_factory=list)
    launched: list[float] = field(default_factory=list)
    taken_up: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    killed: list[float] = field(default_factory=list)
    denied: list[float] = field(default_factory=list)
    forgotten_s: float | None = None
    given_again: bool = False

    @property
    def given_up(self) -> bool:
        """Whether Slurm gave it up as a controller had lost what it knew.

        It took the job up from an old file and found it on no node, or had a node launch what that
        had launched before, or gave out an id again that the node knows of another job.
        """
        after_file = any(up < at for up in self.taken_up for at in (*self.lost, *self.refused))
        return after_file or (self.given_again and bool(self.refused))

    @property
    def never_let_in(self) -> bool:
        """Whether its node took it for an earlier job of its id, that it had to kill."""
        return self.given_again and bool(self.denied) and not self.launched

    @property
    def risen(self) -> bool:
        """Whether a controller took it up that did not know of its end, and it ended again."""
        ends = sorted(self.ended + self.lost + self.killed)
        return any(before < up < after for before, after in pairwise(ends) for up in self.taken_up)

    def launched_again_by_slurm(self) -> bool:
        """Whether before each launch but the first a controller took it up from its file."""
        return all(
            any(one < up < two for up in self.taken_up) for one, two in pairwise(self.launched)
        )


@dataclass
class SlurmLog:
    """All native jobs by id, in the order of their submission, and the starts of controllers."""

    natives: dict[int, list[Native]] = field(default_factory=dict)
    lives: list[float] = field(default_factory=list)

    def running(self, job_id: int, at_s: float) -> Native | None:
        """The job of that id that a node launched last, before then."""
        launches = [
            (launched_s, native)
            for native in self.natives.get(job_id, ())
            for launched_s in native.launched
            if launched_s <= at_s
        ]
        return max(launches, key=lambda one: one[0])[1] if launches else None

    def submitted(self, job_id: int, submit_s: int) -> Native | None:
        """The job of that id and time of submission: a busy controller writes its line later."""
        return min(
            self.natives.get(job_id, ()),
            key=lambda one: abs(one.submitted_s - submit_s),
            default=None,
        )

    def all(self) -> Iterator[Native]:
        """Every native job."""
        for several in self.natives.values():
            yield from several


def read(folder: Path, since_s: float) -> SlurmLog:
    """What a cluster's logs say of the jobs that were submitted since then."""
    paths = [folder / "slurmctld.log", *sorted(folder.glob("slurmd-*.log"))]
    lines: list[tuple[float, str]] = []
    for path in paths:
        found = _lines(path.read_text("utf-8", "replace").splitlines())
        lines += [one for one in found if one[0] >= since_s]
    lines.sort(key=lambda one: one[0])
    return parse(lines)


def _lines(text: Iterable[str]) -> Iterator[tuple[float, str]]:
    for line in text:
        found = _LINE.match(line)
        if found is not None:
            yield datetime.fromisoformat(found[1]).timestamp(), found[2]


def parse(lines: Iterable[tuple[float, str]]) -> SlurmLog:
    """Understand lines that are in order of time; jobs submitted before them are left out."""
    log = SlurmLog()
    for at_s, text in lines:
        if text.startswith(_LIFE):
            log.lives.append(at_s)
            continue
        for what, pattern in _EVENTS:
            found = pattern.search(text)
            if found is not None:
                _note(log, what, int(found[1]), at_s)
    for several in log.natives.values():
        for native in several:
            native.forgotten_s = _forgotten_s(native, log.lives)
    return log


def _note(log: SlurmLog, what: str, job_id: int, at_s: float) -> None:
    several = log.natives.setdefault(job_id, [])
    if what == "submitted":
        several.append(Native(job_id, at_s, given_again=bool(several)))
    elif several:
        native = several[-1]
        if what in _BY_NODES:
            native = next((one for one in reversed(several) if one.started), native)
        instants: dict[str, list[float]] = vars(native)
        instants[what].append(at_s)


def _forgotten_s(native: Native, lives: list[float]) -> float | None:
    after = [life for life in lives if life > native.submitted_s]
    for life, following in pairwise([*after, float("inf")]):
        if native.ended and native.ended[0] < life - _KEPT_S:
            return None
        if not any(life <= up < following for up in native.taken_up):
            return life
    return None
