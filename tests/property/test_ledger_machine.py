"""The store's ledger beside a small model of it: the same moves, the same balances after each.

The model knows two programmes and does its sums in fractions; the store goes through admission
and ingestion as the control loop does. After every step balances, holds, caps and the whole chain
must agree (I1 to I5, I9 and I10 of the reference model).
"""

from dataclasses import dataclass, field
from fractions import Fraction
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

from adapters.contract import FailureClass, Phase
from quota.rules import Rule
from scheduler.domain.principal import EVERYTHING
from scheduler.errors import RequestIdReused
from scheduler.store import funds, programmes
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, FREE, NPU, PRICES, job

CREDIT = {"w1": 3_000, "w2": 300, "e1": 1_000}
CITY = {"w1": "wuhan", "w2": "wuhan", "e1": "ezhou"}
FUNDS = {"v": 900, "shared": 700}


def nearest(amount: Fraction) -> int:
    """Half-up."""
    return int(amount + Fraction(1, 2))


@dataclass
class Held:
    """A hold of the model: what each payer reserves, and the rates frozen for it."""

    uid: int
    enterprise: str
    flavor: str
    units: int
    parts: dict[str, int]
    self_pay: int
    rates: dict[str, Fraction]
    start_ms: int = 0

    @property
    def gross(self) -> int:
        return sum(self.parts.values()) + self.self_pay


@dataclass
class Model:
    """Two programmes: ``v`` gives wuhan a rate up to a year cap, ``shared`` a fifth of the rest."""

    rate: Fraction = Fraction(3, 10)
    cap: int | None = 400
    appropriated: dict[str, int] = field(default_factory=lambda: dict(FUNDS))
    spent: dict[str, int] = field(default_factory=dict)
    owed: dict[str, int] = field(default_factory=dict)
    capped: dict[tuple[str, str], int] = field(default_factory=dict)
    #: Caps as they were when something was last held under them.
    limits: dict[tuple[str, str], int | None] = field(default_factory=dict)
    held: dict[int, Held] = field(default_factory=dict)
    charged: dict[int, int] = field(default_factory=dict)

    def pending(self, payer: str) -> int:
        """What is reserved of a fund or a wallet."""
        return sum(
            one.parts.get(payer, 0) + (one.self_pay if one.enterprise == payer else 0)
            for one in self.held.values()
        )

    def left(self, payer: str) -> int:
        """What a fund or a wallet can still give."""
        given = self.appropriated.get(payer, 0) + CREDIT.get(payer, 0)
        return given - self.spent.get(payer, 0) - self.pending(payer)

    def cap_used(self, programme: str, enterprise: str) -> int:
        """What a programme gave and holds for an enterprise this year."""
        held = sum(
            one.parts.get(programme, 0)
            for one in self.held.values()
            if one.enterprise == enterprise
        )
        return held + self.capped.get((programme, enterprise), 0)

    def hold(self, uid: int, enterprise: str, flavor: str, units: int, seconds: int) -> bool:
        """Reserve a run's charge; False if its enterprise cannot pay its part."""
        gross = nearest(Fraction(units * seconds * PRICES[flavor], 1_000_000))
        rates: dict[str, Fraction] = {}
        parts: dict[str, int] = {}
        if CITY[enterprise] == "wuhan":
            rates["v"] = self.rate
            parts["v"] = min(int(gross * self.rate), max(0, self.left("v")))
            if self.cap is not None:
                parts["v"] = min(parts["v"], max(0, self.cap - self.cap_used("v", enterprise)))
        rates["shared"] = Fraction(1, 5)
        rest = gross - parts.get("v", 0)
        parts["shared"] = min(int(rest * rates["shared"]), max(0, self.left("shared")))
        self_pay = gross - sum(parts.values())
        if self_pay > self.left(enterprise):
            return False
        parts = {name: fen for name, fen in parts.items() if fen}
        if "v" in parts:
            self.limits["v", enterprise] = self.cap
        self.held[uid] = Held(uid, enterprise, flavor, units, parts, self_pay, rates)
        return True

    def offered(self, name: str, one: Held) -> int:
        """What a programme can give a run that used more than its hold: that, and what is left."""
        limit = self.limits.get((name, one.enterprise))
        most = max(one.parts[name], self.left(name))
        if limit is not None:
            cap_left = limit - self.cap_used(name, one.enterprise) - one.parts[name]
            most = min(most, one.parts[name] + max(0, cap_left))
        return most

    def settle(self, uid: int, seconds: int, *, billed: bool) -> None:
        """Post what was used, free the rest."""
        one = self.held.pop(uid)
        used = one.units * seconds * PRICES[one.flavor] if billed else 0
        gross = nearest(Fraction(used, 1_000_000))
        beyond = gross > one.gross
        given = 0
        posted: dict[str, int] = {}
        for name in ("v", "shared"):
            if name in one.parts:
                base = gross if name == "v" else gross - given
                most = self.offered(name, one) if beyond else one.parts[name]
                posted[name] = min(int(base * one.rates[name]), most)
                given += posted[name]
        own = min(gross - given, one.self_pay)
        rest = gross - given - own
        for name in posted:  # what rounding leaves to nobody stays with the first funds
            more = min(rest, max(0, one.parts[name] - posted[name]), 1)
            posted[name] += more
            rest -= more
        if beyond:
            more = min(rest, max(0, self.left(one.enterprise) - own))
            own += more
            rest -= more
        for payer, fen in (*posted.items(), (one.enterprise, own)):
            self.spent[payer] = self.spent.get(payer, 0) + fen
        for name, fen in posted.items():
            key = (name, one.enterprise)
            self.capped[key] = self.capped.get(key, 0) + fen
        self.owed[one.enterprise] = self.owed.get(one.enterprise, 0) + rest
        self.charged[uid] = gross


RUNS = st.tuples(
    st.sampled_from([*CREDIT]),
    st.sampled_from([NPU, CPU, FREE]),
    st.integers(1, 2),
    st.sampled_from([1, 60, 333, 1800, 7200]),
)


class Ledger(RuleBasedStateMachine):
    """Moves of people, of the leader and of centers."""

    def __init__(self) -> None:
        super().__init__()
        rules = (
            (Rule("v", 1, "wuhan", 3000, year_cap_fen=400), FUNDS["v"]),
            (Rule("shared", 1, "corridor", 2000, priority=1, base="REMAINING"), FUNDS["shared"]),
        )
        self.hands = Hands(worlds.build(rules=rules, credit=CREDIT))
        self.model = Model()
        self.ended: dict[int, tuple[int, int]] = {}
        self.paid: dict[str, tuple[str, int]] = {}
        self.reports: list[Any] = []
        self.version = 1
        # Units are another matter: there are enough of them.
        self.hands.db.do(lambda c: c.exec_driver_sql("UPDATE flavor SET capacity_units = 1000000"))

    @rule(runs=st.lists(RUNS, min_size=1, max_size=5))
    def admit(self, runs: list[tuple[str, str, int, int]]) -> None:
        """Admit a batch: the same runs get money in the store and in the model."""
        uids = [
            self.hands.world.submit(who, [job(flavor, units, seconds)])[0]
            for who, flavor, units, seconds in runs
        ]
        result = self.hands.admit(*uids)
        expected = [
            uid
            for uid, (who, flavor, units, seconds) in zip(uids, runs, strict=True)
            if self.model.hold(uid, who, flavor, units, seconds)
        ]
        assert [run.uid for run in result.admitted] == expected
        for run in result.admitted:
            held = self.model.held[run.uid]
            assert (run.gross_fen, run.self_pay_fen) == (held.gross, held.self_pay)
            held.start_ms = self.hands.clock.ms
        if expected:
            self.hands.send(*expected)
            began = [
                self.hands.seen(uid, Phase.RUNNING, 1, start_ms=self.hands.clock.ms)
                for uid in expected
            ]
            self.hands.report(*began)

    def _some(self, number: int, among: list[int]) -> int:
        return sorted(among)[number % len(among)]

    def _running(self) -> list[int]:
        return [uid for uid in self.model.held if uid not in self.ended]

    @precondition(lambda self: self._running())
    @rule(
        number=st.integers(0),
        seconds=st.integers(0, 9_000),
        billed=st.booleans(),
        metered=st.booleans(),
    )
    def end(self, number: int, seconds: int, billed: bool, metered: bool) -> None:
        """A run ends, well or not, metered now or later, within its limit or beyond."""
        uid = self._some(number, self._running())
        one = self.model.held[uid]
        end_ms = one.start_ms + seconds * 1000
        usage = self.hands.usage(uid, one.start_ms, end_ms, units=one.units)
        report = self.hands.seen(
            uid, Phase.SUCCEEDED if billed else Phase.FAILED, 2, start_ms=one.start_ms,
            end_ms=end_ms, failure=None if billed else FailureClass.NODE,
            usage=[usage] if metered else None,
        )  # fmt: skip
        self.hands.report(report)
        self.reports.append(report)
        if metered or not billed:
            self.model.settle(uid, seconds, billed=billed)
        else:
            self.ended[uid] = (seconds, end_ms)

    @precondition(lambda self: self.ended)
    @rule(number=st.integers(0))
    def meter(self, number: int) -> None:
        """The use of a run that ended before becomes known."""
        uid = self._some(number, [*self.ended])
        seconds, end_ms = self.ended.pop(uid)
        one = self.model.held[uid]
        usage = self.hands.usage(uid, one.start_ms, end_ms, units=one.units)
        report = self.hands.seen(uid, Phase.SUCCEEDED, 2, usage=[usage])
        self.hands.report(report)
        self.reports.append(report)
        self.model.settle(uid, seconds, billed=True)

    @precondition(lambda self: self.reports)
    @rule(number=st.integers(0))
    def repeat(self, number: int) -> None:
        """An old report comes again: nothing happens."""
        report = self.reports[number % len(self.reports)]
        if report.uid not in self.ended:
            self.hands.report(report)

    @rule(
        programme=st.sampled_from([*FUNDS]),
        amount=st.integers(1, 500),
        key=st.sampled_from(["a", "b", "c"]),
    )
    def appropriate(self, programme: str, amount: int, key: str) -> None:
        """A city pays in, the same request now and then again, or for another amount."""
        call: Any = lambda c: funds.appropriate(  # noqa: E731
            c, EVERYTHING, programme=programme, period="2026", amount_fen=amount,
            request_id=key, actor="test", reason="test", now_ms=self.hands.clock.ms,
        )  # fmt: skip
        known = self.paid.setdefault(f"{programme} {key}", (programme, amount))
        if known != (programme, amount):
            with pytest.raises(RequestIdReused):
                self.hands.db.do(call)
            return
        already = self.hands.db.rows(
            f"SELECT 1 FROM transfer WHERE idem_key = 'appropriate:{programme}:2026:{key}'"
        )
        self.hands.db.do(call)
        if not already:
            self.model.appropriated[programme] += amount

    @rule(rate_bp=st.sampled_from([0, 1_000, 9_000]), cap=st.none() | st.integers(0, 600))
    def change_rule(self, rate_bp: int, cap: int | None) -> None:
        """What is held keeps its rate; what comes next gets the new one."""
        self.version += 1
        self.hands.clock.ms += 1
        new = Rule("v", self.version, "wuhan", rate_bp, year_cap_fen=cap)
        self.hands.db.do(
            lambda c: programmes.create_programme(
                c, city="wuhan", name="", document_ref="", sample=True, rule=new,
                now_ms=self.hands.clock.ms,
            )
        )  # fmt: skip
        self.model.rate, self.model.cap = Fraction(rate_bp, 10_000), cap

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        """I2 and I3: posted and pending of every fund and wallet; none overdrawn."""
        accounts = {
            row[0]: row[1:]
            for row in self.hands.db.rows(
                "SELECT account_id, debits_pending, debits_posted, credits_posted FROM account"
            )
        }
        names = {f"fund:{name}:2026": name for name in FUNDS}
        names |= {f"wallet:{name}": name for name in CREDIT}
        for account, payer in names.items():
            pending, posted, credited = accounts[account]
            assert (pending, posted) == (self.model.pending(payer), self.model.spent.get(payer, 0))
            assert credited == self.model.appropriated.get(payer, 0)
            assert self.model.left(payer) >= 0
        for name in CREDIT:
            assert accounts[f"receivable:{name}"][1] == self.model.owed.get(name, 0)

    @invariant()
    def caps_are_those_of_the_model(self) -> None:
        """I5."""
        for programme, enterprise, used in self.hands.db.rows(
            "SELECT programme, enterprise, pending_fen + posted_fen FROM cap_counter"
        ):
            assert used == self.model.cap_used(programme, enterprise)

    @invariant()
    def jobs_show_what_they_were_charged(self) -> None:
        """I7."""
        shown = dict(self.hands.db.rows("SELECT uid, gross_fen FROM job WHERE gross_fen <> 0"))
        assert shown == {uid: fen for uid, fen in self.model.charged.items() if fen}

    @invariant()
    def the_ledger_verifies(self) -> None:
        """I1, I4, I9 and I10."""
        self.hands.verify()

    def teardown(self) -> None:
        self.hands.db.close()


def test_the_ledger_is_that_of_the_model() -> None:
    run_state_machine_as_test(Ledger, settings=settings(max_examples=15, stateful_step_count=25))


@pytest.mark.slow
def test_the_ledger_is_that_of_the_model_in_many_stories() -> None:
    run_state_machine_as_test(Ledger, settings=settings(max_examples=100, stateful_step_count=40))
