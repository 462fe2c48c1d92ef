"""Lines of the log have the ids of what they are about, whoever writes them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.collector import collecting
from tests.integration.serve.talkative_service import OTHER, TRACE

ROOT = Path(__file__).parents[3]


def run_one(installed: Any, form: str, **more: object) -> tuple[str, list[str]]:
    """Run one job on a service; returns its id, and the lines of the log."""
    given = {"clock.speed": 1, "loop.follow_s": 0.05, **more}
    under = installed.with_flags(given)
    flags = {name: value for name, value, origin in under.settings.rows() if origin == "flag"}
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.integration.serve.talkative_service", form,
            json.dumps(flags), installed.token,
        ],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.splitlines()


def test_each_line_about_a_job_has_its_ids(installed: Any) -> None:
    with collecting() as collector:
        job_id, written = run_one(installed, "json", **{"tracing.endpoint": collector.address})
    lines = [json.loads(line) for line in written]
    known = {
        "city": "wuhan", "enterprise": "sample-wuhan-1", "job": job_id, "trace_id": TRACE,
    }  # fmt: skip
    mine = [line for line in lines if job_id in json.dumps(line)]
    for line in mine:
        assert {name: line.get(name) for name in known} == known, line
    of_run = [line for line in mine if line["event"] != "submitted"]
    assert {line["run"] for line in of_run} == {f"{job_id}.1"}
    told = [line["event"] for line in mine]
    assert {"submitted", "admitted", "run_sent", "run_seen"} <= set(told)
    # Words that name nobody are about the run of the call they were said in, others about whom
    # they name.
    assert told.count("the pool is 90 % full") == 3
    [other] = {
        (line["run"], line["job"], line.get("city"), line["logger"])
        for line in lines
        if line["event"].endswith("is in the way")
    }
    assert other == (OTHER, OTHER.partition(".")[0], None, "some.library")


def test_a_terminal_shows_the_same_ids_also_without_traces(installed: Any) -> None:
    job_id, written = run_one(installed, "console")
    said = [line for line in written if "90 % full" in line]
    assert len(said) == 3
    assert all(job_id in line and f"{job_id}.1" in line and "wuhan" in line for line in said)
    assert not any("trace_id" in line for line in written)
