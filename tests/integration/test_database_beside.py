"""PostgreSQL has other writers, and can be away: what the one writer of a service makes of it."""

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from scheduler.store import outages
from scheduler.store.database import (
    Database,
    StoreFailure,
    bulk_execute,
    bulk_insert,
    bulk_read,
    bulk_stream,
    bulk_update,
)
from scheduler.store.engine import StoreLimits
from scheduler.store.tables import Account, Transfer, UsageRecord, table
from tests import memory
from tests.postgres import Postgres, running
from tests.stores import Stores

KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
)


@pytest.fixture
def url(postgres: Postgres) -> str:
    """A database with two rows."""
    url = postgres.url(postgres.migrated())
    db = Database(url)
    db.write_future(
        lambda c: c.exec_driver_sql("CREATE TABLE t (name TEXT PRIMARY KEY, n INTEGER)")
    ).result()
    db.write_future(lambda c: c.exec_driver_sql("INSERT INTO t VALUES ('a', 0), ('b', 0)")).result()
    db.close()
    return url


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def figures(db: Database) -> dict[str, int]:
    return dict(db.read_sync(lambda c: bulk_read(c, "SELECT name, n FROM t")))


def add(connection: Connection, name: str, number: int = 1) -> None:
    connection.exec_driver_sql("UPDATE t SET n = n + ? WHERE name = ?", (number, name))


def test_two_services_that_wait_for_each_other_both_write(url: str, db: Database) -> None:
    other = Database(url)
    both_hold = threading.Barrier(2)
    calls = []

    def crossing(first: str, second: str) -> Callable[[Connection], None]:
        met: list[int] = []

        def call(connection: Connection) -> None:
            calls.append(first)
            add(connection, first)
            if not met:  # once both hold one row, each wants the other
                met.append(1)
                both_hold.wait()
            add(connection, second, 10)

        return call

    futures = [
        db.write_future(crossing("a", "b"), alone=True),
        other.write_future(crossing("b", "a"), alone=True),
    ]
    for future in futures:
        future.result()
    other.close()
    assert figures(db) == {"a": 11, "b": 11}
    assert len(calls) == 3, "the one that lost was called again"


def test_of_a_group_that_lost_each_call_is_tried_by_itself(url: str, db: Database) -> None:
    other = Database(url)
    hold, go_on = threading.Event(), threading.Event()

    def held(connection: Connection) -> None:
        add(connection, "b", 10)
        hold.set()
        go_on.wait()
        add(connection, "a", 10)

    calls: list[str] = []

    def grouped(name: str) -> Callable[[Connection], None]:
        def call(connection: Connection) -> None:
            calls.append(name)
            add(connection, name)
            if len(calls) == 1:
                go_on.set()

        return call

    theirs = other.write_future(held, alone=True)
    hold.wait()
    gate = threading.Event()
    first = db.write_future(lambda _: gate.wait(), alone=True)
    futures = [db.write_future(grouped("a")), db.write_future(grouped("b"))]
    gate.set()
    assert first.result()
    for future in (*futures, theirs):
        future.result()
    other.close()
    assert figures(db) == {"a": 11, "b": 11}


def test_a_connection_that_breaks_is_opened_anew(
    db: Database, postgres: Postgres, url: str
) -> None:
    db.write_future(lambda c: add(c, "a")).result()
    assert figures(db)["a"] == 1
    name = url.partition("@/")[2].partition("?")[0]
    with postgres.session(name) as beside:
        beside.execute(KILL)
    assert figures(db)["a"] == 1
    db.write_future(lambda c: add(c, "a")).result()
    assert figures(db)["a"] == 2


def test_a_connection_that_the_servers_crash_cut_is_opened_anew() -> None:
    """It is told nothing: the server is gone, and back before anybody looks."""
    with running(memory.folder()) as server:
        database = Database(server.url(server.migrated()))
        database.write_future(lambda c: c.exec_driver_sql("SELECT 1").scalar_one()).result()
        database.read_sync(lambda c: c.exec_driver_sql("SELECT 1").scalar_one())
        server.stop()
        for call in (
            lambda: database.write_future(lambda _: None).result(),
            lambda: figures(database),
        ):
            with pytest.raises(StoreFailure) as caught:
                call()
            assert outages.told(caught.value) is not None
        server.start()
        assert database.write_future(lambda c: c.exec_driver_sql("SELECT 1").scalar_one()).result()
        server.stop()
        server.start()
        assert database.write_future(lambda c: c.exec_driver_sql("SELECT 1").scalar_one()).result()
        assert database.read_sync(lambda c: c.exec_driver_sql("SELECT 1").scalar_one())
        database.close()


def test_a_read_whose_connection_breaks_under_way_is_read_again(db: Database) -> None:
    broken: list[int] = []

    def call(connection: Connection) -> int:
        mine = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        if not broken:
            broken.append(mine)
            db.write_future(
                lambda c: c.exec_driver_sql("SELECT pg_terminate_backend(?::int)", (mine,))
            ).result()
        return int(connection.exec_driver_sql("SELECT n + 1 FROM t WHERE name = 'a'").scalar_one())

    assert db.read_sync(call) == 1
    assert len(broken) == 1


def test_a_write_whose_connection_breaks_under_way_is_written_once(db: Database) -> None:
    broken: list[int] = []

    def call(connection: Connection) -> None:
        add(connection, "a")
        if not broken:
            broken.append(1)
            mine = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            db.read_sync(
                lambda c: c.exec_driver_sql("SELECT pg_terminate_backend(?::int)", (mine,))
            )
        add(connection, "b")

    db.write_future(call).result()
    assert figures(db) == {"a": 1, "b": 1}


def test_a_write_that_is_lost_while_it_commits_is_not_repeated(db: Database) -> None:
    """Whether it was stored is not known, and whoever wrote it is told that it failed."""
    calls = []

    def call(connection: Connection) -> None:
        calls.append(1)
        add(connection, "a")
        mine = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        db.read_sync(lambda c: c.exec_driver_sql("SELECT pg_terminate_backend(?::int)", (mine,)))

    with pytest.raises(StoreFailure) as caught:
        db.write_future(call).result()
    assert outages.COMMITTING in caught.value.__notes__
    assert calls == [1]
    db.write_future(lambda c: add(c, "b")).result()
    assert figures(db) == {"a": 0, "b": 1}


def test_a_write_is_not_repeated_for_an_error_of_its_own(db: Database) -> None:
    calls = []

    def call(connection: Connection) -> None:
        calls.append(1)
        connection.exec_driver_sql("INSERT INTO t VALUES ('a', 1)")

    with pytest.raises(IntegrityError):
        db.write_future(call).result()
    assert calls == [1]


def test_a_write_that_hangs_is_ended(db: Database) -> None:
    def call(connection: Connection) -> None:
        shown = connection.exec_driver_sql("SHOW statement_timeout").scalar_one()
        assert shown == "1min"
        connection.exec_driver_sql("SET LOCAL statement_timeout = 10")
        connection.exec_driver_sql("SELECT pg_sleep(60)")

    with pytest.raises(StoreFailure, match="statement timeout"):
        db.write_future(call).result()
    db.write_future(lambda c: add(c, "a")).result()
    assert figures(db)["a"] == 1


def test_a_client_that_freezes_holds_its_locks_no_longer_than_it_may(
    url: str, db: Database
) -> None:
    hasty = Database(url, StoreLimits(idle_ms=50))
    calls = []

    def freezing(connection: Connection) -> None:
        calls.append(1)
        add(connection, "a")
        if len(calls) == 1:  # the other one's write waits until the server has ended this client
            db.write_future(lambda c: add(c, "a", 10)).result()
        add(connection, "b")

    hasty.write_future(freezing).result()
    hasty.close()
    assert len(calls) == 2
    assert figures(db) == {"a": 11, "b": 1}


def test_limits_are_told_to_the_server(url: str) -> None:
    limits = StoreLimits(read_ms=7_000, write_ms=5_000, lock_ms=3_000, idle_ms=2_000)
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    db = Database(url, limits)

    def shown(connection: Connection) -> list[str]:
        return [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]

    assert db.write_future(shown).result() == ["5s", "3s", "2s"]
    assert db.read_sync(shown) == ["7s", "3s", "1h"]
    db.close()
    db = Database(f"{url}&options=-c lock_timeout=1s", limits)
    assert db.read_sync(shown) == ["7s", "1s", "1h"], "what the URL says comes last"
    db.close()


def test_a_read_sees_one_snapshot_and_writes_nothing(db: Database) -> None:
    def read(connection: Connection) -> None:
        before = bulk_read(connection, "SELECT * FROM t ORDER BY name")
        db.write_future(lambda c: add(c, "a")).result()
        assert bulk_read(connection, "SELECT * FROM t ORDER BY name") == before
        with pytest.raises(Exception, match="read-only"):
            add(connection, "a")

    db.read_sync(read)
    assert figures(db)["a"] == 1


def test_a_server_that_is_away_is_a_failure_of_the_store(tmp_path: object) -> None:
    away = Database(f"postgresql://nobody@/nothing?host={tmp_path}")
    with pytest.raises(StoreFailure):
        away.write_future(lambda _: None).result()
    with pytest.raises(StoreFailure):
        away.read_sync(lambda _: None)
    away.close()


# --- statements of many rows ----------------------------------------------------------------------


@pytest.fixture
def books(stores: Stores) -> Iterator[Database]:
    database = Database(stores.migrated())
    yield database
    database.close()


ACCOUNT = ("account_id", "kind", "owner", "city", "limited", "credits_posted")
REST = {
    "ledger": "'CNY'", "credit_limit_fen": "0", "debits_pending": "0", "debits_posted": "0",
    "credits_pending": "0",
}  # fmt: skip


def test_rows_come_back_as_they_were_given(books: Database) -> None:
    """Numbers of all sizes, yes and no, texts with what a copy could take for its own, sums."""
    rows = [
        (f"{text}{number}", "FUND", text, "", number % 2 == 0, number)
        for number in (0, 1, 40_000, 1 << 40, (1 << 62) - 1)
        for text in ("", "a\tb\n\\N", "'", "100%?", "武汉")
    ]
    books.write_future(lambda c: bulk_insert(c, table(Account), ACCOUNT, rows, REST)).result()
    query = f"SELECT {', '.join(ACCOUNT)} FROM account"
    found = books.read_sync(lambda c: bulk_read(c, query))
    assert sorted((*row[:4], bool(row[4]), row[5]) for row in found) == sorted(rows)
    assert books.read_sync(lambda c: list(bulk_stream(c, query, size=3))) == found
    some = "SELECT sum(credits_posted) FROM account WHERE credits_posted < ?"
    total = books.read_sync(lambda c: bulk_read(c, some, (50_000,)))
    assert total == [(200_005,)]
    assert type(total[0][0]) is int


def test_bytes_come_back_as_they_were_given(books: Database) -> None:
    columns = [column.name for column in table(Transfer).columns]
    row = [
        bytes(range(32)) if name in ("prev_hash", "hash")
        else 1 if name in ("seq", "amount_fen", "job_uid", "attempt", "effective_ms")
        else "x"
        for name in columns
    ]  # fmt: skip
    books.write_future(lambda c: bulk_insert(c, table(Transfer), columns, [tuple(row)])).result()
    [(stored,)] = books.read_sync(lambda c: bulk_read(c, "SELECT hash FROM transfer"))
    assert bytes(stored) == bytes(range(32))


@pytest.mark.parametrize("count", [1, 3, 700])
def test_many_rows_are_changed_at_once(books: Database, count: int) -> None:
    """Columns with values of different sizes, with some values missing, and with all."""
    rows = [(f"a{number}", "FUND", "x", "", True, 5) for number in range(count)]
    books.write_future(lambda c: bulk_insert(c, table(Account), ACCOUNT, rows, REST)).result()
    changes = [
        (f"a{number}", 1 << (number % 60), "y" if number % 3 else None, number % 2 == 0, None)
        for number in range(count)
    ]
    statement = (
        "UPDATE account SET credits_posted = credits_posted + v.column2,"
        " owner = coalesce(v.column3, owner), limited = v.column4,"
        " city = coalesce(v.column5, 'none') FROM {values} WHERE account_id = v.column1"
    )
    assert books.write_future(lambda c: bulk_update(c, statement, changes)).result() == count
    query = "SELECT account_id, credits_posted, owner, limited, city FROM account"
    found = {row[0]: row[1:] for row in books.read_sync(lambda c: bulk_read(c, query))}
    for name, more, owner, limited, _ in changes:
        assert found[name] == (5 + more, owner or "x", limited, "none")
    assert books.write_future(lambda c: bulk_update(c, statement, [])).result() == 0


def test_a_row_that_is_refused_is_refused_as_by_any_statement(books: Database) -> None:
    row = ("a", "FUND", "x", "", True, -5)

    def call(connection: Connection) -> None:
        bulk_insert(connection, table(Account), ACCOUNT, [row], REST)

    with pytest.raises(IntegrityError):
        books.write_future(call).result()
    row = ("a", "FUND", "x", "", True, 5)
    books.write_future(call).result()
    with pytest.raises(IntegrityError):
        books.write_future(call).result()


def test_one_statement_is_run_for_many_rows(books: Database) -> None:
    upsert = (
        "INSERT INTO cap_counter (programme, enterprise, year, pending_fen, posted_fen, limit_fen)"
        " VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (programme, enterprise, year)"
        " DO UPDATE SET pending_fen = cap_counter.pending_fen + excluded.pending_fen"
    )
    rows = [("p", "e", 2026, 1, None), ("p", "e", 2026, 1 << 40, 1 << 50), ("p", "f", 2026, 3, 4)]
    assert books.write_future(lambda c: bulk_execute(c, upsert, rows)).result() == 3
    query = "SELECT enterprise, pending_fen FROM cap_counter ORDER BY enterprise"
    assert books.read_sync(lambda c: bulk_read(c, query)) == [("e", 1 + (1 << 40)), ("f", 3)]


def test_a_row_without_values_takes_only_what_may_be_missing(books: Database) -> None:
    with pytest.raises(IntegrityError):
        books.write_future(
            lambda c: bulk_insert(c, table(UsageRecord), ("center",), [("x",)])
        ).result()
