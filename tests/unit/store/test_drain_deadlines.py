"""Centers to be empty by a deadline: who is left, who is told when, and with what grace."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import Phase
from scheduler.store import centers, evicting
from scheduler.store.evicting import Emptying, Late, Orders
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, OPERATOR, job
from tests.unit.store.evicting_hands import running

GRACE_MS, AHEAD_MS = 120_000, 10_000
NOBODY_LATE = Late(0, ())


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return Hands(worlds.build(rules=()))


def set_state(it: Hands, state: str, deadline_ms: int | None = None) -> centers.CenterRow:
    return it.db.do(
        lambda c: centers.set_state(
            c, OPERATOR, "ai", state, reason="test", now_ms=it.clock.ms, wall_ms=0,
            deadline_ms=deadline_ms,
        )
    )  # fmt: skip


def drain_until(it: Hands, seconds: int) -> int:
    """Have the center empty in so many seconds; returns when that is."""
    deadline_ms = it.clock.ms + seconds * 1000
    set_state(it, centers.DRAINING, deadline_ms)
    return deadline_ms


def emptying(it: Hands) -> Emptying:
    return Emptying(GRACE_MS, it.clock.ms, AHEAD_MS)


def drained(it: Hands) -> Orders:
    """One look of the leader, which asks before it writes."""
    now = emptying(it)
    due = it.db.read_sync(lambda c: evicting.any_due(c, NOBODY_LATE, now))
    orders = it.db.do(lambda c: evicting.drain(c, it.epoch, now))
    assert due == bool(orders.ordered)
    return orders


def ordered(it: Hands) -> dict[int, int]:
    """Whom one look orders to end, with their graces in milliseconds."""
    return {one.uid: one.grace_ms for one in drained(it).ordered}


def test_a_run_that_ends_in_time_is_left(it: Hands) -> None:
    uid = running(it, wall_s=600)
    deadline_ms = drain_until(it, 600)
    for at_ms in (it.clock.ms, deadline_ms - GRACE_MS, deadline_ms - 1):
        it.clock.ms = at_ms
        assert ordered(it) == {}
    it.report(it.seen(uid, Phase.SUCCEEDED, 9, start_ms=1, end_ms=it.clock.ms))
    assert it.job(uid, "state") == "SUCCEEDED"


def test_a_run_that_would_go_on_works_until_its_grace_must_begin(it: Hands) -> None:
    uid = running(it, wall_s=3600)
    deadline_ms = drain_until(it, 1800)
    assert ordered(it) == {}
    it.clock.ms = deadline_ms - GRACE_MS - AHEAD_MS - 1
    assert ordered(it) == {}
    it.clock.ms += 1
    assert ordered(it) == {uid: GRACE_MS}
    assert ordered(it) == {}


def test_a_job_that_wishes_less_notice_works_for_longer(it: Hands) -> None:
    uid = running(it, wall_s=3600, notice_s=30)
    deadline_ms = drain_until(it, 1800)
    it.clock.ms = deadline_ms - GRACE_MS
    assert ordered(it) == {}
    it.clock.ms = deadline_ms - 30_000 - AHEAD_MS
    assert ordered(it) == {uid: 30_000}


def test_a_near_deadline_cuts_the_grace(it: Hands) -> None:
    uid = running(it, wall_s=3600)
    drain_until(it, 60)
    assert ordered(it) == {uid: 60_000 - AHEAD_MS}


def test_what_still_runs_at_the_deadline_ends_without_grace(it: Hands) -> None:
    uid = running(it, wall_s=600)
    it.clock.ms = drain_until(it, 600)
    assert ordered(it) == {uid: 0}


def test_runs_that_have_not_begun_are_taken_back_unless_they_would_end_in_time(it: Hands) -> None:
    short, long = it.world.submit("w1", [job(wall_s=600), job(wall_s=601)])
    it.admit(short, long)
    it.send(short, long)
    it.accept(short, long)
    drain_until(it, 600)
    assert set(ordered(it)) == {long}
    it.clock.ms += 1
    assert set(ordered(it)) == {short}  # it waits for too long by now


def test_a_run_that_its_center_began_anew_is_judged_by_that(it: Hands) -> None:
    uid = running(it, wall_s=600)
    deadline_ms = drain_until(it, 600)
    anew_ms = it.clock.ms + 60_000
    it.db.do(lambda c: c.exec_driver_sql(f"UPDATE run SET restart_ms = {anew_ms}"))
    it.clock.ms = deadline_ms - GRACE_MS - AHEAD_MS
    assert ordered(it) == {uid: GRACE_MS}


def test_other_centers_are_left_alone(it: Hands) -> None:
    running(it, flavor=CPU, wall_s=3600)
    drain_until(it, 1)
    assert ordered(it) == {}


def test_without_a_deadline_all_end_at_once(it: Hands) -> None:
    uid = running(it, wall_s=60)
    set_state(it, centers.DRAINING)
    assert ordered(it) == {uid: GRACE_MS}


def test_a_deadline_may_be_moved_and_is_audited(it: Hands) -> None:
    uid = running(it, wall_s=3600)
    first_ms = drain_until(it, 600)
    second_ms = drain_until(it, 7200)
    it.clock.ms = first_ms
    assert ordered(it) == {}
    rows = it.db.rows("SELECT before, after FROM audit_event ORDER BY seq")
    assert rows == [
        ('{"state":"OPEN"}', f'{{"drain_deadline_ms":{first_ms},"state":"DRAINING"}}'),
        (
            f'{{"drain_deadline_ms":{first_ms},"state":"DRAINING"}}',
            f'{{"drain_deadline_ms":{second_ms},"state":"DRAINING"}}',
        ),
    ]
    assert set_state(it, centers.DRAINING, second_ms).drain_deadline_ms == second_ms
    assert len(it.db.rows("SELECT 1 FROM audit_event")) == 2
    assert it.job(uid, "state") == "RUNNING"


@pytest.mark.parametrize("state", [centers.OPEN, centers.CORDONED])
def test_resumed_or_cordoned_nobody_is_to_end_any_more(it: Hands, state: str) -> None:
    running(it, wall_s=3600)
    deadline_ms = drain_until(it, 600)
    assert set_state(it, state).drain_deadline_ms is None
    it.clock.ms = deadline_ms + 1
    assert ordered(it) == {}


def test_runs_are_counted_by_state(it: Hands) -> None:
    uids = it.world.submit("w1", [job() for _ in range(5)])
    it.admit(*uids)
    it.send(*uids[1:])
    it.accept(*uids[2:])
    it.report(it.seen(uids[3], Phase.RUNNING, 1, start_ms=it.clock.ms))
    it.end(uids[3], 1)
    it.report(it.seen(uids[4], Phase.RUNNING, 1, start_ms=it.clock.ms))
    set_state(it, centers.DRAINING)
    drained(it)
    row = it.db.read_sync(lambda c: centers.get_center(c, "ai", it.clock.ms))
    assert row.runs == centers.RunCounts(pending=1, submitting=1, accepted=1, running=1, ending=4)
    assert row.active_runs == 4


@settings(max_examples=20)
@given(
    walls=st.lists(st.integers(1, 4000), min_size=1, max_size=4),
    notices=st.lists(st.integers(0, 200), min_size=4, max_size=4),
    limit_s=st.integers(1, 4000),
    step_s=st.integers(1, 400),
)
def test_by_the_deadline_nothing_is_left_and_nobody_ended_without_need(
    walls: list[int], notices: list[int], limit_s: int, step_s: int
) -> None:
    """Programs that never end before they must: looked at now and then, as the leader does."""
    it = Hands(worlds.build(rules=()))
    runs = {
        running(it, wall_s=wall, notice_s=notice): wall
        for wall, notice in zip(walls, notices, strict=False)
    }
    began_ms = it.clock.ms
    deadline_ms = drain_until(it, limit_s)
    told: set[int] = set()
    while it.clock.ms < deadline_ms:
        for uid, grace_ms in ordered(it).items():
            told.add(uid)
            assert grace_ms == 0 or it.clock.ms + AHEAD_MS + grace_ms <= deadline_ms
        it.clock.ms = min(deadline_ms, it.clock.ms + step_s * 1000)
    told_late = set(ordered(it))
    for uid, wall_s in runs.items():
        in_time = began_ms + wall_s * 1000 <= deadline_ms
        assert (uid in told) <= (not in_time)
        assert uid in told | told_late
