"""Who changes budgets while another is about to commit waits, and decides on what is there then.

Only PostgreSQL has two who write at once. The first has done its work and not committed yet; the
second begins. Nobody is told that something moved, and nothing is decided on what was before.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection

from adapters.contract import Phase
from quota.budgets import Mode, Terms
from scheduler.domain.principal import Principal, Role
from scheduler.domain.reasons import ReasonCode
from scheduler.errors import NotFound, QuotaExceeded, WrongState
from scheduler.store import (
    admission,
    budget_book,
    budget_moves,
    budget_openings,
    budget_settings,
    budgets,
    ingest,
    loans,
)
from scheduler.store.budgets import Place
from scheduler.store.database import Database
from scheduler.store.loans import DebtRow, Proposal
from scheduler.store.quotas_telling import Change
from tests.postgres import Postgres
from tests.simulation import inline_store
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, OPERATOR, job
from tests.unit.store.budget_hands import (
    HOLD,
    OCT_MS,
    admitted,
    allot,
    codes,
    free_enterprises,
    hands,
    row,
    set_terms,
    verify,
)

Call = Callable[[Connection], Any]
DEBT = DebtRow("cities/ezhou", "cities/wuhan", NPU, 7)


class Two(Hands):
    """The leader moved by hand, and somebody beside it."""

    def __init__(self, it: Hands) -> None:
        super().__init__(it.world)
        self._beside = Database(self.db.url)
        self._threads = ThreadPoolExecutor(1)

    def meet(self, first: Call, then: Call, meanwhile: Callable[[], None] = lambda: None) -> Any:
        """Call ``first``, and ``then`` beside it; commit ``first`` once ``then`` waits for it."""
        with self._beside.engine.connect() as connection, connection.begin():
            first(connection)
            second = self._threads.submit(self._alone, then)
            while not self.db.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not second.done(), "it did not wait"
            meanwhile()
        return second.result()

    def _alone(self, call: Call) -> Any:
        with self._beside.engine.connect() as connection, connection.begin():
            return call(connection)

    def close(self) -> None:
        self._threads.shutdown()
        self._beside.close()

    # --- what they do -----------------------------------------------------------------------------

    def change(self, actor: Principal = OPERATOR, etag: str = "") -> Change:
        return Change(actor, etag, "test", self.clock.ms, 0)

    def admits(self, *uids: int) -> Call:
        starts = [self.start_of(uid) for uid in uids]
        return lambda c: admission.admit(c, self.epoch, starts, self.clock.ms)

    def lends(self, amount: int) -> Call:
        """Wuhan offers ezhou hours, and ezhou takes them."""
        giver, taker = (Principal(city, Role.CITY_ADMIN, city, None, None, "", 0)
                        for city in ("wuhan", "ezhou"))  # fmt: skip
        wanted = Proposal("wuhan", "ezhou", NPU, amount)

        def call(connection: Connection) -> None:
            offered = loans.propose(connection, wanted, self.change(giver))
            loans.accept(connection, offered.loan_id, self.change(taker))

        return call

    def allots(self, amount: int, enterprise: str = "", etag: str = "1") -> Call:
        place = Place("" if enterprise else "wuhan", enterprise, NPU, "")
        change = self.change(etag=etag)
        return lambda c: budgets.update_budget(c, place, amount, change)

    def ends(self, uid: int, seconds: int) -> Call:
        begin_ms = self.clock.ms
        self.clock.ms += seconds * 1000
        report = self.seen(
            uid, Phase.SUCCEEDED, 2, start_ms=begin_ms, end_ms=self.clock.ms,
            usage=[self.usage(uid, begin_ms, self.clock.ms)],
        )  # fmt: skip
        return lambda c: ingest.ingest(c, self.epoch, [report], self.clock.ms, lambda: 0.0)


@pytest.fixture
def it(postgres: Postgres) -> Iterator[Two]:
    """Wuhan has hours for two jobs and a half, ezhou for many."""
    with inline_store.on(postgres):
        two = Two(hands())
        for city, amount in (("wuhan", HOLD * 5 // 2), ("ezhou", HOLD * 100)):
            set_terms(two, Terms(enterprises_free=True, keep_bps=0, debt_cap_bps=10_000), city)
            allot(two, amount, city=city)
        yield two
        verify(two)
        two.close()


def test_what_was_admitted_is_not_lent(it: Two) -> None:
    uids = it.world.submit("w1", [job()] * 2)
    with pytest.raises(QuotaExceeded, match=f"can spare at most {HOLD // 2} "):
        it.meet(it.admits(*uids), it.lends(HOLD))
    assert row(it) == (HOLD * 5 // 2, 2 * HOLD, 0, 0, 0)


def test_what_was_lent_admits_nobody(it: Two) -> None:
    uids = it.world.submit("w1", [job()] * 2)
    found = it.meet(it.lends(HOLD), it.admits(*uids))
    assert admitted(found) == uids[:1]
    assert codes(found) == [ReasonCode.BUDGET_CITY]
    assert row(it) == (HOLD * 5 // 2, HOLD, 0, 0, HOLD)


def test_what_was_admitted_is_not_taken_away(it: Two) -> None:
    uids = it.world.submit("w1", [job()])
    with pytest.raises(QuotaExceeded, match=f"set at least {HOLD},"):
        it.meet(it.admits(*uids), it.allots(HOLD - 1))


def test_what_was_taken_away_admits_nobody(it: Two) -> None:
    found = it.meet(it.allots(HOLD - 1), it.admits(*it.world.submit("w1", [job()])))
    assert codes(found) == [ReasonCode.BUDGET_CITY]


def test_an_enterprise_is_held_to_its_first_budget(it: Two) -> None:
    """Whoever finds none makes one without a limit: not over the one that is being set."""
    uids = it.world.submit("w1", [job()])
    found = it.meet(it.allots(HOLD - 1, "w1", ""), it.admits(*uids))
    assert codes(found) == [ReasonCode.BUDGET_ENTERPRISE]
    assert row(it, "enterprises/w1") == (HOLD - 1, 0, 0, 0, 0)


def test_new_terms_bind_who_waited_for_them(it: Two) -> None:
    free_enterprises(it, mode=Mode.OVERBURN, overburn_bps=5_000)
    hard = Terms(enterprises_free=True)
    uids = it.world.submit("w1", [job()] * 3)
    found = it.meet(
        lambda c: budget_settings.update_settings(c, "wuhan", hard, it.change(etag="2")),
        it.admits(*uids),
    )
    assert admitted(found) == uids[:2]


def test_a_period_is_opened_once(it: Two) -> None:
    allot(it, 5_000, period="2026-10")
    it.clock.ms = OCT_MS
    now_ms = it.clock.ms
    uids = it.world.submit("w1", [job()])
    found = it.meet(lambda c: budget_openings.open_due(c, now_ms), it.admits(*uids))
    assert admitted(found) == uids
    opened = it.db.rows(
        "SELECT count(*) FROM budget_entry WHERE kind = 'OPEN' AND period LIKE '%10'"
    )
    assert opened == [(2,)], "the city's by whoever came first, the enterprise's with its first run"


def test_a_debt_is_forgiven_once(it: Two) -> None:
    it.db.do(it.lends(7))
    debt = it.db.rows("SELECT lender, borrower, flavor, unit_seconds FROM budget_debt")[0]

    def forgive(connection: Connection) -> DebtRow:
        return loans.forgive(connection, DebtRow(*debt), it.change())

    with pytest.raises(NotFound, match="owes cities/wuhan nothing"):
        it.meet(forgive, forgive)


def test_a_loan_is_accepted_once(it: Two) -> None:
    giver, taker = (Principal(city, Role.CITY_ADMIN, city, None, None, "", 0)
                    for city in ("wuhan", "ezhou"))  # fmt: skip
    wanted = Proposal("wuhan", "ezhou", NPU, HOLD)
    offered = it.db.do(lambda c: loans.propose(c, wanted, it.change(giver)))

    def accept(connection: Connection) -> None:
        loans.accept(connection, offered.loan_id, it.change(taker))

    with pytest.raises(WrongState):
        it.meet(accept, accept)
    assert row(it) == (HOLD * 5 // 2, 0, 0, 0, HOLD)


def test_who_moved_is_followed_once(it: Two) -> None:
    allot(it, HOLD, enterprise="w1")
    it.db.do(
        lambda c: c.exec_driver_sql("UPDATE enterprise SET city = 'xianning' WHERE code = 'w1'")
    )

    def follow(connection: Connection) -> set[str]:
        return budget_moves.follow(connection, it.clock.ms, it.epoch)

    assert it.meet(follow, follow) == set()


def test_use_is_counted_beside_a_loan(it: Two) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    assert it.meet(it.lends(HOLD), it.ends(uid, 100)).cities >= {"wuhan"}
    assert row(it) == (HOLD * 5 // 2, 0, 100, 0, HOLD)


@pytest.mark.parametrize("what", ["admission", "settlement"])
def test_who_waits_for_budgets_has_locked_no_money(it: Two, what: str) -> None:
    """Budgets come first, for all: else two could wait for each other."""
    one, other = it.world.submit("w1", [job()] * 2)
    it.run(one)
    then = it.admits(other) if what == "admission" else it.ends(one, 100)

    def all_is_free() -> None:
        for money in ("account", "ledger_shard"):
            assert it.db.rows(f"SELECT 1 FROM {money} FOR UPDATE NOWAIT")

    it.meet(budget_book.lock_terms, then, all_is_free)
