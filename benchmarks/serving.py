"""A service in a process of its own: run as ``corridor serve``, measured, and ended for sure."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from benchmarks.site import Site

ROOT: Final = Path(__file__).parents[1]
_PATIENCE_S: Final = 300.0
_STOP_S: Final = 20.0
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Process:
    """A process that says lines of JSON on its standard error."""

    popen: "subprocess.Popen[str]"
    began_s: float
    _lines: "queue.SimpleQueue[dict[str, Any] | None]" = field(default_factory=queue.SimpleQueue)
    _tail: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self._tail = [*self._tail[-20:], line.rstrip()]
            if line.startswith("{"):
                self._lines.put(json.loads(line))
        self._lines.put(None)

    def hear(self, event: str) -> dict[str, Any]:
        """Wait until it says ``event``. Raises ``RuntimeError`` if it ends before."""
        while True:
            said = self._lines.get(timeout=_PATIENCE_S)
            if said is None:
                raise RuntimeError("it ended before " + event + ":\n" + "\n".join(self._tail))
            if said.get("event") == event:
                return said

    def cpu_s(self) -> float:
        """CPU seconds of the process so far, its threads included, its children not."""
        text = Path(f"/proc/{self.popen.pid}/stat").read_text(encoding="ascii")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def private_bytes(self) -> int:
        """Memory of its own that is resident: neither mapped files nor shared."""
        text = Path(f"/proc/{self.popen.pid}/statm").read_text(encoding="ascii")
        _, resident, shared, *_ = map(int, text.split())
        return (resident - shared) * _PAGE_BYTES

    def end(self) -> None:
        """Ask it to end, then make it."""
        self.popen.terminate()
        try:
            self.popen.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        if self.popen.stderr is not None:
            self.popen.stderr.close()


@contextmanager
def running(command: Sequence[str]) -> Iterator[Process]:
    """Run a command that says lines of JSON on its standard error; it is ended for sure."""
    began_s = perf_counter()
    popen = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process = Process(popen, began_s)
    try:
        yield process
    finally:
        process.end()


@dataclass(frozen=True, slots=True)
class Served:
    """A service that takes calls at ``address`` and tells its metrics at the URL ``metrics``."""

    process: Process
    address: str
    token: str
    metrics: str = ""


@contextmanager
def serve(site: Site) -> Iterator[Served]:
    """Run ``corridor serve`` on a site, on free ports."""
    corridor = Path(sys.executable).with_name("corridor")
    settings = {"server.listen": "127.0.0.1:0", "metrics.listen": "127.0.0.1:0", **site.flags}
    assignments = [f"--set={name}={value}" for name, value in settings.items()]
    with running([str(corridor), "serve", *assignments]) as process:
        said = process.hear("serving")
        yield Served(process, str(said["address"]), site.token, str(said["metrics"]))


@contextmanager
def serve_without_store(site: Site) -> Iterator[Served]:
    """Run the same service with a store that keeps nothing (``benchmarks.bare_service``)."""
    command = [sys.executable, "-m", "benchmarks.bare_service", json.dumps(dict(site.flags))]
    with running(command) as process:
        said = process.hear("serving_without_store")
        yield Served(process, str(said["address"]), site.token)


def load(served: Served, kind: str, **order: object) -> dict[str, Any]:
    """Put load on a service from a process of its own; returns what it measured.

    See ``benchmarks.load`` for kinds and orders.
    """
    whole = {"kind": kind, "address": served.address, "token": served.token, **order}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", json.dumps(whole)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
