"""How this process itself is, looked at every few seconds on every replica, whoever leads.

The database is asked for little, so that a slow answer says something of it. A reader of the event
feed is behind from when a committed event was first seen until the reader has passed it: that needs
no clock but this process's own, and tells a stuck reader from an idle one.
"""

import asyncio
import contextlib
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog
from cryptography import x509

from scheduler.store import vitals
from scheduler.store.database import Database
from scheduler.store.vitals import Vitals

log = structlog.get_logger()

#: The database is away if it has not answered for so long.
ANSWER_S: Final = 5.0
#: Files are looked at so often.
_FILES_S: Final = 30.0


class HealthMetrics(Protocol):
    """Where it is shown (``scheduler.metrics_health``); every method is quick and never raises."""

    def database(self, seconds: float | None) -> None:
        """A look at the database took so long; None: it did not answer."""
        ...

    def clock_skew(self, skew_ms: int) -> None:
        """By how much the database's clock is ahead of ours."""
        ...

    def behind(self, reader: str, seconds: float) -> None:
        """For how long a reader of the feed is behind; 0 if it is not."""
        ...

    def no_reader(self, reader: str) -> None:
        """Nobody reads the feed so now."""
        ...

    def disk(self, free_bytes: int, size_bytes: int) -> None:
        """Space where the data directory lies."""
        ...

    def certificate(self, name: str, not_after_s: float) -> None:
        """When a certificate ends, in epoch seconds."""
        ...

    def digest_unfiled(self, unfiled: bool) -> None:
        """Whether the newest digest is in the store alone."""
        ...


class Lag:
    """For how long a reader has not reached what was there to be read."""

    def __init__(self) -> None:
        self._unread: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, head: int, position: int) -> float:
        """Return for how many seconds a head has been known that ``position`` has not reached.

        ``now_s`` is monotonic, ``head`` the newest sequence committed.
        """
        if not self._unread or head > self._unread[-1][1]:
            self._unread.append((now_s, head))
        while self._unread and self._unread[0][1] <= position:
            self._unread.popleft()
        return now_s - self._unread[0][0] if self._unread else 0.0

    def forget(self) -> None:
        """The reader is gone."""
        self._unread.clear()


#: Sequence that a reader has reached, None while there is no such reader.
Position = Callable[[], int | None]


@dataclass(frozen=True, slots=True)
class Watched:
    """What is looked at: readers of the feed by name, PEM files of certificates by name, the data
    directory, and whether a day's digest lies in a file."""

    readers: Mapping[str, Position]
    certificates: Mapping[str, Path]
    data_dir: Path
    is_filed: Callable[[str], bool]


@dataclass(slots=True)
class HealthWatch:
    """Looks at this process every ``every_s`` real seconds between ``start`` and ``stop``."""

    db: Database
    metrics: HealthMetrics
    watched: Watched
    wall_ms: Callable[[], int]
    every_s: float
    now_s: Callable[[], float] = time.monotonic
    answer_s: float = ANSWER_S
    _lags: dict[str, Lag] = field(default_factory=dict)
    _asked: "asyncio.Task[Vitals] | None" = None
    _task: "asyncio.Task[None] | None" = None
    _files_at_s: float | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look_forever(), name="health")

    async def stop(self) -> None:
        """Look no more."""
        for task in (self._task, self._asked):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
        self._task = self._asked = None

    async def _look_forever(self) -> None:
        while True:
            try:
                await self.once()
            except Exception:
                log.exception("health_not_read")
            await asyncio.sleep(self.every_s)

    async def once(self) -> None:
        """Look once at all."""
        await self._look_at_database()
        now_s = self.now_s()
        if self._files_at_s is None or now_s - self._files_at_s >= _FILES_S:
            self._files_at_s = now_s
            await asyncio.to_thread(self._look_at_files)

    async def _look_at_database(self) -> None:
        """Ask the database; a question that hangs is not asked a second time beside the first."""
        if self._asked is None:
            self._asked = asyncio.create_task(self.db.read(vitals.read))
        asked_ms, began_s = self.wall_ms(), self.now_s()
        done, _ = await asyncio.wait([self._asked], timeout=self.answer_s)
        if not done:
            self.metrics.database(None)
            return
        asked, self._asked = self._asked, None
        try:
            read = asked.result()
        except Exception as error:
            log.warning("database_away", why=str(error).partition("\n")[0])
            self.metrics.database(None)
            return
        spent_s = self.now_s() - began_s
        self.metrics.database(spent_s)
        if read.clock_ms is not None:
            self.metrics.clock_skew(read.clock_ms - (asked_ms + round(spent_s * 500)))
        self._look_at_readers(read.head)
        filed = not read.digest_day or await asyncio.to_thread(
            self.watched.is_filed, read.digest_day
        )
        self.metrics.digest_unfiled(not filed)

    def _look_at_readers(self, head: int) -> None:
        for reader, position in self.watched.readers.items():
            lag = self._lags.setdefault(reader, Lag())
            at = position()
            if at is None:
                lag.forget()
                self.metrics.no_reader(reader)
            else:
                self.metrics.behind(reader, lag.note(self.now_s(), head, at))

    def _look_at_files(self) -> None:
        with contextlib.suppress(OSError):
            space = shutil.disk_usage(self.watched.data_dir)
            self.metrics.disk(space.free, space.total)
        for name, path in self.watched.certificates.items():
            try:
                ends = [one.not_valid_after_utc for one in _certificates(path)]
            except (OSError, ValueError) as error:
                log.warning("certificate_not_read", file=str(path), why=str(error))
            else:
                self.metrics.certificate(name, min(ends).timestamp())


def _certificates(path: Path) -> list[x509.Certificate]:
    """Read all certificates of a PEM file: ours, and those that sign it. OSError, ValueError."""
    return x509.load_pem_x509_certificates(path.read_bytes())
