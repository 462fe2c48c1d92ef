"""What strikes a process from inside, once: calls to a center that are lost, refused or deadly.

A job says by a label what strikes it: ``answer-lost@submit``. What struck is noted in a folder, so
that a process which is killed by it does not die of it again in its next life. A service and the
agent of its center (``mortal_agent``) share that folder; each does only what is its own to do.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.contract import (
    Accepted,
    CenterAdapter,
    Observation,
    Page,
    RunRef,
    RunRequest,
    Usage,
)
from adapters.errors import OutcomeUnknown, Throttled, Unavailable
from adapters.gate import Gate, GateSettings

ROW_LABEL: Final = "test/row"
STRIKE_LABEL: Final = "test/strike"
#: Those of a service: after some the center must not have heard the call, after others it has.
BEFORE: Final = ("call-lost", "unavailable", "throttled", "kill-before")
AFTER: Final = ("answer-lost", "kill-after")
_RETRY_AFTER_S: Final = 0.05


def _do(what: str) -> None:
    match what:
        case "kill-before" | "kill-after":
            os.kill(os.getpid(), signal.SIGKILL)
        case "unavailable":
            raise Unavailable("the test says that the center is away")
        case "throttled":
            raise Throttled("the test says that the center is busy", _RETRY_AFTER_S)
        case _:
            raise OutcomeUnknown(f"the test: {what}")


@dataclass(frozen=True, slots=True)
class Harm:
    """What a process does to itself ``before`` its center hears a call, and ``after`` it did."""

    before: Sequence[str] = BEFORE
    after: Sequence[str] = AFTER
    do: Callable[[str], None] = _do


class Strikes:
    """Which rows are to be struck and which were; outlives the process in ``folder``."""

    def __init__(self, folder: Path, harm: Harm = Harm()) -> None:
        self._folder, self._harm = folder, harm
        self._runs = folder / "runs"
        self._strike_of: dict[str, tuple[str, str]] = {}
        if self._runs.exists():
            for line in self._runs.read_text("utf-8").splitlines():
                run_id, row, strike = line.split(" ")
                self._strike_of[run_id] = (row, strike)

    def know(self, request: RunRequest) -> None:
        """Note what strikes a run, if anything."""
        strike = request.labels.get(STRIKE_LABEL)
        if strike and request.run_id not in self._strike_of:
            self._strike_of[request.run_id] = (request.labels[ROW_LABEL], strike)
            with self._runs.open("a") as file:
                file.write(f"{request.run_id} {request.labels[ROW_LABEL]} {strike}\n")

    @property
    def known(self) -> Sequence[str]:
        """All runs that something strikes, by id."""
        return list(self._strike_of)

    def before(self, step: str, runs: Iterable[str]) -> None:
        """Do what strikes one of the runs before this step, if it was not done yet."""
        self._strike(step, self._harm.before, runs)

    def after(self, step: str, runs: Iterable[str]) -> None:
        """Do what strikes one of the runs after this step, if it was not done yet."""
        self._strike(step, self._harm.after, runs)

    def _strike(self, step: str, when: Sequence[str], runs: Iterable[str]) -> None:
        for run_id in runs:
            row, strike = self._strike_of.get(run_id, ("", ""))
            what, _, at = strike.partition("@")
            if at == step and what in when and self._first(row, run_id, what, step):
                self._harm.do(what)

    def _first(self, row: str, run_id: str, what: str, step: str) -> bool:
        """A submission or a cancellation is lost once for each run, all else once for its row."""
        each = step in ("submit", "cancel") and "kill" not in what
        try:
            (self._folder / f"struck-{row}{f'-{run_id}' if each else ''}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def struck(folder: Path, row: str) -> int:
    """How often a row was struck."""
    return len(list(folder.glob(f"struck-{row}"))) + len(list(folder.glob(f"struck-{row}-*")))


class StrickenCenter(Gate):
    """The gate of a center, struck at its calls. With ``in_turn`` one call at a time is under way,
    so that no death strikes another call than its own."""

    def __init__(self, inner: CenterAdapter, strikes: Strikes, *, in_turn: bool = False) -> None:
        super().__init__(inner, GateSettings(failures_max=0), time.monotonic)
        self._strikes = strikes
        self._turn = asyncio.Semaphore(1 if in_turn else sys.maxsize)

    @contextlib.asynccontextmanager
    async def _struck(self, step: str, runs: Sequence[str]) -> AsyncIterator[None]:
        """A call for these runs."""
        async with self._turn:
            self._strikes.before(step, runs)
            yield
            self._strikes.after(step, runs)

    async def submit(self, request: RunRequest) -> Accepted:
        self._strikes.know(request)
        async with self._struck("submit", [request.run_id]):
            return await super().submit(request)

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        async with self._struck("find", [run.run_id for run in runs]):
            return await super().find(runs)

    async def list_active(self, page_token: str = "") -> Page:
        async with self._turn:
            self._strikes.before("list", self._strikes.known)  # it asks of no run: it is for all
            answer = await super().list_active(page_token)
            self._strikes.after("list", [one.run_id for one in answer.observations])
            return answer

    async def cancel(self, run: RunRef) -> None:
        async with self._struck("cancel", [run.run_id]):
            await super().cancel(run)

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        async with self._struck("usage", [run.run_id for run in runs]):
            return await super().usage(runs)

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        async with self._struck("acknowledge", run_ids):
            await super().acknowledge(run_ids)
