"""Ids of jobs: in order of time, unique over restarts, and back from their text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.ids import EPOCH_MS, IdGenerator, job_id, job_uid, parse_run_id, run_id

MOMENT = EPOCH_MS + 90_000_000_000


@given(
    steps_ms=st.lists(st.integers(-5_000, 5_000), min_size=1, max_size=20),
    counts=st.lists(st.integers(1, 9_000), min_size=1, max_size=4),
)
def test_ids_rise_whatever_the_clock_does(steps_ms: list[int], counts: list[int]) -> None:
    now_ms = MOMENT
    generator = IdGenerator(3, lambda: now_ms)
    made: list[int] = []
    for step_ms in steps_ms:
        now_ms += step_ms
        for count in counts:
            made += generator.take(count)
    assert made == sorted(set(made))


@given(
    step_ms=st.integers(-10_000_000, 10_000_000),
    before=st.integers(1, 20_000),
    replicas=st.tuples(st.integers(0, 255), st.integers(0, 255)),
)
def test_ids_after_a_restart_are_above_all_before(
    step_ms: int, before: int, replicas: tuple[int, int]
) -> None:
    last = IdGenerator(replicas[0], lambda: MOMENT).take(before)[-1]
    assert IdGenerator(replicas[1], lambda: MOMENT + step_ms, last).next() > last


def test_replicas_never_make_the_same_id() -> None:
    first, second = (IdGenerator(replica, lambda: MOMENT).take(10_000) for replica in (0, 1))
    assert not set(first) & set(second)


@given(st.integers(0, (1 << 63) - 1), st.integers(1, 99))
def test_texts_and_ids_are_one(uid: int, attempt: int) -> None:
    assert job_uid(job_id(uid)) == uid
    assert parse_run_id(run_id(uid, attempt)) == (uid, attempt)


@given(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 63) - 1))
def test_texts_sort_as_ids(one: int, other: int) -> None:
    assert (job_id(one) < job_id(other)) == (one < other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "j",
        "k0000000000000",
        "j000000000000",
        "j00000000000000",
        "j000000000000i",
        "jzzzzzzzzzzzzz",
        "j7zzzzzzzzzzzz[1048576]",  # beyond the 63 bits
    ],
)
def test_what_is_no_job_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a job id"):
        job_uid(text)


@pytest.mark.parametrize("index", ["", "-1", "x", "1048577", "00000000999999999999999999"])
def test_what_is_no_element_is_refused(index: str) -> None:
    with pytest.raises(ValueError, match="is not an element"):
        job_uid(f"j0000000000000[{index}]")


@pytest.mark.parametrize(
    "text",
    [
        "j0000000000000", "j0000000000000.", "j0000000000000.0", "x.1",
        "j0000000000000.2147483648", "j0000000000000." + "9" * 5_000,
    ],
)  # fmt: skip
def test_what_is_no_run_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a (run|job) id"):
        parse_run_id(text)
