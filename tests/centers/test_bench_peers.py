"""The comparison with Slurm runs as people run it, and gives every figure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers_words import TABLES

pytestmark = pytest.mark.centers

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="a real Slurm needs root")
def test_quick_run_gives_every_figure(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", "--quick", "--json", str(file)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads(file.read_text("utf-8"))
    found = {
        (one["table"], one["row"].partition("@")[0], one["door"]) for one in content["figures"]
    }
    # Every row has a figure of ours, and of some door of the other side where there is one.
    for table in TABLES:
        for row in table.rows:
            doors = {door for door in table.doors if (table.key, row.key, door) in found}
            assert doors, (table.key, row.key)
            if table.race:
                assert table.ours in doors, (table.key, row.key)
                assert doors & set(table.peers), (table.key, row.key)
    assert all(value >= 0 for one in content["figures"] for value in one["values"])
    rates = {(one["row"], one["door"]): one["values"] for one in content["figures"]}
    assert all(value > 0 for value in rates["serial", "api"] + rates["serial", "rest"])
    assert content["machine"]["postgresql"]["fsync"] == "on"
    assert content["machine"]["postgresql"]["synchronous_commit"] == "on"
    assert "batch_sched_delay=1" in content["machine"]["scheduling"]
