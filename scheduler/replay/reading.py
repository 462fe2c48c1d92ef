"""Which reader a file takes."""

from pathlib import Path

from scheduler.replay.corridor_csv import read_corridor_csv
from scheduler.replay.swf import read_swf
from scheduler.replay.trace import ReplayError, Trace


def is_swf(path: Path) -> bool:
    """Whether a file is a log in SWF, by its name; raises ``ReplayError`` for other names."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".swf"):
        return True
    if name.endswith(".csv"):
        return False
    raise ReplayError(f"{path}: a workload is named *.swf or *.csv, plain or .gz")


def read_trace(path: Path, procs: int | None = None) -> Trace:
    """Read a workload; ``procs`` is the machine of a SWF log. Raises ``ReplayError``."""
    return read_swf(path, procs) if is_swf(path) else read_corridor_csv(path)
