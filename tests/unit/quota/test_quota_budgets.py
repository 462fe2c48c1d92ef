"""Budgets: one test a rule, over the pure book."""

import pytest

from quota import budget_periods
from quota.budget_periods import shares, spread
from quota.budgets import Bar, Book, Entry, Held, Kind, Mode, Part, Refused, Terms, Use, Wanted, cut
from quota.calendar import period_bounds, period_of

NPU = "ai/npu"
OCT_MS, NOV_MS = period_bounds("2026-10")
NOW_MS = OCT_MS + 10 * 86_400_000
E1, WUHAN = "enterprises/e1", "cities/wuhan"


def book(
    city: int | None = 10_000, enterprise: int | None = None, *, period: str = "2026-10",
    **terms: object,
) -> Book:  # fmt: skip
    """Wuhan and e1 with budgets of this month."""
    made = Book({"wuhan": Terms(grace_s=0, **terms)})  # type: ignore[arg-type]
    made.allot((WUHAN, NPU, period), city, "wuhan")
    made.allot((E1, NPU, period), enterprise, "wuhan")
    budget_periods.open_due(made, NOW_MS)
    return made


def run(units: int = 1, wall_s: int = 1_000) -> Wanted:
    """A run of e1."""
    return Wanted("wuhan", "e1", NPU, units, wall_s)


def refused(found: Held | Refused) -> Refused:
    """The refusal."""
    assert isinstance(found, Refused)
    return found


def figures(of: Book, node: str = WUHAN, period: str = "2026-10") -> tuple[int, int, int, int]:
    """(H, S, I, O)."""
    found = of.budgets[node, NPU, period]
    return found.held, found.settled, found.received, found.given


def hold(of: Book, wanted: Wanted, uid: int = 1, at_ms: int = NOW_MS) -> tuple[Part, ...]:
    """Hold for a run that must fit."""
    found = of.take(wanted, at_ms)
    assert isinstance(found, Held), found
    of.note_hold(wanted, found, uid, 1)
    return found.parts


# --- holds ----------------------------------------------------------------------------------------


def test_a_run_holds_units_times_limit_and_grace_at_both_levels() -> None:
    it = book(enterprise=5_000)
    it.terms = {"wuhan": Terms(grace_s=60)}
    hold(it, run(units=2, wall_s=1_000))
    assert figures(it) == figures(it, E1) == (2_120, 0, 0, 0)


def test_what_is_free_bounds_both_levels_the_enterprise_first() -> None:
    it = book(10_000, 3_000)
    found = refused(it.take(run(units=4), NOW_MS))
    assert found == Refused(Bar.ENTERPRISE, E1, "2026-10", 3_000, 0, 4_000, 1_000, NOV_MS)
    hold(it, run(units=3))
    it.allot((E1, NPU, "2026-10"), 20_000, "wuhan")
    found = refused(it.take(run(units=8), NOW_MS))
    assert (found.bar, found.node) == (Bar.CITY, WUHAN)
    assert (found.limit, found.used, found.requested, found.short_by) == (
        10_000,
        3_000,
        8_000,
        1_000,
    )
    assert isinstance(it.take(run(units=7), NOW_MS), Held), "exactly all fits"


def test_no_limit_no_budget_and_none_set_are_three_things() -> None:
    unlimited = book(None, None)
    assert isinstance(unlimited.take(run(units=10**9), NOW_MS), Held)
    nothing = book(0, None)
    assert refused(nothing.take(run(), NOW_MS)).limit == 0
    unset = Book({"wuhan": Terms()})
    assert refused(unset.take(run(), NOW_MS)).bar is Bar.ENTERPRISE
    unset.allot((E1, NPU, "2026-10"), 10**9, "wuhan")
    assert refused(unset.take(run(), NOW_MS)).bar is Bar.CITY


def test_enterprises_may_be_free_of_budgets_of_their_own() -> None:
    it = Book({"wuhan": Terms(grace_s=0, enterprises_free=True)})
    it.allot((WUHAN, NPU, "2026-10"), 1_000, "wuhan")
    hold(it, run())
    assert figures(it, E1) == (1_000, 0, 0, 0), "what it uses is counted all the same"
    assert it.budgets[E1, NPU, "2026-10"].allotted is None
    assert refused(it.take(run(), NOW_MS)).bar is Bar.CITY


def test_what_is_put_back_is_free_again() -> None:
    it = book()
    found = it.take(run(units=10), NOW_MS)
    assert isinstance(found, Held)
    assert isinstance(it.look(run(), NOW_MS), Refused)
    it.put_back(run(units=10), found)
    assert figures(it) == (0, 0, 0, 0)


# --- the end of a period --------------------------------------------------------------------------


def test_a_hold_over_the_end_is_split_at_the_instant() -> None:
    assert cut(NOV_MS - 400_000, 1_000, 1) == [("2026-10", 400), ("2026-11", 600)]
    assert cut(NOV_MS - 400_999, 1_000, 1) == [("2026-10", 400), ("2026-11", 600)]
    assert cut(NOV_MS - 400_000, 400, 1) == [("2026-10", 400)]
    assert cut(NOV_MS - 999, 10, 1) == [("2026-11", 10)]
    assert cut(NOV_MS, 10, 1) == [("2026-11", 10)]
    months = cut(OCT_MS, 62 * 86_400, 1)
    assert months == [("2026-10", 31 * 86_400), ("2026-11", 30 * 86_400), ("2026-12", 86_400)]
    assert cut(OCT_MS, 10, 3) == [("2026Q4", 10)]


def test_the_next_period_must_be_set_at_both_levels() -> None:
    it = book()
    at_ms = NOV_MS - 400_000
    found = refused(it.take(run(), at_ms))
    assert (found.bar, found.node, found.requested) == (Bar.NEXT_PERIOD, E1, 600)
    assert found.next_event_ms == NOV_MS
    it.allot((E1, NPU, "2026-11"), None, "wuhan")
    assert refused(it.take(run(), at_ms)).node == WUHAN
    it.allot((WUHAN, NPU, "2026-11"), 500, "wuhan")
    found = refused(it.take(run(), at_ms))
    assert (found.bar, found.period, found.short_by) == (Bar.CITY, "2026-11", 100)
    it.allot((WUHAN, NPU, "2026-11"), 600, "wuhan")
    assert hold(it, run(), at_ms=at_ms) == (Part("2026-10", 400), Part("2026-11", 600))


def test_want_of_budget_now_is_told_before_want_of_the_next_period() -> None:
    it = book(300)
    assert refused(it.take(run(), NOV_MS - 400_000)).bar is Bar.CITY


def test_a_city_may_carry_a_hold_into_a_period_that_is_not_set() -> None:
    it = book(carry=True)
    assert hold(it, run(), at_ms=NOV_MS - 400_000) == (Part("2026-10", 1_000),)


def test_what_will_be_repaid_is_not_held_before_its_period_opens() -> None:
    it = book()
    it.debts["cities/ezhou", WUHAN, NPU] = 10_000
    it.allot((WUHAN, NPU, "2026-11"), 1_000, "wuhan")
    it.allot((E1, NPU, "2026-11"), None, "wuhan")
    found = refused(it.take(run(), NOV_MS - 400_000))
    assert (found.limit, found.short_by) == (500, 100)


def test_periods_are_months_or_quarters_of_shanghai() -> None:
    assert [period_of(OCT_MS + more, 1) for more in (-1, 0)] == ["2026-09", "2026-10"]
    assert [period_of(OCT_MS + more, 3) for more in (-1, 0)] == ["2026Q3", "2026Q4"]


# --- settlement -----------------------------------------------------------------------------------


def test_what_was_used_is_counted_and_the_rest_is_free() -> None:
    it = book()
    parts = hold(it, run(units=2))
    uses = [Use(NOW_MS, NOW_MS + 300_999, 2)]
    assert budget_periods.settle(it, run(units=2), parts, uses, (1, 1)) == ([600], 0)
    assert figures(it) == figures(it, E1) == (0, 600, 0, 0)


def test_a_run_that_is_not_counted_uses_nothing() -> None:
    it = book()
    parts = hold(it, run())
    budget_periods.settle(it, run(), parts, [], (1, 1))
    assert figures(it) == (0, 0, 0, 0)


def test_use_is_counted_in_the_period_in_which_it_lies() -> None:
    parts = (Part("2026-10", 800), Part("2026-11", 1_200))
    late = [Use(NOV_MS - 100_500, NOV_MS + 200_000, 2)]
    assert spread(parts, late) == ([200, 400], 0)
    segments = [Use(NOV_MS - 300_000, NOV_MS - 200_000, 1), Use(NOV_MS + 1, NOV_MS + 5_001, 3)]
    assert spread(parts, segments) == ([100, 15], 0)


def test_a_run_that_began_late_keeps_to_its_hold_as_a_whole() -> None:
    parts = (Part("2026-10", 400), Part("2026-11", 600))
    assert spread(parts, [Use(NOV_MS + 1_000, NOV_MS + 901_000, 1)]) == ([300, 600], 0)
    early = [Use(NOV_MS - 900_000, NOV_MS - 300_000, 1)]
    assert spread(parts, early) == ([400, 200], 0)


def test_what_ran_beyond_the_hold_is_the_corridors() -> None:
    it = book()
    parts = hold(it, run(units=2))
    uses = [Use(NOW_MS, NOW_MS + 1_200_000, 2)]
    assert budget_periods.settle(it, run(units=2), parts, uses, (1, 1)) == ([2_000], 400)
    assert figures(it) == (0, 2_000, 0, 0)
    assert figures(it, "corridor") == (0, 400, 0, 0)


# --- modes ----------------------------------------------------------------------------------------


def test_overburn_goes_a_part_below_zero_and_marks_the_run() -> None:
    it = book(1_000, mode=Mode.OVERBURN, overburn_bps=5_000)
    first = it.take(run(), NOW_MS)
    assert isinstance(first, Held)
    assert not first.background
    second = it.take(run(wall_s=500), NOW_MS)
    assert isinstance(second, Held)
    assert second.background
    found = refused(it.take(run(wall_s=1), NOW_MS))
    assert (found.limit, found.used, found.short_by) == (1_500, 1_500, 1)


def test_what_was_used_below_zero_is_a_debt_at_the_next_opening() -> None:
    it = book(1_000, mode=Mode.OVERBURN, overburn_bps=5_000)
    parts = hold(it, run())
    budget_periods.settle(it, run(), parts, [Use(NOW_MS, NOW_MS + 1_000_000, 1)], (1, 1))
    parts = hold(it, run(wall_s=400), 2)
    budget_periods.settle(it, run(wall_s=400), parts, [Use(NOW_MS, NOW_MS + 300_000, 1)], (2, 1))
    it.allot((WUHAN, NPU, "2026-11"), 1_000, "wuhan")
    budget_periods.open_due(it, NOV_MS)
    assert figures(it) == (0, 1_300, 300, 0)
    assert figures(it, period="2026-11") == (0, 0, 0, 300), "repaid at once"
    assert it.owed(WUHAN, NPU) == {}


def test_a_run_that_ends_after_the_opening_is_owed_too() -> None:
    it = book(1_000, mode=Mode.OVERBURN, overburn_bps=5_000)
    parts = hold(it, run(wall_s=1_400))
    it.allot((WUHAN, NPU, "2026-11"), 1_000, "wuhan")
    budget_periods.open_due(it, NOV_MS)
    assert it.owed(WUHAN, NPU) == {}, "nobody knows yet what it uses"
    uses = [Use(NOW_MS, NOW_MS + 1_250_000, 1)]
    budget_periods.settle(it, run(wall_s=1_400), parts, uses, (1, 1))
    assert it.owed(WUHAN, NPU) == {"corridor": 250}


def test_observe_counts_and_bars_nothing() -> None:
    it = Book({"wuhan": Terms(grace_s=0, mode=Mode.OBSERVE)})
    it.allot((WUHAN, NPU, "2026-10"), 0, "wuhan")
    hold(it, run(units=99))
    assert it.budgets[WUHAN, NPU, "2026-10"].free == -99_000


# --- openings -------------------------------------------------------------------------------------


def test_what_is_left_rolls_over_only_if_the_terms_say_so() -> None:
    for roll_over, gets in ((False, 0), (True, 9_000)):
        it = book(roll_over=roll_over)
        parts = hold(it, run())
        it.allot((WUHAN, NPU, "2026-11"), 5_000, "wuhan")
        budget_periods.open_due(it, NOV_MS)
        assert figures(it, period="2026-11") == (0, 0, gets, 0)
        # The run that was open over the end frees the rest of its hold into the new period.
        budget_periods.settle(it, run(), parts, [Use(NOW_MS, NOW_MS + 400_000, 1)], (1, 1))
        more = 600 if roll_over else 0
        assert figures(it, period="2026-11") == (0, 0, gets + more, 0)


def test_what_a_run_frees_two_periods_later_goes_on_to_the_present_one() -> None:
    it = book(roll_over=True)
    parts = hold(it, run(units=10))
    for period in ("2026-11", "2026-12"):
        it.allot((WUHAN, NPU, period), 0, "wuhan")
    budget_periods.open_due(it, period_bounds("2026-12")[0])
    budget_periods.settle(it, run(units=10), parts, [], (1, 1))
    assert figures(it, period="2026-11") == (0, 0, 10_000, 10_000)
    assert figures(it, period="2026-12") == (0, 0, 10_000, 0)


def test_a_period_opens_once() -> None:
    it = book(roll_over=True)
    it.allot((WUHAN, NPU, "2026-11"), 5_000, "wuhan")
    assert budget_periods.open_due(it, NOV_MS - 1) == []
    assert budget_periods.open_due(it, NOV_MS) == [(WUHAN, NPU, "2026-11")]
    assert budget_periods.open_due(it, NOV_MS) == []
    assert figures(it, period="2026-11") == (0, 0, 10_000, 0)


def test_hours_expire_over_a_period_that_was_never_set() -> None:
    it = book(roll_over=True)
    it.allot((WUHAN, NPU, "2026-12"), 5_000, "wuhan")
    budget_periods.open_due(it, period_bounds("2026-12")[0])
    assert figures(it, period="2026-12") == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("debt", "allotted", "repaid"), [(300, 1_000, 300), (800, 1_000, 500), (800, 0, 0)]
)
def test_at_most_half_of_an_allotment_is_repaid(debt: int, allotted: int, repaid: int) -> None:
    it = book()
    it.terms = {**it.terms, "ezhou": Terms()}
    it.debts["cities/ezhou", WUHAN, NPU] = debt
    it.allot(("cities/ezhou", NPU, "2026-11"), 0, "ezhou")
    it.allot((WUHAN, NPU, "2026-11"), allotted, "wuhan")
    budget_periods.open_due(it, NOV_MS)
    assert figures(it, period="2026-11") == (0, 0, 0, repaid)
    assert figures(it, "cities/ezhou", "2026-11") == (0, 0, repaid, 0)
    assert it.debts["cities/ezhou", WUHAN, NPU] == debt - repaid


def test_a_lender_without_a_budget_is_repaid_later() -> None:
    it = book()
    it.terms = {**it.terms, "ezhou": Terms()}
    it.debts["cities/ezhou", WUHAN, NPU] = 300
    it.allot((WUHAN, NPU, "2026-11"), 1_000, "wuhan")
    budget_periods.open_due(it, NOV_MS)
    assert it.debts["cities/ezhou", WUHAN, NPU] == 300


def test_a_repayment_takes_nothing_that_is_held() -> None:
    it = book(carry=True)
    it.allot((WUHAN, NPU, "2026-11"), 1_000, "wuhan")
    it.allot((E1, NPU, "2026-11"), None, "wuhan")
    hold(it, run(wall_s=1_300), at_ms=NOV_MS - 400_000)
    it.debts["corridor", WUHAN, NPU] = 800  # what came to be owed after the hold
    budget_periods.open_due(it, NOV_MS)
    assert figures(it, period="2026-11") == (900, 0, 0, 100)


def test_a_repayment_is_divided_and_the_last_takes_the_rest_up_to_what_it_is_owed() -> None:
    assert shares(10, {"b": 50, "a": 50, "c": 100}) == {"a": 2, "b": 2, "c": 6}
    assert shares(2, {"a": 1, "b": 1, "c": 1}) == {"b": 1, "c": 1}
    assert shares(0, {"a": 5}) == {}
    assert shares(7, {"a": 3, "b": 4}) == {"a": 3, "b": 4}


def test_a_book_is_what_its_entries_add_up_to() -> None:
    it = book(roll_over=True)
    parts = hold(it, run())
    it.allot((WUHAN, NPU, "2026-11"), 5_000, "wuhan")
    budget_periods.open_due(it, NOV_MS)
    budget_periods.settle(it, run(), parts, [Use(NOW_MS, NOW_MS + 2_000_000, 1)], (1, 1))
    again = Book({})
    for entry in it.entries:
        if entry.kind is not Kind.HOLD:
            again.apply(entry)
    again.apply(Entry(Kind.HOLD, E1, NPU, "2026-10", held=1_000, parent=WUHAN))
    for key, budget in it.budgets.items():
        assert (budget.limit, budget.used) == (again.budgets[key].limit, again.budgets[key].used)
