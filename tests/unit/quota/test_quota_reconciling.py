"""Both sides' records are paired, and each difference is named, whatever else differs."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quota.reconciling import (
    Comparison,
    Difference,
    DifferenceKind,
    Tolerance,
    UseRecord,
    Window,
    compare,
)

DAY_MS = 86_400_000
ALL = Window(0, 100 * DAY_MS)
EXACT = Tolerance(60, 0, 0)


def use(name: str, start_s: int = 100, seconds: int = 50, **more: Any) -> UseRecord:
    """A stretch of a run that was submitted at 50 s."""
    start_ms = start_s * 1000
    record = UseRecord(name, f"n-{name}", 50_000, start_ms, start_ms + seconds * 1000, 4, 900)
    return record._replace(**more)


def kinds(found: Comparison) -> list[str]:
    return [str(one.kind) for one in found.differences]


CHANGES: dict[str, dict[str, Any]] = {
    "SECONDS": {"end_ms": 7_000_000},
    "UNITS": {"units": 5},
    "AMOUNT": {"amount_fen": 901},
}


@given(st.lists(st.sampled_from(("", "MISSING_HERE", "MISSING_THERE", *CHANGES)), max_size=8))
def test_each_difference_is_named_once(fates: list[str]) -> None:
    """Both sides are made from one list, each record with a fate of its own."""
    here, there, due = [], [], []
    for number, fate in enumerate(fates):
        record = use(f"r{number}", start_s=100 + number)
        if fate != "MISSING_HERE":
            here.append(record)
        if fate != "MISSING_THERE":
            there.append(record._replace(**CHANGES.get(fate, {})))
        if fate:
            due.append((fate, record.name))
    found = compare(reversed(here), there, ALL, EXACT)
    named = [(str(one.kind), (one.here or one.there or use("")).name) for one in found.differences]
    assert sorted(named) == sorted(due)
    assert found.agreed == fates.count("")


def test_a_number_that_was_given_out_again_is_no_key() -> None:
    first, second = use("a"), use("b", native_id="n-a", start_s=1_000)
    assert compare([first, second], [first, second], ALL, EXACT) == Comparison(2, ())


def test_the_same_name_submitted_at_another_time_is_another_run() -> None:
    late = use("a", submit_ms=50_000 + 60_001)
    assert kinds(compare([use("a")], [late], ALL, EXACT)) == ["MISSING_HERE", "MISSING_THERE"]
    near = use("a", submit_ms=50_000 + 60_000)
    assert kinds(compare([use("a")], [near], ALL, EXACT)) == []


def test_stretches_of_one_run_follow_one_another() -> None:
    parts = [use("a", 100, 10), use("a", 200, 20), use("a", 300, 30)]
    assert compare(parts, reversed(parts), ALL, EXACT).agreed == 3
    assert compare(parts, parts[:2], ALL, EXACT).differences == (
        Difference(DifferenceKind.MISSING_THERE, parts[2], None),
    )


def test_what_ended_outside_of_the_window_only_finds_its_pair() -> None:
    window = Window(0, 150_000)
    inside, outside = use("a"), use("b", seconds=51)
    assert inside.end_ms == 150_000
    assert compare([inside], [], window, EXACT) == Comparison(0, ())
    earlier = use("a", seconds=49)
    assert kinds(compare([earlier], [inside], window, EXACT)) == ["SECONDS"]
    assert kinds(compare([earlier, outside], [], window, EXACT)) == ["MISSING_THERE"]


def test_tolerances_are_inclusive_and_unsaid_amounts_agree() -> None:
    near = Tolerance(60, 1, 5)
    assert kinds(compare([use("a")], [use("a", seconds=51, amount_fen=905)], ALL, near)) == []
    found = compare([use("a")], [use("a", seconds=52, amount_fen=906)], ALL, near)
    assert kinds(found) == ["AMOUNT", "SECONDS"]
    silent = use("a")._replace(amount_fen=None)
    assert compare([use("a")], [silent], ALL, EXACT).agreed == 1
