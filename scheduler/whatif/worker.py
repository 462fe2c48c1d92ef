"""A process that plays one scenario: ``python -m scheduler.whatif.worker DIR NUMBER``.

It reads ``DIR/history`` and ``DIR/task-NUMBER``, prints how many jobs have ended as it goes, and
writes ``DIR/result-NUMBER``. It is nice to others, and ends when nobody hears it any more.
"""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Final

from scheduler.whatif.playing import pack, play, unpack_history, unpack_task
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


def main() -> int:
    """Play, and return the exit code."""
    folder, number = Path(sys.argv[1]), sys.argv[2]
    be_nice()
    told_s = time.monotonic()

    def progress(ended: int) -> None:
        nonlocal told_s
        now_s = time.monotonic()
        if now_s - told_s >= _PAUSE_S:
            told_s = now_s
            print(ended, flush=True)

    history = unpack_history((folder / HISTORY_FILE).read_bytes())
    task = unpack_task((folder / f"task-{number}").read_bytes())
    try:
        found = play(history, task, progress)
    except BadScenario as error:
        sys.stderr.write(f"{error.where}\t{error.what}")
        return BAD_SCENARIO
    (folder / f"result-{number}").write_bytes(pack(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
