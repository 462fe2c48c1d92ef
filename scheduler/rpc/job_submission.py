"""SubmitJobs: judges each job of a call and answers for each."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog
from corridor.v1 import job_service_pb2 as pb
from corridor.v1.job_pb2 import PRIORITY_CLASS_EMERGENCY, JobSpec

from scheduler.domain.dependencies import CallNames, Named, Resolved, refused_with, resolve
from scheduler.domain.ids import job_id
from scheduler.domain.principal import Principal, Role
from scheduler.domain.spec import check_description
from scheduler.domain.spec_rules import Times, check_times
from scheduler.domain.states import JobState
from scheduler.domain.traces import FOLLOWED_MAX
from scheduler.errors import (
    CorridorError,
    FieldViolation,
    Forbidden,
    InvalidRequest,
    QuotaExceeded,
)
from scheduler.rpc import bounds, call_trace
from scheduler.rpc.errors import to_status
from scheduler.rpc.job_extras import check_special, is_special, more_of, staged_options
from scheduler.rpc.job_spec import Shape, Shapes, dependencies_of, labels_json, times_of
from scheduler.services import submission
from scheduler.services.context import Context
from scheduler.services.submission import Call, Judged
from scheduler.store import submissions
from scheduler.store.submission_book import Home, SubmissionBook
from scheduler.store.submissions import NewJob

log = structlog.get_logger()

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
    _check_bounds(messages, specs)
    digest = payload_sha256(specs, request.all_or_nothing)
    call = Call(request.request_id, request.enterprise, digest, call_trace.recorded())

    async def judge(book: SubmissionBook, home: Home) -> Judged:
        return await _judge(context, principal, request, messages, specs, book, home)

    answered = await submission.submit(context, principal, call, judge)
    response = pb.SubmitJobsResponse.FromString(answered.answer)
    if answered.replayed:
        response.replayed = True
    elif answered.stored:
        on_submitted(answered.city, answered.stored)
        log.debug(
            "submitted", enterprise=answered.enterprise, city=answered.city, jobs=answered.stored,
            **({"job": response.results[0].job_id} if len(messages) == 1 else {}),
        )  # fmt: skip
    if call.trace is not None:
        call_trace.note(
            enterprise=answered.enterprise, city=answered.city, jobs=answered.stored,
            jobs_followed=min(answered.stored, FOLLOWED_MAX), replayed=answered.replayed,
        )  # fmt: skip
    return response


def _check_bounds(messages: Sequence[JobSpec], specs: Sequence[bytes]) -> None:
    """Refuse a call with a job that is larger than any may be, before anything is done with it."""
    for index, (message, spec) in enumerate(zip(messages, specs, strict=True)):
        wrong = bounds.check_job(f"jobs[{index}]", message, spec)
        if wrong:
            raise InvalidRequest(wrong)


def payload_sha256(specs: Sequence[bytes], all_or_nothing: bool) -> bytes:
    """Return the digest of what a call asks for, whoever sends it under whatever key."""
    head = f"{int(all_or_nothing)} {' '.join(str(len(spec)) for spec in specs)}\n"
    return hashlib.sha256(head.encode() + b"".join(specs)).digest()


class Looked(NamedTuple):
    """One job of a call: its shape, its times, its queue deadline, and why it is refused if it is.

    ``times`` is None for a job that states none; a ``special`` one says what only some do.
    """

    shape: Shape
    times: Times | None
    deadline_ms: int | None
    refusal: CorridorError | None
    special: bool = False


async def _judge(
    context: Context,
    caller: Principal,
    request: pb.SubmitJobsRequest,
    messages: Sequence[JobSpec],
    specs: Sequence[bytes],
    book: SubmissionBook,
    home: Home,
) -> Judged:
    shapes = book.memo.setdefault("shapes", Shapes(book))
    now_ms = context.clock.now_ms()
    may_emergency = caller.role is Role.OPERATOR
    looked: list[Looked] = []
    for index, message in enumerate(messages):
        looked.append(look_at(shapes, home, message, now_ms, index, may_emergency))
        if index % _STRETCH == _STRETCH - 1:
            await asyncio.sleep(0)
    some = [index for index, one in enumerate(looked) if one.special]
    waits = await relate(context, home, messages, looked, some) if some else None
    refused = {index: one.refusal for index, one in enumerate(looked) if one.refusal is not None}
    if refused and (request.all_or_nothing or len(specs) == 1):
        raise _refusal_of_all(refused)
    uids = _take_uids(context, messages, looked, some)
    jobs: list[NewJob] = []
    response = pb.SubmitJobsResponse()
    add = response.results.add
    user = caller.subject
    for index, (uid, message, spec, one) in enumerate(
        zip(uids, messages, specs, looked, strict=True)
    ):
        if one.refusal is None:
            named = waits.of(index, uids) if waits is not None else ()
            jobs.append(_new_job(uid, home, user, message, one, spec, now_ms, book, named))
            add(index=index, job_id=job_id(uid))
        else:
            add(index=index, error=to_status(one.refusal))
        if index % _STRETCH == _STRETCH - 1:
            await asyncio.sleep(0)
    return Judged(jobs, response.SerializeToString(), now_ms)


def _take_uids(
    context: Context, messages: Sequence[JobSpec], looked: Sequence[Looked], some: Sequence[int]
) -> Sequence[int]:
    """Return a uid for each job of a call, those of arrays with room for their elements.

    ``some`` are the places of jobs that may be arrays.
    """
    sizes = {
        index: messages[index].array.size
        for index in some
        if messages[index].HasField("array") and looked[index].refusal is None
    }
    if not sizes:
        return context.ids.take(len(messages))
    submission.check_elements(sum(sizes.values()))
    return context.ids.take_blocks([1 + sizes.get(index, 0) for index in range(len(messages))])


@dataclass(frozen=True, slots=True)
class Waits:
    """What the jobs of a call wait for, by place: jobs of the call, and jobs of before."""

    resolved: Resolved

    def of(self, place: int, uids: Sequence[int]) -> tuple[tuple[int, str], ...]:
        """Return (uid, condition) of each job that the one at ``place`` waits for."""
        found = self.resolved.waits_for(place, uids)
        return tuple((uid, condition.value) for uid, condition in found.items())

    def in_call(self, place: int) -> tuple[str, ...]:
        """Return jobs of the call that the one at ``place`` waits for, as a caller names them."""
        elements = sorted(self.resolved.on_elements.get(place, ()))
        return (
            *(f"#{other}" for other in sorted(self.resolved.on_places.get(place, ()))),
            *(f"#{other}[{index}]" for other, index in elements),
        )

    def before(self, place: int) -> tuple[int, ...]:
        """Return the uids of jobs of before that the one at ``place`` waits for."""
        return tuple(sorted(self.resolved.on_uids.get(place, ())))


async def relate(
    context: Context,
    home: Home,
    messages: Sequence[JobSpec],
    looked: list[Looked],
    some: Sequence[int],
) -> Waits | None:
    """Find what jobs of a call wait for, and refuse those that cannot; None if none waits.

    ``some`` are the places of jobs that may wait.
    """
    submission.check_dependencies(sum(len(messages[place].depends_on) for place in some))
    dependents = {
        place: dependencies_of(messages[place])[0] for place in some if messages[place].depends_on
    }
    if not dependents:
        return None
    sizes = {place: messages[place].array.size for place in some}
    names = CallNames([message.display_name for message in messages], sizes)
    found = {names.find(one.job) for waits in dependents.values() for one in waits}
    uids = {one.uid: one.array for one in found if isinstance(one, Named) and one.uid is not None}
    known = await context.db.read(
        lambda connection: submissions.known_jobs(connection, home.enterprise, uids)
    )
    resolved = resolve(names, dependents, known)
    for place, wrong in resolved.wrong.items():
        _refuse(looked, place, wrong)
    refused = [place for place, one in enumerate(looked) if one.refusal is not None]
    for place, other in refused_with(refused, resolved.places()).items():
        problem = f"waits for jobs[{other}], which is refused"
        _refuse(looked, place, [FieldViolation("depends_on", problem)])
    return Waits(resolved)


def _refuse(looked: list[Looked], place: int, wrong: Sequence[FieldViolation]) -> None:
    """Refuse one job, beside what was wrong with it before."""
    one = looked[place]
    violations = list(one.refusal.violations) if isinstance(one.refusal, InvalidRequest) else []
    refusal = _refusal(f"jobs[{place}]", wrong, one.shape)
    assert isinstance(refusal, InvalidRequest), "what is wrong is an invalid request"
    looked[place] = one._replace(refusal=InvalidRequest([*violations, *refusal.violations]))


def look_at(
    shapes: Shapes,
    home: Home,
    message: JobSpec,
    now_ms: int,
    index: int,
    may_emergency: bool = False,
) -> Looked:
    """Judge the job at ``index`` of a call as a submission of it is judged.

    Which jobs it waits for is not looked at.
    """
    shape = shapes.of(home, message)
    wrong = check_description(message)
    times = None
    deadline_ms = None
    has = message.HasField
    if has("queue_deadline") or has("start_not_before") or has("finish_by"):
        times, impossible = times_of(message)
        wrong += impossible + check_times(times, shape.wall_s, now_ms)
        deadline_ms = times.deadline_ms(shape.wall_s)
    special = is_special(message)
    if special:
        wrong += check_special(message, shapes.links)
        if message.priority_class == PRIORITY_CLASS_EMERGENCY and not may_emergency:
            return Looked(shape, times, deadline_ms, _no_emergency(index), special)
    if not (wrong or shape.wrong or shape.too_large):
        return Looked(shape, times, deadline_ms, None, special)
    refusal = _refusal(f"jobs[{index}]", [*shape.wrong, *wrong], shape)
    return Looked(shape, times, deadline_ms, refusal, special)


def _no_emergency(index: int) -> Forbidden:
    return Forbidden(
        f"jobs[{index}].priority_class: only an operator may submit an emergency; leave it out, or"
        " ask the operator of the corridor",
        reason="EMERGENCY_NOT_ALLOWED",
    )


def _new_job(
    uid: int,
    home: Home,
    user: str,
    message: JobSpec,
    looked: Looked,
    spec: bytes,
    now_ms: int,
    book: SubmissionBook,
    waits_for: tuple[tuple[int, str], ...],
) -> NewJob:
    shape, more, options = looked.shape, None, looked.shape.options
    if looked.special or looked.times is not None:
        more = more_of(message, looked.times, waits_for)
        options = staged_options(message, shape, book)
    return NewJob(
        uid,
        home.enterprise,
        home.city,
        _HELD if message.held else _QUEUED,
        message.priority,
        now_ms,
        looked.deadline_ms,
        message.display_name,
        options,
        labels_json(message),
        spec,
        shape.subsidy,
        message.self_pay_max_fen if message.HasField("self_pay_max_fen") else None,
        shape.attempts_max,
        shape.retry_on,
        user,
        more,
    )


def _refusal(path: str, wrong: Sequence[FieldViolation], shape: Shape) -> CorridorError:
    """Return why one job is refused; there is something wrong, or it is too large."""
    if wrong:
        return InvalidRequest([FieldViolation(f"{path}.{v.field}", v.description) for v in wrong])
    assert shape.too_large is not None
    large = shape.too_large
    return QuotaExceeded(f"{path}.options: {large.description}", subject=large.subject)


def _refusal_of_all(refused: Mapping[int, CorridorError]) -> CorridorError:
    """Return why a call is refused as a whole: each wrong field, or what can never be."""
    wrong: list[FieldViolation] = []
    for index, error in refused.items():
        if isinstance(error, InvalidRequest):
            wrong += error.violations
        else:
            field = "priority_class" if isinstance(error, Forbidden) else "options"
            wrong.append(FieldViolation(f"jobs[{index}].{field}", error.message))
    if any(isinstance(error, InvalidRequest) for error in refused.values()):
        return InvalidRequest(wrong)
    return next(iter(refused.values()))
