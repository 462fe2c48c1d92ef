"""Commands of ours as processes, which tests kill, stop and start again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

CORRIDOR: Final = Path(sys.executable).with_name("corridor")
#: Far above what anything takes; only a defect is waited for so long.
PATIENCE_S: Final = 120.0
_PAUSE_S: Final = 0.01


def until(holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> float:
    """Wait until something holds; returns for how long, in seconds."""
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() < began_s + patience_s, f"{what}: not within {patience_s:g} s"
        time.sleep(_PAUSE_S)
    return time.monotonic() - began_s


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Process:
    """A command of ours as a process, with its log in a file that lives on over its starts.

    ``before`` are words before the command (such that run it elsewhere in its own process),
    ``more`` are further variables of its environment.
    """

    def __init__(
        self,
        log: Path,
        *arguments: str,
        before: Sequence[str] = (),
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.log, self._arguments = log, arguments
        self._before, self._more = before, more or {}
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [*self._before, str(CORRIDOR), *self._arguments], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log, env={**os.environ, **self._more},
            )  # fmt: skip

    @property
    def lives(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def send(self, number: signal.Signals) -> None:
        assert self._popen is not None
        os.kill(self._popen.pid, number)

    def kill(self) -> None:
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            self._popen = None

    def end(self) -> int:
        """Ask it to stop; returns its exit code."""
        assert self._popen is not None
        self._popen.terminate()
        code = self._popen.wait(PATIENCE_S)
        self._popen = None
        return code

    def wait_said(self, event: str, times: int = 1) -> None:
        """Wait until it has logged something so often."""
        until(lambda: len(self.said(event)) >= times, event)

    def said(self, event: str) -> list[dict[str, Any]]:
        """What it has logged under a name."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return [one for one in told if one["event"] == event]
