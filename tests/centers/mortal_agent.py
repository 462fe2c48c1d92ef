"""The real agent in a process of its own, which the calls to its center may kill (``stricken``).

``.venv/bin/python mortal_agent.py ORDER`` keeps one agent alive as systemd would: whenever it was
killed there is a new one at once, forked from a process that has all imported. An order is JSON:
``center``, ``centers_file``, ``server``, ``token_file``, ``state_dir`` and the folder of
``strikes``. An agent that ends by itself ends all, with its exit code.
"""

import asyncio
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop

from scheduler import logs
from scheduler.agent import process
from scheduler.agent.process import AgentOptions
from tests.centers.mortal_service import PID_FILE
from tests.centers.stricken import Harm, StrickenCenter, Strikes
from tests.e2e.killable_service import die_with_parent

#: Who is killed at a call of the agent to its center; of one that is lost the journal is gone too.
VICTIMS: Final = ("agent", "lost-agent", "both", "service")
BEFORE: Final = tuple(f"{victim}-killed-before" for victim in VICTIMS)
AFTER: Final = tuple(f"{victim}-killed-after" for victim in VICTIMS)
#: Far above what a service takes to be born again.
_PATIENCE_S: Final = 20.0


def _kill(journal: Path, strikes: Path, what: str) -> None:
    victim = what.partition("-killed")[0]
    if victim in ("both", "service"):
        _kill_service(strikes / PID_FILE)
    if victim == "lost-agent":
        for path in journal.parent.glob(f"{journal.name}*"):
            path.unlink()
    if victim != "service":
        os.kill(os.getpid(), signal.SIGKILL)


def _kill_service(pid_file: Path) -> None:
    """Kill the service; while it is dead of something else, wait until there is one."""
    end_s = time.monotonic() + _PATIENCE_S
    while not _is_service(pid := int(pid_file.read_text())):
        assert time.monotonic() < end_s, "there is no service to kill"
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)


def _is_service(pid: int) -> bool:
    try:
        return b"mortal_service" in Path(f"/proc/{pid}/cmdline").read_bytes()  # empty of a dead one
    except FileNotFoundError:
        return False


async def work(options: AgentOptions, strikes: Strikes) -> None:
    """Be an agent until killed."""
    async with process.opened(options) as opened:
        opened.agent.adapter = StrickenCenter(opened.agent.adapter, strikes, in_turn=True)
        await opened.run(asyncio.Event())


def child(order: Mapping[str, Any]) -> None:
    """Be one agent."""
    die_with_parent()
    logs.set_up("json", "error")
    options = AgentOptions(
        center=order["center"],
        centers_file=Path(order["centers_file"]),
        servers=(order["server"],),
        token_file=Path(order["token_file"]),
        state_dir=Path(order["state_dir"]),
    )
    folder = Path(order["strikes"])
    journal = options.state_dir / f"{options.center}.agent.db"
    harm = Harm(BEFORE, AFTER, partial(_kill, journal, folder))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(options, Strikes(folder, harm)))


def main() -> int:
    """Keep an agent alive; returns how one ended that was not killed."""
    die_with_parent()
    order = json.loads(sys.argv[1])
    while True:
        pid = os.fork()
        if pid == 0:
            try:
                child(order)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(1)
        _, ended = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(ended) != -signal.SIGKILL:
            return os.waitstatus_to_exitcode(ended)


if __name__ == "__main__":
    sys.exit(main())
