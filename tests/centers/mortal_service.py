"""The real service in a process of its own, which its centers may kill (``stricken``).

A zygote forks one service for each order, as in ``tests/e2e/killable_service.py``; an order has
``settings`` and the folder of ``strikes``, in which each service says which process it is.
"""

import asyncio
import faulthandler
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import uvloop

from scheduler import bootstrap, logs, openers
from scheduler.config import load_settings
from scheduler.metrics import Metrics
from scheduler.settings import Settings
from scheduler.store import centers, newest
from scheduler.store.database import Database
from tests.centers.stricken import StrickenCenter, Strikes
from tests.e2e.killable_service import die_with_parent, main

PID_FILE: Final = "service.pid"


async def serve(settings: Settings, strikes: Strikes) -> None:
    """Serve until SIGTERM, or until killed."""
    db = Database(settings.database_url)
    clock = openers.clock(settings, db.read_sync(newest.newest_ms))
    rows = db.read_sync(lambda c: centers.list_centers(c, clock.now_ms()))
    opened = openers.adapters(settings, rows, clock, Metrics())
    adapters = {center: StrickenCenter(adapter, strikes) for center, adapter in opened.items()}
    service = await bootstrap.start_service(settings, clock=clock, database=db, adapters=adapters)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.ask_to_stop)
    print(json.dumps({"address": service.address}), flush=True)
    await service.wait_stopped()
    await service.stop()


def child(order: Mapping[str, Any]) -> None:
    """Be one service."""
    die_with_parent()
    faulthandler.register(signal.SIGUSR1)
    settings = load_settings(None, {}, order["settings"])
    logs.set_up("json", settings.log.level)
    folder = Path(order["strikes"])
    (folder / PID_FILE).write_text(str(os.getpid()))
    strikes = Strikes(folder)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, strikes))


if __name__ == "__main__":
    main(child)
