"""Jobs, their stretches on nodes and their events, as the center stores them."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from tests.modelarts_center.wire import Json

CREATING = "Creating"
PENDING = "Pending"
RUNNING = "Running"
TERMINATING = "Terminating"
COMPLETED = "Completed"
FAILED = "Failed"
TERMINATED = "Terminated"
ABNORMAL = "Abnormal"
FINAL = frozenset({COMPLETED, FAILED, TERMINATED})


@dataclass(slots=True)
class Record:
    """One stretch of a job on its nodes; task ``worker-i`` is on ``nodes[i]``. Epoch ms."""

    nodes: list[str]
    start_ms: int
    xpu_start_ms: int
    end_ms: int | None = None
    end_reason: str = ""
    end_related_task: str = ""
    end_recover: str = ""


@dataclass(slots=True)
class Event:
    """What is told of a job; ``time_ms`` epoch ms."""

    time_ms: int
    level: str
    message: str


@dataclass(slots=True)
class Job:
    """One training job. ``closing`` is why its tasks are being ended, empty while none are."""

    id: str
    name: str
    workspace_id: str
    body: Json
    create_ms: int
    pool: str
    cards: int  # a node
    node_count: int
    priority: int
    preemptible: bool
    retries_left: int
    auto_stop_h: int
    phase: str = CREATING
    secondary: str = CREATING
    records: list[Record] = field(default_factory=list)
    exits: dict[str, int] = field(default_factory=dict)  # of the newest stretch
    events: list[Event] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    closing: str = ""
    kill_ms: int | None = None
    queued_ms: int = 0
    deleted: bool = False

    @property
    def final(self) -> bool:
        """Whether nothing changes any more; Abnormal may still come back."""
        return self.phase in FINAL

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, one a node."""
        return [f"worker-{index}" for index in range(self.node_count)]

    @property
    def open_record(self) -> Record | None:
        """The stretch that holds nodes now."""
        if self.records and self.records[-1].end_ms is None:
            return self.records[-1]
        return None

    def duration_ms(self, now_ms: int) -> int:
        """Time on nodes so far."""
        return sum(
            (now_ms if record.end_ms is None else record.end_ms) - record.start_ms
            for record in self.records
        )

    def say(self, now_ms: int, message: str, level: str = "Info") -> None:
        """Add an event."""
        self.events.append(Event(now_ms, level, message))


def job_to_text(job: Job) -> str:
    """A job as JSON."""
    return json.dumps(dataclasses.asdict(job), ensure_ascii=False)


def job_from_text(text: str) -> Job:
    """The job of a text of ``job_to_text``."""
    given: dict[str, Any] = json.loads(text)
    given["records"] = [Record(**record) for record in given["records"]]
    given["events"] = [Event(**event) for event in given["events"]]
    return Job(**given)
