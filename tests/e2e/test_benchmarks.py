"""The benchmarks run as people run them, and give every figure."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.registry import ALL

ROOT = Path(__file__).parents[2]
#: How many figures each gives in a quick run.
FIGURES = {
    "submit": 15,
    "drive": 7,
    "start": 4,
    "plan": 8,
    "move": 6,
    "ledger": 15,
    "postgres": 36,
    "statement": 6,
    "replay": 3,
    "modelarts": 3,
    "slurm": 0,  # five with a cluster of their own, see benchmarks/slurm.py
    "agent": 4,
    "queue": 10,
    "replicas": 17,
    "ray": 12,
    "watch": 3,
    "soak": 17,
    "traces": 6,
}


@pytest.mark.slow
@pytest.mark.ray
def test_quick_run_gives_every_figure(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", str(file)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text("utf-8"))["figures"]
    counts = {name: sum(one["benchmark"] == name for one in figures) for name in ALL}
    assert counts == FIGURES
    assert all(one["value"] >= 0 for one in figures)
    # What is no matter of speed must hold on any machine.
    exact = {one["what"]: one["value"] for one in figures if one["target"] == 0}
    assert exact == dict.fromkeys(exact, 0)
    assert len(exact) == 8
    for what in ("jobs a call", "submit -> run accepted", "first job placed"):
        assert any(what in one["what"] for one in figures)
