"""A training job as ModelArts states it, read with patience: odd parts of it are no end of it all.

Instants and durations are epoch milliseconds and milliseconds here; ``running_records`` state
seconds, the rest of a job milliseconds. 0 stands for what was not stated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

RUN_VARIABLE: Final = "CORRIDOR_RUN_ID"
WALL_VARIABLE: Final = "CORRIDOR_WALL_LIMIT_S"


class BadJob(ValueError):
    """It has no id or no name, and so is nobody's job."""


@dataclass(frozen=True, slots=True)
class Record:
    """One stretch on the center's nodes; ``fault`` is why it was cut off, if the center says."""

    start_ms: int
    end_ms: int
    reason: str = ""
    recovery: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task's program ended."""

    exit_code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """One job. ``cards`` are those of one node where the center states them, else 0."""

    native_id: str
    name: str
    create_ms: int
    phase: str
    secondary: str
    start_ms: int
    duration_ms: int
    records: tuple[Record, ...]
    ends: tuple[TaskEnd, ...]
    tasks: tuple[str, ...]
    flavor_id: str
    pool_id: str
    nodes: int
    cards: int
    command: str
    run_id: str
    wall_limit_s: int
    auto_stop_s: int
    raw: Mapping[str, Any]

    @property
    def submit_ms(self) -> int:
        """When it was created, in whole seconds like its beginning, which is never before it."""
        return self.create_ms // 1000 * 1000

    @property
    def begin_ms(self) -> int:
        """When it first was on its nodes; 0 if it never was.

        In whole seconds, down, as records state it, so that both ways to state it agree.
        """
        firsts = [one.start_ms for one in self.records if one.start_ms]
        if self.start_ms:
            firsts.append(self.start_ms // 1000 * 1000)
        return min(firsts, default=0)

    def ran_ms(self, now_ms: int) -> int:
        """How long it has been on its nodes until now, without what it waited in between."""
        if not self.records:
            return max(0, now_ms - self.begin_ms) if self.begin_ms else 0
        return sum(
            max(0, (one.end_ms or now_ms) - one.start_ms) for one in self.records if one.start_ms
        )

    @property
    def finish_ms(self) -> int:
        """When it last was on its nodes, as far as it is known; 0 if it never was.

        By its records; by its duration where they state no end, or nothing but parts of a second.
        """
        begin_ms = self.begin_ms
        last_ms = max((one.end_ms for one in self.records), default=0)
        lengths = [one.end_ms - one.start_ms for one in self.records]
        if any(lengths) and min(lengths) >= 0:
            return last_ms
        return max(last_ms, (self.start_ms or begin_ms) + self.duration_ms) if begin_ms else 0


def read_job(raw: object) -> Job:
    """Read one job. Raises ``BadJob``."""
    if not isinstance(raw, Mapping):
        raise BadJob("a job that is no object")
    meta, status = _map(raw, "metadata"), _map(raw, "status")
    algorithm, spec = _map(raw, "algorithm"), _map(raw, "spec")
    native_id, name = _text(meta, "id"), _text(meta, "name")
    if not native_id or not name:
        raise BadJob("a job without id or name")
    resource, variables = _map(spec, "resource"), _map(algorithm, "environments")
    stop = _map(spec, "auto_stop")
    return Job(
        native_id=native_id,
        name=name,
        create_ms=_whole(meta.get("create_time")),
        phase=_text(status, "phase"),
        secondary=_text(status, "secondary_phase"),
        start_ms=_whole(status.get("start_time")),
        duration_ms=_whole(status.get("duration")),
        records=tuple(_record(one) for one in _list(status, "running_records")),
        ends=tuple(_task_end(one) for one in _list(status, "task_statuses")),
        tasks=_tasks(status.get("tasks")),
        flavor_id=_text(resource, "flavor_id"),
        pool_id=_text(resource, "pool_id"),
        nodes=_whole(resource.get("node_count")),
        cards=_cards(resource),
        command=_text(algorithm, "command"),
        run_id=_text(variables, RUN_VARIABLE),
        wall_limit_s=_whole(variables.get(WALL_VARIABLE)),
        auto_stop_s=_whole(stop.get("duration")) * 3600,
        raw=raw,
    )


def _record(raw: Mapping[str, Any]) -> Record:
    begun_s = _whole(raw.get("xpu_start_at")) or _whole(raw.get("start_at"))
    faults = [_text(one, "fault_scenario") for one in _list(raw, "recover_records")]
    return Record(
        start_ms=begun_s * 1000,
        end_ms=_whole(raw.get("end_at")) * 1000,
        reason=_text(raw, "end_reason"),
        recovery=_text(raw, "end_recover"),
        fault=next(filter(None, reversed(faults)), ""),
    )


def _task_end(raw: Mapping[str, Any]) -> TaskEnd:
    code = raw.get("exit_code")
    is_code = isinstance(code, int) and not isinstance(code, bool)
    return TaskEnd(code if is_code else None, _text(raw, "message"))


def _tasks(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _cards(resource: Mapping[str, Any]) -> int:
    """Cards of a node; some installations state it as a text, some in another place."""
    pool = _whole(_map(resource, "pool_info").get("accelerator_num"))
    info = _map(_map(resource, "flavor_detail"), "flavor_info")
    return pool or _whole(_map(info, "npu").get("unit_num"))


def _map(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(raw: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = raw.get(key)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def _whole(value: object) -> int:
    """A number that is not negative, also where it is a text; 0 for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1 << 62:
        return int(value)
    return 0
