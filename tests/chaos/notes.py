"""What clients of a site know by themselves: what was acknowledged, asked, told and denied.

All of it is noted by the clients' own threads at the moment in which they learn it, and none of it
comes from a service's tables.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple


class Told(NamedTuple):
    """An event as a watcher was told of it."""

    seq: int
    job: str
    city: str
    kind: str
    state: str


@dataclass
class Feed:
    """What one watcher was told, in order; of ``city`` alone, or of all."""

    name: str
    city: str
    told: list[Told] = field(default_factory=list)
    losses: int = 0


@dataclass
class Probe:
    """A job of a city below its guarantee, submitted after a fault; seconds since the fault was
    over."""

    name: str
    job: str = ""
    accepted_s: float = 0.0
    began_s: float = 0.0


@dataclass
class Notes:
    """See the module. Requests are known by their ids, jobs by theirs."""

    #: Jobs of each request that was acknowledged.
    acknowledged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Requests that were sent at least once.
    sent: set[str] = field(default_factory=set)
    #: Jobs whose end was asked for, whether or not that was ever answered.
    cut: set[str] = field(default_factory=set)
    #: Jobs by the enterprise that submitted them.
    of_city: dict[str, list[str]] = field(default_factory=dict)
    feeds: list[Feed] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    #: What a city was shown of another.
    leaks: list[str] = field(default_factory=list)
    #: Answers that no client should ever get.
    wrong: list[str] = field(default_factory=list)
    longest_submit_s: float = 0.0
    repeated: int = 0
    reads: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: str, city: str, jobs: tuple[str, ...], began_s: float) -> None:
        """A request was acknowledged, now or again; ``began_s`` is the monotonic clock's."""
        with self.lock:
            self.longest_submit_s = max(self.longest_submit_s, time.monotonic() - began_s)
            before = self.acknowledged.get(request)
            if before is None:
                self.acknowledged[request] = jobs
                self.of_city.setdefault(city, []).extend(jobs)
            elif before != jobs:
                self.wrong.append(f"{request} was answered with {before}, and again with {jobs}")

    def jobs(self) -> list[str]:
        """All acknowledged jobs."""
        with self.lock:
            return [job for jobs in self.acknowledged.values() for job in jobs]

    def err(self, what: str) -> None:
        """Something came that no client should ever get."""
        with self.lock:
            self.wrong.append(what)
