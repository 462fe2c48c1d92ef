"""What both dialects read out of Slurm's answers: one shape, whatever the version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Json = Mapping[str, Any]


class Unreadable(ValueError):
    """An answer is not what Slurm says."""


@dataclass(frozen=True, slots=True)
class NativeJob:
    """One record of a job, of the controller or of accounting. Times are epoch seconds.

    ``state`` is Slurm's base state, ``flags`` the others it names beside it (COMPLETING, REQUEUED).
    ``exit_status`` is the wait status of a process (exit code times 256, or the signal), None if
    the record does not tell. ``cpus``, ``cards`` by type and ``nodes`` are what was allocated.
    ``eligible_s`` is when accounting says that it might have begun.
    ``restarts`` is how often it began again, None if the record does not tell.
    """

    job_id: int
    name: str
    user: str
    cluster: str
    state: str
    flags: frozenset[str]
    reason: str
    submit_s: int
    start_s: int | None
    end_s: int | None
    exit_status: int | None
    restarts: int | None
    comment: str
    cpus: int
    cards: Mapping[str, int]
    nodes: int
    partition: str
    account: str
    elapsed_s: int | None = None
    eligible_s: int | None = None
    output: str = ""

    @property
    def ended(self) -> bool:
        """Whether it is over; a job that is still being cleaned up is not."""
        return self.state in ENDED and "COMPLETING" not in self.flags


#: States in which Slurm does nothing more with a job.
ENDED: Final = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)


@dataclass(frozen=True, slots=True)
class SubmitAnswer:
    """``job_id`` 0 = not taken. A job id means taken, whatever ``codes`` say."""

    job_id: int
    codes: tuple[int, ...]
    message: str


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node: what it has and what is in use; ``usable`` if it takes or runs jobs."""

    name: str
    usable: bool
    cpus: int
    cpus_used: int
    cards: Mapping[str, int]
    cards_used: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition; ``wall_limit_s`` None = none."""

    name: str
    up: bool
    nodes: str
    wall_limit_s: int | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How the controller is; ``accounting_queue`` are messages not yet sent to accounting.

    ``since_s`` is when it began to count: at its start, and anew at each midnight UTC;
    ``submitted`` are the jobs that anybody submitted since.
    """

    at_s: int
    since_s: int
    submitted: int
    running: int
    pending: int
    accounting_queue: int


def whole(record: Json, key: str) -> int:
    """A mandatory whole number. Raises ``Unreadable``."""
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(f"{key!r} is no whole number")
    return value


def text(record: Json, key: str) -> str:
    """A text, empty if it is not there or null. Raises ``Unreadable`` for anything else."""
    value = record.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(f"{key!r} is no text")
    return value


def part(record: Json, key: str) -> Json:
    """A mapping inside, empty if it is not there. Raises ``Unreadable`` for anything else."""
    value = record.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Unreadable(f"{key!r} is no mapping")
    return value


def rows(body: Json, key: str) -> list[Json]:
    """The list of mappings of an answer. Raises ``Unreadable``."""
    value = body.get(key)
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise Unreadable(f"{key!r} is no list of records")
    return value


def tres(text_of_tres: str) -> dict[str, int]:
    """``cpu=2,mem=1G,gres/gpu:ascend=2`` as numbers; those that are none are left out."""
    found = {}
    for each in text_of_tres.split(","):
        name, _, value = each.partition("=")
        if value.isascii() and value.isdigit():
            found[name] = int(value)
    return found


def tres_list(entries: Any) -> dict[str, int]:
    """Accounting's list of ``{type, name, count}`` in the same form as ``tres``."""
    if not isinstance(entries, list):
        raise Unreadable("'allocated' is no list")
    found = {}
    for each in entries:
        count = each.get("count") if isinstance(each, Mapping) else None
        if not isinstance(count, int):
            continue
        name = each.get("name")
        found[f"{each.get('type')}/{name}" if name else str(each.get("type"))] = count
    return found


def cards(counts: Mapping[str, int]) -> dict[str, int]:
    """Cards by type out of TRES: the total of ``gpu``, or the sum of its kinds if none is told."""
    totals: dict[str, int] = {}
    kinds: dict[str, int] = {}
    for name, count in counts.items():
        if name.startswith("gres/"):
            card, _, kind = name.removeprefix("gres/").partition(":")
            chosen = kinds if kind else totals
            chosen[card] = chosen.get(card, 0) + count
    return {**kinds, **totals}


def gres(text_of_gres: str) -> dict[str, int]:
    """Cards by type out of a node's ``gpu:ascend:8(IDX:0-7),...``."""
    found: dict[str, int] = {}
    depth, word = 0, ""
    for letter in text_of_gres + ",":
        depth += (letter == "(") - (letter == ")")
        if letter != "," or depth:
            word += letter
            continue
        parts = word.partition("(")[0].split(":")
        if len(parts) > 1 and parts[-1].isdigit():
            found[parts[0]] = found.get(parts[0], 0) + int(parts[-1])
        word = ""
    return found
