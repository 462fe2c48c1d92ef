"""How far the edges of a band move, by how it went."""

from scheduler.placement.calibrating import Calibration


def test_few_starts_teach_nothing() -> None:
    learned = Calibration()
    for _ in range(39):
        learned.note("a", 1_000, 1_000, 5_000)
    assert (learned.earliest("a", 600), learned.latest("a", 600)) == (600, 600)


def test_edges_move_so_far_that_one_start_in_twenty_is_beyond() -> None:
    learned = Calibration()
    for hundredth in range(1, 101):
        learned.note("a", 1_000, 1_000, 20 * hundredth)  # 2 % to 200 % of what was said
    assert 100 <= learned.earliest("a", 1_000) <= 130
    assert 1_880 <= learned.latest("a", 1_000) <= 1_920
    assert learned.latest("b", 1_000) == 1_000


def test_bands_are_only_widened_and_never_without_bound() -> None:
    learned = Calibration()
    for _ in range(400):
        learned.note("a", 100, 1_000, 500)
    assert (learned.earliest("a", 100), learned.latest("a", 1_000)) == (100, 1_000)
    for _ in range(400):  # the last ones count
        learned.note("a", 100, 10, 10_000)
    assert learned.latest("a", 1_000) == 8_000


def test_a_promise_and_a_start_at_once_teach_nothing() -> None:
    learned = Calibration()
    for _ in range(400):
        learned.note("a", 0, None, 10_000)
    assert (learned.earliest("a", 100), learned.latest("a", 100)) == (100, 100)
