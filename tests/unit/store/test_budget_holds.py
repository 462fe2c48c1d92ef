"""Budgets in admission and settlement: held with the run at both levels, settled once with it."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from adapters.contract import FailureClass, Phase
from quota.budgets import Mode, Terms
from quota.calendar import period_bounds
from scheduler.domain.reasons import ReasonCode
from scheduler.placement.model import JobQueued, StartRefused, Unparked
from scheduler.store import (
    budget_holds,
    budget_journal,
    budget_openings,
    budget_settings,
    budgets,
    feed,
    figures,
    planner_feed,
)
from scheduler.store.admission import RETRY_MS, RETRY_SOON_MS, Admitted
from scheduler.store.budgets import Place
from scheduler.store.leader import Fenced, take_over
from scheduler.store.quotas_telling import Change
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, FREE, NPU, OPERATOR, job

SEP_MS, OCT_MS = period_bounds("2026-09")
#: Of a job of one unit for 600 s.
HOLD = 660
Row = tuple[int | None, int, int, int, int]


def hands(now_ms: int = worlds.NOW_MS, **world: object) -> Hands:
    """A small corridor without budgets yet."""
    return Hands(worlds.build(now_ms, **world))  # type: ignore[arg-type]


def allot(
    it: Hands, amount: int | None, *, enterprise: str = "", flavor: str = NPU, period: str = "",
    city: str = "wuhan",
) -> None:  # fmt: skip
    """As an operator does."""
    node = f"enterprises/{enterprise}" if enterprise else f"cities/{city}"
    rows = it.db.rows(
        f"SELECT version FROM budget WHERE node = '{node}' AND flavor = '{flavor}'"
        f" AND ('{period}' = '' OR period = '{period}')"
    )
    etag = str(rows[0][0]) if rows and rows[0][0] else ""
    place = Place("" if enterprise else city, enterprise, flavor, period)
    change = Change(OPERATOR, etag, "test", it.clock.ms, 0)
    it.db.do(lambda c: budgets.update_budget(c, place, amount, change))


def set_terms(it: Hands, terms: Terms, city: str = "wuhan") -> None:
    """As an operator does."""
    rows = it.db.rows(f"SELECT version FROM budget_city WHERE city = '{city}'")
    etag = str(rows[0][0]) if rows else ""
    change = Change(OPERATOR, etag, "test", it.clock.ms, 0)
    it.db.do(lambda c: budget_settings.update_settings(c, city, terms, change))


def free_enterprises(it: Hands, **terms: object) -> None:
    """Let the city's budget alone bind."""
    set_terms(it, Terms(enterprises_free=True, **terms))  # type: ignore[arg-type]


def row(it: Hands, node: str = "cities/wuhan", period: str = "2026-09") -> Row:
    """(A, H, S, I, O) of a budget."""
    [found] = it.db.rows(
        "SELECT allotted_unit_seconds, held_unit_seconds, settled_unit_seconds,"
        f" received_unit_seconds, given_unit_seconds FROM budget WHERE node = '{node}'"
        f" AND period = '{period}'"
    )
    return found


def codes(result: Admitted) -> list[ReasonCode]:
    """Why starts were refused."""
    return [code for _, _, code in result.refused]


def admitted(result: Admitted) -> list[int]:
    """Whom it admitted."""
    return [run.uid for run in result.admitted]


def verify(it: Hands) -> None:
    """The journal gives the books."""
    found = it.db.read_sync(budget_journal.verify)
    assert found.ok, found.problems
    it.verify()


# --- admission ------------------------------------------------------------------------------------


def test_a_city_without_budgets_is_not_limited_and_keeps_no_books() -> None:
    it = hands()
    allot(it, 0, city="ezhou")
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.end(uid, 10)
    assert it.db.rows("SELECT count(*) FROM budget_hold") == [(0,)]
    assert codes(it.admit(*it.world.submit("e1", [job()]))) == [ReasonCode.BUDGET_ENTERPRISE]
    verify(it)


def test_the_first_budget_of_a_city_switches_them_on_and_what_is_not_set_denies() -> None:
    it = hands()
    allot(it, 10_000)
    npu, cpu = it.world.submit("w1", [job(), job(CPU)])
    assert codes(it.admit(npu, cpu)) == [ReasonCode.BUDGET_ENTERPRISE] * 2
    allot(it, None, enterprise="w1")
    assert admitted(it.admit(npu)) == [npu]
    assert row(it) == (10_000, HOLD, 0, 0, 0)
    assert row(it, "enterprises/w1") == (None, HOLD, 0, 0, 0)
    verify(it)


def test_a_batch_holds_what_is_there_and_says_what_is_not() -> None:
    it = hands()
    allot(it, 2 * HOLD + 100)
    free_enterprises(it)
    uids = it.world.submit("w1", [job(), job(units=2), job()])
    result = it.admit(*uids)
    assert admitted(result) == [uids[0], uids[2]]
    [delta] = result.deltas
    assert isinstance(delta, StartRefused)
    reason = delta.reason
    assert (reason.code, reason.node) == (ReasonCode.BUDGET_CITY, "cities/wuhan")
    assert (reason.limit, reason.used, reason.requested) == (2 * HOLD + 100, HOLD, 2 * HOLD)
    assert (reason.short_by, reason.next_event_ms) == (HOLD - 100, OCT_MS)
    assert delta.retry_ms == it.clock.ms + RETRY_MS
    assert row(it) == (2 * HOLD + 100, 2 * HOLD, 0, 0, 0)
    verify(it)


def test_what_is_refused_is_tried_again_when_the_period_ends() -> None:
    it = hands(OCT_MS - 120_000)
    allot(it, 0)
    free_enterprises(it)
    [delta] = it.admit(*it.world.submit("w1", [job(wall_s=10)])).deltas
    assert isinstance(delta, StartRefused)
    assert delta.retry_ms == OCT_MS


def test_a_run_without_money_holds_no_unit_seconds() -> None:
    it = hands(rules=(), credit={"w2": 100})
    allot(it, HOLD)
    free_enterprises(it)
    poor = it.world.submit("w2", [job()])
    rich = it.world.submit("w1", [job()])
    result = it.admit(*poor, *rich)
    assert codes(result) == [ReasonCode.WALLET_SHORT, ReasonCode.BUDGET_CITY]
    _, delta = result.deltas
    assert isinstance(delta, StartRefused)
    assert delta.retry_ms == it.clock.ms + RETRY_SOON_MS, "what was put back is enough for it"
    assert row(it)[1] == 0
    assert admitted(it.admit(*rich)) == rich


def test_another_option_within_the_budget_is_tried() -> None:
    it = hands()
    allot(it, 0)
    allot(it, 10**6, flavor=CPU)
    free_enterprises(it)
    two = job()
    either = type(two)((*two.options, job(CPU).options[0]), two.wall_limit_s)
    [uid] = it.world.submit("w1", [either])
    [delta] = it.admit(uid).deltas
    assert isinstance(delta, JobQueued)
    assert [option.flavor for option in delta.options] == [CPU]


def test_a_hold_over_the_end_needs_the_next_period_and_is_split() -> None:
    it = hands(OCT_MS - 400_000)
    allot(it, 10_000)
    free_enterprises(it)
    uids = it.world.submit("w1", [job()])
    [delta] = it.admit(*uids).deltas
    assert isinstance(delta, StartRefused)
    assert delta.reason.code is ReasonCode.NEXT_PERIOD_NOT_OPEN
    assert (delta.reason.requested, delta.retry_ms) == (260, OCT_MS)
    allot(it, 10_000, period="2026-10")
    assert admitted(it.admit(*uids)) == uids
    parts = it.db.rows("SELECT part, period, unit_seconds FROM budget_hold ORDER BY part")
    assert parts == [(0, "2026-09", 400), (1, "2026-10", 260)]
    it.send(*uids)
    it.report(it.seen(uids[0], Phase.RUNNING, 1, start_ms=it.clock.ms))
    it.end(uids[0], 450)
    assert (row(it), row(it, period="2026-10")) == ((10_000, 0, 400, 0, 0), (10_000, 0, 50, 0, 0))
    verify(it)


def test_a_run_below_zero_is_marked_as_background() -> None:
    it = hands()
    allot(it, HOLD)
    free_enterprises(it, mode=Mode.OVERBURN, overburn_bps=10_000)
    uids = it.world.submit("w1", [job(), job(), job()])
    assert admitted(it.admit(*uids)) == uids[:2]
    marks = it.db.rows("SELECT job_uid, background FROM budget_hold ORDER BY job_uid")
    assert marks == [(uids[0], 0), (uids[1], 1)]
    details = it.db.rows("SELECT detail FROM event WHERE kind = 'ADMITTED' ORDER BY seq")
    assert ["background" in detail for (detail,) in details] == [False, True]


def test_budgets_that_are_switched_off_bind_nobody_but_settle_what_is_open() -> None:
    it = hands()
    allot(it, HOLD)
    free_enterprises(it)
    first, second = it.world.submit("w1", [job(), job()])
    it.run(first)
    set_terms(it, Terms(enabled=False, enterprises_free=True))
    assert admitted(it.admit(second)) == [second]
    it.end(first, 60)
    assert row(it) == (HOLD, 0, 60, 0, 0)
    verify(it)


# --- settlement -----------------------------------------------------------------------------------


def test_the_end_of_a_run_counts_its_use_and_lets_others_go_on() -> None:
    it = hands()
    allot(it, 10_000, flavor=FREE)  # no money comes back here
    free_enterprises(it)
    [uid] = it.world.submit("w1", [job(FREE, units=2)])
    it.run(uid)
    it.clock.ms += 300_000
    ended = it.seen(
        uid, Phase.SUCCEEDED, 2, start_ms=worlds.NOW_MS, end_ms=it.clock.ms,
        usage=[it.usage(uid, worlds.NOW_MS, it.clock.ms, units=2)],
    )  # fmt: skip
    assert it.report(ended).cities == {"wuhan"}
    assert row(it) == (10_000, 0, 600, 0, 0)
    assert row(it, "enterprises/w1") == (None, 0, 600, 0, 0)
    it.report(ended)
    it.db.do(lambda c: budget_holds.settle(c, {(uid, 1): []}, it.clock.ms))
    assert row(it) == (10_000, 0, 600, 0, 0), "once"
    verify(it)


@pytest.mark.parametrize(
    ("failure", "counts"),
    [
        (FailureClass.NODE, False),
        (FailureClass.CENTER, False),
        (FailureClass.PREEMPTED, False),
        (FailureClass.USER_CODE, True),
        (FailureClass.TIME_LIMIT, True),
    ],
)
def test_what_is_not_billed_is_not_counted(failure: FailureClass, counts: bool) -> None:
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.end(uid, 100, Phase.FAILED, failure)
    assert row(it) == (10_000, 0, 100 if counts else 0, 0, 0)
    verify(it)


def test_each_attempt_holds_and_settles_for_itself() -> None:
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    [uid] = it.world.submit("w1", [job(retry_on=frozenset({FailureClass.USER_CODE}))])
    it.run(uid)
    it.end(uid, 100, Phase.FAILED, FailureClass.USER_CODE)
    it.run(uid)
    assert row(it) == (10_000, HOLD, 100, 0, 0)
    it.end(uid, 200)
    assert row(it) == (10_000, 0, 300, 0, 0)
    verify(it)


def test_a_run_cancelled_before_it_was_sent_used_nothing() -> None:
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    it.db.do(lambda c: c.exec_driver_sql("UPDATE job SET cancel_requested = TRUE"))
    it.send(uid)
    assert row(it) == (10_000, 0, 0, 0, 0)
    verify(it)


def test_what_a_center_ran_beyond_the_hold_is_the_corridors() -> None:
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.end(uid, 1_000)
    assert row(it) == (10_000, 0, HOLD, 0, 0)
    assert row(it, "corridor") == (0, 0, 1_000 - HOLD, 0, 0)
    verify(it)


def test_figures_show_the_present_budgets_of_cities_and_what_is_owed() -> None:
    it = hands()
    allot(it, 10_000)
    allot(it, None, flavor=CPU)
    allot(it, 5_000, enterprise="w1")
    allot(it, 7_000, period="2026-10")
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    assert it.db.read_sync(lambda c: figures.read_budgets(c, it.clock.ms)) == figures.BudgetFigures(
        [("wuhan", NPU, 10_000, HOLD, 0, 10_000 - HOLD), ("wuhan", CPU, None, 0, 0, None)], [], []
    )
    it.end(uid, 1_000)
    it.db.do(
        lambda c: c.exec_driver_sql(
            "INSERT INTO budget_debt VALUES ('corridor', 'enterprises/w1', 'ai/npu', 7, 0),"
            " ('cities/ezhou', 'cities/wuhan', 'ai/npu', 5, 0)"
        )
    )
    found = it.db.read_sync(lambda c: figures.read_budgets(c, it.clock.ms))
    assert found.debts == [("wuhan", NPU, 12)]
    assert found.overruns == [(NPU, 1_000 - HOLD)]


# --- the database is the last word ----------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "held_unit_seconds = held_unit_seconds + 10001",
        "given_unit_seconds = 10001",
        "allotted_unit_seconds = -1",
        "held_unit_seconds = -1",
    ],
)
def test_no_statement_overspends(change: str) -> None:
    it = hands()
    allot(it, 10_000)
    with pytest.raises(sa.exc.IntegrityError):
        it.db.do(lambda c: c.exec_driver_sql(f"UPDATE budget SET {change}"))


def test_a_hold_is_settled_within_itself() -> None:
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    it.admit(*it.world.submit("w1", [job()]))
    with pytest.raises(sa.exc.IntegrityError):
        it.db.do(
            lambda c: c.exec_driver_sql(
                f"UPDATE budget_hold SET used_unit_seconds = {HOLD + 1}, settled_ms = 1"
            )
        )


def tampered(of: str) -> Sequence[str]:
    """What the verification says of books that somebody changed."""
    it = hands()
    allot(it, 10_000)
    free_enterprises(it)
    it.run(*it.world.submit("w1", [job()]))
    it.db.do(lambda c: c.exec_driver_sql(of))
    return it.db.read_sync(budget_journal.verify).problems


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE budget SET held_unit_seconds = 1 WHERE city = 'wuhan'", "the journal says 660"),
        ("UPDATE budget SET allotted_unit_seconds = 20000 WHERE enterprise = ''", "says 10000"),
        ("UPDATE budget_hold SET unit_seconds = 661", "its runs hold 661"),
        ("DELETE FROM budget WHERE enterprise = 'w1'", "in the journal alone"),
        ("INSERT INTO budget_debt VALUES ('cities/a', 'cities/b', 'f', 7, 0)", "owes cities/a 7"),
        ("UPDATE budget SET opened_ms = NULL WHERE enterprise = ''", "opened is False"),
    ],
)
def test_books_that_were_changed_show_against_the_journal(change: str, words: str) -> None:
    assert any(words in problem for problem in tampered(change))


# --- periods and who is told ----------------------------------------------------------------------


def test_the_first_admission_of_a_period_opens_it() -> None:
    it = hands(OCT_MS - 1_000)
    allot(it, 1_000)
    allot(it, 2_000, period="2026-10")
    free_enterprises(it, roll_over=True)
    it.clock.ms = OCT_MS
    uids = it.world.submit("w1", [job(units=4)])
    assert admitted(it.admit(*uids)) == uids, "3000 unit-seconds with what was left"
    assert row(it, period="2026-10") == (2_000, 4 * HOLD, 0, 1_000, 0)
    verify(it)


def test_a_period_is_opened_once_and_by_the_leader_alone() -> None:
    it = hands(OCT_MS - 1_000)
    allot(it, 1_000)
    allot(it, 2_000, period="2026-10")
    free_enterprises(it, roll_over=True)
    it.clock.ms = OCT_MS
    assert it.db.read_sync(lambda c: budget_openings.is_due(c, it.clock.ms))
    it.db.do(lambda c: take_over(c, "another", 0))
    with pytest.raises(Fenced):
        it.db.do(lambda c: budget_openings.open_due(c, it.clock.ms, it.epoch))
    opened = it.db.do(lambda c: budget_openings.open_due(c, it.clock.ms, it.epoch + 1))
    assert opened == {"wuhan"}
    assert not it.db.read_sync(lambda c: budget_openings.is_due(c, it.clock.ms))
    assert it.db.do(lambda c: budget_openings.open_due(c, it.clock.ms)) == set()
    assert row(it, period="2026-10") == (2_000, 0, 0, 1_000, 0)


@pytest.mark.parametrize("what", ["allot", "open"])
def test_jobs_refused_for_a_budget_are_looked_at_again_when_it_changes(what: str) -> None:
    it = hands(OCT_MS - 1_000)
    allot(it, 0)
    allot(it, 2_000, period="2026-10")
    head = it.db.read_sync(feed.head)
    if what == "allot":
        allot(it, 5_000)
    else:
        it.clock.ms = OCT_MS
        it.db.do(lambda c: budget_openings.open_due(c, it.clock.ms))
    _, deltas, _, changed = it.db.read_sync(lambda c: planner_feed.read_deltas(c, head, 100))
    assert deltas == [Unparked("wuhan")]
    assert not changed
