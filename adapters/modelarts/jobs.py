"""From a run to the body that creates its job. What can never run is refused before it is sent."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.contract import DataRef, RunRequest
from adapters.errors import Rejected
from adapters.modelarts.job import RUN_VARIABLE, WALL_VARIABLE, Job
from adapters.modelarts.names import MARK, native_name
from adapters.modelarts.settings import ModelArtsSettings, PoolSettings

ENVIRONMENT_MAX: Final = 100
DESCRIPTION_MAX: Final = 256
COMMAND_MAX: Final = 100_000
_HOUR_S: Final = 3600
_WHOLE_NODE: Final = 8
_RETRIES: Final = "fault-tolerance/job-retry-num"
_SCRIPT_FILE: Final = "/tmp/corridor-script"


def create_body(request: RunRequest, settings: ModelArtsSettings) -> dict[str, Any]:
    """Return the body of the call that creates a run's job. Raises ``Rejected``."""
    pool = settings.pools.get(request.flavor)
    if pool is None:
        raise Rejected(f"{settings.center} has no flavor {request.flavor!r}", "UNKNOWN_FLAVOR")
    name = _name(request)
    _check_size(request, pool)
    resource: dict[str, Any] = {
        "flavor_id": pool.flavor_ids[request.units_per_node],
        "node_count": request.nodes,
    }
    policy = {"priority": settings.priority, "preemptible": settings.preemptible}
    spec: dict[str, Any] = {
        "resource": resource,
        # A guard for when we are away; the exact end is ours.
        "auto_stop": {"time_unit": "HOURS", "duration": math.ceil(request.wall_limit_s / _HOUR_S)},
    }
    if pool.pool_id:
        resource["pool_id"] = pool.pool_id
        spec["schedule_policy"] = policy
    volumes = _volumes(request.inputs, pool)
    if volumes:
        spec["volumes"] = volumes
    if settings.log_url:
        spec["log_export_path"] = {"obs_url": settings.log_url}
    metadata: dict[str, Any] = {
        "name": name,
        "workspace_id": settings.workspace_id,
        "description": _description(request),
    }
    if settings.job_retries:
        metadata["annotations"] = {_RETRIES: str(settings.job_retries)}
    return {
        "kind": "job",
        "metadata": metadata,
        "algorithm": _algorithm(request, pool),
        "spec": spec,
    }


def differs(job: Job, body: Mapping[str, Any]) -> str:
    """What of a job that has our name is not as we would create it; empty if all is.

    Only what a center must keep as it was given; what it does not state is no difference.
    """
    resource = body["spec"]["resource"]
    variables = body["algorithm"]["environments"]
    pairs = (
        ("run", job.run_id, variables[RUN_VARIABLE]),
        ("flavor_id", job.flavor_id, resource["flavor_id"]),
        ("node_count", job.nodes or "", resource["node_count"]),
        ("command", job.command, body["algorithm"]["command"]),
    )
    wrong = [
        f"{what} {found!r:.60} instead of {wanted!r:.60}"
        for what, found, wanted in pairs
        if found and found != wanted
    ]
    return "; ".join(wrong)


def _name(request: RunRequest) -> str:
    try:
        if request.name != MARK + request.run_id:
            raise ValueError(f"{request.name!r} is not {MARK!r} and the run id")
        return native_name(request.name)
    except ValueError as error:
        raise Rejected(str(error), "INVALID_NAME") from None


def _check_size(request: RunRequest, pool: PoolSettings) -> None:
    per_node, nodes = request.units_per_node, request.nodes
    if min(per_node, nodes, request.wall_limit_s) <= 0:
        raise Rejected("units, nodes and wall limit must be positive", "INVALID_REQUEST")
    if per_node > pool.units_per_node or nodes > pool.units // pool.units_per_node:
        raise Rejected(
            f"{nodes} nodes of {per_node} {request.flavor} each exceed the"
            f" {pool.units // pool.units_per_node} nodes of {pool.units_per_node}",
            "TOO_LARGE",
        )
    if per_node not in pool.flavor_ids:
        sizes = ", ".join(str(one) for one in sorted(pool.flavor_ids))
        raise Rejected(f"{per_node} cards of a node: there are jobs of {sizes}", "INVALID_SIZE")
    if nodes > 1 and per_node % _WHOLE_NODE and per_node != pool.units_per_node:
        raise Rejected(
            f"{nodes} nodes of {per_node} cards: a job of several nodes takes whole ones",
            "INVALID_SIZE",
        )
    memory = pool.memory_mib_per_node
    if memory and request.memory_mib_per_node > memory:
        raise Rejected(
            f"{request.memory_mib_per_node} MiB of a node: it has {memory}", "TOO_MUCH_MEMORY"
        )


def _algorithm(request: RunRequest, pool: PoolSettings) -> dict[str, Any]:
    image = request.image or pool.image
    if not image:
        raise Rejected(f"no image: state one, or let {pool.flavor} have one by default", "NO_IMAGE")
    algorithm: dict[str, Any] = {
        "command": _command(request),
        "engine": {"image_url": image},
        "environments": _environment(request),
    }
    buckets = [one for one in request.inputs if one.uri.startswith("obs://")]
    if buckets:
        algorithm["inputs"] = [_remote(f"input_{i}", one) for i, one in enumerate(buckets)]
    if request.outputs:
        for one in request.outputs:
            if not one.uri.startswith("obs://"):
                raise Rejected(f"output {one.uri!r:.80}: must be obs://...", "INVALID_OUTPUT")
        algorithm["outputs"] = [
            _remote(f"output_{i}", one) for i, one in enumerate(request.outputs)
        ]
    return algorithm


def _command(request: RunRequest) -> str:
    """One line of shell, short enough to be one argument of a program (128 KiB in Linux)."""
    line = _line(request)
    if len(line.encode()) > COMMAND_MAX:
        raise Rejected(
            f"a command or script of {len(line.encode())} bytes: at most {COMMAND_MAX}",
            "COMMAND_TOO_LONG",
        )
    return line


def _line(request: RunRequest) -> str:
    """A script is written to a file first, so that its first line counts."""
    if request.script:
        script = (
            request.script if request.script.startswith("#!") else f"#!/bin/sh\n{request.script}"
        )
        arguments = " ".join(shlex.quote(one) for one in request.command)
        return (
            f"f={_SCRIPT_FILE}-$$ && printf %s {shlex.quote(script)} > $f"
            f" && chmod 700 $f && exec $f {arguments}".rstrip()
        )
    if not request.command:
        raise Rejected("neither a command nor a script: nothing would run", "NO_COMMAND")
    return shlex.join(request.command)


def _environment(request: RunRequest) -> dict[str, str]:
    ours = {
        RUN_VARIABLE: request.run_id,
        WALL_VARIABLE: str(request.wall_limit_s),
        "CORRIDOR_EPOCH": str(request.epoch),
        "CORRIDOR_CITY": request.city,
        "CORRIDOR_ENTERPRISE": request.enterprise,
    }
    all_of_it = {**request.environment, **ours}
    if len(all_of_it) > ENVIRONMENT_MAX:
        raise Rejected(
            f"{len(request.environment)} variables of environment:"
            f" at most {ENVIRONMENT_MAX - len(ours)}",
            "INVALID_ENVIRONMENT",
        )
    return all_of_it


def _remote(name: str, data: DataRef) -> dict[str, Any]:
    return {"name": name, "remote": {"obs": {"obs_url": data.uri.removeprefix("obs:/")}}}


def _volumes(inputs: Sequence[DataRef], pool: PoolSettings) -> list[dict[str, Any]]:
    """File systems: those of the flavor, and inputs like ``nfs://SERVER/PATH``."""
    mounts = [(one.server_path, one.local_path, one.read_only) for one in pool.volumes]
    for i, one in enumerate(inputs):
        scheme, _, rest = one.uri.partition("://")
        if scheme == "nfs" and "/" in rest:
            server, _, path = rest.partition("/")
            mounts.append((f"{server}:/{path}", f"/corridor/input_{i}", True))
        elif scheme != "obs":
            raise Rejected(
                f"input {one.uri!r:.80}: must be obs://BUCKET/PATH or nfs://SERVER/PATH",
                "INVALID_INPUT",
            )
    return [
        {"nfs": {"nfs_server_path": server, "local_path": local, "read_only": read_only}}
        for server, local, read_only in mounts
    ]


def _description(request: RunRequest) -> str:
    """For people at the center's console; nothing is ever found by it."""
    labels = json.dumps(dict(request.labels), ensure_ascii=False) if request.labels else ""
    text = f"Corridor {request.run_id} {request.city} {request.enterprise} {labels}".rstrip()
    return text[:DESCRIPTION_MAX]
