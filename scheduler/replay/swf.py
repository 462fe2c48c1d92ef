"""Logs in the Standard Workload Format (version 2) of the Parallel Workloads Archive.

A line is one job in 18 columns; ``;`` starts the header. Taken are jobs with run > 0, limit > 0
and 0 < size <= machine, where the size is what was requested, or else what was allocated. The run
is cut at the limit. In a log in which no job has a limit (Lublin's model) the limit is the run
time. These are the filters of Gaussier et al. (SC'15), whose figures a replay can be compared with.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from scheduler.replay.trace import ReplayError, Trace, TraceJob, lines, milliseconds

CITY = "replay"
KIND = "cpu"
_COLUMNS = 18
_NAMES = {0: "job number", 1: "submit time", 3: "run time", 4: "allocated processors",
          7: "requested processors", 8: "requested time", 11: "user"}  # fmt: skip


class _Row(NamedTuple):
    job_id: int
    submit_ms: int
    run_ms: int
    limit_ms: int
    units: int
    user: int


def read_swf(path: Path, procs: int | None = None) -> Trace:
    """Read a log, plain or gzip; ``procs`` defaults to the machine that its header names.

    Raises ``ReplayError`` naming file and line.
    """
    header: dict[str, str] = {}
    rows: list[_Row] = []
    seen: set[int] = set()
    for number, line in enumerate(lines(path), 1):
        text = line.strip()
        if not text:
            continue
        if text.startswith(";"):
            name, _, value = text[1:].partition(":")
            header.setdefault(name.strip(), value.strip())
            continue
        row = _row(f"{path}:{number}", text.split())
        if row.job_id in seen:
            raise ReplayError(f"{path}:{number}: job number {row.job_id} is there twice")
        seen.add(row.job_id)
        rows.append(row)
    machine = procs if procs is not None else _machine(header)
    if machine is None:
        raise ReplayError(f"{path}: the header names no machine size: give --procs N")
    jobs, skipped = _select(rows, machine)
    return Trace(path.name, jobs, skipped, by_city=False, procs=machine)


def _row(where: str, fields: list[str]) -> _Row:
    if len(fields) != _COLUMNS:
        raise ReplayError(f"{where}: {len(fields)} columns, not {_COLUMNS} as in SWF")
    column = 0
    try:
        job_id = int(fields[0])
        column = 1
        submit_ms = milliseconds(fields[1])
        column = 3
        run_ms = milliseconds(fields[3])
        column = 4
        allocated = int(fields[4])
        column = 7
        requested = int(fields[7])
        column = 8
        limit_ms = milliseconds(fields[8])
        column = 11
        user = int(fields[11])
    except ValueError as error:
        name, text = _NAMES[column], fields[column]
        raise ReplayError(
            f"{where}: {name} (column {column + 1}): {text!r} is no number"
        ) from error
    if submit_ms < 0:
        raise ReplayError(f"{where}: submit time (column 2): {fields[1]} is below 0")
    return _Row(
        job_id, submit_ms, run_ms, limit_ms, requested if requested > 0 else allocated, user
    )


def _machine(header: dict[str, str]) -> int | None:
    for name in ("MaxProcs", "MaxNodes"):
        first = header.get(name, "").split(" ")[0]
        if first.isdigit() and int(first) > 0:
            return int(first)
    return None


def _select(rows: list[_Row], machine: int) -> tuple[tuple[TraceJob, ...], dict[str, int]]:
    no_limits = all(row.limit_ms <= 0 for row in rows)
    jobs: list[TraceJob] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        limit_ms = row.run_ms if no_limits else row.limit_ms
        if row.run_ms <= 0:
            skipped["no run time"] += 1
        elif limit_ms <= 0:
            skipped["no limit"] += 1
        elif row.units <= 0:
            skipped["no size"] += 1
        elif row.units > machine:
            skipped["too large"] += 1
        else:
            user = f"user{row.user}" if row.user >= 0 else "unknown"
            run_ms = min(row.run_ms, limit_ms)
            jobs.append(
                TraceJob(
                    row.job_id,
                    row.submit_ms,
                    run_ms,
                    limit_ms,
                    row.units,
                    1,
                    CITY,
                    user,
                    user,
                    KIND,
                )
            )
    jobs.sort(key=lambda job: (job.submit_ms, job.job_id))
    return tuple(jobs), dict(skipped)
