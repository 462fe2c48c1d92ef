"""A folder in memory for what tests write, where there is one with room.

Tests write databases and journals by the thousand and sync each commit; on a disk they wait for it
most of the time. A file system in memory takes the same calls in the same order.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

_MOUNT: Final = Path("/dev/shm")
#: What a run may need at most, and what is to stay free for its processes beside it.
_FILES_MAX: Final = 3 << 30
_BESIDE: Final = 3 << 30


def _free(mount: Path) -> int:
    return shutil.disk_usage(mount).free


def folder(
    mount: Path = _MOUNT,
    told: Path = Path("/proc/meminfo"),
    free: Callable[[Path], int] = _free,
) -> Path | None:
    """Return the folder, None where there is none or not enough room in it or in memory."""
    try:
        room, memory = free(mount), _available(told.read_text("ascii"))
    except OSError:
        return None
    return mount if room >= _FILES_MAX and memory >= _FILES_MAX + _BESIDE else None


def _available(told: str) -> int:
    """Bytes of memory that processes can still have, as the kernel tells; 0 if it does not."""
    for line in told.splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0
