"""Writes of one transaction that belong together, and go together where that is faster.

On PostgreSQL few rows go as a pipeline: one way there and back for all statements, which matters
while rows are locked for which others wait. Many rows are copied, one table after another; or, by
``going``, each table's are on their way while those of the next are made. SQLite has no way to
save: its statements run in the process.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from scheduler.store.bulk import (
    bulk_insert,
    bulk_update,
    by_arrays,
    by_values,
    driver_of,
)
from scheduler.store.engine import translated

#: More rows than these are faster copied, each table's by itself.
FEW_ROWS: Final = 64
#: A statement of more marks is taken apart anew each time by the driver.
_MARKS: Final = 48


class _Insert(NamedTuple):
    target: sa.Table
    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]
    fixed: Mapping[str, str]


class _Update(NamedTuple):
    statement: str
    rows: Sequence[tuple[Any, ...]]
    failure: str | RuntimeError | None

    def check(self, changed: int) -> None:
        """Raise what is to be raised if not all rows were changed."""
        if self.failure is not None and changed != len(self.rows):
            failure = self.failure
            raise RuntimeError(failure) if isinstance(failure, str) else failure


@dataclass(slots=True)
class WriteBatch:
    """Inserts and updates in the order in which they are added."""

    _steps: list[_Insert | _Update] = field(default_factory=list)
    _row_count: int = 0

    def insert(
        self,
        target: sa.Table,
        columns: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        """Add rows to insert, as ``bulk_insert`` takes them."""
        if rows:
            self._steps.append(_Insert(target, columns, rows, fixed or {}))
            self._row_count += len(rows)

    def update(
        self,
        statement: str,
        rows: Sequence[tuple[Any, ...]],
        failure: str | RuntimeError | None = None,
    ) -> None:
        """Add rows to update, as ``bulk_update`` takes them; with a ``failure`` all must change."""
        if rows:
            self._steps.append(_Update(statement, rows, failure))
            self._row_count += len(rows)

    def write(self, connection: Connection) -> None:
        """Write it all; raises the failure, and nothing may be kept, if a row was not changed."""
        if connection.dialect.name != "sqlite" and self._row_count <= FEW_ROWS:
            self._write_piped(connection)
            return
        for step in self._steps:
            if isinstance(step, _Insert):
                bulk_insert(connection, *step)
            else:
                step.check(bulk_update(connection, step.statement, step.rows))

    def _write_piped(self, connection: Connection) -> None:
        if not connection.in_transaction():
            connection.begin()
        told = []
        with driver_of(connection, "a batch of writes") as driver, driver.pipeline():
            for step in self._steps:
                if isinstance(step, _Insert):
                    size = max(1, _MARKS // len(step.columns))
                    for first in range(0, len(step.rows), size):
                        some = step._replace(rows=step.rows[first : first + size])
                        sql, values = by_values(*some)
                        driver.execute(translated(sql), values)
                    continue
                for sql, arrays in by_arrays(step.statement, step.rows):
                    told.append((driver.execute(translated(sql), arrays), step))
        for cursor, step in told:
            step.check(cursor.rowcount)  # so few rows are one statement


class _Going(WriteBatch):
    """Sends what is added at once, by a pipeline of its driver."""

    def __init__(self, driver: Any) -> None:
        super().__init__()
        self._driver = driver
        self._told: list[tuple[_Update, list[Any]]] = []

    def insert(
        self,
        target: sa.Table,
        columns: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        """Send rows to insert."""
        fixed = fixed or {}
        marks = [f"v.column{number}" for number in range(1, len(columns) + 1)]
        self._send(
            f"INSERT INTO {target.name} ({', '.join([*columns, *fixed])})"
            f" SELECT {', '.join([*marks, *fixed.values()])} FROM {{values}}",
            rows,
        )

    def update(
        self,
        statement: str,
        rows: Sequence[tuple[Any, ...]],
        failure: str | RuntimeError | None = None,
    ) -> None:
        """Send rows to update."""
        self._told.append((_Update(statement, rows, failure), self._send(statement, rows)))

    def _send(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        execute = self._driver.execute
        return [execute(translated(sql), given) for sql, given in by_arrays(statement, rows)]

    def check(self) -> None:
        """Raise the first failure."""
        for step, cursors in self._told:
            step.check(sum(cursor.rowcount for cursor in cursors))


@contextlib.contextmanager
def going(connection: Connection) -> Iterator[WriteBatch]:
    """Yield a batch that is written at the end of the block, or as it is added (PostgreSQL).

    Nothing else may be asked of the connection meanwhile. Raises at the end as ``write`` does.
    """
    if connection.dialect.name == "sqlite":
        batch = WriteBatch()
        yield batch
        batch.write(connection)
        return
    if not connection.in_transaction():
        connection.begin()
    with driver_of(connection, "a batch of writes") as driver:
        with driver.pipeline():
            sent = _Going(driver)
            yield sent
        sent.check()
