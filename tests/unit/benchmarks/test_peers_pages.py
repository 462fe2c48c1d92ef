"""The comparison with Slurm: what is said of figures, and where it is written."""

import re
from pathlib import Path

import pytest

from benchmarks import peers_pages
from benchmarks.peers_log import Log, spread, times
from benchmarks.peers_words import TABLES

BY_KEY = {table.key: table for table in TABLES}
MACHINE = {
    "date": "2026-11-27 07:00", "cpu": "a processor", "cpus": 2, "memory_gb": 24, "kernel": "6",
    "disk": "/dev/vda (ext4)", "python": "3.11", "slurm": "22.05.8", "corridor": "0.1.0",
    "postgresql": {"server_version": "15", "fsync": "on", "synchronous_commit": "on",
                   "shared_buffers": "128MB"},
    "revision": "abc", "minutes": 17.5, "load_before": [1.0, 2.0, 3.0],
    "load_after": [4.0, 5.0, 6.0],
}  # fmt: skip


def logged() -> Log:
    """Some figures of each side."""
    log = Log()
    log.add("submit", "serial", "rest", 500.0, 700.0, 600.0)
    log.add("submit", "serial", "command", 100.0)
    log.add("submit", "serial", "api", 1_200.0, 900.0)
    log.add("latency", "p50@50000", "rest", 2.0)
    log.add("latency", "p50@10000", "rest", 1.0)
    log.add("latency", "p50@10000", "api", 4.0)
    return log


def test_a_cell_has_the_median_with_the_least_and_the_most() -> None:
    assert spread([500.0, 700.0, 610.0]) == "610 (500–700)"
    assert spread([0.0123]) == "0.0123"
    assert spread([]) == ""
    assert [times(ratio) for ratio in (0.254, 1.96, 12.4)] == ["0.25", "2", "12"]


def test_ahead_is_measured_against_the_better_door_of_the_other_side() -> None:
    log = logged()
    submit, latency = BY_KEY["submit"], BY_KEY["latency"]
    [serial] = [row for row in submit.rows if row.key == "serial"]
    assert log.ahead(submit, serial) == pytest.approx(1_050 / 600)
    # Where less is better a ratio above one still is ahead.
    p50 = latency.rows[0].sized("10000")
    assert log.ahead(latency, p50) == pytest.approx(1 / 4)
    assert log.ahead(latency, latency.rows[0].sized("50000")) is None


def test_what_is_behind_is_told_as_missed() -> None:
    figures = {figure.what: figure for figure in logged().figures()}
    ahead = figures["submissions: one caller, one job a call"]
    behind = figures["latency of a submission: 10,000 pending, p50"]
    assert (ahead.met, ahead.peer, ahead.peer_value) == (True, "slurmrestd", 600.0)
    assert (behind.met, behind.target) == (False, 1.0)


def test_a_table_has_rows_by_size_and_only_doors_that_were_measured() -> None:
    lines = logged().markdown(BY_KEY["latency"], "en").splitlines()
    assert lines == [
        "|  | slurmrestd | Corridor's API | ahead |",
        "|---|---|---|---|",
        "| 10,000 pending, p50, ms | 1 | 4 | 0.25 x |",
        "| 50,000 pending, p50, ms | 2 |  |  |",
    ]
    assert "10,000 个排队，p50" in logged().markdown(BY_KEY["latency"], "zh")


def test_each_comparison_is_told_as_reached_ahead_or_behind() -> None:
    log = logged()
    log.add("list", "page@10000", "rest", 2_000.0)
    log.add("list", "page@10000", "command", 300.0)
    log.add("list", "page@10000", "api", 5.0)
    reached, ahead, behind = log.verdicts("en").splitlines()[2:]
    assert "lists: the newest 100 of 10,000 (60 x)" in reached
    assert "submissions: one caller, one job a call (1.8 x)" in ahead
    assert "latency of a submission: 10,000 pending, p50 (0.25 x)" in behind


def test_figures_survive_being_written_and_read() -> None:
    log = logged()
    assert Log.read(log.plain()) == log


def test_pages_get_the_figures_between_their_marks_and_keep_the_rest(tmp_path: Path) -> None:
    submit, where = "<!-- submit -->\nold\n<!-- /submit -->", "<!-- where -->\n<!-- /where -->"
    for name in peers_pages.PAGES.values():
        text = f"before\n{submit}\nafter\n{where}\n"
        (tmp_path / name).write_text(text, "utf-8")
    peers_pages.write(logged(), MACHINE, tmp_path)
    peers_pages.write(logged(), MACHINE, tmp_path)
    english = (tmp_path / peers_pages.PAGES["en"]).read_text("utf-8")
    assert english.startswith("before\n<!-- submit -->\n|  | slurmrestd |")
    assert english.count("| one caller, one job a call, jobs/s | 600 (500–700) | 100 |") == 1
    assert "old" not in english
    assert "load of the machine over 1/5/15 minutes 1.0/2.0/3.0 before" in english
    chinese = (tmp_path / peers_pages.PAGES["zh"]).read_text("utf-8")
    assert "1 个调用者" in chinese


@pytest.mark.parametrize("name", peers_pages.PAGES.values())
def test_the_pages_have_a_place_for_each_table(name: str) -> None:
    page = (peers_pages.DOCS / name).read_text("utf-8")
    marks = re.findall(r"^<!-- (\w+) -->$", page, re.MULTILINE)
    assert sorted(marks) == sorted([*BY_KEY, "targets", "where"])
    assert all(f"<!-- /{mark} -->" in page for mark in marks)
    assert "TBD" not in page
