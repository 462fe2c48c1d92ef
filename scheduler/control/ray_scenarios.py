"""Scenarios of a simulation as tasks on Ray: the end of it in the planner's child process.

A task has a worker of its own, which ends with it: it made itself nice, and must not become the
planner's. ``ray_planner`` imports this; nothing else does.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scheduler.whatif.processes import at_once
from scheduler.whatif.worker import HISTORY_FILE, tell_and_play


def play_task(history: bytes, task: bytes) -> Iterator[int | bytes]:
    """Body of a task on Ray: yields how many jobs have ended, then the packed figures."""
    yield from tell_and_play(history, task)


class RayScenarios:
    """Plays tasks; ``local`` says that Ray runs on this machine alone."""

    def __init__(self, local: bool) -> None:
        self._local = local

    async def play(
        self, folder: str, tasks: Sequence[bytes], tell: Callable[[int, int], None]
    ) -> list[bytes]:
        """Play all; a cancelled call cancels them. Raises whatever Ray raises."""
        import ray

        # A local Ray counts one processor; there we count ourselves.
        remote = ray.remote(
            num_cpus=0 if self._local else 1, num_returns="streaming", max_retries=0, max_calls=1
        )(play_task)
        history = await asyncio.to_thread(_put, folder)
        room = asyncio.Semaphore(at_once(len(tasks)) if self._local else len(tasks))

        async def one(number: int, task: bytes) -> bytes:
            async with room:
                told = remote.remote(history, task)
                try:
                    return await _heard(told, lambda ended: tell(number, ended))
                except BaseException:
                    with contextlib.suppress(Exception):
                        ray.cancel(told, force=True)
                    raise

        try:
            async with asyncio.TaskGroup() as group:
                playing = [group.create_task(one(*each)) for each in enumerate(tasks)]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in playing]


def _put(folder: str) -> Any:
    import ray

    return ray.put((Path(folder) / HISTORY_FILE).read_bytes())


async def _heard(told: AsyncIterator[Any], progress: Callable[[int], None]) -> bytes:
    async for reference in told:
        said: int | bytes = await reference
        if isinstance(said, bytes):
            return said
        progress(said)
    raise RuntimeError("a scenario ended without figures")
