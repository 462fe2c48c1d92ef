"""How one run's entry changes by what its center says, and what three sides lack of each other."""

from dataclasses import replace

import pytest

from adapters.agent.comparing import compare
from adapters.agent.rows import Entry
from adapters.contract import Accepted, Observation, Phase, RunRef

REF = RunRef("j1.1", "corridor-j1.1")
WAITS = Observation("j1.1", "7", Phase.WAITING, 1, 1000)
RUNS = replace(WAITS, phase=Phase.RUNNING, sequence=2, start_ms=1500)
ENDED = replace(RUNS, phase=Phase.SUCCEEDED, sequence=3, end_ms=2000, exit_code=0)
AGAIN = Observation("j1.1", "9", Phase.WAITING, 1, 5000)  # sent again: another native job


def test_an_acceptance_is_seen_as_waiting_until_the_center_says_more() -> None:
    entry = Entry(REF).accepted(Accepted("j1.1", "7", 1000))
    assert entry.ref == RunRef("j1.1", "corridor-j1.1", "7", 1000)
    assert entry.observation == replace(WAITS, sequence=0)
    assert entry.saw(WAITS).observation == WAITS


def test_an_acceptance_that_is_known_changes_nothing() -> None:
    entry = Entry(REF).saw(RUNS)
    assert entry.accepted(Accepted("j1.1", "7", 1000)) is entry


@pytest.mark.parametrize(
    ("known", "late"),
    [(RUNS, WAITS), (RUNS, RUNS), (ENDED, RUNS), (ENDED, replace(ENDED, sequence=9, end_ms=1))],
)
def test_older_words_change_nothing(known: Observation, late: Observation) -> None:
    entry = Entry(REF).saw(known)
    assert entry.saw(late) is entry


def test_a_place_in_the_queue_is_news_also_without_a_new_sequence() -> None:
    entry = Entry(REF).saw(replace(WAITS, queue_position=9))
    assert entry.saw(replace(WAITS, queue_position=4)) is not entry


def test_another_native_job_of_the_name_begins_anew() -> None:
    entry = replace(Entry(REF).saw(ENDED), usage=())
    after = entry.saw(AGAIN)
    assert (after.observation, after.usage, after.ref.native_id) == (AGAIN, None, "9")
    # The id alone is no identity: centers give theirs out again.
    recycled = replace(AGAIN, native_id="7")
    assert entry.saw(recycled).observation == recycled


def test_what_was_gone_and_is_there_again_is_there() -> None:
    entry = replace(Entry(REF).saw(RUNS), gone=True)
    assert not entry.active
    assert entry.saw(RUNS).active
    assert entry.accepted(Accepted("j1.1", "7", 1000)).active


def test_a_mere_intent_is_not_told_of() -> None:
    assert Entry(REF).report() is None
    assert Entry(REF).saw(WAITS).report() is not None


def test_each_side_is_told_what_it_lacks() -> None:
    journal = {
        "active": Entry(RunRef("active", "n-active")).saw(replace(RUNS, run_id="active")),
        "lost": Entry(RunRef("lost", "n-lost")).saw(replace(RUNS, run_id="lost")),
        "intent": Entry(RunRef("intent", "n-intent")),
        "ended": Entry(RunRef("ended", "n-ended")).saw(replace(ENDED, run_id="ended")),
        "done": Entry(RunRef("done", "n-done")).saw(replace(ENDED, run_id="done")),
    }
    stranger = replace(RUNS, run_id="stranger")
    center = {"active": RUNS, "stranger": stranger}
    wanted = [RunRef("missed", "n-missed"), RunRef("active", "n-active"), REF]
    found = compare(journal, center, {"done", "active", "other"}, wanted)
    assert found.adopt == (stranger,)
    assert [ref.run_id for ref in found.look_up] == ["lost", "intent", "missed", "j1.1"]
    assert found.forget == ("done",), "what runs is never forgotten, whatever the scheduler thinks"


def test_three_sides_that_agree_lack_nothing() -> None:
    journal = {"j1.1": Entry(REF).saw(RUNS)}
    found = compare(journal, {"j1.1": RUNS}, (), [REF])
    assert (found.adopt, found.look_up, found.forget) == ((), (), ())
