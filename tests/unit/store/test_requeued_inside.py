"""A run that its center queued again: published as it was, billed for what was really its use."""

import pytest

from adapters.contract import FailureClass, Phase
from scheduler.domain.reports import silent
from tests.simulation.hands import Hands
from tests.unit.store.ingest_hands import PRICE_UFEN, running, without_programmes

NODE, PREEMPTED = FailureClass.NODE, FailureClass.PREEMPTED


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return without_programmes()


def cost(seconds: int) -> int:
    """What so many seconds of one unit cost."""
    return (2 * seconds * PRICE_UFEN + 1_000_000) // 2_000_000


def test_it_never_goes_back_and_its_first_start_stands(it: Hands) -> None:
    uid = running(it)
    start_ms = it.clock.ms
    it.report(it.seen(uid, Phase.WAITING, 2))
    assert it.db.rows("SELECT state, start_ms FROM run") == [("RUNNING", start_ms)]
    it.report(silent(uid, 1, "no answer"))
    it.report(it.seen(uid, Phase.WAITING, 3))
    assert it.db.rows("SELECT state FROM run") == [("RUNNING",)]
    it.clock.ms += 500_000
    it.report(it.seen(uid, Phase.RUNNING, 4, start_ms=it.clock.ms))
    assert it.db.rows("SELECT state, start_ms FROM run") == [("RUNNING", start_ms)]
    assert it.job(uid, "state, start_ms") == ("RUNNING", start_ms)
    assert it.kinds(uid).count("RUN_STARTED") == 1


@pytest.mark.parametrize("failure", [NODE, PREEMPTED, FailureClass.CENTER])
def test_what_the_centers_fault_cut_off_is_neither_kept_nor_billed(
    it: Hands, failure: FailureClass
) -> None:
    uid = running(it)
    at_ms = it.clock.ms
    usage = [
        it.usage(uid, at_ms, at_ms + 40_000, segment=0, failure=failure),
        it.usage(uid, at_ms + 60_000, at_ms + 160_000, segment=1),
    ]
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, end_ms=at_ms + 160_000, usage=usage))
    assert it.job(uid, "settled, gross_fen") == (1, cost(100))
    assert it.db.rows("SELECT segment, source FROM usage_record") == [(1, "test")]
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, end_ms=at_ms + 160_000, usage=usage))
    assert it.job(uid, "gross_fen") == cost(100)
    assert it.db.rows("SELECT * FROM recon_diff") == [], "the same word again says nothing"
    it.verify()


def test_what_its_program_or_user_cut_off_is_billed(it: Hands) -> None:
    uid = running(it)
    at_ms = it.clock.ms
    usage = [
        it.usage(uid, at_ms, at_ms + 40_000, segment=0, failure=FailureClass.USER_CODE),
        it.usage(uid, at_ms + 60_000, at_ms + 160_000, segment=1),
    ]
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, end_ms=at_ms + 160_000, usage=usage))
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, end_ms=at_ms + 160_000, usage=usage))
    assert it.job(uid, "gross_fen") == cost(140)
    assert it.db.rows("SELECT * FROM recon_diff") == []
    it.verify()


def test_if_all_was_cut_off_nothing_is_billed(it: Hands) -> None:
    uid = running(it)
    at_ms = it.clock.ms
    cut = it.usage(uid, at_ms, at_ms + 40_000, failure=NODE)
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, end_ms=at_ms + 40_000, usage=[cut]))
    assert it.job(uid, "settled, gross_fen") == (1, 0)
    it.verify()


def test_the_newest_word_on_a_stretch_decides_whether_it_is_billed(it: Hands) -> None:
    uid = running(it)
    at_ms = it.clock.ms
    usage = [
        it.usage(uid, at_ms, at_ms + 40_000, segment=0, revision=1),
        it.usage(uid, at_ms, at_ms + 40_000, segment=0, revision=2, failure=NODE),
        it.usage(uid, at_ms + 60_000, at_ms + 90_000, segment=1, revision=1, failure=NODE),
        it.usage(uid, at_ms + 60_000, at_ms + 90_000, segment=1, revision=2),
    ]
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, end_ms=at_ms + 90_000, usage=usage))
    assert it.job(uid, "gross_fen") == cost(30)


def test_what_was_billed_and_was_the_centers_fault_after_all_is_for_people(it: Hands) -> None:
    uid = running(it)
    at_ms = it.clock.ms
    it.end(uid, 100)
    cut = it.usage(uid, at_ms, at_ms + 100_000, revision=1, failure=NODE)
    for _ in range(2):
        it.report(it.seen(uid, Phase.SUCCEEDED, 2, usage=[cut]))
    assert it.job(uid, "gross_fen") == cost(100), "nobody guesses"
    [(kind, state, there)] = it.db.rows("SELECT kind, state, there FROM recon_diff")
    assert (kind, state) == ("RECORD", "OPEN")
    assert '"seconds":0' in there
    it.verify()
