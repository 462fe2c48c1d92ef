"""A fund and its vouchers beside a small model: the same orders, the same answers and balances.

Orders are those of city admins, of runs and of time; after every step each balance is the
model's, the ledger's entries give the balances (I1 to I4, I9, I10), caps that count on issue are
what was issued (I5), and what is closed takes nothing (I14).
"""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from quota.audit import Auditor, Balance
from quota.calendar import period_bounds
from quota.rules import Rule
from quota.transfers import fund_account, voucher_account
from scheduler.errors import CorridorError, QuotaExceeded, WrongState
from scheduler.store import (
    book_months,
    fund_closing,
    fund_upkeep,
    leader,
    transfers,
    verification_funds,
)
from scheduler.store.vouchers import NewVoucher
from tests.property.fund_model import PlainFund
from tests.unit.store.money_hands import MoneyHands

FUND, FACES, CAP = fund_account("f", "2026"), st.integers(1, 900), 2_000
START_MS, DAY_MS = period_bounds("2026-12")[0], 86_400_000
FENS = st.integers(1, 1_500)


class Funds(RuleBasedStateMachine):
    """Moves of city admins, of runs and of time."""

    def __init__(self) -> None:
        super().__init__()
        issues = Rule(
            "f", 1, "wuhan", 5000, issue="VOUCHER", validity_months=3, cap_on="ISSUE",
            year_cap_fen=CAP,
        )  # fmt: skip
        pool = Rule("pool", 1, "ezhou", 5000)
        self.it = MoneyHands(((issues, 3_000), (pool, 0)), now_ms=START_MS)
        self.it.db.do(lambda c: book_months.begin_due(c, START_MS))
        self.model = PlainFund(3_000, period_bounds("2026")[1], CAP, now_ms=START_MS)
        self.epoch = self.it.db.do(lambda c: leader.take_over(c, "test", 0))
        self.count = 0

    def _same(self, fits: bool, refusals: tuple[type[CorridorError], ...], call: Any) -> None:
        """The store does what the model does, or refuses what the model refuses."""
        if fits:
            call()
        else:
            before = self.it.codes()
            with pytest.raises(refusals):
                call()
            assert self.it.codes() == before

    def _key(self) -> str:
        self.count += 1
        return f"key-{self.count}"

    @rule(fen=FENS)
    def appropriate(self, fen: int) -> None:
        """The city puts money in."""
        fits = self.model.add(fen)
        self._same(fits, (WrongState,), lambda: self.it.pay("f", fen, self._key()))

    @rule(fen=FENS, pending=st.booleans())
    def lower(self, fen: int, pending: bool) -> None:
        """The city takes money out, now or as it comes free."""
        fits = self.model.lower(fen, pending=pending)
        call: Any = lambda: self.it.lower("f", fen, self._key(), pending=pending)  # noqa: E731
        self._same(fits, (WrongState,), call)

    @rule(face=FACES, days=st.none() | st.integers(1, 40))
    def issue(self, face: int, days: int | None) -> None:
        """The city issues a voucher, for some days or as long as the rule allows."""
        self.count += 1
        number = f"n{self.count}"
        end_ms = None if days is None else self.it.clock.ms + days * DAY_MS
        new = NewVoucher("w1", face, number, valid_to_ms=end_ms)
        if self.it.clock.ms >= self.model.end_ms:
            with pytest.raises(CorridorError):  # its validity would begin after the period
                self.it.issue(new, programme="f", key=number)
            return
        # The cap is that of a natural year, and within it all that was issued counts.
        fits = self.model.issue(number, face, end_ms or 0)
        call: Any = lambda: self.it.issue(new, programme="f", key=number)  # noqa: E731
        self._same(fits, (WrongState, QuotaExceeded), call)
        if fits:
            self.model.vouchers[number].end_ms = self.it.voucher(number).end_ms

    def _some(self, number: int, among: Any) -> str:
        names = sorted(among)
        return str(names[number % len(names)])

    @rule(number=st.integers(0), fen=FENS)
    def hold(self, number: int, fen: int) -> None:
        """A run holds what it can get of the fund or a voucher."""
        voucher = self._some(number, ["", *self.model.vouchers])
        fen = min(fen, self.model.available(voucher))
        if fen:
            account = voucher_account(voucher) if voucher else FUND
            self.model.hold(self.it.hold(account, fen, FUND), voucher, fen)

    @precondition(lambda self: self.model.legs)
    @rule(number=st.integers(0), part=st.integers(0, 4))
    def settle(self, number: int, part: int) -> None:
        """A run ends, and used a part of what it held."""
        leg = self._some(number, self.model.legs)
        voucher, held = self.model.legs[leg]
        posted = held * part // 4
        account = voucher_account(voucher) if voucher else FUND
        self.it.settle(account, leg, held, posted, FUND)
        self.model.settle(leg, posted)

    @precondition(lambda self: any(fen for _, fen in self.model.posted.values()))
    @rule(number=st.integers(0), part=st.integers(1, 4))
    def correct(self, number: int, part: int) -> None:
        """A charge is lowered after it was settled; of a closed fund others look after it."""
        leg = self._some(number, [key for key, (_, fen) in self.model.posted.items() if fen])
        voucher, posted = self.model.posted[leg]
        fen = -(-posted * part // 4)
        if voucher or self.model.state != "CLOSED":
            self.it.correct(voucher_account(voucher) if voucher else FUND, fen, shard=FUND)
            self.model.correct(leg, fen)

    @precondition(lambda self: self.model.vouchers)
    @rule(number=st.integers(0))
    def revoke(self, number: int) -> None:
        """The city ends a voucher."""
        name = self._some(number, self.model.vouchers)
        state = self.it.voucher(name).state
        if state == "ISSUED":
            self.it.revoke(name)
            self.model.revoke(name)
        elif state != "REVOKED":
            with pytest.raises(WrongState):
                self.it.revoke(name)

    @rule(days=st.integers(0, 30))
    def wait(self, days: int) -> None:
        """Time goes on, and the service keeps the books."""
        self.it.clock.ms += days * DAY_MS
        self.model.now_ms = now_ms = self.it.clock.ms
        while self.it.db.read_sync(lambda c: fund_upkeep.is_due(c, now_ms)):
            self.it.db.do(lambda c: fund_upkeep.step(c, self.epoch, now_ms, now_ms))
        self.model.keep()

    @rule()
    def close(self) -> None:
        """The city closes the fund."""
        fits = self.model.close()
        call: Any = lambda: self.it.db.do(  # noqa: E731
            lambda c: fund_closing.close(c, "f", "2026", self.it.act())
        )
        self._same(fits, (WrongState,), call)
        # At once if nothing keeps it open; else when its time comes.
        if self.it.fund("f").state == "CLOSED":
            self.model.keep()

    @rule()
    def close_months(self) -> None:
        """All months that are over are closed; nothing is booked there any more."""
        now_ms = self.it.clock.ms
        self.it.db.do(lambda c: book_months.begin_due(c, now_ms))
        for month in reversed(self.it.db.read_sync(book_months.list_months)):
            if month.state == "CLOSING":
                self._close_month(month.month)
                self.it.clock.ms = month.end_ms - 1
                with pytest.raises(IntegrityError):
                    self.it.pay("pool", 1, self._key())
                self.it.clock.ms = now_ms

    def _close_month(self, month: str) -> None:
        self.it.db.do(lambda c: book_months.close(c, month, self.it.act()))

    @invariant()
    def the_fund_is_that_of_the_model(self) -> None:
        """I2 and I3 of the fund, and where its money is."""
        fund, model = self.it.fund("f"), self.model
        used = sum(one.used for one in model.vouchers.values())
        held = sum(one.held for one in model.vouchers.values())
        assert (fund.state, fund.appropriated_fen, fund.available_fen) == (
            model.state, model.put_in, model.free,
        )  # fmt: skip
        assert (fund.held_fen, fund.posted_fen) == (model.held + held, model.spent + used)
        assert fund.vouchers_fen == sum(one.left for one in model.vouchers.values())
        assert (fund.lapsed_fen, fund.reducing_fen) == (model.lapsed, sum(model.reducing))

    @invariant()
    def vouchers_are_those_of_the_model(self) -> None:
        """I2 and I3 of vouchers; what an enterprise sees."""
        for number, one in self.model.vouchers.items():
            found = self.it.voucher(number)
            assert (found.left_fen, found.held_fen, found.used_fen, found.returned_fen) == (
                one.left, one.held, one.used, one.returned,
            )  # fmt: skip
            assert found.end_ms == one.end_ms

    @invariant()
    def caps_are_those_of_the_model(self) -> None:
        """I5: what was issued counts until it comes back."""
        counted = self.it.db.rows("SELECT coalesce(sum(pending_fen), 0) FROM cap_counter")
        assert counted == [(self.model.counted(),)]

    @invariant()
    def the_entries_give_the_balances(self) -> None:
        """I1, I4, I9, I10 and I14."""
        auditor = Auditor()
        for link in self.it.db.read_sync(lambda c: list(transfers.stream(c))):
            auditor.take(link)
        rows = self.it.db.rows(
            "SELECT account_id, debits_pending, debits_posted, credits_pending, credits_posted"
            " FROM account"
        )
        heads = self.it.db.read_sync(transfers.read_heads)
        legs = {leg: fen for leg, (_, fen) in self.model.legs.items()}
        auditor.compare({row[0]: Balance(*row[1:]) for row in rows}, heads, legs)
        assert auditor.problems == []
        assert self.it.db.read_sync(_problems) == []

    def teardown(self) -> None:
        self.it.db.close()


def _problems(c: Connection) -> list[str]:
    checks = (
        verification_funds.decisions,
        verification_funds.closed_funds,
        verification_funds.closed_months,
    )
    return [problem for check in checks for problem in check(c)]


def test_a_fund_is_that_of_the_model() -> None:
    run_state_machine_as_test(Funds, settings=settings(max_examples=20, stateful_step_count=25))


@pytest.mark.slow
def test_a_fund_is_that_of_the_model_in_many_stories() -> None:
    run_state_machine_as_test(Funds, settings=settings(max_examples=200, stateful_step_count=40))
