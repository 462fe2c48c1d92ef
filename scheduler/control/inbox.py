"""Reports of all workers on their way into the store: gathered, written together, answered.

A report that the store refuses for what it says must not keep others out: a group that fails is
halved until the one is alone, which is logged and left out. Its worker will report it again at
every look, until somebody has seen to it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from scheduler.domain.reports import Report
from scheduler.store.database import StoreFailure
from scheduler.store.leader import Fenced
from scheduler.store.settlements import Moved

log = structlog.get_logger()


class Inbox:
    """Takes reports and has them written by ``ingest``, at most ``most`` at once."""

    def __init__(
        self,
        ingest: Callable[[Sequence[Report]], Awaitable[None]],
        on_failure: Callable[[], None],
        most: int,
    ) -> None:
        self._ingest, self._on_failure, self._most = ingest, on_failure, most
        self._waiting: asyncio.Queue[tuple[list[Report], asyncio.Future[None]]] = asyncio.Queue()
        self._lost: Fenced | None = None

    async def report(self, reports: list[Report]) -> None:
        """Hand in reports; returns when they are durable. Raises ``Fenced`` once another leads."""
        if self._lost is not None:
            raise self._lost
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((reports, done))
        await done

    async def serve_forever(self) -> None:
        """Write what comes in; ends with the error of a store that cannot be written."""
        while True:
            group = [await self._waiting.get()]
            count = len(group[0][0])
            while count < self._most and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
                count += len(group[-1][0])
            try:
                await self._write([report for reports, _ in group for report in reports])
            except BaseException as error:
                if isinstance(error, Fenced):
                    self._lost = error
                    group += [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
                        done.exception()  # its worker may be gone
                raise
            for _, done in group:
                if not done.done():
                    done.set_result(None)

    async def _ingest_anew(self, reports: Sequence[Report]) -> None:
        """Ingest, once more if a run moved by an operator's word: what it is by now counts."""
        try:
            await self._ingest(reports)
        except Moved:
            await self._ingest(reports)

    async def _write(self, reports: Sequence[Report]) -> None:
        try:
            await self._ingest_anew(reports)
        except (Fenced, StoreFailure):
            raise
        except Exception:
            if len(reports) == 1:
                log.exception("report_failed", report=str(reports[0]))
                self._on_failure()
                return
            middle = len(reports) // 2
            await self._write(reports[:middle])
            await self._write(reports[middle:])
