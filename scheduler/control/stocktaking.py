"""Inventories of one center: a look that somebody waits for tells how the runs stood in it."""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from adapters.contract import Observation
from scheduler.control.tracked import Tracked
from scheduler.domain.inventory import Inventory, compare


class Look:
    """What one look has found so far."""

    def __init__(self) -> None:
        self.seen: Mapping[str, Observation] = {}
        self.dead: Collection[str] = ()


class Stocktaking:
    """Who waits for an inventory, and the looks that give them one.

    Only a look that began after somebody asked answers them: what came before may be old.
    """

    def __init__(self) -> None:
        self._asked: list[asyncio.Future[Inventory]] = []

    def ask(self) -> "asyncio.Future[Inventory]":
        """Return what the next look will have found; it fails with that look."""
        asked = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        return asked

    @contextmanager
    def look(self, tracked: Mapping[str, Tracked], look_ms: int) -> Iterator[Look]:
        """One look at the center, in which ``Look`` is told what is seen. Nothing is kept of it
        unless somebody waits."""
        look = Look()
        if not self._asked:
            yield look
            return
        asked, self._asked = self._asked, []
        thought = {key: run.state for key, run in tracked.items() if not run.in_flight}
        unsent = [key for key, run in tracked.items() if run.in_flight]
        try:
            yield look
        except BaseException as error:
            for one in asked:
                if not one.done():
                    one.set_exception(error) if isinstance(error, Exception) else one.cancel()
            raise
        found = compare(look_ms, thought, unsent, look.seen, look.dead, tracked)
        for one in asked:
            if not one.done():
                one.set_result(found)
