"""How long inputs take over the lines: size by bandwidth, upwards, in coarse steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.links import (
    TRANSFER_MAX_S,
    Link,
    Links,
    Located,
    check_location,
    in_steps,
    stage_s,
    transfer_s,
)

GB = 10**9
LINKS = Links.of(
    [
        Link("cities/ezhou", "centers/ai", 1000),
        Link("centers/ai", "centers/sc", 10_000),
    ],
    ["cities/ezhou", "cities/wuhan", "centers/ai", "centers/sc"],
)


@pytest.mark.parametrize(
    ("size", "mbit_s", "seconds"),
    [(0, 1000, 0), (1, 1000, 1), (GB, 1000, 8), (GB + 1, 1000, 9), (10 * GB, 10_000, 8)],
)
def test_a_transfer_takes_size_by_bandwidth_rounded_up(
    size: int, mbit_s: int, seconds: int
) -> None:
    assert transfer_s(size, mbit_s) == seconds


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, 0), (1, 1), (59, 59), (60, 60), (61, 120), (3_600, 3_600), (3_601, 4_200)],
)
def test_durations_are_rounded_up_to_coarse_steps(seconds: int, shown: int) -> None:
    assert in_steps(seconds) == shown


@given(st.integers(0, 1 << 70), st.integers(0, 1 << 70))
def test_steps_never_shorten_and_keep_the_order(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert in_steps(low) <= in_steps(high) <= TRANSFER_MAX_S
    assert low <= in_steps(low) or in_steps(low) == TRANSFER_MAX_S


def test_inputs_come_one_after_another_over_the_line_of_each() -> None:
    inputs = [Located("cities/ezhou", GB), Located("centers/sc", 10 * GB)]
    assert stage_s(inputs, "ai", LINKS) == 8 + 8
    assert stage_s(inputs[1:], "sc", LINKS) == 0, "it is there"
    assert stage_s(inputs[:1], "sc", LINKS) == 0, "no line is known"
    assert stage_s([Located("centers/ai", 10 * GB)], "sc", LINKS) == 8, "the same both ways"


def test_a_place_that_is_no_city_or_center_is_named() -> None:
    assert check_location("inputs[0].location", "", LINKS) == []
    assert check_location("inputs[0].location", "cities/wuhan", LINKS) == []
    [wrong] = check_location("inputs[0].location", "cities/paris", LINKS)
    assert "known are centers/ai, centers/sc, cities/ezhou, cities/wuhan" in wrong.description
