"""What is put into the fields of requests: for each type what has broken services before."""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from tests.fuzz.wire import BYTES, FIXED32, FIXED64, GROUP, VARINT, chunk, tag, varint, wire_type

#: Name of a value, and all that stands on the wire for a field.
Value = tuple[str, bytes]

_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1
WHOLE: Final = {
    "zero": 0, "one": 1, "minus one": -1, "ten": 10, "2^31-1": (1 << 31) - 1, "2^31": 1 << 31,
    "-2^31": -(1 << 31), "2^32": 1 << 32, "2^53+1": (1 << 53) + 1, "10^12": 10**12,
    "10^15": 10**15, "10^18": 10**18, "2^62": 1 << 62, "2^63-1": _INT_MAX, "-2^63": _INT_MIN,
    "year 9999": 253_402_300_799, "year 10000": 253_402_300_800, "year 0": -62_135_596_801,
}  # fmt: skip
#: What a page token could be told to be.
_KEYS: Final[tuple[Any, ...]] = (
    [], ["x"], [1, "x"], ["x", 1], [-(1 << 80)], [1 << 80], [True], [None], ["\0"], [0.5],
    ["x" * 3_000], [1 << 63], [-1], [1, 1], ["a", "b"], ["a", "b", "c"], ["\ud800"], {"a": 1},
    [[1]], [1 << 62, 1 << 62], [1 << 63, 1 << 63], ["a", 1 << 63], [1 << 63, "a"], ["\0", "\0"],
    ["\0", 1], [1, "\0"], ["a", "b", 1 << 63], ["\ud800", 1], ["\ud800", "\ud800"],
)  # fmt: skip
TEXTS: Final[dict[str, str]] = {
    "empty": "",
    "blank": " \t\n",
    "letter": "x",
    "NUL": "a\0b",
    "NUL alone": "\0",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "escape": "\x1b[31mred\x1b]0;title\x07",
    "new lines": "one\r\ntwo\n\nthree",
    "right to left": "\u202eabc\u202c\u2066x\u2069",
    "zero width": "a\u200bb\u200d\ufeffc",
    "planes": "😀𠀀\U0010ffff",
    "combining": "e" + "\u0301" * 200,
    "no characters": "\ufffe\uffff\ufdd0",
    "digits that are none": "١٢٣²③",
    "SQL": "'; DROP TABLE job; --",
    "SQL or": "x' OR '1'='1",
    "like": "%_\\%",
    "format": "%s%n%d{0}{}{x!r}${HOME}",
    "path": "../../../../etc/passwd",
    "path of Windows": "..\\..\\con",
    "HTML": "<script>alert(1)</script>\"'&",
    "PromQL": '{job=~".*"}) or vector(1) #',
    "formula": "=HYPERLINK(\"x\")",
    "template": "{{7*7}}#{7*7}",
    "JSON": '{"a":[1,{"b":null}]}',
    "slashes": "a/b/c//d/",
    "colons": "fund:x:2026",
    "dots": "..",
    "minus": "-",
    "number": "99999999999999999999999999",
    "negative": "-1",
    "float": "1e400",
    "not a number": "NaN",
    "null": "null",
    "day": "2026-02-30",
    "first day": "0001-01-01",
    "last day": "9999-12-31",
    "month": "2026-13",
    "month 0": "0000-00",
    "last month": "9999-12",
    "year": "9999",
    "year 0": "0000",
    "quarter": "2026-Q9",
    "long": "x" * 4_096,
    "too long": "x" * 4_097,
    "wide": "字" * 4_096,
    "million": "x" * 1_000_000,
    "job": "j" + "z" * 13,
    "job of zeros": "j" + "0" * 13,
    "last job": "j7zzzzzzzzzzzz",
    "last element": "j7zzzzzzzzzzzz[1048576]",
    "element": "j" + "0" * 13 + "[00000000999999999999999999]",
    "run": "j" + "0" * 13 + ".9999999999999999999",
    "run of 2^31": "j" + "0" * 13 + ".2147483648",
    "run of digits": "j" + "0" * 13 + "." + "9" * 4_000,
    "statement": "CITY-ezhou-9999-99-R99999999999999999999",
    **{
        f"key {number}": base64.urlsafe_b64encode(
            json.dumps(key, separators=(",", ":")).encode("ascii")
        ).decode()
        for number, key in enumerate(_KEYS)
    },
    "key of depth": base64.urlsafe_b64encode(b"[" * 3_000).decode(),
    "key of infinity": base64.urlsafe_b64encode(b"[1e999]").decode(),
    "key of digits": base64.urlsafe_b64encode(b"[" + b"9" * 2_900 + b"]").decode(),
}  # fmt: skip
#: What no text may be.
_NOT_UTF8: Final = {
    "bad byte": b"\xff\xfe", "cut": b"a\xe5\x85", "lone surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc0\xaf", "beyond Unicode": b"\xf4\x90\x80\x80", "bare tail": b"\x80",
}  # fmt: skip
MANY: Final = 100_000


def of(field: FieldDescriptor) -> Iterator[Value]:
    """Yield values for a field, in a fixed order."""
    yield "missing", b""
    yield from _single(field)
    yield from _misshapen(field)
    if field.is_repeated:
        one = next(_single(field))[1]
        yield "twice", one * 2
        yield "many", one * MANY if wire_type(field) != BYTES else chunk(field.number, b"") * MANY
        if wire_type(field) == VARINT:
            yield "packed", chunk(field.number, b"\x01" * 1_000)
            yield "packed and cut", chunk(field.number, b"\xff" * 9)


def _single(field: FieldDescriptor) -> Iterator[Value]:
    number = field.number
    if field.type == field.TYPE_STRING:
        for name, text in TEXTS.items():
            yield name, chunk(number, text.encode("utf-8"))
        for name, data in _NOT_UTF8.items():
            yield name, chunk(number, data)
    elif field.type == field.TYPE_BYTES:
        for size in (0, 1, 31, 32, 33, 1 << 20, (1 << 20) + 1):
            yield f"{size} bytes", chunk(number, b"\xff" * size)
    elif field.type == field.TYPE_MESSAGE:
        yield from _message(field)
    elif wire_type(field) == VARINT:
        for name, whole in WHOLE.items():
            yield name, tag(number, VARINT) + varint(whole)
        if field.type == field.TYPE_ENUM and field.enum_type is not None:
            for one in field.enum_type.values:
                yield one.name, tag(number, VARINT) + varint(one.number)
    else:
        shape = "<d" if wire_type(field) == FIXED64 else "<f"
        for name in ("nan", "inf", "-inf", "-0.0"):
            yield name, tag(number, wire_type(field)) + struct.pack(shape, float(name))


def _message(field: FieldDescriptor) -> Iterator[Value]:
    number, kind = field.number, field.message_type
    assert kind is not None
    yield "empty message", chunk(number, b"")
    yield "no message", chunk(number, b"\xff" * 20)
    yield "unknown inside", chunk(number, chunk(2_047, b"x" * 500) + tag(2_046, VARINT) + b"\x01")
    yield "groups inside", chunk(number, tag(2_045, GROUP) * 200)
    yield "deep inside", chunk(number, _nested(2_000))
    yield "two of it", chunk(number, b"") * 2
    if kind.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        for name, whole in WHOLE.items():
            yield f"{name} s", chunk(number, tag(1, VARINT) + varint(whole))
            yield f"{name} ns", chunk(number, tag(2, VARINT) + varint(whole))
            both = tag(1, VARINT) + varint(whole) + tag(2, VARINT) + varint(999_999_999)
            yield f"{name} s and almost one", chunk(number, both)


def _nested(depth: int) -> bytes:
    made = b""
    for _ in range(depth):
        made = chunk(1, made)
    return made


def _misshapen(field: FieldDescriptor) -> Iterator[Value]:
    number = field.number
    for name, kind, data in (
        ("a varint", VARINT, b"\x05"), ("eight bytes", FIXED64, b"\0" * 8),
        ("four bytes", FIXED32, b"\0" * 4), ("a text", BYTES, b"\x03abc"),
        ("a group", GROUP, b""), ("wire type 6", 6, b""), ("wire type 7", 7, b"\0"),
    ):  # fmt: skip
        if kind != wire_type(field):
            yield f"as {name}", tag(number, kind) + data
    yield "cut", tag(number, wire_type(field))
    yield "endless", tag(number, VARINT) + b"\xff" * 11
    yield "longer than all", tag(number, BYTES) + varint(1 << 40) + b"x"
    yield "unknown beside", chunk((1 << 29) - 1, b"x" * 70_000)
    yield "field 0", b"\x00\x01"
