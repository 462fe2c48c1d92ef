"""Of a ledger with every kind of row, quick verification misses nothing that was changed.

``test_verification_plain`` says what the two ways are. Here each column of each table of money is
given other values, rows are deleted and doubled, of each kind of row that there is.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final, NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from quota.audit import Auditor
from scheduler.domain.ids import run_id
from scheduler.store import (
    transfers,
    verification,
    verification_plain,
    verification_statements,
)
from scheduler.store.verification_runs import ALL, Runs
from tests.postgres import Postgres
from tests.property.books_rich import rich
from tests.simulation import inline_store
from tests.simulation.hands import Hands

_MORE: Final = "(job_uid, attempt) IN (SELECT * FROM more)"
_PAYS: Final = "split_part(debit_account, ':', 1), split_part(credit_account, ':', 1)"
#: What tells kinds of rows apart, of tables from which checks of runs read.
KINDS: Final = {
    "transfer": f"kind, code, {_PAYS}, reverses = '', {_MORE}",
    "hold": f"state, rev > 0, gross_fen = 0, {_MORE}",
    "hold_leg": f"kind, {_PAYS}, rev > 0, cap_reserved, posted_fen = 0, {_MORE}",
    "usage_record": f"revision > 0, charge_revision, segment, {_MORE}",
    "rated_line": f"revision, line, billed, free = 0, gross_fen = 0, {_MORE}",
    "subsidy_line": f"ledger, binding, split_part(account_id, ':', 1), revision > 0, line < 0,"
    f" cap_year, {_MORE}",
    "correction": "kind, revision, subsidy_fen = 0, receivable_fen = 0",
    "run": f"state, settled_ms IS NULL, {_MORE}",
    "voucher": "state, programme, drained",
    "price_version": "price_id",
    "rule_version": "programme, version",
}
#: All others of money.
OTHERS: Final = (
    "account", "cap_counter", "ledger_shard", "job", "unit_grant", "fund_period", "fund_funder",
    "fund_reduction", "fund_close", "book_month", "book_head", "statement", "statement_range",
)  # fmt: skip
#: Legs that there are: kind, who pays, to whom, and whether the cap was counted when it was issued.
_LEGS: Final = {
    ("FUND", "fund", "payable", False),
    ("FUND", "fund", "claim", False),
    ("VOUCHER", "voucher", "payable", False),
    ("VOUCHER", "voucher", "payable", True),
    ("GRANT", "grant", "consumed", False),
    ("WALLET", "wallet", "payable", False),
}
_VALUES: Final = 9


class Rows(NamedTuple):
    """A table's columns with their types, its keys, and rows: of each kind one, and all."""

    columns: list[tuple[str, Any]]
    keys: list[str]
    picked: list[dict[str, Any]]
    all: list[dict[str, Any]]


class Change(NamedTuple):
    """One thing that is done to a row; ``value`` is the number of another value."""

    what: str  # change, delete, double
    table: str
    row: dict[str, Any]
    column: int
    value: int


Books = tuple[Hands, dict[str, Rows]]


@pytest.fixture(scope="module")
def books(postgres: Postgres) -> Iterator[Books]:
    """A sound ledger, and its rows."""
    with inline_store.on(postgres):
        it = rich()
        yield it, it.db.read_sync(_rows)


def _rows(connection: Connection) -> dict[str, Rows]:
    more = verification_plain.others(connection).keys or ()
    given = ", ".join(map(str, more))
    found = {}
    for table in (*KINDS, *OTHERS):
        kinds = KINDS.get(table, "ctid")
        read = [
            [dict(row._mapping) for row in connection.exec_driver_sql(sql)]
            for sql in (
                f"WITH more(job_uid, attempt) AS (VALUES {given}) SELECT DISTINCT ON ({kinds})"
                f" ctid::text, * FROM {table} ORDER BY {kinds}, ctid",
                f"SELECT ctid::text, * FROM {table} ORDER BY ctid",
            )
        ]
        inspected = sa.inspect(connection)
        columns = [(one["name"], one["type"]) for one in inspected.get_columns(table)]
        keys = inspected.get_pk_constraint(table)["constrained_columns"]
        found[table] = Rows(columns, keys, *read)
    return found


# --- tampering ------------------------------------------------------------------------------------


def _values(kind: Any, value: Any, others: Iterable[Any]) -> list[Any]:
    """Other values for one: first those a little beside it, then those of other rows, then wild."""
    another = list(islice((one for one in others if one not in (value, None)), 2))
    if isinstance(kind, sa.Boolean):
        return [not value]
    if isinstance(kind, sa.Integer):
        most = 2**63 - 1 if isinstance(kind, sa.BigInteger) else 2**31 - 1
        number = value or 0
        near = [number + 1, number - 1, 0, None, -number, *another, most, -most - 1]
    elif isinstance(kind, sa.LargeBinary):
        near = [bytes(32), b"", None, *another]
    else:
        text = value or ""
        near = [f"{text}x", text[:-1], "", None, "wallet:w1", "%", *another]
    return [one for one in near if one != value]


def _tamper(connection: Connection, tables: dict[str, Rows], change: Change) -> bool:
    """Do it past all guards; False if not even an administrator can, or nothing would change."""
    what, table, row, at, number = change
    columns, keys, _, rows = tables[table]
    column, kind = columns[at % len(columns)]
    values = _values(kind, row[column], (one[column] for one in rows[number % len(rows) :]))
    if what != "delete" and number >= len(values):
        return False
    run = connection.exec_driver_sql
    try:
        if what == "delete":
            run(f"DELETE FROM {table} WHERE ctid = ?", (row["ctid"],))
        elif what == "change":
            run(f"UPDATE {table} SET {column} = ? WHERE ctid = '{row['ctid']}'", (values[number],))
        elif column not in keys:
            return False
        else:
            twin = {name: value for name, value in row.items() if name != "ctid"}
            twin[column] = values[number]
            if "idem_key" in twin:
                twin["idem_key"] = f"{twin['idem_key']}x"
            marks = ", ".join("?" * len(twin))
            run(f"INSERT INTO {table} ({', '.join(twin)}) VALUES ({marks})", tuple(twin.values()))
    except DBAPIError:
        return False
    return True


class _Undone(Exception):
    """Rolls back what was tampered with."""


def _with(books: Books, changes: Iterable[Change], look: Any) -> Any:
    """What is seen of tampered books; None if they cannot be so."""

    def do(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        done = all(_tamper(connection, books[1], change) for change in changes)
        raise _Undone(look(connection) if done else None)

    try:
        books[0].db.do(do)
    except _Undone as found:
        return found.args[0]


# --- the two ways ---------------------------------------------------------------------------------


def _of_runs(connection: Connection, runs: Runs) -> list[str]:
    return [text for check in verification.OF_RUNS for text in check(connection, runs)]


def _runs_alike(connection: Connection) -> tuple[list[str], list[str]]:
    """What is wrong with runs: only of those that are not plainly right, and of all."""
    others, slowly = verification_plain.others(connection), _of_runs(connection, ALL)
    return (_of_runs(connection, others) if slowly else []), slowly


def _all_alike(connection: Connection) -> tuple[list[str], list[str]]:
    """What is wrong, found the quick way, and by each entry by itself and every check."""
    auditor = Auditor()
    for link in transfers.stream(connection):
        auditor.take(link)
    verification.compare(connection, auditor, transfers.read_heads(connection))
    others = (check(connection) for check in verification.OF_ALL)
    for text in chain(_of_runs(connection, ALL)[: auditor.problems_max], *others):
        auditor.problem(text)
    return list(verification.verify(connection).problems), auditor.problems


# --- the tests ------------------------------------------------------------------------------------


def _first(it: Hands, sql: str) -> set[Any]:
    return {row[0] if len(row) == 1 else tuple(row) for row in it.db.rows(sql)}


def test_every_kind_of_row_stands_in_the_ledger(books: Books) -> None:
    it, tables = books
    assert all(rows.all for rows in tables.values())
    assert _first(it, "SELECT DISTINCT kind FROM transfer") == {"PENDING", "POST", "VOID", "DIRECT"}
    assert _first(it, "SELECT DISTINCT code FROM transfer") == {
        "APPROPRIATE", "LOWER", "HOLD", "TOP_UP", "SETTLE", "OVERRUN", "CORRECT", "WRITE_OFF",
        "CLAWBACK", "ISSUE", "EXPIRE", "REVOKE", "LAPSE", "PAY", "REDEEM", "WALLET_TOP_UP", "GRANT",
    }  # fmt: skip
    assert _first(it, f"SELECT DISTINCT kind, {_PAYS}, cap_reserved, rev > 0 FROM hold_leg") == {
        (*one, later) for one in _LEGS for later in (False, True)
    }
    assert _first(it, "SELECT DISTINCT ledger FROM subsidy_line") == {"CNY", "UNIT_S"}
    assert _first(it, "SELECT DISTINCT binding FROM subsidy_line") == {
        "RATE", "HOLD", "GRANT", "VOUCHER", "JOB_CAP", "YEAR_CAP", "FUND",
    }  # fmt: skip
    assert _first(it, "SELECT DISTINCT funder FROM hold_leg") >= {"", "hubei"}
    assert _first(it, "SELECT DISTINCT state FROM hold") == {"HELD", "SETTLED", "VOIDED"}
    assert _first(it, "SELECT DISTINCT rev FROM hold") >= {0, 1, 2}
    assert _first(it, "SELECT DISTINCT line FROM rated_line") >= {-2, -1, 0, 1}
    assert _first(it, "SELECT DISTINCT billed FROM rated_line") == {False, True}
    assert _first(it, "SELECT DISTINCT segment FROM usage_record") == {0, 1}
    assert _first(it, "SELECT DISTINCT charge_revision FROM usage_record") == {0, 1, 2}
    assert _first(it, "SELECT DISTINCT kind FROM correction") == {"USAGE", "DECIDED"}
    assert _first(it, "SELECT DISTINCT cap_year FROM subsidy_line") >= {None, 2026, 2027, 2028}
    assert _first(it, "SELECT DISTINCT state FROM voucher") == {"ISSUED", "EXPIRED", "REVOKED"}
    assert _first(it, "SELECT DISTINCT state FROM statement") == {"PAID", "DISPUTED"}
    assert _first(it, "SELECT DISTINCT revision > 1 FROM statement") == {False, True}
    assert _first(
        it, "SELECT DISTINCT split_part(debit_account, ':', 1) FROM transfer WHERE code = 'OVERRUN'"
    ) >= {"fund", "wallet", "receivable"}
    for more_than_one in (
        "SELECT 1 FROM rated_line WHERE line >= 0 GROUP BY job_uid, attempt, revision, segment"
        " HAVING count(*) > 1",
        "SELECT 1 FROM hold_leg GROUP BY job_uid, attempt, rev HAVING count(DISTINCT to_ms) > 2",
        "SELECT 1 FROM hold h JOIN price_version p USING (price_id) GROUP BY p.flavor"
        " HAVING count(DISTINCT price_id) > 1",
    ):
        assert it.db.rows(more_than_one)


def test_runs_of_every_kind_of_payer_are_plain(books: Books) -> None:
    legs = {
        (row["kind"], row["debit_account"].partition(":")[0],
         row["credit_account"].partition(":")[0], row["cap_reserved"])
        for row in _plain(books, "hold_leg")
    }  # fmt: skip
    assert legs == _LEGS
    assert {row["state"] for row in _plain(books, "hold")} == {"HELD", "SETTLED", "VOIDED"}
    assert {row["billed"] for row in _plain(books, "rated_line")} == {False, True}
    assert {row["ledger"] for row in _plain(books, "subsidy_line")} == {"CNY", "UNIT_S"}


def _plain(books: Books, table: str) -> list[dict[str, Any]]:
    """Rows of runs that are plainly right, of each kind one; all of a table of no runs."""
    more = set(books[0].db.read_sync(verification_plain.others).keys or ())
    rows = books[1][table].picked
    return [row for row in rows if (row.get("job_uid"), row.get("attempt")) not in more]


def _set(table: str, row: dict[str, Any], column: str, value: Any) -> Any:
    """Something that gives a row this value."""
    sql = f"UPDATE {table} SET {column} = ? WHERE ctid = '{row['ctid']}'"
    return lambda connection: connection.exec_driver_sql(sql, (value,))


def _named(books: Books, row: dict[str, Any], do: Any) -> None:
    """What is done is found, and the row named, by both ways."""

    def look(connection: Connection) -> Any:
        do(connection)
        return _runs_alike(connection)

    quickly, slowly = _with(books, [], look)
    assert quickly == slowly
    assert any(run_id(row["job_uid"], row["attempt"]) in text for text in slowly)


def test_a_subsidy_that_is_told_twice_is_found(books: Books) -> None:
    """The second line is all that a leg posted, as the first one is."""
    for row in _plain(books, "subsidy_line"):
        again = {name: f"s.{name}" for name, _ in books[1]["subsidy_line"].columns}
        again["line"] = (
            "(SELECT max(line) + 1 FROM subsidy_line l"
            " WHERE l.job_uid = s.job_uid AND l.attempt = s.attempt)"
        )
        sql = (
            f"INSERT INTO subsidy_line ({', '.join(again)}) SELECT {', '.join(again.values())}"
            f" FROM subsidy_line s WHERE ctid = '{row['ctid']}'"
        )
        _named(books, row, lambda connection, sql=sql: connection.exec_driver_sql(sql))


@pytest.mark.parametrize(
    ("column", "wild"),
    [
        ("revision", (2**31 - 1, -(2**31))),
        ("start_ms", (2**63 - 1, -(2**63))),
        ("amount_fen", (2**63 - 1, -(2**63))),
    ],
)
def test_a_wild_value_of_a_subsidy_is_found_and_its_row_named(
    books: Books, column: str, wild: tuple[int, int]
) -> None:
    lines = books[1]["subsidy_line"].picked
    funded = [row for row in lines if row["account_id"].startswith("fund:")]
    assert {row["line"] < 0 for row in funded} == {False, True}
    for row in funded:
        for value in wild:
            _named(books, row, _set("subsidy_line", row, column, value))


def test_use_since_ever_is_found_and_its_run_named(books: Books) -> None:
    """So long that its milliseconds are more than 64 bits hold."""
    for row in _plain(books, "usage_record"):
        run = f"WHERE job_uid = {row['job_uid']} AND attempt = {row['attempt']}"

        def do(connection: Connection, run: str = run) -> None:
            for table in ("usage_record", "rated_line"):
                connection.exec_driver_sql(f"UPDATE {table} SET start_ms = {-(2**63)} {run}")

        _named(books, row, do)


def test_a_statement_with_wild_sums_is_named(books: Books) -> None:
    row = books[1]["statement"].picked[0]

    def look(connection: Connection) -> list[str]:
        for column in ("share_fen", "others_fen"):
            _set("statement", row, column, 2**63 - 1)(connection)
        return list(verification_statements.sums(connection))

    [found] = _with(books, [], look)
    assert found.startswith(f"statement {row['number']}: its sums do not add up")


@st.composite
def _changes(draw: Any, tables: dict[str, Rows]) -> list[Change]:
    changes = []
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from((*KINDS, *KINDS, *OTHERS)))
        _, _, picked, rows = tables[table]
        changes.append(
            Change(
                draw(st.sampled_from(("change", "change", "change", "delete", "double"))), table,
                draw(st.sampled_from(picked) | st.sampled_from(rows)), draw(st.integers(0, 49)),
                draw(st.integers(0, _VALUES - 1)),
            )
        )  # fmt: skip
    return changes


def _agree(books: Books, data: st.DataObject) -> None:
    found = _with(books, data.draw(_changes(books[1])), _all_alike)
    assume(found is not None)
    quickly, slowly = found
    assert quickly == slowly


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_done_to_any_kind_of_row_is_found_quickly_as_slowly(
    books: Books, data: st.DataObject
) -> None:
    _agree(books, data)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_whatever_is_done_to_rows_is_found_quickly_as_slowly(
    books: Books, data: st.DataObject
) -> None:
    _agree(books, data)


def _each(rows: Rows, table: str, kept: list[dict[str, Any]]) -> Iterator[Change]:
    """Every value for each column of the first row, three of them for those of each other row."""
    for place, row in enumerate(kept):
        yield Change("delete", table, row, 0, 0)
        for column, (name, _) in enumerate(rows.columns):
            first = (place + column) % 3
            for value in range(_VALUES) if not place else range(first, _VALUES, 3):
                yield Change("change", table, row, column, value)
                if name in rows.keys:
                    yield Change("double", table, row, column, value)


@pytest.mark.slow
@pytest.mark.parametrize("table", KINDS)
def test_each_value_of_plain_runs_is_found_quickly_as_slowly(books: Books, table: str) -> None:
    """Other runs are looked at either way."""
    kept = _plain(books, table)
    assert bool(kept) == (table != "correction")
    for change in _each(books[1][table], table, kept):
        found = _with(books, [change], _runs_alike)
        assert found is None or found[0] == found[1], change


@pytest.mark.slow
@pytest.mark.parametrize("table", OTHERS)
def test_each_value_of_other_rows_is_found_quickly_as_slowly(books: Books, table: str) -> None:
    for change in _each(books[1][table], table, books[1][table].picked[:1]):
        found = _with(books, [change], _all_alike)
        assert found is None or found[0] == found[1], change
