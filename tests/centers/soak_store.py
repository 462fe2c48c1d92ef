"""What a soak's programs wrote, and what the store of its service has, read for ``soak_books``."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from scheduler.domain.ids import center_name, run_id
from tests.centers.soak_books import Line, Run


def read_lines(path: Path) -> list[Line]:
    """What programs wrote."""
    words = (line.split() for line in path.read_text().splitlines())
    return [
        Line(what, job, int(native), name, int(restarts), int(at_ms) / 1000)
        for what, job, native, name, restarts, at_ms in words
    ]


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
        " AND l.attempt = r.attempt), CAST(r.native_id AS INTEGER),"
        " coalesce(r.accept_ms, 0) / 1000, coalesce(r.end_ms, 0) / 1000 FROM run r",
    )
    runs = (
        Run(center_name(run_id(uid, attempt)), uid, attempt, *told) for uid, attempt, *told in found
    )
    return {run.name: run for run in runs}
