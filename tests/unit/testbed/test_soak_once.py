"""What docs/slurm.md tells a program to begin with that must not run twice."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.centers.soak import ONCE

DOCS = Path(__file__).parents[3] / "docs"


def start(folder: Path, program: str, restarts: str = "") -> int:
    """Start it as Slurm does; returns how it exits (negative: by a signal)."""
    script = folder / "script"
    script.write_text(
        "#!/bin/sh\n" + ONCE.format(folder=folder) + f"echo >>{folder}/ran\n{program}"
    )
    env = {"PATH": os.environ["PATH"], "CORRIDOR_RUN": "j1.1"}
    if restarts:
        env["SLURM_RESTART_COUNT"] = restarts
    return subprocess.run(["/bin/sh", script], env=env, stderr=subprocess.DEVNULL).returncode


def ran(folder: Path) -> int:
    return len((folder / "ran").read_text().splitlines())


@pytest.mark.parametrize("code", [0, 7])
def test_what_is_started_again_ends_as_it_ended_and_does_nothing(tmp_path: Path, code: int) -> None:
    assert [start(tmp_path, f"exit {code}") for _ in range(3)] == [code] * 3
    assert ran(tmp_path) == 1


def test_what_is_started_again_fails_if_nobody_knows_how_it_ended(tmp_path: Path) -> None:
    assert start(tmp_path, "kill -9 $$") == -9
    assert start(tmp_path, "exit 0") == 1
    assert ran(tmp_path) == 1


def test_a_run_that_was_put_back_starts_anew(tmp_path: Path) -> None:
    assert start(tmp_path, "exit 3") == 3
    assert [start(tmp_path, "exit 0", restarts="1") for _ in range(2)] == [0, 0]
    assert ran(tmp_path) == 2


@pytest.mark.parametrize("page", ["slurm.md", "slurm.zh-CN.md"])
def test_the_page_shows_what_is_tried(page: str) -> None:
    assert ONCE.format(folder="/share/corridor/once") in (DOCS / page).read_text("utf-8")
