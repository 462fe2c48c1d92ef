"""The service of ``corridor serve`` with a store that keeps nothing of what is submitted.

It is the peer of durable submission: the same server, interceptors, identity, checks and answers,
but no database on the way. ``python -m benchmarks.bare_service SETTINGS`` (flags as JSON).
"""

import asyncio
import dataclasses
import json
import signal
import sys
from collections.abc import Mapping

import structlog
import uvloop

from scheduler import bootstrap, logs
from scheduler.config import load_settings
from scheduler.rpc import server
from scheduler.rpc.job_servicer import JobServicer
from scheduler.services.submission_desk import SubmissionDesk
from scheduler.store.database import Database
from scheduler.store.submissions import Fate, Outcome, Submission

log = structlog.get_logger()


class ForgetfulDesk(SubmissionDesk):
    """Says of everything that it is stored."""

    async def store(self, db: Database, submission: Submission) -> Outcome:
        """Keep nothing."""
        return Fate.STORED


async def serve(flags: Mapping[str, object]) -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    settings = load_settings(None, {}, {"metrics.listen": "127.0.0.1:0", **flags})
    logs.set_up("json", settings.log.level)
    settings = dataclasses.replace(
        settings, server=dataclasses.replace(settings.server, listen="127.0.0.1:0")
    )
    service = await bootstrap.start_service(settings)
    try:
        context = dataclasses.replace(service.context, desk=ForgetfulDesk())
        metrics = service.metrics
        bare = server.build(
            context,
            JobServicer(context, lambda city, count: metrics.accepted(city, count)),
            listen="127.0.0.1:0",
            on_call=metrics.rpc,
        )
        await bare.start()
        log.info("serving_without_store", address=f"127.0.0.1:{bare.port}")
        await stopped.wait()
        await bare.drain(0.0)
    finally:
        await service.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(json.loads(sys.argv[1])))
