"""What only some jobs say: arrays, times, interruption, where their inputs lie.

Most jobs of a call say none of it, and are not made to pay for it.
"""

from corridor.v1 import job_pb2 as pb

from scheduler.domain.dependencies import check_count
from scheduler.domain.links import Links, Located, check_location, stage_s
from scheduler.domain.spec import JobSpec, options_json
from scheduler.domain.spec_rules import Times, check_array, check_interruption, check_named
from scheduler.errors import FieldViolation
from scheduler.rpc.job_spec import Shape, array_of, class_of, dependencies_of, notice_of
from scheduler.store.submission_book import SubmissionBook
from scheduler.store.submissions import More


def is_special(message: pb.JobSpec) -> bool:
    """Whether a job says something of it, its times aside."""
    if (
        message.depends_on
        or message.interruptible
        or message.priority_class
        or message.HasField("array")
        or message.HasField("checkpoint_notice")
        or message.contract
        or message.project
    ):
        return True
    for one in message.inputs:  # noqa: SIM110 - half the time of any(), for every job of a call
        if one.location:
            return True
    return False


def check_special(message: pb.JobSpec, links: Links) -> list[FieldViolation]:
    """Return what is wrong with it, by field path."""
    wrong = class_of(message)
    notice_s, wrong_notice = notice_of(message)
    wrong += wrong_notice + check_interruption(message.interruptible, notice_s)
    array = array_of(message)
    if array is not None:
        wrong += check_array(array)
    wrong += check_count(len(message.depends_on))
    wrong += dependencies_of(message)[1]
    wrong += check_named("contract", message.contract) + check_named("project", message.project)
    for index, one in enumerate(message.inputs):
        wrong += check_location(f"inputs[{index}].location", one.location, links)
    return wrong


def more_of(
    message: pb.JobSpec, times: Times | None, waits_for: tuple[tuple[int, str], ...]
) -> More:
    """Return it as it is stored."""
    start_ms = finish_ms = None
    if times is not None:
        start_ms, _, finish_ms = times
    return More(
        not_before_ms=start_ms or 0,
        finish_by_ms=finish_ms,
        notice_s=message.checkpoint_notice.seconds,
        interruptible=message.interruptible,
        emergency=message.priority_class == pb.PRIORITY_CLASS_EMERGENCY,
        array=array_of(message),
        waits_for=waits_for,
        contract=message.contract,
        project=message.project,
    )


def stages_s(message: pb.JobSpec, size: JobSpec, book: SubmissionBook) -> list[int]:
    """Return how long the inputs take to the center of each option, in seconds; 0 for nothing."""
    inputs = [Located(one.location, one.size_bytes) for one in message.inputs if one.location]
    if not inputs:
        return [0] * len(size.options)
    centers = [book.catalog[option.flavor].center for option in size.options]
    known = {center: stage_s(inputs, center, book.links) for center in set(centers)}
    return [known[center] for center in centers]


def staged_options(message: pb.JobSpec, shape: Shape, book: SubmissionBook) -> str:
    """Return the planner's form of a job's options, with how long its inputs take to each."""
    found = stages_s(message, shape.size, book)
    return options_json(shape.size, found) if any(found) else shape.options
