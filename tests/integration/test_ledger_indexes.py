"""What people look at is found by indexes, however many entries the ledger has: by EXPLAIN."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, event

from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.store import alerts, fund_days, fund_figures, funds, held_legs
from scheduler.store.database import Database, bulk_update
from tests.postgres import Postgres
from tests.simulation import inline_store
from tests.simulation import world as worlds
from tests.simulation.world import NOW_MS

COUNT = 60_000
FUND = "fund:wuhan-v:2026"
WUHAN = Scope(city="wuhan")
HALF_MS = NOW_MS - 300_000_000
_PAD = (
    "INSERT INTO transfer (shard, seq, ledger, kind, code, debit_account, credit_account,"
    " amount_fen, job_uid, attempt, leg_id, reverses, effective_ms, ref_period, idem_key, actor,"
    " reason, prev_hash, hash) SELECT shard, 1000 + n, 'CNY', 'POST', 'SETTLE', debit,"
    " 'payable:' || n % 50, 100, n / 3, 1, '', '', {start} + n * 10000::bigint, '', 'pad:' || n,"
    " '', '', '', '' FROM generate_series(1, {count}) n CROSS JOIN LATERAL (SELECT CASE n % 40"
    " WHEN 0 THEN 'wallets:wuhan' WHEN 1 THEN '{fund}' ELSE 'fund:more-' || n % 40 || ':2026' END"
    " AS shard, CASE n % 40 WHEN 0 THEN 'wallet:w1' WHEN 1 THEN '{fund}' ELSE 'fund:more-' ||"
    " n % 40 || ':2026' END AS debit) AS f"
)


@pytest.fixture(scope="module")
def books(postgres: Postgres) -> Iterator[Database]:
    """A ledger with many entries, whose statistics are known."""
    with inline_store.on(postgres):
        db = worlds.build().db
        start = NOW_MS - COUNT * 10_000
        pad = _PAD.format(start=start, count=COUNT, fund=FUND)
        db.do(lambda c: c.exec_driver_sql(pad))
        db.beside().execute("VACUUM ANALYZE")
        yield db


def plans(db: Database, call: Callable[[Connection], object]) -> str:
    """How the database would answer every question that a call asks it."""
    asked: list[tuple[str, object]] = []

    def note(_c: object, _u: object, sql: str, values: object, _x: object, _m: bool) -> None:
        asked.append((sql, values))

    def explained(connection: Connection) -> str:
        call(connection)
        event.remove(db.engine, "before_cursor_execute", note)
        driver = connection.connection.driver_connection
        assert driver is not None
        lines = []
        for sql, values in asked:
            lines += [row[0] for row in driver.execute("EXPLAIN " + sql, values).fetchall()]
        return "\n".join(lines)

    event.listen(db.engine, "before_cursor_execute", note)
    return db.read_sync(explained)


@pytest.mark.parametrize(
    ("call", "index"),
    [
        (lambda c: funds.list_transfers(c, EVERYTHING), "transfer_time"),
        (lambda c: funds.list_transfers(c, WUHAN), "transfer_time"),
        (lambda c: funds.list_transfers(c, WUHAN, account=FUND), "transfer_debit"),
        (lambda c: funds.list_transfers(c, EVERYTHING, account="payable:1"), "transfer_credit"),
        (
            lambda c: funds.list_transfers(c, WUHAN, account=FUND, before=(HALF_MS, "", 0)),
            "transfer_debit",
        ),
        (lambda c: funds.list_transfers(c, EVERYTHING, job_uid=77), "transfer_job"),
    ],
    ids=["all", "city", "account", "credited", "page", "job"],
)
def test_entries_are_found_by_an_index(
    books: Database, call: Callable[[Connection], list[object]], index: str
) -> None:
    plan = plans(books, call)
    assert index in plan
    assert "Seq Scan on transfer" not in plan
    assert len(books.read_sync(call)) in (3, 100), "a page, or all there are of a job"


@pytest.mark.parametrize(
    "call",
    [
        lambda c: fund_figures.list_funds(c, WUHAN),
        lambda c: fund_days.daily(c, FUND, NOW_MS),
        lambda c: alerts.look(c, NOW_MS),
    ],
    ids=["funds", "days", "alerts"],
)
def test_figures_do_not_read_the_ledger(
    books: Database, call: Callable[[Connection], object]
) -> None:
    """They come from balances and daily sums, not from entries."""
    plan = plans(books, call)
    assert plan
    assert " on transfer" not in plan


_LEGS = (
    "INSERT INTO hold_leg (job_uid, attempt, rev, leg, kind, debit_account, credit_account,"
    " amount_fen, posted_fen, shard) SELECT 1000000 + n / 3, 1, 0, n % 3, 'WALLET', 'wallet:w1',"
    " 'payable:c', 9, 0, 'wallets:wuhan' FROM generate_series(0, 29999) n"
)


def test_legs_of_many_runs_are_read_and_settled_by_their_index(books: Database) -> None:
    """If it knew how many they are, the planner would read the whole table for them."""
    uids = range(1_002_000, 1_003_000)

    def scans(connection: Connection) -> int:
        run = connection.exec_driver_sql
        run(_LEGS)
        run("ANALYZE hold_leg")
        counted = "SELECT pg_stat_get_xact_numscans('hold_leg'::regclass)"
        before = run(counted).scalar_one()
        assert len(held_legs.read(connection, range(1_000_000, 1_005_000))) == 5_000
        rows = [(uid, 1, 0, leg, 5) for uid in uids for leg in range(3)]
        settled = (
            "UPDATE hold_leg SET posted_fen = v.column5 FROM {values} WHERE job_uid = v.column1"
            " AND attempt = v.column2 AND rev = v.column3 AND leg = v.column4"
        )
        assert bulk_update(connection, settled, rows) == 3_000
        after = run(counted).scalar_one()
        connection.rollback()
        return int(after - before)

    assert books.write_future(scans).result() == 0
