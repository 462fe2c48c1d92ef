"""How fast money moves on PostgreSQL when many want the same fund, and how fast books are read.

The server is one of its own, on a socket, with fsync on; without its programs only a note is
printed. Writers are processes with a connection each, past the service's one writer:
``python -m benchmarks.ledgering URL FIRST COUNT BATCH`` is one that holds.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from statistics import median
from time import perf_counter, process_time
from typing import Any, Final

from benchmarks import settling, workload
from benchmarks.moving import Mover
from benchmarks.report import Figure
from benchmarks.site import new_site
from benchmarks.stored import fill, now_ms
from benchmarks.writers import WRITERS, Wrote, begun, spent_s, together
from quota.calendar import natural_year
from scheduler.control.settings import LoopSettings
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.store import alerts, fund_days, fund_figures, funds, holds, paying
from scheduler.store.database import Connection, Database, open_engine
from scheduler.store.paying import Wanted
from tests.postgres import NoServer, running

_WALL_S: Final = 3_600
_CITY: Final = "wuhan"
_TRANSFERS: Final = 10_000_000
_ASKED: Final = 20


def run(quick: bool) -> list[Figure]:
    """Hold, settle, verify and look at books."""
    try:
        with running() as server:
            figures = _contend(server.url(server.create()), server.url(server.create()), quick)
            figures += settling.figures(server.url(server.create()), quick)
            figures += _move(server.url(server.create()), quick)
            return figures + _look(server.url(server.create()), quick)
    except NoServer as missing:
        print(f"ledger: {missing}", file=sys.stderr)
        return []


# --- many writers, one fund -----------------------------------------------------------------------


def _contend(url: str, beside: str, quick: bool) -> list[Figure]:
    """Hold for enterprises of one city: all of its one fund, then also of one of all cities.

    A hold of the one fund is what was measured of the building blocks: a hold, a cap, two entries.
    """
    single, batches = (20, 2) if quick else (250, 10)
    with new_site(store__url=url, shared=False):
        one = together("benchmarks.ledgering", url, 0, single, 1)
        many = together("benchmarks.ledgering", url, 10**6, batches * 1_000, 1_000)
        overspent = _overspent(url)
    with new_site(store__url=beside):
        two = together("benchmarks.ledgering", beside, 0, batches * 1_000, 1_000)
        overspent += _overspent(beside)
    return [
        _held("each hold a transaction", one, "tx/s", 1_000),
        _held("1,000 at once", many, "holds/s", 20_000),
        _held("1,000 at once, a second fund for each", two, "holds/s"),
        Figure("ledger", "accounts that owe more than they were given", overspent, "", 0),
    ]


def _held(how: str, wrote: Sequence[Wrote], unit: str, target: float | None = None) -> Figure:
    return Figure(
        "ledger", f"holds on one hot fund, {WRITERS} writers, {how}",
        sum(one.done for one in wrote) / spent_s(wrote), unit, target, at_most=False,
        peer="CPU s of the writers", peer_value=sum(one.cpu_s for one in wrote),
    )  # fmt: skip


def _overspent(url: str) -> int:
    with closing(Database(url)) as db:
        found = db.read_sync(
            lambda c: c.exec_driver_sql(
                "SELECT count(*) FROM account a WHERE debits_pending <> coalesce((SELECT"
                " sum(amount_fen) FROM hold_leg l WHERE l.debit_account = a.account_id), 0)"
                " OR limited AND debits_pending + debits_posted > credits_posted + credit_limit_fen"
            ).scalar_one()
        )
    return int(found)


def _write(url: str, first: int, count: int, batch: int) -> None:
    """Be a writer."""
    mine = [name for name, city in workload.members() if city == _CITY]
    flavor = workload.flavor(0)
    center = flavor.partition("/")[0]
    engine = open_engine(url)
    with engine.connect() as connection:
        with connection.begin():
            connection.exec_driver_sql("SELECT 1")

        def work() -> int:
            held = 0
            for at in range(first, first + count, batch):
                wanted = [
                    Wanted(
                        uid, 1, center, flavor, mine[uid % len(mine)], _CITY, 1, _WALL_S,
                        "PREFERRED", None, root=uid,
                    )
                    for uid in range(at + 1, at + batch + 1)
                ]  # fmt: skip
                with connection.begin():
                    held += _hold(connection, wanted, center)
            return held

        begun(work)
    engine.dispose()


def _hold(connection: Connection, wanted: list[Wanted], center: str) -> int:
    at_ms = now_ms()
    owners = {(one.city, one.enterprise) for one in wanted}
    means = paying.load(connection, {enterprise for _, enterprise in owners}, at_ms)
    found = holds.hold(connection, wanted, means, at_ms)
    return sum(isinstance(one, holds.Held) for one in found.values())


# --- settle and verify ----------------------------------------------------------------------------


def _move(url: str, quick: bool) -> list[Figure]:
    """Settle many runs in the control loop's batches, then verify all that was written."""
    count, size = (2_000 if quick else 100_000), LoopSettings().admit_batch
    with new_site(units=1 << 20, store__url=url), closing(Database(url)) as db:
        waiting = fill(db, count)
        mover = Mover(db)
        for first in range(0, count, size):
            mover.move(waiting[first : first + size])
        _tidy(db)
        began_s, began_cpu_s = perf_counter(), process_time()
        found = db.read_sync(funds.verify)
        spent_s, cpu_s = perf_counter() - began_s, process_time() - began_cpu_s
    if not found.ok:
        raise RuntimeError(f"the ledger does not verify: {found.problems[0]}")
    return [
        Figure(
            "ledger", f"settle {count:,} finished runs, {size:,} at once, with their ends",
            mover.spent_s["settled"], "s", peer="runs/s",
            peer_value=count / mover.spent_s["settled"],
        ),
        Figure(
            "ledger", f"verify {found.transfer_count:,} transfers and all that tells of them",
            found.transfer_count / spent_s, "transfers/s", 200_000, at_most=False, peer="CPU s",
            peer_value=cpu_s,
        ),
    ]  # fmt: skip


def _tidy(db: Database) -> None:
    """Do what a server does by itself minutes after so much was written; a ledger is older."""
    with db.engine.connect() as connection:
        alone = connection.execution_options(isolation_level="AUTOCOMMIT")
        alone.exec_driver_sql("VACUUM ANALYZE")
        connection.invalidate()


# --- dashboards -----------------------------------------------------------------------------------


def _look(url: str, quick: bool) -> list[Figure]:
    """What people look at, over a ledger of many entries that nobody verifies."""
    count = 100_000 if quick else _TRANSFERS
    with new_site(store__url=url), closing(Database(url)) as db:
        _pad(db, count)
        spent = {name: _typical_ms(db, call) for name, call in _screens().items()}
    return [
        Figure("ledger", f"{name}, {count:,} transfers", ms, "ms", 20.0)
        for name, ms in spent.items()
    ]


_SECONDARY: Final = (
    "SELECT indexname::text, indexdef FROM pg_indexes WHERE tablename = 'transfer'"
    " AND indexdef NOT LIKE '%UNIQUE%'"
)
_ENTRIES: Final = """
INSERT INTO transfer (shard, seq, ledger, kind, code, debit_account, credit_account, amount_fen,
    job_uid, attempt, leg_id, reverses, effective_ms, ref_period, idem_key, actor, reason,
    prev_hash, hash)
SELECT CASE n % 3 WHEN 0 THEN 'wallets:' || e.city ELSE f.fund END, 1000 + n, 'CNY', 'POST',
    'SETTLE', CASE n % 3 WHEN 0 THEN 'wallet:' || e.code ELSE f.fund END,
    'payable:center-' || n % 4, 100, 1000 + n / 3, 1, '', '', ?::bigint + n * ?::bigint, '',
    'pad:' || n, '', '',
    sha256(n::text::bytea), sha256(n::text::bytea)
FROM generate_series(1, ?::int) n JOIN (SELECT code, city, row_number() OVER (ORDER BY code) - 1
    AS at FROM enterprise) e ON e.at = n / 3 % (SELECT count(*) FROM enterprise)
    CROSS JOIN LATERAL (SELECT 'fund:' || e.city || '-voucher:' || ? AS fund) f
"""


def _pad(db: Database, count: int) -> None:
    """Write entries of all funds, wallets and centers of 400 days, newest last in each chain."""
    first_ms, step_ms = now_ms() - 400 * 86_400_000, 400 * 86_400_000 // count
    with db.engine.connect() as raw:
        connection = raw.execution_options(isolation_level="AUTOCOMMIT")
        run = connection.exec_driver_sql
        # Once for all, without the guards of each row: nothing here is read as books are.
        run("SET statement_timeout = 0")
        run("SET session_replication_role = replica")
        made = run(_SECONDARY).all()
        for name, _ in made:
            run(f"DROP INDEX {name}")
        run(_ENTRIES, (first_ms, step_ms, count, str(natural_year(now_ms()))))
        for _, definition in made:
            run(definition)
        run("VACUUM ANALYZE")
        connection.invalidate()


def _screens() -> dict[str, Callable[[Connection], object]]:
    year = natural_year(now_ms())
    fund = f"fund:{_CITY}-voucher:{year}"
    city = Scope(city=_CITY)
    half_ms = now_ms() - 200 * 86_400_000
    return {
        "funds of a city": lambda c: fund_figures.list_funds(c, city),
        "last entries of a fund": lambda c: funds.list_transfers(c, city, account=fund),
        "its entries of half a year ago": lambda c: funds.list_transfers(
            c, city, account=fund, before=(half_ms, "", 0)
        ),
        "entries of a job": lambda c: funds.list_transfers(c, EVERYTHING, job_uid=50_000),
        "last entries of a center": lambda c: funds.list_transfers(
            c, EVERYTHING, account="payable:center-1"
        ),
        "last entries of all": lambda c: funds.list_transfers(c, EVERYTHING),
        "spending of a fund by day": lambda c: fund_days.daily(c, fund, now_ms()),
        "alerts of a city": lambda c: alerts.list_alerts(c, city, open_only=True, limit=100),
    }


def _typical_ms(db: Database, call: Callable[[Connection], Any]) -> float:
    spent = []
    for _ in range(_ASKED):
        began_s = perf_counter()
        db.read_sync(call)
        spent.append((perf_counter() - began_s) * 1000)
    return median(spent)


if __name__ == "__main__":
    _write(sys.argv[1], *map(int, sys.argv[2:]))
