"""What outlives the process: jobs, states of nodes, tokens, in one SQLite file.

Each change is committed before it is answered, so kill -9 loses nothing that was answered and may
keep what was not.
"""

import sqlite3
from pathlib import Path

from tests.modelarts_center.model import Job, job_from_text, job_to_text

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (id TEXT PRIMARY KEY, created INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS broken_node (pool TEXT, node TEXT, PRIMARY KEY (pool, node));
CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, user TEXT NOT NULL, ends REAL NOT NULL);
CREATE TABLE IF NOT EXISTS quota (resource TEXT PRIMARY KEY, quota INTEGER NOT NULL);
"""


class Store:
    """The file; one connection, used by one thread."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # No other thread uses it, but the one that closes it may be another.
        self._db = sqlite3.connect(
            directory / "center.db", isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def jobs(self) -> list[Job]:
        """All jobs that were ever made, deleted ones too, oldest first."""
        rows = self._db.execute("SELECT text FROM job ORDER BY created, rowid")
        return [job_from_text(text) for (text,) in rows]

    def save(self, job: Job) -> None:
        """Store a job as it is now."""
        self._db.execute(
            "INSERT INTO job VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET text = excluded.text",
            (job.id, job.create_ms, job_to_text(job)),
        )

    def forget_jobs(self) -> None:
        """Delete all jobs and changed quotas."""
        self._db.execute("DELETE FROM job")
        self._db.execute("DELETE FROM quota")

    def broken_nodes(self) -> set[tuple[str, str]]:
        """Nodes that are out of service, as (pool, node)."""
        return set(self._db.execute("SELECT pool, node FROM broken_node"))

    def set_node(self, pool: str, node: str, *, broken: bool) -> None:
        """Store whether a node is out of service."""
        if broken:
            self._db.execute("INSERT OR IGNORE INTO broken_node VALUES (?, ?)", (pool, node))
        else:
            self._db.execute("DELETE FROM broken_node WHERE pool = ? AND node = ?", (pool, node))

    def add_token(self, token: str, user: str, ends_s: float) -> None:
        """Store a token with the epoch second of its end."""
        self._db.execute("INSERT INTO token VALUES (?, ?, ?)", (token, user, ends_s))

    def token(self, token: str) -> tuple[str, float] | None:
        """User and end of a token, None if it was never given."""
        row: tuple[str, float] | None = self._db.execute(
            "SELECT user, ends FROM token WHERE token = ?", (token,)
        ).fetchone()
        return row

    def quota(self, resource: str) -> int | None:
        """A quota that a user changed."""
        row = self._db.execute("SELECT quota FROM quota WHERE resource = ?", (resource,)).fetchone()
        return None if row is None else int(row[0])

    def set_quota(self, resource: str, quota: int) -> None:
        """Store a changed quota."""
        self._db.execute("INSERT OR REPLACE INTO quota VALUES (?, ?)", (resource, quota))
