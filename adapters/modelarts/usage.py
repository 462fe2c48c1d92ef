"""What an ended job used: its running records as segments, or its duration where there are none."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Final

from adapters.contract import Usage
from adapters.modelarts.job import Job, Record
from adapters.modelarts.phases import cut_off, is_final

RECORDS: Final = "modelarts running_records"
DURATION: Final = "modelarts duration"
_APART_PART: Final = 100  # a hundredth
_ROUNDING_MS: Final = 1000  # of each end of a record


@dataclass(frozen=True, slots=True)
class Metered:
    """Segments, and by how much the center's two statements differ if it is too much (else 0)."""

    segments: tuple[Usage, ...]
    apart_ms: int = 0


def metered(job: Job, run_id: str, units: int) -> Metered | None:
    """Return what an ended job used; None if the center has not stated it yet.

    Records state whole seconds: where the only one states none, the duration says more.
    """
    if not is_final(job):
        return None
    records = [one for one in job.records if one.start_ms]
    if not job.begin_ms:
        return Metered(())
    if records and all(one.end_ms >= one.start_ms for one in records):
        stated_ms = sum(one.end_ms - one.start_ms for one in records)
        if stated_ms or len(records) > 1 or not job.duration_ms:
            apart_ms = _apart_ms(stated_ms, job.duration_ms, len(records))
            source = f"{RECORDS}; duration {job.duration_ms} ms" if apart_ms else RECORDS
            return Metered(
                tuple(
                    _usage(job, run_id, units, i, one, source) for i, one in enumerate(records, 1)
                ),
                apart_ms,
            )
    if not job.duration_ms:
        return None
    start_ms = job.start_ms or job.begin_ms
    last = records[-1] if records else Record(0, 0)
    whole = replace(last, start_ms=start_ms, end_ms=start_ms + job.duration_ms)
    return Metered((_usage(job, run_id, units, 1, whole, DURATION),))


def _apart_ms(stated_ms: int, duration_ms: int, records: int) -> int:
    """By how much two statements differ, if by more than a hundredth and more than rounding."""
    if not duration_ms:
        return 0
    apart_ms = abs(stated_ms - duration_ms)
    tolerated_ms = max(duration_ms // _APART_PART, 2 * _ROUNDING_MS * records)
    return apart_ms if apart_ms > tolerated_ms else 0


def _usage(job: Job, run_id: str, units: int, segment: int, record: Record, source: str) -> Usage:
    return Usage(
        run_id=run_id,
        native_id=job.native_id,
        submit_ms=job.submit_ms,
        segment=segment,
        revision=1,
        start_ms=record.start_ms,
        end_ms=record.end_ms,
        units=units,
        raw_sha256=digest(job),
        source=source,
        failure=cut_off(record.recovery, record.fault, record.reason),
    )


def digest(job: Job) -> str:
    """Digest of those parts of the center's own record that say what was used, both ways."""
    status = job.raw.get("status")
    stated = {
        "metadata": {"id": job.native_id, "name": job.name, "create_time": job.create_ms},
        "status": {
            key: status.get(key) if isinstance(status, dict) else None
            for key in ("phase", "start_time", "duration", "running_records")
        },
        "resource": {"flavor_id": job.flavor_id, "node_count": job.nodes},
    }
    text = json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
