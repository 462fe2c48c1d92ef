"""Writes of one transaction that belong together, and go together where that is faster.

On PostgreSQL few rows go as a pipeline: one way there and back for all statements, which matters
while rows are locked for which others wait. Many rows are copied, one table after another. SQLite
has no way to save: its statements run in the process.
"""

from collections.abc import Mapping, Sequence
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
    failure: str


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

    def update(self, statement: str, rows: Sequence[tuple[Any, ...]], failure: str) -> None:
        """Add rows to update, as ``bulk_update`` takes them; all of them must be changed."""
        if rows:
            self._steps.append(_Update(statement, rows, failure))
            self._row_count += len(rows)

    def write(self, connection: Connection) -> None:
        """Write it all; raises RuntimeError, and nothing may be kept, if a row was not changed."""
        if connection.dialect.name != "sqlite" and self._row_count <= FEW_ROWS:
            self._write_piped(connection)
            return
        for step in self._steps:
            if isinstance(step, _Insert):
                bulk_insert(connection, *step)
            elif bulk_update(connection, step.statement, step.rows) != len(step.rows):
                raise RuntimeError(step.failure)

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
            # So few rows are one statement.
            if cursor.rowcount != len(step.rows):
                raise RuntimeError(step.failure)
