"""WatchJobs in bytes: each event is serialized once, whoever watches it.

A ``WatchJobsResponse`` is put together from pieces that are such messages themselves: fields that
repeat add up, of a field that does not the last one counts. So an event's piece serves every
watcher, and what is told to watchers of equal interest is joined once for all of them.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from corridor.v1 import job_service_pb2 as pb

from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc.element_ids import find_uids
from scheduler.rpc.job_messages import (
    fill_event,
    interest_digest,
    resume_after,
    resume_token,
)
from scheduler.services import watching
from scheduler.services.context import Context
from scheduler.services.feed_tail import Batch, FeedTail
from scheduler.store.feed import Interest, JobEvent


def encode(event: JobEvent) -> bytes:
    """Return the piece of a response that tells one event."""
    piece = pb.WatchJobsResponse()
    fill_event(piece.events.add(), event)
    return piece.SerializeToString()


async def watch_jobs(
    context: Context, caller: Principal, tail: FeedTail, request: pb.WatchJobsRequest
) -> AsyncGenerator[bytes, None]:
    """Give serialized responses; the first comes at once and tells where the watch begins.

    Raises what ``watching.open_watch`` raises, ``InvalidRequest`` for a token of another watch,
    and ``Unauthenticated`` once the caller's token has ended.
    """
    asked = await find_uids(context, caller, request.job_ids, "job_ids")
    uids = frozenset(asked) if asked else None
    interest = Interest(caller.scope, uids, request.enterprise, request.city)
    if request.until_ended and uids is None:
        problem = "needs job_ids: say which jobs are to end"
        raise InvalidRequest([FieldViolation("until_ended", problem)])
    bound = interest_digest(interest)
    after = 0 if request.from_start else None
    if request.resume_token:
        after = resume_after(request.resume_token, bound)
    watch = await watching.open_watch(context, tail, interest, after, request.until_ended)
    loop = asyncio.get_running_loop()
    checked_s = loop.time()
    try:
        while True:
            yield _payload(await watch.next(), bound)
            if watch.done:
                return
            if loop.time() >= checked_s + tail.settings.heartbeat_s:
                await watching.check_token(context, caller)
                checked_s = loop.time()
    finally:
        watch.close()


def _payload(batches: Sequence[Batch], bound: str) -> bytes:
    for batch in batches:
        if batch.payload is None:
            token = pb.WatchJobsResponse(resume_token=resume_token(batch.until, bound))
            pieces = [one.part for one in batch.told]
            batch.payload = b"".join([*pieces, token.SerializeToString()])
    if len(batches) == 1 and batches[0].payload is not None:
        return batches[0].payload
    return b"".join(batch.payload or b"" for batch in batches)
