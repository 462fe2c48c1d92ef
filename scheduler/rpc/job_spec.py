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

from adapters.contract import DataRef, FailureClass
from scheduler.domain import spec as domain
from scheduler.domain.spec import JobSpec, ResourceOption, TooLarge
from scheduler.domain.states import RETRIED_BY_DEFAULT
from scheduler.errors import FieldViolation
from scheduler.rpc.messages import milliseconds, optional
from scheduler.store.submission_book import Home, SubmissionBook

ATTEMPTS_DEFAULT: Final = 3
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
_FAILURES: Final[dict[int, FailureClass]] = {
    pb.FailureClass.Value(f"FAILURE_CLASS_{failure}"): failure for failure in FailureClass
}


def spec_of(message: pb.JobSpec) -> tuple[JobSpec, list[FieldViolation]]:
    """Return a job as data, with what could not be translated; the rules are ``validate``'s.

    What could not be translated stands in the job as if it had not been given.
    """
    size, wrong = _size_of(message)
    deadline_ms, wrong_deadline = deadline_of(message)
    spec = JobSpec(
        options=size.options,
        wall_limit_s=size.wall_limit_s,
        display_name=message.display_name,
        image=message.image,
        command=tuple(message.command),
        script=message.script,
        environment=dict(message.environment),
        architecture=size.architecture,
        inputs=tuple(DataRef(ref.uri, ref.size_bytes) for ref in message.inputs),
        outputs=tuple(DataRef(ref.uri, ref.size_bytes) for ref in message.outputs),
        priority=message.priority,
        queue_deadline_ms=deadline_ms,
        attempts_max=size.attempts_max,
        retry_on=size.retry_on,
        subsidy=size.subsidy,
        self_pay_max_fen=optional(message, "self_pay_max_fen"),
        labels=dict(message.labels),
        held=message.held,
        wait_if_too_large=message.wait_if_too_large,
    )
    return spec, wrong + wrong_deadline


def decode_spec(stored: bytes) -> JobSpec:
    """Return a stored specification as data."""
    return spec_of(message_of(stored))[0]


def message_of(stored: bytes) -> pb.JobSpec:
    """Return a stored specification as it was sent."""
    return pb.JobSpec.FromString(stored)


def deadline_of(message: pb.JobSpec) -> tuple[int | None, list[FieldViolation]]:
    """Return the queue deadline in epoch milliseconds, and what is wrong with it as an instant."""
    if not message.HasField("queue_deadline"):
        return None, []
    at = message.queue_deadline
    if _SECONDS_MIN <= at.seconds <= _SECONDS_MAX and 0 <= at.nanos < 10**9:
        return milliseconds(at), []
    return None, [FieldViolation("queue_deadline", "is not an instant of the years 1 to 9999")]


def _size_of(message: pb.JobSpec) -> tuple[JobSpec, list[FieldViolation]]:
    """Return a job of which only the size is set: what all jobs of one shape have in common."""
    wrong: list[FieldViolation] = []
    limit = message.wall_limit
    wall_limit_s = max(-1, min(limit.seconds, _WALL_LIMIT_READ_MAX_S))
    if limit.nanos:
        wrong.append(FieldViolation("wall_limit", "must be whole seconds"))
        wall_limit_s = max(1, wall_limit_s)
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
    options = tuple(
        ResourceOption(o.flavor, o.units_per_node, o.nodes or 1, o.memory_mib_per_node)
        for o in message.options
    )
    spec = JobSpec(
        options=options,
        wall_limit_s=wall_limit_s,
        architecture=architecture or "",
        attempts_max=retry.attempts_max or ATTEMPTS_DEFAULT,
        retry_on=retry_on or RETRIED_BY_DEFAULT,
        subsidy=subsidy or "PREFERRED",
        wait_if_too_large=message.wait_if_too_large,
    )
    return spec, wrong


def _unknown(field: str, number: int, known: str) -> FieldViolation:
    return FieldViolation(field, f"unknown value {number}; known are {known}")


@dataclass(frozen=True, slots=True)
class Shape:
    """What all jobs of one size have in common, judged once; texts are those of the job table."""

    wrong: tuple[FieldViolation, ...]
    too_large: TooLarge | None
    options: str
    subsidy: str
    attempts_max: int
    retry_on: str


class Shapes:
    """Judges the sizes of jobs by one book; remembers those that are in order."""

    def __init__(self, book: SubmissionBook) -> None:
        self._book = book
        self._known: dict[Any, Shape] = {}

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
            *[
                (o.flavor, o.units_per_node, o.nodes, o.memory_mib_per_node)
                for o in message.options
            ],
        )
        shape = self._known.get(key)
        return self._judge(home, message, key) if shape is None else shape

    def _judge(self, home: Home, message: pb.JobSpec, key: Any) -> Shape:
        spec, wrong = _size_of(message)
        wrong += domain.check_size(spec, self._book.catalog)
        if wrong:
            return Shape(tuple(wrong), None, "", "", 0, "")
        too_large = None
        if not spec.wait_if_too_large:
            too_large = domain.too_large(spec, partial(self._book.never, home))
        shape = Shape(
            (),
            too_large,
            domain.options_json(spec),
            spec.subsidy,
            spec.attempts_max,
            ",".join(sorted(spec.retry_on)),
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
