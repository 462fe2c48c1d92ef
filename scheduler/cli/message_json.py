"""Messages as JSON for machines.

Field names as in the protos, every field there is, null for what is not set; instants as RFC 3339,
money and counts as whole numbers, words of an enum without their prefix.
"""

import functools
import json
import operator
import sys
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

from scheduler.problem import Problem, problem_of

Descriptor = Any  # of a message or field: the stubs and the classes at run time do not agree
Reader = Callable[[Any], Any]

#: Longer lists are for programs.
_READ_MAX: Final = 1_000
_compact: Final = json.JSONEncoder(ensure_ascii=False).encode


def print_json(value: Any) -> None:
    """Print a JSON document on stdout, laid out for readers; a long list has a line for each item.

    To lay out thousands of items takes many times as long, and nobody reads them so.
    """
    if isinstance(value, Mapping) and any(
        isinstance(part, list) and len(part) > _READ_MAX for part in value.values()
    ):
        sys.stdout.write("{" + ",".join(_lines(*part) for part in value.items()) + "\n}\n")
        return
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _lines(key: str, value: Any) -> str:
    begin = f"\n  {json.dumps(key)}: "
    if not isinstance(value, list) or not value:
        return begin + _compact(value)
    return begin + "[\n" + ",\n".join(map(_compact, value)) + "\n  ]"


def print_json_line(value: Any) -> None:
    """Print a JSON document on one line of stdout: one of a stream."""
    sys.stdout.write(_compact(value) + "\n")


def to_json(message: Message) -> dict[str, Any]:
    """Return a message as plain data."""
    return {name: read(message) for name, read in _readers(message.DESCRIPTOR)}


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


@functools.cache
def _readers(kind: Descriptor) -> tuple[tuple[str, Reader], ...]:
    """Return the fields of a kind of message, each with what reads it; made once for each kind."""
    return tuple((field.name, _reader(field)) for field in kind.fields)


def _reader(field: Descriptor) -> Reader:
    name, told = field.name, _teller(field)
    read: Reader = operator.attrgetter(name)
    if field.is_repeated:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            return lambda message: dict(read(message))
        return lambda message: [told(one) for one in read(message)]
    if field.has_presence:
        return lambda message: told(read(message)) if message.HasField(name) else None
    return read if told is _as_it_is else lambda message: told(read(message))


def _teller(field: Descriptor) -> Reader:
    """Return what makes plain data of a value of the field."""
    if field.enum_type is not None:
        words = {number: enum_word(field, number) for number in field.enum_type.values_by_number}
        return lambda number: words[number] if number in words else str(number)
    if field.message_type is None:
        return _as_it_is
    return _TELLERS.get(field.message_type.full_name, to_json)


def _as_it_is(value: Any) -> Any:
    return value


_TELLERS: Final[Mapping[str, Reader]] = {
    Timestamp.DESCRIPTOR.full_name: instant,
    Duration.DESCRIPTOR.full_name: lambda value: f"{value.seconds}s",
    Status.DESCRIPTOR.full_name: lambda value: problem_json(problem_of(value)),
}
