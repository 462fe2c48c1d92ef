"""How fast a trace is replayed: the planner with nothing around it."""

import os
from pathlib import Path
from time import perf_counter

from benchmarks.report import Figure
from scheduler.placement.core import PlanningCore
from scheduler.replay.reading import read_trace
from scheduler.replay.setup import corridor
from scheduler.replay.simulate import POLICIES, simulate

_ROOT = Path(__file__).parents[1]
_THREE_DAYS = _ROOT / "scheduler" / "data" / "traces" / "corridor_open_3days.csv.gz"
_CAPACITIES = {"cpu": 3328, "npu": 632, "gpu": 24}


def run(quick: bool) -> list[Figure]:
    """Replay 3 days, and 28 where ``CORRIDOR_TRACES`` names a folder that has them."""
    figures = [_replay(_THREE_DAYS, policy, None) for policy in POLICIES]
    month = month_trace()
    if month is not None and not quick:
        figures.append(_replay(month, "corridor", 10.0))
    return figures


def month_trace() -> Path | None:
    """The 28-day workload, if there is one."""
    folder = os.environ.get("CORRIDOR_TRACES")
    return next(Path(folder).rglob("corridor_open.csv.gz"), None) if folder else None


def _replay(path: Path, policy: str, target_s: float | None) -> Figure:
    trace = read_trace(path)
    setup = corridor(_CAPACITIES)
    jobs, _ = setup.placeable(trace.jobs)
    begin_s = perf_counter()
    simulate(jobs, setup, PlanningCore(POLICIES[policy]))
    took_s = perf_counter() - begin_s
    return Figure(
        "replay", f"{policy}, {len(jobs):,} jobs", took_s, "s", target_s,
        peer="jobs/s", peer_value=len(jobs) / took_s,
    )  # fmt: skip
