"""Faults of a workload: drawn by seed and job alone, in the parts asked for; and their file."""

from collections import Counter
from pathlib import Path

import pytest

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import CORRIDOR
from scheduler.replay.fault_file import read_faults
from scheduler.replay.faults import DEFAULT, Failing, Faults, lives_of, outside_of
from scheduler.replay.lives import Attempt, Cut, Outage
from scheduler.replay.price import with_faults
from scheduler.replay.setup import corridor
from scheduler.replay.simulate import simulate
from scheduler.replay.trace import ReplayError, Trace, TraceJob

HOUR_MS = 3_600_000


def job(number: int, kind: str = "npu") -> TraceJob:
    return TraceJob(
        number, number * 60_000, HOUR_MS, 2 * HOUR_MS, 1 + number % 4, 1, "wuhan", "E", "u", kind
    )


JOBS = tuple(job(number) for number in range(2_000))


def test_a_fate_depends_on_seed_and_number_alone() -> None:
    whole = lives_of(JOBS, DEFAULT)
    tail = lives_of(JOBS[1_000:], DEFAULT)
    assert [life.attempts for life in whole[1_000:]] == [life.attempts for life in tail]
    assert [life.attempts for life in lives_of(JOBS, Faults(seed=2))] != [
        life.attempts for life in whole
    ]


def test_as_many_jobs_fail_as_asked_for_and_by_the_classes_asked_for() -> None:
    classes = {"USER_CODE": 3, "NODE": 1}
    faults = Faults(failures={"npu": Failing(3_000, classes)}, waiting_bp=0, running_bp=0)
    firsts = Counter(life.attempts[0].failure for life in lives_of(JOBS, faults))
    assert 0.27 < 1 - firsts[""] / len(JOBS) < 0.33
    assert 2 < firsts["USER_CODE"] / firsts["NODE"] < 4.5
    other = lives_of([job(1, "cpu")], faults)
    assert other[0].attempts == (Attempt(HOUR_MS),)


def test_failed_attempts_end_early_but_those_at_the_limit() -> None:
    for life in lives_of(JOBS, DEFAULT):
        for attempt in life.attempts:
            if attempt.failure == "TIME_LIMIT":
                assert attempt.run_ms == 2 * HOUR_MS
            else:
                assert 1 <= attempt.run_ms <= HOUR_MS


def test_outages_and_cuts_lie_where_they_are_asked_for() -> None:
    hours = outside_of(DEFAULT, {"cpu": 100, "npu": 8}, 0, 100 * HOUR_MS)
    outage, cpu, npu = hours
    assert outage == Outage(frozenset({"cpu", "npu"}), 40 * HOUR_MS, 46 * HOUR_MS)
    assert cpu == Cut("cpu", 65 * HOUR_MS, 113 * HOUR_MS, 75)
    assert isinstance(npu, Cut)
    assert npu.units == 6


def test_the_price_is_told_beside_the_replay_without_faults() -> None:
    setup = corridor({"npu": 150}, {"wuhan": 1})
    trace = Trace("t", JOBS, {}, by_city=True)
    plain = simulate(JOBS, setup, PlanningCore(CORRIDOR))
    found = with_faults(trace, "corridor", plain, setup, PlanningCore(CORRIDOR), DEFAULT)
    npu = found.kinds["npu"]
    assert npu.mean_wait_s > npu.mean_wait_without_s
    assert sum(npu.ended.values()) == len(JOBS) == npu.jobs
    assert npu.ended["FAILED"] > 200
    assert npu.lost_unit_hours["CENTER"] > 60  # what ran when the center went away
    assert npu.outage_unit_hours == 150 * 6 + 38 * 48
    assert npu.retries > 50
    assert npu.promises_broken == 0
    none = Faults(failures={}, waiting_bp=0, running_bp=0, outages=(), cuts=())
    free = with_faults(trace, "corridor", plain, setup, PlanningCore(CORRIDOR), none)
    assert free.kinds["npu"].mean_wait_s == free.kinds["npu"].mean_wait_without_s
    assert free.kinds["npu"].lost_unit_hours == {}


FILE = """
seed: 7
attempts_max: 4
failures:
  npu: {percent: 28.5, classes: {USER_CODE: 60, NODE: 20}}
cancellations: {waiting_percent: 5, patience_h: 2, running_percent: 4}
outages:
  - {at_percent: 40, hours: 6, kinds: [npu], runs: hang}
cuts: []
"""


def test_a_file_says_what_goes_wrong(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(FILE, encoding="utf-8")
    found = read_faults(path)
    assert found.failures == {"npu": Failing(2_850, {"USER_CODE": 60, "NODE": 20})}
    assert (found.seed, found.attempts_max, found.waiting_bp) == (7, 4, 500)
    ((at_bp, span_ms, kinds, hang),) = found.outages
    assert (at_bp, span_ms, kinds, hang) == (4_000, 6 * HOUR_MS, frozenset({"npu"}), True)
    assert found.cuts == ()
    path.write_text("{}", encoding="utf-8")
    assert read_faults(path) == DEFAULT


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: 7", "sed: 7", "sed: unknown, use seed, attempts_max"),
        ("seed: 7", "seed: 7\nseed: 8", ":3: 'seed' is there twice"),
        ("percent: 28.5", "percent: 128", "failures.npu.percent: 128 is no number in 0..100"),
        ("USER_CODE: 60", "USERCODE: 60", "failures.npu.classes.USERCODE: unknown"),
        ("USER_CODE: 60, NODE: 20", "NODE: 0", "one of them must weigh more than 0"),
        ("hours: 6", "hour: 6", "outages[0].hour: unknown"),
        ("hours: 6, ", "", "outages[0].hours: is missing"),
        ("runs: hang", "runs: sleep", "outages[0].runs: 'sleep' is neither die nor hang"),
        ("kinds: [npu]", "kinds: npu", "outages[0].kinds: expected a list of kinds"),
        ("cuts: []", "cuts: 3", "cuts: expected a list"),
        ("attempts_max: 4", "attempts_max: 0", "attempts_max: 0 is no whole number in 1..20"),
    ],
)
def test_a_wrong_file_is_told_by_field(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "faults.yaml"
    assert old in FILE
    path.write_text(FILE.replace(old, new), encoding="utf-8")
    with pytest.raises(ReplayError) as caught:
        read_faults(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
