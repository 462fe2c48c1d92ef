"""``corridor demo --centers real`` that is killed: its guards stop Slurm and the test server."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.centers

CORRIDOR = str(Path(sys.executable).with_name("corridor"))
#: Far above what anything here takes; only a defect is waited for so long.
PATIENCE_S = 240


def processes_that_name(*words: str) -> list[str]:
    """Command lines of processes with any of the words in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if any(word in line for word in words):
            found.append(line)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="a real Slurm needs root")
def test_killed_it_leaves_neither_service_nor_center(tmp_path: Path) -> None:
    site = tmp_path / "site"
    with subprocess.Popen(
        [CORRIDOR, "demo", "--centers", "real", "--ray", "off", "--dir", str(site)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stderr is not None
        assert any("metrics at" in line for line in running.stderr)
        center = yaml.safe_load((site / "centers" / "slurm-center.yaml").read_text("utf-8"))
        token = Path(center["centers"][0]["settings"]["token"]["file"])
        slurm = token.parents[1]
        started = processes_that_name(str(site), str(slurm))
        assert any("tests.modelarts_center" in line for line in started)
        assert any("mariadbd" in line for line in started)
        running.send_signal(signal.SIGKILL)
        running.wait(PATIENCE_S)
    end_s = time.monotonic() + PATIENCE_S
    while (left := processes_that_name(str(site), str(slurm))) or slurm.exists():
        assert time.monotonic() < end_s, left
        time.sleep(0.1)
