"""SubmitJobs: judges each job of a call and answers for each."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from corridor.v1 import job_service_pb2 as pb
from corridor.v1.job_pb2 import JobSpec

from scheduler.domain.ids import job_id
from scheduler.domain.principal import Principal
from scheduler.domain.spec import check_deadline, check_description
from scheduler.domain.states import JobState
from scheduler.errors import CorridorError, FieldViolation, InvalidRequest, QuotaExceeded
from scheduler.rpc.errors import to_status
from scheduler.rpc.job_spec import Shape, Shapes, deadline_of, labels_json
from scheduler.services import submission
from scheduler.services.context import Context
from scheduler.services.submission import Call, Judged
from scheduler.store.submission_book import Home, SubmissionBook
from scheduler.store.submissions import NewJob

#: So many jobs are judged at a stretch; then other calls have their turn.
_STRETCH: Final = 200
_QUEUED: Final = JobState.QUEUED.value
_HELD: Final = JobState.HELD.value


async def submit_jobs(
    context: Context,
    principal: Principal,
    request: pb.SubmitJobsRequest,
    on_submitted: Callable[[str, int], None],
) -> pb.SubmitJobsResponse:
    """Store the jobs of a call and answer once they are durable.

    ``on_submitted(city, count)`` is told of what was stored, not of repeated calls. Raises what
    ``scheduler.services.submission.submit`` raises.
    """
    submission.check_call(request.request_id, len(request.jobs))
    messages = list(request.jobs)
    specs = [message.SerializeToString(deterministic=True) for message in messages]
    call = Call(
        request.request_id, request.enterprise, payload_sha256(specs, request.all_or_nothing)
    )

    async def judge(book: SubmissionBook, home: Home) -> Judged:
        return await _judge(context, request, messages, specs, book, home)

    answered = await submission.submit(context, principal, call, judge)
    response = pb.SubmitJobsResponse.FromString(answered.answer)
    if answered.replayed:
        response.replayed = True
    elif answered.stored:
        on_submitted(answered.city, answered.stored)
    return response


def payload_sha256(specs: Sequence[bytes], all_or_nothing: bool) -> bytes:
    """Return the digest of what a call asks for, whoever sends it under whatever key."""
    head = f"{int(all_or_nothing)} {' '.join(str(len(spec)) for spec in specs)}\n"
    return hashlib.sha256(head.encode() + b"".join(specs)).digest()


async def _judge(
    context: Context,
    request: pb.SubmitJobsRequest,
    messages: Sequence[JobSpec],
    specs: Sequence[bytes],
    book: SubmissionBook,
    home: Home,
) -> Judged:
    shapes = book.memo.setdefault("shapes", Shapes(book))
    now_ms = context.clock.now_ms()
    uids = context.ids.take(len(specs))
    jobs: list[NewJob] = []
    refused: dict[int, CorridorError] = {}
    whole = request.all_or_nothing or len(specs) == 1
    response = pb.SubmitJobsResponse()
    add = response.results.add
    for index, (uid, message, spec) in enumerate(zip(uids, messages, specs, strict=True)):
        shape, deadline_ms, refusal = look_at(shapes, home, message, now_ms, index)
        if refusal is None:
            jobs.append(_new_job(uid, home, message, shape, deadline_ms, spec, now_ms))
            add(index=index, job_id=job_id(uid))
        else:
            refused[index] = refusal
            if not whole:
                add(index=index, error=to_status(refusal))
        if index % _STRETCH == _STRETCH - 1:
            await asyncio.sleep(0)
    if refused and whole:
        raise _refusal_of_all(refused)
    return Judged(jobs, response.SerializeToString(), now_ms)


class Looked(NamedTuple):
    """One job of a call: its shape, its queue deadline, and why it is refused if it is."""

    shape: Shape
    deadline_ms: int | None
    refusal: CorridorError | None


def look_at(shapes: Shapes, home: Home, message: JobSpec, now_ms: int, index: int) -> Looked:
    """Judge the job at ``index`` of a call as a submission of it is judged."""
    shape = shapes.of(home, message)
    wrong = check_description(message)
    deadline_ms = None
    if message.HasField("queue_deadline"):
        deadline_ms, impossible = deadline_of(message)
        wrong += impossible + check_deadline(deadline_ms, now_ms)
    if not (wrong or shape.wrong or shape.too_large):
        return Looked(shape, deadline_ms, None)
    return Looked(shape, deadline_ms, _refusal(f"jobs[{index}]", [*shape.wrong, *wrong], shape))


def _new_job(
    uid: int,
    home: Home,
    message: JobSpec,
    shape: Shape,
    deadline_ms: int | None,
    spec: bytes,
    now_ms: int,
) -> NewJob:
    return NewJob(
        uid,
        home.enterprise,
        home.city,
        _HELD if message.held else _QUEUED,
        message.priority,
        now_ms,
        deadline_ms,
        message.display_name,
        shape.options,
        labels_json(message),
        spec,
        shape.subsidy,
        message.self_pay_max_fen if message.HasField("self_pay_max_fen") else None,
        shape.attempts_max,
        shape.retry_on,
    )


def _refusal(path: str, wrong: Sequence[FieldViolation], shape: Shape) -> CorridorError:
    """Return why one job is refused; there is something wrong, or it is too large."""
    if wrong:
        return InvalidRequest([FieldViolation(f"{path}.{v.field}", v.description) for v in wrong])
    assert shape.too_large is not None
    large = shape.too_large
    return QuotaExceeded(f"{path}.options: {large.description}", subject=large.subject)


def _refusal_of_all(refused: Mapping[int, CorridorError]) -> CorridorError:
    """Return why a call is refused as a whole: each wrong field, or what can never fit."""
    wrong: list[FieldViolation] = []
    for index, error in refused.items():
        if isinstance(error, InvalidRequest):
            wrong += error.violations
        else:
            wrong.append(FieldViolation(f"jobs[{index}].options", error.message))
    if any(isinstance(error, InvalidRequest) for error in refused.values()):
        return InvalidRequest(wrong)
    return next(iter(refused.values()))
