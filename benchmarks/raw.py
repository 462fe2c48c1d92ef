"""Limits: what PostgreSQL takes of the same rows from its driver, with nothing of ours between."""

from contextlib import closing
from time import perf_counter
from typing import Any, Final

import psycopg

from benchmarks.report import Figure
from benchmarks.site import new_site
from benchmarks.stored import fill
from scheduler.store.database import Database

_CALL: Final = 1_000
_TABLES: Final = ("job", "event")


def copied(quick: bool) -> list[Figure]:
    """Rows of submitted jobs and their events, copied once more: 1,000 jobs a transaction."""
    count = 5_000 if quick else 50_000
    with new_site() as site:
        with closing(Database(site.settings.database_url)) as db:
            fill(db, count)
        with psycopg.connect(site.settings.database_url) as connection:
            spent_s = _copy(connection, count)
    return [
        Figure(
            "raw", f"rows of jobs and their events, copied by the driver alone, {_CALL:,} at once",
            count / spent_s, "jobs/s", at_most=False,
        )
    ]  # fmt: skip


def _copy(connection: "psycopg.Connection[tuple[Any, ...]]", count: int) -> float:
    run = connection.execute
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for name in _TABLES:
        key = "uid" if name == "job" else "job_uid"
        rows[name] = run(f"SELECT * FROM {name} WHERE {key} > 0 ORDER BY {key}".encode()).fetchall()
        if len(rows[name]) != count:
            raise RuntimeError(f"{len(rows[name])} rows of {count} jobs in {name}")
        run(f"CREATE TABLE raw_{name} (LIKE {name} INCLUDING ALL)".encode())
    connection.commit()
    began_s = perf_counter()
    for first in range(0, count, _CALL):
        for name in _TABLES:
            sql = f"COPY raw_{name} FROM STDIN".encode()
            with connection.cursor() as cursor, cursor.copy(sql) as copy:
                for row in rows[name][first : first + _CALL]:
                    copy.write_row(row)
        connection.commit()
    return perf_counter() - began_s
