"""A process that plays one scenario: ``python -m scheduler.whatif.worker DIR NUMBER``.

It reads ``DIR/history`` and ``DIR/task-NUMBER``, prints how many jobs have ended as it goes, and
writes ``DIR/result-NUMBER``. It is nice to others, and ends when nobody hears it any more.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scheduler.whatif.playing import pack, play_in_steps, unpack_history, unpack_task
from scheduler.whatif.scenarios import BadScenario

NICENESS: Final = 15
HISTORY_FILE: Final = "history"
#: Exit code of a scenario that cannot be played; stderr has the field, a tab and why.
BAD_SCENARIO: Final = 3
_PAUSE_S: Final = 0.2


def be_nice() -> None:
    """Let everything else on the machine go first."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICENESS)


def tell_and_play(history: bytes, task: bytes) -> Iterator[int | bytes]:
    """Yield how many jobs have ended, not too often, and at last the packed figures.

    Raises ``BadScenario``.
    """
    be_nice()
    told_s = time.monotonic()
    steps = play_in_steps(unpack_history(history), unpack_task(task))
    while True:
        try:
            ended = next(steps)
        except StopIteration as done:
            yield pack(done.value)
            return
        now_s = time.monotonic()
        if now_s - told_s >= _PAUSE_S:
            told_s = now_s
            yield ended


def main() -> int:
    """Play, and return the exit code."""
    folder, number = Path(sys.argv[1]), sys.argv[2]
    history = (folder / HISTORY_FILE).read_bytes()
    task = (folder / f"task-{number}").read_bytes()
    try:
        for told in tell_and_play(history, task):
            if isinstance(told, bytes):
                (folder / f"result-{number}").write_bytes(told)
            else:
                print(told, flush=True)
    except BadScenario as error:
        sys.stderr.write(f"{error.where}\t{error.what}")
        return BAD_SCENARIO
    return 0


if __name__ == "__main__":
    sys.exit(main())
