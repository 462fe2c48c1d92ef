"""Runs that the platform orders to end: who may be, once each, and what the end then means."""

from typing import Any

import pytest

from adapters.contract import FailureClass, Phase
from scheduler.domain.evicting import EVICTIONS_MAX, START_TRIES_MAX
from scheduler.domain.reports import noticed
from scheduler.placement.model import Eviction
from scheduler.store import centers, evicting, job_commands, leader, runs
from scheduler.store.evicting import Emptying, Late, Orders
from scheduler.store.leader import Fenced
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, OPERATOR, job
from tests.unit.store.evicting_hands import GRACE_MS, order, running, waiting

#: Centers that were heard.
HEARD = ("ai", "sc")
HALF_HOUR_MS = 1_800_000
NOW = Emptying(0, 0)


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return Hands(worlds.build(rules=()))


def tell(it: Hands, uid: int) -> None:
    """The program was told."""
    it.report(noticed(uid, it.attempt(uid)))


def command(it: Hands, what: Any, uid: int) -> None:
    """As people do."""
    by = job_commands.Order(OPERATOR, "test", it.clock.ms, 0)
    it.db.do(lambda c: what(c, [uid], by))


def units_held(it: Hands) -> int:
    """Units that count against quotas."""
    return int(it.db.rows("SELECT sum(used_units) FROM city_quota")[0][0])


def stop(it: Hands, node: str, state: str = "DRAIN") -> None:
    """A city or an enterprise is stopped, as its admin does."""
    kind, _, code = node.partition("/")
    column = {"cities": "city", "enterprises": "enterprise"}[kind]
    it.db.do(
        lambda c: c.exec_driver_sql(
            f"INSERT INTO stop_state (node, {column}, state, reason, actor, role, version,"
            f" updated_ms) VALUES ('{node}', '{code}', '{state}', 'test', 't', 'OPERATOR', 1, 0)"
        )
    )


def drain(it: Hands) -> Orders:
    """Order the end of what is on drained nodes."""
    return it.db.do(lambda c: evicting.drain(c, it.epoch, Emptying(GRACE_MS, it.clock.ms)))


# --- evictions ------------------------------------------------------------------------------------


def test_an_evicted_run_is_not_billed_and_its_job_waits_in_its_old_place(it: Hands) -> None:
    uid = running(it)
    submit_ms = it.job(uid, "submit_ms")
    orders = order(it, uid)
    assert [one[:2] for one in orders.ordered] == [(uid, 1)]
    assert orders.counted == [("wuhan", NPU, "RECLAIM")]
    it.clock.ms += 10_000
    tell(it, uid)
    assert it.db.rows("SELECT evict_deadline_ms FROM run") == [(it.clock.ms + GRACE_MS,)]
    it.end(uid, 200, Phase.CANCELLED)
    assert it.db.rows("SELECT state, failure_class FROM run") == [("PREEMPTED", "PREEMPTED")]
    assert it.job(uid, "message") == "ended to give lent units back; it is not billed"
    assert it.job(uid, "state, gross_fen, evictions, attempts_free, submit_ms") == (
        "QUEUED", 0, 1, 1, submit_ms,
    )  # fmt: skip
    assert it.job(uid, "not_before_ms") <= it.clock.ms
    assert it.db.rows("SELECT state, posted_fen FROM hold") == [("VOIDED", 0)]
    assert it.db.rows("SELECT billed, gross_fen FROM rated_line") == [(0, 0)]
    assert it.kinds(uid)[-5:] == [
        "EVICTION_ORDERED", "EVICTION_NOTICED", "RUN_ENDED", "REQUEUED", "SETTLED",
    ]  # fmt: skip
    assert units_held(it) == 0
    it.verify()


def test_an_eviction_names_no_other_city_to_the_job(it: Hands) -> None:
    uid = running(it)
    whom = waiting(it)
    order(it, uid, for_uid=whom)
    details = it.db.rows(f"SELECT detail FROM event WHERE job_uid = {uid}")
    assert not [text for (text,) in details if "ezhou" in text or str(whom) in text]
    assert it.db.rows("SELECT evict_for FROM run") == [(whom,)]


def test_a_run_is_ordered_to_end_once(it: Hands) -> None:
    uid = running(it)
    order(it, uid)
    again = order(it, uid)
    assert (again.ordered, again.refused) == ([], [uid])


@pytest.mark.parametrize("case", ["not interruptible", "cancelled", "ended", "whom", "flavor"])
def test_what_lost_its_guard_goes_on(it: Hands, case: str) -> None:
    uid = running(it, interruptible=case != "not interruptible")
    whom = waiting(it)
    flavor = worlds.CPU if case == "flavor" else NPU
    if case == "cancelled":
        command(it, job_commands.cancel, uid)
    elif case == "ended":
        it.end(uid, 10)
    elif case == "whom":
        command(it, job_commands.cancel, whom)
    plan = [Eviction(uid, flavor, 1, whom, GRACE_MS)]
    orders = it.db.do(lambda c: evicting.reclaim(c, it.epoch, plan, it.clock.ms))
    assert (orders.ordered, orders.refused) == ([], [uid])
    assert it.db.rows("SELECT evict_cause FROM run") == [(None,)]


def test_one_that_lost_its_guard_bars_no_other(it: Hands) -> None:
    first, second = running(it, interruptible=False), running(it)
    orders = order(it, first, second)
    assert ([one.uid for one in orders.ordered], orders.refused) == ([second], [first])


def test_a_job_is_evicted_twice_and_then_never_again(it: Hands) -> None:
    uid = running(it)
    for number in range(1, EVICTIONS_MAX + 1):
        assert order(it, uid).refused == []
        tell(it, uid)
        it.end(uid, 60, Phase.CANCELLED)
        assert it.job(uid, "evictions") == number
        it.run(uid)
    assert order(it, uid).refused == [uid]


def test_evictions_cost_none_of_the_attempts(it: Hands) -> None:
    uid = running(it, attempts_max=1, retry_on=frozenset())
    order(it, uid)
    tell(it, uid)
    it.end(uid, 60, Phase.CANCELLED)
    it.run(uid)
    it.end(uid, 60, Phase.FAILED, FailureClass.NODE)
    assert it.job(uid, "state, attempt") == ("FAILED", 2)


def test_the_attempts_after_an_eviction_count_as_before(it: Hands) -> None:
    uid = running(it, attempts_max=2)
    order(it, uid)
    tell(it, uid)
    it.end(uid, 60, Phase.CANCELLED)
    for state in ("QUEUED", "FAILED"):
        it.run(uid)
        it.end(uid, 60, Phase.FAILED, FailureClass.NODE)
        assert it.job(uid, "state") == state


def test_a_program_that_saves_and_exits_when_told_is_evicted(it: Hands) -> None:
    uid = running(it, attempts_max=1, retry_on=frozenset())
    order(it, uid)
    tell(it, uid)
    it.end(uid, 60, Phase.FAILED, FailureClass.USER_CODE)
    assert it.job(uid, "state, gross_fen, evictions") == ("QUEUED", 0, 1)


def test_a_program_that_fails_before_it_was_told_has_failed(it: Hands) -> None:
    uid = running(it)
    order(it, uid)
    it.end(uid, 100, Phase.FAILED, FailureClass.USER_CODE)
    assert it.job(uid, "state, gross_fen, evictions") == ("FAILED", 22, 0)


@pytest.mark.parametrize("failure", [FailureClass.NODE, FailureClass.TIME_LIMIT])
def test_what_else_ends_a_told_run_is_what_it_is(it: Hands, failure: FailureClass) -> None:
    uid = running(it)
    order(it, uid)
    tell(it, uid)
    it.end(uid, 100, Phase.FAILED, failure)
    assert it.job(uid, "evictions") == 0
    assert it.db.rows("SELECT failure_class FROM run") == [(str(failure),)]


def test_a_told_run_that_succeeds_is_done_and_billed(it: Hands) -> None:
    uid = running(it)
    order(it, uid)
    tell(it, uid)
    it.end(uid, 100)
    assert it.job(uid, "state, gross_fen, evictions") == ("SUCCEEDED", 22, 0)


def test_a_job_cancelled_while_it_is_evicted_ends_unbilled(it: Hands) -> None:
    uid = running(it)
    order(it, uid)
    command(it, job_commands.cancel, uid)
    it.end(uid, 100, Phase.CANCELLED)
    assert it.job(uid, "state, gross_fen, settled") == ("CANCELLED", 0, 1)
    it.verify()


def test_the_grace_begins_when_the_program_was_told_first(it: Hands) -> None:
    uid = running(it)
    order(it, uid)
    it.clock.ms += 50_000
    tell(it, uid)
    told_ms = it.clock.ms
    it.clock.ms += 50_000
    tell(it, uid)
    assert it.db.rows("SELECT notice_ms, evict_deadline_ms FROM run") == [
        (told_ms, told_ms + GRACE_MS)
    ]
    assert it.kinds(uid).count("EVICTION_NOTICED") == 1


def test_a_run_nobody_wants_to_end_heeds_no_notice(it: Hands) -> None:
    uid = running(it)
    tell(it, uid)
    assert it.db.rows("SELECT notice_ms FROM run") == [(None,)]


@pytest.mark.parametrize(("wish_s", "given_ms"), [(0, GRACE_MS), (60, 60_000), (600, GRACE_MS)])
def test_a_job_gets_the_notice_it_wishes_but_no_more_than_there_is(
    it: Hands, wish_s: int, given_ms: int
) -> None:
    uid = running(it, notice_s=wish_s)
    assert order(it, uid).ordered[0].grace_ms == given_ms


def test_a_leader_that_was_replaced_orders_nothing(it: Hands) -> None:
    uid = running(it)
    it.db.do(lambda c: leader.take_over(c, "another", 0))
    with pytest.raises(Fenced):
        order(it, uid)
    with pytest.raises(Fenced):
        drain(it)
    with pytest.raises(Fenced):
        it.db.do(lambda c: evicting.time_out(c, it.epoch, Late(0, HEARD), it.clock.ms))


def test_a_new_leader_takes_the_orders_over(it: Hands) -> None:
    uid = running(it)
    order(it, uid)
    [found] = it.db.read_sync(runs.open_runs)
    assert (found.cause, found.grace_ms, found.deadline_ms) == ("RECLAIM", GRACE_MS, None)
    tell(it, uid)
    [found] = it.db.read_sync(runs.open_runs)
    assert found.deadline_ms == it.clock.ms + GRACE_MS


# --- drains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["cities/wuhan", "enterprises/w1", "centers/ai"])
def test_a_drained_node_is_emptied_and_its_jobs_wait(it: Hands, node: str) -> None:
    uid, other = running(it, interruptible=False), running(it, "e1")
    if node == "centers/ai":
        it.db.do(
            lambda c: centers.set_state(
                c, OPERATOR, "ai", centers.DRAINING, reason="test", now_ms=it.clock.ms, wall_ms=0
            )
        )
        assert [one.uid for one in drain(it).ordered] == [uid, other]
    else:
        stop(it, node)
        assert [one.uid for one in drain(it).ordered] == [uid]
    assert drain(it).ordered == []
    tell(it, uid)
    it.end(uid, 100, Phase.CANCELLED)
    assert it.job(uid, "state, gross_fen, evictions, attempts_free") == ("QUEUED", 0, 0, 1)


def test_a_node_on_hold_is_not_emptied(it: Hands) -> None:
    running(it)
    stop(it, "cities/wuhan", "HOLD")
    assert drain(it).ordered == []


def test_a_drained_run_that_was_not_sent_yet_ends_unsent(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    stop(it, "enterprises/w1")
    assert len(drain(it).ordered) == 1
    sends, ended = it.send(uid)
    assert (sends, ended.done) == ([], [(uid, 1)])
    assert it.db.rows("SELECT state, failure_class FROM run") == [("PREEMPTED", "PREEMPTED")]
    assert it.job(uid, "state, attempts_free, gross_fen") == ("QUEUED", 1, 0)
    assert units_held(it) == 0
    it.verify()


# --- centers that do not begin --------------------------------------------------------------------


def time_out(it: Hands) -> Orders:
    """Order the end of runs that were sent half an hour ago and have not begun."""
    before_ms = it.clock.ms - HALF_HOUR_MS
    late = Late(before_ms, HEARD)
    return it.db.do(lambda c: evicting.time_out(c, it.epoch, late, it.clock.ms))


def late(it: Hands, uid: int) -> None:
    """A job's run is sent, taken, and not begun for half an hour."""
    it.admit(uid)
    it.send(uid)
    it.accept(uid)
    it.clock.ms += HALF_HOUR_MS - 1
    assert time_out(it).ordered == []
    it.clock.ms += 1
    assert [one.uid for one in time_out(it).ordered] == [uid]


def test_a_run_that_no_center_begins_is_taken_back_with_growing_pauses(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job(attempts_max=1, retry_on=frozenset())])
    pauses = []
    for _ in range(START_TRIES_MAX - 1):
        late(it, uid)
        it.report(it.seen(uid, Phase.CANCELLED, 2, end_ms=it.clock.ms))
        assert it.job(uid, "state, gross_fen") == ("QUEUED", 0)
        pauses.append((it.job(uid, "not_before_ms") - it.clock.ms) // 1_000)
    assert pauses == [60, 120, 240, 480]
    late(it, uid)
    it.report(it.seen(uid, Phase.CANCELLED, 2, end_ms=it.clock.ms))
    assert it.job(uid, "state, deactivated, start_tries, settled") == ("HELD", 1, 5, 0)
    assert "5 runs in a row" in it.job(uid, "message")
    assert it.kinds(uid)[-2:] == ["HELD", "SETTLED"]
    assert units_held(it) == 0
    command(it, job_commands.release, uid)
    assert it.job(uid, "state, deactivated, start_tries") == ("QUEUED", 0, 0)
    it.verify()


def test_a_run_that_begins_after_all_goes_on(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job(interruptible=True)])
    late(it, uid)
    it.report(it.seen(uid, Phase.RUNNING, 2, start_ms=it.clock.ms))
    assert order(it, uid).refused == []  # and may be evicted like any other
    assert it.db.rows("SELECT evict_cause FROM run") == [("RECLAIM",)]


def test_a_late_run_that_begins_and_is_preempted_by_its_center_was_not_late(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    late(it, uid)
    it.report(it.seen(uid, Phase.RUNNING, 2, start_ms=it.clock.ms))
    it.clock.ms += 60_000
    preempted = FailureClass.PREEMPTED
    it.report(it.seen(uid, Phase.PREEMPTED, 3, end_ms=it.clock.ms, failure=preempted, usage=()))
    assert it.job(uid, "state, start_tries, attempts_free") == ("QUEUED", 0, 0)
    assert it.db.rows("SELECT failure_class FROM run") == [("PREEMPTED",)]


def test_a_start_ends_the_row_of_late_ones(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    late(it, uid)
    it.report(it.seen(uid, Phase.CANCELLED, 2, end_ms=it.clock.ms))
    assert it.job(uid, "start_tries") == 1
    it.run(uid)
    assert it.job(uid, "start_tries") == 0


def test_whether_anything_is_due_is_asked_before_anything_is_written(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    it.send(uid)
    it.accept(uid)
    sent_ms = it.clock.ms
    early, late = Late(sent_ms - 1, HEARD), Late(sent_ms, HEARD)
    assert not it.db.read_sync(lambda c: evicting.any_due(c, early, NOW))
    assert it.db.read_sync(lambda c: evicting.any_due(c, late, NOW))
    for others in ((), ("sc",)):  # what a center has begun that was not heard is not known
        assert not it.db.read_sync(lambda c, o=others: evicting.any_due(c, Late(sent_ms, o), NOW))  # type: ignore[misc]
    stop(it, "cities/wuhan")
    assert it.db.read_sync(lambda c: evicting.any_due(c, early, NOW))
