"""Random stories of the whole control plane, each from a seed that reproduces it exactly.

``python -m tests.simulation 1000 200`` tells 200 stories from seed 1000 on.
"""

import asyncio
from pathlib import Path

import pytest

from tests.simulation.story import Story

STEPS = 200


async def tell(seed: int, folder: Path, steps: int = STEPS) -> Story:
    """Tell a story; what goes wrong says where."""
    story = Story(seed, folder)
    try:
        async with asyncio.timeout(300):  # a story that waits for something waits for ever
            await story.run(steps)
    except Exception as error:
        last = "\n".join(story.log[-20:])
        raise AssertionError(f"seed {seed}, after\n{last}\n{error!r}") from error
    return story


@pytest.mark.parametrize("seed", range(1, 7))
async def test_a_story(seed: int, tmp_path: Path) -> None:
    await tell(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 340, 20))
async def test_many_stories(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 20):
        await tell(seed, tmp_path, 300)


async def test_a_seed_tells_the_same_story_every_time(tmp_path: Path) -> None:
    feeds = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        story = await tell(3, folder, 120)
        feeds.append((story.log, story.world.db.rows("SELECT * FROM event ORDER BY seq")))
    assert feeds[0] == feeds[1]


async def test_stories_are_not_dull(tmp_path: Path) -> None:
    """Else the others prove little: what may happen does happen, within a few seeds."""
    seen: set[str] = set()
    for seed in (1, 10, 63):
        story = await tell(seed, tmp_path)
        rows = story.world.db.rows
        seen |= {kind for (kind,) in rows("SELECT DISTINCT kind FROM event")}
        seen |= {f"failure {one}" for (one,) in rows("SELECT DISTINCT failure_class FROM run")}
        seen |= {state for (state,) in rows("SELECT DISTINCT state FROM hold")}
        seen |= {line.strip().partition(" ")[0] for line in story.log if "dies" in line}
        seen |= {
            f"{state} by {cause}"
            for state, cause in rows("SELECT DISTINCT state, evict_cause FROM run")
        }
        seen |= {"planned"} if story.auditor.evictions_planned else set()
        if rows("SELECT 1 FROM run WHERE exit_code = 75 AND state = 'PREEMPTED'"):
            seen.add("saved")
        if rows("SELECT 1 FROM event WHERE kind = 'CANCELLED' AND detail LIKE '%waited_for%'"):
            seen.add("waited in vain")
        if rows("SELECT 1 FROM job WHERE array_uid = uid AND state = 'SUCCEEDED'"):
            seen.add("whole array")
        if rows("SELECT 1 FROM job WHERE attempt > 1"):
            seen.add("retry")
        if rows("SELECT 1 FROM job WHERE subsidy_fen > 0 AND self_pay_fen > 0"):
            seen.add("shared charge")
    assert {
        "RUN_UNKNOWN", "REQUEUED", "CANCEL_REQUESTED", "CANCELLED", "EXPIRED", "HELD", "RELEASED",
        "SUCCEEDED", "FAILED", "SETTLED", "VOIDED", "retry", "shared charge", "dies",
        "failure LOST", "failure NODE", "failure PREEMPTED", "failure REJECTED_BY_CENTER",
        "failure USER_CODE", "EVICTION_NOTICED", "EMERGENCY_GRANTED", "PREEMPTED by RECLAIM",
        "PREEMPTED by DRAIN", "saved", "planned", "READY", "ALL_STARTED", "waited in vain",
        "whole array", "RUN_FORGOTTEN",
    } <= seen  # fmt: skip
