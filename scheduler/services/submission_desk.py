"""Takes submissions that come at the same time into one write, and keeps the book at hand.

While one write is under way, what comes gathers for the next. Where several calls came together,
the next write waits a moment until as many are there again: so the number of calls a transaction
grows with the load, and its cost is shared. A call that comes alone is written at once.
"""

import asyncio
import contextlib
from contextvars import Context
from typing import Final

from scheduler.errors import TemporarilyAway
from scheduler.store import submission_book, submissions
from scheduler.store.database import Database
from scheduler.store.submission_book import SubmissionBook
from scheduler.store.submissions import Outcome, Submission

#: A write waits at most so long for calls that may come.
_GATHER_S: Final = 0.005
#: So many jobs are worth a write, however few calls they came by.
_JOBS_ENOUGH: Final = 500
#: More jobs than these do not wait for a store that is behind.
_WAITING_MAX: Final = 200_000
#: A write takes no more calls once it has so many jobs; a single call may have more.
_JOBS_MAX: Final = 5_000

_Waiting = tuple[Submission, asyncio.Future[Outcome]]


class SubmissionDesk:
    """One for each service; used from its event loop only."""

    def __init__(self, waiting_max: int = _WAITING_MAX, gather_s: float = _GATHER_S) -> None:
        self._waiting_max, self._gather_s = waiting_max, gather_s
        self._book: SubmissionBook | None = None
        self._waiting: list[_Waiting] = []
        self._waiting_jobs = 0
        self._flusher: asyncio.Task[None] | None = None
        self._crowd = 1  # calls that were there together last time
        self._enough = asyncio.Event()

    async def book(self, db: Database) -> SubmissionBook:
        """Return the book that was read last; whether it is current the store says."""
        if self._book is None:
            self._book = await db.read_feed(submission_book.load)
        return self._book

    async def current_book(self, db: Database) -> SubmissionBook:
        """Return the book as it is now."""
        book = await self.book(db)
        if await self.is_current(db, book):
            return book
        self._book = await db.read_feed(submission_book.load)
        return self._book

    async def is_current(self, db: Database, book: SubmissionBook) -> bool:
        """Whether nothing has changed since the book was read."""
        return await db.read(lambda c: submission_book.is_current(c, book.revision))

    async def store(self, db: Database, submission: Submission) -> Outcome:
        """Store a submission together with others; returns once it is durable.

        Raises ``TemporarilyAway`` if too many wait already.
        """
        if self._waiting_jobs and self._waiting_jobs + len(submission.jobs) > self._waiting_max:
            raise TemporarilyAway(
                f"{self._waiting_jobs:,} jobs wait to be stored; nothing of this call was, repeat"
                " it with the same request id"
            )
        self._waiting_jobs += len(submission.jobs)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, future))
        if self._is_enough():
            self._enough.set()
        if self._flusher is None:
            # It works for all calls: of none it has the caller.
            self._flusher = asyncio.create_task(self._flush(db), context=Context())
        return await future

    async def _flush(self, db: Database) -> None:
        try:
            while self._waiting:
                if not self._is_enough():
                    await self._gather()
                group = self._take()
                await self._write(db, group)
                self._crowd = len(group) + len(self._waiting)
        finally:
            self._flusher = None

    def _is_enough(self) -> bool:
        return len(self._waiting) >= self._crowd or self._waiting_jobs >= _JOBS_ENOUGH

    async def _gather(self) -> None:
        self._enough.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._gather_s):
                await self._enough.wait()

    def _take(self) -> list[_Waiting]:
        count = jobs = 0
        for submission, _ in self._waiting:
            if count and jobs + len(submission.jobs) > _JOBS_MAX:
                break
            jobs += len(submission.jobs)
            count += 1
        self._waiting_jobs -= jobs
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _write(self, db: Database, group: list[_Waiting]) -> None:
        try:
            outcomes = await db.write(
                lambda connection: submissions.store(connection, [one for one, _ in group])
            )
        except Exception as error:
            if len(group) == 1:
                submission, future = group[0]
                _end(future, await _stored_beside(db, submission) or error)
                return
            # One of them cannot be stored: each alone, so that the others do not suffer.
            for one in group:
                await self._write(db, [one])
            return
        for (_, future), outcome in zip(group, outcomes, strict=True):
            _end(future, outcome)


async def _stored_beside(db: Database, submission: Submission) -> Outcome | None:
    """Return what another replica stored under the same key since this one looked for it."""
    key = submission.key
    try:
        found = await db.read(lambda connection: submissions.find(connection, [key]))
    except Exception:  # then the caller hears of the write that failed
        return None
    return found.get((key.enterprise, key.request_id))


def _end(future: asyncio.Future[Outcome], outcome: Outcome | Exception) -> None:
    if future.done():  # its caller went away; what is stored stays stored
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
