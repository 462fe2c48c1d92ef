"""Scenarios side by side in processes of their own: where there is no Ray, and for a trace.

All of it ends with the task that awaits it: a cancelled call leaves no process behind.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from adapters import programs
from scheduler.whatif.figures import Figures
from scheduler.whatif.playing import Task, pack, unpack_figures
from scheduler.whatif.scenarios import BadScenario
from scheduler.whatif.worker import BAD_SCENARIO

_WORKER: Final = "scheduler.whatif.worker"
#: Told of a scenario (by its place) how many jobs have ended.
OnProgress = Callable[[int, int], None]


class ScenarioFailed(Exception):
    """A process that played a scenario ended without an answer; the message is its last line."""


def at_once(tasks: int) -> int:
    """Return how many scenarios run side by side: one a processor, one is left to others."""
    return max(1, min(tasks, (os.cpu_count() or 2) - 1))


async def play_all(folder: Path, tasks: Sequence[Task], on_progress: OnProgress) -> list[Figures]:
    """Play the tasks on the history in ``folder``; figures in the order of the tasks.

    Raises ``BadScenario`` and ``ScenarioFailed``.
    """
    room = asyncio.Semaphore(at_once(len(tasks)))

    async def one(number: int, task: Task) -> Figures:
        async with room:
            (folder / f"task-{number}").write_bytes(pack(task))
            await _play(folder, number, on_progress)
            return unpack_figures((folder / f"result-{number}").read_bytes())

    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(one(*each)) for each in enumerate(tasks)]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in running]


async def _play(folder: Path, number: int, on_progress: OnProgress) -> None:
    def tell(line: bytes) -> None:
        on_progress(number, int(line))

    code, _, said = await run_module(_WORKER, str(folder), str(number), on_line=tell)
    if code == BAD_SCENARIO:
        where, _, what = said.partition("\t")
        raise BadScenario(where, what)
    if code:
        raise ScenarioFailed(said.rpartition("\n")[2] or f"exit code {code}")


async def run_module(
    module: str,
    *arguments: str,
    given: bytes = b"",
    on_line: Callable[[bytes], None] | None = None,
) -> programs.Ended:
    """Run a module of ours as a process to its end; it is gone when this is left, however."""
    # -P: nothing of the directory that the command was started in.
    command = [sys.executable, "-P", "-m", module, *arguments]
    return await programs.run(command, given, on_line)
