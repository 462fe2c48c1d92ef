"""Reports made durable: monotonic, once, whatever comes late, twice, revised or not at all."""

import pytest

from adapters.contract import FailureClass, Phase
from quota.rules import Rule
from scheduler.domain.reports import metered, never_taken, refused, silent, vanished
from scheduler.domain.retries import RetryLimit
from scheduler.store import runs
from scheduler.store.leader import Fenced, take_over
from scheduler.store.run_changes import by_day
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job
from tests.unit.store.ingest_hands import DAY_MS, cancel, running, without_programmes


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return without_programmes()


def units_held(it: Hands) -> int:
    """Units that count against quotas."""
    return int(it.db.rows("SELECT sum(used_units) FROM city_quota")[0][0])


# --- the way of a run -----------------------------------------------------------------------------


def test_a_job_goes_its_way_and_is_charged_for_its_seconds(it: Hands) -> None:
    uid = running(it)
    it.clock.ms += 100
    it.end(uid, 100)
    assert it.job(uid, "state, settled, gross_fen, self_pay_fen") == ("SUCCEEDED", 1, 22, 22)
    assert it.kinds(uid) == [
        "SUBMITTED", "ADMITTED", "RUN_SUBMITTED", "RUN_ACCEPTED", "RUN_STARTED", "RUN_ENDED",
        "SUCCEEDED", "SETTLED",
    ]  # fmt: skip
    assert units_held(it) == 0
    it.verify()


def test_the_same_reports_again_change_nothing(it: Hands) -> None:
    uid = running(it)
    started = it.seen(uid, Phase.RUNNING, 1, start_ms=it.clock.ms)
    start_ms = it.clock.ms
    it.end(uid, 100)
    ended = it.seen(
        uid, Phase.SUCCEEDED, 2, start_ms=start_ms, end_ms=start_ms + 100_000,
        usage=[it.usage(uid, start_ms, start_ms + 100_000)],
    )  # fmt: skip
    before = it.db.rows("SELECT * FROM event"), it.db.rows("SELECT * FROM transfer")
    for report in (started, ended, vanished(uid, 1), silent(uid, 1, "?"), never_taken(uid, 1, "?")):
        result = it.report(report)
        assert result.done == [(uid, 1)]
    assert (it.db.rows("SELECT * FROM event"), it.db.rows("SELECT * FROM transfer")) == before
    assert it.job(uid, "state, gross_fen") == ("SUCCEEDED", 22)


def test_an_older_observation_that_comes_late_is_ignored(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    it.send(uid)
    it.report(it.seen(uid, Phase.RUNNING, 5, start_ms=it.clock.ms))
    it.report(it.seen(uid, Phase.WAITING, 4))
    assert it.db.rows("SELECT state, sequence FROM run") == [("RUNNING", 5)]
    it.report(silent(uid, 1, "no answer"))
    it.report(it.seen(uid, Phase.WAITING, 4))
    assert it.db.rows("SELECT state, sequence FROM run") == [("UNKNOWN", 5)]


def test_a_run_nobody_knows_is_to_be_forgotten(it: Hands) -> None:
    assert it.report(silent(12345, 1, "?")).done == [(12345, 1)]


def test_a_replaced_leader_reports_nothing(it: Hands) -> None:
    uid = running(it)
    it.db.do(lambda c: take_over(c, "another", 0))
    for write in (lambda: it.report(vanished(uid, 1)), lambda: it.send(uid)):
        with pytest.raises(Fenced):
            write()
    with pytest.raises(Fenced):
        it.db.do(lambda c: runs.expire(c, it.epoch, it.clock.ms))


# --- endings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "state", "billed"),
    [
        (FailureClass.USER_CODE, "FAILED", True),
        (FailureClass.OUT_OF_MEMORY, "FAILED", True),
        (FailureClass.TIME_LIMIT, "FAILED", True),
        (FailureClass.NODE, "QUEUED", False),
        (FailureClass.CENTER, "QUEUED", False),
    ],
)
def test_who_pays_for_a_failure_and_who_tries_again(
    it: Hands, failure: FailureClass, state: str, billed: bool
) -> None:
    uid = running(it)
    it.end(uid, 100, Phase.FAILED, failure)
    assert it.job(uid, "state, gross_fen") == (state, 22 if billed else 0)
    assert it.db.rows("SELECT billed, gross_fen FROM rated_line") == [(billed, 22 * billed)]
    it.verify()


def test_work_that_the_platform_evicted_is_not_billed_and_waits_again(it: Hands) -> None:
    uid = running(it)
    it.end(uid, 100, Phase.PREEMPTED, FailureClass.PREEMPTED)
    assert it.job(uid, "state, gross_fen") == ("QUEUED", 0)
    assert it.job(uid, "not_before_ms") > it.clock.ms


def test_the_last_attempt_fails_the_job(it: Hands) -> None:
    uid = running(it, attempts_max=1)
    it.end(uid, 100, Phase.FAILED, FailureClass.NODE)
    assert it.job(uid, "state, failure_class") == ("FAILED", "NODE")


def test_a_class_with_a_limit_is_tried_again_as_often_as_it_says(it: Hands) -> None:
    limits = [RetryLimit(FailureClass.NODE, 1), RetryLimit(FailureClass.USER_CODE, 1)]
    uid = running(it, attempts_max=9, retry_limits=limits)

    def fails(failure: FailureClass) -> str:
        it.end(uid, 100, Phase.FAILED, failure)
        state: str = it.job(uid, "state")
        if state == "QUEUED":
            it.clock.ms = it.job(uid, "not_before_ms")
            it.run(uid)
        return state

    assert [fails(FailureClass.NODE), fails(FailureClass.LOST)] == ["QUEUED", "QUEUED"]
    assert [fails(FailureClass.USER_CODE), fails(FailureClass.LOST)] == ["QUEUED", "QUEUED"]
    assert it.job(uid, "failures") == "LOST:2,NODE:1,USER_CODE:1"
    assert fails(FailureClass.NODE) == "FAILED"
    it.verify()


def test_what_costs_no_attempt_uses_up_no_limit(it: Hands) -> None:
    limits = [RetryLimit(FailureClass.CENTER, 1)]
    [uid] = it.world.submit("w1", [job(retry_limits=limits)])
    it.admit(uid)
    it.send(uid)
    it.report(never_taken(uid, 1, "not taken"))
    assert it.job(uid, "state, failures") == ("QUEUED", "")


def test_a_center_that_refuses_ends_the_job_unbilled(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    it.send(uid)
    it.report(refused(uid, 1, "TOO_LARGE", "too large"))
    assert it.job(uid, "state, failure_class, message, settled, gross_fen") == (
        "FAILED", "REJECTED_BY_CENTER", "TOO_LARGE: too large", 1, 0,
    )  # fmt: skip
    assert units_held(it) == 0


@pytest.mark.parametrize("attempts_max", [1, 3])
def test_a_run_that_was_never_taken_costs_no_attempt(it: Hands, attempts_max: int) -> None:
    """Whatever the retry policy: the job did nothing wrong, and nothing has run."""
    [uid] = it.world.submit("w1", [job(attempts_max=attempts_max, retry_on=frozenset())])
    for _ in range(3):
        it.admit(uid)
        it.send(uid)
        it.report(never_taken(uid, it.attempt(uid), "not taken"))
        assert it.job(uid, "state") == "QUEUED"
        it.clock.ms = it.job(uid, "not_before_ms")
    assert units_held(it) == 0
    it.verify()


def test_a_vanished_run_is_lost_unbilled_and_tried_again(it: Hands) -> None:
    uid = running(it)
    it.clock.ms += 100_000
    it.report(vanished(uid, 1))
    assert it.db.rows("SELECT state, failure_class FROM run") == [("LOST", "LOST")]
    assert it.job(uid, "state, gross_fen, settled") == ("QUEUED", 0, 0)


def test_one_that_vanishes_after_its_end_keeps_its_end(it: Hands) -> None:
    uid = running(it)
    it.end(uid, 100, metered=False)
    it.report(vanished(uid, 1))
    assert it.job(uid, "state, settled") == ("SUCCEEDED", 0)


# --- silence and cancelling -----------------------------------------------------------------------


def test_a_silent_center_frees_nothing_and_starts_nothing_again(it: Hands) -> None:
    uid = running(it, units=3)
    before = it.db.rows("SELECT sum(debits_pending) FROM account")
    it.report(silent(uid, 1, "no answer"))
    assert it.db.rows("SELECT state, message FROM run") == [("UNKNOWN", "no answer")]
    assert it.job(uid, "state, message") == ("RUNNING", "")
    assert units_held(it) == 3
    assert it.db.rows("SELECT sum(debits_pending) FROM account") == before
    it.report(it.seen(uid, Phase.RUNNING, 1, start_ms=it.clock.ms))
    assert it.db.rows("SELECT state, message FROM run") == [("RUNNING", "")]


def test_a_cancel_while_nothing_is_known_waits_for_the_centers_word(it: Hands) -> None:
    uid = running(it)
    it.report(silent(uid, 1, "no answer"))
    cancel(it, uid)
    assert it.job(uid, "state, cancel_requested") == ("RUNNING", 1)
    assert units_held(it) == 1
    it.end(uid, 50, Phase.CANCELLED)
    assert it.job(uid, "state, gross_fen, settled") == ("CANCELLED", 11, 1)


@pytest.mark.parametrize("failure", [FailureClass.NODE, FailureClass.PREEMPTED])
def test_a_job_to_be_cancelled_is_never_tried_again(it: Hands, failure: FailureClass) -> None:
    uid = running(it)
    cancel(it, uid)
    it.end(uid, 50, Phase.FAILED, failure)
    assert it.job(uid, "state") == "CANCELLED"


def test_one_cancelled_before_it_was_sent_ends_unsent_and_unbilled(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    cancel(it, uid)
    sends, ended = it.send(uid)
    assert (sends, ended.done) == ([], [(uid, 1)])
    assert it.job(uid, "state, gross_fen, settled") == ("CANCELLED", 0, 1)
    assert it.kinds(uid)[-3:] == ["RUN_ENDED", "CANCELLED", "SETTLED"]
    assert units_held(it) == 0
    it.verify()


def test_what_a_center_once_had_is_never_sent_again(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    it.send(uid)
    it.accept(uid)
    it.report(silent(uid, 1, "no answer"))
    sends, ended = it.send(uid)
    assert (sends, ended.done) == ([], [])
    assert it.db.rows("SELECT state FROM run") == [("UNKNOWN",)]


def test_what_was_never_taken_is_sent_again_under_the_same_name(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    it.send(uid)
    it.report(silent(uid, 1, "answer lost"))
    sends, _ = it.send(uid, uid)
    assert [(send.uid, send.attempt) for send in sends] == [(uid, 1)]
    assert it.kinds(uid).count("RUN_SUBMITTED") == 1


# --- use, money back, requeueing ------------------------------------------------------------------


def test_use_is_counted_by_the_days_it_lay_in(it: Hands) -> None:
    it.clock.ms = 20_000 * DAY_MS + DAY_MS - 10_500
    [uid] = it.world.submit("w1", [job(units=2, wall_s=10**6)])
    it.run(uid)
    it.end(uid, 2 * 86_400, units=2)
    assert it.db.rows("SELECT day, unit_seconds FROM enterprise_usage ORDER BY day") == [
        (20_000, 2 * 10), (20_001, 2 * 86_400), (20_002, 2 * (86_400 - 10)),
    ]  # fmt: skip


@pytest.mark.parametrize(("start", "end"), [(0, 0), (5, 5 * DAY_MS + 1_999), (DAY_MS, DAY_MS + 1)])
def test_days_add_up_to_the_whole(start: int, end: int) -> None:
    parts = list(by_day(start, end))
    assert sum(seconds for _, seconds in parts) == (end - start) // 1000
    assert all(0 < seconds <= 86_400 for _, seconds in parts)


def test_a_queued_job_shows_its_last_run_and_a_new_one_begins_afresh(it: Hands) -> None:
    uid = running(it)
    start_ms = it.clock.ms
    it.end(uid, 100, Phase.FAILED, FailureClass.NODE)
    assert it.job(uid, "state, start_ms, end_ms, failure_class") == (
        "QUEUED", start_ms, None, "NODE",
    )  # fmt: skip
    it.clock.ms = it.job(uid, "not_before_ms")
    it.admit(uid)
    assert it.job(uid, "state, start_ms, failure_class, message") == ("ADMITTED", None, None, "")


def test_money_that_comes_back_names_its_cities() -> None:
    rules = ((Rule("c", 1, "corridor", 1000), 10**6),)
    it = Hands(worlds.build(rules=rules))
    exact, early = it.world.submit("w1", [job(), job()])
    it.run(exact, early)
    start_ms = it.clock.ms
    it.clock.ms += 600_000
    ends = [
        it.seen(
            uid, Phase.SUCCEEDED, 2, start_ms=start_ms, end_ms=start_ms + 1000 * seconds,
            usage=[it.usage(uid, start_ms, start_ms + 1000 * seconds)],
        )
        for uid, seconds in ((exact, 600), (early, 300))
    ]  # fmt: skip
    assert it.report(ends[0]).cities == set(), "all that was held was used"
    assert it.report(ends[1]).cities == set(worlds.CITIES), "money of the corridor is for all"


@pytest.mark.parametrize("finishes", [False, True])
def test_a_queue_deadline_is_met_once_a_run_began(it: Hands, finishes: bool) -> None:
    """What is tried again or gave way is not given up for it; by its finish_by it is."""
    [uid] = it.world.submit("w1", [job(wall_s=600)])
    soon_ms, late_ms = it.clock.ms + 1_000, it.clock.ms + 10**7
    finish = f", finish_by_ms = {late_ms}" if finishes else ""
    it.db.do(lambda c: c.exec_driver_sql(f"UPDATE job SET deadline_ms = {soon_ms}{finish}"))
    it.run(uid)
    it.end(uid, 100, Phase.FAILED, FailureClass.NODE)
    it.clock.ms = it.job(uid, "not_before_ms")
    assert it.db.do(lambda c: runs.expire(c, it.epoch, it.clock.ms)) == 0
    assert it.job(uid, "state") == "QUEUED"
    latest_ms = late_ms - 600_000 + 1
    assert it.job(uid, "deadline_ms") == (latest_ms if finishes else None)
    assert it.db.do(lambda c: runs.expire(c, it.epoch, latest_ms)) == finishes


def test_one_that_no_center_began_is_given_up_at_its_deadline(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.db.do(lambda c: c.exec_driver_sql(f"UPDATE job SET deadline_ms = {it.clock.ms + 1}"))
    it.admit(uid)
    it.send(uid)
    it.report(never_taken(uid, 1, "not taken"))
    assert it.db.do(lambda c: runs.expire(c, it.epoch, it.clock.ms + 1)) == 1


def test_a_job_that_expires_with_an_unmetered_run_is_settled_by_it(it: Hands) -> None:
    uid = running(it, retry_on=frozenset({FailureClass.USER_CODE}))
    start_ms = it.clock.ms
    it.end(uid, 100, Phase.FAILED, FailureClass.USER_CODE, metered=False)
    it.db.do(lambda c: c.exec_driver_sql(f"UPDATE job SET deadline_ms = {it.clock.ms}"))
    assert it.db.do(lambda c: runs.expire(c, it.epoch, it.clock.ms)) == 1
    assert it.job(uid, "state, settled") == ("EXPIRED", 0)
    usage = [it.usage(uid, start_ms, start_ms + 100_000)]
    it.report(it.seen(uid, Phase.FAILED, 2, failure=FailureClass.USER_CODE, usage=usage))
    assert it.job(uid, "state, settled, gross_fen") == ("EXPIRED", 1, 22)
    it.verify()


def test_units_go_back_to_the_flavor_they_came_from(it: Hands) -> None:
    uids = it.world.submit("w1", [job(units=2), job(worlds.CPU, 16, nodes=2)])
    it.run(*uids)
    it.end(uids[0], 10, units=2)
    assert it.db.rows("SELECT flavor, used_units FROM enterprise_quota ORDER BY flavor") == [
        (NPU, 0), (worlds.CPU, 32),
    ]  # fmt: skip


def test_use_alone_settles_a_run_that_has_ended_and_no_other(it: Hands) -> None:
    uid = running(it)
    it.report(metered(uid, 1, ()))
    assert it.job(uid, "settled, state") == (False, "RUNNING"), "it goes on"
    it.end(uid, 60, metered=False)
    assert it.job(uid, "settled, state") == (False, "SUCCEEDED")
    told = it.report(metered(uid, 1, ()))
    assert (it.job(uid, "settled, gross_fen"), told.done) == ((True, 0), [(uid, 1)])
    assert it.kinds(uid)[-1] == "SETTLED"
    it.report(metered(uid, 1, ()))
    assert it.kinds(uid).count("SETTLED") == 1
    it.verify()
