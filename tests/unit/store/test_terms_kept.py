"""Prices, rules and funds are read once, and again as soon as any of them changed."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from quota.calendar import period_bounds
from quota.rules import Rule
from scheduler.store import pricing
from tests.simulation import world as worlds
from tests.simulation.world import NPU, World

pytestmark = pytest.mark.usefixtures("each_store")

DAY_MS = 86_400_000
#: Who writes it, and how, does not matter: statements past the store's own functions.
CHANGES = {
    "price_version": f"""INSERT INTO price_version (price_id, center, flavor, unit, price_ufen,
        effective_from_ms, effective_to_ms, created_ms, created_by, approved_by) SELECT 'new',
        center, flavor, unit, 7, effective_from_ms + 1, {1 << 60}, 0, '', '' FROM price_version
        WHERE flavor = '{NPU}'""",
    "rule_version": f"""INSERT INTO rule_version (programme, version, body, sha256,
        effective_from_ms, effective_to_ms, document_ref) SELECT programme, 2,
        replace(replace(body, '5000', '6000'), '"version":1', '"version":2'), '',
        effective_from_ms, {1 << 60}, '' FROM rule_version""",
    "end of a rule": "UPDATE rule_version SET effective_to_ms = effective_from_ms",
    "programme": "UPDATE programme SET status = 'ENDED'",
    "fund_period": "UPDATE fund_period SET state = 'CLOSING'",
    "fund_funder": "UPDATE fund_funder SET funder = 'another'",
    "flavor": "UPDATE flavor SET domestic = NOT domestic",
}


@pytest.fixture
def world() -> World:
    return worlds.build(rules=((Rule("v", 1, "wuhan", 5_000), 9_000),))


def money(world: World, at_ms: int = worlds.NOW_MS) -> pricing.Money:
    return world.db.do(lambda c: pricing.load_money(c, at_ms))


def test_the_same_terms_are_not_read_again(world: World) -> None:
    assert money(world) is money(world)
    assert money(world, worlds.NOW_MS + 1) is money(world)


@pytest.mark.parametrize("what", CHANGES)
def test_whoever_changes_the_terms_they_are_read_again(world: World, what: str) -> None:
    before = money(world)
    world.db.do(lambda c: c.exec_driver_sql(CHANGES[what]))
    after = money(world)
    assert after is not before
    assert (after.prices, after.rules, after.funds, after.domestic) != (
        before.prices, before.rules, before.funds, before.domestic,
    )  # fmt: skip
    assert money(world) is after


def test_what_moves_with_every_hold_does_not_count(world: World) -> None:
    before = money(world)
    world.db.do(lambda c: c.exec_driver_sql("UPDATE fund_funder SET reducing_fen = 0"))
    world.db.do(lambda c: c.exec_driver_sql("UPDATE flavor SET capacity_units = 1"))
    assert money(world) is before


def test_what_was_not_kept_is_not_believed(world: World) -> None:
    """Terms read in a transaction that was given up are those of nobody."""
    before = money(world)

    def give_up(connection: Connection) -> None:
        connection.exec_driver_sql(CHANGES["fund_period"])
        assert not pricing.load_money(connection, worlds.NOW_MS).funds
        connection.exec_driver_sql("INSERT INTO money_terms (id, stamp) VALUES (2, '')")

    with pytest.raises(IntegrityError):
        world.db.do(give_up)
    assert money(world).funds == before.funds


@pytest.mark.parametrize(
    "change",
    [
        lambda at_ms: f"UPDATE price_version SET effective_to_ms = {at_ms}",
        lambda at_ms: f"UPDATE rule_version SET effective_to_ms = {at_ms}",
    ],
    ids=["price", "rule"],
)
def test_terms_end_at_their_dates(world: World, change: Callable[[int], str]) -> None:
    at_ms = worlds.NOW_MS + DAY_MS
    world.db.do(lambda c: c.exec_driver_sql(change(at_ms)))
    before = money(world)
    assert money(world, at_ms - 1) is before
    after = money(world, at_ms)
    assert (after.prices, after.rules) != (before.prices, before.rules)
    again = money(world, at_ms - 1)
    assert (again.prices, again.rules) == (before.prices, before.rules), "a clock may go back"


def test_funds_end_with_their_periods(world: World) -> None:
    [(period,)] = world.db.rows("SELECT period FROM fund_period")
    end_ms = period_bounds(period)[1]
    assert money(world, end_ms - 1).funds
    assert not money(world, end_ms).funds


def test_without_a_stamp_terms_are_always_read(world: World) -> None:
    world.db.do(lambda c: c.exec_driver_sql("DELETE FROM money_terms"))
    assert money(world) is not money(world)
    world.db.do(lambda c: c.exec_driver_sql(CHANGES["flavor"]))
    assert money(world) is money(world), "the next change makes one"
