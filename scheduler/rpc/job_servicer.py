"""JobService: messages in, use cases, messages out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from corridor.v1 import job_service_pb2 as pb
from corridor.v1 import job_service_pb2_grpc

from scheduler.rpc import (
    caller,
    element_ids,
    job_explaining,
    job_messages,
    job_quoting,
    job_submission,
    job_watch,
)
from scheduler.rpc.messages import CallContext, page_size, split_page
from scheduler.services import feed_tail, job_commands, jobs
from scheduler.services.context import Context
from scheduler.services.feed_tail import FeedTail, WatchSettings

#: So many jobs are put into messages at a stretch; then other calls have their turn.
_STRETCH: Final = 200


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """See ``job_service.proto``; ``on_submitted(city, count)`` is told of accepted jobs."""

    def __init__(
        self,
        context: Context,
        on_submitted: Callable[[str, int], None],
        watch: WatchSettings = feed_tail.DEFAULTS,
    ) -> None:
        self._context = context
        self._on_submitted = on_submitted
        self._tail = FeedTail(context.db, job_watch.encode, watch)

    def watched_to(self) -> int | None:
        """Sequence up to which watchers were handed all events; None while nobody watches."""
        return self._tail.watched_to

    async def SubmitJobs(
        self, request: pb.SubmitJobsRequest, context: CallContext
    ) -> pb.SubmitJobsResponse:
        return await job_submission.submit_jobs(
            self._context, caller.current(), request, self._on_submitted
        )

    async def QuoteJobs(
        self, request: pb.QuoteJobsRequest, context: CallContext
    ) -> pb.QuoteJobsResponse:
        return await job_quoting.quote_jobs(self._context, caller.current(), request)

    async def GetJob(self, request: pb.GetJobRequest, context: CallContext) -> pb.GetJobResponse:
        who = caller.current()
        uid = await element_ids.find_uid(self._context, who, request.job_id)
        view = await jobs.get_job(self._context, who, uid)
        away = view.told is not None and view.told.planner_away
        return pb.GetJobResponse(job=job_messages.job_message(view), planner_away=away)

    async def ListJobs(
        self, request: pb.ListJobsRequest, context: CallContext
    ) -> pb.ListJobsResponse:
        who, size = caller.current(), page_size(request.page_size)
        wanted = job_messages.filter_of(request.filter)
        bound = job_messages.digest(who.scope, wanted)
        before = job_messages.list_before(request.page_token, bound)
        found = await jobs.list_jobs(self._context, who, wanted, size + 1, before)
        views, more = split_page(found, size)
        answer = pb.ListJobsResponse()
        for first in range(0, len(views), _STRETCH):
            answer.jobs.extend(
                job_messages.job_message(view) for view in views[first : first + _STRETCH]
            )
            await asyncio.sleep(0)
        if more:
            answer.next_page_token = job_messages.list_token(views[-1].row.uid, bound)
        return answer

    async def CancelJobs(
        self, request: pb.CancelJobsRequest, context: CallContext
    ) -> pb.CancelJobsResponse:
        who = caller.current()
        selection, wrong = await element_ids.selection_of(self._context, who, request.selection)
        done = await job_commands.cancel(self._context, who, selection, request.reason)
        return pb.CancelJobsResponse(
            cancelled_count=done.cancelled,
            requested_count=done.requested,
            ended_count=done.ended,
            not_found_job_ids=[*job_messages.ids(done.missing), *wrong],
        )

    async def HoldJobs(
        self, request: pb.HoldJobsRequest, context: CallContext
    ) -> pb.HoldJobsResponse:
        who = caller.current()
        selection, wrong = await element_ids.selection_of(self._context, who, request.selection)
        done = await job_commands.hold(self._context, who, selection, request.reason)
        return pb.HoldJobsResponse(
            held_count=done.moved,
            skipped_count=done.skipped,
            not_found_job_ids=[*job_messages.ids(done.missing), *wrong],
        )

    async def ReleaseJobs(
        self, request: pb.ReleaseJobsRequest, context: CallContext
    ) -> pb.ReleaseJobsResponse:
        who = caller.current()
        selection, wrong = await element_ids.selection_of(self._context, who, request.selection)
        done = await job_commands.release(self._context, who, selection, request.reason)
        return pb.ReleaseJobsResponse(
            released_count=done.moved,
            skipped_count=done.skipped,
            not_found_job_ids=[*job_messages.ids(done.missing), *wrong],
        )

    async def GrantEmergency(
        self, request: pb.GrantEmergencyRequest, context: CallContext
    ) -> pb.GrantEmergencyResponse:
        who = caller.current()
        uid = await element_ids.find_uid(self._context, who, request.job_id)
        await job_commands.grant_emergency(
            self._context, who, uid, not request.revoke, request.reason
        )
        view = await jobs.get_job(self._context, who, uid)
        return pb.GrantEmergencyResponse(job=job_messages.job_message(view))

    async def WatchJobs(
        self, request: pb.WatchJobsRequest, context: CallContext
    ) -> AsyncIterator[Any]:
        responses = job_watch.watch_jobs(self._context, caller.current(), self._tail, request)
        async with contextlib.aclosing(responses):
            async for response in responses:
                yield response

    async def ExplainJob(
        self, request: pb.ExplainJobRequest, context: CallContext
    ) -> pb.ExplainJobResponse:
        return await job_explaining.explain_job(self._context, caller.current(), request)

    async def ReadJobLogs(
        self, request: pb.ReadJobLogsRequest, context: CallContext
    ) -> pb.ReadJobLogsResponse:
        who = caller.current()
        chunk = await jobs.read_logs(
            self._context,
            who,
            await element_ids.find_uid(self._context, who, request.job_id),
            request.attempt,
            request.offset,
            request.limit_bytes,
        )
        return pb.ReadJobLogsResponse(data=chunk.data, next_offset=chunk.next_offset, end=chunk.end)
