"""The simulated center's own memory: an append-only file of events, one JSON object a line.

It outlives the scheduler's process as a real center would: every event is with the operating
system before the answer that tells of it (no fsync: the machine's crash is not simulated). One
process at a time may write it.
"""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

#: Events come in order of time but for a few.
_TAIL_BYTES: Final = 1 << 16

Event = dict[str, object]
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Journal:
    """Events of one center. Not opened for writing before the first ``append``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def replay(self) -> Iterator[Event]:
        """All whole events in order; a torn last line is left out.

        Raises ``ValueError`` with file and line for anything else that is no event.
        """
        return read_events(self.path)

    def append(self, events: Sequence[Event]) -> None:
        """Write events all together. Raises ``OSError``; then nothing of them remains."""
        text = "".join([_encode(event) + "\n" for event in events])
        file = self._open()
        size = os.fstat(file).st_size
        left = memoryview(text.encode())
        try:
            while left:
                left = left[os.write(file, left) :]
        except OSError:
            os.ftruncate(file, size)
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            data = self.path.read_bytes()
            os.ftruncate(file, data.rfind(b"\n") + 1)  # or the next line would join the torn one
            self._file = file
        return self._file


def read_events(path: Path) -> Iterator[Event]:
    """Whole events of a journal file; none if there is no file. Raises ``ValueError``."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                event = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: no JSON: {error}") from error
            if not isinstance(event, dict) or "event" not in event:
                raise ValueError(f"{path}:{number}: no event")
            yield event


def newest_ms(path: Path) -> int | None:
    """The latest instant that the end of a journal tells of; None if it tells of none."""
    if not path.exists():
        return None
    with path.open("rb") as lines:
        lines.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        last = lines.read().split(b"\n")[:-1]
    found: list[int] = []
    for line in last:
        with contextlib.suppress(ValueError):  # the first of them may be torn
            event = json.loads(line)
            if isinstance(event, dict):
                found += [event[name] for name in ("at_ms", "submit_ms") if name in event]
    return max(found, default=None)


def accepted_names(path: Path) -> Counter[str]:
    """How often each run's name was really taken: never more than once."""
    return Counter(str(event["name"]) for event in read_events(path) if event["event"] == "accept")
