"""Judging bands: what is counted as covered, late, early, and how far off."""

from collections.abc import Sequence

import pytest

from scheduler.placement.core import PlanningCore
from scheduler.placement.model import EASY
from scheduler.replay.estimates import Band, EstimateJudge, judge, judge_by_kind
from scheduler.replay.setup import corridor
from scheduler.replay.simulate import simulate
from scheduler.replay.trace import TraceJob


def band(uid: int, asked_s: int, *band_s: int | None, kind: str = "cpu") -> Band:
    """A band in seconds."""
    earliest, likely, latest = (None if one is None else one * 1000 for one in band_s)
    return Band(uid, kind, asked_s * 1000, earliest, likely, latest)


def test_figures_of_a_few_bands() -> None:
    bands = [
        band(1, 0, 10, 20, 30),  # starts at 25: covered, 5 later
        band(2, 0, 10, 20, 30),  # at 5: before the earliest, 15 earlier
        band(3, 100, 110, 120, 130),  # at 140: after the latest, 20 later
        band(4, 0, 0, 10, None),  # at 10: no latest is no promise, exact
        band(5, 0, None, None, None),  # nothing was said
        band(6, 0, 10, 20, 30),  # never started
    ]
    starts = {1: 25_000, 2: 5_000, 3: 140_000, 4: 10_000, 5: 1}
    found = judge(bands, starts)
    assert found is not None
    assert (found.jobs, found.silent) == (4, 1)
    assert (found.covered, found.before_earliest, found.after_latest) == (0.5, 0.25, 0.25)
    assert found.without_latest == 0.25
    assert (found.error_median_s, found.bias_median_s, found.bias_mean_s) == (10.0, 2.5, 2.5)
    assert (found.wait_median_s, found.naive_error_median_s) == (17.5, 17.5)
    assert found.band_median_s == 20.0
    assert judge([], starts) is None
    assert judge(bands[4:], starts) is None


def test_kinds_are_judged_apart() -> None:
    bands = [band(1, 0, 0, 1, 2), band(2, 0, 0, 1, 2, kind="npu")]
    found = judge_by_kind(bands, {1: 1_000, 2: 9_000})
    assert {kind: one.covered for kind, one in found.items()} == {"cpu": 1.0, "npu": 0.0}


def _jobs() -> tuple[TraceJob, ...]:
    rows = [(at, 60 + 37 * at % 300, 1 + at % 7) for at in range(60)]
    return tuple(_job(number, *row) for number, row in enumerate(rows))


def _job(number: int, at_s: int, run_s: int, units: int) -> TraceJob:
    run_ms = run_s * 1000
    return TraceJob(
        number, at_s * 1000, run_ms, run_ms, units, 1, "wuhan", f"e{number % 3}", "u", "cpu"
    )


def _bands(share: float, seed: int = 0) -> tuple[EstimateJudge, Sequence[int]]:
    judge_of = EstimateJudge(PlanningCore(EASY), share, seed)
    replayed = simulate(_jobs(), corridor({"cpu": 10}, {"wuhan": 1}), judge_of)
    return judge_of, replayed.start_ms


def test_asking_changes_no_start_and_exact_limits_are_foreseen_but_for_who_comes() -> None:
    asked, starts = _bands(1.0)
    assert (
        starts
        == simulate(_jobs(), corridor({"cpu": 10}, {"wuhan": 1}), PlanningCore(EASY)).start_ms
    )
    assert len(asked.bands) + asked.at_once == 60
    assert asked.start_ms == dict(enumerate(starts))
    figures = judge_by_kind(asked.bands, asked.start_ms)["cpu"]
    assert figures.error_median_s < figures.naive_error_median_s / 2


@pytest.mark.parametrize("seed", [0, 7])
def test_a_sample_is_chosen_by_seed_and_job_alone(seed: int) -> None:
    whole = {one.uid for one in _bands(1.0)[0].bands}
    once, again = (_bands(0.4, seed)[0].bands for _ in range(2))
    assert once == again
    assert {one.uid for one in once} < whole
    assert once
