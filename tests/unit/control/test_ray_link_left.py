"""A planner on Ray that is given up while it is being opened: its process ends with that."""

import asyncio
import gc
import os
from pathlib import Path

import pytest

from scheduler.control.ray_link import RayPlanner
from scheduler.control.settings import LoopSettings


def children() -> list[str]:
    """Command lines of this process's own that plan on Ray, but for those that are dead."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            words = (one / "cmdline").read_bytes().decode()
            parent = int((one / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, UnicodeError):
            continue
        if parent == os.getpid() and "ray_planner" in words:
            found.append(words)
    return found


@pytest.mark.parametrize("turns", range(1, 12))
async def test_whoever_is_cancelled_while_it_opens_leaves_no_process(turns: int) -> None:
    opening = asyncio.create_task(RayPlanner.open(LoopSettings()))
    for _ in range(turns):
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait({opening})
    assert opening.cancelled()
    assert children() == []
    gc.collect()  # what is not closed would warn
