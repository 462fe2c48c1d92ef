"""Jobs as messages to jobs as data and back.

A job's stored specification is the ``JobSpec`` message as it was sent, so that what its enterprise
asked for is shown as it was asked. Zero means "not given" where the proto says so: one node, three
attempts, the classes that are retried by default, subsidy preferred.

Most jobs of a call have one of few shapes (options, limit, retries), and only names, programs and
labels differ. ``Shapes`` judges each shape once.
"""

from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring as _quoted
from typing import Any, Final

from corridor.v1 import job_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from adapters.contract import DataRef, FailureClass
from scheduler.domain import spec as domain
from scheduler.domain.arrays import ArraySpec
from scheduler.domain.dependencies import Condition, Dependency
from scheduler.domain.retries import RetryLimit, attempts_for, retries_text
from scheduler.domain.spec import JobSpec, ResourceOption, TooLarge
from scheduler.domain.spec_rules import Times
from scheduler.domain.states import RETRIED_BY_DEFAULT
from scheduler.errors import FieldViolation
from scheduler.rpc.messages import milliseconds, optional
from scheduler.store.submission_book import Home, SubmissionBook

#: Instants of the years 1 to 9999, the range of ``google.protobuf.Timestamp``.
_SECONDS_MIN: Final = -62_135_596_800
_SECONDS_MAX: Final = 253_402_300_799
_WALL_LIMIT_READ_MAX_S: Final = 1 << 40  # far above the rule's limit, far below an overflow
_SHAPES_MAX: Final = 16_384

_ARCHITECTURES: Final[dict[int, str]] = {
    pb.ARCHITECTURE_UNSPECIFIED: "",
    pb.ARCHITECTURE_AARCH64: "aarch64",
    pb.ARCHITECTURE_X86_64: "x86_64",
}
_SUBSIDIES: Final[dict[int, str]] = {
    pb.SUBSIDY_PREFERENCE_UNSPECIFIED: "PREFERRED",
    pb.SUBSIDY_PREFERENCE_PREFERRED: "PREFERRED",
    pb.SUBSIDY_PREFERENCE_REQUIRED: "REQUIRED",
    pb.SUBSIDY_PREFERENCE_NONE: "NONE",
}
_CONDITIONS: Final[dict[int, Condition]] = {
    pb.DEPENDENCY_CONDITION_UNSPECIFIED: Condition.AFTER_SUCCESS,
    pb.DEPENDENCY_CONDITION_AFTER_SUCCESS: Condition.AFTER_SUCCESS,
    pb.DEPENDENCY_CONDITION_AFTER_ANY_END: Condition.AFTER_ANY_END,
}
_CLASSES: Final = frozenset(pb.PriorityClass.values())
_FAILURES: Final[dict[int, FailureClass]] = {
    pb.FailureClass.Value(f"FAILURE_CLASS_{failure}"): failure for failure in FailureClass
}


def spec_of(message: pb.JobSpec) -> tuple[JobSpec, list[FieldViolation]]:
    """Return a job as data, with what could not be translated; the rules are ``validate``'s.

    What could not be translated stands in the job as if it had not been given.
    """
    size, wrong = _size_of(message)
    times, wrong_times = times_of(message)
    notice_s, wrong_notice = notice_of(message)
    depends_on, wrong_dependencies = dependencies_of(message)
    spec = JobSpec(
        options=size.options,
        wall_limit_s=size.wall_limit_s,
        display_name=message.display_name,
        image=message.image,
        command=tuple(message.command),
        script=message.script,
        environment=dict(message.environment),
        architecture=size.architecture,
        inputs=tuple(DataRef(ref.uri, ref.size_bytes, ref.location) for ref in message.inputs),
        outputs=tuple(DataRef(ref.uri, ref.size_bytes) for ref in message.outputs),
        priority=message.priority,
        queue_deadline_ms=times.queue_deadline_ms,
        attempts_max=size.attempts_max,
        retry_on=size.retry_on,
        retry_limits=size.retry_limits,
        subsidy=size.subsidy,
        self_pay_max_fen=optional(message, "self_pay_max_fen"),
        labels=dict(message.labels),
        held=message.held,
        wait_if_too_large=message.wait_if_too_large,
        start_not_before_ms=times.start_not_before_ms,
        finish_by_ms=times.finish_by_ms,
        interruptible=message.interruptible,
        notice_s=notice_s,
        emergency=message.priority_class == pb.PRIORITY_CLASS_EMERGENCY,
        array=array_of(message),
        depends_on=depends_on,
        contract=message.contract,
        project=message.project,
    )
    return spec, wrong + wrong_times + wrong_notice + wrong_dependencies + class_of(message)


def decode_spec(stored: bytes) -> JobSpec:
    """Return a stored specification as data."""
    return spec_of(message_of(stored))[0]


def message_of(stored: bytes) -> pb.JobSpec:
    """Return a stored specification as it was sent."""
    return pb.JobSpec.FromString(stored)


_INSTANTS: Final = ("start_not_before", "queue_deadline", "finish_by")


def times_of(message: pb.JobSpec) -> tuple[Times, list[FieldViolation]]:
    """Return the times of a job, and what is wrong with them as instants."""
    wrong: list[FieldViolation] = []
    found: list[int | None] = []
    for name in _INSTANTS:
        at = getattr(message, name)
        if not message.HasField(name):
            found.append(None)
        elif _SECONDS_MIN <= at.seconds <= _SECONDS_MAX and 0 <= at.nanos < 10**9:
            found.append(milliseconds(at))
        else:
            wrong.append(FieldViolation(name, "is not an instant of the years 1 to 9999"))
            found.append(None)
    return Times(*found), wrong


def notice_of(message: pb.JobSpec) -> tuple[int, list[FieldViolation]]:
    """Return the notice that a job wishes, in seconds."""
    return _seconds_of(message.checkpoint_notice, "checkpoint_notice")


def array_of(message: pb.JobSpec) -> ArraySpec | None:
    """Return the array that a job is, if it is one."""
    if not message.HasField("array"):
        return None
    return ArraySpec(message.array.size, message.array.concurrency_max)


def dependencies_of(message: pb.JobSpec) -> tuple[tuple[Dependency, ...], list[FieldViolation]]:
    """Return which jobs a job waits for, as it names them."""
    wrong: list[FieldViolation] = []
    found: list[Dependency] = []
    for index, one in enumerate(message.depends_on):
        condition = _CONDITIONS.get(one.condition)
        if condition is None:
            path = f"depends_on[{index}].condition"
            wrong.append(_unknown(path, one.condition, "after_success or after_any_end"))
        found.append(Dependency(one.job, condition or Condition.AFTER_SUCCESS))
    return tuple(found), wrong


def class_of(message: pb.JobSpec) -> list[FieldViolation]:
    """Say what is wrong with a job's priority class."""
    if message.priority_class in _CLASSES:
        return []
    return [_unknown("priority_class", message.priority_class, "normal or emergency")]


def _seconds_of(duration: Duration, field: str) -> tuple[int, list[FieldViolation]]:
    """Return a duration in seconds, at least 1 if it has a fraction, which is wrong."""
    seconds = max(-1, min(duration.seconds, _WALL_LIMIT_READ_MAX_S))
    if duration.nanos:
        return max(1, seconds), [FieldViolation(field, "must be whole seconds")]
    return seconds, []


def _size_of(message: pb.JobSpec) -> tuple[JobSpec, list[FieldViolation]]:
    """Return a job of which only the size is set: what all jobs of one shape have in common."""
    wall_limit_s, wrong = _seconds_of(message.wall_limit, "wall_limit")
    architecture = _ARCHITECTURES.get(message.architecture)
    if architecture is None:
        wrong.append(_unknown("architecture", message.architecture, "aarch64 or x86_64"))
    subsidy = _SUBSIDIES.get(message.subsidy)
    if subsidy is None:
        wrong.append(_unknown("subsidy", message.subsidy, "preferred, required or none"))
    retry = message.retry_policy
    retry_on = frozenset(_FAILURES[number] for number in retry.retry_on if number in _FAILURES)
    for index, number in enumerate(retry.retry_on):
        if number not in _FAILURES:
            known = ", ".join(FailureClass)
            wrong.append(_unknown(f"retry_policy.retry_on[{index}]", number, known))
    limits, wrong_limits = _limits_of(retry)
    wrong += wrong_limits
    options = []
    for index, o in enumerate(message.options):
        own_s, wrong_limit = _seconds_of(o.wall_limit, f"options[{index}].wall_limit")
        if o.HasField("wall_limit") and not own_s:
            own_s = -1  # 0 stands for "not given"
        wrong += wrong_limit
        nodes = o.nodes or 1
        options.append(
            ResourceOption(
                o.flavor, o.units_per_node, nodes, o.memory_mib_per_node, own_s, o.nodes_min
            )
        )
    spec = JobSpec(
        options=tuple(options),
        wall_limit_s=wall_limit_s,
        architecture=architecture or "",
        attempts_max=retry.attempts_max or attempts_for(limits),
        retry_on=retry_on or RETRIED_BY_DEFAULT,
        retry_limits=limits,
        subsidy=subsidy or "PREFERRED",
        wait_if_too_large=message.wait_if_too_large,
    )
    return spec, wrong


def _limits_of(retry: pb.RetryPolicy) -> tuple[tuple[RetryLimit, ...], list[FieldViolation]]:
    """Return the limits of retries by class."""
    wrong: list[FieldViolation] = []
    found: list[RetryLimit] = []
    for index, one in enumerate(retry.limits):
        failure = _FAILURES.get(one.failure_class)
        if failure is None:
            path, known = f"retry_policy.limits[{index}].failure_class", ", ".join(FailureClass)
            wrong.append(_unknown(path, one.failure_class, known))
        else:
            found.append(RetryLimit(failure, one.retries_max))
    return tuple(found), wrong


def _unknown(field: str, number: int, known: str) -> FieldViolation:
    return FieldViolation(field, f"unknown value {number}; known are {known}")


@dataclass(frozen=True, slots=True)
class Shape:
    """What all jobs of one size have in common, judged once; texts are those of the job table.

    ``size`` is a job of which only the size is set, ``wall_s`` the shortest limit of its options.
    """

    size: JobSpec
    wrong: tuple[FieldViolation, ...]
    too_large: TooLarge | None
    options: str
    subsidy: str
    attempts_max: int
    retry_on: str
    wall_s: int


def _limit_key(option: pb.ResourceOption) -> tuple[int, int]:
    limit = option.wall_limit
    return limit.seconds, limit.nanos


class Shapes:
    """Judges the sizes of jobs by one book; remembers those that are in order."""

    def __init__(self, book: SubmissionBook) -> None:
        self._book = book
        self._known: dict[Any, Shape] = {}
        #: Lines for inputs, and where inputs may lie.
        self.links = book.links

    def of(self, home: Home, message: pb.JobSpec) -> Shape:
        """Return the judged shape of a job of an enterprise."""
        limit, retry = message.wall_limit, message.retry_policy
        key = (
            home.enterprise,
            limit.seconds,
            limit.nanos,
            message.architecture,
            message.subsidy,
            message.wait_if_too_large,
            retry.attempts_max,
            *retry.retry_on,
            *[(one.failure_class, one.retries_max) for one in retry.limits],
            *[
                (
                    o.flavor,
                    o.units_per_node,
                    o.nodes,
                    o.memory_mib_per_node,
                    o.nodes_min,
                    _limit_key(o) if o.HasField("wall_limit") else None,
                )
                for o in message.options
            ],
        )
        shape = self._known.get(key)
        return self._judge(home, message, key) if shape is None else shape

    def _judge(self, home: Home, message: pb.JobSpec, key: Any) -> Shape:
        spec, wrong = _size_of(message)
        wrong += domain.check_size(spec, self._book.catalog)
        wall_s = min((spec.wall_of(one) for one in spec.options), default=spec.wall_limit_s)
        if wrong:
            return Shape(spec, tuple(wrong), None, "", "", 0, "", wall_s)
        too_large = None
        if not spec.wait_if_too_large:
            too_large = domain.too_large(spec, partial(self._book.never, home))
        shape = Shape(
            spec,
            (),
            too_large,
            domain.options_json(spec),
            spec.subsidy,
            spec.attempts_max,
            retries_text(spec.retry_on, spec.retry_limits),
            wall_s,
        )
        if len(self._known) >= _SHAPES_MAX:
            self._known.clear()
        self._known[key] = shape
        return shape


def labels_json(message: pb.JobSpec) -> str:
    """Return the labels as the job table keeps them: a JSON object with sorted keys."""
    labels = message.labels
    if not labels:
        return "{}"
    pairs = [f"{_quoted(key)}:{_quoted(value)}" for key, value in sorted(labels.items())]
    return f"{{{','.join(pairs)}}}"
