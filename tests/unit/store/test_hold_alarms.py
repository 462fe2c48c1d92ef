"""Holds of runs whose outcome is unknown: kept, told of once, resolved by what becomes known."""

import json

import pytest

from adapters.contract import Phase
from scheduler.domain.reports import never_taken, silent
from scheduler.store import alarms
from scheduler.store.leader import Fenced, take_over
from tests.simulation.hands import Hands
from tests.simulation.world import job
from tests.unit.store.ingest_hands import cancel, running, without_programmes

pytestmark = pytest.mark.usefixtures("each_store")

HALF_AN_HOUR_MS = 1_800_000


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return without_programmes()


def look(it: Hands) -> int:
    """As housekeeping does."""
    before_ms = it.clock.ms - HALF_AN_HOUR_MS
    if not it.db.read_sync(lambda c: alarms.any_due(c, before_ms)):
        return 0
    return it.db.do(lambda c: alarms.raise_due(c, it.epoch, before_ms, it.clock.ms))


def told(it: Hands, uid: int) -> list[dict[str, str]]:
    """What was said of a job's holds."""
    rows = it.db.rows(
        f"SELECT detail FROM event WHERE job_uid = {uid} AND kind = 'HOLD_ALARM' ORDER BY seq"
    )
    return [json.loads(detail) for (detail,) in rows]


def test_it_is_told_once_and_only_after_half_an_hour(it: Hands) -> None:
    uid = running(it)
    it.report(silent(uid, 1, "no answer"))
    since_ms = it.clock.ms
    it.clock.ms += HALF_AN_HOUR_MS - 1
    assert look(it) == 0
    it.clock.ms += 1
    assert look(it) == 1
    it.clock.ms += 10 * HALF_AN_HOUR_MS
    assert look(it) == 0, "it was told before"
    assert told(it, uid) == [{"center": "ai", "held_fen": "133", "since_ms": str(since_ms)}]
    assert it.db.rows("SELECT state, gross_fen FROM hold") == [("HELD", 133)]
    it.verify()


def test_one_that_was_heard_of_again_and_lost_again_is_told_again(it: Hands) -> None:
    uid = running(it)
    it.report(silent(uid, 1, "no answer"))
    it.clock.ms += HALF_AN_HOUR_MS
    assert look(it) == 1
    it.report(it.seen(uid, Phase.RUNNING, 1))
    assert look(it) == 0
    it.report(silent(uid, 1, "no answer"))
    assert look(it) == 0
    it.clock.ms += HALF_AN_HOUR_MS
    assert look(it) == 1
    assert len(told(it, uid)) == 2


def test_a_run_that_is_heard_of_is_no_alarm(it: Hands) -> None:
    running(it)
    it.clock.ms += 10 * HALF_AN_HOUR_MS
    assert look(it) == 0


def test_a_leader_that_was_replaced_tells_nothing(it: Hands) -> None:
    uid = running(it)
    it.report(silent(uid, 1, "no answer"))
    it.clock.ms += HALF_AN_HOUR_MS
    it.db.do(lambda c: take_over(c, "another", 0))
    with pytest.raises(Fenced):
        look(it)
    assert told(it, uid) == []


def test_a_cancel_while_the_outcome_is_unknown_keeps_the_hold_until_it_is_known(it: Hands) -> None:
    """Hard case: it ran after all, and costs the seconds that were used."""
    uid = running(it)
    it.report(silent(uid, 1, "no answer"))
    start_ms = it.clock.ms
    cancel(it, uid)
    assert it.db.rows("SELECT state FROM run") == [("UNKNOWN",)]
    assert it.db.rows("SELECT state FROM hold") == [("HELD",)]
    it.clock.ms += HALF_AN_HOUR_MS
    it.report(
        it.seen(
            uid, Phase.CANCELLED, 2, start_ms=start_ms, end_ms=start_ms + 100_000,
            usage=[it.usage(uid, start_ms, start_ms + 100_000)],
        )
    )  # fmt: skip
    assert it.job(uid, "state, gross_fen, settled") == ("CANCELLED", 22, 1)
    assert it.db.rows("SELECT state, posted_fen FROM hold") == [("SETTLED", 22)]
    it.verify()


def test_a_cancel_of_what_was_never_taken_frees_the_hold(it: Hands) -> None:
    """Hard case: its center proves that it never had it."""
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    it.send(uid)
    it.report(silent(uid, 1, "the answer was lost"))
    cancel(it, uid)
    assert it.db.rows("SELECT state FROM hold") == [("HELD",)]
    it.report(never_taken(uid, 1, "looked up and not there"))
    assert it.job(uid, "state, gross_fen, settled") == ("CANCELLED", 0, 1)
    assert it.db.rows("SELECT state FROM hold") == [("VOIDED",)]
    it.verify()


def test_ages_of_holds_are_told_by_the_state_of_their_runs(it: Hands) -> None:
    first_ms = it.clock.ms
    silent_one = running(it)
    it.clock.ms += 5_000
    running(it)
    ended = running(it)
    it.report(silent(silent_one, 1, "no answer"))
    it.end(ended, 10, metered=False)
    [(end_ms,)] = it.db.rows("SELECT end_ms FROM run WHERE end_ms IS NOT NULL")
    assert it.db.read_sync(alarms.ages) == [
        alarms.Aged("ENDED", 1, end_ms),
        alarms.Aged("RUNNING", 1, first_ms + 5_000),
        alarms.Aged("UNKNOWN", 1, first_ms),
    ]
