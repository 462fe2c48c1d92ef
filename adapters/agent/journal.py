"""The agent's own memory: what it was asked to start, what its center said, what was told.

An SQLite file in the agent's state directory, written with a sync at each commit. All of it is in
memory too, so that nothing is read from the disk but at the start. Changes that come together
share one commit (``commit``), made in a thread of its own. One process at a time may have it open.
"""

import asyncio
import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from adapters.agent.rows import Entry, decode, encode

_SCHEMA: Final = "1"
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS run (run_id TEXT PRIMARY KEY, body TEXT NOT NULL)",
)


class BadJournal(Exception):
    """The journal cannot be opened: it is in use, of another center, or damaged."""


class JournalFailure(Exception):
    """The journal could not be written; what was to be kept is still in memory."""


class Journal:
    """What the agent of one center remembers. Raises ``BadJournal`` if it cannot be opened."""

    def __init__(self, path: Path, center: str) -> None:
        self.path, self.center = path, center
        self._runs: dict[str, Entry] = {}
        self.runs: Mapping[str, Entry] = self._runs
        self._facts: dict[str, str] = {}
        #: Not durable yet: run ids, and names of facts.
        self._dirty: set[str] = set()
        self._dirty_facts: set[str] = set()
        self._puts = self._durable = 0
        self._writing: asyncio.Task[None] | None = None
        self._connection = self._open(center)
        self._sequence = max(
            [int(self._facts["sequence"]), *(one.sequence for one in self._runs.values())]
        )
        self._thread = ThreadPoolExecutor(1, "agent-journal")

    # --- what is remembered -----------------------------------------------------------------------

    @property
    def journal_id(self) -> str:
        """Names this memory: another one began anew, and its sequences mean nothing here."""
        return self._facts["journal"]

    @property
    def epoch(self) -> int:
        """The highest epoch that was obeyed."""
        return int(self._facts["epoch"])

    def obey(self, epoch: int) -> None:
        """Note a higher epoch; durable with the next commit."""
        if epoch > self.epoch:
            self._note("epoch", str(epoch))

    def put(self, entry: Entry) -> Entry:
        """Note how a run stands, as a change of its own; durable with the next commit."""
        self._sequence += 1
        entry = replace(entry, sequence=self._sequence)
        self._runs[entry.ref.run_id] = entry
        self._touch(entry.ref.run_id)
        return entry

    def drop(self, run_ids: Iterable[str]) -> None:
        """Forget runs; durable with the next commit."""
        for run_id in run_ids:
            if self._runs.pop(run_id, None) is not None:
                self._touch(run_id)
                # Its sequence must not come again when nothing else holds it.
                self._note("sequence", str(self._sequence))

    def _touch(self, run_id: str) -> None:
        self._dirty.add(run_id)
        self._puts += 1

    def _note(self, name: str, value: str) -> None:
        self._facts[name] = value
        self._dirty_facts.add(name)
        self._puts += 1

    # --- how it is kept ---------------------------------------------------------------------------

    async def commit(self) -> None:
        """Return once all that was noted so far is on the disk. Raises ``JournalFailure``."""
        wanted = self._puts
        while self._durable < wanted:
            if self._writing is None:
                self._writing = asyncio.create_task(self._write())
            await asyncio.shield(self._writing)

    async def _write(self) -> None:
        upto, dirty, facts = self._puts, self._dirty, self._dirty_facts
        self._dirty, self._dirty_facts = set(), set()
        kept = [self._runs[run_id] for run_id in dirty if run_id in self._runs]
        gone = [(run_id,) for run_id in dirty if run_id not in self._runs]
        told = [(name, self._facts[name]) for name in facts]
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._thread, self._store, kept, gone, told
            )
            self._durable = upto
        except sqlite3.Error as error:
            self._dirty |= dirty
            self._dirty_facts |= facts
            raise JournalFailure(f"{self.path} cannot be written: {error}") from error
        finally:
            self._writing = None

    def _store(
        self, kept: list[Entry], gone: list[tuple[str]], facts: list[tuple[str, str]]
    ) -> None:
        with self._connection as connection:  # one transaction, undone by an error
            connection.executemany(
                "INSERT OR REPLACE INTO run VALUES (?, ?)",
                [(one.ref.run_id, encode(one)) for one in kept],
            )
            connection.executemany("DELETE FROM run WHERE run_id = ?", gone)
            connection.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", facts)

    async def close(self) -> None:
        """Write what is left and let go of the file."""
        with contextlib.suppress(JournalFailure):
            await self.commit()
        self._thread.shutdown()
        self._connection.close()

    def _open(self, center: str) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(self.path, timeout=0.0, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise BadJournal(f"{self.path} cannot be opened: {error}") from error
        try:
            self._read(connection, center)
        except sqlite3.OperationalError as error:
            connection.close()
            if "locked" in str(error):
                raise BadJournal(f"{self.path} is in use by another agent") from error
            raise BadJournal(f"{self.path} cannot be opened: {error}") from error
        except (ValueError, sqlite3.Error) as error:
            connection.close()
            raise BadJournal(f"{self.path} is no journal of an agent: {error}") from error
        except BadJournal:
            connection.close()
            raise
        return connection

    def _read(self, connection: sqlite3.Connection, center: str) -> None:
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {setting}")
        with connection:
            for table in _TABLES:
                connection.execute(table)
            new = {
                "schema": _SCHEMA, "center": center, "journal": secrets.token_hex(8),
                "epoch": "0", "sequence": "0",
            }  # fmt: skip
            connection.executemany("INSERT OR IGNORE INTO fact VALUES (?, ?)", new.items())
        self._facts = dict(connection.execute("SELECT name, value FROM fact"))
        if self._facts["center"] != center:
            raise BadJournal(f"{self.path} is the journal of {self._facts['center']}, not {center}")
        if self._facts["schema"] != _SCHEMA:
            raise BadJournal(f"{self.path} was written by another version of the agent")
        for (body,) in connection.execute("SELECT body FROM run"):
            entry = decode(body)
            self._runs[entry.ref.run_id] = entry
