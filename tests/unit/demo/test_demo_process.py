"""The demonstration's hold on its service: an interruption is never lost."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from scheduler.demo.process import ServiceProcess

ANSWER = b'{"now_ms": 1, "speed": 2.0}\n'


@pytest.mark.parametrize("steps", range(4))
async def test_an_interruption_that_comes_with_an_answer_is_not_lost(
    tmp_path: Path, steps: int
) -> None:
    process = await asyncio.create_subprocess_exec(
        "cat", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    process.stdout = asyncio.StreamReader()
    first = {"address": "", "metrics": "", "now_ms": 0, "speed": 1.0}
    service = ServiceProcess(process, tmp_path / "log", first)
    turning = asyncio.create_task(service.set_speed(2.0))
    await asyncio.sleep(0)  # it has asked, and waits
    process.stdout.feed_data(ANSWER)
    for _ in range(steps):
        await asyncio.sleep(0)  # the news goes up from the reader
    if turning.cancel():
        with pytest.raises(asyncio.CancelledError):
            await turning
    else:
        assert service.clock.speed == 2.0
    assert await service.stop() == 0
