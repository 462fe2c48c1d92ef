"""Numbers of replicas: which one is given out, and that no two have the same."""

from scheduler.domain.ids import REPLICA_BITS, IdGenerator, replica_of
from scheduler.store.replicas import SILENT_MS, choose

ALL = 1 << REPLICA_BITS
NOW_MS = 10_000_000


def test_numbers_that_nobody_had_come_first() -> None:
    assert choose([], NOW_MS) == 0
    assert choose([(0, 1, True), (2, 1, True)], NOW_MS) == 1


def test_then_the_one_that_was_used_least_recently() -> None:
    known = [(number, NOW_MS - number, True) for number in range(ALL)]
    assert choose(known, NOW_MS) == ALL - 1


def test_never_one_of_a_replica_that_lives_or_was_silent_for_a_moment() -> None:
    silent = [(number, NOW_MS - SILENT_MS, False) for number in range(ALL)]
    assert choose(silent, NOW_MS) is None
    assert choose(silent, NOW_MS + 1) == 0


def test_ids_go_on_under_another_number() -> None:
    ids = IdGenerator(3, lambda: 1_790_000_000_000)
    first = ids.next()
    ids.renumber(9)
    second = ids.next()
    assert (replica_of(first), replica_of(second)) == (3, 9)
    assert second > first
