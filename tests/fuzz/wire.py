"""Requests as bytes, with one place made as no library would make it.

A place is a way of fields from the request down. What surrounds it stays as the base request has
it, so that a request is wrong at this place alone.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = 0, 1, 2, 3, 4, 5
_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: FIXED64, FieldDescriptor.TYPE_FLOAT: FIXED32,
    FieldDescriptor.TYPE_STRING: BYTES, FieldDescriptor.TYPE_BYTES: BYTES,
    FieldDescriptor.TYPE_MESSAGE: BYTES,
}  # fmt: skip
_MASK = (1 << 64) - 1


def places(kind: Descriptor, seen: tuple[str, ...] = ()) -> Iterator[tuple[FieldDescriptor, ...]]:
    """Yield the way to every field of a message and below, messages as well as what is in them."""
    if kind.full_name in seen:
        return
    for field in kind.fields:
        yield (field,)
        if field.message_type is not None:
            for way in places(field.message_type, (*seen, kind.full_name)):
                yield (field, *way)


def varint(value: int) -> bytes:
    """A whole number as the wire has it; negative ones take ten bytes."""
    left, made = value & _MASK, bytearray()
    while left > 0x7F:
        made.append(left & 0x7F | 0x80)
        left >>= 7
    made.append(left)
    return bytes(made)


def tag(number: int, wire_type: int) -> bytes:
    """What stands before a value."""
    return varint(number << 3 | wire_type)


def chunk(number: int, data: bytes) -> bytes:
    """A text, bytes or a message as a field."""
    return tag(number, BYTES) + varint(len(data)) + data


def wire_type(field: FieldDescriptor) -> int:
    """How the values of a field stand on the wire, each by itself."""
    return _WIRE_TYPES.get(field.type, VARINT)


def with_place(base: Message, way: Sequence[FieldDescriptor], made: bytes) -> bytes:
    """Return a request with ``made`` instead of a field: none, one or many, each with its tag.

    Of a list of messages on the way the first is changed, the others stay.
    """
    field, *below = way
    if not below:
        return _without(base, field) + made
    inner, rest = _first(base, field)
    return _without(base, field) + chunk(field.number, with_place(inner, below, made)) + rest


def _without(base: Message, field: FieldDescriptor) -> bytes:
    left = type(base)()
    left.CopyFrom(base)
    left.ClearField(field.name)
    return left.SerializeToString()


def _first(base: Message, field: FieldDescriptor) -> tuple[Message, bytes]:
    """The message at a field, a new one if there is none, and those after it as bytes."""
    kind = field.message_type
    assert kind is not None, f"{field.name} has nothing below"
    make: Any = GetMessageClass(kind)
    value: Any = getattr(base, field.name)
    if kind.GetOptions().map_entry:
        entries = [make(key=key) if _is_message(kind) else make(key=key, value=value[key])
                   for key in value]  # fmt: skip
    elif field.is_repeated:
        entries = list(value)
    else:
        return value, b""
    after = b"".join(chunk(field.number, one.SerializeToString()) for one in entries[1:])
    return (entries[0] if entries else make()), after


def _is_message(entry: Descriptor) -> bool:
    return entry.fields_by_name["value"].message_type is not None
