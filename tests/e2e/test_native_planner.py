"""The compiled planner plans what the plain one does: that is its oracle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def planned(packages: Path) -> list[str]:
    """What is printed of days planned with these packages."""
    path = os.pathsep.join(map(str, (packages, ROOT, ROOT / "proto" / "gen")))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "e2e" / "planned_days.py")],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_the_compiled_planner_plans_the_same(tmp_path: Path) -> None:
    native = tmp_path / "native"
    build = [sys.executable, str(ROOT / "deploy" / "native.py"), str(native)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    is_compiled, starts, evictions, plans = planned(native)
    assert is_compiled == "True"
    assert int(starts) > 10_000
    assert int(evictions) > 50
    assert planned(ROOT) == ["False", starts, evictions, plans]
