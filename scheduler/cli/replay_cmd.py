"""``corridor replay``: the planner over a workload in virtual time, without the service."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scheduler.cli.replay_estimates import judge_estimates, show_estimates
from scheduler.cli.replay_faults import faults_of, show_price
from scheduler.cli.replay_tables import show
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import EASY, Delta, Plan
from scheduler.replay.alone import finish_time_ratios, replay_alone
from scheduler.replay.estimates import EstimateFigures
from scheduler.replay.faults import Faults
from scheduler.replay.measures import Measures, measure
from scheduler.replay.price import Price, with_faults
from scheduler.replay.quotas import Quotas, read_quotas
from scheduler.replay.reading import is_swf, read_trace
from scheduler.replay.setup import CITY_WEIGHTS, Setup, corridor
from scheduler.replay.simulate import POLICIES, Planner, Replayed, simulate
from scheduler.replay.starts import write_starts
from scheduler.replay.swf import CITY, KIND
from scheduler.replay.trace import ReplayError, Trace, TraceJob

USAGE_ERROR = 2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", rich_help_panel="Planning")(replay)


class Policy(StrEnum):
    """How the planner orders jobs."""

    FCFS = "fcfs"
    EASY = "easy"
    CORRIDOR = "corridor"


class TimedPlanner:
    """A planner that notes how long its cycles take."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.cycle_s: list[float] = []

    def load(self, revision: int, deltas: Sequence[Delta]) -> None:
        """Take a snapshot."""
        self._planner.load(revision, deltas)

    def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        """Plan, and note the time it took."""
        begin_s = perf_counter()
        plan = self._planner.cycle(before, deltas, after, now_ms)
        self.cycle_s.append(perf_counter() - begin_s)
        return plan


def replay(
    file: Annotated[Path, typer.Argument(help="Workload: *.swf or *.csv, plain or .gz.")],
    procs: Annotated[
        int | None,
        typer.Option("--procs", min=1, help="Processors (SWF); default: as the log says."),
    ] = None,
    capacity: Annotated[
        str | None,
        typer.Option("--capacity", help="Units by kind (CSV), such as cpu=3328,npu=632,gpu=24."),
    ] = None,
    policy: Annotated[
        Policy, typer.Option("--policy", help="Order of the jobs.")
    ] = Policy.CORRIDOR,
    shards: Annotated[
        int, typer.Option("--shards", min=1, max=1024, help="Shards of the planner's queues.")
    ] = 1,
    quotas: Annotated[
        Path | None,
        typer.Option(
            "--quotas",
            help="YAML or JSON: city -> kind -> nominal, borrow_limit, lend_limit. "
            "Default: nominal by population, no borrow limit, all lent.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the starts there, as CSV, a row a job.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone/--no-alone",
            help="Also replay each city alone on its nominal quota, for finish-time fairness.",
        ),
    ] = True,
    faults: Annotated[
        str | None,
        typer.Option(
            "--faults",
            metavar="FILE|default",
            help="Also replay with failures, cancellations, an outage and a capacity cut.",
        ),
    ] = None,
    estimates: Annotated[
        float | None,
        typer.Option(
            "--estimates",
            metavar="SHARE",
            min=0.0001,
            max=1,
            help="Also judge estimates of starts, asked of so many of the jobs that wait.",
        ),
    ] = None,
) -> None:
    """Replay a workload in virtual time and print its waits, use and fairness."""
    try:
        asked = faults_of(faults)
        trace, setup = _input(file, procs, capacity, quotas)
        measures, speed, replayed = _figures(trace, setup, policy, shards, out, alone)
        more = _more(trace, setup, policy, shards, replayed, asked, estimates)
    except ReplayError as error:
        typer.echo(f"corridor replay: {error}", err=True)
        raise typer.Exit(USAGE_ERROR) from error
    if as_json:
        found = measures.to_json() | {"shards": shards, "speed": speed} | more.to_json()
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        show(Console(), measures, speed)
        more.show(Console())


@dataclass(frozen=True, slots=True)
class _More:
    """What was asked for beside the replay itself."""

    price: Price | None
    estimates: Mapping[str, EstimateFigures] | None

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        found: dict[str, object] = {}
        if self.price is not None:
            found["faults"] = self.price.to_json()
        if self.estimates is not None:
            found["estimates"] = {kind: one.to_json() for kind, one in self.estimates.items()}
        return found

    def show(self, console: Console) -> None:
        """Print it."""
        if self.price is not None:
            show_price(console, self.price)
        if self.estimates is not None:
            show_estimates(console, self.estimates)


def _more(
    trace: Trace, setup: Setup, policy: Policy, shards: int, replayed: Replayed,
    faults: Faults | None, estimates: float | None,
) -> _More:  # fmt: skip
    price = judged = None
    if faults is not None:
        core = PlanningCore(POLICIES[policy.value], shards)
        price = with_faults(trace, policy.value, replayed, setup, core, faults)
    if estimates is not None:
        core = PlanningCore(POLICIES[policy.value], shards)
        judged = judge_estimates(replayed, setup, core, estimates)
    return _More(price, judged)


def _figures(
    trace: Trace, setup: Setup, policy: Policy, shards: int, out: Path | None, alone: bool
) -> tuple[Measures, dict[str, float], Replayed]:
    """Replay, write the starts, and measure; raises ``ReplayError``."""
    if out is not None and not out.parent.is_dir():
        raise ReplayError(f"cannot write {out}: {out.parent} is no folder")
    jobs, dropped = setup.placeable(trace.jobs)
    skipped = trace.skipped | {
        why: count + trace.skipped.get(why, 0) for why, count in dropped.items()
    }
    if not jobs:
        left_out = ", ".join(f"{count:,} {why}" for why, count in sorted(skipped.items()))
        raise ReplayError(f"{trace.name}: no job to replay (left out: {left_out or 'none'})")
    planner = TimedPlanner(PlanningCore(POLICIES[policy.value], shards))
    begin_s = perf_counter()
    replayed = _with_progress(jobs, setup, planner)
    replay_s = perf_counter() - begin_s
    if out is not None:
        write_starts(out, replayed)
    ratios = None
    if alone and len(setup.weights) > 1:
        by_itself = replay_alone(replayed, setup, lambda: PlanningCore(EASY))
        ratios = finish_time_ratios(replayed, by_itself)
    speed = {
        "replay_s": round(replay_s, 3),
        "jobs_per_s": round(len(jobs) / replay_s, 1),
        "cycle_mean_ms": round(float(np.mean(planner.cycle_s)) * 1e3, 4),
        "cycle_p99_ms": round(float(np.percentile(planner.cycle_s, 99)) * 1e3, 4),
    }
    return measure(trace, policy.value, replayed, setup, skipped, ratios), speed, replayed


def _input(
    file: Path, procs: int | None, capacity: str | None, quotas: Path | None
) -> tuple[Trace, Setup]:
    """Read the files and put the machine together; raises ``ReplayError``."""
    log = is_swf(file)
    if log and capacity is not None:
        raise ReplayError("--capacity is for workloads in CSV; a SWF log takes --procs N")
    if not log and procs is not None:
        raise ReplayError(
            "--procs is for SWF logs; a workload in CSV takes --capacity KIND=UNITS,…"
        )
    if not log and capacity is None:
        raise ReplayError("a workload in CSV needs --capacity, such as cpu=3328,npu=632,gpu=24")
    units = {} if capacity is None else parse_capacity(capacity)
    wanted = Quotas({}, {}) if quotas is None else read_quotas(quotas)
    trace = read_trace(file, procs)
    if trace.procs is not None:
        units = {KIND: trace.procs}
    weights = {CITY: 1} if log else dict(CITY_WEIGHTS)
    weights |= wanted.weights
    for city, _ in wanted.limits:
        if city not in weights:
            known = ", ".join(weights)
            raise ReplayError(f"{quotas}: {city}: not one of {known}, and without a weight")
    return trace, corridor(units, weights, wanted.limits)


def parse_capacity(text: str) -> dict[str, int]:
    """Read ``cpu=3328,npu=632``; raises ``ReplayError``."""
    found: dict[str, int] = {}
    for part in text.split(","):
        kind, _, units = (piece.strip() for piece in part.partition("="))
        if not kind or not units.isdecimal() or int(units) < 1:
            raise ReplayError(
                f"--capacity: {part.strip()!r} is not KIND=UNITS with units from 1 on"
            )
        if kind in found:
            raise ReplayError(f"--capacity: {kind} is there twice")
        found[kind] = int(units)
    return found


def _with_progress(jobs: tuple[TraceJob, ...], setup: Setup, planner: Planner) -> Replayed:
    if not sys.stderr.isatty():
        return simulate(jobs, setup, planner)
    with Progress(
        TextColumn("replay"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("replay", total=len(jobs))
        return simulate(jobs, setup, planner, lambda ended: progress.update(task, completed=ended))


if __name__ == "__main__":
    typer.run(replay)
