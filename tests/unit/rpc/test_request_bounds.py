"""Bounds of requests: every text, list, map and piece of bytes of the API has one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from corridor.v1 import identity_service_pb2, job_pb2, job_service_pb2, simulation_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from scheduler.errors import InvalidRequest
from scheduler.rpc import bounds
from scheduler.rpc.server import SERVICES

SUBMIT = "/corridor.v1.JobService/SubmitJobs"
CREATE = "/corridor.v1.IdentityService/CreateToken"


def requests() -> Iterator[tuple[str, Descriptor]]:
    """Each method of the API with its request."""
    for service in SERVICES.values():
        for method in service.methods:
            yield f"/{service.full_name}/{method.name}", method.input_type


def bounded(kind: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    """All fields below a message that could hold any amount."""
    if kind.full_name in seen:
        return
    seen.add(kind.full_name)
    for field in kind.fields:
        if field.is_repeated or field.type in (field.TYPE_STRING, field.TYPE_BYTES):
            yield field
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            yield from bounded(field.message_type, seen)


def all_fields() -> list[FieldDescriptor]:
    seen: set[str] = set()
    return [field for _, kind in requests() for field in bounded(kind, seen)]


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def overfull(field: FieldDescriptor) -> Iterator[tuple[str, Any]]:
    """Messages with this field alone, each just above a bound; and which bound that is."""
    assert field.containing_type is not None
    make = GetMessageClass(field.containing_type)
    long, many = "x" * (bounds.text_max(field) + 1), bounds.list_max(field) + 1
    is_text = field.type == field.TYPE_STRING
    if is_map(field):
        whole, keyed = make(), make()
        for message, keys in ((whole, map(str, range(many))), (keyed, [long])):
            for key in keys:
                put(message, field, key, "")
        yield "entries", whole
        yield "characters of a key", keyed
        if field.message_type is not None and not field.message_type.fields[1].message_type:
            valued = make()
            put(valued, field, "a", long)
            yield "characters of a value", valued
    elif not field.is_repeated:
        yield "size", make(**{field.name: long if is_text else b"x" * (bounds.BYTES_MAX + 1)})
    else:
        one: Any = 1 if field.message_type is None else GetMessageClass(field.message_type)()
        if is_text:
            yield "characters of one", make(**{field.name: [long]})
            one = ""
        # As bytes, for a million are quickly read and slowly made.
        yield "elements", make.FromString(make(**{field.name: [one]}).SerializeToString() * many)


def put(message: Any, field: FieldDescriptor, key: str, value: str) -> None:
    """Put an entry into a map of texts or of messages."""
    entries = getattr(message, field.name)
    if field.message_type is not None and field.message_type.fields[1].message_type:
        entries[key].SetInParent()
    else:
        entries[key] = value


@pytest.mark.parametrize("field", all_fields(), ids=lambda field: field.full_name)
def test_every_field_has_a_bound_that_is_held_to(field: FieldDescriptor) -> None:
    for bound, message in overfull(field):
        found = bounds.problem(message)
        assert found is not None, bound
        assert found.field.startswith(field.name), bound
        assert message.ByteSize() > bounds.SMALL_BYTES, "small requests are not looked through"


@pytest.mark.parametrize("bound", [*bounds.TEXTS.items(), *bounds.LISTS.items()])
def test_bounds_are_of_fields_that_there_are(bound: tuple[str, int]) -> None:
    name, number = bound
    assert name in {field.full_name for field in all_fields()}
    assert number >= bounds.SMALL_BYTES


def test_no_default_is_below_what_is_not_looked_through() -> None:
    least = min(bounds.TEXT_MAX, bounds.LIST_MAX, bounds.BYTES_MAX)
    assert least >= bounds.SMALL_BYTES


def nested(kind: Descriptor, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, FieldDescriptor]]:
    """Path and field of each text of a request, through messages, lists and maps."""
    if kind.full_name in seen:
        return
    for field in kind.fields:
        if field.type == field.TYPE_STRING and not field.is_repeated:
            yield field.name, field
        elif field.message_type is not None and not is_map(field):
            for path, inner in nested(field.message_type, (*seen, kind.full_name)):
                yield f"{field.name}.{path}", inner


def filled(kind: Descriptor, path: str, value: str | int) -> Any:
    """A message with one value, at a path."""
    message = GetMessageClass(kind)()
    here: Any = message
    *way, last = path.split(".")
    for name in way:
        below = getattr(here, name)
        here = below.add() if here.DESCRIPTOR.fields_by_name[name].is_repeated else below
        here.SetInParent()
    setattr(here, last, value)
    return message


@pytest.mark.parametrize("method", dict(requests()), ids=lambda name: name.rpartition("/")[2])
def test_no_request_reaches_its_method_with_a_text_above_its_bound(method: str) -> None:
    kind = dict(requests())[method]
    read = bounds.reader(method, GetMessageClass(kind).FromString)
    for path, field in nested(kind):
        if method == SUBMIT and path.startswith("jobs."):
            continue  # job by job, below
        message = filled(kind, path, "x" * (bounds.text_max(field) + 1))
        answer = read(message.SerializeToString())
        assert isinstance(answer, bounds.Unread), path
        named = answer.error.violations[0].field
        assert named.replace("[0]", "") == path


@pytest.mark.parametrize("method", dict(requests()), ids=lambda name: name.rpartition("/")[2])
def test_no_request_reaches_its_method_with_a_text_that_no_database_keeps(method: str) -> None:
    kind = dict(requests())[method]
    read = bounds.reader(method, GetMessageClass(kind).FromString)
    for path, _ in nested(kind):
        if method == SUBMIT and path.startswith("jobs."):
            continue  # job by job, below
        answer = read(filled(kind, path, "a\0b").SerializeToString())
        assert isinstance(answer, bounds.Unread), path
        [wrong] = answer.error.violations
        assert (wrong.field.replace("[0]", ""), wrong.description) == (
            path, "must not contain NUL characters",
        )  # fmt: skip


#: Methods judge the times of these themselves.
JUDGED_LATER = ("corridor.v1.JobSpec", "corridor.v1.CenterUse", "corridor.v1.JobFilter")


def times(kind: Descriptor, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, FieldDescriptor]]:
    """Path and field of each instant and duration of a request that its method leaves to us."""
    if kind.full_name in (*seen, *JUDGED_LATER):
        return
    for field in kind.fields:
        below = field.message_type
        if below is None or is_map(field):
            continue
        if below.file.package == "google.protobuf":
            yield field.name, field
        for path, inner in times(below, (*seen, kind.full_name)):
            yield f"{field.name}.{path}", inner


@pytest.mark.parametrize("method", dict(requests()), ids=lambda name: name.rpartition("/")[2])
def test_no_request_reaches_its_method_with_a_time_that_is_none(method: str) -> None:
    kind = dict(requests())[method]
    read = bounds.reader(method, GetMessageClass(kind).FromString)
    for path, field in times(kind):
        assert field.message_type is not None
        most = {"Timestamp": 253_402_214_399, "Duration": 315_576_000_000}[field.message_type.name]
        for part, good, bad in (("seconds", most, most + 1), ("nanos", 999_999_999, 10**9)):
            taken = read(filled(kind, f"{path}.{part}", good).SerializeToString())
            assert not isinstance(taken, bounds.Unread), path
            for value in (bad, -bad):
                answer = read(filled(kind, f"{path}.{part}", value).SerializeToString())
                assert isinstance(answer, bounds.Unread), path
                assert answer.error.violations[0].field.replace("[0]", "") == path


def test_the_parts_of_a_duration_have_one_sign() -> None:
    def told(seconds: int, nanos: int) -> bool:
        order = {"scenarios": [{"order": {"ageing": {"seconds": seconds, "nanos": nanos}}}]}
        return bounds.unreal_time(simulation_pb2.SimulateQuotasRequest(**order)) is not None  # type: ignore[arg-type]

    assert told(1, -1)
    assert told(-1, 1)
    assert not told(-1, -1)


def test_each_job_of_a_submission_is_looked_through() -> None:
    for path, field in nested(job_pb2.JobSpec.DESCRIPTOR):
        job = filled(job_pb2.JobSpec.DESCRIPTOR, path, "x" * (bounds.text_max(field) + 1))
        wrong = bounds.check_job("jobs[3]", job, job.SerializeToString())
        assert [one.field.replace("[0]", "") for one in wrong] == [f"jobs[3].{path}"]
        job = filled(job_pb2.JobSpec.DESCRIPTOR, path, "a\0b")
        wrong = bounds.check_job("jobs[3]", job, job.SerializeToString())
        assert [one.description for one in wrong] == ["must not contain NUL characters"]


def test_fields_that_are_not_known_count_for_the_size_of_a_job() -> None:
    unknown = b"\xfa\x7f" + (b"\x81\x80\x80\x01" + b"x" * (1 + (2 << 20)))  # field 2047, 2 MiB + 1
    job = job_pb2.JobSpec.FromString(unknown)
    assert not job.ListFields()
    (wrong,) = bounds.check_job("jobs[0]", job, job.SerializeToString())
    assert wrong.field == "jobs[0]"
    assert wrong.description.startswith("must not be above 2,097,152 bytes")


@pytest.mark.parametrize(
    ("method", "data", "said"),
    [
        (CREATE, b"\x00" * ((4 << 20) + 1), "request: must not be above 4,194,304 bytes"),
        (CREATE, b"\x0a\x04\x12\x02\xff\xfe", "request: cannot be read"),  # not UTF-8
        (CREATE, b"\x0a\x7f", "request: cannot be read"),  # cut
    ],
)
def test_what_cannot_be_read_is_the_callers_fault(method: str, data: bytes, said: str) -> None:
    parse: Callable[[bytes], Any] = identity_service_pb2.CreateTokenRequest.FromString
    answer = bounds.reader(method, parse)(data)
    with pytest.raises(InvalidRequest, match=said):
        bounds.read_one(answer)


def test_only_few_methods_take_large_requests() -> None:
    large = {name for name, _ in requests() if bounds.message_max(name) == bounds.LARGE_MAX_BYTES}
    assert {name.rpartition("/")[2] for name in large} == {
        "SubmitJobs", "QuoteJobs", "ReconcileCenter", "Connect",
    }  # fmt: skip


async def test_a_stream_ends_at_the_first_request_that_is_refused() -> None:
    message = job_service_pb2.GetJobRequest()
    refused = bounds.reader(CREATE, job_service_pb2.GetJobRequest.FromString)(b"\x0a\x7f")

    async def said() -> Any:
        yield message
        yield refused
        raise AssertionError("nobody reads on")

    heard = bounds.read_all(said())
    assert await anext(heard) is message
    with pytest.raises(InvalidRequest):
        await anext(heard)
