"""What is checked before a run is sent, and what is sent; pure.

Slurm accepts much of what can never run, and then keeps it for ever: it is refused here.
"""

import re
import shlex
from collections.abc import Mapping
from typing import Final

from adapters.contract import RunRequest
from adapters.errors import Rejected
from adapters.slurm.dialect import JobDescription
from adapters.slurm.identity import NAME_PREFIX
from adapters.slurm.records import PartitionState
from adapters.slurm.settings import Partition, SlurmSettings

#: Slurm takes 4 MiB of script and refuses 5.
SCRIPT_BYTES_MAX: Final = 4_000_000
ENVIRONMENT_BYTES_MAX: Final = 1_000_000
_WALL_LIMIT_MAX_S: Final = 366 * 86_400
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def describe(
    request: RunRequest,
    settings: SlurmSettings,
    live: Mapping[str, PartitionState],
    comment: str,
    singleton: bool,
) -> JobDescription:
    """The job to submit. Raises ``Rejected`` for what can never run here.

    ``live`` are the center's partitions as far as they are known, ``singleton`` makes Slurm start
    the job only when no other job of its name runs.
    """
    partition = settings.partitions.get(request.flavor)
    if partition is None:
        known = ", ".join(sorted(settings.partitions))
        raise Rejected(
            f"{settings.center} has no flavor {request.flavor!r}; it has {known}", "UNKNOWN_FLAVOR"
        )
    _check_names(request)
    _check_size(request, partition)
    _check_partition(request, partition, live)
    cards = f"{partition.gres}:{request.units_per_node}" if partition.gres else ""
    memory_mib = request.memory_mib_per_node or (
        partition.memory_mib_per_unit * request.units_per_node
    )
    return JobDescription(
        name=request.name,
        account=settings.account(request.city),
        partition=partition.partition,
        script=_script(request, settings),
        environment=_environment(request, settings),
        work_dir=settings.work_dir,
        output=settings.output,
        comment=comment,
        time_limit_min=-(-request.wall_limit_s // 60),
        nodes=request.nodes,
        cpus_per_node=partition.cpus_per_unit * request.units_per_node,
        gres=cards,
        memory_mib_per_node=memory_mib,
        constraint=partition.constraint,
        qos=partition.qos,
        reservation=partition.reservation,
        requeue=settings.requeue,
        singleton=singleton,
    )


def _check_names(request: RunRequest) -> None:
    if request.name != NAME_PREFIX + request.run_id:
        raise Rejected(
            f"the run {request.run_id!r} must be named {NAME_PREFIX + request.run_id!r},"
            f" not {request.name!r}",
            "INVALID_REQUEST",
        )


def _check_size(request: RunRequest, partition: Partition) -> None:
    if min(request.units_per_node, request.nodes, request.wall_limit_s) <= 0:
        raise Rejected("units, nodes and wall limit must be positive", "INVALID_REQUEST")
    if request.wall_limit_s > _WALL_LIMIT_MAX_S:
        raise Rejected("a wall limit must be at most 366 days", "WALL_LIMIT")
    nodes = partition.units // partition.units_per_node
    if request.units_per_node > partition.units_per_node or request.nodes > nodes:
        raise Rejected(
            f"{request.nodes} nodes of {request.units_per_node} {request.flavor} each exceed the"
            f" {nodes} nodes of {partition.units_per_node} that the center grants",
            "TOO_LARGE",
        )


def _check_partition(
    request: RunRequest, partition: Partition, live: Mapping[str, PartitionState]
) -> None:
    """Against what the center said last; what it did not say is left to Slurm."""
    if not live:
        return
    state = live.get(partition.partition)
    if state is None:
        raise Rejected(f"Slurm has no partition {partition.partition!r}", "NO_PARTITION")
    limit_s = state.wall_limit_s
    if limit_s is not None and request.wall_limit_s > limit_s:
        raise Rejected(
            f"a wall limit of {request.wall_limit_s} s exceeds the {limit_s} s of partition"
            f" {partition.partition!r}",
            "WALL_LIMIT",
        )


def _script(request: RunRequest, settings: SlurmSettings) -> str:
    """The batch script: the job's own, or one that runs its command, in its image if it has one."""
    script = request.script
    if script:
        _check_script(script)
    if request.image:
        script = _in_image(request, settings)
    elif not script:
        if not request.command:
            raise Rejected("a run needs a script or a command", "NO_PROGRAM")
        script = f"#!/bin/sh\nexec {shlex.join(request.command)}\n"
    if len(script.encode()) > SCRIPT_BYTES_MAX:
        raise Rejected(
            f"a script of {len(script.encode())} bytes exceeds the {SCRIPT_BYTES_MAX} that Slurm"
            " takes: keep what is large in a file at the center",
            "SCRIPT_TOO_LONG",
        )
    return script


def _check_script(script: str) -> None:
    """Refuse what Slurm takes and then fails when it starts."""
    first = script.split("\n", 1)[0]
    if not script.startswith("#!") or not first[2:].strip().startswith("/"):
        raise Rejected(
            "a script must begin with #! and the path of its interpreter, as in #!/bin/bash",
            "NO_INTERPRETER",
        )
    if first.endswith("\r"):
        raise Rejected(
            "the first line of the script ends with a carriage return (a file from Windows):"
            " write its lines with \\n alone",
            "WINDOWS_SCRIPT",
        )
    if "\0" in script:
        raise Rejected("a script must not hold zero bytes", "INVALID_REQUEST")


def _in_image(request: RunRequest, settings: SlurmSettings) -> str:
    """Run in a container, by the command that the center set."""
    if not settings.image_command:
        raise Rejected(
            f"{settings.center} runs no container images (image_command is not set)", "NO_IMAGES"
        )
    if request.script:
        raise Rejected(
            "a run in an image needs a command; a script runs on the node itself", "NO_PROGRAM"
        )
    if not request.command:
        raise Rejected("a run in an image needs a command", "NO_PROGRAM")
    wrapper = [part.replace("{image}", request.image) for part in settings.image_command]
    return f"#!/bin/sh\nexec {shlex.join([*wrapper, *request.command])}\n"


def _environment(request: RunRequest, settings: SlurmSettings) -> dict[str, str]:
    """Slurm refuses a job without one, and copies none of its own."""
    for name, value in request.environment.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise Rejected(f"{name!r} cannot be a variable of the environment", "INVALID_REQUEST")
    environment = {"PATH": settings.path, **request.environment}
    environment["CORRIDOR_RUN"] = request.run_id
    if sum(len(f"{key}={value}".encode()) for key, value in environment.items()) > (
        ENVIRONMENT_BYTES_MAX
    ):
        raise Rejected(
            f"the environment exceeds {ENVIRONMENT_BYTES_MAX} bytes", "ENVIRONMENT_TOO_LONG"
        )
    return environment
