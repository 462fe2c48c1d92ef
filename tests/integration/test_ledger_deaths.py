"""The process dies at every commit on the way of money, and what follows finds the books in order.

A story is told once without a death to count its commits; then it is told once for each commit,
dying just before or just after it. Each step is done again by the next life, as the leader and
people do who got no answer. In the end the books are those of the story without a death, entry for
entry of what was moved, and they verify after each death.
"""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.contract import Phase
from quota.calendar import period_bounds
from quota.rules import Rule
from scheduler.domain.approving import Approvals
from scheduler.domain.ids import run_id
from scheduler.store import (
    book_months,
    charge_orders,
    debts,
    fund_closing,
    fund_upkeep,
    ingest,
    leader,
    vouchers,
)
from scheduler.store.change_requests import Act
from scheduler.store.charge_orders import Code
from scheduler.store.vouchers import Issue, NewVoucher
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.inline_store import Crash
from tests.simulation.world import OPERATOR, job

DAY_MS = 86_400_000
START_MS = period_bounds("2026-12")[0] + 25 * DAY_MS
RULES = (
    (Rule("n", 1, "wuhan", 5_000, issue="VOUCHER", validity_months=2, cap_on="ISSUE",
          year_cap_fen=500), 1_000),
    (Rule("shared", 1, "corridor", 2_000, priority=9, base="REMAINING"), 1_000),
)  # fmt: skip
ALONE = Approvals(threshold_fen=10**9)


class Story:
    """The life of some money, from a voucher to the closed period; dies once at most."""

    def __init__(self, point: str, number: int) -> None:
        self.it = Hands(worlds.build(START_MS, RULES, {"w1": 130}))
        self._point, self._left, self.deaths = point, number, 0
        self.it.db.dies = self._dies
        self.uids = self.it.world.submit("w1", [job(), job(), job(wall_s=60)])

    def _dies(self, point: str) -> bool:
        if point != self._point:
            return False
        self._left -= 1
        return self._left == 0

    def step(self, call: Callable[[Any], Any]) -> None:
        """Do something durable; if the process dies, the next one looks, and does it again."""
        try:
            self.it.db.write_future(call).result()
        except Crash:
            self.deaths += 1
            self.it.verify()
            self.it.epoch = self.it.db.do(lambda c: leader.take_over(c, "next", 0))
            self.it.db.write_future(call).result()

    def act(self) -> Act:
        """Something that an operator does."""
        return Act(OPERATOR, "why", self.it.clock.ms, self.it.clock.ms)

    def tell(self) -> list[Any]:
        """Tell it all; returns what became of the money."""
        it, (first, second, third) = self.it, self.uids
        it.db.do(lambda c: book_months.begin_due(c, START_MS))
        new = NewVoucher("w1", 300, "N", valid_to_ms=START_MS + DAY_MS)
        order = Issue("n", "2026", (new,), "issue")
        self.step(lambda c: vouchers.issue(c, order, self.act()))
        for uid in self.uids:
            it.run(uid)
        self._metered(first, 300)
        self._metered(third, 900)  # far beyond its hold: a debt
        self._metered(first, 200, revision=1)
        lowering = charge_orders.Lowering(run_id(first, 1), 30, Code.GOODWILL, "lower")
        self.step(lambda c: charge_orders.correct(c, lowering, self.act(), ALONE, preview=False))
        off = debts.WriteOff(run_id(third, 1), 5, "off")
        self.step(lambda c: debts.write_off(c, off, self.act(), ALONE))
        it.clock.ms += 2 * DAY_MS
        self._keep()  # the voucher ends, but for what is held of it
        it.clock.ms = period_bounds("2027")[0] + DAY_MS
        self.step(lambda c: fund_closing.close(c, "n", "2026", self.act()))
        self.step(lambda c: fund_closing.close(c, "shared", "2026", self.act()))
        self._metered(second, 400)  # the last hold that kept them open
        self._keep()
        self.step(lambda c: book_months.close(c, "2026-12", self.act()))
        back = debts.Clawback(run_id(second, 1), "n", 10, "back")
        self.step(lambda c: debts.claw_back(c, back, self.act()))
        it.verify()
        return [it.db.rows(sql) for sql in _LEFT]

    def _metered(self, uid: int, seconds: int, revision: int = 0) -> None:
        """What a center says of a run's use, said again to whoever did not keep it."""
        usage = self.it.usage(uid, START_MS, START_MS + seconds * 1000, revision=revision)
        report = self.it.seen(
            uid, Phase.SUCCEEDED, 2, start_ms=START_MS, end_ms=START_MS + seconds * 1000,
            usage=[usage],
        )  # fmt: skip
        self.step(lambda c: _ingest(c, self.it, [report]))

    def _keep(self) -> None:
        now_ms = self.it.clock.ms
        while self.it.db.read_sync(lambda c: fund_upkeep.is_due(c, now_ms)):
            self.step(lambda c: fund_upkeep.step(c, self.it.epoch, now_ms, now_ms))


def _ingest(connection: Any, it: Hands, reports: list[Any]) -> Any:
    return ingest.ingest(connection, it.epoch, reports, it.clock.ms, lambda: 0.0)


_LEFT = (
    "SELECT account_id, debits_pending, debits_posted, credits_pending, credits_posted"
    " FROM account ORDER BY account_id",
    "SELECT shard, seq, kind, code, debit_account, credit_account, amount_fen FROM transfer"
    " ORDER BY shard, seq",
    "SELECT programme, enterprise, year, pending_fen, posted_fen FROM cap_counter ORDER BY 1, 2, 3",
    "SELECT uid, gross_fen, subsidy_fen, self_pay_fen FROM job ORDER BY uid",
    "SELECT voucher_no, state, returned_fen FROM voucher",
    "SELECT programme, period, state FROM fund_period ORDER BY 1, 2",
    "SELECT month, state FROM book_month ORDER BY 1",
)


@pytest.mark.parametrize("point", ["before commit", "after commit"])
def test_at_every_commit_a_death_costs_no_fen(each_store: str, point: str) -> None:
    plain = Story(point, 0)
    expected = plain.tell()
    codes = {row[3] for row in expected[1]}
    assert codes >= {"SETTLE", "OVERRUN", "CORRECT", "WRITE_OFF", "EXPIRE", "LAPSE", "CLAWBACK"}
    plain.it.db.close()
    step = 1 if each_store == "sqlite" else 4  # the commits are the same
    number, died = 1, True
    while died:
        story = Story(point, number)
        assert story.tell() == expected, number
        died = story.deaths > 0
        number += step
        story.it.db.close()
    assert number > 12, "so many commits the story has at least"
