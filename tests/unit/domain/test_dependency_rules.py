"""Dependencies as a call names them: names, circles, and who falls with whom."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.dependencies import (
    CallNames,
    Condition,
    Dependency,
    Named,
    circle,
    in_vain,
    refused_with,
    resolve,
)
from scheduler.domain.ids import element_uid, job_id

NAMES = CallNames(["prepare", "train", "train", "", "j00000000000cc"])
BEFORE = 1 << 40


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("prepare", Named(place=0)),
        ("#0", Named(place=0)),
        ("#4", Named(place=4)),
        (job_id(BEFORE), Named(uid=BEFORE)),
        # A name that reads as an id is one.
        ("j00000000000cc", Named(uid=396)),
    ],
)
def test_a_job_is_named_by_id_place_or_name(text: str, found: Named) -> None:
    assert NAMES.find(text) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train", "several jobs"),
        ("trian", "no job of this call is named 'trian'"),
        ("", "no job of this call is named ''"),
        ("#5", "#0 to #4"),
        ("#-1", "no job of this call"),
        ("#99999999999999999999", "#0 to #4"),
    ],
)
def test_what_names_nothing_is_said(text: str, says: str) -> None:
    found = NAMES.find(text)
    assert isinstance(found, str)
    assert says in found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#1[4]", Named(place=1, index=4)),
        ("sweep[0]", Named(place=1, index=0)),
        ("a[9]", Named(place=2)),
        (f"{job_id(BEFORE)}[4]", Named(uid=element_uid(BEFORE, 4), array=BEFORE)),
        ("#1[5]", "#1 has elements 0 to 4"),
        ("#0[0]", "#0 has no elements: it is no array"),
        ("sweep[x]", "no job of this call is named 'sweep[x]'"),
        ("swoop[1]", "no job of this call is named 'swoop'"),
        ("#1[99999999999999999999]", "#1 has elements 0 to 4"),
        ("#1[1][1]", "'#1[1][1]' is not an element of an array"),
        (f"{job_id(BEFORE)}[x]", "no job of this call is named"),
    ],
)
def test_an_element_is_named_by_its_array_and_its_index(text: str, found: Named | str) -> None:
    names = CallNames(["plain", "sweep", "a[9]"], {1: 5})
    named = names.find(text)
    if isinstance(found, str):
        assert isinstance(named, str)
        assert named.startswith(found)
    else:
        assert named == found


def test_waiting_for_an_element_can_close_a_circle_and_is_waited_for_by_its_own_uid() -> None:
    names = CallNames(["a", "b", "c"], {0: 3})
    waits = {0: [Dependency("b")], 1: [Dependency("a[2]")], 2: [Dependency("#0[1]")]}
    found = resolve(names, waits, ())
    assert sorted(found.wrong) == [0, 1]
    assert refused_with(found.wrong, found.places()) == {2: 0}
    del waits[0]
    found = resolve(names, waits, ())
    assert not found.wrong
    assert found.waits_for(2, [BEFORE, 5, 6]) == {element_uid(BEFORE, 1): Condition.AFTER_SUCCESS}
    assert refused_with([0], found.places()) == {1: 0, 2: 0}
    assert resolve(names, {0: [Dependency("a[1]")]}, ()).wrong[0][0].description == (
        "a job cannot wait for itself"
    )


def test_circles_and_strangers_are_refused() -> None:
    waits = {
        0: [Dependency("#1")],
        1: [Dependency("#2"), Dependency(job_id(BEFORE))],
        2: [Dependency("#1"), Dependency(job_id(BEFORE + 1))],
        3: [Dependency("#3")],
    }
    found = resolve(CallNames(["a", "b", "c", "d"]), waits, {BEFORE})
    said = {
        place: [(one.field, one.description) for one in wrong]
        for place, wrong in found.wrong.items()
    }
    around = "these jobs wait for each other in a circle: #1 -> #2 -> #1"
    assert said == {
        1: [("depends_on", around)],
        2: [
            ("depends_on[1].job", f"the enterprise has no job {job_id(BEFORE + 1)}"),
            ("depends_on", around),
        ],
        3: [("depends_on[0].job", "a job cannot wait for itself")],
    }
    assert found.on_uids == {1: {BEFORE: Condition.AFTER_SUCCESS}}
    assert refused_with(found.wrong, found.places()) == {0: 1}


def test_however_many_circles_there_are_all_are_refused_and_nobody_else() -> None:
    """5,000 pairs, a job behind each, and as many that wait for one that waits for nobody."""
    waits = {}
    for pair in range(0, 20_000, 4):
        waits[pair], waits[pair + 1] = [Dependency(f"#{pair + 1}")], [Dependency(f"#{pair}")]
        waits[pair + 2] = [Dependency(f"#{pair}")]
        waits[pair + 3] = [Dependency("#20000")]
    found = resolve(CallNames([""] * 20_001), waits, {})
    gone = {*found.wrong, *refused_with(found.wrong, found.places())}
    assert gone == {place for place in range(20_000) if place % 4 < 3}


def test_of_two_conditions_on_one_job_the_stricter_counts() -> None:
    for order in (list(Condition), list(Condition)[::-1]):
        waits = {1: [Dependency("a", condition) for condition in order]}
        found = resolve(CallNames(["a", "b"]), waits, {})
        assert found.on_places == {1: {0: Condition.AFTER_SUCCESS}}


@given(st.integers(2, 12), st.randoms(use_true_random=False), st.booleans())
def test_a_circle_is_found_exactly_if_there_is_one(
    count: int, rng: random.Random, closed: bool
) -> None:
    order = list(range(count))
    rng.shuffle(order)
    # Each waits for some that stand before it in a hidden order: no circle, unless one is closed.
    waits = {
        place: rng.sample(order[:at], rng.randint(0, min(3, at))) for at, place in enumerate(order)
    }
    assert circle(waits) == in_vain(waits) == []
    if closed:
        for later, earlier in zip(order[1:], order, strict=False):
            waits[later] = [earlier]
        waits[order[0]] = [order[-1]]
        found = circle(waits)
        for place, other in zip(found, [*found[1:], found[0]], strict=True):
            assert other in waits[place]
        assert sorted(found) == sorted(order) == in_vain(waits)


def test_a_long_chain_needs_no_deep_stack() -> None:
    waits = {place: [place + 1] for place in range(10_000)}
    assert circle(waits) == []
    waits[10_000] = [0]
    assert len(circle(waits)) == 10_001
