"""The service of a demonstration, in a process of its own: the real one, on a clock it can turn.

It says one line of JSON when it takes calls, then obeys lines on its standard input: ``speed X``
and ``stop``. The end of the input is a ``stop`` too, so that it never outlives who started it.
Among real centers its clock is the machine's, which nobody turns.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from scheduler import bootstrap, logs
from scheduler.clock import ScaledClock, WallClock
from scheduler.config import load_settings
from scheduler.errors import CorridorError


async def serve(config: Path, start_ms: int, speed: float) -> None:
    """Serve until told to stop; raises ``CorridorError`` if it cannot start.

    Without a ``start_ms`` (0) time is the machine's.
    """
    settings = load_settings(config, {}, {})
    logs.set_up(settings.log.format, settings.log.level)
    clock = ScaledClock(start_ms, speed) if start_ms else WallClock()
    service = await bootstrap.start_service(settings, clock=clock)
    try:
        _say(
            address=service.address,
            metrics=service.metrics_address,
            now_ms=clock.now_ms(),
            speed=speed,
        )
        await _obey(clock)
    finally:
        await service.stop()


async def _obey(clock: ScaledClock | WallClock) -> None:
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := (await orders.readline()).decode():
        order, _, value = line.strip().partition(" ")
        if order == "stop":
            return
        if order == "speed" and isinstance(clock, ScaledClock):
            clock.set_speed(float(value))
            _say(now_ms=clock.now_ms(), speed=clock.speed)


def _say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    """Serve; the arguments are the settings file, the first instant and the speed."""
    # Ray starts processes while calls are under way; they exec at once and need no handlers.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    config, start_ms, speed = sys.argv[1:]
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(serve(Path(config), int(start_ms), float(speed)))
    except CorridorError as error:
        print(error.message, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
