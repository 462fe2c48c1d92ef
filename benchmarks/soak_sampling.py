"""What processes hold at a moment: memory, descriptors, threads; and what a database holds.

Memory is what is a process's own and resident (``RssAnon`` of /proc/PID/status): not what it maps
from files, and not the shared buffers of PostgreSQL.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PROC: Final = Path("/proc")
_KIB: Final = 1_024


@dataclass(frozen=True, slots=True)
class Held:
    """What one or several processes hold."""

    processes: int = 0
    own_bytes: int = 0
    resident_bytes: int = 0
    descriptors: int = 0
    threads: int = 0

    def __add__(self, other: "Held") -> "Held":
        return Held(
            self.processes + other.processes,
            self.own_bytes + other.own_bytes,
            self.resident_bytes + other.resident_bytes,
            self.descriptors + other.descriptors,
            self.threads + other.threads,
        )


def held(pid: int) -> Held:
    """Return what a process holds; nothing if it is gone."""
    with contextlib.suppress(OSError):
        lines = (_PROC / str(pid) / "status").read_text("utf-8").splitlines()
        told = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        if "VmRSS" in told:
            own, resident = (int(told[name][0]) * _KIB for name in ("RssAnon", "VmRSS"))
            descriptors = sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
            return Held(1, own, resident, descriptors, int(told["Threads"][0]))
    return Held()


def together(pids: Iterable[int]) -> Held:
    """Return what several processes hold."""
    return sum(map(held, pids), Held())


def below(pid: int) -> Iterator[tuple[int, str]]:
    """Yield each process that descends from one, with what it calls itself."""
    children = defaultdict(list)
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                after = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                children[int(after[1])].append(int(folder.name))
    waiting = list(children[pid])
    while waiting:
        one = waiting.pop()
        waiting += children[one]
        with contextlib.suppress(OSError):
            said = (_PROC / str(one) / "cmdline").read_bytes().replace(b"\0", b" ")
            yield one, said.decode("utf-8", "replace")


#: What is asked of PostgreSQL, each gives one row of numbers.
_ASKED: Final = {
    "database_bytes": "SELECT pg_database_size(current_database())",
    "connections": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid()",
    "jobs_kept": "SELECT count(*) FROM job",
    "open": "SELECT count(*) FROM job WHERE NOT settled",
    "events_kept": "SELECT count(*) FROM event",
}


def of_database(connection: Any) -> Mapping[str, int]:
    """Return what a database of PostgreSQL holds."""
    return {name: int(connection.execute(sql).fetchone()[0]) for name, sql in _ASKED.items()}


def backends(connection: Any) -> list[int]:
    """Return the processes of the server that serve its clients, but for this connection's."""
    rows = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()"
    ).fetchall()
    return [int(pid) for (pid,) in rows]
