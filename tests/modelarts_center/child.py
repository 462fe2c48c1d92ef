"""A center as a process of its own, which can be killed and started again where it was."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.modelarts_center.control import Control
from tests.modelarts_center.settings import CenterSettings, to_json

_ROOT = Path(__file__).parents[2]


class CenterProcess:
    """A running child. ``url`` stays the same when it is started again."""

    def __init__(self, settings: CenterSettings) -> None:
        self.settings = settings
        self._ports = (0, 0)
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.modelarts_center"]
        command += ["--dir", str(self.settings.directory), "--settings", to_json(self.settings)]
        command += ["--listen", f"127.0.0.1:{self._ports[0]}"]
        command += ["--control", f"127.0.0.1:{self._ports[1]}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the center did not start; exit status {self._process.wait()}")
        ready = json.loads(line)
        self.url: str = ready["url"]
        self.control = Control(ready["control"])
        self._ports = (_port(ready["url"]), _port(ready["control"]))

    def kill(self) -> None:
        """kill -9; tasks of jobs go on."""
        self._process.kill()
        self._reap()

    def start_again(self) -> None:
        """Start it after ``kill``, on the same ports and directory."""
        self._start()

    def close(self) -> None:
        """Stop it with all tasks."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            self._reap()

    def _reap(self) -> None:
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> "CenterProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
