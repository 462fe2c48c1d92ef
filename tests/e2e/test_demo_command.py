"""``corridor demo`` as people run it: it checks itself, leaves nothing behind, and can stay up."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

CORRIDOR = str(Path(sys.executable).with_name("corridor"))
#: Far above what anything here takes; only a defect is waited for so long.
PATIENCE_S = 120
FEW = ("--jobs", "200", "--speed", "20000")


def demo(*options: str, directory: Path) -> list[str]:
    return [CORRIDOR, "demo", "--dir", str(directory), *options]


def processes_of(directory: Path) -> list[str]:
    """Command lines of processes that name the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line:
            found.append(line)
    return found


def wait_until_gone(directory: Path) -> None:
    """Wait until no process names the directory."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (found := processes_of(directory)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert found == []


def lines_until(lines: Iterable[str], end: str) -> Iterator[str]:
    """Lines up to and with the first that ends so."""
    for line in lines:
        yield line.rstrip("\n")
        if line.rstrip("\n").endswith(end):
            return


def test_a_short_demonstration_holds_and_leaves_no_process(tmp_path: Path) -> None:
    site = tmp_path / "site"
    ended = subprocess.run(
        demo(*FEW, "--ray", "off", directory=site),
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    checks = re.findall(r"^(\w+) +(no run doubled|ledger|quota|no ack|no err)", ended.stdout, re.M)
    assert [word for word, _ in checks] == ["held"] * 5
    assert re.search(r"200 acknowledged, 200\s+there and ended", ended.stdout)
    assert all(len(line) <= 80 for line in ended.stdout.splitlines() if "/" not in line)
    for name in ("corridor.db", "metrics.prom", "service.log", "centers/wuhan-ai.journal"):
        assert (site / name).stat().st_size > 0
    assert 'corridor_planner_backend{backend="local"} 1.0' in (site / "metrics.prom").read_text()
    assert processes_of(site) == []


def test_left_up_it_prints_commands_that_work_and_ends_on_a_signal(tmp_path: Path) -> None:
    site = tmp_path / "site"
    with subprocess.Popen(
        demo("--jobs", "20", "--speed", "20000", "--ray", "off", "--serve", directory=site),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as running:  # fmt: skip
        try:
            assert running.stdout is not None
            said = list(lines_until(running.stdout, "corridor jobs"))
            pasted = [line for line in said if line.startswith("export ") or "corridor" in line]
            exported, *commands = pasted[-4:]
            assert exported.startswith("export CORRIDOR_SERVER=")
            assert [shlex.split(line)[-2 if "yaml" in line else -1] for line in commands] == [
                "quote", "submit", "jobs"
            ]  # fmt: skip
            ended = subprocess.run(
                ["sh", "-ec", "\n".join(pasted[-4:])],
                capture_output=True, text=True, timeout=PATIENCE_S, check=False,
                env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
            )  # fmt: skip
            assert ended.returncode == 0, ended.stdout + ended.stderr
            assert "my-first-job" in ended.stdout
        finally:
            running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE_S) == 0
    assert processes_of(site) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_or_killed_it_leaves_no_service(tmp_path: Path, number: int) -> None:
    site = tmp_path / "site"
    with subprocess.Popen(
        demo("--jobs", "300", "--speed", "100", "--ray", "off", "--rm", directory=site),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stderr is not None
        assert any("metrics at" in line for line in running.stderr)
        assert len(processes_of(site)) == 2
        running.send_signal(number)
        status = running.wait(PATIENCE_S)
    assert status == (130 if number == signal.SIGINT else -signal.SIGKILL)
    wait_until_gone(site)
    assert site.exists() == (number == signal.SIGKILL)


def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    ended = subprocess.run(
        demo(directory=tmp_path),
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "is not empty; give a new directory" in ended.stderr


@pytest.mark.slow
@pytest.mark.ray
def test_it_moves_to_ray_while_jobs_come(tmp_path: Path) -> None:
    site = tmp_path / "site"
    ended = subprocess.run(
        demo("--jobs", "300", "--speed", "500", directory=site),
        capture_output=True, text=True, timeout=3 * PATIENCE_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert 'corridor_planner_backend{backend="ray"} 1.0' in (site / "metrics.prom").read_text()
    assert "planner in process" in ended.stderr
    assert "planner on Ray" in ended.stderr
    assert processes_of(site) == []
