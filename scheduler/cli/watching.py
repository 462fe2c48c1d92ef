"""Following jobs until they end, and what their end means for the exit code."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import grpc
from corridor.v1 import job_pb2
from corridor.v1.job_service_pb2 import GetJobRequest, WatchJobsRequest

from scheduler.cli import exits, job_views
from scheduler.cli.lines import complain
from scheduler.cli.message_json import to_json
from scheduler.cli.session import Session
from scheduler.problem import problem_of

#: Jobs that one watch may name.
JOBS_MAX: Final = 10_000


def outcome_code(states: Iterable[int]) -> int:
    """Return 0 if all jobs succeeded, 3 if those that did not were all refused, else 1."""
    bad = {state for state in states if state != job_pb2.JOB_STATE_SUCCEEDED}
    if not bad:
        return exits.OK
    return exits.REFUSED if bad == {job_pb2.JOB_STATE_REJECTED} else exits.ERROR


def lost(session: Session, error: grpc.RpcError) -> None:
    """Say that the stream was lost and is taken up again."""
    if session.verbose:
        complain(f"{problem_of(error).code}: {problem_of(error).message}")
    complain(session.t("call.lost_stream", server=session.server))


def wait(session: Session, job_ids: Sequence[str]) -> tuple[int, list[dict[str, Any]]]:
    """Wait until all jobs have ended; returns the exit code and the jobs as JSON has them.

    On a terminal the end of each is told on stderr as it comes.
    """
    request = WatchJobsRequest(job_ids=job_ids, from_start=True, until_ended=True)
    states: dict[str, int] = {}
    for answer in session.client.watch(request, on_lost=lambda error: lost(session, error)):
        for event in answer.events:
            if event.state in job_views.ENDED and event.job_id not in states:
                states[event.job_id] = event.state
                ended = min(len(states), len(job_ids))  # that of an element's array may come too
                _tell(session, event, ended, len(job_ids))
    jobs = [session.client.jobs.GetJob(GetJobRequest(job_id=one)).job for one in job_ids]
    if not session.as_json:
        for job in jobs:
            if job.state != job_pb2.JOB_STATE_SUCCEEDED:
                complain(_why(session, job))
    return outcome_code(job.state for job in jobs), [to_json(job) for job in jobs]


def _tell(session: Session, event: job_pb2.JobEvent, ended: int, jobs: int) -> None:
    if session.as_json:
        return
    state = session.t(f"state.{job_views.state_word(event.state)}")
    values = {"job": event.job_id, "state": state, "ended": ended, "jobs": jobs}
    complain(session.t("wait.ended", **values))


def _why(session: Session, job: job_pb2.Job) -> str:
    state = session.t(f"state.{job_views.state_word(job.state)}")
    words = [state, job_views.failure_words(session.out, job), job.message]
    return f"{job.job_id}: " + ", ".join(word for word in words if word)
