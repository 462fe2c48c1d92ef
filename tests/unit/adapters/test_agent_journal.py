"""The agent's journal: what was committed is there, whatever became of who wrote it."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.agent.journal import BadJournal, Journal, JournalFailure
from adapters.agent.rows import Entry, decode, encode
from adapters.contract import FailureClass, Observation, Phase, RunRef, Usage

REF = RunRef("j1.1", "corridor-j1.1", "77", 1_700_000_000_000)
SEEN = Observation(
    "j1.1", "77", Phase.FAILED, 4, 1_700_000_000_000, 1_700_000_001_000, 1_700_000_009_000,
    FailureClass.NODE, 3, "结点故障 node down", 2,
)  # fmt: skip
USED = Usage(
    "j1.1", "77", 1_700_000_000_000, 1, 2, 1_700_000_001_000, 1_700_000_009_000, 8, "a" * 64,
    "sacct", FailureClass.NODE,
)  # fmt: skip


def abandon(journal: Journal) -> None:
    """Leave it as kill -9 would: nothing more is written."""
    journal._thread.shutdown()
    journal._connection.close()


@pytest.mark.parametrize(
    "entry",
    [
        Entry(RunRef("j1.1", "corridor-j1.1")),
        Entry(REF, 7, SEEN),
        Entry(REF, 7, SEEN, (), True),
        Entry(REF, 7, replace(SEEN, failure=None, exit_code=None, start_ms=None), (USED, USED)),
    ],
)
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[1,2,3,4,5,6,7,8]"])
def test_what_is_no_entry_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no entry"):
        decode(text)


async def test_what_was_committed_survives_and_what_was_not_does_not(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db", "wuhan-sc")
    kept = journal.put(Entry(REF, 0, SEEN, (USED,)))
    journal.put(Entry(RunRef("j2.1", "corridor-j2.1")))
    journal.obey(5)
    await journal.commit()
    journal.put(Entry(RunRef("j3.1", "corridor-j3.1")))
    abandon(journal)
    again = Journal(tmp_path / "a.db", "wuhan-sc")
    assert set(again.runs) == {"j1.1", "j2.1"}
    assert again.runs["j1.1"] == kept
    assert (again.epoch, again.journal_id) == (5, journal.journal_id)
    await again.close()


async def test_a_sequence_never_comes_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db", "wuhan-sc")
    first = journal.put(Entry(REF, 0, SEEN))
    second = journal.put(Entry(REF, 0, SEEN))
    assert second.sequence > first.sequence
    journal.drop(["j1.1"])
    await journal.close()
    again = Journal(tmp_path / "a.db", "wuhan-sc")
    assert again.runs == {}
    assert again.put(Entry(REF, 0, SEEN)).sequence > second.sequence
    await again.close()


async def test_an_epoch_only_rises(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db", "wuhan-sc")
    journal.obey(9)
    journal.obey(8)
    assert journal.epoch == 9
    await journal.close()


async def test_what_comes_together_is_committed_together(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db", "wuhan-sc")

    async def one(number: int) -> None:
        journal.put(Entry(RunRef(f"j{number}.1", f"corridor-j{number}.1")))
        await journal.commit()
        assert journal._durable >= number

    await asyncio.gather(*(one(number) for number in range(1, 200)))
    abandon(journal)
    again = Journal(tmp_path / "a.db", "wuhan-sc")
    assert len(again.runs) == 199
    await again.close()


async def test_a_full_disk_is_told_and_tried_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db", "wuhan-sc")
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(200):
        journal.put(Entry(RunRef(f"j{number}.1", "n" * 200)))
    with pytest.raises(JournalFailure, match=r"a\.db cannot be written: .*full"):
        await journal.commit()
    journal._connection.execute("PRAGMA max_page_count = 100000")
    await journal.commit()
    abandon(journal)
    again = Journal(tmp_path / "a.db", "wuhan-sc")
    assert len(again.runs) == 200
    await again.close()


async def test_only_one_agent_may_have_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db", "wuhan-sc")
    with pytest.raises(BadJournal, match="in use by another agent"):
        Journal(tmp_path / "a.db", "wuhan-sc")
    await journal.close()


async def test_another_centers_journal_is_refused(tmp_path: Path) -> None:
    await Journal(tmp_path / "a.db", "wuhan-sc").close()
    with pytest.raises(BadJournal, match="is the journal of wuhan-sc, not wuhan-ai"):
        Journal(tmp_path / "a.db", "wuhan-ai")


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("certainly no database, and long enough to be none" * 20)
    with pytest.raises(BadJournal, match="no journal of an agent"):
        Journal(tmp_path / "a.db", "wuhan-sc")


async def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    await Journal(tmp_path / "a.db", "wuhan-sc").close()
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("UPDATE fact SET value = '2' WHERE name = 'schema'")
    connection.close()
    with pytest.raises(BadJournal, match="another version"):
        Journal(tmp_path / "a.db", "wuhan-sc")
