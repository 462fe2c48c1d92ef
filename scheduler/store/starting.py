"""Jobs that are to be started, as they stand in the store: with a row of their own or without."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from scheduler.placement.model import JobQueued, Option
from scheduler.store import elements
from scheduler.store.database import bulk_read
from scheduler.store.elements import Element
from scheduler.store.planner_jobs import COLUMNS, TOLD, job_of


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that may be started; ``element`` if it is one without a row.

    ``attempt`` counts the runs that it had. After ``finish_by_ms`` no run of it may go on.
    ``root`` is its array, or itself.
    """

    job: JobQueued
    attempt: int
    subsidy: str
    self_pay_max_fen: int | None
    finish_by_ms: int | None
    contract: str
    project: str
    root: int
    element: Element | None = None

    def option_of(self, started: Option) -> int:
        """Return the index of the option that is started, on all its units or on fewer.

        Raises ValueError for one that the job does not have.
        """
        index = started.index
        if index < len(self.job.options):
            mine = self.job.options[index]
            least = mine.units_min or mine.units
            same = (mine.flavor, mine.wall_ms) == (started.flavor, started.wall_ms)
            whole = started.units * mine.nodes == mine.units * started.nodes  # only whole nodes
            if same and whole and least <= started.units <= mine.units:
                return index
        raise ValueError(f"job {self.job.uid} has no option {started}")

    def timely(self, now_ms: int) -> tuple[Option, ...]:
        """Return the options that would end in time if they were started now."""
        end_ms = self.finish_by_ms
        if end_ms is None:
            return self.job.options
        return tuple(one for one in self.job.options if now_ms + one.wall_ms <= end_ms)


_MORE = f"{COLUMNS}, j.attempt, j.finish_by_ms, j.contract, j.project, j.array_uid"


def find(connection: Connection, uids: Iterable[int]) -> dict[int, Waiting]:
    """Return those of these jobs that wait and may be started."""
    listed = ", ".join(map(str, sorted(set(uids))))
    if not listed:
        return {}
    found = {
        row[0]: _waiting(row)
        for row in bulk_read(
            connection, f"SELECT {_MORE} FROM job j WHERE j.uid IN ({listed}) AND {TOLD}"
        )
    }
    others = [uid for uid in uids if uid not in found]
    if not others:
        return found
    told = [one for one in elements.find(connection, others).values() if one.told]
    listed = ", ".join(map(str, sorted({one.array_uid for one in told}))) or "0"
    arrays = {
        row[0]: row
        for row in bulk_read(connection, f"SELECT {_MORE} FROM job j WHERE j.uid IN ({listed})")
    }
    for one in told:
        found[one.uid] = _waiting((one.uid, *arrays[one.array_uid][1:]), one)
    return found


def _waiting(row: tuple[Any, ...], element: Element | None = None) -> Waiting:
    attempt, finish_by_ms, contract, project, array_uid = row[-5:]
    return Waiting(
        job_of(row), attempt, row[7], row[8], finish_by_ms, contract, project,
        array_uid or row[0], element,
    )  # fmt: skip
