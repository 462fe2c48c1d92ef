"""The centers as the use cases may see them (``CentersView``)."""

from collections.abc import Mapping, Sequence

from adapters.contract import LogChunk, RunRef, Usage
from adapters.errors import AdapterError
from scheduler.control.center_worker import CenterWorker
from scheduler.errors import TemporarilyAway
from scheduler.services.context import CenterStatus


class WorkersView:
    """The workers of this process, asked by the name of their center."""

    def __init__(self, workers: Mapping[str, CenterWorker]) -> None:
        self._workers = workers

    def status(self, center: str) -> CenterStatus:
        """Whether the center answers; a center without an adapter here does not."""
        worker = self._workers.get(center)
        if worker is None:
            return CenterStatus(False, "no adapter is configured for it in this service", 0)
        return worker.status()

    def answering(self) -> list[str]:
        """The centers that have answered here and do so still."""
        return [
            center
            for center, worker in sorted(self._workers.items())
            if worker.reachable and worker.last_answer_ms
        ]

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
