"""Takes submissions that come at the same time into one write, and keeps the book at hand.

While one write is under way, what comes gathers for the next. A call that comes alone is written
at once; where several come at a time, a write begins at most every ``GATHER_S``, so that
their number per transaction grows with the load and the cost of a transaction is shared.
"""

import asyncio
from typing import Final

from scheduler.store import submission_book, submissions
from scheduler.store.database import Database
from scheduler.store.submission_book import SubmissionBook
from scheduler.store.submissions import Outcome, Submission

GATHER_S: Final = 0.003
#: A write takes no more calls once it has so many jobs; a single call may have more.
_JOBS_MAX: Final = 5_000

_Waiting = tuple[Submission, asyncio.Future[Outcome]]


class SubmissionDesk:
    """One for each service; used from its event loop only."""

    def __init__(self) -> None:
        self._book: SubmissionBook | None = None
        self._waiting: list[_Waiting] = []
        self._flusher: asyncio.Task[None] | None = None

    async def book(self, db: Database) -> SubmissionBook:
        """Return the book that was read last; whether it is current the store says."""
        if self._book is None:
            self._book = await db.read(submission_book.load)
        return self._book

    async def current_book(self, db: Database) -> SubmissionBook:
        """Return the book as it is now."""
        book = await self.book(db)
        if await self.is_current(db, book):
            return book
        self._book = await db.read(submission_book.load)
        return self._book

    async def is_current(self, db: Database, book: SubmissionBook) -> bool:
        """Whether nothing has changed since the book was read."""
        return await db.read(submission_book.revision) == book.revision

    async def store(self, db: Database, submission: Submission) -> Outcome:
        """Store a submission together with others; returns once it is durable."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, future))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush(db))
        return await future

    async def _flush(self, db: Database) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                began = loop.time()
                group = self._take()
                await self._write(db, group)
                if len(group) > 1:
                    await asyncio.sleep(max(0.0, began + GATHER_S - loop.time()))
        finally:
            self._flusher = None

    def _take(self) -> list[_Waiting]:
        count = jobs = 0
        for submission, _ in self._waiting:
            jobs += len(submission.jobs)
            if count and jobs > _JOBS_MAX:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _write(self, db: Database, group: list[_Waiting]) -> None:
        try:
            outcomes = await db.write(
                lambda connection: submissions.store(connection, [one for one, _ in group])
            )
        except Exception as error:
            if len(group) == 1:
                _end(group[0][1], error)
                return
            # One of them cannot be stored: each alone, so that the others do not suffer.
            for one in group:
                await self._write(db, [one])
            return
        for (_, future), outcome in zip(group, outcomes, strict=True):
            _end(future, outcome)


def _end(future: asyncio.Future[Outcome], outcome: Outcome | Exception) -> None:
    if future.done():  # its caller went away; what is stored stays stored
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
