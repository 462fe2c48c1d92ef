"""Twelve who move the same money at the same time, each with a connection of its own.

Only PostgreSQL lets them: SQLite has one writer. Nothing is overspent, and nobody waits for
somebody who waits for him, for rows of money are locked in one order.
"""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from adapters.contract import Phase
from quota.rules import Rule
from quota.transfers import Entry, Kind
from scheduler.domain.reports import Report
from scheduler.placement.model import Start
from scheduler.store import (
    accounts,
    admission,
    funds,
    holds,
    ingest,
    money_locks,
    paying,
    transfers,
)
from scheduler.store.bookings import book
from scheduler.store.database import Database, StoreFailure, bulk_insert, bulk_read
from scheduler.store.paying import Wanted
from scheduler.store.planner_feed import options_of
from scheduler.store.tables import Account, table
from scheduler.store.transfers import append_transfers
from tests.postgres import Postgres
from tests.simulation import inline_store
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

THREADS = 12
NAMES = tuple(f"fund:{letter}:2026" for letter in "abcdef")
FUND_FEN = 4_000
CREDIT_FEN = 8_000
JOBS = 240


def each_by_itself(db: Database, work: list[Callable[[Connection], object]]) -> list[object]:
    """Run transactions in threads, each on a connection of its own, past the writer."""

    def run(call: Callable[[Connection], object]) -> object:
        with db.engine.connect() as connection, connection.begin():
            return call(connection)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(run, work))


# --- admission ------------------------------------------------------------------------------------


@pytest.fixture
def world(postgres: Postgres) -> Iterator[Hands]:
    """Jobs of two enterprises that cost far more than the fund and their wallets have."""
    with inline_store.on(postgres):
        rule = Rule("v", 1, "wuhan", 5000, year_cap_fen=3_000)
        credit = {"w1": CREDIT_FEN, "w2": CREDIT_FEN}
        it = Hands(worlds.build(rules=((rule, FUND_FEN),), credit=credit))
        it.db.do(lambda c: c.exec_driver_sql("UPDATE flavor SET capacity_units = 100000"))
        for who in ("w1", "w2"):
            it.world.submit(who, [job(NPU, 1 + number % 8) for number in range(JOBS // 2)])
        yield it


def starts_of(db: Database) -> list[Start]:
    rows = db.read_sync(
        lambda c: bulk_read(c, "SELECT uid, enterprise, options FROM job ORDER BY uid")
    )
    return [Start(uid, "wuhan", who, options_of(options)[0], 0) for uid, who, options in rows]


def test_twelve_who_admit_past_the_writer_overspend_nothing(world: Hands) -> None:
    starts = starts_of(world.db)
    random.Random(4).shuffle(starts)
    epoch = world.epoch

    def admit(some: list[Start]) -> Callable[[Connection], object]:
        return lambda c: admission.admit(c, epoch, some, worlds.NOW_MS).admitted

    batches = [starts[first : first + 3] for first in range(0, len(starts), 3)]
    results = each_by_itself(world.db, [admit(batch) for batch in batches])
    admitted = sum(len(found) for found in results if isinstance(found, list))
    balances = {
        (kind, owner): (pending, given)
        for kind, owner, pending, given in world.db.rows(
            "SELECT kind, owner, debits_pending, credits_posted + credit_limit_fen FROM account"
            " WHERE limited"
        )
    }
    for (kind, owner), (pending, given) in balances.items():
        assert pending <= given, (kind, owner)
    fund = next(pending for (kind, _), (pending, _) in balances.items() if kind == "FUND")
    assert fund == FUND_FEN, "spent to the last fen"
    caps = dict(world.db.rows("SELECT enterprise, sum(pending_fen) FROM cap_counter GROUP BY 1"))
    assert sum(caps.values()) == FUND_FEN
    assert all(held <= 3_000 for held in caps.values())
    assert world.db.rows("SELECT count(*) FROM run") == [(admitted,)]
    assert 0 < admitted < JOBS, "the means were short"
    assert world.db.read_sync(funds.verify).ok


def test_twelve_who_hold_at_once_decide_on_what_the_others_left(world: Hands) -> None:
    """Without jobs and quotas, whose rows stand in line too: only money is locked."""
    at_ms = worlds.NOW_MS
    ready = threading.Barrier(THREADS)

    def hold(number: int) -> Callable[[Connection], object]:
        who = ("w1", "w2")[number % 2]
        wanted = [
            Wanted(1 + number * 4 + at, 1, "ai", NPU, who, "wuhan", 1 + at, 600, "PREFERRED", None)
            for at in range(4)
        ]

        def call(connection: Connection) -> object:
            if number < THREADS:
                ready.wait()
            means = holds.load(connection, {("wuhan", who)}, {"ai"}, at_ms)
            return holds.hold(connection, wanted, means, at_ms)

        return call

    each_by_itself(world.db, [hold(number) for number in range(4 * THREADS)])
    rows = world.db.rows(
        "SELECT kind, debits_pending, credits_posted + credit_limit_fen FROM account WHERE limited"
        " AND debits_pending > 0"
    )
    assert ("FUND", FUND_FEN, FUND_FEN) in rows, "spent to the last fen, and no further"
    assert [held <= given for _, held, given in rows] == [True] * 3
    assert world.db.rows("SELECT sum(pending_fen) FROM cap_counter") == [(FUND_FEN,)]
    assert world.db.rows(
        "SELECT sum(l.amount_fen) - (SELECT sum(amount_fen) FROM transfer WHERE code = 'HOLD')"
        " FROM hold_leg l"
    ) == [(0,)]


def given_after_another(world: Hands, mine: Wanted, other: Wanted) -> int:
    """What a run is given whose means were read before another run's money was held, in fen."""
    at_ms = worlds.NOW_MS
    contracts = [("w1", mine.contract)]
    with world.db.engine.connect() as first, first.begin():
        means = paying.load(first, {"w1"}, at_ms, contracts)
        with world.db.engine.connect() as second, second.begin():
            before = paying.load(second, {"w1"}, at_ms, contracts)
            holds.hold(second, [other], before, at_ms)
        found = holds.hold(first, [mine], means, at_ms)[mine.uid, mine.attempt]
    assert isinstance(found, holds.Held)
    return found.subsidy_fen


@pytest.mark.parametrize("prompt", [True, False], ids=["at once", "by steps"])
@pytest.mark.parametrize(
    ("cap", "fund", "given"),
    [(None, 9_000, 200), (2_100, 9_000, 100), (None, 2_120, 120), (None, 2_000, 0)],
    ids=["enough", "cap", "fund", "nothing"],
)
def test_what_another_left_is_what_a_run_is_given(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, cap: int | None, fund: int, given: int,
    prompt: bool,
) -> None:  # fmt: skip
    """Also if it was judged before: what is scarce then is seen under the lock."""
    if not prompt:
        monkeypatch.setattr(holds, "_is_prompt", lambda *_: False)
    with inline_store.on(postgres):
        rule = Rule("v", 1, "wuhan", 5000, year_cap_fen=cap)
        it = Hands(worlds.build(rules=((rule, fund),)))
        mine = Wanted(1, 1, "ai", NPU, "w1", "wuhan", 3, 600, "PREFERRED", None)
        assert given_after_another(it, mine, mine._replace(uid=2, units=30)) == given


def test_a_contract_that_another_used_meanwhile_is_used(postgres: Postgres) -> None:
    with inline_store.on(postgres):
        rule = Rule("v", 1, "wuhan", 5000, contract_once="JOB")
        it = Hands(worlds.build(rules=((rule, FUND_FEN),), credit={"w1": CREDIT_FEN}))
        uids = it.world.submit("w1", [replace(job(NPU, 1), contract="C-1")] * 2)
        mine, other = (
            Wanted(uid, 1, "ai", NPU, "w1", "wuhan", 1, 600, "PREFERRED", None, "C-1", root=uid)
            for uid in uids
        )
        assert given_after_another(it, mine, other) == 0


def test_what_is_held_is_settled_by_twelve_at_once(world: Hands) -> None:
    uids = [start.uid for start in starts_of(world.db)[:16]]
    world.run(*uids)
    [(held,)] = world.db.rows("SELECT sum(debits_pending) FROM account")
    assert held > 0
    begin_ms = world.clock.ms
    world.clock.ms += 100_000
    reports = [
        world.seen(
            uid, Phase.SUCCEEDED, 2, start_ms=begin_ms, end_ms=world.clock.ms,
            usage=[world.usage(uid, begin_ms, world.clock.ms, units=1 + number % 8)],
        )
        for number, uid in enumerate(uids)
    ]  # fmt: skip

    def end(report: Report) -> Callable[[Connection], object]:
        return lambda c: ingest.ingest(c, world.epoch, [report], world.clock.ms, lambda: 0.0)

    each_by_itself(world.db, [end(report) for report in reports])
    assert world.db.rows("SELECT sum(debits_pending) FROM account") == [(0,)]
    assert world.db.rows("SELECT count(*) FROM hold WHERE state = 'SETTLED'") == [(16,)]
    world.verify()


# --- the order of locks ---------------------------------------------------------------------------


@pytest.fixture
def books(postgres: Postgres) -> Iterator[Database]:
    """Accounts with money."""
    db = Database(postgres.url(postgres.migrated()))
    columns = ("account_id", "kind", "owner", "city", "limited", "credits_posted")
    rest = {
        "ledger": "'CNY'", "credit_limit_fen": "0", "debits_pending": "0", "debits_posted": "0",
        "credits_pending": "0",
    }  # fmt: skip
    rows = [(name, "FUND", "x", "", True, 1_000) for name in NAMES]
    db.write_future(lambda c: bulk_insert(c, table(Account), columns, rows, rest)).result()
    yield db
    db.close()


def crossing(db: Database, lock: bool) -> list[object]:
    """Two transactions that take the same two accounts, one the other way round."""
    met = threading.Barrier(2)

    def take(names: tuple[str, str]) -> Callable[[Connection], object]:
        def call(connection: Connection) -> object:
            if lock:
                money_locks.lock(connection, accounts=names)
            first, second = names
            try:
                one(connection, first)
                if not lock:
                    met.wait()
                one(connection, second)
            except StoreFailure as failure:
                return failure
            return None

        return call

    def one(connection: Connection, name: str) -> None:
        connection.exec_driver_sql(
            "UPDATE account SET debits_posted = debits_posted + 1 WHERE account_id = ?", (name,)
        )

    a, b = NAMES[:2]
    return each_by_itself(db, [take((a, b)), take((b, a))])


@pytest.mark.parametrize(
    ("table", "column", "locked", "free"),
    [
        ("account", "account_id", NAMES[:2], NAMES[2:]),
        ("cap_counter", "enterprise", ("e1",), ("e2",)),
        ("ledger_shard", "shard", (NAMES[0],), (NAMES[1],)),
    ],
)
def test_what_is_named_is_locked_and_nothing_else(
    books: Database, table: str, column: str, locked: tuple[str, ...], free: tuple[str, ...]
) -> None:
    books.write_future(
        lambda c: c.exec_driver_sql(
            "INSERT INTO cap_counter (programme, enterprise, year, pending_fen, posted_fen)"
            " VALUES ('p', 'e1', 2026, 0, 0), ('p', 'e2', 2026, 0, 0)"
        )
    ).result()
    books.write_future(lambda c: money_locks.lock_heads(c, NAMES[:2])).result()
    with books.engine.connect() as one, books.engine.connect() as other, one.begin():
        money_locks.lock(one, NAMES[:2][::-1], [("p", "e1", 2026), ("q", "e1", 2026)], NAMES[:1])
        query = f"SELECT 1 FROM {table} WHERE {column} = ? FOR UPDATE NOWAIT"
        for name in locked:
            with pytest.raises(StoreFailure, match="could not obtain lock"), other.begin():
                other.exec_driver_sql(query, (name,))
        with other.begin():
            for name in free:
                assert other.exec_driver_sql(query, (name,)).all() == [(1,)]


def test_without_the_order_two_wait_for_each_other(books: Database) -> None:
    failed = [one for one in crossing(books, lock=False) if one is not None]
    assert len(failed) == 1
    assert "deadlock detected" in str(failed[0])


def test_with_the_order_nobody_does(books: Database) -> None:
    for _ in range(20):
        assert crossing(books, lock=True) == [None, None]


def test_moves_in_any_order_never_wait_for_each_other(books: Database) -> None:
    """As above, through what all bookings use, with many accounts and chains at random."""
    rng = random.Random(7)

    def move(number: int) -> Callable[[Connection], object]:
        names = rng.sample(NAMES, 5)
        entries = [
            Entry(shard, Kind.DIRECT, "TEST", debit, credit, 1, 0, f"{number}.{at}")
            for at, (debit, credit, shard) in enumerate(
                zip(names, names[1:], names[::-1], strict=False)
            )
        ]

        def call(connection: Connection) -> object:
            moves = accounts.Moves()
            for entry in entries:
                moves.add(entry.debit_account, entry.credit_account, 0, 1)
            accounts.move(connection, moves)
            append_transfers(connection, entries)
            return len(entries)

        return call

    moved = each_by_itself(books, [move(number) for number in range(200)])
    assert moved == [4] * 200
    [(count, shards)] = books.read_sync(
        lambda c: bulk_read(c, "SELECT count(*), count(DISTINCT shard) FROM transfer")
    )
    assert (count, shards) == (800, 6)
    heads = books.read_sync(
        lambda c: bulk_read(
            c,
            "SELECT s.shard FROM ledger_shard s WHERE s.seq <> (SELECT count(*) FROM transfer t"
            " WHERE t.shard = s.shard)",
        )
    )
    assert heads == [], "each chain has all its entries, one after the other"


def test_those_who_share_no_account_still_append_one_after_the_other(books: Database) -> None:
    columns = ("account_id", "kind", "owner", "city", "limited", "credits_posted")
    rest = {
        "ledger": "'CNY'", "credit_limit_fen": "0", "debits_pending": "0", "debits_posted": "0",
        "credits_pending": "0",
    }  # fmt: skip
    rows = [(f"mine:{number}", "EXTERNAL", "", "", False, 0) for number in range(2 * THREADS)]
    books.write_future(lambda c: bulk_insert(c, table(Account), columns, rows, rest)).result()
    ready = threading.Barrier(THREADS)

    def append(number: int) -> Callable[[Connection], object]:
        debit, credit = f"mine:{2 * number}", f"mine:{2 * number + 1}"
        entry = Entry("wallets:new", Kind.DIRECT, "TEST", debit, credit, 1, 0, f"mine:{number}")

        def call(connection: Connection) -> object:
            ready.wait()
            book(connection, [entry])
            return number

        return call

    each_by_itself(books, [append(number) for number in range(THREADS)])
    found = books.read_sync(lambda c: [link.seq for link in transfers.stream(c)])
    assert found == [*range(1, THREADS + 1)]


def test_what_is_not_locked_first_is_refused_and_not_overspent(books: Database) -> None:
    """Twelve read the same balance and take it all: the database lets one of them."""
    name = NAMES[0]
    read = threading.Barrier(THREADS)

    def take(number: int) -> Callable[[Connection], object]:
        def call(connection: Connection) -> object:
            [(left,)] = bulk_read(
                connection,
                "SELECT credits_posted - debits_posted FROM account WHERE account_id = ?",
                (name,),
            )
            read.wait()
            try:
                book(
                    connection,
                    [Entry(name, Kind.DIRECT, "TEST", name, NAMES[1], left, 0, f"take:{number}")],
                )
            except RuntimeError as refused:
                connection.get_transaction().rollback()  # type: ignore[union-attr]
                return refused
            return left

        return call

    results = each_by_itself(books, [take(number) for number in range(THREADS)])
    assert [one for one in results if not isinstance(one, RuntimeError)] == [1_000]
