"""The quality bench: its peers beside figures of others, its workloads, and its gates."""

import json
import os
from pathlib import Path

import pytest

from benchmarks import quality_inputs
from benchmarks.quality_gates import NAMES, judge, mean_of
from benchmarks.quality_peers import Fair, Fifo, peers, run
from scheduler.replay.measures import measure
from scheduler.replay.reading import read_trace
from scheduler.replay.setup import CITY_WEIGHTS, corridor
from scheduler.replay.simulate import Replayed
from scheduler.replay.swf import CITY, KIND
from scheduler.replay.trace import Trace, TraceJob

KTH = Path(__file__).parents[2] / "data" / "traces" / "KTH-SP2-1996-2.swf.gz"


def jobs(*shapes: tuple[int, int, int, str]) -> list[TraceJob]:
    """Jobs of (submit, run, units, city), limits exact."""
    return [
        TraceJob(number, at, run_ms, run_ms, units, 1, city, "E", "U", "cpu")
        for number, (at, run_ms, units, city) in enumerate(shapes)
    ]


def test_four_jobs_tell_easy_from_fcfs() -> None:
    four = jobs((0, 100, 8, "a"), (1, 10, 10, "a"), (2, 1000, 2, "a"), (3, 50, 2, "a"))
    assert run(four, 10, Fifo()) == [0, 100, 110, 3]
    assert run(four, 10, Fifo(backfill=False)) == [0, 100, 110, 110]


def test_shortest_first_among_those_beside_the_head() -> None:
    shapes = jobs((0, 100, 8, "a"), (1, 10, 10, "a"), (1, 50, 2, "a"), (1, 40, 2, "a"))
    assert run(shapes, 10, Fifo()) == [0, 100, 1, 51]
    assert run(shapes, 10, Fifo(shortest=True)) == [0, 100, 41, 1]


def test_the_city_that_used_less_for_its_weight_is_first() -> None:
    shapes = jobs((0, 10, 10, "a"), (1, 10, 10, "a"), (2, 10, 10, "b"))
    assert run(shapes, 10, Fifo()) == [0, 10, 20]
    assert run(shapes, 10, Fair({"a": 1, "b": 1})) == [0, 20, 10]


@pytest.mark.parametrize(("shortest", "avebsld"), [(False, 92.688), (True, 69.394)])
def test_kth_is_as_in_an_independent_simulator(shortest: bool, avebsld: float) -> None:
    trace = read_trace(KTH)
    starts = run(trace.jobs, 100, Fifo(shortest=shortest))
    replayed = Replayed(trace.jobs, tuple(starts), {}, 0, 0)
    found = measure(trace, "", replayed, corridor({KIND: 100}, {CITY: 1}), {})
    assert round(found.waits.avebsld, 3) == avebsld


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "units"), [("cpu", 3328), ("npu", 632)])
@pytest.mark.parametrize("policy", ["fcfs", "easy", "easy_fair"])
def test_peers_are_the_references(kind: str, units: int, policy: str) -> None:
    folder = os.environ.get("CORRIDOR_TRACES")
    path = next(Path(folder).rglob("reference.json"), None) if folder else None
    if path is None:
        pytest.skip("needs reference.json in the folder that CORRIDOR_TRACES names")
    reference = json.loads(path.read_text(encoding="utf-8"))[f"tight_0.95/{kind}/{policy}"]
    trace, _ = quality_inputs.month()
    chosen = tuple(job for job in trace.jobs if job.kind == kind)
    starts = run(chosen, units, peers(CITY_WEIGHTS)[policy]())
    replayed = Replayed(chosen, tuple(starts), {}, 0, 0)
    found = measure(trace, "", replayed, corridor({kind: units}), {}).kinds[kind]
    assert found.waits.mean_wait_s == pytest.approx(reference["mean_wait"], abs=0.1)
    assert found.waits.avebsld == pytest.approx(reference["avebsld"], abs=0.01)
    assert found.share_shortfall == pytest.approx(reference["weighted_share_shortfall"], abs=1e-4)


def test_workloads_are_seeded_and_keep_the_work() -> None:
    trace = read_trace(quality_inputs.THREE_DAYS)
    base = quality_inputs.main_workload(trace)
    shaken = quality_inputs.shaken(base, 1)
    assert shaken == quality_inputs.shaken(base, 1) != quality_inputs.shaken(base, 2)
    moved = {job.job_id: job.submit_ms for job in shaken.trace.jobs}
    assert all(abs(moved[job.job_id] - job.submit_ms) <= 60_000 for job in trace.jobs)
    for name, made in quality_inputs.others(base):
        other = made()
        if name.startswith("other weeks"):
            continue
        assert sum(one.run_ms * one.units for one in other.trace.jobs) == sum(
            job.run_ms * job.units for job in trace.jobs
        ), name
        cities = {one.job_id: one.city for one in other.trace.jobs}
        assert any(cities[job.job_id] != job.city for job in trace.jobs), name


def figures(**changed: float) -> dict[str, float]:
    """Figures of a policy, all 100 but for those that are given."""
    return dict.fromkeys(NAMES, 100.0) | {"waits_over_7d": 0.0, "promises_missed": 0.0} | changed


def test_gates_tell_what_is_missed() -> None:
    peer = figures()
    good = figures(mean_wait_s=65.0, avebsld=60.0, shortfall=99.0, p95_widest_s=125.0)
    for wrong in ({}, {"mean_wait_s": 66.0}, {"avebsld": 61.0}, {"shortfall": 101.0},
                  {"p95_widest_s": 126.0}, {"waits_over_7d": 1.0}, {"promises_missed": 1.0},
                  {"utilization": 99.98}, {"loss_of_capacity": 100.02}):  # fmt: skip
        verdicts = judge("cpu", 0.95, {"corridor": good | wrong, "easy": peer, "easy_fair": peer})
        missed = {one.name for one in verdicts if one.meets(one.least) is False}
        assert missed == set(wrong)


def test_what_must_never_happen_is_not_averaged_away() -> None:
    found = mean_of([figures(), figures(promises_missed=1.0, mean_wait_s=50.0)])
    assert (found["promises_missed"], found["mean_wait_s"]) == (1.0, 75.0)


def test_a_trace_is_taken_as_it_is() -> None:
    trace = Trace("t", tuple(jobs((0, 86_400_000, 100, "wuhan"))), {}, by_city=True)
    workload = quality_inputs.main_workload(trace)
    assert workload.trace.jobs == trace.jobs
    assert workload.capacities[0.95] == {"cpu": 128}
