"""The centers as the use cases may see them (``CentersView``)."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from adapters.contract import FlavorCapacity, LogChunk, RunRef, Usage
from adapters.errors import AdapterError
from scheduler.control.center_worker import CenterWorker
from scheduler.domain.inventory import Inventory
from scheduler.errors import TemporarilyAway
from scheduler.placement.core import WaitingCounts
from scheduler.services.context import CenterStatus

#: How long somebody waits for a whole look, in real seconds.
_INVENTORY_S: Final = 60.0


def _by_flavor(counts: WaitingCounts) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for (_, flavor), jobs in counts.jobs.items():
        found[flavor] += jobs
    return found


class WorkersView:
    """The workers of this process, asked by the name of their center."""

    def __init__(
        self,
        workers: Mapping[str, CenterWorker],
        offered: Mapping[str, Mapping[str, FlavorCapacity]],
    ) -> None:
        self._workers, self._offered = workers, offered
        #: Of the planner, as it last said; None until it did.
        self.counts: WaitingCounts | None = None

    def status(self, center: str) -> CenterStatus:
        """Whether the center answers; a center without an adapter here does not."""
        worker = self._workers.get(center)
        if worker is None:
            return CenterStatus(False, "no adapter is configured for it in this service", 0)
        return replace(
            worker.status(),
            offered=self._offered.get(center, {}),
            waiting_jobs=None if self.counts is None else _by_flavor(self.counts),
        )

    def answering(self) -> list[str]:
        """The centers that have answered here and do so still."""
        return [
            center
            for center, worker in sorted(self._workers.items())
            if worker.reachable and worker.last_answer_ms
        ]

    async def take_inventory(self, center: str) -> Inventory:
        """Look at all that a center has now; ``TemporarilyAway`` if it does not answer."""
        worker = self._workers.get(center)
        if worker is None:
            raise TemporarilyAway(f"no adapter is configured for {center} in this service")
        try:
            async with asyncio.timeout(_INVENTORY_S):
                return await worker.take_inventory()
        except TimeoutError:
            detail = worker.detail or "a look takes longer"
            raise TemporarilyAway(f"{center}: not within {_INVENTORY_S:g} s: {detail}") from None
        except AdapterError as error:
            raise TemporarilyAway(
                f"{center} does not answer: {type(error).__name__}: {error}"
            ) from error

    async def read_logs(self, center: str, run: RunRef, offset: int, limit: int) -> LogChunk:
        """A piece of a run's log; ``TemporarilyAway`` if the center cannot be asked."""
        worker = self._workers.get(center)
        if worker is None:
            raise TemporarilyAway(f"no adapter is configured for {center} in this service")
        return await worker.read_logs(run, offset, limit)

    async def usage(self, center: str, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """What the center metered of runs; ``TemporarilyAway`` if it cannot be asked."""
        worker = self._workers.get(center)
        if worker is None:
            raise TemporarilyAway(f"no adapter is configured for {center} in this service")
        try:
            return await worker.adapter.usage(runs)
        except AdapterError as error:
            raise TemporarilyAway(f"{center} does not tell of its runs: {error}") from error
