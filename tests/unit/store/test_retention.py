"""What is old is let go of, and nothing that the books, centers or those who wait still need."""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.contract import FailureClass, Phase
from quota.statement_files import Format
from scheduler.domain.ids import element_uid
from scheduler.domain.principal import EVERYTHING
from scheduler.domain.states import JobState
from scheduler.errors import NotFound
from scheduler.placement.model import CORRIDOR
from scheduler.store import (
    acknowledgements,
    charge_book,
    evidence,
    feed,
    history,
    job_commands,
    jobs,
    leader,
    newest,
    planner_feed,
    retention,
    runs,
    settled,
    submissions,
)
from scheduler.store.job_filter import JobFilter
from scheduler.store.retention import Gone
from scheduler.store.submissions import More
from tests.property.job_world import JobWorld
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, OPERATOR, job
from tests.unit.store.statement_hands import MONTH, charged, close, export, issued, make

pytestmark = pytest.mark.usefixtures("each_store")

ALWAYS = 1 << 60
DAY_MS = 86_400_000
OWNERS = (("CITY", "wuhan"), ("CITY", "corridor"), ("ENTERPRISE", "e1"), ("CENTER", "ai"))


def forget(it: Hands, call: Callable[..., Gone], before_ms: int = ALWAYS) -> int:
    """Let go of all that may be; returns how much that was."""
    total = 0
    while count := it.db.do(lambda c: call(c, it.epoch, before_ms)).count:
        total += count
    return total


def forget_all(it: Hands, before_ms: int = ALWAYS) -> None:
    """Let go of everything that may be, as if all were that old."""
    for call in (retention.forget_events, retention.forget_jobs, retention.forget_keys):
        forget(it, call, before_ms)


def count(it: Hands, table: str, where: str = "TRUE") -> int:
    return int(it.db.rows(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])


@pytest.fixture
def it() -> JobWorld:
    return JobWorld()


# --- the books ------------------------------------------------------------------------------------


def test_books_of_jobs_that_are_gone_are_whole() -> None:
    """Verified, stated again byte for byte, shown charge by charge, and stated for others anew."""
    it = charged()
    close(it, MONTH)
    numbers = [issued(it, *owner) for owner in OWNERS[:-1]]
    keys = [tuple(row) for row in it.db.rows("SELECT job_uid, attempt FROM run ORDER BY 1")]

    def seen() -> Any:
        files = [
            export(it, number, one)
            for number, (kind, _) in zip(numbers, OWNERS, strict=False)
            for one in Format
            if one is not Format.EVIDENCE or kind == "ENTERPRISE"
        ]
        charges = it.db.read_sync(lambda c: charge_book.load(c, keys))
        return files, charges, it.db.read_sync(evidence.read), it.db.read_sync(newest.newest_uid)

    before = seen()
    last = it.world.submit("w1", [job()])  # the newest stays
    forget_all(it)
    assert count(it, "job", "pruned") == len(keys) == count(it, "job") - len(last)
    assert count(it, "event") < 3
    it.verify()
    assert seen()[:3] == before[:3]
    row = make(it, *OWNERS[-1]).row
    assert row.charges > 0
    it.verify()


def test_a_run_of_a_job_that_is_gone_is_known_to_its_center(it: JobWorld) -> None:
    """It may tell of it late, or ask whether it may let go of it."""
    uid, _ = it.submit(More(), More())
    it.follow()
    it.begin(uid)
    it.end(uid, 60)
    key = (uid, 1)
    usage = it.usage(uid, it.clock.ms - 60_000, it.clock.ms - 50_000, revision=1)
    forget_all(it)
    assert count(it, "job", "pruned") == 1
    assert it.db.read_sync(lambda c: settled.settled(c, [key])) == {key}
    it.report(it.seen(uid, Phase.SUCCEEDED, 3, usage=[usage]))
    assert count(it, "correction") == 1
    it.verify()


# --- jobs -----------------------------------------------------------------------------------------


def test_of_a_job_that_ran_a_small_rest_is_left_and_of_others_nothing(it: JobWorld) -> None:
    ran, cancelled, _ = it.submit(More(), More(), More(), spec=job(CPU, 16, 7_200))
    it.follow()
    it.begin(ran)
    it.end(ran, 7_200, Phase.FAILED, FailureClass.USER_CODE, units=16)
    cost = it.job(ran, "gross_fen, subsidy_fen, self_pay_fen")
    it.cancel(cancelled)
    forget_all(it)
    columns = "pruned, spec, options, labels, display_name, message, state, enterprise, city"
    row = it.job(ran, columns)
    assert (bool(row[0]), bytes(row[1]), *row[2:]) == (
        True, b"", "[]", "{}", "", "", "FAILED", "w1", "wuhan",
    )  # fmt: skip
    assert it.job(ran, "gross_fen, subsidy_fen, self_pay_fen") == cost > (0, 0, 0)
    assert count(it, "job", f"uid = {cancelled}") == 0
    assert it.kinds(ran) == it.kinds(cancelled) == []
    assert count(it, "run", f"job_uid = {ran}") == 1


def test_a_job_that_is_gone_is_nowhere_seen_and_said_to_be_gone(it: JobWorld) -> None:
    ran, cancelled, left = it.submit(More(), More(), More())
    it.follow()
    it.begin(ran)
    it.end(ran, 60)
    it.cancel(cancelled)
    forget_all(it)

    def look(call: Any, *more: Any) -> Any:
        return it.db.read_sync(lambda c: call(c, *more))

    shown = look(jobs.list_jobs, EVERYTHING, JobFilter(), 10, ALWAYS)
    over = JobFilter(frozenset({JobState.SUCCEEDED, JobState.CANCELLED}))
    assert [row.uid for row in shown] == [left]
    assert look(jobs.list_jobs, EVERYTHING, over, 10, ALWAYS) == []
    assert look(jobs.visible, EVERYTHING, [ran, cancelled, left]) == {left}
    for uid in (ran, cancelled):
        with pytest.raises(NotFound, match=r"Jobs that ended long ago are not kept.*charge show"):
            look(jobs.get_job, EVERYTHING, uid)
    with pytest.raises(NotFound) as caught:
        look(jobs.get_job, EVERYTHING, left + (1 << 30))
    assert "not kept" not in caught.value.message
    order = job_commands.Order(OPERATOR, "", it.clock.ms, 0)
    done = it.db.do(lambda c: job_commands.cancel(c, [ran, cancelled], order))
    assert set(done.missing) == {ran, cancelled}
    named = dict.fromkeys((ran, cancelled, left))
    assert look(submissions.known_jobs, "w1", named) == {left}


def test_jobs_stay_that_are_not_over_or_that_others_wait_for(it: JobWorld) -> None:
    base, running, unmetered, held = it.submit(More(), More(), More(), More())
    waits, _ = it.submit(More(waits_for=((base, "AFTER_SUCCESS"),)), More())
    it.follow()
    for uid in (base, running, unmetered):
        it.begin(uid)
    it.end(base, 10)
    it.end(unmetered, 10, metered=False)
    it.hold(held, waits)
    forget_all(it)
    assert count(it, "job") == 6
    assert count(it, "job", "pruned") == 0
    assert it.kinds(running), "what happened to it is still told"
    it.cancel(waits)
    assert forget(it, retention.forget_jobs) == 2
    assert count(it, "job_dependency") == 0


def test_only_jobs_that_ended_before_an_instant_go(it: JobWorld) -> None:
    first, second, _ = it.submit(More(), More(), More())
    it.cancel(first)
    it.clock.ms += 1_000
    bound_ms = it.clock.ms
    it.cancel(second)
    assert it.db.read_sync(lambda c: retention.old_job(c, bound_ms)) == bound_ms - 1_000
    assert forget(it, retention.forget_jobs, bound_ms) == 1
    assert not it.db.read_sync(lambda c: retention.old_job(c, bound_ms))
    assert it.db.rows("SELECT min(uid) FROM job") == [(second,)]
    assert forget(it, retention.forget_jobs, bound_ms + 1) == 1


def test_an_array_goes_after_its_elements_once_it_is_over(it: JobWorld) -> None:
    array = it.array(3)
    it.submit(More())
    it.follow()
    first = element_uid(array, 0)
    it.begin(first)
    it.end(first, 10)
    forget_all(it)
    assert count(it, "job", "pruned") == 0, "the others wait still"
    it.cancel(array)
    it.follow()
    assert it.state(array) == "CANCELLED"
    assert forget(it, retention.forget_jobs) == 2
    assert (count(it, "job_array"), count(it, "job", f"uid = {array}")) == (0, 0)
    assert bool(it.job(first, "pruned"))
    for uid in (array, first, element_uid(array, 2)):
        with pytest.raises(NotFound, match="not kept"):
            it.db.read_sync(lambda c, uid=uid: jobs.get_job(c, EVERYTHING, uid))  # type: ignore[misc]
    it.verify()


def test_the_newest_job_stays_for_the_sake_of_ids(it: JobWorld) -> None:
    array = it.array(3)
    it.cancel(array)
    it.follow()
    before = it.db.read_sync(newest.newest_uid)
    forget_all(it)
    assert it.db.read_sync(newest.newest_uid) == before == element_uid(array, 2)


def test_old_jobs_are_found_by_an_index_that_has_only_those(it: JobWorld) -> None:
    explain = "EXPLAIN QUERY PLAN" if it.db.is_sqlite else "EXPLAIN"
    if not it.db.is_sqlite:
        it.db.beside().execute("SET enable_seqscan = off")
    rows = it.db.rows(f"{explain} {retention._OLD.format(before_ms=1, limit=1)}")
    assert "job_over" in str(rows)


# --- events ---------------------------------------------------------------------------------------


def test_events_go_in_order_and_those_of_open_jobs_stay(it: JobWorld) -> None:
    over, waits = it.submit(More(), More())
    it.hold(over)
    it.release(over)
    it.cancel(over)
    it.clock.ms += DAY_MS
    bound_ms = it.clock.ms
    last = it.submit(More())[0]
    before = it.kinds(waits)
    assert forget(it, retention.forget_events, bound_ms) == it.db.read_sync(feed.head) - 1
    assert it.kinds(over) == ["HELD", "RELEASED"], "what-ifs play how long it was held"
    assert (it.kinds(waits), it.kinds(last)) == (before, ["SUBMITTED"])
    kept = it.db.read_sync(retention.kept)
    assert kept.events_upto_seq == it.db.read_sync(feed.head) - 1
    assert kept.events_upto_ms == bound_ms - DAY_MS
    assert forget(it, retention.forget_events, bound_ms) == 0
    assert forget(it, retention.forget_jobs) == 1
    assert it.kinds(over) == []


def test_the_last_event_stays_for_the_sake_of_the_clock(it: JobWorld) -> None:
    [uid] = it.submit(More())
    it.cancel(uid)
    head, newest_ms = it.db.read_sync(lambda c: (feed.head(c), newest.newest_ms(c)))
    forget_all(it)
    assert count(it, "event") == 1
    assert it.db.read_sync(lambda c: (feed.head(c), newest.newest_ms(c))) == (head, newest_ms)


def test_events_stay_that_a_center_was_not_told_of(it: JobWorld) -> None:
    told = it.db.do(lambda c: acknowledgements.begin(c, it.epoch, "ai"))
    uid, _ = it.submit(More(), More())
    it.follow()
    it.begin(uid)
    it.end(uid, 10)
    forget(it, retention.forget_events)
    assert it.db.read_sync(retention.kept).events_upto_seq == told
    head = it.db.read_sync(feed.head)
    it.db.do(lambda c: acknowledgements.keep(c, it.epoch, "ai", head))
    forget(it, retention.forget_events)
    assert it.db.read_sync(retention.kept).events_upto_seq == head - 1


def test_whether_a_job_had_ended_is_known_without_the_event_of_its_end(it: JobWorld) -> None:
    first, second, third = it.submit(More(), More(), More())
    it.cancel(first)
    place = it.db.read_sync(feed.head)
    it.cancel(second)

    def ended(seq: int) -> set[int]:
        return it.db.read_sync(lambda c: feed.ended_by(c, {first, second, third}, seq))

    assert (ended(0), ended(place), ended(place + 1)) == (set(), {first}, {first, second})
    forget(it, retention.forget_events)
    assert count(it, "event", f"job_uid = {first}") == 0
    assert ended(0) == {first}, "the end of the second is the last event, and is told"


# --- the rest -------------------------------------------------------------------------------------


def test_requests_of_before_are_new_ones_when_they_are_sent_again(it: JobWorld) -> None:
    [uid] = it.world.submit("w1", [job()], request_id="mine")
    assert it.world.submit("w1", [job()], request_id="mine") == [uid]
    it.clock.ms += 1_000
    assert not it.db.read_sync(lambda c: retention.old_key(c, it.clock.ms - 1_000))
    assert it.db.read_sync(lambda c: retention.old_key(c, it.clock.ms)) == it.clock.ms - 1_000
    assert forget(it, retention.forget_keys, it.clock.ms) == 1
    assert it.world.submit("w1", [job()], request_id="mine") != [uid]


def test_nobody_but_the_leader_lets_go_of_anything(it: JobWorld) -> None:
    [uid, _] = it.submit(More(), More())
    it.cancel(uid)
    replaced = it.epoch
    it.db.do(lambda c: leader.take_over(c, "next", 0))
    before = it.db.rows("SELECT * FROM event"), it.db.rows("SELECT uid FROM job")
    for call in (retention.forget_events, retention.forget_jobs, retention.forget_keys):
        with pytest.raises(leader.Fenced):
            it.db.do(lambda c, call=call: call(c, replaced, ALWAYS))  # type: ignore[misc]
    assert (it.db.rows("SELECT * FROM event"), it.db.rows("SELECT uid FROM job")) == before


def test_a_what_if_begins_where_all_jobs_are_kept(it: JobWorld) -> None:
    first, second = it.submit(More(), More())
    it.follow()
    it.begin(first)
    it.end(first, 60)
    ended_ms = it.clock.ms

    def played() -> Any:
        return it.db.read_sync(lambda c: history.read(c, it.clock.ms, 3, CORRIDOR, 1_000))

    it.clock.ms += DAY_MS
    assert (len(played().lives), played().from_ms < ended_ms) == (2, True)
    forget_all(it)
    assert (len(played().lives), played().from_ms) == (1, ended_ms + 1)
    assert second in it.snapshot()


def test_the_planner_begins_with_the_run_times_of_jobs_that_are_gone(it: JobWorld) -> None:
    uid, _ = it.submit(More(), More())
    it.follow()
    it.begin(uid)
    it.end(uid, 60)

    def told() -> Any:
        return it.db.read_sync(lambda c: planner_feed.snapshot(c, it.clock.ms, CORRIDOR))[1]

    before = told()
    forget_all(it)
    assert told() == before
    assert it.db.read_sync(lambda c: runs.open_runs(c)) == []


def test_rows_that_go_are_counted_by_table(it: JobWorld) -> None:
    array = it.array(2)
    over, _ = it.submit(More(), More())
    it.cancel(array, over)
    events = count(it, "event", f"job_uid IN ({over}, {array})")
    gone = it.db.do(lambda c: retention.forget_jobs(c, it.epoch, ALWAYS))
    assert (gone.count, gone.rows) == (
        2,
        {"event": events, "reason_spell": 0, "job_dependency": 0, "job_array": 1, "job": 2},
    )
    gone = it.db.do(lambda c: retention.forget_keys(c, it.epoch, ALWAYS))
    assert gone.count == gone.rows["request_key"] > 0
    left = count(it, "event")
    gone = it.db.do(lambda c: retention.forget_events(c, it.epoch, ALWAYS))
    assert gone.rows == {"event": left - count(it, "event")}
