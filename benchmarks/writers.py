"""Writers past the service's one: processes with a connection each, which begin together.

``begun`` is a writer's side: it says that it is ready, and waits until its standard input ends.
"""

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter, process_time
from typing import Final, NamedTuple

from scheduler.cli.serve_cmd import collect_seldom

WRITERS: Final = 8


class Wrote(NamedTuple):
    """What one writer did, and how many holds or settlements that is."""

    began_s: float
    ended_s: float
    done: int
    cpu_s: float


def together(module: str, url: str, first: int, count: int, batch: int) -> list[Wrote]:
    """Run ``python -m MODULE URL FIRST COUNT BATCH`` for all writers, each for its own ``count``.

    The first of them is for what is from ``first`` on, the next for what follows.
    """
    command = [sys.executable, "-m", module, url]
    writers = [
        subprocess.Popen(
            [*command, str(first + number * count), str(count), str(batch)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(WRITERS)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    found = []
    for writer in writers:
        assert writer.stdout is not None
        told = writer.stdout.read()
        if writer.wait():
            raise RuntimeError("a writer failed")
        found.append(Wrote(*json.loads(told)))
    return found


def spent_s(wrote: Sequence[Wrote]) -> float:
    """From when the first began to when the last ended."""
    return max(one.ended_s for one in wrote) - min(one.began_s for one in wrote)


@contextmanager
def as_served() -> Iterator[None]:
    """Collect cycles as seldom as ``corridor serve`` does, and go over nothing made before."""
    before = gc.get_threshold()
    collect_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def begun(work: Callable[[], int]) -> None:
    """Be a writer: get ready, wait, work and tell of it; ``work`` returns how much it did."""
    with as_served():
        print("ready", flush=True)
        sys.stdin.read()
        began_s, began_cpu_s = perf_counter(), process_time()
        count = work()
        wrote = Wrote(began_s, perf_counter(), count, process_time() - began_cpu_s)
    print(json.dumps(wrote), flush=True)
