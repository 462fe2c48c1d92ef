"""Many who want the same money at the same time: a fund is never overspent, each gets one answer.

Once through the service's own writer, once past it, each thread with a connection of its own: then
only the database stands between them.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection

from quota.rules import Rule
from scheduler.placement.model import Start
from scheduler.store import admission, funds
from scheduler.store.database import Database, StoreFailure
from scheduler.store.planner_feed import options_of
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

THREADS = 8
JOBS = 160
FUND_FEN = 2_000
CREDIT_FEN = 4_000


@pytest.fixture
def database(each_store: str, tmp_path: Path) -> Database:
    """A database with jobs that together cost far more than the fund and the wallet have."""
    world = worlds.build(
        rules=((Rule("v", 1, "wuhan", 5000, year_cap_fen=1_900), FUND_FEN),),
        credit={"w1": CREDIT_FEN},
    )
    Hands(world)
    world.db.do(lambda c: c.exec_driver_sql("UPDATE flavor SET capacity_units = 100000"))
    world.submit("w1", [job(NPU, 1 + number % 8) for number in range(JOBS)])
    if not world.db.is_sqlite:
        return Database(world.db.url)
    path = tmp_path / "corridor.db"
    world.db._raw.execute(f"VACUUM INTO '{path}'")
    world.db.close()
    return Database(f"sqlite:///{path}")


def starts_of(database: Database) -> list[list[Start]]:
    """All jobs, dealt out to the threads in small batches."""
    rows = database.read_sync(
        lambda c: c.exec_driver_sql("SELECT uid, options FROM job ORDER BY uid").all()
    )
    starts = [Start(uid, "wuhan", "w1", options_of(options)[0], 0) for uid, options in rows]
    return [starts[first : first + 4] for first in range(0, len(starts), 4)]


def admit_by_the_writer(database: Database, starts: list[Start]) -> admission.Admitted:
    """As the control loop does."""
    return database.write_future(lambda c: admission.admit(c, 1, starts, worlds.NOW_MS)).result()


def admit_past_the_writer(database: Database, starts: list[Start]) -> admission.Admitted:
    """As another process would, again if others moved what it had read (on PostgreSQL they may)."""
    for _ in range(100):
        with contextlib.suppress(RuntimeError, StoreFailure), database.engine.connect() as raw:
            connection: Connection = raw.execution_options(corridor_write=True)
            with connection.begin():
                return admission.admit(connection, 1, starts, worlds.NOW_MS)
    raise AssertionError("others were always before it")


@pytest.mark.parametrize("admit", [admit_by_the_writer, admit_past_the_writer])
def test_nothing_is_overspent_and_nothing_admitted_twice(database: Database, admit: object) -> None:
    assert callable(admit)
    batches = starts_of(database)
    with ThreadPoolExecutor(THREADS) as threads:
        # Each batch comes twice: one of the two finds its jobs gone.
        results = list(threads.map(lambda starts: admit(database, starts), batches * 2))
    admitted = [run for result in results for run in result.admitted]
    assert len({run.uid for run in admitted}) == len(admitted)
    [(runs, held)] = database.read_sync(
        lambda c: c.exec_driver_sql(
            "SELECT (SELECT count(*) FROM run), (SELECT sum(amount_fen) FROM hold_leg)"
        ).all()
    )
    assert runs == len(admitted)
    assert held == sum(run.gross_fen for run in admitted)
    balances = database.read_sync(
        lambda c: c.exec_driver_sql(
            "SELECT kind, debits_pending FROM account WHERE debits_pending > 0 ORDER BY kind"
        ).all()
    )
    given = dict(tuple(row) for row in balances)
    assert given["FUND"] <= 1_900
    assert CREDIT_FEN - 8 * 133 < given["WALLET"] <= CREDIT_FEN, "spent to the last that fits"
    assert database.read_sync(funds.verify).ok
    database.close()
