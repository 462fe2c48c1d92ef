"""Statements of many rows, each in the way that its database takes fastest.

SQLite: many rows to a statement, for its driver lets go of the interpreter's lock for each, and a
thread that computes makes it wait up to 5 ms for its return. So rows go by blocks of few different
sizes, whose statements stay prepared. PostgreSQL: rows are copied in, and an update's go as one
array for each column, so that there is one statement whatever their number.
"""

import contextlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, count
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from scheduler.store.engine import translated

#: A query with its values.
Question = tuple[str, tuple[Any, ...]]
Rows = Sequence[tuple[Any, ...]]
_CURSORS: Final = count()
_BLOCK_MAX: Final = 256  # rows of one INSERT
_BLOCK_FREE: Final = 32  # below, a statement is of any size
_UPDATE_MAX: Final = 10_000  # rows of one UPDATE by arrays
_TYPES: Final[Mapping[type, str]] = {bool: "boolean", int: "bigint", str: "text", bytes: "bytea"}
_LITERALS: Final[Mapping[str, object]] = {"TRUE": True, "FALSE": False, "NULL": None}


def bulk_insert(
    connection: Connection,
    target: sa.Table,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    fixed: Mapping[str, str] | None = None,
) -> None:
    """Insert many rows, in order; ``fixed`` columns have the same SQL literal in each."""
    if not rows:
        return
    fixed = fixed or {}
    if connection.dialect.name != "sqlite":
        copy_in(connection, target, columns, rows, fixed)
        return
    done = 0
    while done < len(rows):
        size = _block(len(rows) - done, _BLOCK_MAX)
        block = rows[done : done + size]
        connection.exec_driver_sql(*by_values(target, columns, block, fixed))
        done += size


def by_values(
    target: sa.Table,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    fixed: Mapping[str, str],
) -> tuple[str, tuple[Any, ...]]:
    """Return an INSERT of few rows as one statement, with its values."""
    one = f"({', '.join([*['?'] * len(columns), *fixed.values()])})"
    head = f"INSERT INTO {target.name} ({', '.join([*columns, *fixed])}) VALUES "
    return head + ", ".join([one] * len(rows)), tuple(chain.from_iterable(rows))


def copy_in(
    connection: Connection,
    target: sa.Table,
    columns: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
    fixed: Mapping[str, str],
) -> None:
    """Insert rows as ``bulk_insert`` does, which may be made meanwhile (PostgreSQL)."""
    columns, same = [*columns, *fixed], _plain(fixed)
    sql = f"COPY {target.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    types = _binary_types(target, tuple(columns))
    with driver_of(connection, sql) as driver, driver.cursor() as cursor, cursor.copy(sql) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row((*row, *same))


@lru_cache(maxsize=256)
def _binary_types(target: sa.Table, columns: tuple[str, ...]) -> list[str]:
    """What PostgreSQL calls the types of columns: numbers and texts are sent as they are kept."""
    return [_binary_type(target.c[name].type) for name in columns]


def _binary_type(kind: sa.types.TypeEngine[Any]) -> str:
    if isinstance(kind, sa.types.TypeDecorator):
        return _binary_type(kind.impl_instance)
    if kind.python_type is int and not isinstance(kind, sa.BigInteger):
        return "int4"
    return _TYPES[kind.python_type]


@contextlib.contextmanager
def driver_of(connection: Connection, sql: str) -> Iterator[Any]:
    """The driver's own connection; its errors are raised as those of other statements are."""
    driver, dialect = connection.connection, connection.dialect
    errors = dialect.loaded_dbapi.Error
    try:
        yield driver
    except errors as error:
        lost = dialect.is_disconnect(error, driver, None)
        raise DBAPIError.instance(
            sql, None, error, errors, dialect=dialect, connection_invalidated=lost
        ) from error


def _plain(fixed: Mapping[str, str]) -> tuple[object, ...]:
    """What SQL literals mean: texts, whole numbers, TRUE, FALSE and NULL."""
    return tuple(
        literal[1:-1].replace("''", "'")
        if literal.startswith("'")
        else _LITERALS[literal]
        if literal in _LITERALS
        else int(literal)
        for literal in fixed.values()
    )


def _block(left: int, most: int) -> int:
    """How many rows go next: few at once, many by powers of two."""
    return min(most, left if left <= _BLOCK_FREE else 1 << left.bit_length() - 1)


def bulk_read(
    connection: Connection, sql: str, values: Sequence[Any] = ()
) -> Sequence[tuple[Any, ...]]:
    """Return all rows of a query, fetched at one go as plain tuples.

    For queries of many rows: each fetch by itself may wait for the interpreter's lock.
    """
    result = connection.exec_driver_sql(sql, tuple(values))
    rows = result.cursor.fetchall()
    result.close()
    return rows


def prompt_read(
    connection: Connection, sql: str, values: Sequence[Any] = ()
) -> Sequence[tuple[Any, ...]]:
    """Return all rows of a query of few rows, past the engine's own work for each statement.

    For what is asked often, or while others wait for a lock. Nothing that listens to the engine
    sees it.
    """
    if not connection.in_transaction():
        connection.begin()
    with driver_of(connection, sql) as driver:
        if connection.dialect.name == "sqlite":
            found: list[tuple[Any, ...]] = driver.execute(sql, tuple(values)).fetchall()
        else:
            found = driver.execute(translated(sql), tuple(values)).fetchall()
    return found


def prompt_reads(
    connection: Connection, questions: Sequence[Question | None]
) -> list[Sequence[tuple[Any, ...]]]:
    """Return all rows of each of some queries, asked together; none for what is not asked."""
    if connection.dialect.name == "sqlite":
        return [[] if one is None else prompt_read(connection, *one) for one in questions]
    if not any(questions):
        return [[] for _ in questions]
    if not connection.in_transaction():
        connection.begin()
    there = [listed(*one) for one in questions if one is not None]
    told = iter(_bundled(connection, there))
    return [[] if one is None else next(told) for one in questions]


def _bundled(connection: Connection, questions: Sequence[Question]) -> list[Rows]:
    """Ask some things by one statement, which tells the rows of each as JSON.

    A statement costs the driver more than some rows do. No column is binary.
    """
    sql = _bundle(tuple(one for one, _ in questions))
    with driver_of(connection, sql) as driver:
        row = driver.execute(sql, tuple(chain.from_iterable(v for _, v in questions))).fetchone()
    return [[] if told is None else _ROWS.decode(told) for told in row]


def listed(sql: str, values: Sequence[Any]) -> Question:
    """Return a query whose lists of marks, of texts, are one mark each (PostgreSQL).

    It is the same for lists of any length, so that it stays prepared.
    """
    parts, given, at, done = [], list[Any](), 0, 0
    for found in _LIST.finditer(sql):
        before = sql[done : found.start()]
        single = before.count("?")
        length = found.group().count("?")
        given += values[at : at + single]
        at += single
        given.append(text_array(values[at : at + length]))
        at += length
        parts += [before, "= ANY(?::text[])"]
        done = found.end()
    return "".join((*parts, sql[done:])), (*given, *values[at:])


def text_array(values: Iterable[str | int | None]) -> str:
    """Return an array as PostgreSQL writes it: the driver takes far longer for a list."""
    told = list(values)
    if None not in told:
        plain = _NUL.join(map(str, told))
        if plain.count(_NUL) == len(told) - 1:  # all at once, for there may be very many
            return "{" + _quoted(plain).replace(_NUL, '","') + "}"
    return f"{{{','.join(['NULL' if one is None else _quoted(str(one)) for one in told])}}}"


def _quoted(text: str) -> str:
    text = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{text}"'


#: No text of PostgreSQL has it: one that has is refused by the driver.
_NUL: Final = "\0"
_LIST: Final = re.compile(r"IN \(\?(?:, \?)*\)")


@lru_cache(maxsize=256)
def _bundle(statements: tuple[str, ...]) -> str:
    parts = (
        f"(SELECT json_agg(q{number}) FROM ({sql}) AS q{number})::text"
        for number, sql in enumerate(statements)
    )
    return translated(f"SELECT {', '.join(parts)}")


def _values(pairs: list[tuple[str, Any]]) -> tuple[Any, ...]:
    return tuple([value for _, value in pairs])


#: Rows are objects to JSON.
_ROWS: Final = json.JSONDecoder(object_pairs_hook=_values)


def bulk_stream(
    connection: Connection,
    sql: str,
    values: Sequence[Any] = (),
    size: int = 5_000,
    *,
    binary: bool = False,
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query as plain tuples, holding no more than ``size`` of them at once.

    For more rows than fit into memory; the transaction must not end before the last one.
    ``binary`` has PostgreSQL send them so, which is faster to read; for rows without sums.
    """
    if connection.dialect.name == "sqlite":
        result = connection.exec_driver_sql(sql, tuple(values))
        while rows := result.cursor.fetchmany(size):
            yield from rows
        result.close()
        return
    # A cursor without a name would fetch all rows at once.
    name = f"corridor_{next(_CURSORS)}"
    with driver_of(connection, sql) as driver, driver.cursor(name, binary=binary) as cursor:
        cursor.execute(translated(sql), tuple(values))
        while rows := cursor.fetchmany(size):
            yield from rows


def among(
    connection: Connection, column: str, numbers: Collection[int]
) -> tuple[str, tuple[Any, ...]]:
    """Return the condition that a column is one of some numbers (there are some), and its values.

    SQLite takes few values by mark; PostgreSQL plans an array faster, and looks it up by an index.
    """
    if connection.dialect.name == "sqlite":
        return f"{column} IN ({', '.join(map(str, numbers))})", ()
    # As in ``by_arrays``, how many there are is hidden from the planner.
    return f"{column} = ANY((SELECT ?::bigint[])::bigint[])", (text_array(numbers),)


def bulk_execute(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run one statement (``?`` marks) for many rows; returns how many rows it changed in all."""
    if not rows:
        return 0
    return connection.exec_driver_sql(sql, list(rows)).rowcount


def bulk_update(
    connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]], block: int = 64
) -> int:
    """Run ``UPDATE ... FROM {values} WHERE ...`` for many rows; returns how many it changed.

    ``{values}`` stands for the rows, named ``v`` with ``column1``, ``column2`` and so on. No two
    rows may meet the same stored one.
    """
    if connection.dialect.name != "sqlite":
        return _update_by_arrays(connection, statement, rows)
    changed = done = 0
    while done < len(rows):
        size = _block(len(rows) - done, block)
        sql, flat = _with_marks(statement, rows[done : done + size])
        changed += connection.exec_driver_sql(sql, flat).rowcount
        done += size
    return changed


def read_with(
    connection: Connection, query: str, rows: Sequence[tuple[Any, ...]]
) -> Sequence[tuple[Any, ...]]:
    """Return all rows of a query that asks for some rows: ``{values}``, as in ``bulk_update``."""
    if not rows:
        return []
    with_rows = _with_marks if connection.dialect.name == "sqlite" else _with_arrays
    return bulk_read(connection, *with_rows(query, rows))


def _with_marks(statement: str, rows: Sequence[tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
    one = f"({', '.join('?' * len(rows[0]))})"
    values = f"(VALUES {', '.join([one] * len(rows))}) AS v"
    return statement.format(values=values), tuple(chain.from_iterable(rows))


def _update_by_arrays(
    connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]
) -> int:
    statements = by_arrays(statement, rows)
    return sum(connection.exec_driver_sql(sql, given).rowcount for sql, given in statements)


def by_arrays(
    statement: str, rows: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what ``bulk_update`` runs on PostgreSQL: statements, each with an array a column."""
    for first in range(0, len(rows), _UPDATE_MAX):
        yield _with_arrays(statement, rows[first : first + _UPDATE_MAX])


def _with_arrays(statement: str, rows: Iterable[tuple[Any, ...]]) -> tuple[str, tuple[str, ...]]:
    sql, given, names, arrays = statement, list[str](), [], []
    for number, column in enumerate(zip(*rows, strict=True), 1):
        kind = _kind(column)
        if kind is None:
            # Of what type nothing is, the database is to find from where it goes.
            sql = re.sub(rf"\bv\.column{number}\b", "NULL", sql)
            continue
        given.append(_array(kind, column))
        names.append(f"column{number}")
        # How many there are is hidden from the planner: it would scan a whole table for many.
        arrays.append(f"(SELECT ?::{kind}[])")
    values = f"unnest({', '.join(arrays)}) AS v({', '.join(names)})"
    return sql.format(values=values), tuple(given)


def _array(kind: str, column: Sequence[Any]) -> str:
    """A column as PostgreSQL writes arrays."""
    if kind == "text":
        return text_array(column)
    if kind == "bytea":
        column = [None if one is None else f'"\\\\x{one.hex()}"' for one in column]
    numbers = ",".join(map(str, column))
    return f"{{{numbers.replace('None', 'NULL')}}}"


def _kind(column: Sequence[object]) -> str | None:
    """The database's type of a column's values; None if there is no value among them."""
    for value in column:
        if value is not None:
            return next(name for kind, name in _TYPES.items() if isinstance(value, kind))
    return None
