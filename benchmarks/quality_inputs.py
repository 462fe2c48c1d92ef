"""The workloads of the quality bench: the trace of the corridor, shaken, and others of its shape.

The others are made from the same jobs, so they need no further files: users of other enterprises
and cities (another hash), weeks in another order, and sources that swap their times of day. Where
logs of single machines are at hand, other weeks of them make further ones.
"""

import hashlib
import math
import os
import random
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from scheduler.replay.reading import read_trace
from scheduler.replay.setup import CITY_WEIGHTS
from scheduler.replay.trace import Trace, TraceJob

DAY_MS: Final = 86_400_000
SHAKE_MS: Final = 60_000
LOADS: Final = (0.95, 0.80)
#: Capacities are whole nodes.
_NODE_UNITS: Final = {"cpu": 64, "npu": 8, "gpu": 8}
_ENTERPRISES: Final = tuple(f"E{number:03}" for number in range(120))
_ROOT: Final = Path(__file__).parents[1]
THREE_DAYS: Final = _ROOT / "scheduler" / "data" / "traces" / "corridor_open_3days.csv.gz"
#: Log, how many units one of its processors stands for, and the days on which a workload begins.
_LOGS: Final = (
    ("CTC-SP2-1996-3.1-cln.swf.gz", 4, (103, 201)),
    ("KTH-SP2-1996-2.swf.gz", 8, (62, 160)),
    ("HPC2N-2002-2.2-cln.swf.gz", 8, (200, 700)),
)


class Workload(NamedTuple):
    """Jobs by submission, and the units of each kind by load."""

    name: str
    trace: Trace
    capacities: Mapping[float, Mapping[str, int]]


def folder() -> Path | None:
    """Where further traces are: ``CORRIDOR_TRACES``, or a folder ``shared/traces`` beside ours."""
    named = os.environ.get("CORRIDOR_TRACES")
    path = Path(named) if named else _ROOT.parent / "shared" / "traces"
    return path if path.is_dir() else None


def found(name: str) -> Path | None:
    """A file of that name in the folder of traces."""
    where = folder()
    return None if where is None else next(where.rglob(name), None)


def month() -> tuple[Trace, bool]:
    """The trace of 28 days; without it the three days that the repository has, and False."""
    path = found("corridor_open.csv.gz")
    return (read_trace(path), True) if path else (read_trace(THREE_DAYS), False)


def main_workload(trace: Trace) -> Workload:
    """The trace as it is."""
    return _workload("trace", trace.jobs, trace)


def shaken(of: Workload, seed: int) -> Workload:
    """Submit times moved by up to a minute; all else as it is."""
    rng = random.Random(seed)
    moved = [
        job._replace(submit_ms=max(0, job.submit_ms + 1000 * rng.randint(-60, 60)))
        for job in of.trace.jobs
    ]
    shaken_trace = of.trace.__class__("shaken", _sorted(moved), {}, True)
    return Workload(f"shaken {seed}", shaken_trace, of.capacities)


def others(of: Workload) -> list[tuple[str, Callable[[], Workload]]]:
    """Workloads of the same shape that nothing was tuned to, made when asked for."""
    trace, days = of.trace, -(-of.trace.jobs[-1].submit_ms // DAY_MS)

    def remapped(salt: str) -> Workload:
        return _workload(f"remapped {salt}", _remap(trace.jobs, salt), trace)

    def turned() -> Workload:
        half = days // 2 * DAY_MS
        moved = (
            job._replace(submit_ms=(job.submit_ms + half) % (days * DAY_MS)) for job in trace.jobs
        )
        return _workload("weeks turned", _remap(moved, "turned"), trace)

    def swapped() -> Workload:
        """Users of each kind take over one another's times: who works when is another one."""
        jobs = list(trace.jobs)
        kinds: dict[str, list[int]] = {}
        for place, job in enumerate(jobs):
            kinds.setdefault(job.kind, []).append(place)
        for places in kinds.values():
            times = [jobs[place].submit_ms for place in places]
            last = times[-1]
            for place, at_ms in zip(places, times, strict=True):
                jobs[place] = jobs[place]._replace(submit_ms=last - at_ms)
        return _workload("times swapped", _remap(jobs, "swapped"), trace)

    made: list[tuple[str, Callable[[], Workload]]] = [
        (f"remapped {salt}", partial(remapped, salt)) for salt in ("a", "b")
    ]
    made += [("weeks turned", turned), ("times swapped", swapped)]
    if all(found(name) for name, _, _ in _LOGS):
        made += [(f"other weeks {at + 1}", partial(_from_logs, at)) for at in (0, 1)]
    return made


def _from_logs(at: int) -> Workload:
    jobs: list[TraceJob] = []
    for name, scale, days in _LOGS:
        path = found(name)
        assert path is not None
        from_ms = days[at] * DAY_MS
        jobs += [
            job._replace(
                job_id=0, submit_ms=job.submit_ms - from_ms, units=job.units * scale,
                user=f"{name[:3]} {job.user}", kind="cpu",
            )
            for job in read_trace(path).jobs
            if 0 <= job.submit_ms - from_ms < 28 * DAY_MS
        ]  # fmt: skip
    numbered = [job._replace(job_id=number) for number, job in enumerate(_sorted(jobs))]
    like = Trace(f"other weeks {at + 1}", (), {}, by_city=True)
    return _workload(like.name, _remap(numbered, like.name), like)


def _workload(name: str, jobs: Iterable[TraceJob], like: Trace) -> Workload:
    trace = Trace(name, _sorted(jobs), {}, by_city=like.by_city)
    days = max(1, -(-trace.jobs[-1].submit_ms // DAY_MS))
    work: dict[str, int] = {}
    widest: dict[str, int] = {}
    for job in trace.jobs:
        work[job.kind] = work.get(job.kind, 0) + job.units * job.run_ms
        widest[job.kind] = max(widest.get(job.kind, 0), job.units)
    capacities: dict[float, dict[str, int]] = {}
    for load in LOADS:
        capacities[load] = {}
        for kind, unit_ms in sorted(work.items()):
            node = _NODE_UNITS.get(kind, 1)
            wanted = max(unit_ms / (days * DAY_MS) / load, widest[kind])
            capacities[load][kind] = math.ceil(wanted / node) * node
    return Workload(name, trace, capacities)


def _sorted(jobs: Iterable[TraceJob]) -> tuple[TraceJob, ...]:
    return tuple(sorted(jobs, key=lambda job: (job.submit_ms, job.job_id)))


def _remap(jobs: Iterable[TraceJob], salt: str) -> list[TraceJob]:
    """Users get other enterprises, enterprises other cities: weighted rendezvous hashes."""
    enterprises: dict[str, str] = {}
    cities: dict[str, str] = {}
    mapped = []
    for job in jobs:
        if job.user not in enterprises:
            name = max(_ENTERPRISES, key=lambda one: _hash(salt, job.user, one))
            enterprises[job.user] = name
            if name not in cities:
                cities[name] = max(
                    CITY_WEIGHTS,
                    key=lambda city: -CITY_WEIGHTS[city] / math.log(_hash(salt, name, city)),
                )
        enterprise = enterprises[job.user]
        mapped.append(job._replace(enterprise=enterprise, city=cities[enterprise]))
    return mapped


def _hash(*parts: str) -> float:
    """A number in (0, 1) of the parts, the same everywhere."""
    digest = hashlib.sha256("|".join(parts).encode()).digest()
    return (int.from_bytes(digest[:8], "big") + 1) / (2**64 + 2)
