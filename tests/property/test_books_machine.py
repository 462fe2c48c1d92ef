"""All the books beside a model of them, on SQLite and PostgreSQL: same orders, same answers.

Runs of three enterprises are paid by rules of every kind (two funders, vouchers counted on issue,
claims, free hours, a second rule on the rest). They go on beyond their holds, are metered late and
anew, corrected, written off and clawed back, while cities fund, lower, issue, revoke and close, and
months are closed, stated and paid. The model predicts every answer, refusals by their class; after
every step every balance, hold, cap and charge is the model's, and the ledger verifies from its
first entry (I1 to I10, I14, I15).
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from hypothesis import Phase as Part
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapters.contract import FailureClass, Phase
from scheduler.domain.ids import run_id
from scheduler.store import (
    charge_orders,
    debts,
    enterprises_blocked,
    fund_upkeep,
    top_ups,
)
from scheduler.store.charge_orders import Code
from tests.property.books_facts import Run
from tests.property.books_machine import (
    ALONE,
    DAY_MS,
    HOUR_MS,
    KEYS,
    MONEY,
    OWNED,
    START_MS,
    WHO,
    Orders,
)
from tests.simulation.world import CPU, NPU, job

RUNS = st.tuples(
    WHO,
    st.sampled_from([NPU, NPU, CPU]),
    st.integers(1, 3),
    st.sampled_from([60, 333, 1_800, 7_200]),
    st.sampled_from(["PREFERRED", "PREFERRED", "PREFERRED", "NONE"]),
)


class Books(Orders):
    """Orders of people, moves of the leader and of centers, and time."""

    # --- runs -------------------------------------------------------------------------------------

    @rule(runs=st.lists(RUNS, min_size=1, max_size=3))
    def admit(self, runs: list[tuple[str, str, int, int, str]]) -> None:
        """Runs are admitted, or not, as the model says, and held for what it says."""
        uids = [
            self.it.world.submit(who, [job(flavor, units, limit_s, subsidy=subsidy)])[0]
            for who, flavor, units, limit_s, subsidy in runs
        ]
        result = self.it.admit(*uids)
        expected = {uid: self.model.admit(uid, *one) for uid, one in zip(uids, runs, strict=True)}
        held = {
            uid: (one.gross, one.subsidy, one.gross - one.subsidy)
            for uid, one in expected.items()
            if not isinstance(one, str)
        }
        assert {
            one.uid: (one.gross_fen, one.subsidy_fen, one.self_pay_fen) for one in result.admitted
        } == held
        refused = sorted(one for one in expected.values() if isinstance(one, str))
        assert sorted(str(code) for _, _, code in result.refused) == refused
        if held:
            self.it.send(*held)
            now_ms = self.it.clock.ms
            self.it.report(*(self.it.seen(uid, Phase.RUNNING, 1, start_ms=now_ms) for uid in held))

    @precondition(lambda self: self.it.clock.ms % DAY_MS < 12 * HOUR_MS)
    @rule(minutes=st.sampled_from([5, 130]), more_s=st.sampled_from([60, 900]))
    def go_on(self, minutes: int, more_s: int) -> None:
        """T6: what runs beyond its hold is topped up, if somebody pays."""
        self.it.clock.ms += minutes * 60_000
        self.model.now_ms = now_ms = self.it.clock.ms
        grown = self.it.db.do(
            lambda c: top_ups.grow(c, self.it.epoch, top_ups.Terms(60_000, more_s), now_ms)
        )
        topped, unpaid = self.model.grow(60, more_s)
        assert ([uid for uid, _ in grown.topped], [uid for uid, _ in grown.unpaid]) == (
            topped, unpaid,
        )  # fmt: skip

    @precondition(lambda self: self.has("RUNNING"))
    @rule(number=st.integers(0), seconds=st.integers(0, 9_000), billed=st.booleans(),
          metered=st.booleans())  # fmt: skip
    def end(self, number: int, seconds: int, billed: bool, metered: bool) -> None:
        """A run ends, well or not, metered now or later, within its hold or beyond."""
        self._end(self.some(number, "RUNNING"), seconds, billed=billed, metered=metered)

    @rule(days=st.sampled_from([0, 1, 9, 30]))
    def wait(self, days: int) -> None:
        """Another day, at noon: what ran has ended, vouchers end, funds close."""
        self.end_all()
        clock = self.it.clock
        if days:
            clock.ms += days * DAY_MS - (clock.ms - START_MS) % DAY_MS
        self.model.now_ms = now_ms = clock.ms
        while self.it.db.read_sync(lambda c: fund_upkeep.is_due(c, now_ms)):
            self.it.db.do(lambda c: fund_upkeep.step(c, self.it.epoch, now_ms, now_ms))
        self.model.keep()

    def end_all(self) -> None:
        """All that runs ends at its limit."""
        for one in [one for one in self.model.runs.values() if one.state == "RUNNING"]:
            self._end(one, one.limit_s, billed=True, metered=one.units > 1)

    def _end(self, one: Run, seconds: int, *, billed: bool, metered: bool) -> None:
        one.seconds, one.billed = seconds, billed
        one.end_ms = one.start_ms + seconds * 1000
        self.it.report(
            self.it.seen(
                one.uid, Phase.SUCCEEDED if billed else Phase.FAILED, 2, start_ms=one.start_ms,
                end_ms=one.end_ms, failure=None if billed else FailureClass.NODE,
                usage=[self._usage(one, seconds)] if metered else None,
            )
        )  # fmt: skip
        if metered or not billed:
            self.model.settle(one, seconds if billed else 0)
        else:
            one.state = "ENDED"

    @rule(
        runs=st.lists(
            st.tuples(RUNS, st.sampled_from([0.3, 0.9, 1.0, 1.4, 2.5]), st.integers(0, 5)),
            min_size=1, max_size=4,
        )
    )  # fmt: skip
    def work(self, runs: list[tuple[tuple[str, str, int, int, str], float, int]]) -> None:
        """Runs begin, and end: within their holds or beyond, one of six for no fault of theirs."""
        before = set(self.model.runs)
        self.admit([one for one, _, _ in runs])
        began = [uid for uid in sorted(self.model.runs) if uid not in before]
        for uid, (_, share, fate) in zip(began, runs, strict=False):
            one = self.model.runs[uid]
            self._end(one, int(one.limit_s * share), billed=fate > 0, metered=fate > 1)
            if fate == 2:
                self.meter_again(0, int(one.limit_s * share) + 60, True, one)

    def _usage(self, one: Run, seconds: int, revision: int = 0) -> Any:
        return self.it.usage(
            one.uid, one.start_ms, one.start_ms + seconds * 1000, units=one.units,
            revision=revision,
        )  # fmt: skip

    @precondition(lambda self: self.has("ENDED"))
    @rule(number=st.integers(0))
    def meter(self, number: int) -> None:
        """The use of a run that ended before becomes known."""
        one = self.some(number, "ENDED")
        self.it.report(
            self.it.seen(one.uid, Phase.SUCCEEDED, 2, usage=[self._usage(one, one.seconds)])
        )
        self.model.settle(one, one.seconds)

    @precondition(lambda self: self.has("SETTLED"))
    @rule(number=st.integers(0), seconds=st.integers(0, 9_000), again=st.booleans())
    def meter_again(self, number: int, seconds: int, again: bool, which: Run | None = None) -> None:
        """A center states other use of a settled run (T9), and now and then says it twice."""
        one = which or self.some(number, "SETTLED")
        self.count += 1
        usage = self._usage(one, seconds, self.count)
        report = self.it.seen(one.uid, Phase.SUCCEEDED, 2, usage=[usage])
        self.it.report(report)
        self.model.meter_again(one, seconds)
        if again:
            before = self.entries()
            self.it.report(report)
            assert self.entries() == before

    # --- charges ----------------------------------------------------------------------------------

    @precondition(lambda self: self.has("SETTLED"))
    @rule(number=st.integers(0), permille=st.integers(0, 1_000), key=KEYS)
    def correct(self, number: int, permille: int, key: str) -> None:
        """Somebody lowers a charge, or tries to raise it."""
        one = self.some(number, "SETTLED")
        gross = one.gross * permille // 1_000
        run = run_id(one.uid, 1)
        order = charge_orders.Lowering(run, gross, Code.GOODWILL, key)
        made = self.once(
            f"correct {run} {key}", gross, lambda: self.model.correct(one, gross),
            lambda c: charge_orders.correct(c, order, self.act(), ALONE, preview=False),
        )  # fmt: skip
        if made is not None:
            assert (made.after.gross_fen, made.after.subsidy_fen) == (gross, one.subsidy)

    @precondition(lambda self: self.has("SETTLED"))
    @rule(number=st.integers(0), fen=st.integers(0, 150), key=KEYS)
    def write_off(self, number: int, fen: int, key: str) -> None:
        """A debt is given up."""
        owing = [one for one in self.model.runs.values() if one.debt + sum(one.clawed.values())]
        one = owing[number % len(owing)] if owing else self.some(number, "SETTLED")
        fen %= sum(self.model.owed(one).values()) + 3
        run = run_id(one.uid, 1)
        order = debts.WriteOff(run, fen, key)
        self.once(
            f"write off {run} {key}", fen, lambda: self.model.write_off(one, fen),
            lambda c: debts.write_off(c, order, self.act(), ALONE),
        )  # fmt: skip

    @precondition(lambda self: self.has("SETTLED"))
    @rule(
        number=st.integers(0), programme=st.sampled_from(MONEY), fen=st.integers(0, 150), key=KEYS
    )
    def claw_back(self, number: int, programme: str, fen: int, key: str) -> None:
        """A subsidy is taken back."""
        given = [one for one in self.model.runs.values() if one.subsidy]
        one = given[number % len(given)] if given else self.some(number, "SETTLED")
        if fen % 2 and one.lines:
            programme = one.lines[-1].programme
        fen %= one.subsidy + 3
        run = run_id(one.uid, 1)
        order = debts.Clawback(run, programme, fen, key)
        self.once(
            f"claw back {run} {programme} {key}", fen,
            lambda: self.model.claw_back(one, programme, fen),
            lambda c: debts.claw_back(c, order, self.act()),
        )  # fmt: skip

    @precondition(lambda self: self.model.blocked)
    @rule()
    def forgive(self) -> None:
        """Who was blocked may go on."""
        for who in sorted(self.model.blocked):
            self._unblock(who)
        self.model.blocked.clear()

    def _unblock(self, who: str) -> None:
        self.it.db.do(lambda c: enterprises_blocked.block(c, who, False, self.act()))

    # --- what must hold ---------------------------------------------------------------------------

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        """I2 and I3: posted and pending of every account; what is limited is never overdrawn."""
        rows = self.it.db.rows(
            "SELECT account_id, credits_posted - debits_posted, debits_pending, limited,"
            " credit_limit_fen FROM account"
        )
        found = {name: int(net) for name, net, *_ in rows if net}
        assert found == {name: net for name, net in self.model.net.items() if net}
        held = {name: int(fen) for name, _, fen, *_ in rows if fen}
        assert held == {name: fen for name, fen in self.model.pending.items() if fen}
        assert all(net + credit >= fen for _, net, fen, limited, credit in rows if limited)

    @invariant()
    def caps_are_those_of_the_model(self) -> None:
        """I5."""
        found = {
            (programme, who, year): [int(pending), int(posted)]
            for programme, who, year, pending, posted in self.it.db.rows(
                "SELECT programme, enterprise, year, pending_fen, posted_fen FROM cap_counter"
            )
            if pending or posted
        }
        assert found == {key: sums for key, sums in self.model.caps.items() if any(sums)}

    @invariant()
    def runs_are_charged_as_in_the_model(self) -> None:
        """I7: gross is what programmes give and the enterprise pays or owes."""
        found = {
            uid: (int(gross), int(subsidy), int(own))
            for uid, gross, subsidy, own in self.it.db.rows(
                "SELECT uid, gross_fen, subsidy_fen, self_pay_fen FROM job WHERE gross_fen <> 0"
            )
        }
        for one in self.model.runs.values():
            claimed = sum(
                line.amount for line in one.lines if self.model.due(one, line)[:5] == "claim"
            )
            assert one.gross == one.subsidy - claimed + one.wallet + one.debt
        assert found == {
            one.uid: (one.gross, one.subsidy, one.gross - one.subsidy)
            for one in self.model.runs.values()
            if one.gross
        }

    @invariant()
    def the_ledger_verifies(self) -> None:
        """I1, I4, I9, I10, I14 and I15."""
        self.it.verify()

    def teardown(self) -> None:
        self.it.db.close()


def tell(examples: int, steps: int, *, shrunk: bool = True) -> None:
    """Tell stories; without shrinking where each try would take a database of its own."""
    phases = tuple(Part) if shrunk else (Part.explicit, Part.generate)
    run_state_machine_as_test(
        Books, settings=settings(max_examples=examples, stateful_step_count=steps, phases=phases)
    )


def test_the_books_are_those_of_the_model(each_store: str) -> None:
    tell(*((40, 40) if each_store == "sqlite" else (12, 30)), shrunk=each_store == "sqlite")


@pytest.mark.slow
def test_the_books_are_those_of_the_model_in_many_stories(each_store: str) -> None:
    tell(*((600, 60) if each_store == "sqlite" else (100, 50)), shrunk=each_store == "sqlite")


def old_year(it: Books) -> Iterator[object]:
    """Of the first month, until it is closed."""
    yield it.admit([("w2", NPU, 1, 900, "NONE"), ("w2", NPU, 1, 900, "NONE")])
    yield it.work(
        [
            (("w1", NPU, 1, 1_800, "PREFERRED"), 0.9, 2),
            (("w2", NPU, 1, 333, "NONE"), 2.5, 5),
            (("e1", CPU, 3, 7_200, "PREFERRED"), 1.4, 4),
        ]
    )
    yield it.admit([("w1", NPU, 1, 600, "PREFERRED"), ("e1", NPU, 2, 600, "PREFERRED")])
    yield it.lower("v", 0, "2026", 300, True, "a")
    yield it.go_on(130, 900)
    yield it.lower("n", 0, "2026", 400, True, "a")
    yield it.set_credit("w2", 0)
    yield it.pay_in("w2", 50, "a")
    yield it.end(0, 9_000, True, False)
    yield it.revoke(0)
    yield it.wait(9)
    yield it.correct(0, 500, "a")
    yield it.correct(0, 500, "a")
    yield it.meter_again(0, 50, True)
    yield it.claw_back(1, "shared", 11, "a")
    yield it.write_off(1, 3, "a")
    yield it.write_off(0, 40, "c")
    yield it.issue("w1", 10, 5, "b")
    yield it.forgive()
    yield it.wait(30)
    yield it.close_month(1)
    yield it.decide()
    yield it.meter(0) if it.has("ENDED") else None
    yield it.close_month(1)


def new_year(it: Books) -> Iterator[object]:
    """Of what follows: funds closed and opened, months stated and paid."""
    for programme in ("hours", "v", "n", "r", "shared"):
        yield it.close(programme, "2026")
        yield it.open_fund(programme, "2027")
        yield it.appropriate(programme, 0, "2027", 300, "a") if programme != "hours" else None
    for owner in OWNED:
        yield it.state_month(owner, 1, ("ISSUED", "PAID"))
    yield it.work(
        [
            (("w1", NPU, 1, 600, "PREFERRED"), 1.0, 2),
            (("e1", NPU, 1, 600, "PREFERRED"), 2.5, 3),
        ]
    )
    for number in range(4):
        yield it.meter_again(number, 777, False)
        yield it.claw_back(number, "r", 21, "b")
    yield it.wait(30)
    yield it.decide() if it.model.differences else None
    yield it.close_month(1)
    for owner in OWNED:
        yield it.state_month(owner, 1, ("ISSUED", "DISPUTED"))
        yield it.state_month(owner, 1, ("ISSUED", "PAID"))
    yield it.wait(30)
    while it.has("ENDED"):
        yield it.meter(0)
    yield it.wait(30)


def test_a_winter_of_all_orders_is_that_of_the_model(each_store: str) -> None:
    """One story that surely comes to all of it, to statements paid and funds closed."""
    it = Books()
    it.found()

    for _ in chain(old_year(it), new_year(it)):
        it.balances_are_those_of_the_model()
        it.caps_are_those_of_the_model()
        it.runs_are_charged_as_in_the_model()
        it.nobody_pays_what_was_written_off()
        it.the_ledger_verifies()
    states = {fund.state for (_, year), fund in it.model.funds.items() if year == "2026"}
    assert states == {"CLOSED"}
    assert set(it.model.statements.values()) == {"PAID"}
    codes = {code for (code,) in it.it.db.rows("SELECT DISTINCT code FROM transfer")}
    assert codes >= {
        "APPROPRIATE", "LOWER", "HOLD", "TOP_UP", "SETTLE", "OVERRUN", "CORRECT", "WRITE_OFF",
        "CLAWBACK", "ISSUE", "EXPIRE", "REVOKE", "LAPSE", "PAY", "REDEEM", "WALLET_TOP_UP", "GRANT",
    }  # fmt: skip
    used = it.it.db.rows("SELECT credit_account FROM transfer WHERE idem_key LIKE 'off:%'")
    assert {account.partition(":")[0] for (account,) in used} == {"forgone", "write_off"}
    it.teardown()
