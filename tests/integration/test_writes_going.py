"""Writes that are on their way while the next ones are made: what arrives, and what fails."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from scheduler.store.bulk import read_with
from scheduler.store.database import Connection, Database, bulk_read
from scheduler.store.tables import Account, Event, Transfer, table
from scheduler.store.write_batch import WriteBatch, going
from tests.postgres import Postgres
from tests.stores import Stores

ACCOUNT = ("account_id", "kind", "owner", "city", "limited", "credits_posted")
REST = {
    "ledger": "'CNY'", "credit_limit_fen": "0", "debits_pending": "0", "debits_posted": "0",
    "credits_pending": "0",
}  # fmt: skip
ADD = (
    "UPDATE account SET credits_posted = credits_posted + v.column2 FROM {values}"
    " WHERE account_id = v.column1"
)
TEXTS = ("", "NULL", "a\tb\n\\N", "'", '{"a":"b, c"}', "\\", '\\"', "100%?", "{}", " 武汉 ", "None")


@pytest.fixture
def books(stores: Stores) -> Iterator[Database]:
    database = Database(stores.migrated())
    yield database
    database.close()


def write(books: Database, *adds: Callable[[WriteBatch], None]) -> None:
    def call(connection: Connection) -> None:
        with going(connection) as batch:
            for add in adds:
                add(batch)

    books.write_future(call).result()


def accounts(*names: str) -> Callable[[WriteBatch], None]:
    rows = [(name, "FUND", "x", "", True, 5) for name in names]
    return lambda batch: batch.insert(table(Account), ACCOUNT, rows, REST)


def posted(books: Database) -> dict[str, int]:
    rows = books.read_sync(lambda c: bulk_read(c, "SELECT account_id, credits_posted FROM account"))
    return dict(rows)


def test_rows_arrive_as_they_were_given(books: Database) -> None:
    """Numbers of all sizes, yes and no, and texts with what an array could take for its own."""
    rows = [
        (f"{text}{number}", "FUND", text, "", number % 2 == 0, number)
        for number in (0, 1, 40_000, 1 << 31, 1 << 40, 1 << 50, (1 << 62) - 1)
        for text in TEXTS
    ]

    def add(batch: WriteBatch) -> None:
        for first, last in ((0, 3), (3, 4), (4, 4), (4, len(rows))):
            batch.insert(table(Account), ACCOUNT, rows[first:last], REST)

    write(books, add)
    query = f"SELECT {', '.join(ACCOUNT)} FROM account"
    found = books.read_sync(lambda c: bulk_read(c, query))
    assert sorted((*row[:4], bool(row[4]), row[5]) for row in found) == sorted(rows)


def test_bytes_arrive_as_they_were_given(books: Database) -> None:
    columns = [column.name for column in table(Transfer).columns]
    numbers = {"amount_fen", "job_uid", "attempt", "effective_ms"}

    def row(seq: int) -> tuple[object, ...]:
        own = {"seq": seq, "idem_key": f"k{seq}", "hash": bytes(range(seq, seq + 32))}
        own["prev_hash"] = bytes(32)
        return tuple(own.get(name, 1 if name in numbers else "x") for name in columns)

    write(books, lambda batch: batch.insert(table(Transfer), columns, [row(1), row(200)]))
    found = books.read_sync(lambda c: bulk_read(c, "SELECT hash FROM transfer ORDER BY seq"))
    assert [bytes(stored) for (stored,) in found] == [
        bytes(range(1, 33)),
        bytes(range(200, 232)),
    ]


def test_events_keep_their_order_however_many_go_at_once(books: Database) -> None:
    columns = ("kind", "job_uid", "attempt", "enterprise", "city", "state", "at_ms", "detail")
    rows = [("QUEUED", number, 1, "e", "c", "QUEUED", number % 7, "") for number in range(2_500)]
    bounds = (0, 900, 905, 970, 971, 2_500)
    parts = [rows[first:last] for first, last in pairwise(bounds)]

    def add(batch: WriteBatch) -> None:
        for part in parts:
            batch.insert(table(Event), columns, part)

    write(books, add)
    found = books.read_sync(lambda c: bulk_read(c, "SELECT job_uid FROM event ORDER BY seq"))
    assert [uid for (uid,) in found] == list(range(2_500))


def test_what_is_added_later_finds_what_was_added_before(books: Database) -> None:
    write(
        books,
        accounts("a", "b"),
        lambda batch: batch.update(ADD, [("a", 1), ("b", 1 << 40)], "they are there"),
        lambda batch: batch.update(ADD, [], "nothing is there to fail"),
    )
    assert posted(books) == {"a": 6, "b": (1 << 40) + 5}


class Odd(RuntimeError):
    """A failure of the caller's own."""


@pytest.mark.parametrize(("failure", "raised"), [("gone", RuntimeError), (Odd("gone"), Odd)])
def test_one_row_that_is_not_changed_takes_back_all(
    books: Database, failure: str | RuntimeError, raised: type[RuntimeError]
) -> None:
    with pytest.raises(raised, match="gone") as told:
        write(
            books,
            accounts("a"),
            lambda batch: batch.update(ADD, [("a", 1), ("nobody", 1)], failure),
            accounts("b"),
        )
    assert type(told.value) is raised
    assert posted(books) == {}


def test_rows_that_may_be_missing_are_left_out(books: Database) -> None:
    write(books, accounts("a"), lambda batch: batch.update(ADD, [("a", 1), ("nobody", 1)]))
    assert posted(books) == {"a": 6}


def test_a_row_that_is_refused_is_refused_as_by_any_statement(books: Database) -> None:
    write(books, accounts("a"))
    with pytest.raises(IntegrityError):
        write(books, accounts("b", "a"), accounts("c"))
    assert posted(books) == {"a": 5}


def test_what_the_caller_raises_meanwhile_takes_back_all(books: Database) -> None:
    def fail(_: WriteBatch) -> None:
        raise Odd

    with pytest.raises(Odd):
        write(books, accounts("a"), fail)
    write(books, accounts("b"))
    assert posted(books) == {"b": 5}


def test_a_text_with_what_no_text_may_have_never_becomes_two(postgres: Postgres) -> None:
    db = Database(postgres.url(postgres.migrated()))
    with pytest.raises(DBAPIError, match="NUL"):
        write(db, accounts("a", "b"), lambda batch: batch.update(ADD, [("a\0b", 1), ("b", 1)]))
    assert posted(db) == {}
    db.close()


def test_some_rows_are_asked_for_by_their_keys(books: Database) -> None:
    write(books, accounts(*(f"a{number}" for number in range(700))))
    query = (
        "SELECT account_id FROM {values} CROSS JOIN account"
        " WHERE account_id = v.column1 AND credits_posted = v.column2 ORDER BY account_id"
    )

    def ask(*rows: tuple[str, int]) -> list[str]:
        found = books.read_sync(lambda c: read_with(c, query, rows))
        return [name for (name,) in found]

    assert ask() == []
    assert ask(("a1", 5), ("a2", 6), ("nobody", 5), ("a699", 5)) == ["a1", "a699"]
    assert len(ask(*((f"a{number}", 5) for number in range(700)))) == 700
