"""Use cases of watching: begin at a place of the feed, go on without a gap, end when it is time."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest, NotFound, TooOld, Unauthenticated
from scheduler.services.context import Context
from scheduler.services.feed_tail import Batch, FeedTail, Inbox
from scheduler.store import feed, identity, jobs, retention
from scheduler.store.database import Connection
from scheduler.store.feed import Interest

_NOWHERE: Final = 1 << 62


async def open_watch(
    context: Context, tail: FeedTail, interest: Interest, after: int | None, until_ended: bool
) -> "Watch":
    """Begin to watch behind event ``after``, None for the last one that there is.

    ``until_ended`` ends the watch with the last of its jobs. Raises ``NotFound`` for jobs, an
    enterprise or a city outside the scope, ``InvalidRequest`` for a place in the feed that was
    never reached, ``TooOld`` for one of which not all is kept that came after it. Behind event 0
    is told what is kept.
    """
    scope = interest.scope
    for mine, asked in ((scope.enterprise, interest.enterprise), (scope.city, interest.city)):
        if asked and mine is not None and asked != mine:
            raise NotFound(f"nothing of {asked!r} that you may see")

    def read(connection: Connection) -> tuple[int, set[int], dict[int, int]]:
        head = feed.head(connection)
        if after is not None and after > max(head, feed.newest(connection)):
            problem = "lies ahead of all that happened here; is it of another server?"
            raise InvalidRequest([FieldViolation("resume_token", problem)])
        _check_kept(connection, after or 0, 0)
        if interest.uids is None:
            return head, set(), {}
        place = head if after is None else after
        missing = set(interest.uids) - jobs.visible(connection, scope, interest.uids)
        arrays = jobs.arrays_of(connection, scope, missing) if missing else {}
        watched = {*interest.uids, *arrays.values()}
        ended = feed.ended_by(connection, watched, place)
        ended.update(uid for uid, array in arrays.items() if array in ended)
        if left := missing - arrays.keys():
            raise NotFound(jobs.not_found(connection, left))
        return head, ended, arrays

    head, ended, arrays = await context.db.read_feed(read)
    unended = set(interest.uids or ()) - ended if until_ended else None
    return Watch(tail, interest, head if after is None else after, unended, arrays)


def _check_kept(connection: Connection, after: int, whole_from: int) -> None:
    """Raise ``TooOld`` if not all is kept that happened after an event.

    Whoever began before ``whole_from``, or with event 0, was not promised that.
    """
    kept = retention.kept(connection)
    if whole_from <= after < kept.events_upto_seq and after:
        raise TooOld(
            "what happened next after this resume_token is no longer kept: list the jobs to see how"
            " they stand, and watch again without a token for what comes, or from the start for all"
            " events that are kept",
            reason="RESUME_TOKEN_TOO_OLD",
            metadata={"kept_from_ms": str(kept.events_upto_ms)},
        )


async def check_token(context: Context, caller: Principal) -> None:
    """Raise ``Unauthenticated`` once the token that a long call was made with has ended."""
    if caller.expire_ms <= context.wall_ms():
        raise Unauthenticated(
            "the token has expired; watch on with a new one", reason="TOKEN_EXPIRED"
        )
    revoked = await context.db.read(
        lambda connection: identity.is_revoked(connection, caller.token_id)
    )
    if revoked:
        raise Unauthenticated("the token was revoked", reason="TOKEN_REVOKED")


class Watch:
    """One watcher's way along the feed; ``position`` is the last sequence it was given.

    ``arrays`` gives the array of elements that had no row when the watch began: if such a one
    never gets any, nothing is told of it but the end of its array.
    """

    def __init__(
        self, tail: FeedTail, interest: Interest, after: int, unended: set[int] | None,
        arrays: Mapping[int, int] | None = None,
    ) -> None:  # fmt: skip
        self._tail, self.position = tail, after
        #: Behind here all must be told; from event 0 on it is what is kept, until it has caught up.
        self._whole_from = after or _NOWHERE
        self._unended = unended
        self._elements: dict[int, set[int]] = {}
        for uid, array in (arrays or {}).items():
            self._elements.setdefault(array, set()).add(uid)
        asked = interest.uids or frozenset()
        #: Arrays of which only the end is told.
        self._beside = self._elements.keys() - asked
        self.interest = replace(interest, uids=asked | self._beside) if self._beside else interest
        self._inbox: Inbox | None = None
        self._backlog = after  # up to where the store is read, before the inbox goes on
        self._silent_from_s: float | None = None

    @property
    def done(self) -> bool:
        """Whether all jobs that were to be watched to their end have ended."""
        return self._unended is not None and not self._unended

    def close(self) -> None:
        """Take up no room any more; what comes next would be read from the store."""
        if self._inbox is not None:
            self._tail.detach(self._inbox)
            self._inbox = None

    async def next(self) -> list[Batch]:
        """Return what comes next, in order; one batch without events is a heartbeat.

        The first answer comes at once.
        """
        loop = asyncio.get_running_loop()
        if self._silent_from_s is None:
            self._silent_from_s = loop.time()
            return [Batch(self.position, self.position)]
        due_s = self._silent_from_s + self._tail.settings.heartbeat_s
        while not (batches := await self._some(due_s)) and loop.time() < due_s:
            pass
        self._silent_from_s = loop.time()
        if batches:
            self.position = batches[-1].until
            self._note_ends(batches)
            return [self._asked(batch) for batch in batches] if self._beside else batches
        return [Batch(self.position, self.position)]

    def _note_ends(self, batches: Iterable[Batch]) -> None:
        if self._unended is not None:
            ended = {
                one.event.uid
                for batch in batches
                for one in batch.told
                if one.event.kind in feed.ENDS
            }
            self._unended.difference_update(ended)
            for array in ended & self._elements.keys():
                self._unended.difference_update(self._elements[array])

    def _asked(self, batch: Batch) -> Batch:
        """A batch without what arrays do before their end."""
        told = [
            one
            for one in batch.told
            if one.event.uid not in self._beside or one.event.kind in feed.ENDS
        ]
        return Batch(batch.after, batch.until, told)

    async def _some(self, due_s: float) -> list[Batch]:
        """Take the next step: what it gives, or nothing."""
        if self._inbox is None:
            self._inbox, self._backlog = await self._tail.attach(self.interest)
        if self.position < self._backlog:
            return await self._from_store()
        inbox = self._inbox
        if not inbox.batches:
            if inbox.lost:
                self.close()
                return []
            self.position = max(self.position, self._tail.position)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due_s):
                    await inbox.filled.wait()
        taken = inbox.take(self._tail.settings.message_bytes)
        behind = [batch.behind(self.position) for batch in taken if batch.until > self.position]
        return [batch for batch in behind if batch.told]

    async def _from_store(self) -> list[Batch]:
        """Read a piece of what happened before the inbox was filled."""
        after, until = self.position, self._backlog
        interest, limit = self.interest, self._tail.settings.batch

        def read(connection: Connection) -> Batch:
            _check_kept(connection, after, self._whole_from)
            reached, events = feed.read(connection, interest, after, until, limit)
            return Batch(after, reached, self._tail.told(events))

        batch = await self._tail.db.read(read)
        self.position = batch.until
        return [batch] if batch.told else []
