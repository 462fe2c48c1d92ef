"""The real service in a process that kills itself with SIGKILL at one chosen point of its way.

A zygote imports everything once and forks a process for each order, so that hundreds of deaths
cost seconds. Orders come as lines of JSON on standard input, one service at a time; a service says
where it listens, the zygote says how it ended, both as lines of JSON on standard output.

A point is a name (``commit``, or a method of a center), ``before`` or ``after``, and a number: the
first time it is passed, the second, and so on.
"""

import asyncio
import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import uvloop
from sqlalchemy import Connection

from adapters.contract import Accepted, CenterAdapter, Observation, RunRef, RunRequest, Usage
from adapters.errors import OutcomeUnknown
from adapters.gate import Gate, GateSettings
from scheduler import bootstrap, logs, openers
from scheduler.config import load_settings
from scheduler.metrics import Metrics
from scheduler.settings import Settings
from scheduler.store import centers, newest
from scheduler.store.database import Database

#: The first answer to the submission of a run with this label is lost.
LOSE_LABEL = "test/lose-answer"
_PR_SET_PDEATHSIG = 1


class Killer:
    """Counts how often the chosen point is passed, and dies there."""

    def __init__(self, point: str, when: str, number: int) -> None:
        self._point, self._when, self._left = point, when, number

    def passed(self, point: str, when: str) -> None:
        """Die if this is where."""
        if (point, when) != (self._point, self._when):
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class KillableDatabase(Database):
    """Dies just before or just after a commit; nobody has been told of it then."""

    def __init__(self, url: str, killer: Killer) -> None:
        self._killer = killer
        super().__init__(url)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with super()._transaction() as connection:
            yield connection
            self._killer.passed("commit", "before")
        self._killer.passed("commit", "after")


class HastyDatabase(KillableDatabase):
    """A defect for the test to find: it acknowledges before the commit."""

    def _commit(self, waiting: list[Any]) -> None:
        if waiting[0].alone:  # the lead is taken in order
            super()._commit(waiting)
            return
        for item in waiting:
            item.future.set_running_or_notify_cancel()
        with self._transaction() as connection:
            for item in waiting:
                item.future.set_result(item.call(connection))
            time.sleep(0.02)  # the answers go out; the commit comes too late
        for hook in self.after_commit:
            hook()


class KillableCenter(Gate):
    """Dies just before the center hears a call, or just after it has acted on it."""

    def __init__(self, inner: CenterAdapter, killer: Killer) -> None:
        super().__init__(inner, GateSettings(), time.monotonic)
        self._killer = killer
        self._lost: set[str] = set()

    async def submit(self, request: RunRequest) -> Accepted:
        self._killer.passed("submit", "before")
        answer = await super().submit(request)
        self._killer.passed("submit", "after")
        if LOSE_LABEL in request.labels and request.name not in self._lost:
            self._lost.add(request.name)
            raise OutcomeUnknown("the test lost this answer")
        return answer

    async def cancel(self, run: RunRef) -> None:
        self._killer.passed("cancel", "before")
        await super().cancel(run)
        self._killer.passed("cancel", "after")

    async def notify(self, run: RunRef, grace_s: int) -> None:
        self._killer.passed("notify", "before")
        await super().notify(run, grace_s)
        self._killer.passed("notify", "after")

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        self._killer.passed("find", "before")
        answer = await super().find(runs)
        self._killer.passed("find", "after")
        return answer

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        self._killer.passed("usage", "before")
        answer = await super().usage(runs)
        self._killer.passed("usage", "after")
        return answer


async def serve(settings: Settings, killer: Killer, hasty: bool) -> None:
    """Serve until SIGTERM, or until killed."""
    make = HastyDatabase if hasty else KillableDatabase
    db = make(settings.database_url, killer)
    clock = openers.clock(settings, db.read_sync(newest.newest_ms))
    rows = db.read_sync(lambda c: centers.list_centers(c, clock.now_ms()))
    opened = openers.adapters(settings, rows, clock, Metrics())
    adapters = {center: KillableCenter(adapter, killer) for center, adapter in opened.items()}
    service = await bootstrap.start_service(settings, clock=clock, database=db, adapters=adapters)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.ask_to_stop)
    print(json.dumps({"address": service.address}), flush=True)
    await service.wait_stopped()
    await service.stop()


def die_with_parent() -> None:
    """Let nothing of a test outlive it, however it ends (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def child(order: Mapping[str, Any]) -> None:
    """Be one service."""
    die_with_parent()
    faulthandler.register(signal.SIGUSR1)
    settings = load_settings(None, {}, order["settings"])
    logs.set_up("json", settings.log.level)
    killer = Killer(*order["kill"]) if order["kill"] else Killer("", "", 0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, killer, order["hasty"]))


def main(child: Callable[[Mapping[str, Any]], None] = child) -> None:
    """Fork a service for each order, and tell how it ended."""
    die_with_parent()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                child(json.loads(line))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(json.dumps({"born": pid}), flush=True)
        _, ended = os.waitpid(pid, 0)
        print(json.dumps({"ended": os.waitstatus_to_exitcode(ended)}), flush=True)


if __name__ == "__main__":
    main()
