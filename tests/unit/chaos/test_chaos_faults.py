"""Decks have every kind of fault; what goes together can both come to its event."""

import pytest

from tests.chaos.faults import FAULTS, KINDS, RESTART, may_go_together, quick, rounds


@pytest.mark.parametrize("seed", range(20))
def test_each_fault_of_a_deck_is_done_once(seed: int) -> None:
    deck = quick(seed)
    done = [one for faults in rounds(deck) for one in faults]
    assert sorted(done, key=FAULTS.index) == sorted(deck, key=FAULTS.index)
    assert {one.kind for one in done} == set(KINDS)
    assert len({(one.kind, one.area) for one in FAULTS}) == len(deck)


@pytest.mark.parametrize("seed", range(20))
def test_two_of_a_round_are_of_areas_apart_and_a_database_away_is_waited_for_first(
    seed: int,
) -> None:
    pairs = [faults for faults in rounds(quick(seed)) if len(faults) == 2]
    assert pairs
    for one, other in pairs:
        assert may_go_together(one, other)
        assert one.area != other.area
        assert other.area != "database"


def test_faults_have_names_of_their_own() -> None:
    assert len({(one.kind, one.name) for one in FAULTS}) == len(FAULTS)
    assert any(one.kind == RESTART for one in FAULTS)
