"""What a job in a file may say: every field with its kind, its help and words that people try."""

from typing import Any, Final

from corridor.v1 import job_pb2 as pb

from scheduler.cli.kinds import (
    Duration,
    Field,
    Flag,
    Instant,
    ListOf,
    MapOf,
    OneOf,
    OrText,
    Record,
    Size,
    Text,
    Whole,
    Yuan,
)
from scheduler.domain import spec as limits
from scheduler.domain.arrays import SIZE_MAX
from scheduler.domain.dependencies import DEPENDENCIES_MAX
from scheduler.domain.retries import ATTEMPTS_MAX
from scheduler.domain.spec_rules import NOTICE_MAX_S

MIB: Final = 1 << 20
MONEY_MAX_FEN: Final = 10**15
_MEMORY_MAX_MIB: Final = limits.SIZE_MAX_BYTES // MIB


def _words(enum: Any, prefix: str) -> tuple[str, ...]:
    return tuple(
        name.removeprefix(prefix).lower() for name, number in enum.items() if number
    )  # 0 is "not set"


ARCHITECTURES: Final = _words(pb.Architecture, "ARCHITECTURE_")
SUBSIDIES: Final = _words(pb.SubsidyPreference, "SUBSIDY_PREFERENCE_")
CLASSES: Final = _words(pb.PriorityClass, "PRIORITY_CLASS_")
CONDITIONS: Final = _words(pb.DependencyCondition, "DEPENDENCY_CONDITION_")
FAILURES: Final = _words(pb.FailureClass, "FAILURE_CLASS_")

_FLAVOR: Final = Field(Text(256, 1), "Center and device, such as wuhan-ai/ascend-910b.")
_UNITS: Final = Field(Whole(1, limits.UNITS_MAX), "Cards or cores on each node.")
_NODES: Final = Field(Whole(1, limits.UNITS_MAX), "Nodes, all at once; 1 if left out.")
_NODES_MIN: Final = Field(
    Whole(1, limits.UNITS_MAX), "It may start on as few nodes as this; all of them if left out."
)
_RETRIES: Final = Whole(0, ATTEMPTS_MAX - 1)
_AFTER: Final = "Retries after failures of class {}; 0 for none."
_WALL_LIMIT: Final = Duration(1, limits.WALL_LIMIT_MAX_S)
_MEMORY: Final = Field(
    Size(MIB, _MEMORY_MAX_MIB * MIB), "Memory on each node; the flavor's default if left out."
)
_DATA: Final = Record(
    {
        "uri": Field(Text(4096, 1), "Its address.", mandatory=True),
        "size": Field(Size(1, limits.SIZE_MAX_BYTES), "Its size, if known."),
        "location": Field(
            Text(limits.TEXT_MAX, 1),
            "Of an input: the city or center where it lies, cities/wuhan or centers/wuhan-sc; with"
            " the size it says how long it takes to each center.",
        ),
    },
    {"url": "uri", "path": "uri", "size_bytes": "size"},
)
_OPTION: Final = Record(
    {
        "flavor": Field(_FLAVOR.kind, _FLAVOR.help, mandatory=True),
        "units_per_node": Field(_UNITS.kind, _UNITS.help, mandatory=True),
        "nodes": _NODES,
        "nodes_min": _NODES_MIN,
        "memory": _MEMORY,
        "wall_limit": Field(_WALL_LIMIT, "The longest it may run here; the job's if left out."),
    },
    {"units": "units_per_node", "memory_mib_per_node": "memory", "cards": "units_per_node"},
)
_DEPENDENCY: Final = Record(
    {
        "job": Field(
            Text(limits.TEXT_MAX, 1),
            "The id of a job; or of a job of the same call its name, or # and its place from 0.",
            mandatory=True,
        ),
        "condition": Field(
            OneOf(CONDITIONS),
            "after_success (else this one is cancelled) or after_any_end; after_success if left"
            " out.",
        ),
    },
    {"job_id": "job", "name": "job", "id": "job", "when": "condition"},
)
#: Fields of a job that stand for its only option.
SHORTCUT: Final = ("flavor", "units_per_node", "nodes", "nodes_min", "memory")
JOB: Final = Record(
    {
        "name": Field(Text(limits.TEXT_MAX), "A name for people; need not be unique."),
        "flavor": _FLAVOR,
        "units_per_node": _UNITS,
        "nodes": _NODES,
        "nodes_min": _NODES_MIN,
        "memory": _MEMORY,
        "options": Field(
            ListOf(_OPTION, 1, limits.OPTIONS_MAX),
            "Ways to run it, the preferred one first; instead of flavor, units_per_node, nodes,"
            " nodes_min and memory.",
        ),
        "wall_limit": Field(_WALL_LIMIT, "The longest it may run.", mandatory=True),
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
        "priority_class": Field(
            OneOf(CLASSES), "emergency goes before all other jobs; only an operator may submit it."
        ),
        "start_not_before": Field(Instant(), "Do not start it before."),
        "queue_deadline": Field(Instant(), "Give up if it has not started by then."),
        "finish_by": Field(
            Instant(), "It must have ended by then; it expires once the wall limit would pass it."
        ),
        "array": Field(
            Record(
                {
                    "size": Field(
                        Whole(1, SIZE_MAX), "Elements, with indexes from 0.", mandatory=True
                    ),
                    "concurrency": Field(
                        Whole(1, SIZE_MAX),
                        "At most so many wait for placement or run at once; no limit if left out.",
                    ),
                },
                {"concurrency_max": "concurrency", "limit": "concurrency", "elements": "size"},
            ),
            "Run it so many times, as one job; CORRIDOR_ARRAY_INDEX tells the program which time.",
        ),
        "depends_on": Field(
            ListOf(OrText(_DEPENDENCY, "job"), most=DEPENDENCIES_MAX),
            "Jobs that have to end first.",
        ),
        "interruptible": Field(
            Flag(), "Its run may be stopped to give lent units back, and then starts anew."
        ),
        "checkpoint_notice": Field(
            Duration(1, NOTICE_MAX_S), "How long before such a stop the program wishes to be told."
        ),
        "retry": Field(
            Record(
                {
                    "attempts": Field(
                        Whole(1, ATTEMPTS_MAX),
                        "Attempts in all, the first included; 3 if left out, or what limits need.",
                    ),
                    "after": Field(
                        ListOf(OneOf(FAILURES)),
                        "Failures after which it is tried again; "
                        "node, center, preempted and lost if left out.",
                    ),
                    "limits": Field(
                        Record({word: Field(_RETRIES, _AFTER.format(word)) for word in FAILURES}),
                        "How often at most it is tried again after failures of one class.",
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
        "contract": Field(
            Text(limits.TEXT_MAX, 1),
            "Number of the contract under which it is computed; some programmes ask for it.",
        ),
        "project": Field(
            Text(limits.TEXT_MAX, 1),
            "The project it is for, as it stands on a published list; some programmes ask for it.",
        ),
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
        "after": "depends_on", "dependencies": "depends_on", "dependency": "depends_on",
        "begin": "start_not_before", "not_before": "start_not_before", "deadline_end": "finish_by",
        "preemptible": "interruptible", "emergency": "priority_class", "min_nodes": "nodes_min",
        "contract_no": "contract", "contract_number": "contract",
    },
)  # fmt: skip

#: Fields of the message that the file calls otherwise.
FILE_NAMES: Final = {
    "display_name": "name",
    "memory_mib_per_node": "memory",
    "size_bytes": "size",
    "retry_policy": "retry",
    "attempts_max": "attempts",
    "retry_on": "after",
    "concurrency_max": "concurrency",
    "self_pay_max_fen": "max_self_pay",
}
