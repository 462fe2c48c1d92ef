"""What a job asks for, as plain data, and every rule a single job must keep.

``validate`` looks at one job and the catalog alone: it needs no database and is the same for the
API, ``corridor submit --dry-run`` and quotes. Wall limits are whole seconds, memory MiB per node.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from adapters.contract import DataRef, FailureClass
from quota.instant import Bound, Limit
from scheduler.domain.arrays import ArraySpec
from scheduler.domain.dependencies import Dependency, check_count
from scheduler.domain.retries import RetryLimit, check_retries
from scheduler.domain.spec_rules import (
    Times,
    check_array,
    check_interruption,
    check_named,
    check_times,
)
from scheduler.domain.states import RETRIED_BY_DEFAULT
from scheduler.errors import FieldViolation

OPTIONS_MAX: Final = 8
LABELS_MAX: Final = 32
REFERENCES_MAX: Final = 1024
ENVIRONMENT_MAX: Final = 256
TEXT_MAX: Final = 256
SCRIPT_MAX_BYTES: Final = 1 << 20
PRIORITY_MAX: Final = 1000
UNITS_MAX: Final = 1 << 20
WALL_LIMIT_MAX_S: Final = 366 * 86_400
SIZE_MAX_BYTES: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class ResourceOption:
    """One way to run the job: a gang of ``units_per_node`` units on each of ``nodes`` nodes.

    ``wall_limit_s`` 0 stands for the job's limit, ``nodes_min`` 0 for all nodes.
    """

    flavor: str
    units_per_node: int
    nodes: int = 1
    memory_mib_per_node: int = 0
    wall_limit_s: int = 0
    nodes_min: int = 0

    @property
    def units(self) -> int:
        """Units of all nodes together."""
        return self.units_per_node * self.nodes

    @property
    def units_min(self) -> int:
        """Units that it may start on if not all are free; 0 for only on all."""
        return self.units_per_node * self.nodes_min if self.nodes_min < self.nodes else 0


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as its enterprise asked for it."""

    options: tuple[ResourceOption, ...]
    wall_limit_s: int
    display_name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    script: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    architecture: str = ""  # "", "aarch64" or "x86_64"
    inputs: tuple[DataRef, ...] = ()
    outputs: tuple[DataRef, ...] = ()
    priority: int = 0
    queue_deadline_ms: int | None = None
    attempts_max: int = 3
    retry_on: frozenset[FailureClass] = RETRIED_BY_DEFAULT
    retry_limits: tuple[RetryLimit, ...] = ()
    subsidy: str = "PREFERRED"  # PREFERRED, REQUIRED or NONE
    self_pay_max_fen: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    held: bool = False
    wait_if_too_large: bool = False
    start_not_before_ms: int | None = None
    finish_by_ms: int | None = None
    interruptible: bool = False
    notice_s: int = 0
    emergency: bool = False
    array: ArraySpec | None = None
    depends_on: tuple[Dependency, ...] = ()
    contract: str = ""
    project: str = ""

    def wall_of(self, option: ResourceOption) -> int:
        """Return the wall limit of one of its options, in seconds."""
        return option.wall_limit_s or self.wall_limit_s


@dataclass(frozen=True, slots=True)
class FlavorLimits:
    """What the catalog says of a flavor: what the center grants and how long a run may be."""

    flavor: str
    center: str
    architecture: str
    capacity_units: int
    units_per_node: int
    wall_limit_max_s: int
    memory_mib_per_node: int = 0


Catalog = Mapping[str, FlavorLimits]


class Reference(Protocol):
    """An input or output, as data or as a message."""

    @property
    def uri(self) -> str:
        """Where it lies."""

    @property
    def size_bytes(self) -> int:
        """Its size, 0 if not known."""


class Described(Protocol):
    """What a job says beside its size: a ``JobSpec``, or a message with the same fields."""

    @property
    def display_name(self) -> str:
        """A name for people."""

    @property
    def image(self) -> str:
        """Container image."""

    @property
    def command(self) -> Sequence[str]:
        """Command and its arguments."""

    @property
    def script(self) -> str:
        """A shell script."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables."""

    @property
    def inputs(self) -> Collection[Reference]:
        """What it reads."""

    @property
    def outputs(self) -> Collection[Reference]:
        """What it writes."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Free labels."""

    @property
    def priority(self) -> int:
        """Higher goes first."""

    @property
    def self_pay_max_fen(self) -> int | None:
        """The most the enterprise pays; an unset field of a message reads as 0."""


_Wrong = list[FieldViolation]


def validate(spec: JobSpec, catalog: Catalog, now_ms: int) -> list[FieldViolation]:
    """Return all that is wrong with one job, by field path; an empty list if nothing is."""
    wrong = check_size(spec, catalog)
    wrong += check_description(spec)
    times = Times(spec.start_not_before_ms, spec.queue_deadline_ms, spec.finish_by_ms)
    wall_s = min((spec.wall_of(option) for option in spec.options), default=spec.wall_limit_s)
    wrong += check_times(times, wall_s, now_ms)
    wrong += check_interruption(spec.interruptible, spec.notice_s)
    if spec.array is not None:
        wrong += check_array(spec.array)
    wrong += check_count(len(spec.depends_on))
    wrong += check_named("contract", spec.contract) + check_named("project", spec.project)
    return wrong


def check_size(spec: JobSpec, catalog: Catalog) -> list[FieldViolation]:
    """Check options, wall limit, architecture and attempts: equal for all jobs of one shape."""
    wrong: _Wrong = []
    if not 1 <= len(spec.options) <= OPTIONS_MAX:
        _note(wrong, "options", f"give 1 to {OPTIONS_MAX} options, not {len(spec.options)}")
    for index, option in enumerate(spec.options[:OPTIONS_MAX]):
        _check_option(f"options[{index}]", option, spec, catalog, wrong)
    if spec.wall_limit_s < 1:
        _note(wrong, "wall_limit", "is mandatory: the longest the job may run, at least 1 second")
    elif spec.wall_limit_s > WALL_LIMIT_MAX_S:
        _note(wrong, "wall_limit", f"must not be above {WALL_LIMIT_MAX_S} s")
    wrong += check_retries(spec.attempts_max, spec.retry_limits)
    return wrong


def check_description(job: Described) -> list[FieldViolation]:
    """Check what differs from job to job of one shape: names, program, data, labels, priority."""
    wrong: _Wrong = []
    if not -PRIORITY_MAX <= job.priority <= PRIORITY_MAX:
        _note(wrong, "priority", f"must be -{PRIORITY_MAX}..{PRIORITY_MAX}, not {job.priority}")
    if (job.self_pay_max_fen or 0) < 0:
        _note(wrong, "self_pay_max_fen", "must not be negative")
    _check_program(job, wrong)
    _check_texts(job, wrong)
    return wrong


def _check_option(
    path: str, option: ResourceOption, spec: JobSpec, catalog: Catalog, wrong: _Wrong
) -> None:
    limits = catalog.get(option.flavor)
    if limits is None:
        known = ", ".join(sorted(catalog)) or "none"
        _note(wrong, f"{path}.flavor", f"unknown flavor {option.flavor[:80]!r}; known are {known}")
    if not 1 <= option.units_per_node <= UNITS_MAX:
        _note(
            wrong, f"{path}.units_per_node", f"must be 1..{UNITS_MAX}, not {option.units_per_node}"
        )
    if not 1 <= option.nodes <= UNITS_MAX:
        _note(wrong, f"{path}.nodes", f"must be 1..{UNITS_MAX}, not {option.nodes}")
    if not 0 <= option.nodes_min <= max(1, option.nodes):
        _note(wrong, f"{path}.nodes_min", f"must be 0..{option.nodes}, not {option.nodes_min}")
    _check_wall(path, option, spec, limits, wrong)
    if option.memory_mib_per_node < 0:
        _note(wrong, f"{path}.memory_mib_per_node", "must not be negative")
    if limits is None:
        return
    if option.units_per_node > limits.units_per_node:
        _note(
            wrong,
            f"{path}.units_per_node",
            f"a node of {limits.flavor} has {limits.units_per_node}; ask for more nodes instead",
        )
    if limits.memory_mib_per_node and option.memory_mib_per_node > limits.memory_mib_per_node:
        _note(
            wrong,
            f"{path}.memory_mib_per_node",
            f"a node of {limits.flavor} has {limits.memory_mib_per_node} MiB",
        )
    if spec.architecture and spec.architecture != limits.architecture:
        _note(
            wrong,
            "architecture",
            f"{limits.flavor} is {limits.architecture}; an image for {spec.architecture}"
            " cannot run there",
        )


def _check_wall(
    path: str,
    option: ResourceOption,
    spec: JobSpec,
    limits: FlavorLimits | None,
    wrong: _Wrong,
) -> None:
    field = f"{path}.wall_limit" if option.wall_limit_s else "wall_limit"
    if not 0 <= option.wall_limit_s <= WALL_LIMIT_MAX_S:
        _note(wrong, field, f"must be 1..{WALL_LIMIT_MAX_S} s, not {option.wall_limit_s}")
    elif limits is not None and spec.wall_of(option) > limits.wall_limit_max_s:
        _note(wrong, field, f"{limits.flavor} allows at most {limits.wall_limit_max_s} s")


def _check_program(job: Described, wrong: _Wrong) -> None:
    script = job.script
    if script:
        if job.command:
            _note(wrong, "script", "give either command or script, not both")
        if len(script.encode()) > SCRIPT_MAX_BYTES:
            _note(wrong, "script", f"must not be above {SCRIPT_MAX_BYTES} bytes")
    if job.inputs:
        _check_references("inputs", job.inputs, wrong)
    if job.outputs:
        _check_references("outputs", job.outputs, wrong)


def _check_references(kind: str, refs: Collection[Reference], wrong: _Wrong) -> None:
    if len(refs) > REFERENCES_MAX:
        _note(wrong, kind, f"at most {REFERENCES_MAX}")
    for index, ref in enumerate(refs):
        if not 1 <= len(ref.uri) <= 4096:
            _note(wrong, f"{kind}[{index}].uri", "must have 1 to 4,096 characters")
        if not 0 <= ref.size_bytes <= SIZE_MAX_BYTES:
            _note(wrong, f"{kind}[{index}].size_bytes", "must be 0 (not known) or a size in bytes")


def _check_texts(job: Described, wrong: _Wrong) -> None:
    name = job.display_name
    if len(name) > TEXT_MAX:
        _note(wrong, "display_name", f"must not be above {TEXT_MAX} characters")
    if not name.isprintable() and _has_control(name):
        _note(wrong, "display_name", "must not hold control characters")
    if len(job.image) > 1024:
        _note(wrong, "image", "must not be above 1,024 characters")
    labels = job.labels
    if labels:
        if len(labels) > LABELS_MAX:
            _note(wrong, "labels", f"at most {LABELS_MAX}")
        for key, value in labels.items():
            if not key or len(key) > TEXT_MAX or len(value) > TEXT_MAX:
                _note(
                    wrong,
                    f"labels[{key[:40]!r}]",
                    f"key (not empty) and value: at most {TEXT_MAX} each",
                )
            text = key + value
            if not text.isprintable() and _has_control(text):
                _note(wrong, f"labels[{key[:40]!r}]", "must not hold control characters")
    environment = job.environment
    if environment:
        if len(environment) > ENVIRONMENT_MAX:
            _note(wrong, "environment", f"at most {ENVIRONMENT_MAX} variables")
        for key in environment:
            if not key or "=" in key or "\0" in key:
                _note(wrong, f"environment[{key[:40]!r}]", "is not a name of a variable")


def _has_control(text: str) -> bool:
    """Whether a text that people see in lists holds what would garble them."""
    return any(c < " " or "\x7f" <= c <= "\x9f" for c in text)


def _note(wrong: _Wrong, path: str, description: str) -> None:
    wrong.append(FieldViolation(path, description))


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Why a job can never start: ``subject`` owns the limit (``corridor``, ``cities/ezhou``)."""

    subject: str
    description: str


def too_large(spec: JobSpec, never: Callable[[str, int], Bound | None]) -> TooLarge | None:
    """Say why no option can ever fit, or None if one can; an elastic one at its least.

    ``never`` gives the limit that so many units of a flavor break even while nothing runs, None
    if they can fit.
    """
    found: TooLarge | None = None
    for option in spec.options:
        units = option.units_min or option.units
        bound = never(option.flavor, units)
        if bound is None:
            return None
        if found is None:
            found = TooLarge(
                bound.node,
                f"{units} units of {option.flavor} can never fit: {_limit_text(bound)};"
                " ask for less, or set wait_if_too_large to wait until there is more",
            )
    return found


def _limit_text(bound: Bound) -> str:
    match bound.limit:
        case Limit.EXCEEDS_MAX:
            return f"the corridor has {bound.height}"
        case Limit.CORRIDOR_FULL:
            return f"of {bound.height} in the corridor {bound.used} are guaranteed to cities"
    return f"{bound.node} may hold at most {bound.height}"


def options_json(spec: JobSpec, stages_s: Sequence[int] = ()) -> str:
    """Return the planner's compact form of the options: [[flavor, units, nodes, wall_s], ...].

    ``stages_s`` is how long the inputs take to each option's center. An option that may shrink or
    has to wait for inputs has two figures more: the units it may shrink to, and those seconds.
    """
    rows = []
    for index, option in enumerate(spec.options):
        row: list[str | int] = [option.flavor, option.units, option.nodes, spec.wall_of(option)]
        stage_s = stages_s[index] if stages_s else 0
        if option.units_min or stage_s:
            row += [option.units_min, stage_s]
        rows.append(row)
    return json.dumps(rows, separators=(",", ":"))
