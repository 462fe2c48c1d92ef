"""Logs of runs, read where the center's file system is mounted; the interface has none."""

import asyncio
import os
from pathlib import Path

from adapters.contract import LogChunk
from adapters.errors import Rejected, Unavailable
from adapters.slurm.settings import SlurmSettings
from adapters.slurm.table import Entry

_CHUNK_MAX = 1 << 20


def path_of(settings: SlurmSettings, entry: Entry) -> Path:
    """Where a run's log is here. Raises ``Rejected`` if no file service is configured."""
    if settings.logs_directory is None:
        raise Rejected(
            f"logs of {settings.center} cannot be read: slurmrestd has no call for them, and no"
            " directory is set (logs.directory: where the center's work_dir is mounted)",
            "NO_FILE_SERVICE",
        )
    name = settings.output.removeprefix(settings.work_dir).lstrip("/")
    name = name.replace("%j", str(entry.job_id)).replace("%x", entry.run.name)
    return settings.logs_directory / name.replace("%%", "%")


async def read(settings: SlurmSettings, entry: Entry, offset: int, limit: int) -> LogChunk:
    """A piece of a run's log; ``end`` once the run has ended and all was read."""
    path = path_of(settings, entry)
    try:
        data = await asyncio.to_thread(_read, path, offset, min(max(limit, 0), _CHUNK_MAX))
    except FileNotFoundError:
        data = b""  # nothing was written yet, or nothing ever will be
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error
    at_end = entry.final and (limit <= 0 or len(data) < limit)
    if entry.final and not at_end:
        size = await asyncio.to_thread(_size, path)
        at_end = offset + len(data) >= size
    return LogChunk(data, offset, offset + len(data), at_end)


def _read(path: Path, offset: int, limit: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(offset, 0))
        return file.read(limit)


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
