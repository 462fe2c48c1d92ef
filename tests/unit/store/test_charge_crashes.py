"""The process dies at each commit of a charge's life; whoever goes on charges nothing twice.

Each step is done by a process that dies just before its commit, or just after it with nobody told,
and is then done again by the next one, as it must: it cannot know.
"""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.contract import Phase
from quota.rules import Rule
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import run_id
from scheduler.store import charge_orders, debts, top_ups
from scheduler.store.change_requests import Act
from scheduler.store.charge_orders import Code, Lowering
from scheduler.store.debts import Clawback
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.inline_store import Crash
from tests.simulation.world import OPERATOR, job

Step = Callable[[Hands, int], None]
RULE = Rule("v", 1, "wuhan", 3000, year_cap_fen=1_000)
ALONE = Approvals(threshold_fen=10**9)


def admit(it: Hands, uid: int) -> None:
    if it.job(uid, "state") == "QUEUED":  # else the next leader finds the run in the store
        it.admit(uid)


def start(it: Hands, uid: int) -> None:
    it.send(uid)
    it.report(it.seen(uid, Phase.RUNNING, 1, start_ms=worlds.NOW_MS))


def top_up(it: Hands, uid: int) -> None:
    it.clock.ms = worlds.NOW_MS + 660_000
    it.db.do(lambda c: top_ups.grow(c, it.epoch, top_ups.Terms(60_000, 600), it.clock.ms))


def meter(seconds: int, revision: int) -> Step:
    def report(it: Hands, uid: int) -> None:
        start_ms = worlds.NOW_MS
        it.clock.ms = max(it.clock.ms, start_ms + seconds * 1000)
        it.report(
            it.seen(
                uid, Phase.SUCCEEDED, 2, start_ms=start_ms, end_ms=start_ms + seconds * 1000,
                usage=[it.usage(uid, start_ms, start_ms + seconds * 1000, revision=revision)],
            )
        )  # fmt: skip

    return report


def lower(it: Hands, uid: int) -> None:
    act = Act(OPERATOR, "because", it.clock.ms, it.clock.ms)
    order = Lowering(run_id(uid, 1), 50, Code.GOODWILL, "once")
    it.db.do(lambda c: charge_orders.correct(c, order, act, ALONE, preview=False))


def claw_back(it: Hands, uid: int) -> None:
    act = Act(OPERATOR, "because", it.clock.ms, it.clock.ms)
    order = Clawback(run_id(uid, 1), "v", 5, "once")
    it.db.do(lambda c: debts.claw_back(c, order, act))


STEPS: list[Step] = [
    admit, start, top_up, meter(900, 0), meter(500, 1), meter(700, 2), lower, claw_back,
]  # fmt: skip


def live(dies_in: int | None, when: str = "") -> list[Any]:
    """All steps, one of which a process dies in; returns the books in the end."""
    it = Hands(worlds.build(rules=((RULE, 10_000),)))
    setattr(it.db, "do", _dying(it))  # noqa: B010 - writes as the process does, with its deaths
    [uid] = it.world.submit("w1", [job()], uids=[worlds.NOW_MS])
    for number, step in enumerate(STEPS):
        if number == dies_in:
            it.db.dies = once = _Once(when)
            with pytest.raises(Crash):
                step(it, uid)
            assert once.deaths == 1
        step(it, uid)
        it.verify()
    found = [
        sorted(it.db.rows(f"SELECT * FROM {name}"), key=str)
        for name in ("account", "cap_counter", "hold", "hold_leg", "transfer", "correction")
    ]
    found.append(
        sorted(it.db.rows("SELECT gross_fen, subsidy_fen, self_pay_fen, settled FROM job"), key=str)
    )
    it.db.close()
    return found


def _dying(it: Hands) -> Callable[[Any], Any]:
    """Writes as the process does: with its deaths."""

    def do(call: Any) -> Any:
        return it.db.write_future(call).result()

    return do


class _Once:
    """Dies at the first such point."""

    def __init__(self, when: str) -> None:
        self.when, self.deaths = when, 0

    def __call__(self, point: str) -> bool:
        if point != self.when or self.deaths:
            return False
        self.deaths += 1
        return True


@pytest.fixture(scope="module")
def books() -> list[Any]:
    """What comes of it when nobody dies."""
    return live(None)


def test_the_story_charges_what_it_should(books: list[Any]) -> None:
    assert books[-1] == [(50, 14, 36, 1)]


@pytest.mark.parametrize("when", ["before commit", "after commit"])
@pytest.mark.parametrize("step", range(len(STEPS)))
def test_nothing_is_charged_twice_or_lost(books: list[Any], step: int, when: str) -> None:
    assert live(step, when) == books
