"""Arrays: how their end follows, ids of elements, and that blocks of ids never meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.arrays import ARRAY_MOVES, counts_text, end_of, room
from scheduler.domain.ids import (
    EPOCH_MS,
    IdGenerator,
    element_index,
    element_uid,
    job_id,
    job_uid,
    replica_of,
    tick_of,
    uid_of_tick,
)
from scheduler.domain.states import JOB_TERMINAL, JobState

S, F, C, E = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED
MOMENT = EPOCH_MS + 90_000_000_000


@pytest.mark.parametrize(
    ("counts", "cancelled", "end"),
    [
        ({S: 3}, False, S),
        ({S: 3, F: 0}, False, S),
        ({S: 3}, True, S),
        ({S: 9_999, F: 1}, False, F),
        ({S: 2, C: 1}, False, F),
        ({S: 2, C: 1}, True, C),
        ({F: 2}, False, F),
        ({C: 4}, False, C),
        ({E: 4}, False, E),
        ({E: 4, C: 1}, False, F),
        ({S: 1, E: 4}, False, F),
    ],
)
def test_an_array_succeeds_only_if_all_elements_did(
    counts: dict[JobState, int], cancelled: bool, end: JobState
) -> None:
    assert end_of(counts, cancelled) is end


def test_counts_are_said_in_the_order_of_states() -> None:
    assert counts_text({F: 3, S: 7, C: 0}) == "7 SUCCEEDED, 3 FAILED of 10"


@pytest.mark.parametrize(
    ("most", "active", "left"), [(None, 3, 7), (4, 3, 1), (4, 4, 0), (4, 9, 0), (20, 0, 20)]
)
def test_room_is_what_the_limit_leaves(most: int | None, active: int, left: int) -> None:
    assert room(most, 10, active) == left


def test_moves_of_arrays_end_where_moves_of_jobs_end() -> None:
    assert {state for state, to in ARRAY_MOVES.items() if not to} == JOB_TERMINAL


@given(
    st.lists(st.sampled_from([1, 1, 2, 101, 8_192, 10_001]), min_size=1, max_size=12),
    st.integers(0, 255),
)
def test_blocks_of_ids_never_meet(sizes: list[int], replica: int) -> None:
    generator = IdGenerator(replica, lambda: MOMENT)
    uids = generator.take_blocks(sizes) + generator.take(2)
    ends = [
        element_uid(uid, size - 2) if size > 1 else uid
        for uid, size in zip(uids, [*sizes, 1, 1], strict=True)
    ]
    for end, begin in zip(ends, uids[1:], strict=False):
        assert end < begin
        assert tick_of(begin) == tick_of(end) + 1, "and none is wasted"


@given(st.integers(0, (1 << 62) - 1), st.integers(0, 9_999))
def test_an_element_is_found_again_from_its_array(uid: int, index: int) -> None:
    element = element_uid(uid, index)
    assert element > uid
    assert replica_of(element) == replica_of(uid)
    assert element_index(uid, element) == index
    assert uid_of_tick(tick_of(uid), replica_of(uid)) == uid
    assert job_uid(f"{job_id(uid)}[{index}]") == element


@pytest.mark.parametrize("index", ["", "-1", "x", "1.5", "٣", "99999999999"])
def test_what_is_no_index_is_named(index: str) -> None:
    with pytest.raises(ValueError, match="not an element of an array"):
        job_uid(f"{job_id(7)}[{index}]")
