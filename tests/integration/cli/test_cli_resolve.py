"""A run resolved by hand from the command line, against a real service."""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

REASON = ("--reason", "looked at the center")


def is_running(path: Path) -> bool:
    """Whether the one run of a service has begun."""
    with contextlib.closing(sqlite3.connect(path)) as raw:
        return bool(raw.execute("SELECT 1 FROM run WHERE state = 'RUNNING'").fetchone())


def test_a_run_that_nobody_knows_is_resolved(own: Any, job_text: Any) -> None:
    made = own.ok(
        "submit", own.file(job_text("resolved", runtime_s=10_000_000)), who="sample-wuhan-1"
    )
    run = f"{made.lines[0].split()[0]}.1"
    path = Path(own.home) / "data" / "corridor.db"
    while not is_running(path):
        time.sleep(0.02)
    refused = own.run("center", "resolve", run, "--as", "lost", *REASON)
    assert (refused.code, "only a run that is UNKNOWN" in refused.err) == (1, True)
    with contextlib.closing(sqlite3.connect(path)) as raw, raw:  # as if its center was silent
        raw.execute("UPDATE run SET state = 'UNKNOWN' WHERE state = 'RUNNING'")
    wrong = own.run("center", "resolve", run, "--as", "gone", *REASON)
    assert (wrong.code, "never-started" in wrong.err) == (2, True)
    done = own.ok("center", "resolve", run, "--as", "cancelled", *REASON, "--json").json
    assert (done["run_state"], done["job_state"]) == ("CANCELLED", "CANCELLED")
    shown = own.ok("center", "resolve", run, "--as", "cancelled", *REASON, CORRIDOR_LANG="zh")
    assert "已取消" in shown.out
    assert "RUN_RESOLVED" in own.ok("audit").out
