"""Each threshold is told of exactly once, and again only after it was left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota.alerting import (
    DAY_MS,
    THRESHOLDS,
    AlertKind,
    Seen,
    Subject,
    Told,
    changes,
    days_left,
    used_percents,
)

FUND = THRESHOLDS[AlertKind.FUND_USED]
SUBJECT = Subject(AlertKind.FUND_USED, "v/2026", "wuhan")


@pytest.mark.parametrize(
    ("used", "limit", "reached"),
    [
        (0, 1_000, ()),
        (499, 1_000, ()),
        (500, 1_000, (50,)),
        (799, 1_000, (50,)),
        (800, 1_000, (50, 80)),
        (999, 1_000, (50, 80)),
        (1_000, 1_000, (50, 80, 100)),  # at exactly 100 %, not only above
        (1_001, 1_000, (50, 80, 100)),
        (0, 0, ()),
        (1, 0, (50, 80, 100)),
        (33, 67, ()),
        (34, 67, (50,)),
    ],
)
def test_percents_are_exact(used: int, limit: int, reached: tuple[int, ...]) -> None:
    assert used_percents(used, limit, FUND) == reached


def test_days_count_to_the_millisecond() -> None:
    at_ms = 100 * DAY_MS
    assert days_left(at_ms, at_ms - 30 * DAY_MS - 1, (30, 7)) == ()
    assert days_left(at_ms, at_ms - 30 * DAY_MS, (30, 7)) == (30,)
    assert days_left(at_ms, at_ms - 7 * DAY_MS, (30, 7)) == (30, 7)
    assert days_left(at_ms, at_ms + 1, (30, 7)) == (30, 7)


@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 110)), max_size=30))
def test_a_threshold_is_told_of_once_each_time_it_is_reached(
    course: list[tuple[int, int]],
) -> None:
    """Beside a count of the edges: told of as often as it went from below to reached."""
    open_alerts: dict[int, Told] = {}
    told = dict.fromkeys(FUND, 0)
    edges = dict.fromkeys(FUND, 0)
    was: tuple[int, ...] = ()
    for used, limit in course:
        reached = used_percents(used, limit, FUND)
        for threshold in FUND:
            edges[threshold] += threshold in reached and threshold not in was
        was = reached
        found = changes([Seen(SUBJECT, reached, ())], open_alerts.values())
        for number in found.armed:
            del open_alerts[number]
        for one in found.raised:
            told[one.threshold] += 1
            number = sum(told.values())
            open_alerts[number] = Told(number, SUBJECT.kind, SUBJECT.name, one.threshold)
        again = changes([Seen(SUBJECT, reached, ())], open_alerts.values())
        assert again == ((), ())
    assert told == edges


def test_what_is_over_is_armed_again() -> None:
    told = [Told(7, "FUND_USED", "v/2025", 50), Told(8, "FUND_USED", "v/2026", 50)]
    found = changes([Seen(SUBJECT, (50,), ())], told)
    assert found == ((), (7,))
