"""A workload to replay: its jobs, and what was left out of the file."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

_GZIP_MAGIC = b"\x1f\x8b"


class ReplayError(Exception):
    """An input of a replay is wrong; the one-line message says where and what."""


class TraceJob(NamedTuple):
    """One job of a workload; times in milliseconds of the trace, ``units`` whole cores or cards.

    ``wall_ms`` is the limit that the scheduler may know, ``run_ms`` (at most ``wall_ms``, at least
    1) how long it really runs, known at its end alone. ``kind`` names the flavor.
    """

    job_id: int
    submit_ms: int
    run_ms: int
    wall_ms: int
    units: int
    nodes: int
    city: str
    enterprise: str
    user: str
    kind: str


@dataclass(frozen=True, slots=True)
class Trace:
    """The jobs that a replay may run, by submission and then by number, whatever the file's order.

    ``skipped`` counts what was left out, by reason. ``procs`` is the size of the machine if the
    file names one. ``by_city`` says that its jobs belong to the cities of the corridor.
    """

    name: str
    jobs: tuple[TraceJob, ...]
    skipped: dict[str, int]
    by_city: bool
    procs: int | None = None


def open_text(path: Path) -> IO[str]:
    """Open a file as UTF-8 text, unpacking gzip whatever its name.

    Raises ``ReplayError`` if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP_MAGIC
        if packed:
            return gzip.open(path, "rt", encoding="utf-8", newline="")
        return path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise ReplayError(f"cannot read {path}: {error.strerror or error}") from error


def lines(path: Path) -> Iterator[str]:
    """Lines of a plain or gzip file; raises ``ReplayError`` where it is damaged."""
    number = 0
    with open_text(path) as file:
        try:
            for line in file:
                number += 1
                yield line
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise ReplayError(f"{path}:{number + 1}: damaged file: {error}") from error


def milliseconds(text: str) -> int:
    """Whole milliseconds of seconds written as text; raises ``ValueError``."""
    try:
        return int(text) * 1000
    except ValueError:
        try:
            return round(float(text) * 1000)
        except OverflowError as error:
            raise ValueError(f"not finite: {text}") from error
