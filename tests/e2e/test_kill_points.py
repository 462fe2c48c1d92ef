"""The service is killed with SIGKILL at each point of a job's way, and nothing is lost or doubled.

A sweep goes through all points there are: it kills at the first, the second and so on, until a
story ends before the point was reached.
"""

from typing import Any

import pytest

#: Before a commit nothing has happened, after it nobody was told; likewise for a center's calls.
#: Those that only ask change nothing, so their sweeps may wait for the slow tests.
SWEEPS = [
    pytest.param(point, when, marks=[pytest.mark.slow] if point in ("find", "usage") else [])
    for point in ("commit", "submit", "cancel", "find", "usage")
    for when in ("before", "after")
]
#: Of a story in which a center is drained; most of it is for the slow tests.
DRAINS = [
    pytest.param(point, when, marks=[] if point == "notify" else [pytest.mark.slow])
    for point in ("notify", "cancel", "commit")
    for when in ("before", "after")
]
#: More points than any story has.
POINTS_MAX = 500


def test_a_story_without_a_death(stories: Any) -> None:
    story, wrong = stories.tell(None)
    assert wrong == []
    assert story.deaths == 0


def test_a_service_that_acknowledges_too_early_is_found_out(stories: Any) -> None:
    # The first commits are those of the start; one of the next ones, among what centers say of
    # themselves, stores the batch: its answer is out already.
    def kill_at_the_start() -> None:
        for number in range(2, 30):
            stories.tell(("commit", "before", number), hasty=True)

    with pytest.raises(AssertionError, match="acknowledged and lost"):
        kill_at_the_start()


@pytest.mark.parametrize(("point", "when"), SWEEPS)
def test_every_point(stories: Any, point: str, when: str) -> None:
    sweep(stories, point, when)


@pytest.mark.parametrize(("point", "when"), DRAINS)
def test_every_point_of_a_drain(stories: Any, point: str, when: str) -> None:
    sweep(stories, point, when, drained=True)


def sweep(stories: Any, point: str, when: str, **how: bool) -> None:
    """Kill at the first point, at the second, and so on, until a story never comes so far."""
    for number in range(1, POINTS_MAX):
        story, wrong = stories.tell((point, when, number), **how)
        assert wrong == [], f"killed {when} {point} {number}"
        if story.deaths == 0:
            assert number > 1, "the story never passed the point"
            return
    raise AssertionError(f"a story passes {point} more than {POINTS_MAX} times")
