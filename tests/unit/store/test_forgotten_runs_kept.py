"""Runs that their center forgot: as if it had never answered, whatever is reported late."""

import pytest

from adapters.contract import Phase
from scheduler.domain.reports import Report, accepted, forgotten, silent
from scheduler.store import alarms, runs
from tests.simulation.hands import Hands, native
from tests.simulation.world import job
from tests.unit.store.ingest_hands import cancel, without_programmes

FORGOTTEN = "RUN_FORGOTTEN"


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return without_programmes()


def taken(it: Hands) -> tuple[int, Report]:
    """A run that its center took; with the report that it was forgotten."""
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    it.send(uid)
    it.accept(uid)
    return uid, forgotten(uid, 1, native(uid), it.clock.ms)


def run(it: Hands) -> tuple[object, ...]:
    """How the one run is stored."""
    return tuple(
        it.db.rows("SELECT state, native_id, accept_ms IS NULL, sequence, settled_ms FROM run")[0]
    )


def test_a_forgotten_run_is_unknown_holds_what_it_held_and_is_sent_again(it: Hands) -> None:
    uid, report = taken(it)
    it.report(it.seen(uid, Phase.WAITING, 7))
    result = it.report(report)
    assert (result.forgotten, result.done) == (["ai"], [])
    assert run(it) == ("UNKNOWN", "", 1, 0, None)
    assert it.job(uid, "state") == "ADMITTED"
    assert it.db.rows("SELECT sum(used_units) FROM city_quota") == [(1,)]
    assert it.db.rows("SELECT state FROM hold") == [("HELD",)]
    [(open_run)] = it.db.read_sync(runs.open_runs)
    assert (open_run.taken, open_run.begun, open_run.native_id, open_run.submit_ms) == (
        False, False, "", 0,
    )  # fmt: skip
    sends, _ = it.send(uid)
    assert [(one.uid, one.fresh) for one in sends] == [(uid, False)]
    it.report(accepted(uid, 1, "another", it.clock.ms + 5))
    it.report(it.seen(uid, Phase.RUNNING, 1, start_ms=it.clock.ms))
    assert it.job(uid, "state") == "RUNNING"
    assert it.kinds(uid).count(FORGOTTEN) == 1
    it.verify()


def test_the_report_again_changes_nothing_once_it_was_taken_again(it: Hands) -> None:
    uid, report = taken(it)
    it.report(report)
    again = it.report(report)
    assert (again.forgotten, it.kinds(uid).count(FORGOTTEN)) == ([], 1)
    it.send(uid)
    it.report(accepted(uid, 1, native(uid), it.clock.ms + 5))  # the id was given out again
    before = run(it)
    assert it.report(report).forgotten == []
    assert run(it) == before == ("ACCEPTED", native(uid), 0, 0, None)


def test_what_was_seen_to_begin_is_not_forgotten(it: Hands) -> None:
    uid, report = taken(it)
    it.report(it.seen(uid, Phase.RUNNING, 1, start_ms=it.clock.ms))
    assert it.report(report).forgotten == []
    it.report(silent(uid, 1, "no answer"))
    assert it.report(report).forgotten == []
    assert run(it)[:3] == ("UNKNOWN", native(uid), 0)


def test_what_ended_or_was_never_taken_is_not_forgotten(it: Hands) -> None:
    uid, report = taken(it)
    it.report(it.seen(uid, Phase.CANCELLED, 2, end_ms=it.clock.ms, usage=[]))
    assert it.report(report).forgotten == []
    [other] = it.world.submit("w1", [job()])
    it.admit(other)
    it.send(other)
    assert it.report(forgotten(other, 1, "", 0)).forgotten == []
    assert it.db.rows(f"SELECT state FROM run WHERE job_uid = {other}") == [("SUBMITTING",)]


def test_who_does_not_know_the_id_may_say_that_it_was_forgotten(it: Hands) -> None:
    uid, _ = taken(it)
    assert it.report(forgotten(uid, 1, "", 0)).forgotten == ["ai"]


def test_one_that_is_to_end_ends_unsent(it: Hands) -> None:
    uid, report = taken(it)
    cancel(it, uid)
    it.report(report)
    sends, ended = it.send(uid)
    assert (sends, ended.done) == ([], [(uid, 1)])
    assert it.job(uid, "state, gross_fen, settled") == ("CANCELLED", 0, 1)
    it.verify()


def test_an_old_word_that_comes_late_is_taken_and_forgotten_anew(it: Hands) -> None:
    """The center had it once; a word of then that comes after all holds the run back, not more."""
    uid, report = taken(it)
    it.report(report)
    it.report(it.seen(uid, Phase.WAITING, 1))
    assert run(it)[:3] == ("ACCEPTED", native(uid), 0)
    assert it.send(uid)[0] == []
    assert it.report(report).forgotten == ["ai"]
    assert len(it.send(uid)[0]) == 1


def test_what_the_center_has_is_the_run_whatever_it_was_called_before(it: Hands) -> None:
    uid, _ = taken(it)
    it.db.do(lambda c: c.exec_driver_sql("UPDATE run SET native_id = 'before', accept_ms = 5"))
    it.report(it.seen(uid, Phase.WAITING, 1))
    assert it.db.rows("SELECT native_id, accept_ms FROM run") == [(native(uid), it.clock.ms)]


def test_who_cannot_be_sent_again_for_long_is_told_of(it: Hands) -> None:
    uid, report = taken(it)
    it.report(report)
    now_ms = it.clock.ms
    assert it.db.read_sync(lambda c: alarms.any_due(c, now_ms))
    assert it.db.do(lambda c: alarms.raise_due(c, it.epoch, now_ms, now_ms)) == 1
    assert it.kinds(uid)[-1] == "HOLD_ALARM"
