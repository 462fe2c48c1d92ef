"""``corridor serve`` and ``init`` as people run them: in processes of their own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import grpc
import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb

from scheduler.client import Client
from scheduler.store import leader
from scheduler.store.database import Database

CORRIDOR = [sys.executable, "-c", "from scheduler.cli.main import main; main()"]


def environment() -> dict[str, str]:
    """Ours without settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CORRIDOR_")}


def run(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*CORRIDOR, *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip


_TOML = """
[server]
listen = "127.0.0.1:0"
[metrics]
listen = "127.0.0.1:0"
[planner]
ray = "off"
[log]
format = "json"
"""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where ``corridor init`` was run once, and the token it printed."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "corridor.toml").write_text(_TOML, encoding="utf-8")
    done = run("init", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, str(json.loads(done.stdout)["token"])


@pytest.fixture
def home(template: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it; its settings file is found when a command runs there."""
    return Path(shutil.copytree(template[0], tmp_path / "home"))


@pytest.fixture
def token(template: tuple[Path, str]) -> str:
    """An operator's token."""
    return template[1]


class Served:
    """A running ``corridor serve``."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*CORRIDOR, "serve", *arguments],
            cwd=home, stderr=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        assert self.process.stderr is not None
        self.stderr: IO[str] = self.process.stderr
        self.said = self._until("serving")

    def _until(self, event: str) -> dict[str, Any]:
        for line in self.stderr:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
        raise AssertionError(f"ended with {self.process.wait()} before {event!r}")

    def end(self, *signals: signal.Signals) -> tuple[int, str]:
        """Send signals, wait for the end; returns the exit code and what was said meanwhile."""
        for number in signals:
            self.process.send_signal(number)
        said = self.stderr.read()
        self.stderr.close()
        return self.process.wait(), said


@pytest.fixture
def served(home: Path) -> Iterator[Served]:
    one = Served(home)
    yield one
    one.process.kill()
    one.process.wait()
    one.stderr.close()


def submit(served: Served, token: str) -> str:
    """Submit one job; returns its id."""
    spec = job_pb2.JobSpec(display_name="a", image="image", command=["run"])
    spec.options.add(flavor="wuhan-ai/ascend-910b", units_per_node=1)
    spec.wall_limit.seconds = 60
    request = pb.SubmitJobsRequest(request_id="one", enterprise="sample-wuhan-1", jobs=[spec])
    with Client(served.said["address"], token) as client:
        return client.jobs.SubmitJobs(request).results[0].job_id


def test_the_first_line_says_where_everything_is(served: Served, home: Path, token: str) -> None:
    said = served.said
    assert said["database"] == "sqlite:///corridor-data/corridor.db"
    assert said["metrics"].startswith("http://127.0.0.1:")
    assert said["planner"] == "in process"
    assert said["simulated_centers"] == ["wuhan-ai", "wuhan-sc"]
    assert submit(served, token).startswith("j")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(served: Served, token: str, number: signal.Signals) -> None:
    submit(served, token)
    code, said = served.end(number)
    assert code == 0
    assert "Traceback" not in said
    assert [json.loads(line)["level"] for line in said.splitlines() if '"error"' in line] == []


def test_a_second_one_ends_with_one_clear_line(served: Served, home: Path, token: str) -> None:
    done = run("serve", cwd=home)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"corridor serve: corridor-data is in use by another service (process {served.process.pid})"
        "; stop that one, or give this one a store.data_dir of its own"
    ]
    assert submit(served, token)


def test_one_that_is_replaced_ends_with_one_clear_line(
    served: Served, home: Path, token: str
) -> None:
    db = Database(f"sqlite:///{home / 'corridor-data' / 'corridor.db'}")
    db.write_future(lambda c: leader.take_over(c, "another", 0)).result()
    db.close()
    # Its admission is fenced, if no other write was before.
    with contextlib.suppress(grpc.RpcError):
        submit(served, token)
    code, said = served.end()
    assert code == 1
    assert said.splitlines()[-1] == (
        "corridor serve: another service leads on this database now; this one has stopped"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--listen", "0.0.0.0:7443"], 1, "give server.tls_cert and server.tls_key"),
        (["--ray", "on"], 2, "planner.ray must be one of auto, off, not 'on' (flag)"),
        (["--set", "loop.tick=1"], 2, "unknown setting 'loop.tick' (flag)"),
        (["--data-dir", "elsewhere"], 1, "run `corridor init` first"),
        (["--config", "none.toml"], 2, "cannot read none.toml"),
        (["--database", "foo"], 1, "store.url: Could not parse"),
        (["--database", "sqlite:///corridor.toml"], 1, "cannot be read: file is not a database"),
    ],
)
def test_what_is_wrong_is_one_line(home: Path, arguments: list[str], code: int, told: str) -> None:
    done = run("serve", *arguments, cwd=home)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    assert told in done.stderr
