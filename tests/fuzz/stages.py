"""The databases behind the fuzzing: put back to a stage, and looked at after every call."""

import contextlib
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduler.store import funds, migrate, seed
from scheduler.store.database import Database
from tests.fuzz import world as worlds
from tests.fuzz.world import World
from tests.integration.conftest import NOW_MS, HandClock

#: What a refused call may change: column by table. When a token was used is noted now and then.
ALLOWED = {"token": {"last_used_ms"}}


@dataclass
class Stage:
    """What the world was like: its database, its clock, what was made, and what its tables had."""

    path: Path
    now_ms: int
    of: Mapping[str, Any]
    tables: Mapping[str, str]


class Stages:
    """One server on SQLite; ``stage`` is the one that it was put back to."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self._path = world, path
        self._kept: dict[str, Stage] = {}
        self._watch = sqlite3.connect(path, isolation_level=None)
        self._version = self._data_version()
        self.stage = ""

    def keep(self, name: str) -> None:
        """Keep what is there now as a stage."""
        path = self._path.with_suffix(f".{name}")
        with contextlib.closing(sqlite3.connect(path)) as copy:
            self._watch.backup(copy)
        clock_ms = self.world.corridor.clock.ms
        self._kept[name] = Stage(path, clock_ms, dict(self.world.of), self.tables())
        self.stage, self._version = name, self._data_version()

    def put_back(self, name: str) -> None:
        """Make all as it was at a stage."""
        stage = self._kept[name]
        with (
            contextlib.closing(sqlite3.connect(stage.path)) as kept,
            contextlib.closing(sqlite3.connect(self._path)) as live,
        ):
            kept.backup(live)
        self.world.corridor.clock.ms, self.world.of = stage.now_ms, dict(stage.of)
        self.stage, self._version = name, self._data_version()

    def changed(self) -> list[str]:
        """Tables that are not as they were at the stage; cheap if nothing was committed."""
        version = self._data_version()
        if version == self._version:
            return []
        self._version = version
        now = self.tables()
        before = self._kept[self.stage].tables
        return sorted(name for name in now if now[name] != before.get(name))

    def tables(self) -> dict[str, str]:
        """A fingerprint of all rows of each table, but for what may always change."""
        rows = self._watch.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name: self._fingerprint(name) for (name,) in rows.fetchall()}

    def _fingerprint(self, table: str) -> str:
        left_out = ALLOWED.get(table, set())
        columns = [
            f'"{name}"'
            for _, name, *_ in self._watch.execute(f'PRAGMA table_info("{table}")')
            if name not in left_out
        ]
        rows = self._watch.execute(f'SELECT {", ".join(columns)} FROM "{table}" ORDER BY rowid')
        made = hashlib.blake2b(digest_size=16)
        for row in rows:
            made.update(repr(row).encode("utf-8", "surrogatepass"))
        return made.hexdigest()

    def wrong(self) -> list[str]:
        """What must not be so, whatever was accepted: the books and the feed are looked at."""
        return invariants(self.world)

    def close(self) -> None:
        self._watch.close()

    def _data_version(self) -> int:
        return int(self._watch.execute("PRAGMA data_version").fetchone()[0])


class OneStage:
    """Another database's server: nothing is put back, and only the end is looked at."""

    def __init__(self, world: World) -> None:
        self.world, self.stage = world, worlds.CLOSED

    def put_back(self, name: str) -> None:
        """Go on as it is."""
        self.stage = name

    def changed(self) -> list[str]:
        """Not looked at."""
        return []

    def wrong(self) -> list[str]:
        """Not looked at after each call; see ``invariants``."""
        return []


def invariants(world: World) -> list[str]:
    """The ledger adds up and is chained, the feed has no gap, nobody has two active runs."""
    rows, read = world.corridor.rows, world.corridor.db.read_sync
    found = [f"ledger: {one}" for one in read(funds.verify).problems]
    [(events, first, last)] = rows("SELECT count(*), min(seq), max(seq) FROM event")
    if events and last - first + 1 != events:
        found.append(f"the feed has {events} events from {first} to {last}")
    [(debits, credits)] = rows(
        "SELECT coalesce(sum(debits_posted), 0), coalesce(sum(credits_posted), 0) FROM account"
    )
    if debits != credits:
        found.append(f"accounts: {debits} debited, {credits} credited")
    twice = rows(
        "SELECT job_uid FROM run WHERE state NOT IN"
        " ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PREEMPTED', 'LOST')"
        " GROUP BY job_uid HAVING count(*) > 1"
    )
    return [*found, *(f"job {uid} has two active runs" for (uid,) in twice)]


@contextlib.asynccontextmanager
async def on_sqlite(folder: Path) -> AsyncIterator[Stages]:
    """A server over a new file, with all stages; it is at the first."""
    path = folder / "corridor.db"
    url = f"sqlite:///{path}"
    seeded(url)
    async with worlds.serving(url, HandClock()) as world:
        await worlds.fill(world)
        stages = Stages(world, path)
        stages.keep(worlds.OPEN)
        await worlds.end_month(world)
        stages.keep(worlds.ENDED)
        await worlds.close_month(world)
        stages.keep(worlds.CLOSED)
        stages.put_back(worlds.OPEN)
        try:
            yield stages
        finally:
            stages.close()


def seeded(url: str) -> None:
    """Make the schema and load the samples."""
    db = Database(url)
    migrate.upgrade(db.engine)
    db.write_future(lambda c: seed.load(c, seed.DATA, NOW_MS)).result()
    db.close()
