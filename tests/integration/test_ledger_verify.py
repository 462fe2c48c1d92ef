"""Verification finds every kind of tampering with money, and names the row that is wrong.

A database administrator's means: guards and checks are switched off, then one value is changed,
one row deleted or added, each in turn.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.contract import FailureClass, Phase
from quota.rules import Rule
from scheduler.domain.ids import run_id
from scheduler.store import funds
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.inline_store import InlineDatabase
from tests.simulation.world import CPU, NPU, job

#: What is changed of each table, and where the name of a row is found in what is said of it.
COLUMNS = {
    "transfer": (
        "shard", "seq", "kind", "code", "debit_account", "credit_account", "amount_fen", "job_uid",
        "attempt", "leg_id", "reverses", "effective_ms", "ref_period", "idem_key", "actor",
        "reason", "ledger", "prev_hash", "hash",
    ),
    "account": ("debits_pending", "debits_posted", "credits_pending", "credits_posted"),
    "cap_counter": ("pending_fen", "posted_fen", "year"),
    "hold": (
        "state", "price_ufen", "units", "from_s", "wall_limit_s", "gross_fen", "posted_fen",
        "frozen", "price_id",
    ),
    "hold_leg": ("amount_fen", "posted_fen", "debit_account", "credit_account"),
    "usage_record": (
        "center", "native_id", "submit_ms", "segment", "revision", "job_uid", "attempt",
        "start_ms", "end_ms", "units", "raw_sha256", "source", "charge_revision",
    ),
    "rated_line": (
        "revision", "segment", "seconds", "units", "free", "gross_fen", "billed", "price_id",
        "start_ms", "end_ms",
    ),
    "subsidy_line": (
        "amount_fen", "account_id", "programme", "rule_version", "cap_year", "ledger",
    ),
    "correction": ("revision", "gross_fen", "subsidy_fen", "receivable_fen", "basis"),
    "ledger_shard": ("seq", "hash"),
    "rule_version": ("body", "sha256"),
    "price_version": ("price_ufen",),
    "job": ("gross_fen", "subsidy_fen", "self_pay_fen"),
}  # fmt: skip
DELETED = (
    "transfer", "account", "cap_counter", "hold", "hold_leg", "usage_record", "rated_line",
    "subsidy_line", "ledger_shard", "run", "correction",
)  # fmt: skip


def eventful() -> Hands:
    """A ledger with holds, settlements, voids, an overrun, a retry and two segments."""
    it = Hands(
        worlds.build(
            rules=(
                (Rule("v", 1, "wuhan", 3000, year_cap_fen=5_000), 10_000),
                (Rule("shared", 1, "corridor", 2000, priority=1, base="REMAINING"), 10_000),
            )
        )
    )
    uids = it.world.submit("w1", [job(NPU), job(NPU), job(CPU, 8), job(NPU), job(NPU, wall_s=60)])
    it.run(*uids)
    start_ms = it.clock.ms
    it.end(uids[0], 100)
    it.end(uids[1], 200, Phase.FAILED, FailureClass.NODE)
    segments = [
        it.usage(uids[2], start_ms + 1_000 * a, start_ms + 1_000 * b, units=8, segment=number)
        for number, (a, b) in enumerate([(0, 99), (150, 299)])
    ]
    it.report(
        it.seen(
            uids[2], Phase.SUCCEEDED, 2, start_ms=start_ms, end_ms=start_ms + 299_000,
            usage=segments,
        )
    )  # fmt: skip
    it.end(uids[4], 90)
    it.clock.ms = it.job(uids[1], "not_before_ms")
    it.run(uids[1])
    it.end(uids[1], 300)
    late = it.usage(uids[0], start_ms, start_ms + 60_000, revision=1)
    it.report(it.seen(uids[0], Phase.SUCCEEDED, 2, usage=[late]))
    it.verify()
    return it


@pytest.fixture(scope="module")
def sound() -> Hands:
    """Books in which much has happened."""
    return eventful()


@pytest.fixture
def books(sound: Hands) -> Iterator[InlineDatabase]:
    """A copy of the sound ledger whose guards are off."""
    copy = InlineDatabase()
    sound.db._raw.backup(copy._raw)
    raw = copy._raw
    for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        raw.execute(f"DROP TRIGGER {name}")
    raw.execute("PRAGMA ignore_check_constraints = ON")
    raw.execute("PRAGMA foreign_keys = OFF")
    yield copy
    copy.close()


def names(table: str, row: dict[str, Any]) -> tuple[str, ...]:
    """How what is wrong with a row may be named."""
    match table:
        case "transfer":
            following = f"transfer {row['shard']}#{row['seq'] + 1}"
            return f"transfer {row['shard']}#{row['seq']}", following, f"shard {row['shard']}"
        case "account":
            return (f"account {row['account_id']}",)
        case "cap_counter":
            return (f"cap_counter {row['programme']}/{row['enterprise']}",)
        case "ledger_shard":
            return (f"shard {row['shard']}",)
        case "rule_version":
            return (f"rule_version {row['programme']}/{row['version']}",)
        case "price_version":
            return ("its price version says",)
        case "job":
            return (run_id(row["uid"], 1).partition(".")[0],)
        case _:
            return (run_id(row["job_uid"], row["attempt"]),)


def problems(books: InlineDatabase) -> tuple[str, ...]:
    """What verification says."""
    return books.read_sync(funds.verify).problems


def rows_of(books: InlineDatabase, table: str) -> list[dict[str, Any]]:
    """All rows of a table, with their row ids."""
    cursor = books._raw.execute(f"SELECT rowid AS row_number, * FROM {table}")
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor]


def insert(books: InlineDatabase, table: str, row: dict[str, Any]) -> None:
    """Put a row into a table."""
    marks = ", ".join("?" * len(row))
    books._raw.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
    )


def other(value: object) -> object:
    """Another value of the same kind."""
    match value:
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case int():
            return value + 1
        case str():
            return value[:-1] + chr(ord(value[-1]) + 1) if value else "x"
        case _:
            raise AssertionError(f"no other value than {value!r}")


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in COLUMNS for column in COLUMNS[table]]
)
def test_a_changed_value_is_found_and_its_row_named(
    books: InlineDatabase, table: str, column: str
) -> None:
    for row in rows_of(books, table):
        if table == "job" and not row["attempt"]:
            continue
        if table == "price_version" and row["flavor"] not in (NPU, CPU):
            continue  # nothing was held at this price
        where = f"WHERE rowid = {row['row_number']}"
        change = f"UPDATE {table} SET {column} = ? {where}"
        value = 1 - row[column] if column == "billed" else other(row[column])
        try:
            books._raw.execute(change, (value,))
        except sqlite3.IntegrityError:
            continue  # a key that is there already: not even an administrator can
        found = problems(books)
        assert any(name in text for text in found for name in names(table, row)), (row, found)
        if table == "transfer":
            assert found[0].startswith("transfer "), "the first wrong row comes first"
        books._raw.execute(change, (row[column],))
    assert problems(books) == ()


@pytest.mark.parametrize("table", DELETED)
def test_a_deleted_row_is_missed(books: InlineDatabase, table: str) -> None:
    for row in rows_of(books, table):
        if table == "account" and not any(row[column] for column in COLUMNS["account"]):
            continue  # nothing was ever booked on it
        if table == "ledger_shard" and not row["seq"]:
            continue
        books._raw.execute(f"DELETE FROM {table} WHERE rowid = {row.pop('row_number')}")
        found = problems(books)
        assert any(name in text for text in found for name in names(table, row)), (row, found)
        insert(books, table, row)
    assert problems(books) == ()


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("transfer", {"seq": 999, "idem_key": "another"}),
        ("transfer", {"shard": "wallets:nowhere", "idem_key": "another"}),
        ("hold", {"attempt": 9}),
        ("hold_leg", {"leg": 9}),
        ("usage_record", {"segment": 9}),
        ("rated_line", {"line": 9}),
        ("subsidy_line", {"line": 9, "programme": "another"}),
        ("cap_counter", {"year": 2031, "posted_fen": 5}),
        ("account", {"account_id": "wallet:another", "debits_posted": 5}),
    ],
)
def test_a_row_that_was_added_is_found(
    books: InlineDatabase, table: str, changes: dict[str, Any]
) -> None:
    row = rows_of(books, table)[0]
    del row["row_number"]
    insert(books, table, {**row, **changes})
    row |= changes
    found = problems(books)
    assert any(name in text for text in found for name in names(table, row)), found


@pytest.mark.parametrize("start_ms", [2**62, -(2**62), "then"])
def test_a_subsidy_from_no_instant_of_any_year_is_named(
    books: InlineDatabase, start_ms: int | str
) -> None:
    row = next(row for row in rows_of(books, "subsidy_line") if row["cap_year"])
    where = f"WHERE rowid = {row['row_number']}"
    books._raw.execute(f"UPDATE subsidy_line SET start_ms = ? {where}", (start_ms,))
    [found] = problems(books)
    assert f"{row['programme']} of run {run_id(row['job_uid'], row['attempt'])}" in found


def test_a_wallet_whose_limit_was_taken_off_is_named(books: InlineDatabase) -> None:
    books._raw.execute("UPDATE account SET limited = FALSE WHERE account_id = 'wallet:w1'")
    assert problems(books) == ("account wallet:w1: is a WALLET without a limit",)


def test_a_run_charged_twice_is_named(books: InlineDatabase) -> None:
    """As if a second settlement had been written, with good hashes and balances."""
    row = next(row for row in rows_of(books, "hold") if row["posted_fen"])
    books._raw.execute(
        f"UPDATE hold SET posted_fen = posted_fen * 2 WHERE rowid = {row['row_number']}"
    )
    books._raw.execute(f"UPDATE job SET gross_fen = gross_fen * 2 WHERE uid = {row['job_uid']}")
    assert any(run_id(row["job_uid"], row["attempt"]) in text for text in problems(books))
