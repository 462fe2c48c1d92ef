"""JobService: messages in, use cases, messages out."""

from collections.abc import Callable

from corridor.v1 import job_service_pb2 as pb
from corridor.v1 import job_service_pb2_grpc

from scheduler.rpc import caller
from scheduler.rpc.messages import CallContext
from scheduler.services.context import Context


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """See ``job_service.proto``; ``on_submitted(city, count)`` is told of accepted jobs."""

    def __init__(self, context: Context, on_submitted: Callable[[str, int], None]) -> None:
        self._context = context
        self._on_submitted = on_submitted

    async def SubmitJobs(
        self, request: pb.SubmitJobsRequest, context: CallContext
    ) -> pb.SubmitJobsResponse:
        from scheduler.rpc import job_submission

        return await job_submission.submit_jobs(
            self._context, caller.current(), request, self._on_submitted
        )
