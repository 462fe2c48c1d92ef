"""Tells a center's agent which of the runs that it holds are done with here, for good."""

import contextlib
from collections.abc import Sequence

from scheduler.domain.ids import parse_run_id
from scheduler.store import settled
from scheduler.store.database import Database


class SettledRuns:
    """Asked by run ids as centers have them; what is no run id of ours is not settled."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def __call__(self, run_ids: Sequence[str]) -> set[str]:
        """Return which of these runs are stored and settled."""
        keys: dict[settled.RunKey, str] = {}
        for text in run_ids:
            with contextlib.suppress(ValueError):
                keys[parse_run_id(text)] = text
        done = await self._db.read(lambda c: settled.settled(c, list(keys)))
        return {keys[key] for key in done}
