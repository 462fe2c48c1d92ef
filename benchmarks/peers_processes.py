"""What processes of both sides take of the machine: trees of them, by the files of /proc."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")
#: A side is at rest that takes no more of a core than this.
_REST: Final = 0.1
_LOOK_S: Final = 0.5


def tree(*roots: int) -> list[int]:
    """These processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for stat in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(roots)
    for one in found:
        found += children.get(one, [])
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds of these processes so far, with those of children that ended and were awaited."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            text = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
            total += sum(map(int, text.rpartition(")")[2].split()[11:15]))
    return total / _TICKS_PER_S


def memory_mb(pids: Iterable[int]) -> float:
    """Resident memory, where several share a page each with its part (PSS)."""
    total_kb = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text("ascii").splitlines():
                if line.startswith("Pss:"):
                    total_kb += int(line.split()[1])
    return total_kb * 1024 / 1e6


async def rest(pids: Callable[[], Iterable[int]], patience_s: float) -> None:
    """Wait until these are at rest, so that one round's work is not done in the next; not for ever,
    for what a side always does is its own."""
    until_s = perf_counter() + patience_s
    while perf_counter() < until_s:
        before_s = cpu_s(pids())
        await asyncio.sleep(_LOOK_S)
        if cpu_s(pids()) - before_s < _REST * _LOOK_S:
            return


def disk_of(folder: Path) -> tuple[str, str]:
    """Device and kind of the file system on which a folder lies."""
    best = ("", "", "")
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():
        device, mount, kind, *_ = line.split()
        inside = str(folder.resolve()).startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[1]):
            best = (device, mount, kind)
    return best[0], best[2]


def fsync_us(folder: Path, count: int) -> list[float]:
    """How long it takes to write 4 KiB over a file's own and have them on the disk, each time."""
    path, block = folder / "fsync-probe", os.urandom(4096)
    handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        taken: list[float] = []
        for _ in range(count + 1):
            began_s = perf_counter()
            os.pwrite(handle, block, 0)
            os.fdatasync(handle)
            taken.append((perf_counter() - began_s) * 1e6)
        return taken[1:]  # the first one also makes room
    finally:
        os.close(handle)
        path.unlink()
