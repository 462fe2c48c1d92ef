"""Messages as JSON for machines.

Field names as in the protos, every field there is, null for what is not set; instants as RFC 3339,
money and counts as whole numbers, words of an enum without their prefix.
"""

import json
import sys
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

from scheduler.problem import Problem, problem_of

Descriptor = Any  # of a field: the stubs and the classes at run time do not agree


def print_json(value: Any) -> None:
    """Print a JSON document on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def print_json_line(value: Any) -> None:
    """Print a JSON document on one line of stdout: one of a stream."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def to_json(message: Message) -> dict[str, Any]:
    """Return a message as plain data."""
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def instant(at: Timestamp) -> str:
    """Return RFC 3339 in UTC, with milliseconds if there are any."""
    text = at.ToDatetime(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text.replace(".000Z", "Z")


def problem_json(problem: Problem) -> dict[str, Any]:
    """Return what a failed call says, for the ``error`` of JSON output."""
    return {
        "code": problem.code,
        "reason": problem.reason or None,
        "message": problem.message,
        "subject": problem.subject or None,
        "violations": [
            {"field": one.field, "description": one.description} for one in problem.violations
        ],
        "metadata": dict(problem.metadata),
    }


def enum_word(field: Descriptor, number: int) -> str | None:
    """Return ``RUNNING`` for ``JOB_STATE_RUNNING``, None for 0, an unknown number as text."""
    enum = field.enum_type
    if number == 0:
        return None
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return str(value.name).removeprefix(prefix)


def _field(message: Message, field: Descriptor) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        if isinstance(value, Mapping):
            return dict(value)
        return [_value(field, one) for one in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(field, value)


def _value(field: Descriptor, value: Any) -> Any:
    if field.enum_type is not None:
        return enum_word(field, value)
    if isinstance(value, Timestamp):
        return instant(value)
    if isinstance(value, Duration):
        return f"{value.seconds}s"
    if isinstance(value, Status):
        return problem_json(problem_of(value))
    if isinstance(value, Message):
        return to_json(value)
    return value
