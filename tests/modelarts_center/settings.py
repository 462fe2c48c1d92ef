"""What one ModelArts center is made of, and the switches for what documents leave open."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

PROJECT = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
POOL = "pool-wuhan-snt9b-0123456789abcdef0123456789ab"
ACCESS_KEY = "AKTESTLOOPBACK000001"
SECRET_KEY = "sk-of-the-center-on-loopback-0000000001"
USER = "corridor"
PASSWORD = "password-of-the-center-on-loopback"
DOMAIN = "hubei"
REGION = "cn-central-221"

#: Cards a node of each flavor that training jobs may ask for.
JOB_FLAVORS: Mapping[str, int] = {
    "modelarts.pool.visual.xlarge": 1,
    "modelarts.pool.visual.2xlarge": 2,
    "modelarts.pool.visual.4xlarge": 4,
    "modelarts.pool.visual.8xlarge": 8,
    "modelarts.pool.visual.16xlarge": 16,
}

#: Calls that older installations lack, by the names of the switch ``absent``.
OPTIONAL_CALLS = frozenset(
    {"names", "stages", "tags", "batch-delete", "workloads", "quotas", "log-lines", "metrics"}
)


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A dedicated pool: ``nodes`` alike nodes of ``cards_per_node`` cards each."""

    name: str = POOL
    nodes: int = 4
    cards_per_node: int = 8
    cores_per_node: int = 192
    memory_gib_per_node: int = 1536
    flavor: str = "modelarts.bm.npu.arm.8snt9b.d"
    title: str = "corridor"
    workspace_id: str = "0"


@dataclass(frozen=True, slots=True)
class CenterSettings:
    """One center. Only ``directory`` has no default; it holds all that outlives the process.

    ``hour_s`` is how many real seconds an hour of ``auto_stop`` lasts here. ``create_delay_s`` is
    spent in Creating, ``stop_grace_s`` between SIGTERM and SIGKILL.
    """

    directory: Path
    project_id: str = PROJECT
    region: str = REGION
    access_keys: Mapping[str, str] = field(default_factory=lambda: {ACCESS_KEY: SECRET_KEY})
    users: Mapping[str, str] = field(default_factory=lambda: {USER: PASSWORD})
    domain: str = DOMAIN
    pools: tuple[PoolSpec, ...] = (PoolSpec(),)
    workspaces: tuple[str, ...] = ("0",)
    job_quota: int = 500
    token_life_s: float = 86_400.0
    create_delay_s: float = 0.0
    stop_grace_s: float = 5.0
    hour_s: float = 3600.0
    #: Calls a second that the gateway takes; 0 for any number.
    rate_per_s: float = 0.0
    # What documents leave open or contradict each other about.
    offset_mode: Literal["record", "page"] = "record"
    available_shape: Literal["list", "object"] = "list"
    open_end_at: Literal["absent", "zero"] = "absent"
    preempted_job: Literal["terminated", "queued"] = "terminated"
    delete_frees_name: bool = True
    duplicate_code: str = "ModelArts.2763"
    unknown_fields: bool = True
    #: Members of OPTIONAL_CALLS that the gateway does not know.
    absent: frozenset[str] = frozenset()


def from_json(directory: Path, text: str) -> CenterSettings:
    """Settings from a JSON object with names as above; pools are a list of objects."""
    given: dict[str, Any] = json.loads(text)
    if "pools" in given:
        given["pools"] = tuple(PoolSpec(**pool) for pool in given["pools"])
    if "workspaces" in given:
        given["workspaces"] = tuple(given["workspaces"])
    if "absent" in given:
        given["absent"] = frozenset(given["absent"])
    return CenterSettings(directory, **given)


def to_json(settings: CenterSettings) -> str:
    """All settings but the directory, as ``from_json`` reads them."""
    given = dataclasses.asdict(settings)
    del given["directory"]
    given["absent"] = sorted(settings.absent)
    return json.dumps(given)
