"""What failures, cancellations, an outage of six hours and a capacity cut cost: corridor and EASY.

Both policies meet the same fates on the same workload, with runs that die in the outage and with
runs that hang. What must hold is counted: a promise is late only where an outage or a cut lay in
between, and every job ends once.
"""

from dataclasses import asdict, replace
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.quality_inputs import Workload
from scheduler.placement.core import PlanningCore
from scheduler.replay.faults import DEFAULT, Faults
from scheduler.replay.price import KindPrice, with_faults
from scheduler.replay.setup import corridor
from scheduler.replay.simulate import POLICIES, simulate

LOAD: Final = 0.95
_POLICIES: Final = ("corridor", "easy")
#: By how runs meet the outage.
_FAULTS: Final = {
    "die": DEFAULT,
    "hang": replace(DEFAULT, outages=tuple(one._replace(hang=True) for one in DEFAULT.outages)),
}
Prices = dict[str, dict[str, dict[str, KindPrice]]]


def price_of(workload: Workload, runs: str, policy: str) -> dict[str, KindPrice]:
    """Replay a workload at load 0.95 without and with faults; the price by kind."""
    faults: Faults = _FAULTS[runs]
    setup = corridor(workload.capacities[LOAD])
    jobs, _ = setup.placeable(workload.trace.jobs)
    without = simulate(jobs, setup, PlanningCore(POLICIES[policy]))
    core = PlanningCore(POLICIES[policy])
    found = with_faults(workload.trace, policy, without, setup, core, faults)
    return dict(found.kinds)


def prices(workload: Workload) -> Prices:
    """All prices by how runs meet the outage, policy and kind; takes minutes."""
    return {
        runs: {policy: price_of(workload, runs, policy) for policy in _POLICIES} for runs in _FAULTS
    }


def broken(found: Prices) -> int:
    """Count what must not be: broken promises, and jobs without an end."""
    return sum(
        kind.promises_broken + kind.jobs - sum(kind.ended.values()) + kind.ended.get("WAITING", 0)
        for by_policy in found.values()
        for kinds in by_policy.values()
        for kind in kinds.values()
    )


def show(console: Console, found: Prices) -> None:
    """Print the prices."""
    table = Table(title=f"with faults at load {LOAD:.2f}", box=SIMPLE, title_justify="left")
    table.add_column("runs in the outage, policy, kind")
    for name in (
        "mean wait, s", "without", "p95, s", "without", "failed", "given up", "retries",
        "lost unit-h", "useful unit-h", "late: void", "broken",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for runs, by_policy in found.items():
        for policy, kinds in by_policy.items():
            for name, kind in kinds.items():
                table.add_row(f"{runs}, {policy}, {name}", *_cells(kind))
    console.print(table)


def _cells(kind: KindPrice) -> list[str]:
    given_up = kind.ended.get("CANCELLED", 0) + kind.ended.get("EXPIRED", 0)
    return [
        f"{kind.mean_wait_s:,.0f}",
        f"{kind.mean_wait_without_s:,.0f}",
        f"{kind.p95_wait_s:,.0f}",
        f"{kind.p95_wait_without_s:,.0f}",
        f"{kind.ended.get('FAILED', 0) / kind.jobs:.1%}",
        f"{given_up / kind.jobs:.1%}",
        f"{kind.retries:,}",
        f"{sum(kind.lost_unit_hours.values()):,.0f}",
        f"{kind.useful_unit_hours:,.0f}",
        f"{kind.promises_void:,}",
        f"{kind.promises_broken:,}",
    ]


def plain(found: Prices) -> dict[str, object]:
    """Return the prices as plain data."""
    return {
        runs: {
            policy: {name: asdict(kind) for name, kind in kinds.items()}
            for policy, kinds in by_policy.items()
        }
        for runs, by_policy in found.items()
    }
