"""The service of ``corridor serve``, which tells what is in it when it is asked.

``python -m benchmarks.soak_service SETTINGS`` (flags as JSON). On SIGUSR1 it says ``looked_into``
with its tasks, on SIGUSR2 also with the kinds of objects of which there are most; what start-up
made is not among them.
"""

import asyncio
import gc
import json
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Final

import structlog
import uvloop

from scheduler import bootstrap, logs
from scheduler.cli.serve_cmd import collect_seldom
from scheduler.config import load_settings

log = structlog.get_logger()

_KINDS: Final = 40


async def serve(flags: Mapping[str, object]) -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    settings = load_settings(None, {}, flags)
    logs.set_up("json", settings.log.level)
    service = await bootstrap.start_service(settings)
    loop.add_signal_handler(signal.SIGUSR1, _look, False)
    loop.add_signal_handler(signal.SIGUSR2, _look, True)
    collect_seldom()
    log.info("can_be_looked_into", address=service.address)
    await stopped.wait()
    await service.stop()


def _look(thoroughly: bool) -> None:
    # No collection before it: that would hold up the renewal of the lease.
    found = Counter(map(type, gc.get_objects())) if thoroughly else Counter()
    log.info(
        "looked_into",
        tasks=len(asyncio.all_tasks()),
        objects=found.total(),
        kinds={
            f"{kind.__module__}.{kind.__qualname__}": n for kind, n in found.most_common(_KINDS)
        },
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(json.loads(sys.argv[1])))
