"""One service at a time on one data directory: a lock that the system frees when its holder dies.

The fencing epoch keeps a second leader from writing; this keeps it from starting at all, and from
writing the journals of simulated centers, which know no epoch.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from scheduler.errors import CorridorError

LOCK_NAME: Final = "corridor.lock"


class DataInUse(CorridorError):
    """Another process works on the data directory; the message says which and what to do."""

    reason = "DATA_IN_USE"


_LOCKS: Final = Path("/proc/locks")


def holder(directory: Path, locks: Path = _LOCKS) -> int | None:
    """Return the process that has the data directory, None if none; takes nothing itself.

    ``locks`` is the kernel's list; where there is none the process noted in the lock is asked for.
    Raises ``OSError`` if the lock is there and cannot be read.
    """
    path = directory / LOCK_NAME
    try:
        noted, inode = path.read_text("ascii").strip(), path.stat().st_ino
    except FileNotFoundError:
        return None
    try:
        listed = [line.split() for line in locks.read_text("ascii").splitlines()]
    except OSError:
        return int(noted) if noted.isdecimal() and Path(f"/proc/{noted}").exists() else None
    # 1: FLOCK  ADVISORY  WRITE 4711 fe:00:5441819 0 EOF; who waits has a -> before its kind.
    pids = [one[4] for one in listed if one[1] == "FLOCK" and one[5].endswith(f":{inode}")]
    return int(pids[0]) if pids else None


class DataLock:
    """An exclusive lock on ``directory``, held from construction until ``close``.

    Raises ``DataInUse`` if another process (or another service in this one) holds it, ``OSError``
    if the directory cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / LOCK_NAME
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 64, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise DataInUse(
                f"{directory} is in use by another service"
                + (f" (process {holder})" if holder else "")
                + "; stop that one, or give this one a store.data_dir of its own"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let others in; the file stays, so that nobody locks one that is being removed."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None
