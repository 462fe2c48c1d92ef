"""A real service in a process of its own, and the command line that talks to it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scheduler.cli.main import app

CORRIDOR = (sys.executable, "-c", "from scheduler.cli.main import main; main()")
SETTINGS: Mapping[str, str] = {
    "metrics.listen": "",
    "log.format": "json",
    "clock.speed": "600",
    "planner.ray": "off",
    "loop.tick_s": "0.05",
    "loop.follow_s": "0.1",
}
OUTCOME, RUNTIME = "corridor.simulated/outcome", "corridor.simulated/runtime-s"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """Its standard error as the JSON of an error."""
        return json.loads(self.err)["error"]

    @property
    def lines(self) -> list[str]:
        """Lines of its standard output."""
        return self.out.splitlines()


@dataclass
class Served:
    """A service in a process; ``home`` keeps its data and the files of commands."""

    home: Path
    program: tuple[str, ...] = CORRIDOR
    port: int = 0
    token: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[str] | None" = None
    reader: threading.Thread | None = None
    said: list[str] = field(default_factory=list)

    def environment(self, token: str, **more: str) -> dict[str, str]:
        """The environment of a command: nothing of the machine's, but its path."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "CORRIDOR_SERVER": f"127.0.0.1:{self.port}",
            "CORRIDOR_TOKEN": token,
            "CORRIDOR_LANG": "en",
            "TZ": "Asia/Shanghai",
            **more,
        }

    def init(self) -> None:
        """Make the database with the sample data."""
        made = subprocess.run(
            [*CORRIDOR, "init", "--json", "--data-dir", str(self.home / "data")],
            capture_output=True, text=True, check=True, env=self.environment(""), cwd=self.home,
        )  # fmt: skip
        self.token = json.loads(made.stdout)["token"]

    def start(self) -> None:
        """Serve on the port of before, a free one the first time; returns once it serves."""
        flags = [f"--set={name}={value}" for name, value in SETTINGS.items()]
        self.process = subprocess.Popen(
            [
                *CORRIDOR, "serve", "--data-dir", str(self.home / "data"),
                "--listen", f"127.0.0.1:{self.port}", *flags,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=self.environment(""), cwd=self.home,
        )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if '"serving"' in line:
                self.port = int(json.loads(line)["address"].rpartition(":")[2])
                # What it says later must not fill the pipe.
                self.reader = threading.Thread(
                    target=self.said.extend, args=(self.process.stdout,), daemon=True
                )
                self.reader.start()
                return
        raise AssertionError("the service did not start: " + "".join(self.said))

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.clear()

    def stop(self) -> None:
        """End it as an operator does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0
        self.clear()

    def clear(self) -> None:
        """Wait for the end of the process, and close what it wrote to."""
        if self.process is not None and self.process.stdout is not None:
            self.process.wait()
            if self.reader is not None:
                self.reader.join()
            self.process.stdout.close()
        self.process = self.reader = None

    def run(self, *args: str, who: str = "operator", input: str = "", **env: str) -> Ran:
        """Run a command in this process as ``who``: operator, an enterprise or a city."""
        clean: dict[str, str | None] = dict.fromkeys(os.environ)
        given = {**clean, **self.environment(self.token_of(who), **env)}
        result = CliRunner().invoke(app, list(args), input=input, env=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    def ok(self, *args: str, **how: Any) -> Ran:
        """Run a command that must succeed."""
        ran = self.run(*args, **how)
        assert ran.code == 0, ran.err + "".join(self.said[-5:])
        return ran

    def token_of(self, who: str) -> str:
        """The token of an enterprise's admin or a city's admin, made when first asked for."""
        if who == "operator" or not who:
            return self.token if who else ""
        if who not in self.tokens:
            scope = (
                ("enterprise_admin", "--enterprise")
                if who.startswith("sample-")
                else ("city_admin", "--city")
            )
            made = self.ok("token", "create", f"admin of {who}", "--role", scope[0], scope[1], who)
            self.tokens[who] = made.out.strip()
        return self.tokens[who]

    def file(self, text: str, name: str = "job.yaml") -> str:
        """Write a file; returns its path."""
        path = self.home / name
        path.write_text(text, encoding="utf-8")
        return str(path)


def small_job(name: str, *, runtime_s: int = 60, outcome: str = "", more: str = "") -> str:
    """A small job as YAML; its simulated run takes ``runtime_s`` seconds of scheduling time."""
    labels = {RUNTIME: str(runtime_s), **({OUTCOME: outcome} if outcome else {})}
    return (
        f"name: {name}\nflavor: wuhan-sc/kunpeng-920\nunits_per_node: 4\nwall_limit: 2h\n"
        f"labels: {json.dumps(labels)}\n{more}"
    )


def _served(home: Path) -> Iterator[Served]:
    served = Served(home)
    served.init()
    served.start()
    try:
        yield served
        if served.process is not None:
            served.stop()
    finally:
        if served.process is not None:
            served.kill()
        shutil.rmtree(home / "data", ignore_errors=True)


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service for all tests that do not end it."""
    yield from _served(tmp_path_factory.mktemp("served"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """A service of the test's own, to be killed and started again."""
    yield from _served(tmp_path)


@pytest.fixture(scope="package")
def job_text() -> Any:
    """Makes the text of a small job."""
    return small_job
