"""Tasks as real processes that outlive this one, found again by their files.

Each task has a folder. A wrapper, leader of a session of its own, makes there the symbolic link
``claim.N`` to its process id before anything else, runs the task's script and writes its exit
status. Who finds no claim makes one in the wrapper's place: so a task is started once, whenever
the center dies, and what became of it can be told afterwards. Needs Linux (pidfd, /proc).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

#: $1 folder of the task, $2 name of its claim, $3 file of its log.
_WRAPPER = """trap : TERM
ln -s "$$" "$1/$2" 2>/dev/null || exit 0
cd "$1" || exit 1
/bin/bash ./script >>"$3" 2>&1 </dev/null
echo "$?" >exit
"""
#: First line of each script.
_STARTED = ": >started\n"
_START_POLL_S = 0.01
_NOBODY = "center"

#: (folder of the task, exit status or None if nobody knows it any more)
OnExit = Callable[[Path, int | None], None]


class Processes:
    """The tasks that run now. ``on_exit`` is called from the loop, once for each."""

    def __init__(self, on_exit: OnExit) -> None:
        self._on_exit = on_exit
        self._watched: dict[Path, tuple[int, int]] = {}  # process id, pidfd
        self._signalled: dict[Path, int] = {}

    def start(self, folder: Path, script: str, log: Path, environment: Mapping[str, str]) -> None:
        """Start a task, or watch the one that was started here before this process lived."""
        folder.mkdir(parents=True, exist_ok=True)
        claim = self._free_claim(folder)
        if claim is None:
            return self.adopt(folder)
        (folder / "script").write_text(_STARTED + script, encoding="utf-8")
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _WRAPPER, "corridor-task", str(folder), claim, str(log)],
            {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), **environment},
            file_actions=[(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)],
            setsid=True,
        )
        return self._watch(folder, pid)

    def adopt(self, folder: Path) -> None:
        """Watch a task that another process of the center started; it may have ended since."""
        pid = self._claimant(folder)
        if pid is not None and _is_wrapper(pid, folder):
            try:
                return self._watch(folder, pid)
            except ProcessLookupError:
                pass  # it ended just now
        asyncio.get_running_loop().call_soon(self._ended, folder)
        return None

    def signal(self, folder: Path, number: int) -> None:
        """Send a signal to all processes of a task; nothing if it has ended.

        A shell that has forked and not yet become the next program loses SIGTERM, so that waits
        until the script runs.
        """
        watched = self._watched.get(folder)
        if watched is None:
            return
        if number != signal.SIGKILL and not (folder / "started").exists():
            asyncio.get_running_loop().call_later(_START_POLL_S, self.signal, folder, number)
        else:
            self._signalled[folder] = number
            with contextlib.suppress(ProcessLookupError):
                os.killpg(watched[0], number)

    def close(self, *, kill: bool) -> None:
        """Watch nothing any more; with ``kill`` end all tasks first."""
        loop = asyncio.get_running_loop()
        for folder, (pid, pidfd) in self._watched.items():
            loop.remove_reader(pidfd)
            os.close(pidfd)
            if kill:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
            self._signalled.pop(folder, None)
        self._watched.clear()

    def _free_claim(self, folder: Path) -> str | None:
        """A claim for a new wrapper, None if a wrapper has claimed the task."""
        number = 0
        while True:
            claim = folder / f"claim.{number}"
            if not claim.is_symlink() and not (folder / "script").exists():
                return claim.name
            # An earlier process of the center prepared this task. Either its wrapper claimed it,
            # or we do so now and no wrapper that is late can.
            try:
                claim.symlink_to(_NOBODY)
            except FileExistsError:
                if os.readlink(claim) != _NOBODY:
                    return None
            else:
                return f"claim.{number + 1}"
            number += 1

    @staticmethod
    def _claimant(folder: Path) -> int | None:
        for claim in sorted(folder.glob("claim.*"), key=lambda path: int(path.suffix[1:])):
            if (holder := os.readlink(claim)) != _NOBODY:
                return int(holder)
        return None

    def _watch(self, folder: Path, pid: int) -> None:
        pidfd = os.pidfd_open(pid)
        self._watched[folder] = (pid, pidfd)
        asyncio.get_running_loop().add_reader(pidfd, self._gone, folder)

    def _gone(self, folder: Path) -> None:
        pid, pidfd = self._watched[folder]
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # not ours if another process of the center started it
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # what the script left behind
        self._ended(folder)

    def _ended(self, folder: Path) -> None:
        self._watched.pop(folder, None)
        signalled = self._signalled.pop(folder, None)
        status: int | None = None if signalled is None else 128 + signalled
        with contextlib.suppress(FileNotFoundError, ValueError):
            status = int((folder / "exit").read_text())
        self._on_exit(folder, status)


def _is_wrapper(pid: int, folder: Path) -> bool:
    """Whether a process id still is the wrapper of this folder; ids are given out again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(folder).encode() in command
