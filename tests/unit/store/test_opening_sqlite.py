"""Services that open a new database of SQLite at the same time all get it."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from scheduler.store.engine import StoreLimits, open_engine


@pytest.mark.sqlite
def test_who_opens_it_while_another_one_has_it_locked_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, refused, free = tmp_path / "new.db", Event(), Event()

    def pause(seconds: float) -> None:
        refused.set()
        assert free.wait(10.0)

    monkeypatch.setattr("scheduler.store.engine.time.sleep", pause)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE t (n)")
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM t").fetchall()
    engine = open_engine(f"sqlite:///{path}", StoreLimits(lock_ms=1))

    def mode() -> str:
        with engine.connect() as connection:
            return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())

    with ThreadPoolExecutor(1) as threads:
        opened = threads.submit(mode)
        assert refused.wait(10.0) or opened.result()
        other.execute("ROLLBACK")
        free.set()
        assert opened.result() == "wal"
    engine.dispose()
    other.close()
