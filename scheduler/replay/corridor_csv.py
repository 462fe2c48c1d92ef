"""Workloads of the corridor: a CSV file (plain or gzip) with a header, one job a line.

| column | meaning |
|---|---|
| submit_s | seconds since 00:00 of the first day |
| city | city code |
| enterprise | whose quota and order; ``user`` stands in where the column is missing |
| user | optional |
| kind | cpu (cores), npu or gpu (cards) |
| units, nodes | cores or cards of all nodes together; nodes optional |
| walltime_req_s | the limit asked for |
| runtime_s | how long it runs (cut at the limit) |
| job_id | a whole number, unlike in all lines |

Other columns are ignored. Jobs without run time, limit or units are left out and counted.
"""

import csv
from collections import Counter
from pathlib import Path

from scheduler.replay.trace import ReplayError, Trace, TraceJob, lines, milliseconds

_NEEDED = ("submit_s", "city", "kind", "units", "walltime_req_s", "runtime_s", "job_id")


class _Columns:
    """Where in a line each column is; -1 for one that is missing."""

    def __init__(self, path: Path, header: list[str]) -> None:
        missing = [name for name in _NEEDED if name not in header]
        if not {"enterprise", "user"} & set(header):
            missing.append("enterprise")
        if missing:
            raise ReplayError(f"{path}:1: the header lacks {', '.join(missing)}")
        if len(set(header)) != len(header):
            raise ReplayError(f"{path}:1: a column is there twice")

        def at(name: str) -> int:
            return header.index(name) if name in header else -1

        self.count = len(header)
        self.submit, self.run, self.wall = at("submit_s"), at("runtime_s"), at("walltime_req_s")
        self.units, self.nodes, self.job_id = at("units"), at("nodes"), at("job_id")
        self.city, self.kind, self.user = at("city"), at("kind"), at("user")
        self.enterprise = at("enterprise") if "enterprise" in header else self.user
        if self.user < 0:
            self.user = self.enterprise
        self.header = header

    def job(self, where: str, row: list[str]) -> TraceJob:
        """The job of one line, unfiltered."""
        if len(row) != self.count:
            raise ReplayError(f"{where}: {len(row)} columns, {self.count} in the header")
        at = self.submit
        try:
            submit_ms = milliseconds(row[at])
            at = self.run
            run_ms = milliseconds(row[at])
            at = self.wall
            wall_ms = milliseconds(row[at])
            at = self.units
            units = int(row[at])
            at = self.job_id
            job_id = int(row[at])
            at = self.nodes
            nodes = int(row[at]) if at >= 0 else 1
        except ValueError as error:
            raise ReplayError(f"{where}: {self.header[at]}: {row[at]!r} is no number") from error
        city, enterprise, kind = row[self.city], row[self.enterprise], row[self.kind]
        for name, value in (("city", city), ("enterprise", enterprise), ("kind", kind)):
            if not value:
                raise ReplayError(f"{where}: {name} is empty")
        if submit_ms < 0:
            raise ReplayError(f"{where}: submit_s: {row[self.submit]} is below 0")
        return TraceJob(
            job_id, submit_ms, min(run_ms, wall_ms), wall_ms, units, nodes, city, enterprise,
            row[self.user], kind,
        )  # fmt: skip


def read_corridor_csv(path: Path) -> Trace:
    """Read a workload of the corridor; raises ``ReplayError`` naming file and line."""
    reader = csv.reader(lines(path))
    jobs: list[TraceJob] = []
    skipped: Counter[str] = Counter()
    seen: set[int] = set()
    try:
        header = next(reader, None)
        if header is None:
            raise ReplayError(f"{path}: empty file")
        columns = _Columns(path, header)
        for row in reader:
            if not row:
                continue
            where = f"{path}:{reader.line_num}"
            job = columns.job(where, row)
            if job.job_id in seen:
                raise ReplayError(f"{where}: job_id {job.job_id} is there twice")
            seen.add(job.job_id)
            why = _unusable(job)
            if why:
                skipped[why] += 1
            else:
                jobs.append(job)
    except csv.Error as error:
        raise ReplayError(f"{path}:{reader.line_num}: {error}") from error
    jobs.sort(key=lambda job: (job.submit_ms, job.job_id))
    return Trace(path.name, tuple(jobs), dict(skipped), by_city=True)


def _unusable(job: TraceJob) -> str:
    if job.wall_ms <= 0:
        return "no limit"
    if job.run_ms <= 0:
        return "no run time"
    if job.units <= 0:
        return "no size"
    return ""
