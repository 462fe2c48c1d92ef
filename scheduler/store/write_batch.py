"""Writes of one transaction that belong together, and go together where that is faster.

On PostgreSQL few rows go as a pipeline: one way there and back for all statements, which matters
while rows are locked for which others wait. Many rows are copied, one table after another; or, by
``going``, each table's are on their way while those of the next are made. SQLite has no way to
save: its statements run in the process.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from scheduler.store.bulk import (
    bulk_insert,
    bulk_update,
    by_arrays,
    by_values,
    copy_in,
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
        rows: Iterable[tuple[Any, ...]],
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        """Add rows to insert, as ``bulk_insert`` takes them."""
        rows = list(rows)
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
            with going(connection) as batch:
                for step in self._steps:
                    if isinstance(step, _Insert):
                        batch.insert(*step)
                    else:
                        batch.update(*step)
            return
        for step in self._steps:
            if isinstance(step, _Insert):
                bulk_insert(connection, *step)
            else:
                step.check(bulk_update(connection, step.statement, step.rows))


def _insert_few(driver: Any, step: _Insert) -> None:
    size = max(1, _MARKS // len(step.columns))
    for first in range(0, len(step.rows), size):
        sql, values = by_values(*step._replace(rows=step.rows[first : first + size]))
        driver.execute(translated(sql), values)


class _Going(WriteBatch):
    """Sends what is added at once: updates and few rows by a pipeline of its driver; more rows to
    insert as a copy, which the server takes in while they are made."""

    def __init__(self, connection: Connection, driver: Any) -> None:
        super().__init__()
        self._connection, self._driver = connection, driver
        self._told: list[tuple[_Update, list[Any]]] = []
        self._piping = False
        #: Has the pipeline while there is one.
        self.piped = contextlib.ExitStack()

    def insert(
        self,
        target: sa.Table,
        columns: Sequence[str],
        rows: Iterable[tuple[Any, ...]],
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        """Send few rows; copy more of them, once what was sent before is done."""
        left = iter(rows)
        few = list(islice(left, FEW_ROWS + 1))
        if len(few) > FEW_ROWS:
            self._piping = False
            self.piped.close()
            copy_in(self._connection, target, columns, chain(few, left), fixed or {})
        elif few:
            self._pipe()
            _insert_few(self._driver, _Insert(target, columns, few, fixed or {}))

    def _pipe(self) -> None:
        if not self._piping:
            self.piped.enter_context(self._driver.pipeline())
            self._piping = True

    def update(
        self,
        statement: str,
        rows: Sequence[tuple[Any, ...]],
        failure: str | RuntimeError | None = None,
    ) -> None:
        """Send rows to update."""
        if not rows:
            return
        self._pipe()
        sent = [
            self._driver.execute(translated(sql), given)
            for sql, given in by_arrays(statement, rows)
        ]
        self._told.append((_Update(statement, rows, failure), sent))

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
        sent = _Going(connection, driver)
        with sent.piped:
            yield sent
        sent.check()
