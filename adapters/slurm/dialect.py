"""What an adapter says to Slurm and hears from it, whatever the version of the REST interface."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from adapters.slurm.records import (
    Diagnosis,
    Json,
    NativeJob,
    NodeState,
    PartitionState,
    SubmitAnswer,
)


@dataclass(frozen=True, slots=True)
class JobDescription:
    """A job as it is to be submitted: ``nodes`` nodes with ``cpus_per_node`` CPUs each.

    ``gres`` (``gpu:ascend:2``) is for each node; memory 0 = what the partition gives by default.
    """

    name: str
    account: str
    partition: str
    script: str
    environment: Mapping[str, str]
    work_dir: str
    output: str
    comment: str
    time_limit_min: int
    nodes: int
    cpus_per_node: int
    gres: str = ""
    memory_mib_per_node: int = 0
    constraint: str = ""
    qos: str = ""
    reservation: str = ""
    requeue: bool = False
    singleton: bool = False


class Dialect(Protocol):
    """One version of the interface. Readers raise ``records.Unreadable``."""

    @property
    def version(self) -> str:
        """As in paths: ``v0.0.38``."""
        ...

    def submission(self, job: JobDescription) -> Json:
        """The body of a submission."""
        ...

    def submit_answer(self, body: Json) -> SubmitAnswer:
        """What a submission was answered."""
        ...

    def jobs(self, body: Json) -> list[NativeJob]:
        """Records of the controller."""
        ...

    def accounted(self, body: Json) -> list[tuple[NativeJob, Json]]:
        """Records of accounting, each with itself as it came."""
        ...

    def nodes(self, body: Json) -> list[NodeState]:
        """All nodes."""
        ...

    def partitions(self, body: Json) -> list[PartitionState]:
        """All partitions."""
        ...

    def diagnosis(self, body: Json) -> Diagnosis:
        """How the controller is."""
        ...

    def history(self, user: str) -> Mapping[str, str]:
        """What every question to accounting carries: each stretch by itself, no steps."""
        ...


_OFFERED: Final = re.compile(rb'"\\?/slurm\\?/v0\.0\.(\d{1,3})\\?/ping')


def offered_versions(openapi: bytes) -> tuple[int, ...]:
    """The last numbers of the versions that an OpenAPI document offers, lowest first."""
    return tuple(sorted({int(number) for number in _OFFERED.findall(openapi)}))


def usable_nodes(state: str, flags: Sequence[str]) -> bool:
    """Whether a node takes or runs jobs: the state alone hides that it is drained.

    One that does not respond, or is unknown, counts until it is down: after its start a controller
    has heard of none yet.
    """
    words = {state.upper(), *(flag.upper() for flag in flags)}
    return not words & _UNUSABLE


_UNUSABLE: Final = frozenset(
    {
        "DOWN",
        "DRAIN",
        "ERROR",
        "FAIL",
        "FUTURE",
        "INVALID",
        "INVALID_REG",
        "MAINTENANCE",
        "POWERING_DOWN",
        "REBOOT_ISSUED",
    }
)


def release_of(body: Mapping[str, Any]) -> str:
    """Slurm's own version, as an answer names it; empty if it does not."""
    meta = body.get("meta")
    if not isinstance(meta, Mapping):
        return ""
    for key in ("Slurm", "slurm"):
        slurm = meta.get(key)
        if isinstance(slurm, Mapping) and isinstance(slurm.get("release"), str):
            return str(slurm["release"])
    return ""
