"""Scenarios side by side in processes of their own: where there is no Ray, and for a trace.

All of it ends with the task that awaits it: a cancelled call leaves no process behind.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from scheduler.whatif.figures import Figures
from scheduler.whatif.playing import Task, pack, unpack_figures
from scheduler.whatif.scenarios import BadScenario
from scheduler.whatif.worker import BAD_SCENARIO

_WORKER: Final = "scheduler.whatif.worker"
#: Told of a scenario (by its place) how many jobs have ended.
OnProgress = Callable[[int, int], None]
T = TypeVar("T")


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
    async with child(
        _WORKER, str(folder), str(number),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None, "it was asked for"
        assert process.stderr is not None, "it was asked for"
        words = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            on_progress(number, int(line))
        code = await process.wait()
        said = (await words).decode("utf-8", "replace").strip()
    if code == BAD_SCENARIO:
        where, _, what = said.partition("\t")
        raise BadScenario(where, what)
    if code:
        raise ScenarioFailed(said.rpartition("\n")[2] or f"exit code {code}")


@contextlib.asynccontextmanager
async def child(module: str, *arguments: str, stdin: int, stdout: int) -> AsyncIterator[Process]:
    """Run a module of ours as a process that is gone when this is left, however it is left."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # nothing of the directory that the command was started in
            "-m",
            module,
            *arguments,
            stdin=stdin,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the command, which ends it
        )
    )
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await to_the_end(starting))
        raise
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await to_the_end(asyncio.ensure_future(process.wait()))


async def to_the_end(task: asyncio.Future[T]) -> T:
    """Wait for what ends soon by itself, however often the waiting is cancelled meanwhile.

    For who cleans up after a cancellation: a service that stops cancels once more.
    """
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()
