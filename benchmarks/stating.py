"""How fast statements are made of a ledger, and how much memory that takes.

Jobs are moved through the store as in ``move``, each with a subsidy of its city, one of the whole
corridor, and a wallet. Statements are made, and their files read, in processes of their own, so
that their memory is not that of the moving. ``python -m benchmarks.stating URL KIND OWNER PERIOD``
is such a process.
"""

import asyncio
import gc
import json
import re
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple

from sqlalchemy import event

from benchmarks.moving import Mover
from benchmarks.report import Figure
from benchmarks.site import new_site
from benchmarks.stored import fill, now_ms
from quota.calendar import period_bounds, period_of
from scheduler.control.settings import LoopSettings
from scheduler.domain.ids import IdGenerator
from scheduler.domain.principal import Principal, Role
from scheduler.services import statements
from scheduler.services.context import Context
from scheduler.store import book_months
from scheduler.store.change_requests import Act
from scheduler.store.database import Database

_ACTOR: Final = Principal("benchmark", Role.OPERATOR, None, None, None, "", 0)
_TARGET_S: Final = 10.0
_MEMORY_MIB: Final = 64.0
_LOOK_S: Final = 0.02


class _Made(NamedTuple):
    """What one process measured."""

    lines: int
    made_s: float
    made_cpu_s: float
    read_s: dict[str, float]
    peak_mib: float


def run(quick: bool) -> list[Figure]:
    """State the corridor's own programmes, with a line for each job, and an enterprise."""
    count = 2_000 if quick else 100_000
    with new_site(units=65_536) as site:
        url = site.settings.database_url
        with closing(Database(url)) as db:
            month = _charge(db, count)
            enterprise = db.read_sync(
                lambda c: c.exec_driver_sql("SELECT min(enterprise) FROM run").scalar_one()
            )
        city = _measure(url, "CITY", "corridor", month)
        small = _measure(url, "ENTERPRISE", enterprise, month)
    if city.lines != count:
        raise RuntimeError(f"{city.lines} lines instead of {count}")
    target_s = None if quick else _TARGET_S
    return [
        Figure(
            "statement", f"statement of {count:,} lines made, with digests of 3 files",
            city.made_s, "s", target_s, peer="CPU s", peer_value=city.made_cpu_s,
        ),
        *(
            Figure("statement", f"its {name} read again", spent_s, "s", target_s)
            for name, spent_s in city.read_s.items()
        ),
        Figure(
            "statement", "memory above that of a statement of few lines",
            max(0.0, city.peak_mib - small.peak_mib), "MiB", _MEMORY_MIB,
            peer=f"{small.lines:,} lines: MiB", peer_value=small.peak_mib,
        ),
        Figure("statement", f"evidence of {small.lines:,} lines", small.read_s["EVIDENCE"], "s"),
    ]  # fmt: skip


def _charge(db: Database, count: int) -> str:
    """Charge so many jobs, and close the books of their month; returns it."""
    at_ms = now_ms()
    db.write_future(lambda c: book_months.begin_due(c, at_ms)).result()
    waiting = fill(db, count)
    mover, size = Mover(db), LoopSettings().admit_batch
    for first in range(0, count, size):
        mover.move(waiting[first : first + size])
    month = period_of(at_ms, 1)
    act = Act(_ACTOR, "benchmark", period_bounds(month)[1], at_ms)
    db.write_future(lambda c: book_months.close(c, month, act)).result()
    return month


def _measure(url: str, *what: str) -> _Made:
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.stating", url, *what],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return _Made(**json.loads(made.stdout))


async def _state(url: str, kind: str, owner: str, period: str) -> _Made:
    away: Any = None
    gc.collect()
    gc.freeze()  # as ``corridor serve`` does
    gc.set_threshold(10_000, 20, 20)
    with closing(Database(url)) as db:
        event.listen(db.engine, "connect", _small_cache)
        heap = _Heap()
        clock = _Clock(period_bounds(period)[1])
        ids = IdGenerator(0, now_ms)
        context = Context(db, clock, now_ms, ids, away, away, True, "benchmark")
        began_s, began_cpu_s = perf_counter(), process_time()
        wanted = statements.Wanted(kind, owner, period)
        row, files, _ = await statements.create(context, _ACTOR, wanted)
        made_s, made_cpu_s = perf_counter() - began_s, process_time() - began_cpu_s
        read_s: dict[str, float] = {}
        for file in files:
            began_s = perf_counter()
            found = await statements.export(context, _ACTOR, row.number, file.format)
            async for _piece in found.pieces:
                pass
            read_s[file.format] = perf_counter() - began_s
    return _Made(row.lines, made_s, made_cpu_s, read_s, heap.stop())


def _small_cache(connection: Any, _record: Any) -> None:
    """Let SQLite keep few pages, for they are no memory of statements."""
    connection.execute("PRAGMA cache_size=-2000").close()


class _Heap:
    """How much memory of its own this process has at most, looked at every few milliseconds.

    Without pages of the database's file, which the kernel lends it as long as there is room.
    """

    def __init__(self) -> None:
        self._status = Path("/proc/self/status")
        self._most_mib = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while True:
            [kib] = re.findall(r"RssAnon:\s+(\d+) kB", self._status.read_text("ascii"))
            self._most_mib = max(self._most_mib, int(kib) / 1024)
            if self._end.wait(_LOOK_S):
                return

    def stop(self) -> float:
        """End the looking; returns the most, in MiB."""
        self._end.set()
        self._thread.join()
        return self._most_mib


class _Clock:
    """Time that stands still."""

    def __init__(self, ms: int) -> None:
        self._ms = ms

    def now_ms(self) -> int:
        return self._ms

    def real_s(self, duration_ms: int) -> float:
        return duration_ms / 1000


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_state(*sys.argv[1:]))._asdict()))
