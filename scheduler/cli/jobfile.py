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
from scheduler.cli.jobfile_fields import ARCHITECTURES as ARCHITECTURES
from scheduler.cli.jobfile_fields import CLASSES as CLASSES
from scheduler.cli.jobfile_fields import CONDITIONS as CONDITIONS
from scheduler.cli.jobfile_fields import FAILURES as FAILURES
from scheduler.cli.jobfile_fields import FILE_NAMES, MIB, SHORTCUT
from scheduler.cli.jobfile_fields import JOB as JOB
from scheduler.cli.jobfile_fields import SUBSIDIES as SUBSIDIES
from scheduler.cli.kinds import Notes
from scheduler.cli.nodes import Node, read_documents

FLAWS_MAX: Final = 100


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
    return FILE_NAMES.get(name, name) + bracket + index


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
    several = [name for name in SHORTCUT if name in written]
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
    retry, array = values.get("retry", {}), values.get("array")
    return pb.JobSpec(
        display_name=values.get("name", ""),
        options=[_own_limit(_option(one), one) for one in values["options"]]
        if "options" in values
        else [_option(values)],
        wall_limit=DurationMessage(seconds=values["wall_limit"]),
        image=values.get("image", ""),
        command=values.get("command", ()),
        script=values.get("script", ""),
        environment=values.get("environment", {}),
        architecture=_number(pb.Architecture, "ARCHITECTURE_", values.get("architecture")),
        inputs=[_data(one) for one in values.get("inputs", ())],
        outputs=[_data(one) for one in values.get("outputs", ())],
        priority=values.get("priority", 0),
        queue_deadline=_timestamp(values.get("queue_deadline")),
        start_not_before=_timestamp(values.get("start_not_before")),
        finish_by=_timestamp(values.get("finish_by")),
        priority_class=_number(pb.PriorityClass, "PRIORITY_CLASS_", values.get("priority_class")),
        array=None
        if array is None
        else pb.JobArray(size=array["size"], concurrency_max=array.get("concurrency", 0)),
        depends_on=[_dependency(one) for one in values.get("depends_on", ())],
        interruptible=values.get("interruptible", False),
        checkpoint_notice=_duration(values.get("checkpoint_notice")),
        retry_policy=pb.RetryPolicy(
            attempts_max=retry.get("attempts", 0),
            retry_on=[
                _number(pb.FailureClass, "FAILURE_CLASS_", word) for word in retry.get("after", ())
            ],
            limits=[
                pb.RetryLimit(
                    failure_class=_number(pb.FailureClass, "FAILURE_CLASS_", word), retries_max=most
                )
                for word, most in sorted(retry.get("limits", {}).items())
            ],
        )
        if "retry" in values
        else None,
        subsidy=_number(pb.SubsidyPreference, "SUBSIDY_PREFERENCE_", values.get("subsidy")),
        self_pay_max_fen=values.get("max_self_pay"),
        labels=values.get("labels", {}),
        held=values.get("held", False),
        wait_if_too_large=values.get("wait_if_too_large", False),
        contract=values.get("contract", ""),
        project=values.get("project", ""),
    )


def _option(values: dict[str, Any]) -> pb.ResourceOption:
    return pb.ResourceOption(
        flavor=values["flavor"],
        units_per_node=values["units_per_node"],
        nodes=values.get("nodes", 1),
        memory_mib_per_node=values.get("memory", 0),
        nodes_min=values.get("nodes_min", 0),
    )


def _own_limit(option: pb.ResourceOption, values: dict[str, Any]) -> pb.ResourceOption:
    """Give an option the limit that it states; the one of a job stands beside its only option."""
    if "wall_limit" in values:
        option.wall_limit.seconds = values["wall_limit"]
    return option


def _dependency(values: dict[str, Any]) -> pb.Dependency:
    condition = values.get("condition")
    number = _number(pb.DependencyCondition, "DEPENDENCY_CONDITION_", condition)
    return pb.Dependency(job=values["job"], condition=number)


def _data(values: dict[str, Any]) -> pb.DataRef:
    location = values.get("location", "")
    return pb.DataRef(uri=values["uri"], size_bytes=values.get("size", 0), location=location)


def _number(enum: Any, prefix: str, word: str | None) -> Any:
    return 0 if word is None else enum.Value(prefix + word.upper())


def _duration(seconds: int | None) -> DurationMessage | None:
    return None if seconds is None else DurationMessage(seconds=seconds)


def _timestamp(instant: datetime | None) -> Timestamp | None:
    if instant is None:
        return None
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
    if len(spec.options) == 1 and not spec.options[0].HasField("wall_limit"):
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
    found |= _more_document(spec)
    if spec.HasField("retry_policy"):
        attempts = spec.retry_policy.attempts_max
        after = [
            _word(pb.FailureClass, "FAILURE_CLASS_", one) for one in spec.retry_policy.retry_on
        ]
        limits = {
            _word(pb.FailureClass, "FAILURE_CLASS_", one.failure_class): one.retries_max
            for one in spec.retry_policy.limits
        }
        found["retry"] = {
            **({"attempts": attempts} if attempts else {}),
            "after": after,
            **({"limits": limits} if limits else {}),
        }
    if spec.HasField("self_pay_max_fen"):
        found["max_self_pay"] = amounts.yuan_text(spec.self_pay_max_fen)
    return {name: value for name, value in found.items() if value or name == "retry"}


def _more_document(spec: pb.JobSpec) -> dict[str, Any]:
    """What only some jobs say."""
    found: dict[str, Any] = {
        "priority_class": _word(pb.PriorityClass, "PRIORITY_CLASS_", spec.priority_class),
        "depends_on": [_dependency_document(one) for one in spec.depends_on],
        "interruptible": spec.interruptible,
        "contract": spec.contract,
        "project": spec.project,
    }
    for name in ("start_not_before", "queue_deadline", "finish_by"):
        if spec.HasField(name):
            found[name] = getattr(spec, name).ToDatetime(UTC).isoformat()
    if spec.HasField("array"):
        most = spec.array.concurrency_max
        found["array"] = {"size": spec.array.size, **({"concurrency": most} if most else {})}
    if spec.HasField("checkpoint_notice"):
        found["checkpoint_notice"] = amounts.duration_text(spec.checkpoint_notice.seconds)
    return found


def _dependency_document(one: pb.Dependency) -> dict[str, Any]:
    condition = _word(pb.DependencyCondition, "DEPENDENCY_CONDITION_", one.condition)
    return {"job": one.job, **({"condition": condition} if condition else {})}


def _option_document(option: pb.ResourceOption) -> dict[str, Any]:
    memory = option.memory_mib_per_node
    return {
        "flavor": option.flavor,
        "units_per_node": option.units_per_node,
        "nodes": option.nodes or 1,
        **({"nodes_min": option.nodes_min} if option.nodes_min else {}),
        **({"memory": amounts.size_text(memory * MIB)} if memory else {}),
        **(
            {"wall_limit": amounts.duration_text(option.wall_limit.seconds)}
            if option.HasField("wall_limit")
            else {}
        ),
    }


def _data_document(data: pb.DataRef) -> dict[str, Any]:
    size = {"size": amounts.size_text(data.size_bytes)} if data.size_bytes else {}
    location = {"location": data.location} if data.location else {}
    return {"uri": data.uri, **size, **location}


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
                "not": {"anyOf": [{"required": [name]} for name in SHORTCUT]},
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
