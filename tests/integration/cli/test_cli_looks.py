"""Every table on a terminal of 80 columns, in both languages, fits and says what it is about."""

import re
from typing import Any

import pytest
from rich.cells import cell_len

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
TABLES = (
    ("jobs",),
    ("quota", "get"),
    ("quota", "get", "--enterprises"),
    ("programme", "list"),
    ("fund", "show"),
    ("ledger", "list"),
    ("ledger", "verify"),
    ("center", "list"),
    ("center", "show", "wuhan-sc"),
    ("city", "list"),
    ("enterprise", "list"),
    ("token", "list"),
    ("profile", "list"),
    ("whoami",),
)


@pytest.fixture(scope="module")
def jobs(served: Any, job_text: Any) -> list[str]:
    """A job that ended, one that runs, one that waits and one that is held."""
    ended = job_text("a job with quite a long name, longer than a column")
    running = job_text("running", runtime_s=7000)
    waiting = job_text("waiting").replace(
        "units_per_node: 4", "units_per_node: 64\nnodes: 90\nwait_if_too_large: true"
    )
    held = job_text("held", more="held: true\n")
    wait = served.ok("submit", "--wait", served.file(ended), who="sample-ezhou-1")
    rest = served.file("---\n".join([running, waiting, held]))
    return [*wait.lines, *served.ok("submit", rest, who="sample-ezhou-1").lines]


def on_terminal(served: Any, lang: str, *args: str, width: int = 80, **env: str) -> list[str]:
    """Lines of a command as a terminal shows them, checked to fit."""
    ran = served.ok(
        *args, CORRIDOR_LANG=lang, FORCE_COLOR="1", COLUMNS=str(width), TERM="xterm-256color", **env
    )
    lines = [ESCAPE.sub("", line) for line in ran.lines]
    assert [line for line in lines if cell_len(line) > width] == []
    return lines


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_tables_fit(served: Any, jobs: list[str], lang: str) -> None:
    for table in TABLES:
        assert on_terminal(served, lang, *table), table
    for job in jobs:
        assert on_terminal(served, lang, "job", job)[0].endswith(job)
        on_terminal(served, lang, "explain", job)
    on_terminal(served, lang, "watch", "--from-start", "--until-ended", jobs[0], width=200)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_receipts_fit(served: Any, job_text: Any, lang: str) -> None:
    file = served.file(job_text("priced"))
    for files in ((file,), (file, file)):
        args = ("quote", "--enterprise", "sample-ezhou-1", *files)
        assert any("¥0.56" in line for line in on_terminal(served, lang, *args))


def test_a_terminal_gets_relative_times_and_a_pipe_instants(served: Any, jobs: list[str]) -> None:
    wide = on_terminal(served, "en", "jobs", width=200)
    assert all(" ago" in line for line in wide[1:])
    piped = served.ok("jobs").lines
    assert all(
        re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", line) for line in piped[1:]
    )
    assert "\x1b" not in "".join(piped)


def test_color_is_for_those_who_want_it(served: Any, jobs: list[str]) -> None:
    colored = served.ok("jobs", FORCE_COLOR="1", COLUMNS="80", TERM="xterm-256color")
    assert "\x1b[3" in colored.out
    plain = served.ok("jobs", FORCE_COLOR="1", COLUMNS="80", TERM="xterm-256color", NO_COLOR="1")
    assert "\x1b[3" not in plain.out


def test_a_narrow_terminal_keeps_what_matters(served: Any, jobs: list[str]) -> None:
    lines = on_terminal(served, "en", "jobs", width=40)
    assert lines[0].split() == ["JOB", "STATE"]
    assert on_terminal(served, "en", "jobs", width=60)[0].split()[:2] == ["JOB", "STATE"]
