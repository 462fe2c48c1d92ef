"""Moves the wall clock of a process, and slows its disk, while it runs (``shim.c``).

It is compiled once for each run, by the system's C compiler. What the kernel itself measures by the
wall clock (a raw futex) is not moved.
"""

import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("shim.c")
_LAYOUT: Final = struct.Struct("=qq")


class NoShim(Exception):
    """It cannot be made here; the message says what is missing."""


def compile_shim(folder: Path) -> Path:
    """Make the library. Raises ``NoShim``."""
    compiler = next((one for one in ("cc", "gcc", "clang") if shutil.which(one)), None)
    if compiler is None:
        raise NoShim("no C compiler: clocks are not moved and disks not slowed")
    made = folder / "shim.so"
    words = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(made), str(_SOURCE)]
    subprocess.run([*words, "-ldl", "-lpthread"], check=True)
    return made


class Shim:
    """One process's clock and disk, over all of its starts; several may share it."""

    def __init__(self, library: Path, path: Path) -> None:
        path.write_bytes(_LAYOUT.pack(0, 0))
        path.chmod(0o644)
        self.environment: Mapping[str, str] = {"LD_PRELOAD": str(library), "CHAOS_SHIM": str(path)}
        file = os.open(path, os.O_RDWR)
        try:
            self._page = mmap.mmap(file, _LAYOUT.size)
        finally:
            os.close(file)
        self._clock_s, self._sync_s = 0.0, 0.0

    def move_clock(self, by_s: float) -> None:
        """Let its wall clock be so many seconds ahead (below 0: behind) from now on."""
        self._clock_s = by_s
        self._tell()

    def slow_disk(self, by_s: float) -> None:
        """Let each of its syncs to the disk take so much longer from now on."""
        self._sync_s = by_s
        self._tell()

    def _tell(self) -> None:
        self._page[:] = _LAYOUT.pack(int(self._clock_s * 1e9), int(self._sync_s * 1e6))
