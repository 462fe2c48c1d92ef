"""Many who want the same unit-seconds at the same time: a budget is never overspent (I7, I8).

Once through the service's own writer, once past it, each thread with a connection of its own:
then only the database stands between them. People lend hours away meanwhile.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection

from quota.budgets import Terms
from scheduler.domain.principal import Principal, Role
from scheduler.errors import QuotaExceeded
from scheduler.placement.model import Start
from scheduler.store import admission, budget_journal, budget_settings, budgets, loans
from scheduler.store.budgets import Place
from scheduler.store.database import Database, StoreFailure
from scheduler.store.loans import Proposal
from scheduler.store.planner_feed import options_of
from scheduler.store.quotas_telling import Change
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import FREE, NOW_MS, OPERATOR, job

THREADS = 8
JOBS = 160
HOLD = 660
CITY = 200 * HOLD  # of 160 jobs with 720 units in all


@pytest.fixture
def database(each_store: str, tmp_path: Path) -> Database:
    """A database with jobs that together ask for far more than their budgets have."""
    world = worlds.build()
    hands = Hands(world)
    world.db.do(lambda c: c.exec_driver_sql("UPDATE flavor SET capacity_units = 100000"))
    world.submit("w1", [job(FREE, 1 + number % 8) for number in range(JOBS)])
    for city, amount in (("wuhan", CITY), ("ezhou", CITY * 8)):
        change = Change(OPERATOR, "", "test", NOW_MS, 0)
        terms = Terms(enterprises_free=True, keep_bps=0, debt_cap_bps=10_000)
        hands.db.do(
            lambda c, n=city, t=terms, x=change: budget_settings.update_settings(c, n, t, x)  # type: ignore[misc]
        )
        place = Place(city, "", FREE, "")
        hands.db.do(
            lambda c, p=place, a=amount, x=change: budgets.update_budget(c, p, a, x)  # type: ignore[misc]
        )
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


def lend(connection: Connection) -> None:
    """Wuhan's admin gives hours away while its jobs want them."""
    admin = Principal("wuhan", Role.CITY_ADMIN, "wuhan", None, None, "", 0)
    other = Principal("ezhou", Role.CITY_ADMIN, "ezhou", None, None, "", 0)
    wanted = Proposal("wuhan", "ezhou", FREE, 5 * HOLD)
    offered = loans.propose(connection, wanted, Change(admin, None, "test", NOW_MS, 0))
    loans.accept(connection, offered.loan_id, Change(other, None, "test", NOW_MS, 0))


def by_the_writer(database: Database, starts: list[Start]) -> admission.Admitted:
    """As the control loop does."""
    return database.write_future(lambda c: admission.admit(c, 1, starts, NOW_MS)).result()


def past_the_writer(database: Database, starts: list[Start]) -> admission.Admitted:
    """As another process would, again if others started its jobs (on PostgreSQL they may)."""
    for _ in range(100):
        try:
            with database.engine.connect() as raw:
                connection: Connection = raw.execution_options(corridor_write=True)
                with connection.begin():
                    return admission.admit(connection, 1, starts, NOW_MS)
        except StoreFailure:
            continue
        except RuntimeError as error:
            if "jobs moved" not in str(error):  # budgets never: it waits for who moves those
                raise
    raise AssertionError("others were always before it")


@pytest.mark.parametrize("admit", [by_the_writer, past_the_writer])
def test_no_budget_is_overspent_and_no_hold_is_lost(database: Database, admit: object) -> None:
    assert callable(admit)

    def step(starts: list[Start] | None) -> admission.Admitted | None:
        if starts is not None:
            found: admission.Admitted = admit(database, starts)
            return found
        with contextlib.suppress(QuotaExceeded):  # once all is spent, nothing is left to lend
            database.write_future(lend).result()
        return None

    database.write_future(lend).result()
    work: list[list[Start] | None] = []
    for batch in starts_of(database) * 2:  # each comes twice: one of the two finds its jobs gone
        work += [batch, None] if len(work) % 4 == 0 else [batch]
    with ThreadPoolExecutor(THREADS) as threads:
        results = [found for found in threads.map(step, work) if found is not None]
    admitted = [run.uid for result in results for run in result.admitted]
    assert len(set(admitted)) == len(admitted)
    [(units, held, given, lent)] = database.read_sync(
        lambda c: c.exec_driver_sql(
            "SELECT (SELECT sum(units) FROM run), held_unit_seconds, given_unit_seconds,"
            " (SELECT sum(unit_seconds) FROM loan WHERE state = 'ACCEPTED')"
            " FROM budget WHERE node = 'cities/wuhan'"
        ).all()
    )
    assert held == units * HOLD
    assert given == lent > 0
    assert CITY - 8 * HOLD < held + given <= CITY, "spent to the last that fits"
    found = database.read_sync(budget_journal.verify)
    assert found.ok, found.problems
    database.close()
