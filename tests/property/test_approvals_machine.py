"""Changes by two persons beside a small model: nothing is written that nobody approved.

People ask for money, rules, ends and prices at random dates, decide on what others asked for, take
it back, and repeat their calls; time goes on meanwhile. The model predicts what becomes of each
request and of the fund's money; of versions it holds that their times never overlap, that none
begins before it was approved, and that what was written of one is never changed but for an end that
comes nearer.
"""

from dataclasses import dataclass
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

from quota.rules import Rule
from scheduler.domain.approving import Approvals, ChangeKind, ChangeState
from scheduler.domain.principal import Principal, Role
from scheduler.errors import CorridorError, Forbidden, InvalidRequest, NotFound, WrongState
from scheduler.store import appropriations, approvals, change_requests, price_changes, rule_changes
from scheduler.store.appropriations import Payment
from scheduler.store.change_requests import Act, Request
from scheduler.store.price_changes import NewPrice, PriceChange
from scheduler.store.rule_changes import RuleChange, RuleEnd
from tests.simulation import world as worlds
from tests.simulation.world import CPU

THRESHOLD_FEN = 1_000
DAY_MS = 86_400_000
SETTINGS = Approvals(THRESHOLD_FEN, window_days=1)
FUND_FEN = 5_000
PEOPLE = (
    Principal("first operator", Role.OPERATOR, None, None, None, "", 0),
    Principal("second operator", Role.OPERATOR, None, None, None, "", 0),
    Principal("admin of wuhan", Role.CITY_ADMIN, "wuhan", None, None, "", 0),
    Principal("other admin of wuhan", Role.CITY_ADMIN, "wuhan", None, None, "", 0),
    Principal("admin of ezhou", Role.CITY_ADMIN, "ezhou", None, None, "", 0),
)
people = st.sampled_from(PEOPLE)
#: Milliseconds from now; None is the moment of the approval.
dates = st.none() | st.sampled_from([-1, 0, 4, 9])


@dataclass
class Asked:
    """A request as the model knows it."""

    number: int
    kind: ChangeKind
    who: str
    amount_fen: int
    city: str
    state: ChangeState = ChangeState.PENDING


class Machine(RuleBasedStateMachine):
    """One city's programme with a fund, one flavor with a price, and five people."""

    def __init__(self) -> None:
        super().__init__()
        only = Rule("v", 1, "wuhan", 3_000)
        self.world = worlds.build(rules=((only, FUND_FEN),))
        self.asked: dict[int, Asked] = {}
        self.in_fund = FUND_FEN
        self.paid: dict[str, int] = {}
        self.waits: set[str] = set()
        self.alone: list[tuple[str, int, int]] = []
        self.calls = 0
        self.seen: dict[tuple[str, Any], tuple[Any, ...]] = {}

    def act(self, who: Principal) -> Act:
        return Act(who, "because", self.world.clock.ms, 0)

    def at(self, offset: int | None) -> int | None:
        return None if offset is None else self.world.clock.ms + offset

    def written(self) -> list[Any]:
        """All that any of this writes."""
        return [
            self.world.db.rows(f"SELECT * FROM {table}")
            for table in ("change_request", "rule_version", "price_version")
        ] + [
            self.world.db.rows(f"SELECT count(*) FROM {table}")
            for table in ("transfer", "audit_event", "event", "lone_change")
        ]

    def keep(self, found: Request | None, who: Principal) -> None:
        """Note a new request; a repeated call gives one that is known."""
        assert found is not None
        if found.number not in self.asked:
            assert found.number == len(self.asked) + 1, "numbers have no holes"
            self.asked[found.number] = Asked(
                found.number, found.kind, who.subject, found.amount_fen, found.city
            )

    # --- asking -----------------------------------------------------------------------------------

    @rule(who=people, amount=st.sampled_from([1, 400, 999, 1_000]), key=st.integers(0, 3))
    def pay(self, who: Principal, amount: int, key: int) -> None:
        payment = Payment("v", "2026", amount, f"k{key}-{amount}")
        act = self.act(who)
        try:
            done = self.world.db.do(lambda c: appropriations.appropriate(c, payment, act, SETTINGS))
        except NotFound:
            assert who.city == "ezhou"
            return
        assert who.city != "ezhou"
        if payment.request_id in self.paid:
            assert done.request is None
        elif payment.request_id in self.waits or not self.small(who.subject, amount):
            self.waits.add(payment.request_id)
            self.keep(done.request, who)
        else:
            assert done.request is None
            self.paid[payment.request_id] = amount
            self.alone.append((who.subject, self.world.clock.ms, amount))
            self.in_fund += amount

    def small(self, who: str, amount: int) -> bool:
        """Whether somebody may pay so much alone, with what went alone within a day."""
        since_ms = self.world.clock.ms - DAY_MS
        before = sum(fen for one, at_ms, fen in self.alone if one == who and at_ms > since_ms)
        return before + amount < THRESHOLD_FEN

    @rule(who=st.sampled_from(PEOPLE[:4]), bp=st.integers(0, 99), start=dates, end=dates)
    def propose_rule(self, who: Principal, bp: int, start: int | None, end: int | None) -> None:
        change = RuleChange(Rule("v", 0, "wuhan", bp), self.at(start), self.at(end))
        self.ask(who, lambda c, act: rule_changes.propose(c, change, act, SETTINGS))

    @rule(who=people, at=dates, version=st.integers(0, 2))
    def propose_end(self, who: Principal, at: int | None, version: int) -> None:
        end = RuleEnd("v", self.at(at), version)
        self.ask(who, lambda c, act: rule_changes.propose_end(c, end, act, SETTINGS))

    @rule(
        ufen=st.integers(0, 99),
        start=dates,
        replace=st.booleans(),
        who=st.sampled_from(PEOPLE[:2]),
    )
    def set_prices(self, who: Principal, ufen: int, start: int | None, replace: bool) -> None:
        change = PriceChange("sc", (NewPrice(CPU, ufen),), self.at(start), replace)
        self.ask(who, lambda c, act: price_changes.propose(c, change, act, SETTINGS))

    def ask(self, who: Principal, call: Any) -> None:
        act, before = self.act(who), self.written()
        try:
            found = self.world.db.do(lambda c: call(c, act))
        except (InvalidRequest, NotFound):
            assert self.written() == before, "what was refused wrote something"
            return
        assert who.city != "ezhou", "a city asks for nothing of another"
        self.keep(found, who)

    # --- deciding ---------------------------------------------------------------------------------

    @precondition(lambda self: self.asked)
    @rule(who=people, verb=st.sampled_from(["approve", "deny", "withdraw"]), data=st.data())
    def decide(self, who: Principal, verb: str, data: st.DataObject) -> None:
        self.settle(self.asked[data.draw(st.sampled_from(sorted(self.asked)))], who, verb)

    def settle(self, one: Asked, who: Principal, verb: str) -> None:
        """Decide on a request, and hold what comes of it to the model."""
        act, before = self.act(who), self.written()
        call = {
            "approve": approvals.approve,
            "deny": change_requests.deny,
            "withdraw": change_requests.withdraw,
        }[verb]
        try:
            self.world.db.do(lambda c: call(c, one.number, act))
        except CorridorError as error:
            self.refused(error, one, who, verb)
            assert self.written() == before, "what was refused wrote something"
            return
        assert one.state is ChangeState.PENDING, "decided twice"
        assert (one.who == who.subject) == (verb == "withdraw")
        assert who.role is Role.OPERATOR or one.city == who.city
        one.state = {
            "approve": ChangeState.APPROVED,
            "deny": ChangeState.DENIED,
            "withdraw": ChangeState.WITHDRAWN,
        }[verb]
        if one.state is ChangeState.APPROVED:
            self.in_fund += one.amount_fen

    @rule(first=st.booleans())
    def approve_what_waits(self, first: bool) -> None:
        """Somebody else approves the newest (or oldest) request, as mostly happens."""
        waiting = [one for one in self.asked.values() if one.state is ChangeState.PENDING]
        if waiting:
            one = waiting[0 if first else -1]
            who = next(one_of for one_of in PEOPLE if one_of.subject != one.who)
            self.settle(one, who, "approve")

    def refused(self, error: CorridorError, one: Asked, who: Principal, verb: str) -> None:
        """Hold a refusal to what the model says."""
        hidden = who.role is not Role.OPERATOR and one.city != who.city
        own = one.who == who.subject
        if hidden:
            assert isinstance(error, NotFound)
        elif own != (verb == "withdraw"):
            assert isinstance(error, Forbidden)
        else:
            assert isinstance(error, WrongState)
            terms = one.kind is not ChangeKind.APPROPRIATE and verb == "approve"
            assert one.state is not ChangeState.PENDING or terms, "it should have fitted"

    @rule(span=st.sampled_from([0, 1, 5, 12, DAY_MS // 2]))
    def time_goes_on(self, span: int) -> None:
        self.world.clock.ms += span

    # --- what must hold ---------------------------------------------------------------------------

    @invariant()
    def the_fund_has_what_was_approved(self) -> None:
        query = "SELECT credits_posted FROM account WHERE account_id = 'fund:v:2026'"
        assert self.world.db.rows(query) == [(self.in_fund,)]

    @invariant()
    def nobody_pays_a_large_amount_alone_within_a_day(self) -> None:
        """Wherever the day begins."""
        for who, from_ms, _ in self.alone:
            within = [
                fen
                for one, at_ms, fen in self.alone
                if one == who and from_ms <= at_ms < from_ms + DAY_MS
            ]
            assert sum(within) < THRESHOLD_FEN

    @invariant()
    def requests_are_as_the_model_says(self) -> None:
        stored = self.world.db.rows("SELECT number, state FROM change_request ORDER BY number")
        assert stored == [(one.number, str(one.state)) for one in self.asked.values()]
        query = "SELECT count(*) FROM change_request WHERE decided_by = requester"
        same = query + " AND state <> 'WITHDRAWN'"
        assert self.world.db.rows(same) == [(0,)]

    @invariant()
    def versions_are_those_that_were_approved_and_never_overlap(self) -> None:
        for table, key, kind in (
            ("rule_version", "version", ChangeKind.RULE_VERSION),
            ("price_version", "price_id", ChangeKind.PRICE_VERSION),
        ):
            of = "programme = 'v'" if table == "rule_version" else f"flavor = '{CPU}'"
            rows = self.world.db.rows(
                f"SELECT {key}, effective_from_ms, effective_to_ms, created_ms, approved_by"
                f" FROM {table} WHERE {of} ORDER BY effective_from_ms, created_ms"
            )
            made = [
                one
                for one in self.asked.values()
                if (one.kind, one.state) == (kind, ChangeState.APPROVED)
            ]
            assert len(rows) == 1 + len(made)
            until = 0
            for name, from_ms, to_ms, created_ms, approved_by in rows:
                assert approved_by or created_ms in (0, worlds.NOW_MS), "nobody approved it"
                assert from_ms >= created_ms, "it began before it was approved"
                self.only_ended(table, name, from_ms, to_ms)
                if to_ms is not None and to_ms == from_ms:
                    continue  # never in force
                assert from_ms >= until, "two are in force"
                until = 1 << 62 if to_ms is None else to_ms

    def only_ended(self, table: str, name: Any, from_ms: int, to_ms: int | None) -> None:
        """Hold a version to what was seen of it: its end was set, or came nearer, in time."""
        known = self.seen.get((table, name))
        self.seen[table, name] = (from_ms, to_ms, self.world.clock.ms)
        if known is None or known[:2] == (from_ms, to_ms):
            return
        assert known[0] == from_ms
        assert to_ms is not None
        assert known[1] is None or to_ms < known[1]
        assert to_ms >= known[2] or to_ms == from_ms, "it was ended backwards"


def test_changes_by_two_persons_are_those_of_the_model() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=25, stateful_step_count=30))


@pytest.mark.slow
def test_changes_by_two_persons_are_those_of_the_model_in_many_stories() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=250, stateful_step_count=60))
