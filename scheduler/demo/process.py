"""Starts the demonstration's service as a child process, turns its clock, and ends it for sure."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from scheduler.errors import CorridorError

_START_S: Final = 60.0
_ANSWER_S: Final = 10.0
_STOP_S: Final = 30.0
_TAIL_LINES: Final = 15


class ServiceDied(CorridorError):
    """The service ended by itself, or never came up; the message has the end of its log."""

    reason = "SERVICE_DIED"


class FarClock:
    """What time it is in the child, from its last word and our own clock."""

    def __init__(self, now_ms: int, speed: float) -> None:
        self._start_ms, self._origin_s, self.speed = now_ms, time.monotonic(), speed

    def now_ms(self) -> int:
        """Scheduling time now, in epoch milliseconds."""
        return self._start_ms + int((time.monotonic() - self._origin_s) * 1000 * self.speed)

    def real_s(self, duration_ms: int) -> float:
        """Real seconds in which ``duration_ms`` of scheduling time passes."""
        return duration_ms / 1000 / self.speed


class ServiceProcess:
    """A running service; ``address`` and ``metrics`` are ``host:port``."""

    def __init__(
        self, process: asyncio.subprocess.Process, log: Path, first: dict[str, Any]
    ) -> None:
        self._process, self.log = process, log
        self.address, self.metrics = str(first["address"]), str(first["metrics"])
        self.clock = FarClock(int(first["now_ms"]), float(first["speed"]))

    @classmethod
    async def start(
        cls, config: Path, log: Path, *, start_ms: int | None, speed: float
    ) -> "ServiceProcess":
        """Start it and wait until it takes calls. Raises ``ServiceDied``.

        ``start_ms`` None gives it the machine's clock, whose speed is 1.
        """
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "scheduler.demo.service", str(config),
                str(start_ms or 0), str(speed),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=file,
                start_new_session=True,  # Ctrl-C is for us alone: we tell it when to stop
            )  # fmt: skip
        try:
            return cls(process, log, await _word(process, log, _START_S))
        except BaseException:
            await _end(process)
            raise

    async def set_speed(self, speed: float) -> None:
        """Let its clock go on at another speed. Raises ``ServiceDied``."""
        assert self._process.stdin is not None, "it was started with a pipe"
        self._process.stdin.write(f"speed {speed}\n".encode())
        word = await _word(self._process, self.log, _ANSWER_S)
        self.clock = FarClock(int(word["now_ms"]), float(word["speed"]))

    async def until_dead(self) -> None:
        """Wait until it ends by itself, then raise ``ServiceDied``."""
        await self._process.wait()
        raise _died(self._process, self.log)

    async def stop(self) -> int:
        """End it in order, or after a while by force; returns its exit status."""
        return await _end(self._process)


async def _word(process: asyncio.subprocess.Process, log: Path, patience_s: float) -> Any:
    """The next line that it says."""
    assert process.stdout is not None, "it was started with a pipe"
    try:
        async with asyncio.timeout(patience_s):
            line = await process.stdout.readline()
    except TimeoutError:
        raise ServiceDied(
            f"the service did not answer within {patience_s:.0f} s; see {log}"
        ) from None
    if not line:
        await process.wait()
        raise _died(process, log)
    return json.loads(line)


def _died(process: asyncio.subprocess.Process, log: Path) -> ServiceDied:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    said = "\n  ".join(lines) or "nothing"
    return ServiceDied(
        f"the service ended with status {process.returncode}; the end of {log}:\n  {said}"
    )


async def _end(process: asyncio.subprocess.Process) -> int:
    """Ask, then insist, then kill."""
    if process.returncode is None and process.stdin is not None:
        process.stdin.close()  # the end of its orders
    for insist in (process.terminate, process.kill):
        if process.returncode is not None:
            break
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            insist()
    return await process.wait()
