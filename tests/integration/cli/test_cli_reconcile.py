"""Comparisons with a center's records from the command line, against a real service."""

import contextlib
import json
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

CENTER = "wuhan-sc"
SHANGHAI = ZoneInfo("Asia/Shanghai")


def text_of(ms: int) -> str:
    """A time as sacct prints it."""
    return datetime.fromtimestamp(ms / 1000, SHANGHAI).strftime("%Y-%m-%dT%H:%M:%S")


def settled(served: Any, job_text: Any) -> tuple[str, str, tuple[Any, ...]]:
    """A job that was settled: its id, the year of its end, and its record of use."""
    made = served.ok("submit", "--wait", served.file(job_text("compared")), who="sample-wuhan-1")
    path = Path(served.home) / "data" / "corridor.db"
    with contextlib.closing(sqlite3.connect(path)) as raw:
        found = raw.execute(
            "SELECT native_id, submit_ms, start_ms, end_ms, units FROM usage_record"
            " ORDER BY end_ms DESC LIMIT 1"
        ).fetchone()
    return made.lines[0].split()[0], text_of(found[3])[:4], found


def test_a_center_that_agrees_and_one_that_does_not(served: Any, job_text: Any) -> None:
    job_id, year, (native, submit_ms, start_ms, end_ms, units) = settled(served, job_text)
    agreed = served.ok("reconcile", "run", CENTER, "--period", year, "--json").json
    assert agreed["reconciliation"]["difference_count"] == 0
    assert agreed["reconciliation"]["agreed_count"] >= 1

    head = "JobIDRaw|JobName|Submit|Start|End|ElapsedRaw|AllocTRES|State"
    seconds = (end_ms - start_ms) // 1000
    row = (
        f"{native}|corridor-{job_id}.1|{text_of(submit_ms)}|{text_of(start_ms)}|"
        f"{text_of(end_ms)}|{seconds + 5}|cpu={units},node=1|COMPLETED"
    )
    file = served.file(f"{head}\n{row}\n", "sacct.txt")
    asked = ("reconcile", "run", CENTER, "--period", year, "--file", file)
    dry = served.run(*asked, "--dry-run", "--json")
    assert dry.code == 1
    mine = [one for one in dry.json["differences"] if one["run_id"].startswith(job_id)]
    assert [one["kind"] for one in mine] == ["SECONDS"]
    assert mine[0]["there"]["seconds"] == mine[0]["here"]["seconds"] + 5
    assert served.ok("reconcile", "list", "--json").json["differences"] == []

    kept = served.run(*asked)
    assert kept.code == 1
    assert "other seconds" in kept.out
    open_ones = served.ok("reconcile", "list", "--json").json["differences"]
    number = next(str(one["difference_id"]) for one in open_ones if one["kind"] == "SECONDS")
    refused = served.run("reconcile", "resolve", number, "corrected", "--reason", "a test")
    assert (refused.code, "was not corrected since" in refused.err) == (1, True)
    served.ok("reconcile", "resolve", number, "ours", "--reason", "its clock was wrong")
    shown = served.ok("reconcile", "list", "--all", CORRIDOR_LANG="zh").out
    assert "时长不同" in shown
    assert served.ok("reconcile", "run", CENTER, "--period", year).code == 0
    assert CENTER in served.ok("reconcile", "history").out


def test_the_centers_record_is_taken_over_and_charged(served: Any, job_text: Any) -> None:
    job_id, year, (native, submit_ms, start_ms, end_ms, units) = settled(served, job_text)
    head = "JobIDRaw|JobName|Submit|Start|End|ElapsedRaw|AllocTRES|State"
    seconds = (end_ms - start_ms) // 1000 + 50
    row = (
        f"{native}|corridor-{job_id}.1|{text_of(submit_ms)}|{text_of(start_ms)}|"
        f"{text_of(start_ms + seconds * 1000)}|{seconds}|cpu={units},node=1|COMPLETED"
    )
    file = served.file(f"{head}\n{row}\n", "sacct.txt")
    served.run("reconcile", "run", CENTER, "--period", year, "--file", file)
    open_ones = served.ok("reconcile", "list", "--json").json["differences"]
    [mine] = [one for one in open_ones if one["run_id"].startswith(job_id)]
    number = str(mine["difference_id"])
    before = served.ok("charge", "show", mine["run_id"], "--json").json
    done = served.ok(
        "reconcile", "resolve", number, "theirs", "--reason", "its log says so", "--json"
    ).json["difference"]
    assert (done["resolution"], done["charge_revision"]) == ("THEIRS: its log says so", 1)
    after = served.ok("charge", "show", mine["run_id"], "--json").json
    assert json.dumps(after) != json.dumps(before)
    assert "its log says so" in json.dumps(after)
    listed = served.ok("reconcile", "list", "--all").out
    assert "THEIRS: its log says so" in listed


def test_what_cannot_be_read_is_named(served: Any) -> None:
    file = served.file("JobIDRaw|JobName\n1|a\n", "bad.txt")
    bad = served.run("reconcile", "run", CENTER, "--period", "2026-03", "--file", file)
    assert (bad.code, "line 1: the header has no Submit" in bad.err) == (2, True)
    bad = served.run("reconcile", "run", CENTER, "--period", "March")
    assert (bad.code, "is not a period" in bad.err) == (2, True)
    bad = served.run("reconcile", "resolve", "1", "forgotten", "--reason", "a test")
    assert (bad.code, "ours, theirs, corrected, explained" in bad.err) == (2, True)
    assert served.run("reconcile", "run", CENTER, "--period", "2026-03", who="wuhan").code == 4
