"""Job files: what people write, the message it stands for, and back.

A file holds one job, a list of jobs or a mapping with the key ``jobs``; YAML files may hold
several documents. ``schema`` is the JSON Schema of a document.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from corridor.v1 import job_pb2 as pb
from google.protobuf.duration_pb2 import Duration as DurationMessage
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.cli import amounts
from scheduler.cli.flaws import BadFile, Flaw
from scheduler.cli.kinds import (
    Duration,
    Field,
    Flag,
    Instant,
    ListOf,
    MapOf,
    Notes,
    OneOf,
    Record,
    Size,
    Text,
    Whole,
    Yuan,
)
from scheduler.cli.nodes import Node, read_documents
from scheduler.domain import spec as limits

MIB: Final = 1 << 20
MONEY_MAX_FEN: Final = 10**15
FLAWS_MAX: Final = 100
_MEMORY_MAX_MIB: Final = limits.SIZE_MAX_BYTES // MIB


def _words(enum: Any, prefix: str) -> tuple[str, ...]:
    return tuple(
        name.removeprefix(prefix).lower() for name, number in enum.items() if number
    )  # 0 is "not set"


ARCHITECTURES: Final = _words(pb.Architecture, "ARCHITECTURE_")
SUBSIDIES: Final = _words(pb.SubsidyPreference, "SUBSIDY_PREFERENCE_")
FAILURES: Final = _words(pb.FailureClass, "FAILURE_CLASS_")

_FLAVOR: Final = Field(Text(256, 1), "Center and device, such as wuhan-ai/ascend-910b.")
_UNITS: Final = Field(Whole(1, limits.UNITS_MAX), "Cards or cores on each node.")
_NODES: Final = Field(Whole(1, limits.UNITS_MAX), "Nodes, all at once; 1 if left out.")
_MEMORY: Final = Field(
    Size(MIB, _MEMORY_MAX_MIB * MIB), "Memory on each node; the flavor's default if left out."
)
_DATA: Final = Record(
    {
        "uri": Field(Text(4096, 1), "Where it lies.", mandatory=True),
        "size": Field(Size(1, limits.SIZE_MAX_BYTES), "Its size, if known."),
    },
    {"url": "uri", "path": "uri", "size_bytes": "size"},
)
_OPTION: Final = Record(
    {
        "flavor": Field(_FLAVOR.kind, _FLAVOR.help, mandatory=True),
        "units_per_node": Field(_UNITS.kind, _UNITS.help, mandatory=True),
        "nodes": _NODES,
        "memory": _MEMORY,
    },
    {"units": "units_per_node", "memory_mib_per_node": "memory", "cards": "units_per_node"},
)
_SHORTCUT: Final = ("flavor", "units_per_node", "nodes", "memory")
JOB: Final = Record(
    {
        "name": Field(Text(limits.TEXT_MAX), "A name for people; need not be unique."),
        "flavor": _FLAVOR,
        "units_per_node": _UNITS,
        "nodes": _NODES,
        "memory": _MEMORY,
        "options": Field(
            ListOf(_OPTION, 1, limits.OPTIONS_MAX),
            "Ways to run it, the preferred one first; instead of flavor, units_per_node, nodes and"
            " memory.",
        ),
        "wall_limit": Field(
            Duration(1, limits.WALL_LIMIT_MAX_S), "The longest it may run.", mandatory=True
        ),
        "image": Field(Text(1024), "Container image."),
        "command": Field(
            ListOf(Text(numbers=True), key="field.command"),
            "Command and its arguments; this or script.",
        ),
        "script": Field(Text(), "A shell script; this or command."),
        "environment": Field(
            MapOf(Text(numbers=True), limits.ENVIRONMENT_MAX, "^[^=]+$"), "Environment variables."
        ),
        "architecture": Field(OneOf(ARCHITECTURES), "What image and program are built for."),
        "inputs": Field(ListOf(_DATA), "What it reads."),
        "outputs": Field(ListOf(_DATA), "What it writes."),
        "priority": Field(
            Whole(-limits.PRIORITY_MAX, limits.PRIORITY_MAX),
            "A higher one goes first inside its enterprise; 0 if left out.",
        ),
        "queue_deadline": Field(Instant(), "Give up if it has not started by then."),
        "retry": Field(
            Record(
                {
                    "attempts": Field(
                        Whole(1, limits.ATTEMPTS_MAX),
                        "Attempts in all, the first included; 3 if left out.",
                    ),
                    "after": Field(
                        ListOf(OneOf(FAILURES)),
                        "Failures after which it is tried again; "
                        "node, center, preempted and lost if left out.",
                    ),
                },
                {"attempts_max": "attempts", "retry_on": "after", "on": "after"},
            ),
            "When a failed run is tried again.",
        ),
        "subsidy": Field(
            OneOf(SUBSIDIES),
            "preferred takes what there is, required waits until a programme pays a part, "
            "none pays all of it; preferred if left out.",
        ),
        "max_self_pay": Field(Yuan(MONEY_MAX_FEN), "The most the enterprise pays itself, in yuan."),
        "labels": Field(
            MapOf(Text(limits.TEXT_MAX, numbers=True), limits.LABELS_MAX, "^.{1,256}$"),
            "Free labels to filter by.",
        ),
        "held": Field(Flag(), "Submit it held; it waits until it is released."),
        "wait_if_too_large": Field(
            Flag(), "Wait even if today's quota and capacity can never fit it."
        ),
    },
    {
        "display_name": "name", "job_name": "name", "title": "name",
        "units": "units_per_node", "cards": "units_per_node", "gpus": "units_per_node",
        "cores": "units_per_node",
        "memory_mib_per_node": "memory", "mem": "memory",
        "time": "wall_limit", "time_limit": "wall_limit", "walltime": "wall_limit",
        "env": "environment", "arch": "architecture",
        "retry_policy": "retry", "deadline": "queue_deadline",
        "self_pay_max_fen": "max_self_pay", "self_pay_max": "max_self_pay",
        "cmd": "command", "args": "command", "hold": "held",
    },
)  # fmt: skip

#: Fields of the message that the file calls otherwise.
_FILE_NAMES: Final = {
    "display_name": "name",
    "memory_mib_per_node": "memory",
    "size_bytes": "size",
    "retry_policy": "retry",
    "attempts_max": "attempts",
    "retry_on": "after",
    "self_pay_max_fen": "max_self_pay",
}


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job of a file: its message, and the line of every field (by its path in the file)."""

    spec: pb.JobSpec
    file: str
    line: int
    places: dict[str, int]
    shortcut: bool

    def where(self, path: str) -> tuple[int, str]:
        """Return (line, path in the file) of a field named by its path in the message."""
        shown = re.sub(r"\['(.*)'\]", r".\1", path)
        shown = ".".join(_renamed(part) for part in shown.split("."))
        if self.shortcut:
            shown = shown.removeprefix("options[0].")
        place = shown
        while place and place not in self.places:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return self.places.get(place, self.line), shown


def _renamed(part: str) -> str:
    name, bracket, index = part.partition("[")
    return _FILE_NAMES.get(name, name) + bracket + index


def read_jobs(text: str, file: str) -> list[FoundJob]:
    """Return the jobs of a file, at least one; raises ``BadFile`` with all its flaws."""
    documents = read_documents(text, file)
    found: list[FoundJob] = []
    flaws: list[Flaw] = []
    for node in _jobs_of(documents, file):
        notes = Notes(file)
        spec = _read_job(node, notes)
        if spec is not None:
            shortcut = isinstance(node.value, dict) and "options" not in node.value
            found.append(FoundJob(spec, file, node.line, notes.places, shortcut))
        flaws += notes.flaws
        if len(flaws) >= FLAWS_MAX:
            break
    if flaws:
        raise BadFile(flaws[:FLAWS_MAX])
    if not found:
        raise BadFile([Flaw(file, 1, "", "file.no_job", {})])
    return found


def _jobs_of(documents: list[Node], file: str) -> Iterator[Node]:
    for node in documents:
        if isinstance(node.value, list):
            yield from node.value
        elif isinstance(node.value, dict) and "jobs" in node.value:
            jobs = node.value["jobs"].node
            if not isinstance(jobs.value, list) or not jobs.value:
                raise BadFile([Flaw(file, jobs.line, "jobs", "file.jobs_no_list", {})])
            for name, entry in node.value.items():
                if name != "jobs":
                    raise BadFile([Flaw(file, entry.line, name, "file.beside_jobs", {})])
            yield from jobs.value
        elif isinstance(node.value, dict):
            yield node
        else:
            raise BadFile([Flaw(file, node.line, "", "file.not_a_job", {})])


def _read_job(node: Node, notes: Notes) -> pb.JobSpec | None:
    if not isinstance(node.value, dict):
        notes.wrong(node, "", "file.not_a_job")
        return None
    values = JOB.read(node, "", notes)
    _check_together(node, notes)
    return None if notes.flaws else _message(values)


def _check_together(node: Node, notes: Notes) -> None:
    written = node.value if isinstance(node.value, dict) else {}
    several = [name for name in _SHORTCUT if name in written]
    if "options" in written and several:
        entry = written[several[0]]
        notes.wrong(Node(entry.line, None), several[0], "field.both", other="options")
    if "options" not in written:
        meant = {one.values.get("near") for one in notes.flaws}
        for name in ("flavor", "units_per_node"):
            if name not in written and name not in meant:
                notes.wrong(node, name, "field.missing")
    if "command" in written and "script" in written:
        entry = written["script"]
        notes.wrong(Node(entry.line, None), "script", "field.both", other="command")


def _message(values: dict[str, Any]) -> pb.JobSpec:
    retry = values.get("retry", {})
    deadline = values.get("queue_deadline")
    return pb.JobSpec(
        display_name=values.get("name", ""),
        options=[_option(one) for one in values.get("options", [values])],
        wall_limit=DurationMessage(seconds=values["wall_limit"]),
        image=values.get("image", ""),
        command=values.get("command", ()),
        script=values.get("script", ""),
        environment=values.get("environment", {}),
        architecture=_number(pb.Architecture, "ARCHITECTURE_", values.get("architecture")),
        inputs=[_data(one) for one in values.get("inputs", ())],
        outputs=[_data(one) for one in values.get("outputs", ())],
        priority=values.get("priority", 0),
        queue_deadline=None if deadline is None else _timestamp(deadline),
        retry_policy=pb.RetryPolicy(
            attempts_max=retry.get("attempts", 0),
            retry_on=[
                _number(pb.FailureClass, "FAILURE_CLASS_", word) for word in retry.get("after", ())
            ],
        )
        if "retry" in values
        else None,
        subsidy=_number(pb.SubsidyPreference, "SUBSIDY_PREFERENCE_", values.get("subsidy")),
        self_pay_max_fen=values.get("max_self_pay"),
        labels=values.get("labels", {}),
        held=values.get("held", False),
        wait_if_too_large=values.get("wait_if_too_large", False),
    )


def _option(values: dict[str, Any]) -> pb.ResourceOption:
    return pb.ResourceOption(
        flavor=values["flavor"],
        units_per_node=values["units_per_node"],
        nodes=values.get("nodes", 1),
        memory_mib_per_node=values.get("memory", 0),
    )


def _data(values: dict[str, Any]) -> pb.DataRef:
    return pb.DataRef(uri=values["uri"], size_bytes=values.get("size", 0))


def _number(enum: Any, prefix: str, word: str | None) -> Any:
    return 0 if word is None else enum.Value(prefix + word.upper())


def _timestamp(instant: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(instant.astimezone(UTC))
    return found


# --- the other way, and the schema ----------------------------------------------------------------


def document_of(spec: pb.JobSpec) -> dict[str, Any]:
    """Return a job as a file would say it; reading it gives the same message again.

    Holds for messages that a job file can make: whole seconds, known words, a size where one is
    given.
    """
    found: dict[str, Any] = {"name": spec.display_name, "wall_limit": None}
    if len(spec.options) == 1:
        found |= _option_document(spec.options[0])
    else:
        found["options"] = [_option_document(one) for one in spec.options]
    found["wall_limit"] = amounts.duration_text(spec.wall_limit.seconds)
    found |= {
        "image": spec.image,
        "command": list(spec.command),
        "script": spec.script,
        "environment": dict(spec.environment),
        "architecture": _word(pb.Architecture, "ARCHITECTURE_", spec.architecture),
        "inputs": [_data_document(one) for one in spec.inputs],
        "outputs": [_data_document(one) for one in spec.outputs],
        "priority": spec.priority,
        "subsidy": _word(pb.SubsidyPreference, "SUBSIDY_PREFERENCE_", spec.subsidy),
        "labels": dict(spec.labels),
        "held": spec.held,
        "wait_if_too_large": spec.wait_if_too_large,
    }
    if spec.HasField("queue_deadline"):
        instant = spec.queue_deadline.ToDatetime(UTC)
        found["queue_deadline"] = instant.isoformat()
    if spec.HasField("retry_policy"):
        attempts = spec.retry_policy.attempts_max
        after = [
            _word(pb.FailureClass, "FAILURE_CLASS_", one) for one in spec.retry_policy.retry_on
        ]
        found["retry"] = {**({"attempts": attempts} if attempts else {}), "after": after}
    if spec.HasField("self_pay_max_fen"):
        found["max_self_pay"] = amounts.yuan_text(spec.self_pay_max_fen)
    return {name: value for name, value in found.items() if value or name == "retry"}


def _option_document(option: pb.ResourceOption) -> dict[str, Any]:
    memory = option.memory_mib_per_node
    return {
        "flavor": option.flavor,
        "units_per_node": option.units_per_node,
        "nodes": option.nodes or 1,
        **({"memory": amounts.size_text(memory * MIB)} if memory else {}),
    }


def _data_document(data: pb.DataRef) -> dict[str, Any]:
    size = {"size": amounts.size_text(data.size_bytes)} if data.size_bytes else {}
    return {"uri": data.uri, **size}


def _word(enum: Any, prefix: str, number: int) -> str:
    return "" if not number else str(enum.Name(number)).removeprefix(prefix).lower()


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a document of a job file.

    Bounds of durations, sizes and texts of money cannot be said in it; the reader checks them.
    """
    job: dict[str, Any] = {
        **JOB.schema(),
        "oneOf": [
            {"required": ["flavor", "units_per_node"], "not": {"required": ["options"]}},
            {
                "required": ["options"],
                "not": {"anyOf": [{"required": [name]} for name in _SHORTCUT]},
            },
        ],
        "not": {"required": ["command", "script"]},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Corridor job file",
        "$defs": {"job": job},
        "oneOf": [
            {"$ref": "#/$defs/job"},
            {"type": "array", "items": {"$ref": "#/$defs/job"}},
            {
                "type": "object",
                "properties": {
                    "jobs": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/job"}}
                },
                "required": ["jobs"],
                "additionalProperties": False,
            },
        ],
    }
