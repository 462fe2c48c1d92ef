"""How jobs of files reach the service: in calls of at most 10,000, each done once.

A call whose answer is lost is repeated under the same request id, which the service answers as it
did the first time. What the service refuses is told by file and line.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from corridor.v1 import job_service_pb2 as pb

from scheduler.cli import exits
from scheduler.cli.failures import Failed, FailedCall
from scheduler.cli.flaws import BadFile, Flaw
from scheduler.cli.jobfile import FoundJob, read_jobs
from scheduler.cli.lines import complain
from scheduler.cli.session import Session
from scheduler.problem import Problem, problem_of

JOBS_MAX: Final = 10_000
#: The service takes 64 MiB a message; the rest is for the frame around the jobs.
CALL_MAX_BYTES: Final = 48 * 1024 * 1024
#: Times a call is sent in all while its answer stays away. The channel itself repeats each as
#: well, but only while the service is not reachable and the deadline has not passed.
TRIES: Final = 3
_LOST: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})
#: What the channel says when nobody listens, after it has tried for seconds by itself.
_NEVER_SENT: Final = "failed to connect to all addresses"
_INDEX: Final = re.compile(r"jobs\[(\d+)\]\.?")


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of one job: its id, or why it was refused (``flaws`` by file and line)."""

    job: FoundJob
    job_id: str
    problem: Problem | None = None
    flaws: tuple[Flaw, ...] = ()


def read_files(names: Sequence[str]) -> list[FoundJob]:
    """Return the jobs of all files, ``-`` for standard input; raises ``BadFile``."""
    if not names:
        raise Failed("option.no_file", exits.USAGE)
    found: list[FoundJob] = []
    flaws: list[Flaw] = []
    for name in names:
        try:
            found += read_jobs(_text(name), "<stdin>" if name == "-" else name)
        except BadFile as error:
            flaws += error.flaws
    if flaws:
        raise BadFile(flaws)
    return found


def _text(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BadFile([Flaw(name, line, "", "file.not_utf8", {})]) from error
    except OSError as error:
        values = {"why": error.strerror or str(error)}
        raise BadFile([Flaw(name, 0, "", "file.unreadable", values)]) from error


def calls(jobs: Sequence[FoundJob], most: int = JOBS_MAX) -> Iterator[Sequence[FoundJob]]:
    """Split jobs into calls of at most ``most`` jobs and ``CALL_MAX_BYTES``."""
    begin = size_bytes = 0
    for index, job in enumerate(jobs):
        job_bytes = job.spec.ByteSize() + 8
        if index - begin == most or (size_bytes + job_bytes > CALL_MAX_BYTES and index > begin):
            yield jobs[begin:index]
            begin, size_bytes = index, 0
        size_bytes += job_bytes
    if begin < len(jobs):
        yield jobs[begin:]


def submit(
    session: Session,
    jobs: Sequence[FoundJob],
    *,
    request_id: str,
    enterprise: str,
    all_or_nothing: bool,
) -> Iterator[Submitted]:
    """Submit and yield what became of each job, call by call.

    Several calls have ``.1``, ``.2``, ... after the request id, so that repeating all of it under
    the same id repeats nothing. Raises ``BadFile`` or ``FailedCall`` if a whole call is refused.
    """
    parts = list(calls(jobs))
    for number, part in enumerate(parts, 1):
        own_id = request_id if len(parts) == 1 else f"{request_id}.{number}"
        request = pb.SubmitJobsRequest(
            request_id=own_id,
            enterprise=enterprise,
            jobs=[job.spec for job in part],
            all_or_nothing=all_or_nothing,
        )
        if session.verbose:
            complain(session.t("submit.request_id", request_id=own_id, jobs=len(part)))
        answer = _send(session, request, part, request_id)
        if answer.replayed:
            complain(session.t("submit.replayed", request_id=own_id))
        for result in answer.results:
            job = part[result.index]
            if result.HasField("error"):
                refused = problem_of(result.error)
                flaws = tuple(flaws_of(refused, part))
                yield Submitted(job, "", in_file(refused, part), flaws)
            else:
                yield Submitted(job, result.job_id)


def _send(
    session: Session, request: pb.SubmitJobsRequest, part: Sequence[FoundJob], request_id: str
) -> pb.SubmitJobsResponse:
    for left in reversed(range(TRIES)):
        try:
            return session.client.jobs.SubmitJobs(request)
        except grpc.RpcError as error:
            problem = problem_of(error)
            if problem.code in _LOST:
                if left and not problem.reason and _NEVER_SENT not in problem.message:
                    continue
                after = session.t("call.answer_lost", request_id=request_id)
                raise FailedCall(problem, after) from error
            raise_refusal(problem, part)
    raise AssertionError("the last try returns or raises")


def raise_refusal(problem: Problem, jobs: Sequence[FoundJob]) -> None:
    """Raise why a whole call was refused: ``BadFile`` where it names fields of jobs."""
    flaws = list(flaws_of(problem, jobs))
    if flaws and len(flaws) == len(problem.violations):
        raise BadFile(flaws)
    raise FailedCall(in_file(problem, jobs))


def flaws_of(problem: Problem, jobs: Sequence[FoundJob]) -> Iterator[Flaw]:
    """Yield what the service says of fields of jobs, by file and line."""
    for violation in problem.violations:
        found = _INDEX.match(violation.field)
        if found is not None and int(found[1]) < len(jobs):
            job = jobs[int(found[1])]
            line, path = job.where(violation.field[found.end() :])
            values = {"words": violation.description}
            yield Flaw(job.file, line, path, "field.service", values)


def in_file(problem: Problem, jobs: Sequence[FoundJob]) -> Problem:
    """Return a problem whose message names file and line instead of ``jobs[3].options``."""
    found = _INDEX.match(problem.message)
    if found is None or int(found[1]) >= len(jobs):
        return problem
    job = jobs[int(found[1])]
    path, _, words = problem.message[found.end() :].partition(": ")
    line, shown = job.where(path)
    return Problem(
        problem.code, f"{job.file}:{line}: {shown}: {words}", problem.reason, problem.advice,
        problem.violations, problem.subject, problem.retry_after_s, problem.metadata,
    )  # fmt: skip
