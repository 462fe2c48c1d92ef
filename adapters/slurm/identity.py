"""Which native job is which run; pure.

A run is known to Slurm by its name. Names of jobs are not unique there and ids are given out again
after a crash of the controller, so that a record is a run's only if name, user and cluster fit, and
of several native jobs one is chosen by rule.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.contract import RunRef
from adapters.slurm.records import Json, NativeJob

#: All names of runs begin so; the rest is the run's id.
NAME_PREFIX: Final = "corridor-"
#: An answer to a submission may take so long; Slurm's time of it lies within.
_SUBMIT_SPREAD_S: Final = 120


def run_of(name: str) -> str:
    """The run of a native job's name, empty if it is none of ours."""
    return name.removeprefix(NAME_PREFIX) if name.startswith(NAME_PREFIX) else ""


def mark(run_id: str, submit_ms: int) -> str:
    """What a native job's comment says: whose it is, and the submission time we gave it."""
    return f"corridor run {run_id} submitted {submit_ms}"


def marked_ms(comment: str) -> int:
    """The submission time in a comment, 0 if there is none."""
    _, _, number = comment.rpartition(" submitted ")
    return int(number) if number.isascii() and number.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are at the center; an empty cluster is not looked at."""

    user: str
    cluster: str

    def owns(self, job: NativeJob) -> bool:
        """Whether a record is of a job that we made: others may use names like ours."""
        return job.user == self.user and (not self.cluster or job.cluster in ("", self.cluster))

    def is_run(self, job: NativeJob, run: RunRef) -> bool:
        """Whether a record is the run that is meant, not another job under an id of its."""
        if job.name != run.name or not self.owns(job):
            return False
        if not run.submit_ms or job.restarts or marked_ms(job.comment) == run.submit_ms:
            return True  # a job that was put back has a new time of submission
        return abs(job.submit_s - run.submit_ms // 1000) <= _SUBMIT_SPREAD_S


@dataclass(slots=True)
class Stretches:
    """All that accounting has of one native job: one record for each time it ran, oldest first."""

    records: list[tuple[NativeJob, Json]] = field(default_factory=list)

    @property
    def last(self) -> NativeJob:
        """The newest record: how the job stands, as far as accounting knows."""
        return self.records[-1][0]

    @property
    def first(self) -> NativeJob:
        """The oldest record."""
        return self.records[0][0]

    @property
    def ran(self) -> bool:
        """Whether it ever started."""
        return any(job.start_s is not None for job, _ in self.records)


def end_forgotten(job: NativeJob, told: NativeJob) -> bool:
    """Whether the controller goes on with a job of which accounting was told the end.

    A controller that was killed took it up from a file that is older than its end. One that was put
    back has another time of submission, or counts its restarts; one that is cleaned up has ended.
    """
    going_on = not job.ended and "COMPLETING" not in (job.state, *job.flags)
    same = (told.job_id, told.submit_s) == (job.job_id, job.submit_s) and not job.restarts
    return going_on and same and told.ended and told.end_s is not None


def refused_at_once(job: NativeJob) -> bool:
    """Whether it is the trace that a refused submission leaves: failed, and never had a chance."""
    return job.state == "FAILED" and job.start_s in (None, job.submit_s) and not job.nodes


def closed_unbegun(job: NativeJob) -> bool:
    """Whether it is the trace of a job that its controller forgot before it began.

    An operator closed it (``sacctmgr show runawayjobs``): it says COMPLETED then, without a start,
    and ended when it might have begun.
    """
    might_s = max(job.submit_s, job.eligible_s or 0)
    return job.state == "COMPLETED" and job.start_s is None and job.end_s == might_s


def by_native(found: Iterable[tuple[NativeJob, Json]]) -> list[Stretches]:
    """Records of accounting by native job, oldest job first.

    A job that is put back keeps its id and gets a new time of submission; after a crash of the
    controller another job may have the same id. Records of one id are one job as long as each but
    the last was put back.
    """
    ordered = sorted(found, key=lambda one: (one[0].submit_s, one[0].start_s or 1 << 62))
    jobs: list[Stretches] = []
    latest: dict[int, Stretches] = {}
    for record in ordered:
        job = record[0]
        known = latest.get(job.job_id)
        if known is None or not _goes_on(known.last, job):
            known = latest[job.job_id] = Stretches()
            jobs.append(known)
        known.records.append(record)
    return jobs


def _goes_on(before: NativeJob, after: NativeJob) -> bool:
    """Whether a record of the same id and name is the same job, put back into the queue."""
    if before.submit_s == after.submit_s:
        return True
    return before.end_s is not None and before.end_s <= after.submit_s + 1


def preferred(run: RunRef, jobs: Sequence[Stretches]) -> list[Stretches]:
    """Native jobs of one name, the one that is the run first.

    That is the one its scheduler knows, else the oldest; jobs that were ended before they began
    come last, as duplicates that were cancelled are such.
    """

    def order(one: Stretches) -> tuple[bool, int, bool, int]:
        known = str(one.last.job_id) == run.native_id
        apart_s = abs(one.first.submit_s - run.submit_ms // 1000) if known and run.submit_ms else 0
        return not known, apart_s, one.last.ended and not one.ran, one.first.submit_s

    return sorted(jobs, key=order)


def named(
    found: Iterable[tuple[NativeJob, Json]], identity: Identity
) -> Mapping[str, list[tuple[NativeJob, Json]]]:
    """Records of accounting by name, ours only, without traces of what never was a run."""
    by_name: dict[str, list[tuple[NativeJob, Json]]] = {}
    for job, raw in found:
        if identity.owns(job) and not refused_at_once(job) and not closed_unbegun(job):
            by_name.setdefault(job.name, []).append((job, raw))
    return by_name
