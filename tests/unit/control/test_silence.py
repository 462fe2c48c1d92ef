"""When a Ray that gives no sign of life is given up, and that a busy machine is borne."""

import random

import pytest

from scheduler.control.silence import Silence

BORNE_S = 2.0


def judged(*, turn_s: float, echo_s: float, until_s: float = 60.0) -> tuple[float, str | None]:
    """When it is given up, if each look comes after ``turn_s`` and each echo takes ``echo_s``."""
    silence, now_s, asked_s = Silence(BORNE_S, 0.0), 0.0, 0.0
    while silence.told() is None and now_s < until_s:
        now_s += turn_s
        echoed = now_s - asked_s >= echo_s
        silence.looked(now_s, echoed)
        if echoed:
            asked_s = now_s
    return now_s, silence.told()


def test_where_nothing_is_busy_it_is_given_up_at_its_time() -> None:
    at_s, told = judged(turn_s=Silence(BORNE_S, 0.0).turn_s, echo_s=0.01)
    assert told == "Ray was silent for 2 s"
    assert at_s == pytest.approx(BORNE_S, abs=0.11)


@pytest.mark.parametrize("late", [1.1, 1.5, 2.0])
def test_what_comes_a_little_late_counts_in_full(late: float) -> None:
    at_s, told = judged(turn_s=0.1 * late, echo_s=0.0)
    assert told == "Ray was silent for 2 s"
    assert at_s <= BORNE_S + 0.1 * late


def test_a_process_that_was_stopped_has_not_listened_meanwhile() -> None:
    silence = Silence(BORNE_S, 0.0)
    silence.looked(0.1, True)
    silence.looked(600.1, True)
    assert silence.told() is None
    # It goes on from there as before: so much has been heard to be silent, and no more.
    for turn in range(16):
        silence.looked(600.2 + turn / 10, True)
        assert silence.told() is None, turn
    silence.looked(601.85, True)
    assert silence.told() is not None


def test_all_that_is_slow_is_not_away() -> None:
    """Six processes, each of which waits for its turn as long as the two of an echo do."""
    rng = random.Random(7)
    for _ in range(200):
        wait_s = rng.uniform(0.05, 3.0)
        beat_s, echo_s = 6 * wait_s, 2 * wait_s
        _, told = judged(turn_s=0.1, echo_s=echo_s, until_s=beat_s)
        assert told is None, wait_s


def test_what_is_away_is_found_out_on_a_busy_machine_too() -> None:
    at_s, told = judged(turn_s=0.1, echo_s=1.0)
    assert told == "Ray was silent for 2 s"
    assert at_s == pytest.approx(11.0, abs=1.1), "an echo of 1 s counts 0.2 s"


def test_a_child_that_answers_nothing_is_stuck_itself() -> None:
    at_s, told = judged(turn_s=0.1, echo_s=1e9)
    assert told == "the process of the planner on Ray was silent for 8 s"
    assert at_s == pytest.approx(8.0, abs=0.11)
