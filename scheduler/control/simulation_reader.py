"""A process that reads the history of a simulation: ``... simulation_reader DIR``.

What to read comes packed on stdin. It writes ``DIR/history`` for those who play it, and
``DIR/summary``: what was read, or why it cannot be played. It is nice to the service, which reads
and packs nothing itself.
"""

import contextlib
import sys
from pathlib import Path
from typing import Final, NamedTuple

from scheduler.control import frames
from scheduler.placement.model import PolicySettings
from scheduler.store import history as histories
from scheduler.store.database import Connection, Database
from scheduler.whatif.answers import TooManyJobs
from scheduler.whatif.history import History
from scheduler.whatif.playing import pack_history
from scheduler.whatif.scenarios import BadScenario, Scenario, apply
from scheduler.whatif.worker import HISTORY_FILE, be_nice

SUMMARY_FILE: Final = "summary"


class Reading(NamedTuple):
    """What to read; ``url`` is the store's, with its password. Jobs are told of ``city``."""

    url: str
    now_ms: int
    days: int
    policy: PolicySettings
    jobs_max: int
    scenarios: tuple[Scenario, ...]
    city: str | None


class Summary(NamedTuple):
    """What was read, or which field of the request is wrong and why.

    ``total`` jobs are played; ``jobs`` and ``estimated`` are those that may be told.
    """

    total: int = 0
    jobs: int = 0
    estimated: int = 0
    from_ms: int = 0
    to_ms: int = 0
    left_out: tuple[tuple[str, int], ...] = ()
    wrong: tuple[str, str] = ("", "")
    too_many: int = 0


def read_into(folder: Path, connection: Connection, reading: Reading) -> Summary:
    """Read, write the history, and return what was read."""
    try:
        found = histories.read(
            connection, reading.now_ms, reading.days, reading.policy, reading.jobs_max
        )
    except TooManyJobs as error:
        return Summary(too_many=error.jobs)
    wrong = _wrong(found, reading.scenarios)
    if wrong is not None:
        return Summary(wrong=wrong)
    (folder / HISTORY_FILE).write_bytes(pack_history(found))
    return Summary(
        len(found.lives), *found.counts(reading.city), found.from_ms, found.to_ms,
        tuple(found.left_out.items()),
    )  # fmt: skip


def _wrong(history: History, scenarios: tuple[Scenario, ...]) -> tuple[str, str] | None:
    for number, scenario in enumerate(scenarios):
        try:
            apply(history.settings, scenario)
        except BadScenario as error:
            return f"scenarios[{number}].{error.where}", error.what
    return None


def main() -> None:
    """Read what stdin says."""
    be_nice()
    reading: Reading = frames.unpack(sys.stdin.buffer.read())
    folder = Path(sys.argv[1])
    with contextlib.closing(Database(reading.url)) as db:
        summary = db.read_sync(lambda connection: read_into(folder, connection, reading))
    (folder / SUMMARY_FILE).write_bytes(frames.pack(summary))


if __name__ == "__main__":
    # Under its own name, so that what it packs is found by it.
    from scheduler.control import simulation_reader

    simulation_reader.main()
