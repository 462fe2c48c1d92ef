"""Many who decide at the same time, each past the writer with a connection of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from quota.rules import Rule
from scheduler.domain.approving import Approvals, ChangeKind
from scheduler.domain.principal import Principal, Role
from scheduler.errors import WrongState
from scheduler.store import appropriations, approvals, change_requests, price_changes, rule_changes
from scheduler.store.appropriations import Payment
from scheduler.store.change_requests import Act
from scheduler.store.database import Database
from scheduler.store.price_changes import NewPrice, PriceChange
from scheduler.store.rule_changes import RuleChange
from tests.simulation import world as worlds
from tests.simulation.world import CPU

THREADS = 6
BOTH = Approvals(1)
ASKS = Act(worlds.OPERATOR, "wanted", worlds.NOW_MS, 0)
Call = Callable[[Connection], Any]


@pytest.fixture
def database(each_store: str, tmp_path: Path) -> Database:
    """A corridor with one programme."""
    world = worlds.build(rules=((Rule("v", 1, "wuhan", 3_000), 5_000),))
    if not world.db.is_sqlite:
        return Database(world.db.url)
    path = tmp_path / "corridor.db"
    world.db._raw.execute(f"VACUUM INTO '{path}'")
    world.db.close()
    return Database(f"sqlite:///{path}")


def decides(number: int) -> Act:
    """One of many operators, a moment after all was asked for."""
    who = Principal(f"operator {number}", Role.OPERATOR, None, None, None, "", 0)
    return Act(who, "agreed", worlds.NOW_MS + 1, 0)


def past_the_writer(database: Database, call: Call) -> Any:
    """As another process would; returns what was refused."""
    with database.engine.connect() as raw:
        connection = raw.execution_options(corridor_write=True)
        try:
            with connection.begin():
                return call(connection)
        except WrongState as error:
            return error


def at_once(database: Database, calls: list[Call]) -> list[Any]:
    """Make all calls at the same time."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(lambda call: past_the_writer(database, call), calls))


def test_a_request_is_decided_once(database: Database) -> None:
    payment = Payment("v", "2026", 1_000, "r")
    database.write_future(lambda c: appropriations.appropriate(c, payment, ASKS, BOTH)).result()

    def decide(number: int, connection: Connection) -> Any:
        decision = approvals.approve if number % 2 else change_requests.deny
        return decision(connection, 1, decides(number))

    answers = at_once(database, [partial(decide, number) for number in range(THREADS)])
    done = [one for one in answers if not isinstance(one, WrongState)]
    assert len(done) == 1
    [(fen,)] = database.read_sync(
        lambda c: c.exec_driver_sql(
            "SELECT credits_posted FROM account WHERE account_id = 'fund:v:2026'"
        ).all()
    )
    assert fen == 5_000 + 1_000 * (done[0].state == "APPROVED")
    database.close()


@pytest.mark.parametrize("kind", [ChangeKind.RULE_VERSION, ChangeKind.PRICE_VERSION])
def test_of_versions_for_one_day_the_first_approved_stands(
    database: Database, kind: ChangeKind
) -> None:
    """The others are judged by it: their requests wait on, and say what stands in the way."""
    day_ms = worlds.NOW_MS + 1_000

    def ask(number: int, connection: Connection) -> Any:
        if kind is ChangeKind.RULE_VERSION:
            rule = RuleChange(Rule("v", 0, "wuhan", number), day_ms)
            return rule_changes.propose(connection, rule, ASKS, BOTH)
        price = PriceChange("sc", (NewPrice(CPU, number),), day_ms)
        return price_changes.propose(connection, price, ASKS, BOTH)

    def approve(number: int, connection: Connection) -> Any:
        return approvals.approve(connection, number + 1, decides(number))

    for number in range(THREADS):
        database.write_future(partial(ask, number)).result()
    answers = at_once(database, [partial(approve, number) for number in range(THREADS)])
    late = [one for one in answers if isinstance(one, WrongState)]
    assert len(late) == THREADS - 1
    assert all("would overlap" in one.message for one in late)
    table = "rule_version WHERE programme = 'v'"
    if kind is ChangeKind.PRICE_VERSION:
        table = f"price_version WHERE flavor = '{CPU}'"
    [(count,)] = database.read_sync(
        lambda c: c.exec_driver_sql(f"SELECT count(*) FROM {table}").all()
    )
    assert count == 2
    database.close()
