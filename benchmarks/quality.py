"""How good the decisions of policy ``corridor`` are: ``python -m benchmarks.quality``.

Replays the trace of the corridor and four shaken copies of it at load 0.95 and 0.80, others of the
same shape, and logs of single machines. Prints each figure beside those of FCFS, EASY, EASY-SJBF
and EASY ordered by the cities' use, with PASS or MISS for the least that is wanted, and whether the
aim is reached. What is replayed is never taken from an earlier run.
"""

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks import quality_faults, quality_inputs
from benchmarks.quality_gates import Figures, Verdict, figures_of, judge, mean_of
from benchmarks.quality_inputs import Workload
from benchmarks.quality_peers import Fifo, peers, run
from scheduler.placement.core import PlanningCore
from scheduler.replay.measures import KindFigures, measure
from scheduler.replay.reading import read_trace
from scheduler.replay.setup import CITY_WEIGHTS, Setup, corridor
from scheduler.replay.simulate import POLICIES, Replayed, simulate
from scheduler.replay.swf import CITY, KIND
from scheduler.replay.trace import Trace, TraceJob

_SHAKES = 4
_PARTS = ("trace", "others", "logs", "faults")
_WIDTH = 150
#: Logs of single machines, EASY-SJBF's mean bounded slowdown as others computed it, if they did.
_LOGS: Mapping[str, float | None] = {
    "KTH-SP2-1996-2.swf.gz": 69.39,
    "CTC-SP2-1996-3.1-cln.swf.gz": 30.04,
    "HPC2N-2002-2.2-cln.swf.gz": None,
}
#: By load, kind and policy.
Result = dict[float, dict[str, dict[str, Figures]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 1 if something that is wanted at the least was missed on the trace."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(_PARTS)}")
    parser.add_argument("--quick", action="store_true", help="the trace alone, at load 0.95")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    asked = parser.parse_args(arguments)
    unknown = [part for part in asked.parts if part not in _PARTS]
    if unknown:
        parser.error(f"no part {', '.join(unknown)}: use {', '.join(_PARTS)}")
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    began_s = perf_counter()
    content, missed = _run(console, asked.parts or _PARTS, asked.quick)
    console.print(f"{perf_counter() - began_s:,.0f} s; {missed} missed at the least on the trace")
    if asked.json is not None:
        asked.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 1 if missed else 0


def _run(console: Console, parts: Sequence[str], quick: bool) -> tuple[dict[str, object], int]:
    """Replay, judge and print; returns what was printed and how much was missed on the trace."""
    _, is_month = quality_inputs.month()
    if not is_month:
        console.print(
            "corridor_open.csv.gz is not in CORRIDOR_TRACES or ../shared/traces: "
            "three days of it are replayed, too few to judge by"
        )
    shaken = [] if quick else [f"shaken {number + 1}" for number in range(_SHAKES)]
    names = ["trace", *shaken] if "trace" in parts else []
    loads = (0.95,) if quick else quality_inputs.LOADS
    others = [name for name, _ in quality_inputs.others(_base())] if "others" in parts else []
    logs = [name for name in _LOGS if "logs" in parts and quality_inputs.found(name)]
    if quick:
        others, logs = others[:1], logs[:1]
    content: dict[str, object] = {}
    missed = 0
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        on_trace = [[pool.submit(replay_one, name, load) for name in names] for load in loads]
        beside = {name: pool.submit(replay_one, name, 0.95) for name in others}
        of_logs = {name: pool.submit(replay_log, name) for name in logs}
        for load, futures in zip(loads, on_trace, strict=True):
            results = [one.result() for one in futures]
            for kind in results[0] if results else ():
                verdicts = judge(kind, load, _means([one[kind] for one in results]))
                what = f"{kind} at load {load:.2f}, mean of {len(results)}"
                missed += _show(console, what, verdicts)
                content[what] = _plain(verdicts)
        for name, future in beside.items():
            for kind, by_policy in future.result().items():
                what = f"{kind} at load 0.95, {name}"
                verdicts = judge(kind, 0.95, by_policy)
                _show(console, what, verdicts)
                content[what] = _plain(verdicts)
        for name, log in of_logs.items():
            missed += _show(console, f"{name}, one city", [log.result()])
            content[name] = _plain([log.result()])
    if "faults" in parts and not quick:
        prices = quality_faults.prices(_base())
        quality_faults.show(console, prices)
        missed += quality_faults.broken(prices)
        content["faults"] = quality_faults.plain(prices)
    return content, missed


def _means(results: Sequence[Mapping[str, Figures]]) -> dict[str, Figures]:
    return {policy: mean_of([one[policy] for one in results]) for policy in results[0]}


def _base() -> Workload:
    return quality_inputs.main_workload(quality_inputs.month()[0])


def _named(name: str) -> Workload:
    base = _base()
    if name == "trace":
        return base
    if name.startswith("shaken "):
        return quality_inputs.shaken(base, int(name.removeprefix("shaken ")))
    made: dict[str, Callable[[], Workload]] = dict(quality_inputs.others(base))
    return made[name]()


def replay_one(name: str, load: float) -> dict[str, dict[str, Figures]]:
    """Replay one workload under every policy; figures by kind and policy."""
    workload = _named(name)
    setup = corridor(workload.capacities[load])
    jobs, _ = setup.placeable(workload.trace.jobs)
    found: dict[str, dict[str, Figures]] = {}
    replayed = simulate(jobs, setup, PlanningCore(POLICIES["corridor"]))
    for kind, figures in _measured(workload.trace, replayed, setup).items():
        found.setdefault(kind, {})["corridor"] = figures_of(figures)
    for kind in found:
        of_kind = tuple(job for job in jobs if job.kind == kind)
        alone = corridor({kind: setup.capacities[kind]})
        for policy, peer in peers(CITY_WEIGHTS).items():
            starts = run(of_kind, setup.capacities[kind], peer())
            figures = _measured(workload.trace, _replayed(of_kind, starts), alone)[kind]
            found[kind][policy] = figures_of(figures)
    return found


def replay_log(name: str) -> Verdict:
    """Replay the log of one machine under ``corridor`` and EASY-SJBF, limits as requested."""
    path = quality_inputs.found(name)
    assert path is not None
    trace = read_trace(path)
    units = trace.procs or 0
    setup = corridor({KIND: units}, {CITY: 1})
    jobs, _ = setup.placeable(trace.jobs)
    mine = _measured(trace, simulate(jobs, setup, PlanningCore(POLICIES["corridor"])), setup)
    starts = run(jobs, units, Fifo(shortest=True))
    theirs = _measured(trace, _replayed(jobs, starts), setup)[KIND].waits.avebsld
    told = _LOGS[name]
    beside = {"easy_sjbf": theirs} | ({"as published": told} if told is not None else {})
    return Verdict("avebsld", mine[KIND].waits.avebsld, beside, theirs, None)


def _replayed(jobs: tuple[TraceJob, ...], starts: Sequence[int]) -> Replayed:
    return Replayed(jobs, tuple(starts), {}, 0, 0)


def _measured(trace: Trace, replayed: Replayed, setup: Setup) -> Mapping[str, KindFigures]:
    return measure(trace, "", replayed, setup, {}).kinds


def _show(console: Console, what: str, verdicts: Sequence[Verdict]) -> int:
    """Print a table; returns how many are missed at the least."""
    table = Table(title=what, box=SIMPLE, title_justify="left")
    table.add_column("figure")
    for name in ("corridor", *verdicts[0].peers, "at the least", "", "aim", ""):
        table.add_column(name, justify="right")
    missed = 0
    for one in verdicts:
        least, aim = one.meets(one.least), one.meets(one.aim)
        missed += least is False
        table.add_row(
            one.name, _number(one.value), *(_number(value) for value in one.peers.values()),
            _wanted(one, one.least), {None: "", True: "PASS", False: "MISS"}[least],
            _wanted(one, one.aim), {None: "", True: "reached", False: "not yet"}[aim],
        )  # fmt: skip
    console.print(table)
    return missed


def _wanted(one: Verdict, wanted: float | None) -> str:
    return "" if wanted is None else f"{'<=' if one.at_most else '>='} {_number(wanted)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _plain(verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    return [
        one._asdict() | {"pass": one.meets(one.least), "aim_reached": one.meets(one.aim)}
        for one in verdicts
    ]


if __name__ == "__main__":
    raise SystemExit(main())
