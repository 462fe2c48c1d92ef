"""What an ended job used, however the center states it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import FailureClass
from adapters.modelarts.job import BadJob, Job, read_job
from adapters.modelarts.usage import DURATION, RECORDS, Metered, digest, metered
from tests.unit.adapters.modelarts_fake import NOW_MS, job_json

S = NOW_MS // 1000


def job(phase: str = "Completed", **status: Any) -> Job:
    return read_job(job_json("id-1", "corridor-j1_1", phase, **status))


def used(made: Job) -> Metered:
    found = metered(made, "j1.1", 8)
    assert found is not None
    return found


def test_records_are_segments_in_seconds_from_the_cards_start_on() -> None:
    records = [
        {"start_at": S, "xpu_start_at": S + 5, "end_at": S + 65, "end_recover": "job_reschedule"},
        {"start_at": S + 100, "end_at": S + 220},
    ]
    found = used(job(start_time=NOW_MS, duration=180_000, running_records=records))
    assert [(one.start_ms - NOW_MS, one.end_ms - NOW_MS) for one in found.segments] == [
        (5_000, 65_000), (100_000, 220_000),
    ]  # fmt: skip
    assert [one.failure for one in found.segments] == [FailureClass.NODE, None]
    assert [(one.segment, one.units, one.source) for one in found.segments] == [
        (1, 8, RECORDS), (2, 8, RECORDS),
    ]  # fmt: skip
    assert found.apart_ms == 0


@pytest.mark.parametrize(("duration", "apart"), [(600_000, 0), (605_000, 0), (0, 0), (608_000, 1)])
def test_two_statements_that_differ_are_both_kept_and_flagged(duration: int, apart: int) -> None:
    record = {"start_at": S, "end_at": S + 600}
    found = used(job(start_time=NOW_MS, duration=duration, running_records=[record]))
    assert bool(found.apart_ms) is bool(apart)
    (segment,) = found.segments
    assert segment.end_ms - segment.start_ms == 600_000  # the records decide
    assert (f"duration {duration} ms" in segment.source) is bool(apart)


def test_without_records_the_duration_counts() -> None:
    found = used(job(start_time=NOW_MS + 400, duration=61_500))
    (segment,) = found.segments
    assert (segment.start_ms, segment.end_ms) == (NOW_MS + 400, NOW_MS + 61_900)
    assert segment.source == DURATION


@pytest.mark.parametrize(
    "status",
    [
        {"start_time": NOW_MS, "running_records": [{"start_at": S}]},
        {"start_time": NOW_MS, "running_records": [{"start_at": S, "end_at": 0}]},
        {"start_time": NOW_MS},
    ],
)
def test_what_is_not_stated_yet_is_not_guessed(status: dict[str, Any]) -> None:
    assert metered(job(**status), "j1.1", 8) is None


def test_an_active_job_has_no_use_yet() -> None:
    record = {"start_at": S, "end_at": S + 60}
    assert metered(job("Running", running_records=[record]), "j1.1", 8) is None
    assert metered(job("Abnormal", running_records=[record]), "j1.1", 8) is None


def test_a_job_that_never_began_used_nothing() -> None:
    assert used(job("Failed")).segments == ()
    assert used(job("Terminated", running_records=[{"start_at": 0, "end_at": 0}])).segments == ()


def test_less_than_a_second_is_told_by_the_duration() -> None:
    status: dict[str, Any] = {"start_time": NOW_MS, "duration": 700, "running_records": [
        {"start_at": S, "end_at": S, "end_reason": "node fault"}]}  # fmt: skip
    (segment,) = used(job(**status)).segments
    assert segment.end_ms - segment.start_ms == 700
    assert segment.failure is FailureClass.NODE


def test_the_digest_is_of_what_says_the_use_and_of_nothing_that_moves() -> None:
    raw = job_json("id-1", "corridor-j1_1", "Completed", start_time=NOW_MS, duration=61_500)
    before = digest(read_job(raw))
    raw["status"]["retention_time"] = 7
    raw["metadata"]["description"] = "changed at the console"
    assert digest(read_job(raw)) == before
    raw["status"]["duration"] = 61_501
    assert digest(read_job(raw)) != before


@given(
    starts=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), max_size=4),
    duration=st.integers(0, 10**7),
    start=st.sampled_from((0, NOW_MS + 321)),
)
def test_use_lies_within_the_run_whatever_is_stated(
    starts: list[tuple[int, int]], duration: int, start: int
) -> None:
    records = [{"start_at": S + 1 + a, "end_at": S + 1 + a + b} for a, b in starts]
    made = job(start_time=start, duration=duration, running_records=records)
    found = metered(made, "j1.1", 8)
    assert made.submit_ms <= made.begin_ms <= made.finish_ms or not made.begin_ms
    for segment in found.segments if found is not None else ():
        assert made.begin_ms <= segment.start_ms <= segment.end_ms <= made.finish_ms


#: Anything that JSON can hold.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
FIELDS = ("phase", "secondary_phase", "start_time", "duration", "running_records", "task_statuses",
          "tasks")  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING), ANYTHING, ANYTHING)
def test_a_job_with_odd_parts_is_still_that_job(
    status: dict[str, Any], spec: object, algorithm: object
) -> None:
    raw = {**job_json("id-1", "corridor-j1_1"), "status": status, "spec": spec}
    made = read_job({**raw, "algorithm": algorithm})
    assert (made.native_id, made.name, made.create_ms) == ("id-1", "corridor-j1_1", NOW_MS)
    metered(made, "j1.1", 8)


@pytest.mark.parametrize("raw", [None, [], {}, {"metadata": {"id": 7, "name": "x"}}])
def test_what_has_no_id_or_name_is_no_job(raw: object) -> None:
    with pytest.raises(BadJob):
        read_job(raw)
