"""The service with a job service that does as the tests of access want."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from corridor.v1 import job_service_pb2, job_service_pb2_grpc


class Jobs(job_service_pb2_grpc.JobServiceServicer):
    """Stands in for the job service: it answers GetJob, and fails as nobody foresaw."""

    async def GetJob(
        self, request: job_service_pb2.GetJobRequest, context: Any
    ) -> job_service_pb2.GetJobResponse:
        if request.job_id == "defect":
            raise ZeroDivisionError("secret detail")
        return job_service_pb2.GetJobResponse()

    async def WatchJobs(
        self, request: job_service_pb2.WatchJobsRequest, context: Any
    ) -> AsyncIterator[job_service_pb2.WatchJobsResponse]:
        yield job_service_pb2.WatchJobsResponse()
        raise ZeroDivisionError("secret detail")

    def _none(self, request: Any, context: Any) -> Any:
        raise AssertionError("not called here")

    SubmitJobs = QuoteJobs = ListJobs = CancelJobs = HoldJobs = ReleaseJobs = _none
    ExplainJob = GrantEmergency = ReadJobLogs = _none


@pytest.fixture
async def corridor(start_corridor: Any) -> Any:
    """A service with the sample data; every call it ends is noted in ``calls``."""
    return await start_corridor(jobs=Jobs())
