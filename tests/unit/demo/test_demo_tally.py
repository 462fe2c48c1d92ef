"""Bookkeeping of a watch: counts by state, open settlements, and a feed that is out of order."""

import pytest
from corridor.v1 import job_pb2 as pb

from scheduler.demo.tally import Tally

QUEUED, ADMITTED = pb.JOB_STATE_QUEUED, pb.JOB_STATE_ADMITTED
RUNNING, DONE = pb.JOB_STATE_RUNNING, pb.JOB_STATE_SUCCEEDED


def event(sequence: int, job: str, kind: str, state: int, **detail: str) -> pb.JobEvent:
    made = pb.JobEvent(sequence=sequence, job_id=job, kind=kind, detail=detail)
    made.state = state  # type: ignore[assignment]
    return made


WAY = [
    event(1, "j1", "SUBMITTED", QUEUED),
    event(2, "j2", "SUBMITTED", QUEUED),
    event(3, "j1", "ADMITTED", ADMITTED),
    event(5, "j1", "RUN_STARTED", RUNNING),
    event(6, "j1", "RUN_ENDED", QUEUED, failure="NODE"),
    event(7, "j1", "SETTLED", QUEUED),
    event(8, "j1", "ADMITTED", ADMITTED),
    event(9, "j1", "SUCCEEDED", DONE),
    event(10, "j1", "SETTLED", DONE),
]


@pytest.mark.parametrize(
    ("events", "waiting", "active", "ended", "unfinished"),
    [
        (2, 2, 0, 0, ["j1", "j2"]),
        (4, 1, 1, 0, ["j1", "j2"]),
        (6, 2, 0, 0, ["j1", "j2"]),
        (8, 1, 0, 1, ["j1", "j2"]),  # ended, its hold is open
        (9, 1, 0, 1, ["j2"]),
    ],
)
def test_counts_follow_the_events(
    events: int, waiting: int, active: int, ended: int, unfinished: list[str]
) -> None:
    tally = Tally()
    tally.take(WAY[:events])
    assert (tally.waiting, tally.active, tally.ended) == (waiting, active, ended)
    assert tally.unfinished() == unfinished


def test_failures_are_counted_by_class() -> None:
    tally = Tally()
    tally.take(WAY)
    assert tally.failures == {"NODE": 1}
    assert tally.kinds["ADMITTED"] == 2
    assert tally.unsettled == 0
    assert tally.count(DONE) == 1


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (event(10, "j2", "ADMITTED", ADMITTED), "event 10 came after 10"),
        (event(11, "j1", "REQUEUED", QUEUED), "left its final state"),
    ],
)
def test_a_feed_that_breaks_its_promises_is_an_error(event: pb.JobEvent, problem: str) -> None:
    tally = Tally()
    tally.take(WAY)
    with pytest.raises(ValueError, match=problem):
        tally.take([event])
