"""Metered use out of Slurm's accounting; pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.contract import FailureClass, RunRef, Usage
from adapters.slurm.identity import Stretches
from adapters.slurm.records import Json, NativeJob
from adapters.slurm.settings import Partition
from adapters.slurm.states import CUT_OFF, outcome

SOURCE: Final = "slurmdb"
_canonical = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode
#: The accounting of a running job changes with every look; that of an ended one only by these.
_UNSTABLE: Final = frozenset({"priority", "flags"})


def metered(
    run: RunRef,
    submit_ms: int,
    stretches: Stretches,
    partitions: Mapping[str, Partition],
    lost: bool = False,
) -> tuple[Usage, ...]:
    """One segment for each stretch on nodes that has ended, oldest first.

    ``lost`` says that the controller forgot the job: a stretch without an end is left out, for
    nobody knows when it ended, and it is no work of anybody's.
    """
    found: list[Usage] = []
    count = len(stretches.records)
    for place, (job, raw) in enumerate(stretches.records, start=1):
        if job.start_s is None or job.end_s is None:
            continue
        found.append(
            Usage(
                run_id=run.run_id,
                native_id=str(job.job_id),
                submit_ms=submit_ms,
                segment=len(found) + 1,
                revision=1,
                start_ms=job.start_s * 1000,
                end_ms=_end_s(job) * 1000,
                units=units_of(job, partitions),
                raw_sha256=digest(raw),
                source=SOURCE,
                failure=cause(job, place < count or lost),
            )
        )
    return tuple(found)


def _end_s(job: NativeJob) -> int:
    """The end of what counts: time during which Slurm held the job still is not charged."""
    assert job.start_s is not None
    assert job.end_s is not None
    if job.elapsed_s is None:
        return job.end_s
    return min(job.start_s + job.elapsed_s, job.end_s)


def cause(job: NativeJob, goes_on: bool) -> FailureClass | None:
    """What cut a stretch off; None if its program ended, or was cancelled, or its time was up."""
    failure = outcome(job).failure
    if failure in CUT_OFF:
        return failure
    return FailureClass.CENTER if goes_on else None


def units_of(job: NativeJob, partitions: Mapping[str, Partition]) -> int:
    """Units that a job had, by what its partition is counted in; at least 1."""
    here = [one for one in partitions.values() if one.partition == job.partition]
    with_cards = [one for one in here if one.gres and job.cards.get(one.gres_type)]
    if with_cards:
        return job.cards[with_cards[0].gres_type]
    plain = [one for one in here if not one.gres]
    per_unit = plain[0].cpus_per_unit if plain else 1
    return max(1, -(-job.cpus // per_unit))


def digest(raw: Json) -> str:
    """The digest of accounting's own record, whatever the order of its keys."""
    kept = {key: value for key, value in raw.items() if key not in _UNSTABLE}
    return hashlib.sha256(_canonical(kept).encode()).hexdigest()


def all_ended(records: Sequence[tuple[NativeJob, Json]]) -> bool:
    """Whether accounting knows the end of the newest stretch."""
    job = records[-1][0]
    return job.ended and job.end_s is not None


def start_unknown(records: Sequence[tuple[NativeJob, Json]], ran: bool) -> bool:
    """Whether accounting knows the end of a stretch that ran, and not its start.

    It is told of starts and ends in two ways, so that an end may overtake its start. ``ran`` says
    that the controller saw the job run: else one that was cancelled had not begun.
    """
    return any(
        job.ended and job.start_s is None and (ran or job.state != "CANCELLED")
        for job, _ in records
    )
