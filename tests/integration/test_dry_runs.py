"""Dry runs over real books: the terms of today give what was booked, others what they would."""

from dataclasses import replace

import pytest

from adapters.contract import FailureClass, Phase
from quota.dry_run import Played, Terms, play
from quota.rules import Rule
from scheduler.store import dry_runs
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, job

VOUCHER = Rule("v", 1, "wuhan", 3_000, year_cap_fen=60)
SHARED = Rule("shared", 1, "corridor", 2_000, priority=1, base="REMAINING")


@pytest.fixture
def hands(each_store: str) -> Hands:
    """Runs of two cities, one failed by its node and run again, one above a cap."""
    it = Hands(worlds.build(rules=((VOUCHER, 10_000), (SHARED, 300))))
    for enterprise, flavor, seconds in (
        ("w1", NPU, 700), ("w1", CPU, 900), ("e1", NPU, 500), ("w1", NPU, 800), ("w2", NPU, 60),
    ):  # fmt: skip
        (uid,) = it.world.submit(enterprise, [job(flavor)])
        it.run(uid)
        it.end(uid, seconds)
    (uid,) = it.world.submit("w1", [job(NPU)])
    it.run(uid)
    it.end(uid, 100, Phase.FAILED, FailureClass.NODE)
    it.verify()
    return it


def load(hands: Hands, city: str = "") -> dry_runs.Past:
    return hands.db.do(
        lambda c: dry_runs.load(
            c, city=city, from_ms=worlds.NOW_MS - 1, now_ms=hands.clock.ms + 1, rules=()
        )
    )


def booked(hands: Hands, where: str = "1 = 1") -> dict[str, int]:
    rows = hands.db.rows(
        "SELECT s.programme, sum(s.amount_fen) FROM subsidy_line s JOIN job j ON j.uid = s.job_uid"
        f" WHERE {where} GROUP BY s.programme"
    )
    return {programme: int(fen) for programme, fen in rows if fen}


def given(played: Played) -> dict[str, int]:
    return dict(+played.given)


def test_the_terms_of_today_give_what_was_booked(hands: Hands) -> None:
    past = load(hands)
    found = play(past.runs, Terms(past.rules), past.purse)
    assert given(found) == booked(hands) == dict(+past.booked)
    assert found.given_to["w1"] > 0
    assert ("v", "YEAR_CAP") in found.bindings
    (gross,) = hands.db.rows("SELECT sum(gross_fen) FROM job")[0]
    assert found.gross_fen == int(gross)
    assert len(past.runs) == 5  # what its node broke is billed to nobody


def test_a_city_plays_its_own_runs(hands: Hands) -> None:
    past = load(hands, "wuhan")
    assert {run.enterprise for run in past.runs} == {"w1", "w2"}
    found = play(past.runs, Terms(past.rules), past.purse)
    assert given(found) == booked(hands, "j.city = 'wuhan'")


def test_a_proposal_is_charged_like_the_real_thing(hands: Hands) -> None:
    past = load(hands)
    without_cap = replace(VOUCHER, version=2, year_cap_fen=None)
    others = [rule for rule in past.rules if rule.programme != "v"]
    found = play(past.runs, Terms((*others, without_cap)), past.purse)
    fresh = Hands(worlds.build(rules=((without_cap, 10_000), (SHARED, 300))))
    for enterprise, flavor, seconds in (
        ("w1", NPU, 700), ("w1", CPU, 900), ("e1", NPU, 500), ("w1", NPU, 800), ("w2", NPU, 60),
    ):  # fmt: skip
        (uid,) = fresh.world.submit(enterprise, [job(flavor)])
        fresh.run(uid)
        fresh.end(uid, seconds)
    assert given(found) == booked(fresh)


def test_a_dry_run_changes_nothing(hands: Hands) -> None:
    before = hands.db.rows("SELECT account_id, debits_posted, credits_posted FROM account")
    past = load(hands)
    play(past.runs, Terms(()), past.purse)
    assert hands.db.rows("SELECT account_id, debits_posted, credits_posted FROM account") == before
