"""What a body of a create says of a job: checked, then turned into a script and its environment."""

import re
from collections.abc import Mapping
from typing import Any, TypedDict

from tests.modelarts_center.errors import ILLEGAL_NAME, ApiError, illegal
from tests.modelarts_center.model import Job
from tests.modelarts_center.settings import JOB_FLAVORS, CenterSettings, PoolSpec
from tests.modelarts_center.wire import Json

NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")
RETRIES = "fault-tolerance/job-retry-num"
#: An image of this tag cannot be pulled: its jobs end as Failed (CreateFailed).
MISSING_TAG = ":missing"


class JobFields(TypedDict):
    """What the center reads from a body, as fields of ``model.Job``."""

    name: str
    workspace_id: str
    pool: str
    cards: int
    node_count: int
    priority: int
    preemptible: bool
    retries_left: int
    auto_stop_h: int


def read_job(body: Json, settings: CenterSettings) -> JobFields:
    """Check the body of a create; raises ``ApiError``."""
    if body.get("kind") != "job":
        raise illegal("kind must be job")
    metadata = _part(body, "metadata")
    name = check_name(metadata.get("name"))
    workspace_id = metadata.get("workspace_id", "0")
    if workspace_id not in settings.workspaces:
        raise illegal(f"workspace {workspace_id!r} does not exist")
    if len(metadata.get("description", "")) > 256:
        raise illegal("the description is longer than 256")
    _check_algorithm(_part(body, "algorithm"))
    spec = _part(body, "spec")
    resource = _part(spec, "resource")
    pool = _pool(resource, settings)
    policy = spec.get("schedule_policy", {})
    return JobFields(
        name=name,
        workspace_id=workspace_id,
        pool=pool.name,
        cards=_cards(resource, pool),
        node_count=_whole(resource.get("node_count"), "node_count", 1, 100_000),
        priority=_whole(policy.get("priority", 1), "priority", 1, 3),
        preemptible=bool(policy.get("preemptible", False)),
        retries_left=_retries(metadata.get("annotations", {})),
        auto_stop_h=_auto_stop(spec),
    )


def check_name(name: object) -> str:
    """The name of a job; raises ``ApiError``."""
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise ApiError(400, ILLEGAL_NAME, "a name has 1 to 64 of 0-9, A-Z, a-z, _ and -")
    return name


def refusal(body: Json) -> str:
    """Why a job cannot be created although it was taken; empty if it can."""
    image = body["algorithm"].get("engine", {}).get("image_url", "")
    return f"Failed to pull image {image}." if image.endswith(MISSING_TAG) else ""


def script(body: Json) -> str:
    """The script that every task of a job runs."""
    algorithm = body["algorithm"]
    command = algorithm.get("command") or f"python3 {algorithm['boot_file']}"
    return f"{command}\n"


def environment(job: Job, index: int) -> Mapping[str, str]:
    """Variables of one task: the job's own, and its place in the gang."""
    given: dict[str, str] = job.body["algorithm"].get("environments", {})
    record = job.records[-1]
    return {
        **given,
        "VC_TASK_INDEX": str(index),
        "VC_WORKER_NUM": str(job.node_count),
        "MA_NUM_HOSTS": str(job.node_count),
        "MA_NUM_GPUS": str(job.cards),
        "MA_CURRENT_HOST": record.nodes[index],
    }


def _check_algorithm(algorithm: Json) -> None:
    if not algorithm.get("command") and not algorithm.get("boot_file"):
        raise illegal("an algorithm needs a command or a boot_file")
    variables = algorithm.get("environments", {})
    if not isinstance(variables, dict) or len(variables) > 100:
        raise illegal("environments is an object of at most 100 members")
    if not all(isinstance(value, str) for value in variables.values()):
        raise illegal("the values of environments are strings")
    for kind in ("inputs", "outputs"):
        for each in algorithm.get(kind, []):
            if "name" not in each or "remote" not in each:
                raise illegal(f"{kind} need name and remote")


def _pool(resource: Json, settings: CenterSettings) -> PoolSpec:
    if "pool_id" not in resource:
        return settings.pools[0]
    for pool in settings.pools:
        if pool.name == resource["pool_id"]:
            return pool
    raise illegal(f"pool {resource['pool_id']!r} does not exist")


def _cards(resource: Json, pool: PoolSpec) -> int:
    cards = JOB_FLAVORS.get(resource.get("flavor_id", ""), 0)
    if not 0 < cards <= pool.cards_per_node:
        raise illegal(f"pool {pool.name} has no flavor {resource.get('flavor_id')!r}")
    if resource.get("node_count") != 1 and cards != pool.cards_per_node:
        raise illegal("a job of several nodes takes whole nodes")
    return cards


def _retries(annotations: Mapping[str, str]) -> int:
    told = annotations.get(RETRIES, "0")
    if not told.isdigit():
        raise illegal(f"{RETRIES} is a number in a string")
    return int(told)


def _auto_stop(spec: Json) -> int:
    if "auto_stop" not in spec:
        return 0
    auto_stop = _part(spec, "auto_stop")
    if auto_stop.get("time_unit") != "HOURS":
        raise illegal("time_unit of auto_stop must be HOURS")
    return _whole(auto_stop.get("duration"), "duration of auto_stop", 1, 720)


def _whole(value: object, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise illegal(f"{name} is a whole number of {least} to {most}")
    return value


def _part(body: Json, name: str) -> Any:
    part = body.get(name)
    if not isinstance(part, dict):
        raise illegal(f"{name} must be an object")
    return part
