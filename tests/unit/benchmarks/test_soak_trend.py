"""Whether something grows: lines through samples."""

import random

import pytest

from benchmarks.soak_trend import settled_part, trend

MINUTES = [number / 6 for number in range(180)]


def noisy(slope: float, seed: int) -> list[float]:
    """A level of 200 that grows a little, with noise, and a peak now and then."""
    rng = random.Random(seed)
    return [
        200 + slope * at + rng.gauss(0, 1) + (80 if rng.random() < 0.1 else 0) for at in MINUTES
    ]


def test_a_line_is_found_exactly() -> None:
    found = trend([0.0, 1.0, 2.0, 5.0], [3.0, 5.0, 7.0, 13.0])
    assert (found.slope, found.least, found.most, found.level) == (2.0, 2.0, 2.0, 6.0)


@pytest.mark.parametrize("seed", range(20))
def test_a_leak_is_told_from_noise_and_peaks(seed: int) -> None:
    leak = trend(MINUTES, noisy(0.2, seed))
    assert leak.least > 0.1
    assert leak.most < 0.3
    flat = trend(MINUTES, noisy(0.0, seed))
    assert abs(flat.slope) < 0.05
    assert flat.least < 0.02
    assert flat.most > -0.02


def test_two_samples_say_nothing() -> None:
    with pytest.raises(ValueError, match="say nothing of growth"):
        trend([1.0, 2.0, 2.0], [1.0, 2.0, 3.0])


def test_the_first_third_is_not_judged() -> None:
    assert settled_part([10.0, 20.0, 30.0, 40.0]) == 1
    assert settled_part([0.0, 1.0, 2.0, 3.0, 30.0]) == 4
