"""Runs that an operator resolves by hand: only what nobody knows, once, and money never twice."""

from typing import Any

import pytest

from adapters.contract import Phase
from scheduler.domain.ids import run_id
from scheduler.domain.reports import silent
from scheduler.domain.resolving import Resolution, Word
from scheduler.errors import InvalidRequest, NotFound, WrongState
from scheduler.store import resolutions, runs
from scheduler.store.run_state import load_runs
from scheduler.store.settlements import Moved
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR, job
from tests.unit.store.ingest_hands import PRICE_UFEN, cancel, running

pytestmark = pytest.mark.usefixtures("each_store")
ENDED, LOST = Resolution.ENDED, Resolution.LOST
NEVER, CANCELLED = Resolution.NEVER_STARTED, Resolution.CANCELLED


@pytest.fixture
def it(each_store: Any) -> Hands:
    """A corridor without programmes."""
    return Hands(worlds.build(rules=()))


def unknown(it: Hands, *, begun: bool = False, **terms: Any) -> int:
    """A job whose run nobody knows the outcome of."""
    if begun:
        uid = running(it, **terms)
    else:
        [uid] = it.world.submit("w1", [job(**terms)])
        it.admit(uid)
        it.send(uid)
    it.report(silent(uid, it.attempt(uid), "no answer"))
    it.clock.ms += 3_600_000
    return uid


def order(it: Hands, uid: int, resolution: Resolution, **word: Any) -> resolutions.Order:
    """An operator's order."""
    said = Word(resolution, f"resolved: {resolution}", **word)
    return resolutions.Order(
        (uid, it.attempt(uid)), said, OPERATOR, "looked at the center", it.clock.ms, 77
    )


def resolve(it: Hands, uid: int, resolution: Resolution, **word: Any) -> resolutions.Resolved:
    """Resolve the last run of a job."""
    said = order(it, uid, resolution, **word)
    return it.db.do(lambda c: resolutions.resolve(c, said))


def cost(seconds: int) -> int:
    """What so many seconds of one unit cost."""
    return (2 * seconds * PRICE_UFEN + 1_000_000) // 2_000_000


def units_held(it: Hands) -> int:
    """Units that count against quotas."""
    return int(it.db.rows("SELECT sum(used_units) FROM city_quota")[0][0])


def test_what_never_started_is_queued_again_and_costs_nothing(it: Hands) -> None:
    uid = unknown(it, attempts_max=1)
    done = resolve(it, uid, NEVER)
    assert (done.run_state, done.job_state, done.gross_fen) == ("FAILED", "QUEUED", 0)
    assert it.job(uid, "state, gross_fen, attempts_free") == ("QUEUED", 0, 1)
    assert (units_held(it), it.db.rows("SELECT state FROM hold")) == (0, [("VOIDED",)])
    assert it.kinds(uid)[-4:] == ["RUN_RESOLVED", "RUN_ENDED", "REQUEUED", "SETTLED"]
    it.verify()


def test_what_was_lost_is_tried_again_as_its_policy_says(it: Hands) -> None:
    again, never = unknown(it, begun=True), unknown(it, begun=True, attempts_max=1)
    assert resolve(it, again, LOST).job_state == "QUEUED"
    assert resolve(it, never, LOST).job_state == "FAILED"
    assert (
        it.db.rows("SELECT state, failure_class, settled_ms IS NULL FROM run")
        == [("LOST", "LOST", 0)] * 2
    )
    assert it.job(never, "gross_fen, settled") == (0, 1)
    it.verify()


def test_what_was_cancelled_costs_nothing_and_is_over(it: Hands) -> None:
    uid = unknown(it, begun=True)
    assert resolve(it, uid, CANCELLED).run_state == "CANCELLED"
    assert it.job(uid, "state, gross_fen, settled") == ("CANCELLED", 0, 1)
    it.verify()


@pytest.mark.parametrize(("exit_code", "state"), [(0, "SUCCEEDED"), (3, "FAILED")])
def test_what_ended_is_billed_for_its_time(it: Hands, exit_code: int, state: str) -> None:
    uid = unknown(it, begun=True)
    [(start_ms,)] = it.db.rows("SELECT start_ms FROM run")
    done = resolve(it, uid, ENDED, exit_code=exit_code, end_ms=start_ms + 90_000)
    assert (done.run_state, done.gross_fen) == (state, cost(90))
    assert it.job(uid, "state, gross_fen, settled") == (state, cost(90), 1)
    assert it.db.rows("SELECT source, start_ms, end_ms, units FROM usage_record") == [
        ("operator", start_ms, start_ms + 90_000, 1)
    ]
    assert it.db.rows("SELECT exit_code FROM run") == [(exit_code,)]
    assert units_held(it) == 0
    it.verify()


def test_one_that_was_never_seen_to_run_needs_its_start(it: Hands) -> None:
    uid = unknown(it)
    at_ms = it.clock.ms
    with pytest.raises(InvalidRequest, match="start_time"):
        resolve(it, uid, ENDED, exit_code=0, end_ms=at_ms)
    resolve(it, uid, ENDED, exit_code=0, start_ms=at_ms - 50_000, end_ms=at_ms)
    assert it.job(uid, "gross_fen") == cost(50)
    it.verify()


def test_times_that_cannot_be_are_refused(it: Hands) -> None:
    uid = unknown(it)
    now_ms = it.clock.ms
    for start_ms, end_ms, field in (
        (now_ms - 1_000, now_ms + 1, "end_time"),
        (now_ms - 1_000, now_ms - 2_000, "end_time"),
        (now_ms - 9_000_000, now_ms, "start_time"),
        (now_ms - 1_000, None, "end_time"),
    ):
        with pytest.raises(InvalidRequest, match=field):
            resolve(it, uid, ENDED, exit_code=0, start_ms=start_ms, end_ms=end_ms)
    assert it.db.rows("SELECT state, resolution FROM run") == [("UNKNOWN", "")]
    assert it.db.rows("SELECT * FROM audit_event") == []


def test_only_what_nobody_knows_is_resolved(it: Hands) -> None:
    uid = running(it)
    with pytest.raises(WrongState, match="is RUNNING: only a run that is UNKNOWN"):
        resolve(it, uid, LOST)
    it.end(uid, 10)
    with pytest.raises(WrongState, match="is SUCCEEDED"):
        resolve(it, uid, LOST)
    with pytest.raises(NotFound):
        it.db.do(
            lambda c: resolutions.resolve(
                c, resolutions.Order((99, 1), Word(LOST, ""), OPERATOR, "x", 1, 1)
            )
        )
    other = unknown(it, begun=True)
    with pytest.raises(WrongState, match="it did start"):
        resolve(it, other, NEVER)


def test_the_same_word_again_changes_nothing_and_another_is_refused(it: Hands) -> None:
    uid = unknown(it, begun=True)
    first = resolve(it, uid, CANCELLED)
    before = it.db.rows("SELECT * FROM event"), it.db.rows("SELECT * FROM audit_event")
    assert resolve(it, uid, CANCELLED) == first
    with pytest.raises(WrongState):
        resolve(it, uid, LOST)
    assert (it.db.rows("SELECT * FROM event"), it.db.rows("SELECT * FROM audit_event")) == before


def test_it_is_audited_with_what_was_and_what_is(it: Hands) -> None:
    uid = unknown(it, begun=True)
    resolve(it, uid, LOST)
    [(actor, action, target, city, enterprise, before, after, reason, at_ms)] = it.db.rows(
        "SELECT actor, action, target, city, enterprise, before, after, reason, at_ms"
        " FROM audit_event"
    )
    name = run_id(uid, 1)
    assert (actor, action, target) == (
        "test", "RUN_RESOLVED", f"jobs/{name.partition('.')[0]}/runs/1",
    )  # fmt: skip
    assert (city, enterprise, reason, at_ms) == ("wuhan", "w1", "looked at the center", 77)
    assert '"state":"UNKNOWN"' in before
    assert '"state":"LOST"' in after


def test_use_that_the_center_states_later_is_for_people(it: Hands) -> None:
    """Whatever was said of the run: nothing is charged beside it, and each record is told once."""
    for word in (LOST, CANCELLED, ENDED):
        uid = unknown(it, begun=True, attempts_max=1)
        [(start_ms,)] = it.db.rows(f"SELECT start_ms FROM run WHERE job_uid = {uid}")
        ended = {"exit_code": 0, "end_ms": start_ms + 60_000} if word is ENDED else {}
        charged = resolve(it, uid, word, **ended).gross_fen
        late = it.seen(
            uid, Phase.SUCCEEDED, 9, start_ms=start_ms, end_ms=start_ms + 90_000,
            usage=[it.usage(uid, start_ms, start_ms + 90_000, segment=at) for at in (0, 1)],
        )  # fmt: skip
        for _ in range(2):
            assert it.report(late).done == [(uid, 1)]
        assert it.job(uid, "gross_fen") == charged
        found = it.db.rows(f"SELECT kind, state FROM recon_diff WHERE job_uid = {uid}")
        assert found == [("RECORD", "OPEN")] * 2
    it.verify()


def test_use_that_says_the_same_as_the_operator_is_no_difference(it: Hands) -> None:
    uid = unknown(it, begun=True)
    [(start_ms,)] = it.db.rows("SELECT start_ms FROM run")
    resolve(it, uid, ENDED, exit_code=0, end_ms=start_ms + 60_000)
    same = it.usage(uid, start_ms, start_ms + 60_000)
    it.report(it.seen(uid, Phase.SUCCEEDED, 9, usage=[same]))
    assert it.db.rows("SELECT * FROM recon_diff") == []
    assert it.job(uid, "gross_fen") == cost(60)


def test_its_native_job_is_an_orphan_that_is_proven_dead(it: Hands) -> None:
    uid = unknown(it)
    resolve(it, uid, NEVER)
    it.report(it.seen(uid, Phase.RUNNING, 1, start_ms=it.clock.ms))  # it shows up after all
    assert it.db.rows("SELECT state FROM run") == [("FAILED",)]
    assert it.db.read_sync(lambda c: runs.finished(c, [(uid, 1)])) == {(uid, 1)}
    assert it.send(uid)[0] == []


def test_a_wish_to_cancel_is_heeded(it: Hands) -> None:
    uid = unknown(it)
    cancel(it, uid)
    assert resolve(it, uid, NEVER).job_state == "CANCELLED"
    it.verify()


@pytest.mark.parametrize("word", [NEVER, LOST, CANCELLED])
def test_the_centers_own_word_that_comes_between_counts(it: Hands, word: Resolution) -> None:
    """It is stored after the run was read to be resolved: then that writes nothing."""
    uid = unknown(it, begun=True)
    [(start_ms,)] = it.db.rows("SELECT start_ms FROM run")
    stale = it.db.read_sync(lambda c: load_runs(c, [uid]))
    ended = it.seen(
        uid, Phase.SUCCEEDED, 2, start_ms=start_ms, end_ms=start_ms + 30_000,
        usage=[it.usage(uid, start_ms, start_ms + 30_000)],
    )  # fmt: skip
    it.report(ended)
    before = it.db.rows("SELECT * FROM transfer"), it.db.rows("SELECT * FROM event")
    said = order(it, uid, word)
    with pytest.raises(Moved):
        it.db.do(lambda c: resolutions.end(c, stale, said))
    assert (it.db.rows("SELECT * FROM transfer"), it.db.rows("SELECT * FROM event")) == before
    with pytest.raises(WrongState, match="is SUCCEEDED"):
        it.db.do(lambda c: resolutions.resolve(c, said))
    it.verify()
