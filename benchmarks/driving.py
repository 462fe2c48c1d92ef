"""Jobs driven all the way through simulated centers: how soon, and how many a second."""

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.report import Figure
from benchmarks.serving import Served, load, serve
from benchmarks.site import new_site

_UNITS: Final = 4_096
_OPEN_MAX: Final = 4_000
_JOBS_A_CALL: Final = 100
_RUNTIME_S: Final = 1.0
_PER_S: Final = 1_000.0
_CPU_MS: Final = 0.8


@dataclass(frozen=True, slots=True)
class _Driven:
    latency: dict[str, Any]
    drive: dict[str, Any]
    check: dict[str, Any]
    cpu_ms: float


def run(quick: bool) -> list[Figure]:
    """Drive a service as it is by default, planning on Ray, and one that plans in process."""
    ours = _drive("auto", 100 if quick else 300, 10.0 if quick else 60.0)
    local = _drive("off", 50 if quick else 100, 5.0 if quick else 20.0)
    seen, settled = ours.latency, ours.drive
    return [
        Figure(
            "drive", "submit -> run accepted, p50", seen["said_p50_ms"], "ms", 30,
            peer="as its submitter sees it", peer_value=seen["seen_p50_ms"],
        ),
        Figure(
            "drive", "submit -> run accepted, p99", seen["said_p99_ms"], "ms", 150,
            peer="as its submitter sees it", peer_value=seen["seen_p99_ms"],
        ),
        Figure(
            "drive", "submit -> run accepted, planning in process, p50",
            local.latency["said_p50_ms"], "ms",
            peer="as its submitter sees it", peer_value=local.latency["seen_p50_ms"],
        ),
        Figure(
            "drive", "jobs from submission to settlement", settled["jobs_per_s"], "jobs/s", _PER_S,
            at_most=False, peer="planning in process", peer_value=local.drive["jobs_per_s"],
        ),
        Figure(
            "drive", "CPU of the service for one job", ours.cpu_ms, "ms", _CPU_MS,
            peer="planning in process", peer_value=local.cpu_ms,
        ),
        Figure(
            "drive", "jobs that did not succeed, or are not settled", ours.check["bad"], "jobs", 0,
            peer="that did and are", peer_value=ours.check["good"],
        ),
        Figure("drive", "problems in the ledger", ours.check["ledger_problems"], "", 0),
    ]  # fmt: skip


def _drive(ray: str, latencies: int, seconds: float) -> _Driven:
    with new_site(units=_UNITS, planner__ray=ray) as site, serve(site) as served:
        if ray == "auto":
            served.process.hear("planner_moved")
        latency = load(served, "latency", jobs=latencies, pause_s=0.01)
        cpu_s = served.process.cpu_s()
        drive = load(
            served, "drive", seconds=seconds, open_max=_OPEN_MAX, jobs=_JOBS_A_CALL,
            runtime_s=_RUNTIME_S,
        )  # fmt: skip
        cpu_ms = (served.process.cpu_s() - cpu_s) * 1000 / drive["jobs"]
        return _Driven(latency, drive, _checked(served, drive["jobs"] + latencies), cpu_ms)


def _checked(served: Served, sent: int) -> dict[str, Any]:
    check = load(served, "check")
    if check["good"] + check["bad"] != sent:
        raise RuntimeError(f"{sent} jobs were acknowledged, there are {check}")
    return check
