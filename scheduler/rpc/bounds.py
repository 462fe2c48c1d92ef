"""Bounds of what a request may hold, held to before any of it is used.

Every text, list, map and piece of bytes of the API has one: a number of its own, or the default of
its kind. What a use case allows is often less and told by itself; these are the wall around it.
No bound is below ``SMALL_BYTES``, so a request of few bytes, as most are, is not looked through.
Texts have no NUL, which PostgreSQL keeps in none, and instants and durations are such as their
types say (``google/protobuf/timestamp.proto``, ``duration.proto``).
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from scheduler.errors import FieldViolation, InvalidRequest

#: A request or job of so many bytes can hold nothing that is above a bound.
SMALL_BYTES: Final = 4_096
TEXT_MAX: Final = 4_096  # characters
LIST_MAX: Final = 16_384  # elements, entries of a map
BYTES_MAX: Final = 1 << 20
ARGUMENT_MAX: Final = 131_072  # what Linux takes as one argument of a program
#: Bytes of one job as it is stored: script and all it says, in fields that are not known here too.
SPEC_MAX_BYTES: Final = 2 << 20
MESSAGE_MAX_BYTES: Final = 4 << 20
#: Methods that take as much as a connection does.
_LARGE: Final = frozenset(
    f"/corridor.v1.{name}"
    for name in (
        "JobService/SubmitJobs", "JobService/QuoteJobs", "CenterService/ReconcileCenter",
        "AdapterService/Connect",
    )
)  # fmt: skip
LARGE_MAX_BYTES: Final = 64 << 20
#: Lists of jobs, whose elements the method looks through itself, as only it knows which are large.
_OWN: Final = frozenset({"corridor.v1.SubmitJobsRequest.jobs"})
#: Bounds other than the default: characters of a text (of each, for lists and maps of texts).
TEXTS: Final[Mapping[str, int]] = {
    "corridor.v1.JobSpec.script": 1 << 20,
    "corridor.v1.JobSpec.command": ARGUMENT_MAX,
    "corridor.v1.JobSpec.environment": ARGUMENT_MAX,
}
#: Bounds other than the default: elements of a list.
LISTS: Final[Mapping[str, int]] = {
    "corridor.v1.ReconcileCenterRequest.records": 1_000_000,
    "corridor.v1.RunInventory.runs": 1_000_000,
    "corridor.v1.RunReports.runs": 1_000_000,
}
#: An instant of the years 1 to 9999, also in Asia/Shanghai. Durations go on for 10,000 years.
_SECONDS_MIN: Final = -62_135_596_800
_SECONDS_MAX: Final = 253_402_300_799 - 86_400
_DURATION_MAX_S: Final = 315_576_000_000
_NANOS: Final = 10**9
_TIMES: Final = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})
#: Whose times are judged by methods themselves: there may be very many, or more that is wrong.
_OWN_TIMES: Final = frozenset(
    {"corridor.v1.JobSpec", "corridor.v1.CenterUse", "corridor.v1.JobFilter"}
)
_STRING: Final = FieldDescriptor.TYPE_STRING
_BYTES: Final = FieldDescriptor.TYPE_BYTES


class Unread:
    """Takes the place of a request that is refused before it comes to its method."""

    __slots__ = ("error",)

    def __init__(self, error: InvalidRequest) -> None:
        self.error = error


def message_max(method: str) -> int:
    """Return how many bytes a request of a method (full name) may have."""
    return LARGE_MAX_BYTES if method in _LARGE else MESSAGE_MAX_BYTES


def reader(method: str, parse: Callable[[bytes], Message]) -> Callable[[bytes], Message | Unread]:
    """Return what reads requests of a method: the message, or why it is refused."""
    most = message_max(method)

    def read(data: bytes) -> Message | Unread:
        if len(data) > most:
            return _unread("request", f"must not be above {most:,} bytes, and has {len(data):,}")
        try:
            message = parse(data)
        except DecodeError:
            what = "cannot be read: it is of another method, cut, or has a text that is not UTF-8"
            return _unread("request", what)
        found = problem(message) if _to_look_through(data) else None
        if found is None:
            found = unreal_time(message)
        return message if found is None else Unread(InvalidRequest([found]))

    return read


async def read_all(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield the requests of a stream; raises ``InvalidRequest`` at one that is refused."""
    async for request in requests:
        yield read_one(request)


def read_one(request: Any) -> Any:
    """Return a request as it was read; raises ``InvalidRequest`` if it was refused."""
    if request.__class__ is Unread:
        raise request.error
    return request


def check_job(path: str, job: Message, stored: bytes) -> list[FieldViolation]:
    """Check one job of many, beside it as it is stored."""
    if not _to_look_through(stored):
        return []
    if len(stored) > SPEC_MAX_BYTES:
        said = f"must not be above {SPEC_MAX_BYTES:,} bytes, and has {len(stored):,}"
        return [FieldViolation(path, said)]
    found = problem(job, f"{path}.")
    return [] if found is None else [found]


def problem(message: Message, path: str = "") -> FieldViolation | None:
    """Return the first field of a message, or below, that is above its bound."""
    for field, value in message.ListFields():
        found = _of_field(field, value, f"{path}{field.name}")
        if found is not None:
            return found
    return None


def unreal_time(message: Message, path: str = "") -> FieldViolation | None:
    """Return the first instant or duration of a message, or below, that is none."""
    for field in _timed(message.DESCRIPTOR):
        if field.is_repeated:
            many: Any = getattr(message, field.name)
            named = [(f"{path}{field.name}[{index}]", one) for index, one in enumerate(many)]
        elif message.HasField(field.name):
            named = [(f"{path}{field.name}", getattr(message, field.name))]
        else:
            continue
        for name, one in named:
            found = _as_time(one, name)
            if found is not None:
                return found
    return None


_known_timed: dict[str, tuple[FieldDescriptor, ...]] = {}


def _timed(kind: Any) -> tuple[FieldDescriptor, ...]:
    """Return the fields of a message that are times, or that have some below."""
    found = _known_timed.get(kind.full_name)
    if found is None:
        _known_timed[kind.full_name] = ()  # whatever is below itself adds nothing
        found = tuple(field for field in kind.fields if _has_times(field.message_type))
        _known_timed[kind.full_name] = found
    return found


def _has_times(kind: Any) -> bool:
    if kind is None or kind.full_name in _OWN_TIMES or kind.GetOptions().map_entry:
        return False
    return kind.full_name in _TIMES or bool(_timed(kind))


def _as_time(value: Any, name: str) -> FieldViolation | None:
    kind = value.DESCRIPTOR.full_name
    if kind not in _TIMES:
        return unreal_time(value, f"{name}.")
    seconds, nanos = value.seconds, value.nanos
    if kind == "google.protobuf.Timestamp":
        if _SECONDS_MIN <= seconds <= _SECONDS_MAX and 0 <= nanos < _NANOS:
            return None
        return FieldViolation(name, "is not an instant of the years 1 to 9999")
    alike = seconds * nanos >= 0
    if abs(seconds) <= _DURATION_MAX_S and abs(nanos) < _NANOS and alike:
        return None
    return FieldViolation(name, "is not a duration of at most 10,000 years")


def _to_look_through(data: bytes) -> bool:
    return len(data) > SMALL_BYTES or b"\0" in data


def text_max(field: FieldDescriptor) -> int:
    """Return the bound of a text, or of each text of a list or map."""
    return TEXTS.get(field.full_name, TEXT_MAX)


def list_max(field: FieldDescriptor) -> int:
    """Return how many elements a list or map may have."""
    return LISTS.get(field.full_name, LIST_MAX)


def _of_field(field: FieldDescriptor, value: Any, path: str) -> FieldViolation | None:
    if not field.is_repeated:
        return _of_value(field, value, path, text_max(field))
    if len(value) > list_max(field):
        return FieldViolation(path, f"must not have above {list_max(field):,}, not {len(value):,}")
    if field.full_name in _OWN:
        return None
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return _of_map(field, kind.fields_by_name, value, path)
    if kind is None and field.type not in (_STRING, _BYTES):
        return None
    most = text_max(field)
    for index, one in enumerate(value):
        found = _of_value(field, one, f"{path}[{index}]", most)
        if found is not None:
            return found
    return None


def _of_map(
    field: FieldDescriptor, entry: Mapping[str, Any], value: Mapping[Any, Any], path: str
) -> FieldViolation | None:
    most = text_max(field)
    for key, one in value.items():
        for part, name in ((key, "key"), (one, "value")):
            found = _of_value(entry[name], part, f"{path}[{str(key)[:40]!r}]", most)
            if found is not None:
                return found
    return None


def _of_value(
    field: FieldDescriptor, value: Any, path: str, characters: int
) -> FieldViolation | None:
    if field.type == _STRING:
        if len(value) > characters:
            return FieldViolation(path, f"must not be above {characters:,} characters")
        if "\0" in value:
            return FieldViolation(path, "must not contain NUL characters")
    if field.type == _BYTES and len(value) > BYTES_MAX:
        return FieldViolation(path, f"must not be above {BYTES_MAX:,} bytes")
    if field.message_type is not None:
        return problem(value, f"{path}.")
    return None


def _unread(name: str, what: str) -> Unread:
    return Unread(InvalidRequest([FieldViolation(name, what)]))
