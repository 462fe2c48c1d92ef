"""The service's end of the planner on Ray, which lives in a child process.

Ray's core ends the process it lives in when it has lost its cluster for a minute, takes its signals
and shares its interpreter; so it lives in a process of its own, whose end means no more than that
planning moves into the service until Ray is back.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, Final

import structlog

from scheduler.control import frames
from scheduler.control.planner import PlannerAway
from scheduler.control.settings import LoopSettings
from scheduler.control.silence import Silence
from scheduler.placement.columns import in_columns
from scheduler.placement.core import Sampled, StaleRevision, WaitingCounts
from scheduler.placement.model import Delta, Explanation, JobQueued, Plan
from scheduler.whatif.processes import OnProgress

log = structlog.get_logger()

_PROGRAM: Final = "scheduler.control.ray_planner"
_OPEN_TIMEOUT_S: Final = 180.0
_KNOCK_TIMEOUT_S: Final = 2.0
_LOAD_TIMEOUT_S: Final = 60.0
_CALL_TIMEOUT_S: Final = 10.0
_CLOSE_TIMEOUT_S: Final = 5.0
_PLAY_TIMEOUT_S: Final = 3_600.0
#: A snapshot is sent in parts, so that packing one does not keep the service from its calls.
_STAGE_MAX: Final = 10_000
#: Of one sign of life; before that its silence is judged.
_BEAT_TIMEOUT_S: Final = 3_600.0
#: It is asked so many times within the silence that is borne whether it is there.
_BEATS: Final = 4


class Silent(PlannerAway):
    """It did not answer in time."""


class ClusterAway(PlannerAway):
    """Nothing answers where the cluster is to be: nothing was started to find that out."""


class RayPlanner:
    """A planner backend whose root and shards are actors. Raises ``PlannerAway``."""

    name = "ray"

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        folder: str,
    ) -> None:
        self._process, self._writer, self._folder = process, writer, folder
        self._number = 0
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._told: dict[int, OnProgress] = {}
        self._away: str | None = None
        self._last_words = b""
        self._tasks = [
            asyncio.create_task(self._listen(reader), name="ray-answers"),
            asyncio.create_task(self._overhear(), name="ray-last-words"),
        ]

    @classmethod
    async def open(cls, settings: LoopSettings) -> "RayPlanner":
        """Start the child, which joins or starts Ray and makes the actors; takes seconds.

        Raises ``PlannerAway`` that says what is wrong.
        """
        if settings.ray_address:
            await _knock(settings.ray_address)
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            folder = tempfile.mkdtemp(prefix="corridor-ray-")  # short: names of sockets are in it
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # nothing of the directory that the service was started in
                    "-m",
                    _PROGRAM,
                    str(theirs.fileno()),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,  # what Ray has to say is in its own logs
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C is for the service, which ends it in order
                )
            except BaseException:
                writer.close()
                shutil.rmtree(folder)
                raise
        planner = cls(process, reader, writer, folder)  # can be ended before anything is awaited
        try:
            await planner._ask("open", settings, folder, timeout_s=_OPEN_TIMEOUT_S)
        except BaseException:
            await planner.kill()
            raise
        planner.watch(settings.ray_silence_s)
        return planner

    def watch(self, silence_s: float) -> None:
        """From now on, give it up as soon as it is silent for so long."""
        self._tasks.append(asyncio.create_task(self._beat(silence_s), name="ray-beats"))

    async def load(self, revision: int, deltas: Sequence[Delta], now_ms: int) -> None:
        """Forget everything and take this snapshot."""
        for first in range(0, len(deltas) or 1, _STAGE_MAX):
            part = list(in_columns(deltas[first : first + _STAGE_MAX]))
            await self._ask("stage", part, first == 0, timeout_s=_LOAD_TIMEOUT_S)
        await self._ask("load", revision, now_ms, timeout_s=_LOAD_TIMEOUT_S)

    async def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        """One cycle; raises ``StaleRevision`` if an actor was restarted."""
        plan: Plan | None = await self._ask("cycle", before, deltas, after, now_ms)
        if plan is None:
            raise StaleRevision("the planner's actor was restarted")
        return plan

    async def explain(self, uid: int, now_ms: int) -> Explanation | None:
        """Why a job waits."""
        found: Explanation | None = await self._ask("explain", uid, now_ms)
        return found

    async def estimate(self, job: JobQueued, now_ms: int) -> Explanation:
        """What would be said of the job if it were queued now."""
        found: Explanation = await self._ask("estimate", job, now_ms)
        return found

    async def counts(self, now_ms: int) -> WaitingCounts:
        """Waiting jobs by city, flavor and reason."""
        found: WaitingCounts = await self._ask("counts", now_ms)
        return found

    async def sample(self, now_ms: int, estimate: bool) -> Sampled:
        """Who waits for what, and how good estimates were."""
        found: Sampled = await self._ask("sample", now_ms, estimate)
        return found

    async def play(
        self, folder: str, tasks: Sequence[bytes], on_progress: OnProgress
    ) -> list[bytes]:
        """Play scenarios of a simulation as tasks on Ray; a cancelled call cancels them."""
        found: list[bytes] = await self._ask(
            "play", folder, list(tasks), timeout_s=_PLAY_TIMEOUT_S, on_told=on_progress
        )
        return found

    async def close(self) -> None:
        """End the actors and leave Ray (a local Ray ends with it); at once if it is away."""
        if self._away is None:
            self._writer.close()  # the child ends when it sees this
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """End the child at once, and with it a Ray that it started."""
        self._lost("closed")
        for task in self._tasks:
            task.cancel()
        self._writer.close()
        with contextlib.suppress(ProcessLookupError):  # its group: helpers of Ray may outlive it
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)  # its last processes may be ending yet

    # --- inside -----------------------------------------------------------------------------------

    async def _ask(
        self,
        method: str,
        *arguments: Any,
        timeout_s: float = _CALL_TIMEOUT_S,
        on_told: OnProgress | None = None,
    ) -> Any:
        if self._away is not None:
            raise PlannerAway(self._away)
        self._number += 1
        number = self._number
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        if on_told is not None:
            self._told[number] = on_told
        try:
            async with asyncio.timeout(timeout_s):
                frames.write(self._writer, (number, method, frames.pack(arguments)))
                await self._writer.drain()
                return frames.unpack(await answer)
        except TimeoutError:
            raise Silent(f"no answer to {method} in {timeout_s:g} s") from None
        except OSError as error:
            raise PlannerAway(f"{type(error).__name__}: {error}") from error
        finally:
            self._waiting.pop(number, None)
            given_up = answer.cancelled() or not answer.done()
            if self._told.pop(number, None) and given_up and self._away is None:
                frames.write(self._writer, (number, "stop", b""))

    async def _beat(self, silence_s: float) -> None:
        """Ray itself takes 13 s to notice that a node is lost."""
        why = None
        while why is None:
            await asyncio.sleep(silence_s / _BEATS)
            why = await self._sign_of_life(silence_s)
        self._lost(why)

    async def _sign_of_life(self, silence_s: float) -> str | None:
        """Return why there is none, None if there is one."""
        silence = Silence(silence_s, time.monotonic())
        beat = asyncio.create_task(self._ask("beat", _BEAT_TIMEOUT_S, timeout_s=_BEAT_TIMEOUT_S))
        echo = asyncio.create_task(self._ask("echo", timeout_s=_BEAT_TIMEOUT_S))
        try:
            while silence.told() is None:
                await asyncio.wait({beat}, timeout=silence.turn_s)
                if beat.done():
                    await beat
                    return None
                echoed = echo.done()
                silence.looked(time.monotonic(), echoed)
                if echoed:
                    await echo
                    echo = asyncio.create_task(self._ask("echo", timeout_s=_BEAT_TIMEOUT_S))
        except PlannerAway as error:
            return str(error)
        finally:
            beat.cancel()
            echo.cancel()
            await asyncio.gather(beat, echo, return_exceptions=True)
        return silence.told()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                number, ok, answer = await frames.read(reader)
                if ok is None:  # more is to come
                    if number in self._told:
                        self._told[number](*frames.unpack(answer))
                    continue
                waiting = self._waiting.get(number)
                if waiting is None or waiting.done():
                    continue
                if ok:
                    waiting.set_result(answer)
                else:
                    waiting.set_exception(PlannerAway(answer.decode()))
        except (EOFError, OSError):
            code = await self._process.wait()
            await asyncio.wait(self._tasks[1:], timeout=1.0)  # Ray's own processes may hold it open
            words = self._last_words.decode("utf-8", "replace").strip().rpartition("\n")[2]
            self._lost(f"the process of the planner on Ray ended with {code}: {words}"[:500])

    async def _overhear(self) -> None:
        """Keep the last of what the child says on stderr: why it ended, if it does."""
        stderr = self._process.stderr
        assert stderr is not None, "it was asked for"
        while said := await stderr.read(4096):
            self._last_words = (self._last_words + said)[-4096:]

    def _lost(self, why: str) -> None:
        """Fail all calls, now and from now on."""
        self._away = self._away or why
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(PlannerAway(why))


async def _knock(address: str) -> None:
    """Raise ``ClusterAway`` unless something listens there."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_KNOCK_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (TimeoutError, OSError) as error:
        raise ClusterAway(f"no Ray cluster answers at {address} (planner.ray_address)") from error
    writer.close()
