"""Replays of published workloads beside the figures of other simulators.

FCFS and Lublin's EASY figures agree between two independent simulators (that of Gaussier et al.,
SC'15, and an event-driven one), so a replay must give them exactly; EASY on real logs depends on
how events of one second are ordered, so 3 % are allowed there. Logs that are too large for the
repository are looked for in the folder that ``CORRIDOR_TRACES`` names.
"""

import json
import os
from pathlib import Path

import pytest

from scheduler.placement.core import PlanningCore
from scheduler.replay.measures import Measures, measure
from scheduler.replay.reading import read_trace
from scheduler.replay.setup import Setup, corridor
from scheduler.replay.simulate import POLICIES, Replayed, simulate
from scheduler.replay.swf import CITY, KIND
from scheduler.replay.trace import Trace

TRACES = Path(__file__).parents[1] / "data" / "traces"
LUBLIN = TRACES / "lublin_256.swf.gz"
KTH = TRACES / "KTH-SP2-1996-2.swf.gz"
THREE_DAYS = Path(__file__).parents[2] / "scheduler/data/traces/corridor_open_3days.csv.gz"
TIGHT = {"cpu": 3328, "npu": 632, "gpu": 24}


def further(name: str) -> Path:
    """A file somewhere in the folder of further logs; skips the test if it is not there."""
    folder = os.environ.get("CORRIDOR_TRACES")
    path = next(Path(folder).rglob(name), None) if folder else None
    if path is None:
        pytest.skip(f"needs {name} in the folder that CORRIDOR_TRACES names")
    return path


def setup_of(trace: Trace, capacities: dict[str, int] | None = None) -> Setup:
    if trace.procs is not None:
        return corridor({KIND: trace.procs}, {CITY: 1})
    return corridor(capacities or TIGHT)


def replay(
    path: Path, policy: str, capacities: dict[str, int] | None = None, shards: int = 1
) -> tuple[Replayed, Measures]:
    trace = read_trace(path)
    setup = setup_of(trace, capacities)
    jobs, dropped = setup.placeable(trace.jobs)
    assert not dropped
    replayed = simulate(jobs, setup, PlanningCore(POLICIES[policy], shards))
    return replayed, measure(trace, policy, replayed, setup, trace.skipped)


def test_lublin_fcfs_is_exact() -> None:
    _, found = replay(LUBLIN, "fcfs")
    waits = found.waits
    assert waits.jobs == 10_000
    assert round(waits.mean_wait_s, 1) == 2_388_443.8
    assert (waits.median_wait_s, round(waits.p95_wait_s, 1)) == (2_399_531.5, 4_383_794.5)
    assert round(waits.avebsld, 3) == 66_502.476
    assert found.kinds["cpu"].makespan_s == 12_482_549
    assert round(found.kinds["cpu"].utilization, 4) == 0.6549


def test_lublin_easy_is_exact() -> None:
    replayed, found = replay(LUBLIN, "easy")
    waits = found.waits
    assert round(waits.mean_wait_s, 1) == 97_156.0
    assert (waits.median_wait_s, round(waits.p95_wait_s, 2)) == (23_072.5, 598_426.65)
    assert round(waits.avebsld, 3) == 590.054
    assert found.kinds["cpu"].makespan_s == 8_730_698
    assert round(found.kinds["cpu"].utilization, 4) == 0.9363
    assert replayed.promises_broken == 0


def test_kth_fcfs_is_exact() -> None:
    _, found = replay(KTH, "fcfs")
    waits = found.waits
    assert (waits.jobs, found.skipped) == (28_481, {"no run time": 8})
    assert round(waits.mean_wait_s, 1) == 353_776.4
    assert (waits.median_wait_s, waits.p95_wait_s) == (409_362, 805_926)
    assert round(waits.avebsld, 3) == 6_814.973
    assert found.kinds["cpu"].makespan_s == 29_379_608


def test_kth_easy_is_within_three_percent() -> None:
    replayed, found = replay(KTH, "easy")
    waits = found.waits
    assert waits.mean_wait_s == pytest.approx(6_836.9, rel=0.03)
    assert waits.avebsld == pytest.approx(92.577, rel=0.03)
    assert waits.avebsld_per_user == pytest.approx(125.9, rel=0.03)
    assert replayed.promises_broken == 0
    # An independent simulator with the same order of events gives these to every digit.
    assert (round(waits.mean_wait_s, 1), round(waits.avebsld, 3)) == (6_834.6, 92.688)


@pytest.mark.slow
def test_second_lublin_is_exact() -> None:
    path = further("lublin_256_new2.swf.gz")
    _, found = replay(path, "fcfs")
    assert round(found.waits.mean_wait_s, 1) == 1_172_120.1
    assert round(found.waits.avebsld, 3) == 54_575.246
    assert found.kinds["cpu"].makespan_s == 6_886_877
    _, found = replay(path, "easy")
    assert round(found.waits.mean_wait_s, 1) == 9_703.6
    assert (found.waits.median_wait_s, round(found.waits.p95_wait_s, 1)) == (0, 47_902.8)
    assert round(found.waits.avebsld, 3) == 256.629
    assert found.kinds["cpu"].makespan_s == 4_707_047


@pytest.mark.slow
def test_ctc() -> None:
    path = further("CTC-SP2-1996-3.1-cln.swf.gz")
    _, found = replay(path, "fcfs")
    assert found.waits.jobs == 77_199
    assert found.waits.mean_wait_s == pytest.approx(655_557.1, abs=0.05)
    assert found.waits.avebsld == pytest.approx(3_651.566, abs=0.0005)
    _, found = replay(path, "easy")
    assert found.waits.mean_wait_s == pytest.approx(14_272.6, rel=0.03)
    assert found.waits.avebsld == pytest.approx(49.571, rel=0.03)


#: Name in the reference file, name here.
_FIGURES = {
    "mean_wait": "mean_wait_s", "median_wait": "median_wait_s", "p95_wait": "p95_wait_s",
    "max_wait": "max_wait_s", "avebsld": "avebsld", "median_bsld": "median_bsld",
    "avebsld_per_user": "avebsld_per_user", "starved_wait_gt_7d": "waits_over_7d",
    "starved_ratio_wait_gt_10x_limit": "share_wait_over_10x_limit", "util_d2_28": "utilization",
    "makespan": "makespan_s", "util_makespan": "utilization_makespan", "measured": "jobs",
    "loss_of_capacity": "loss_of_capacity", "weighted_share_shortfall": "share_shortfall",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["fcfs", "easy"])
@pytest.mark.parametrize(
    ("load", "capacities"),
    [("tight_0.95", TIGHT), ("normal_0.80", {"cpu": 3904, "npu": 752, "gpu": 24})],
)
def test_corridor_figures(policy: str, load: str, capacities: dict[str, int]) -> None:
    path = further("corridor_open.csv.gz")
    references = json.loads(further("reference.json").read_text(encoding="utf-8"))
    _, found = replay(path, policy, capacities)
    kinds = found.to_json()["kinds"]
    assert isinstance(kinds, dict)
    for kind in capacities:
        reference = references[f"{load}/{kind}/{policy}"]
        mine = kinds[kind]
        assert {name: mine[own] for name, own in _FIGURES.items()} == pytest.approx(
            {name: reference[name] for name in _FIGURES}, rel=1e-3, abs=1e-4
        )
        for city, figures in reference["by_city"].items():
            assert mine["by_city"][city]["jobs"] == figures["jobs"]
            assert mine["by_city"][city]["mean_wait_s"] == pytest.approx(
                figures["mean_wait"], abs=0.1
            )


@pytest.mark.parametrize("path", [LUBLIN, THREE_DAYS], ids=["lublin", "three days"])
@pytest.mark.parametrize("policy", ["easy", "corridor"])
def test_starts_do_not_depend_on_the_number_of_shards(path: Path, policy: str) -> None:
    one, _ = replay(path, policy)
    five, _ = replay(path, policy, shards=5)
    assert one.start_ms == five.start_ms


def test_three_days_keep_quota_and_promises() -> None:
    replayed, found = replay(THREE_DAYS, "corridor")
    assert len(replayed.jobs) == 9_446
    assert replayed.promises_broken == 0
    assert [kind.over_quota for kind in found.kinds.values()] == [0, 0, 0]
