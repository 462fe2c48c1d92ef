"""Amounts that one person moves alone count together: none goes in small parts (each store)."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from quota.rules import Rule
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import run_id
from scheduler.domain.principal import Principal, Role
from scheduler.store import appropriations, approvals, charge_orders, funds_reduction
from scheduler.store.appropriations import Payment
from scheduler.store.change_requests import Act, Request
from scheduler.store.charge_orders import Code
from scheduler.store.database import Database
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR, job

DAY_MS = 86_400_000
LIMITS = Approvals(threshold_fen=1_500)
OTHER = Principal("other", Role.OPERATOR, None, None, None, "", 0)
RULES = tuple(Rule(name, 1, "wuhan", 3_000) for name in ("v", "w"))


@pytest.fixture
def hands(each_store: str) -> Hands:
    return Hands(worlds.build(rules=tuple((rule, 50_000) for rule in RULES)))


def _act(it: Hands, who: Principal) -> Act:
    return Act(who, "because", it.clock.ms, it.clock.ms)


def pay(
    it: Hands, fen: int, key: str, who: Principal = OPERATOR, fund: str = "v",
    limits: Approvals = LIMITS,
) -> Request | None:  # fmt: skip
    payment, act = Payment(fund, "2026", fen, key), _act(it, who)
    return it.db.do(lambda c: appropriations.appropriate(c, payment, act, limits)).request


def lower(it: Hands, fen: int, key: str) -> Request | None:
    order = funds_reduction.Lowering("v", "2026", fen, key)
    act = _act(it, OPERATOR)
    return it.db.do(lambda c: funds_reduction.lower(c, order, act, LIMITS)).request


def test_a_payment_in_two_parts_needs_a_second_person_like_one(hands: Hands) -> None:
    assert pay(hands, 750, "a") is None
    asked = pay(hands, 750, "b")
    assert asked is not None
    assert pay(hands, 749, "c") is None
    assert pay(hands, 1, "d") is not None
    assert pay(hands, 750, "a") is None, "what was paid is paid"
    hands.verify()


def test_each_person_and_each_target_counts_for_itself(hands: Hands) -> None:
    assert pay(hands, 1_000, "a") is None
    assert pay(hands, 1_000, "b", OTHER) is None
    assert pay(hands, 1_000, "c", fund="w") is None
    assert pay(hands, 1_000, "d") is not None


def test_money_out_counts_with_money_in(hands: Hands) -> None:
    assert pay(hands, 1_000, "a") is None
    assert lower(hands, 500, "b") is not None
    assert lower(hands, 499, "c") is None
    assert lower(hands, 1, "d") is not None


def test_after_the_window_it_counts_no_more(hands: Hands) -> None:
    assert pay(hands, 1_000, "a") is None
    hands.clock.ms += 30 * DAY_MS - 1
    assert pay(hands, 1_000, "b") is not None
    hands.clock.ms += 1
    again = pay(hands, 1_000, "b")
    assert again is not None, "what waits is not made by asking again later"
    assert pay(hands, 1_000, "c") is None
    by_itself = Approvals(threshold_fen=1_500, window_days=0)
    assert pay(hands, 1_499, "e", limits=by_itself) is None


def test_what_another_person_approved_was_looked_at(hands: Hands) -> None:
    assert pay(hands, 1_000, "a") is None
    asked = pay(hands, 1_000, "b")
    assert asked is not None
    hands.db.do(lambda c: approvals.approve(c, asked.number, _act(hands, OTHER)))
    assert pay(hands, 499, "c") is None
    assert pay(hands, 1, "d") is not None


def test_what_is_refused_counts_for_nothing(hands: Hands) -> None:
    order = funds_reduction.Lowering("v", "2026", 60_000, "a")
    big = Approvals(threshold_fen=10**9)
    with pytest.raises(Exception, match="cannot be lowered"):
        hands.db.do(lambda c: funds_reduction.lower(c, order, _act(hands, OPERATOR), big))
    assert pay(hands, 1_499, "b") is None


def test_a_charge_is_not_corrected_away_in_small_steps(hands: Hands) -> None:
    [uid] = hands.world.submit("w1", [job()])
    hands.run(uid)
    hands.end(uid, 600)  # 133 fen
    limits = Approvals(threshold_fen=60)

    def correct(gross_fen: int, key: str) -> bool:
        order = charge_orders.Lowering(run_id(uid, 1), gross_fen, Code.GOODWILL, key)
        act = _act(hands, OPERATOR)
        return hands.db.do(
            lambda c: charge_orders.correct(c, order, act, limits, preview=False)
        ).done

    assert correct(100, "a")
    assert not correct(73, "b")
    assert correct(74, "c")
    assert correct(100, "a"), "again"
    hands.verify()


def test_two_parts_at_the_same_time_are_not_both_paid_alone(
    each_store: str, tmp_path: Path
) -> None:
    """By connections of their own, past the writer."""
    world = worlds.build(rules=((RULES[0], 50_000),))
    if world.db.is_sqlite:
        path = tmp_path / "corridor.db"
        world.db._raw.execute(f"VACUUM INTO '{path}'")
        world.db.close()
        database = Database(f"sqlite:///{path}")
    else:
        database = Database(world.db.url)
    act = Act(OPERATOR, "because", worlds.NOW_MS, 0)

    def one(number: int) -> Any:
        payment = Payment("v", "2026", 750, f"r{number}")
        with database.engine.connect() as raw:
            connection: Connection = raw.execution_options(corridor_write=True)
            with connection.begin():
                return appropriations.appropriate(connection, payment, act, LIMITS).request

    with ThreadPoolExecutor(6) as threads:
        asked = list(threads.map(partial(one), range(6)))
    assert sum(request is None for request in asked) == 1
    database.close()
