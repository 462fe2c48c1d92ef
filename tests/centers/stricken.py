"""What strikes a service from inside, once: calls to a center that are lost, refused or deadly.

A job says by a label what strikes it: ``answer-lost@submit``. What struck is noted in a folder, so
that a service which is killed by it does not die of it again in its next life.
"""

import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
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
#: Those after which the center must not have heard the call, and those after which it has.
BEFORE: Final = ("call-lost", "unavailable", "throttled", "kill-before")
AFTER: Final = ("answer-lost", "kill-after")
_RETRY_AFTER_S: Final = 0.05


class Strikes:
    """Which rows are to be struck and which were; outlives the process in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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

    def strike(self, step: str, when: Sequence[str], runs: Iterable[str]) -> None:
        """Do what strikes one of the runs at this step, if it was not done yet."""
        for run_id in runs:
            row, strike = self._strike_of.get(run_id, ("", ""))
            what, _, at = strike.partition("@")
            if at == step and what in when and self._first(row, run_id, what, step):
                _do(what)

    def _first(self, row: str, run_id: str, what: str, step: str) -> bool:
        """A submission or a cancellation is lost once for each run, all else once for its row."""
        each = step in ("submit", "cancel") and not what.startswith("kill")
        try:
            (self._folder / f"struck-{row}{f'-{run_id}' if each else ''}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def struck(folder: Path, row: str) -> int:
    """How often a row was struck."""
    return len(list(folder.glob(f"struck-{row}"))) + len(list(folder.glob(f"struck-{row}-*")))


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


class StrickenCenter(Gate):
    """The gate of a center, struck at its calls."""

    def __init__(self, inner: CenterAdapter, strikes: Strikes) -> None:
        super().__init__(inner, GateSettings(failures_max=0), time.monotonic)
        self._strikes = strikes

    async def submit(self, request: RunRequest) -> Accepted:
        self._strikes.know(request)
        self._strikes.strike("submit", BEFORE, [request.run_id])
        answer = await super().submit(request)
        self._strikes.strike("submit", AFTER, [request.run_id])
        return answer

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        asked = [run.run_id for run in runs]
        self._strikes.strike("find", BEFORE, asked)
        answer = await super().find(runs)
        self._strikes.strike("find", AFTER, asked)
        return answer

    async def list_active(self, page_token: str = "") -> Page:
        answer = await super().list_active(page_token)
        seen = [one.run_id for one in answer.observations]
        self._strikes.strike("list", (*BEFORE, *AFTER), seen)
        return answer

    async def cancel(self, run: RunRef) -> None:
        self._strikes.strike("cancel", BEFORE, [run.run_id])
        await super().cancel(run)
        self._strikes.strike("cancel", AFTER, [run.run_id])

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        asked = [run.run_id for run in runs]
        self._strikes.strike("usage", BEFORE, asked)
        answer = await super().usage(runs)
        self._strikes.strike("usage", AFTER, asked)
        return answer
