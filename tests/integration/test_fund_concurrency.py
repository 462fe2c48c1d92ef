"""Many who decide on one fund at the same time, each on a connection of its own.

City admins pay in, take out, issue and revoke, runs hold and settle, and the service gives back:
nobody waits for ever, nothing is overspent, and the entries give what the tables say.
"""

import contextlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from quota.audit import Auditor, Balance
from quota.calendar import period_bounds
from quota.transfers import voucher_account
from scheduler.domain.principal import EVERYTHING
from scheduler.errors import CorridorError
from scheduler.store import (
    book_months,
    funds,
    transfers,
    verification_funds,
    voucher_returns,
)
from scheduler.store.database import Database
from scheduler.store.vouchers import NewVoucher
from tests.postgres import Postgres
from tests.simulation import inline_store
from tests.simulation.inline_store import InlineDatabase
from tests.simulation.world import HandClock
from tests.unit.store.money_hands import FUND, MoneyHands

THREADS, MOVES = 8, 30
T = TypeVar("T")


class Past:
    """The store past its writer: each transaction on a connection of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def do(self, call: Callable[[Connection], T]) -> T:
        """Run ``call`` in a transaction."""
        with self._database.engine.connect() as raw:
            connection: Connection = raw.execution_options(corridor_write=True)
            with connection.begin():
                return call(connection)

    def open(self) -> Connection:
        """Begin a transaction that somebody else ends."""
        connection = self._database.engine.connect().execution_options(corridor_write=True)
        connection.begin()
        return connection

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def read_sync(self, call: Callable[[Connection], T]) -> T:
        """Run ``call`` on a snapshot."""
        return self._database.read_sync(call)


class Admin(MoneyHands):
    """One of many; its legs and keys are its own."""

    def __init__(self, database: Database, number: int, now_ms: int) -> None:
        past: Any = Past(database)
        self.db, self.clock = past, HandClock(now_ms)
        self._legs, self._number = number * 1_000, number
        self._rng = random.Random(number)
        self._held: list[tuple[str, str, int]] = []
        self._vouchers: list[str] = []

    def move(self, count: int) -> None:
        """Do something; what is refused changes nothing."""
        rng, key, fen = self._rng, f"{self._number}-{count}", self._rng.randint(1, 900)
        account = voucher_account(rng.choice(self._vouchers)) if self._vouchers else FUND
        match rng.randrange(7):
            case 0:
                self.pay("v", fen, key)
            case 1:
                self.lower("v", fen, key, pending=True)
            case 2:
                self.issue(NewVoucher(rng.choice(("w1", "w2")), fen, f"n{key}"), key=key)
                self._vouchers.append(f"n{key}")
            case 3 if self._vouchers:
                self.revoke(self._vouchers.pop(rng.randrange(len(self._vouchers))))
            case 4:
                self.db.do(lambda c: voucher_returns.give_back(c, self.clock.ms))
            case 5 if self._held:
                at, leg, held = self._held.pop(0)
                self.settle(at, leg, held, rng.randint(0, held), FUND)
            case _:
                at = rng.choice((FUND, account))
                self._held.append((at, self.hold(at, fen, FUND), fen))

    def work(self) -> None:
        """Do many things, one after another."""
        for count in range(MOVES):
            with contextlib.suppress(CorridorError, Short):
                self.move(count)

    def hold(self, account: str, fen: int, shard: str | None = None) -> str:
        """Hold money, or find that there is too little of it."""
        try:
            return super().hold(account, fen, shard)
        except RuntimeError as error:
            raise Short from error


class Short(Exception):
    """There was too little to hold."""


@pytest.fixture
def database(each_store: str, tmp_path: Path) -> Database:
    """The books of a fund."""
    it = MoneyHands()
    db: InlineDatabase = it.db
    if not db.is_sqlite:
        return Database(db.url)
    path = tmp_path / "corridor.db"
    db._raw.execute(f"VACUUM INTO '{path}'")
    return Database(f"sqlite:///{path}")


def test_nobody_waits_for_ever_and_every_fen_is_where_the_entries_say(database: Database) -> None:
    now_ms = database.read_sync(
        lambda c: c.exec_driver_sql("SELECT max(effective_ms) FROM transfer").scalar_one()
    )
    admins = [Admin(database, number, int(now_ms)) for number in range(1, THREADS + 1)]
    try:
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(Admin.work, admins))
        assert database.read_sync(_problems) == []
        [(free, reducing)] = database.read_sync(
            lambda c: c.exec_driver_sql(
                "SELECT a.credits_posted - a.debits_posted - a.debits_pending, u.reducing_fen"
                " FROM fund_funder u JOIN account a ON a.account_id = u.account_id"
                " WHERE u.programme = 'v'"
            ).all()
        )
        codes = database.read_sync(
            lambda c: set(c.exec_driver_sql("SELECT DISTINCT code FROM transfer").scalars())
        )
        assert free >= 0
        assert reducing >= 0
        assert codes >= {"APPROPRIATE", "LOWER", "ISSUE", "REVOKE", "HOLD", "SETTLE"}
    finally:
        database.close()


def _problems(c: Connection) -> list[str]:
    auditor = Auditor()
    for link in transfers.stream(c):
        auditor.take(link)
    rows = c.exec_driver_sql(
        "SELECT account_id, debits_pending, debits_posted, credits_pending, credits_posted"
        " FROM account"
    )
    balances = {row[0]: Balance(*row[1:]) for row in rows}
    legs = {leg: held[0] for leg, held in auditor._open.items()}
    auditor.compare(balances, transfers.read_heads(c), legs)
    return [*auditor.problems, *verification_funds.decisions(c)]


def test_a_month_that_is_closed_waits_for_who_books_in_it_and_refuses_who_comes_later(
    postgres: Postgres,
) -> None:
    """What is booked while a month is being closed is in its frozen heads, or nowhere."""
    with inline_store.on(postgres), ThreadPoolExecutor(1) as threads:
        it = MoneyHands()
        october_ms, november_ms = it.clock.ms, period_bounds("2026-10")[1]
        it.db.do(lambda c: book_months.begin_due(c, october_ms))
        past = Past(Database(it.db.url))
        writing = past.open()
        early, late = past.open(), past.open()
        _pay(writing, "in time", october_ms)
        early.exec_driver_sql("SELECT count(*) FROM transfer")  # it has looked around already
        it.clock.ms = november_ms
        closing = threads.submit(past.do, lambda c: book_months.close(c, "2026-10", it.act()))
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not it.db.rows(waiting):
            assert not closing.done()
        writing.commit()
        assert closing.result().state == "CLOSED"
        heads = it.frozen("2026-10")
        assert heads[FUND] == it.db.read_sync(transfers.read_heads)[FUND]
        for number, one in enumerate((early, late)):
            with pytest.raises(IntegrityError, match="books are closed"):
                _pay(one, f"late {number}", october_ms)
        for one in (writing, early, late):
            one.close()
        past.close()
        assert it.db.read_sync(lambda c: list(verification_funds.closed_months(c))) == []


def _pay(connection: Connection, key: str, now_ms: int) -> None:
    funds.appropriate(
        connection, EVERYTHING, programme="v", period="2026", amount_fen=1, request_id=key,
        actor="test", reason="test", now_ms=now_ms,
    )  # fmt: skip
