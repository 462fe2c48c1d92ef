"""Durable submissions: one job a call beside a store that keeps nothing, and many jobs a call."""

from typing import Any, Final

from benchmarks.report import Figure
from benchmarks.serving import Served, load, serve, serve_without_store
from benchmarks.site import new_site

_CALLERS: Final = (1, 16, 64)
_BATCHES: Final = (100, 1_000, 10_000)
_BATCH_CALLERS: Final = 2
#: Of the rate without a store; jobs a second; ms. See facts of the design for where they are from.
_OF_PEER: Final = 0.6
_UNARY_PER_S: Final = 1_800.0
_BATCH_PER_S: Final = 20_000.0
_BATCH_PER_S_SHARED: Final = 25_000.0  # on PostgreSQL


def run(quick: bool) -> list[Figure]:
    """Submit to a service whose pools are full, so that it takes jobs and plans no more than that.

    It plans in process: where the planner lives is no matter of submissions.
    """
    with new_site(units=8, planner__ray="off") as site, serve(site) as stored:
        embedded = site.settings.database_url.startswith("sqlite")
        target = _BATCH_PER_S if embedded else _BATCH_PER_S_SHARED
        with new_site(units=8, planner__ray="off") as other, serve_without_store(other) as bare:
            figures = [
                figure
                for callers in _CALLERS
                for figure in _unary(stored, bare, callers, 1.0 if quick else 3.0)
            ]
        for jobs in _BATCHES:
            figures.append(_batch(stored, jobs, 1.5 if quick else 5.0, target))
    return figures


def _unary(stored: Served, bare: Served, callers: int, seconds: float) -> list[Figure]:
    """Both by turns, twice; the better of each counts, for what disturbs only ever slows."""
    order = {"callers": callers, "jobs": 1, "seconds": seconds}
    best: dict[str, dict[str, Any]] = {}
    for _ in range(2):
        for name, served in (("bare", bare), ("stored", stored)):
            cpu_s = served.process.cpu_s()
            one = load(served, "submit", **order)
            one["cpu_us"] = (served.process.cpu_s() - cpu_s) / one["jobs_sent"] * 1e6
            if name not in best or one["jobs_per_s"] > best[name]["jobs_per_s"]:
                best[name] = one
    ours, peer = best["stored"], best["bare"]
    most = callers == max(_CALLERS)
    what = f"one job a call, {callers} at once"
    return [
        Figure(
            "submit", what, ours["jobs_per_s"], "jobs/s", _UNARY_PER_S if most else None,
            at_most=False, peer="without a store", peer_value=peer["jobs_per_s"],
        ),
        Figure(
            "submit", f"{what}, of the rate without a store",
            ours["jobs_per_s"] / peer["jobs_per_s"], "x", _OF_PEER if most else None,
            at_most=False, peer="CPU of the service, times",
            peer_value=ours["cpu_us"] / peer["cpu_us"],
        ),
        Figure(
            "submit", f"{what}, p50", ours["p50_ms"], "ms", {1: 2.0}.get(callers),
            peer="without a store", peer_value=peer["p50_ms"],
        ),
        Figure(
            "submit", f"{what}, p99", ours["p99_ms"], "ms", 60.0 if most else None,
            peer="without a store", peer_value=peer["p99_ms"],
        ),
    ]  # fmt: skip


def _batch(stored: Served, jobs: int, seconds: float, target: float) -> Figure:
    cpu_s = stored.process.cpu_s()
    one = load(stored, "submit", callers=_BATCH_CALLERS, jobs=jobs, seconds=seconds)
    cpu_us = (stored.process.cpu_s() - cpu_s) / one["jobs_sent"] * 1e6
    return Figure(
        "submit", f"{jobs:,} jobs a call, {_BATCH_CALLERS} at once", one["jobs_per_s"], "jobs/s",
        target if jobs == 1_000 else None, at_most=False,
        peer="CPU of the service, us a job", peer_value=cpu_us,
    )  # fmt: skip
