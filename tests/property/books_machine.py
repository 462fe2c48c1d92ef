"""Orders of people on all the books: each is given to the store and to the model of them."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from quota.calendar import period_bounds
from scheduler.domain.approving import Approvals
from scheduler.domain.principal import EVERYTHING
from scheduler.errors import CorridorError, RequestIdReused
from scheduler.services import statements
from scheduler.services.statements import Wanted
from scheduler.store import (
    book_months,
    differences,
    fund_closing,
    fund_openings,
    funds,
    funds_reduction,
    grants,
    vouchers,
    wallets,
)
from scheduler.store.change_requests import Act
from scheduler.store.vouchers import NewVoucher
from tests.property.books_facts import CREDIT, FIRST, RULE, RULES, Run, bearer
from tests.property.books_orders import Ordered, month_of
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR
from tests.unit.store.statement_hands import context_of
from tests.unit.store.statement_hands import run as awaited

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
START_MS = period_bounds("2026-12")[0] + 4 * DAY_MS + 12 * HOUR_MS
ALONE = Approvals(threshold_fen=10**12)
MONEY = ("v", "n", "r", "shared")
FUNDERS = {"v": ("wuhan", "hubei"), "n": ("wuhan",), "r": ("ezhou",), "shared": ("corridor",)}
WHO, FENS = st.sampled_from([*CREDIT]), st.integers(1, 400)
YEARS, KEYS = st.sampled_from(["2026", "2026", "2027"]), st.sampled_from("ab")
OWNED = [
    ("CITY", "wuhan"), ("CITY", "ezhou"), ("CITY", "corridor"), ("CENTER", "ai"),
    ("CENTER", "sc"), ("ENTERPRISE", "w1"), ("ENTERPRISE", "w2"), ("ENTERPRISE", "e1"),
]  # fmt: skip
OWNERS = st.sampled_from(OWNED)

#: What becomes of statements.
ENDS = [("ISSUED", "PAID"), ("ISSUED", "PAID"), ("ISSUED", "DISPUTED"), ("PAID",)]


class Orders(RuleBasedStateMachine):
    """What cities, operators and enterprises order, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.it = Hands(worlds.build(START_MS, [(one, FIRST[one.programme]) for one in RULES],
                                     CREDIT))  # fmt: skip
        self.model = Ordered(START_MS)
        self.keys: dict[str, object] = {}
        self.count = 0
        self.numbers: dict[tuple[str, str, str], str] = {}
        self.it.db.do(lambda c: c.exec_driver_sql("UPDATE flavor SET capacity_units = 1000000"))
        self.it.db.do(lambda c: book_months.begin_due(c, START_MS))

    @initialize()
    def found(self) -> None:
        """The funds of the first year."""
        for programme, fen in FIRST.items():
            self.model.open_fund(programme, "2026")
            for funder, share_bp in RULE[programme].shares if fen else ():
                self.model.appropriate(programme, "2026", funder, fen * share_bp // 10_000)
        self.grant("w1", "2026", 4_000, "a")
        for who, face, days in (("w1", 350, 3), ("w1", 120, 20), ("w2", 250, 35)):
            self.issue(who, face, days, "a" if face != 120 else "b")

    # --- how orders are compared ------------------------------------------------------------------

    def act(self) -> Act:
        """Something that an operator does now."""
        return Act(OPERATOR, "why", self.it.clock.ms, self.it.clock.ms)

    def entries(self) -> int:
        """How many entries there are."""
        return int(self.it.db.rows("SELECT count(*) FROM transfer")[0][0])

    def order(self, expected: str, call: Callable[[Any], Any]) -> Any:
        """The store answers what the model does; what it refuses writes no entry."""
        if not expected:
            return self.it.db.do(call)
        before = self.entries()
        with pytest.raises(CorridorError) as refused:
            self.it.db.do(call)
        assert type(refused.value).__name__ == expected, refused.value
        assert self.entries() == before
        return None

    def once(
        self, key: str, said: object, by: Callable[[], str], call: Callable[[Any], Any]
    ) -> Any:
        """The same, of an order with a request id: again it changes nothing, and never another."""
        known = self.keys.get(key)
        if known is None:
            expected = by()
            if not expected:
                self.keys[key] = said
            return self.order(expected, call)
        before = self.entries()
        if known != said:
            with pytest.raises(RequestIdReused):
                self.it.db.do(call)
        else:
            self.it.db.do(call)
        assert self.entries() == before
        return None

    def some(self, number: int, *states: str) -> Run:
        """One of the runs in some states."""
        found = [one for one in self.model.runs.values() if one.state in states]
        return found[number % len(found)]

    def has(self, *states: str) -> bool:
        """Whether there is one."""
        return any(one.state in states for one in self.model.runs.values())

    # --- funds ------------------------------------------------------------------------------------

    @precondition(lambda self: self.it.clock.ms > START_MS)
    @rule(programme=st.sampled_from(("hours", *MONEY)), period=YEARS)
    def open_fund(self, programme: str, period: str) -> None:
        """A city opens a fund."""
        self.order(
            self.model.open_fund(programme, period),
            lambda c: fund_openings.open_fund(c, programme, period, self.act()),
        )

    @rule(programme=st.sampled_from(MONEY), which=st.integers(0, 1), period=YEARS, fen=FENS,
          key=KEYS)  # fmt: skip
    def appropriate(self, programme: str, which: int, period: str, fen: int, key: str) -> None:
        """A funder pays in."""
        funder = FUNDERS[programme][which % len(FUNDERS[programme])]
        self.once(
            f"appropriate {programme} {period} {key}", (funder, fen),
            lambda: self.model.appropriate(programme, period, funder, fen),
            lambda c: funds.appropriate(
                c, EVERYTHING, programme=programme, period=period, amount_fen=fen, request_id=key,
                actor="test", reason="why", now_ms=self.it.clock.ms, funder=funder,
            ),
        )  # fmt: skip

    @rule(programme=st.sampled_from(MONEY), which=st.integers(0, 1), period=YEARS, fen=FENS,
          pending=st.booleans(), key=KEYS)  # fmt: skip
    def lower(
        self, programme: str, which: int, period: str, fen: int, pending: bool, key: str
    ) -> None:
        """A funder takes money out, now or as it comes free."""
        funder = FUNDERS[programme][which % len(FUNDERS[programme])]
        order = funds_reduction.Lowering(programme, period, fen, key, funder, pending)
        self.once(
            f"lower {programme} {period} {key}", (funder, fen),
            lambda: self.model.lower(programme, period, funder, fen, pending=pending),
            lambda c: funds_reduction.lower(c, order, self.act(), ALONE),
        )  # fmt: skip

    @precondition(lambda self: self.it.clock.ms > START_MS)
    @rule(programme=st.sampled_from(("hours", *MONEY)), period=YEARS)
    def close(self, programme: str, period: str) -> None:
        """A city closes a fund."""
        self.order(
            self.model.close(programme, period),
            lambda c: fund_closing.close(c, programme, period, self.act()),
        )

    @rule(who=WHO, face=FENS, days=st.integers(1, 40), key=KEYS)
    def issue(self, who: str, face: int, days: int, key: str) -> None:
        """A voucher is issued."""
        now_ms, year = self.it.clock.ms, str(self.model.year)
        end_ms, number = now_ms + days * DAY_MS, f"{year}{key}{who}"
        new = NewVoucher(who, face, number, valid_to_ms=end_ms)
        self.once(
            f"issue {year} {key}{who}", (who, face, end_ms),
            lambda: self.model.issue(number, who, face, end_ms),
            lambda c: vouchers.issue(
                c, vouchers.Issue("n", year, (new,), f"{key}{who}"), self.act()
            ),
        )  # fmt: skip

    @precondition(lambda self: self.model.vouchers)
    @rule(number=st.integers(0))
    def revoke(self, number: int) -> None:
        """A voucher is ended."""
        name = sorted(self.model.vouchers)[number % len(self.model.vouchers)]
        self.order(self.model.revoke(name), lambda c: vouchers.revoke(c, name, self.act()))

    @rule(who=WHO, period=YEARS, unit_s=st.integers(1, 5_000), key=KEYS)
    def grant(self, who: str, period: str, unit_s: int, key: str) -> None:
        """Free hours are granted."""
        new = grants.Grant("hours", period, who, unit_s, key)
        if who == "e1":  # of another city
            self.order("NotFound", lambda c: grants.grant(c, new, self.act()))
            return
        self.once(
            f"grant {period} {key}", (who, unit_s), lambda: self.model.grant(period, who, unit_s),
            lambda c: grants.grant(c, new, self.act()),
        )  # fmt: skip

    @rule(who=WHO, fen=FENS, key=KEYS)
    def pay_in(self, who: str, fen: int, key: str) -> None:
        """An enterprise pays in."""
        self.once(
            f"pay in {who} {key}", fen, lambda: self.model.pay_in(who, fen),
            lambda c: wallets.top_up(c, who, fen, key, self.act()),
        )  # fmt: skip

    @rule(who=WHO, fen=st.integers(0, 2_000))
    def set_credit(self, who: str, fen: int) -> None:
        """An operator sets a credit limit."""
        self.order(
            self.model.set_credit(who, fen),
            lambda c: wallets.set_credit(c, who, fen, self.act()),
        )

    # --- time and statements ----------------------------------------------------------------------

    @precondition(lambda self: self.it.clock.ms > START_MS)
    @rule(back=st.integers(0, 2))
    def close_month(self, back: int) -> None:
        """A month of the books is closed, or too soon."""
        at_ms = max(START_MS, self.it.clock.ms - back * 28 * DAY_MS)
        month = month_of(at_ms)
        self.order(
            self.model.close_month(month),
            lambda c: book_months.close(c, month, self.act()),
        )

    @precondition(lambda self: self.model.differences)
    @rule()
    def decide(self) -> None:
        """Somebody says of each difference what is right."""
        found = self.it.db.rows("SELECT diff_id FROM recon_diff WHERE state = 'OPEN'")
        assert len(found) == len(self.model.differences)
        for (number,) in found:
            self._resolve(number)
        self.model.differences.clear()

    def _resolve(self, number: int) -> None:
        now_ms = self.it.clock.ms
        decision = differences.Decision(number, "OURS", "why", OPERATOR, now_ms, now_ms)
        self.it.db.do(lambda c: differences.resolve(c, decision))

    @precondition(lambda self: self.model.closed)
    @rule(whose=OWNERS, back=st.integers(0, 2), then=st.sampled_from([(), (), *ENDS]))
    def state_month(self, whose: tuple[str, str], back: int, then: tuple[str, ...]) -> None:
        """A statement is made of a closed month; its sums are those of the entries (I8)."""
        month = month_of(max(START_MS, self.it.clock.ms - back * 28 * DAY_MS))
        if self.model.closed and back:
            month = self.model.closed[back % len(self.model.closed)]
        place = (*whose, month)
        expected = self.model.state_month(*place)
        context, before = context_of(self.it), self.entries()
        make: Callable[[], Any] = lambda: awaited(  # noqa: E731
            statements.create(context, OPERATOR, Wanted(*place))
        )
        if expected:
            with pytest.raises(CorridorError) as refused:
                make()
            assert type(refused.value).__name__ == expected
            return
        made = make()
        assert (made.row.state, self.entries()) == ("DRAFT", before)
        assert made == make(), "a draft is made once"
        self.numbers[place] = made.row.number
        assert made.row.due_fen == self.model.stated_due(*place)
        if whose[0] == "CENTER":
            gross = sum(fen for _, _, fen in self.model.parts(*place))
            assert (made.row.gross_fen, made.row.due_fen) == (
                gross, gross - made.row.written_off_fen,
            )  # fmt: skip
        for to in then:
            self._advance(place, to)

    @precondition(lambda self: self.numbers)
    @rule(number=st.integers(0), to=st.sampled_from(["ISSUED", "ISSUED", "PAID", "DISPUTED"]))
    def advance(self, number: int, to: str) -> None:
        """A statement is issued, paid (which books what was not paid before) or disputed."""
        self._advance(sorted(self.numbers)[number % len(self.numbers)], to)

    def _advance(self, place: tuple[str, str, str], to: str) -> None:
        expected, name = self.model.advance(place, to), self.numbers[place]
        context, before = context_of(self.it), self.entries()
        call: Callable[[], Any] = {
            "ISSUED": lambda: statements.issue(context, OPERATOR, name, "why"),
            "PAID": lambda: statements.pay(context, OPERATOR, name, "bank", "why"),
            "DISPUTED": lambda: statements.dispute(context, OPERATOR, name, "why"),
        }[to]
        if expected:
            with pytest.raises(CorridorError) as refused:
                awaited(call())
            assert type(refused.value).__name__ == expected
            assert self.entries() == before
        else:
            assert awaited(call()).row.state == to

    @invariant()
    def nobody_pays_what_was_written_off(self) -> None:
        """What write-offs hold is what no payment used, and lies in parts that are not paid."""
        bearers = dict(
            self.it.db.rows(
                "SELECT account_id, debits_posted - credits_posted FROM account"
                " WHERE kind = 'WRITE_OFF'"
            )
        )
        model = self.model
        for one in model.runs.values():
            for account, left in one.off_left.items():
                bearers[account] -= left
                unpaid = sum(
                    max(0, fen)
                    for (month, payee), fen in one.debts.items()
                    if bearer(payee) == account
                    and (month, f"receivable:{one.who}", payee) not in model.paid
                )
                assert left <= unpaid, "nobody could use it any more"
        assert not any(bearers.values())
