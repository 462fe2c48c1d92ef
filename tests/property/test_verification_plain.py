"""The quick way of verification finds, on tampered books, what looking at everything finds.

The quick way has PostgreSQL put entries' texts together and say which runs are plainly right; the
slow one takes each entry by itself and has every check look at every run.
"""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Final

import pytest
import sqlalchemy as sa
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from quota.audit import Auditor
from scheduler.store import transfers, verification, verification_plain
from scheduler.store.verification_runs import ALL
from tests.integration.test_ledger_verify import COLUMNS, eventful, other
from tests.postgres import Postgres
from tests.simulation import inline_store
from tests.simulation.hands import Hands

_TABLES: Final = (*COLUMNS, "run")
_RUN: Final = ("units", "wall_limit_s", "settled_ms")

_Tamper = tuple[str, str, int, int]
_tampers = st.tuples(
    st.sampled_from(("change", "delete", "double", "swap")), st.sampled_from(_TABLES),
    st.integers(0, 99), st.integers(0, 99),
)  # fmt: skip


@pytest.fixture(scope="module")
def books(postgres: Postgres) -> Iterator[Hands]:
    """A sound ledger in which much has happened."""
    with inline_store.on(postgres):
        yield eventful()


class _Undone(Exception):
    """Rolls back what was tampered with."""


def _slowly(connection: Connection) -> list[str]:
    """What is wrong, found by each entry by itself and by every check of every run."""
    auditor = Auditor()
    for link in transfers.stream(connection):
        auditor.take(link)
    verification.compare(connection, auditor, transfers.read_heads(connection))
    found = chain(
        *(check(connection, ALL) for check in verification.OF_RUNS),
        *(check(connection) for check in verification.OF_ALL),
    )
    for text in islice(found, auditor.problems_max):
        auditor.problem(text)
    return auditor.problems


class _Kept(Exception):
    """The database kept all as it was: not even its superuser can do that."""


def _tamper(connection: Connection, tamper: _Tamper) -> None:
    """Do one thing past all guards."""
    kind, table, row_at, column_at = tamper
    columns = COLUMNS.get(table, _RUN)
    column, second = columns[column_at % len(columns)], columns[(column_at + 1) % len(columns)]
    rows = connection.exec_driver_sql(f"SELECT ctid::text, * FROM {table} ORDER BY ctid").all()
    if not rows:
        raise _Kept
    row = rows[row_at % len(rows)]._mapping
    where = f"WHERE ctid = '{row['ctid']}'"
    run = connection.exec_driver_sql
    if kind == "change":
        run(f"UPDATE {table} SET {column} = ? {where}", (_other(row[column]),))
    elif kind == "delete":
        run(f"DELETE FROM {table} {where}")
    elif kind == "swap":
        one = rows[column_at % len(rows)]._mapping
        run(f"UPDATE {table} SET {column} = ? {where}", (one[column],))
        run(f"UPDATE {table} SET {column} = ? WHERE ctid = '{one['ctid']}'", (row[column],))
    else:
        twin = {name: value for name, value in row.items() if name != "ctid"}
        keys = sa.inspect(connection).get_pk_constraint(table)["constrained_columns"]
        changed = {second, keys[row_at % len(keys)], *({"idem_key"} & twin.keys())}
        twin |= {name: _other(twin[name]) for name in changed}
        marks = ", ".join("?" * len(twin))
        run(f"INSERT INTO {table} ({', '.join(twin)}) VALUES ({marks})", tuple(twin.values()))


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return 1 if value is None else other(value)


def _agree(books: Hands, tampers: list[_Tamper]) -> bool:
    """Compare what both ways find of books that are tampered with; False if they cannot be."""

    def look(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for tamper in tampers:
            _tamper(connection, tamper)
        raise _Undone(list(verification.verify(connection).problems), _slowly(connection))

    try:
        books.db.do(look)
    except _Undone as found:
        quickly, slowly = found.args
        assert quickly == slowly
    except (DBAPIError, _Kept):
        return False
    return True


@settings(max_examples=25, deadline=None)
@given(tampers=st.lists(_tampers, min_size=1, max_size=2))
@example(tampers=[])
@example(tampers=[("change", "hold_leg", 0, 0)])
@example(tampers=[("change", "rated_line", 0, 5)])
@example(tampers=[("delete", "subsidy_line", 0, 0)])
def test_what_was_tampered_with_is_found_quickly_as_slowly(
    books: Hands, tampers: list[_Tamper]
) -> None:
    assume(_agree(books, tampers))


@pytest.mark.slow
@pytest.mark.parametrize("table", _TABLES)
@pytest.mark.parametrize("kind", ["change", "delete"])
def test_each_value_and_many_a_row_are_found_quickly_as_slowly(
    books: Hands, table: str, kind: str
) -> None:
    columns = len(COLUMNS.get(table, _RUN)) if kind == "change" else 1
    rows = int(books.db.rows(f"SELECT count(*) FROM {table}")[0][0])
    done = [
        _agree(books, [(kind, table, row, column)])
        for row in range(0, rows, 1 + rows // 12)
        for column in range(columns)
    ]
    assert any(done)


def test_ordinary_runs_are_plain_and_only_others_are_looked_at(books: Hands) -> None:
    found = books.db.read_sync(verification_plain.others).keys
    all_runs = {tuple(row) for row in books.db.rows("SELECT job_uid, attempt FROM run")}
    more = {
        tuple(row)
        for row in books.db.rows(
            "SELECT job_uid, attempt FROM correction UNION SELECT job_uid, attempt FROM transfer"
            " WHERE kind = 'DIRECT' AND job_uid <> 0 UNION SELECT job_uid, attempt"
            " FROM usage_record GROUP BY job_uid, attempt HAVING count(*) > 1"
        )
    }
    assert found is not None
    assert set(found) == more
    assert len(all_runs) > len(more) > 0
