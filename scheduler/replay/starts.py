"""The starts of a replay as CSV rows."""

import csv
from pathlib import Path

from scheduler.replay.simulate import Replayed
from scheduler.replay.trace import ReplayError

COLUMNS = ("job_id", "submit_s", "start_s", "end_s", "city", "kind", "units")


def seconds(at_ms: int) -> str:
    """Seconds as text, without a point if they are whole."""
    whole, rest = divmod(at_ms, 1000)
    return str(whole) if not rest else f"{whole}.{rest:03d}".rstrip("0")


def write_starts(path: Path, replayed: Replayed) -> None:
    """Write one row a job, sorted by job id; raises ``ReplayError`` if that fails."""
    rows = sorted(zip(replayed.jobs, replayed.start_ms, strict=True))
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for job, start_ms in rows:
                writer.writerow(
                    (
                        job.job_id, seconds(job.submit_ms), seconds(start_ms),
                        seconds(start_ms + job.run_ms), job.city, job.kind, job.units,
                    )
                )  # fmt: skip
    except OSError as error:
        raise ReplayError(f"cannot write {path}: {error.strerror or error}") from error
