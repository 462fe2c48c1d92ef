"""How long runs are guessed to take."""

from scheduler.placement import run_times
from scheduler.placement.model import Option, RunHistory
from scheduler.placement.run_times import RecentRuns

OPTION = Option("a", 4, 1, 1_000)


def ran(used_ms: int, who: str = "e1", user: str = "", **shape: int) -> RunHistory:
    """A run of the option, or of one that differs from it."""
    option = OPTION._replace(**shape)  # type: ignore[arg-type]
    return RunHistory(who, user, option.flavor, option.units, option.wall_ms, used_ms)


def told(*runs: RunHistory) -> RecentRuns:
    """What was learned from these, in order."""
    made = RecentRuns()
    for run in runs:
        made.learn(run)
    return made


def test_the_last_two_of_the_shape_count() -> None:
    assert RecentRuns().predict("e1", "", OPTION) is None
    assert told(ran(900)).predict("e1", "", OPTION) == 900
    assert told(ran(900), ran(100), ran(300)).predict("e1", "", OPTION) == 200


def test_a_users_own_runs_count_before_those_of_others() -> None:
    learned = told(ran(100, user="ann"), ran(800, user="bob"), ran(600, user="bob"))
    assert learned.predict("e1", "ann", OPTION) == 100
    assert learned.predict("e1", "eve", OPTION) == 700
    assert learned.predict("e1", "", OPTION) == 700


def test_other_shapes_tell_which_part_of_the_limit_is_used() -> None:
    learned = told(*(ran(part * 100, units=1, wall_ms=1_000) for part in (9, 2, 3)))
    assert learned.predict("e1", "", OPTION) == 300 * 1_000 // 1_000 - 1  # 3/10 in 1/65536
    assert learned.predict("e1", "", OPTION._replace(flavor="b")) is None
    assert learned.predict("e2", "", OPTION) is None


def test_a_guess_never_exceeds_the_limit_and_is_never_nothing() -> None:
    assert told(ran(5_000)).predict("e1", "", OPTION) == 1_000
    assert told(ran(0)).predict("e1", "", OPTION) == 1


def test_of_too_many_shapes_those_that_were_not_seen_for_longest_go() -> None:
    learned = RecentRuns()
    learned.learn(ran(500))
    for units in range(10, 10 + run_times._SHAPES_MAX):
        learned.learn(ran(100, units=units))
    assert len(learned._shapes) == run_times._SHAPES_MAX
    assert learned.predict("e1", "", OPTION) == 99  # as parts of limits, no more by its shape
