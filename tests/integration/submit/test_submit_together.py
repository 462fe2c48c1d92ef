"""Submissions that come at the same time: few transactions, each call for itself."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from scheduler.domain.principal import Principal, Role
from scheduler.errors import TemporarilyAway
from scheduler.rpc.job_submission import submit_jobs
from scheduler.services.submission_desk import SubmissionDesk
from scheduler.store import submission_book, submissions
from scheduler.store.database import Database
from scheduler.store.submissions import Earlier, Fate, Key, NewJob, Outcome, Submission

MINE = "sample-ezhou-1"


def prepared(corridor: Any, name: str, uid: int) -> Submission:
    """A judged submission of one job."""
    row = NewJob(
        uid, MINE, "ezhou", "QUEUED", 0, 0, None, name, '[["wuhan-ai/ascend-910b",8,1,60]]', "{}",
        b"", "PREFERRED", None, 3, "NODE",
    )  # fmt: skip
    revision = corridor.db.read_sync(submission_book.revision)
    return Submission(Key(MINE, name, b"digest"), revision, [row], b"answer", 0)


async def test_what_waits_together_shares_a_transaction(corridor: Any, hold: Any) -> None:
    commits: list[None] = []
    corridor.db.after_commit.append(lambda: commits.append(None))
    desk, db, gate = corridor.context.desk, corridor.db, hold()
    calls = [
        asyncio.create_task(desk.store(db, prepared(corridor, f"n{uid}", uid)))
        for uid in range(1, 201)
    ]
    await asyncio.sleep(0)
    gate.open()
    assert await asyncio.gather(*calls) == [Fate.STORED] * 200
    # The gate's own, the first call, which went ahead, and all others.
    assert len(commits) <= 3


async def test_where_two_came_together_the_next_write_waits_for_as_many(corridor: Any) -> None:
    desk, db = SubmissionDesk(gather_s=3600.0), corridor.db
    stored = [prepared(corridor, f"n{uid}", uid) for uid in range(1, 5)]
    await asyncio.gather(desk.store(db, stored[0]), desk.store(db, stored[1]))
    third = asyncio.create_task(desk.store(db, stored[2]))
    await asyncio.sleep(0)  # its write begins, if it waits for nobody
    await db.write(lambda c: None)
    assert corridor.rows("SELECT count(*) FROM job") == [(2,)]
    assert await desk.store(db, stored[3]) is Fate.STORED
    assert await third is Fate.STORED


async def test_a_call_that_comes_alone_after_a_crowd_waits_a_moment(corridor: Any) -> None:
    desk, db = SubmissionDesk(gather_s=0.001), corridor.db
    stored = [prepared(corridor, f"n{uid}", uid) for uid in range(1, 4)]
    await asyncio.gather(desk.store(db, stored[0]), desk.store(db, stored[1]))
    assert await desk.store(db, stored[2]) is Fate.STORED


async def test_of_equal_keys_in_one_transaction_the_first_is_stored(corridor: Any) -> None:
    first, second = prepared(corridor, "key", 1), prepared(corridor, "key", 2)
    outcomes = await corridor.db.write(lambda c: submissions.store(c, [first, second]))
    assert outcomes == [Fate.STORED, Earlier(b"digest", b"answer")]
    assert corridor.rows("SELECT uid FROM job") == [(1,)]


async def test_one_that_cannot_be_stored_does_not_hurt_the_others(
    corridor: Any, stored: Any
) -> None:
    desk, db = corridor.context.desk, corridor.db
    await desk.store(db, prepared(corridor, "there", 7))
    names = {"a": 1, "b": 2, "clash": 7, "c": 3}
    outcomes = await asyncio.gather(
        *[desk.store(db, prepared(corridor, name, uid)) for name, uid in names.items()],
        return_exceptions=True,
    )
    failed = [isinstance(outcome, sa.exc.IntegrityError) for outcome in outcomes]
    assert failed == [False, False, True, False]
    kept = corridor.rows("SELECT display_name FROM job ORDER BY uid")
    assert kept == [("a",), ("b",), ("c",), ("there",)]
    assert stored(corridor) == {"job": 4, "request_key": 4, "event": 4}


async def test_a_store_that_is_far_behind_takes_no_more(
    corridor: Any, stored: Any, hold: Any
) -> None:
    desk, db, gate = SubmissionDesk(waiting_max=3), corridor.db, hold()
    calls = [
        asyncio.create_task(desk.store(db, prepared(corridor, str(uid), uid)))
        for uid in range(1, 6)
    ]
    await asyncio.sleep(0)
    for call in calls[3:]:
        with pytest.raises(TemporarilyAway, match="3 jobs wait"):
            await call
    gate.open()
    assert await asyncio.gather(*calls[:3]) == [Fate.STORED] * 3
    assert stored(corridor)["job"] == 3
    assert await desk.store(db, prepared(corridor, "later", 9)) is Fate.STORED


async def test_settings_that_never_rest_end_the_call(
    corridor: Any, submit: Any, stored: Any, nothing: Any
) -> None:
    class Stale(SubmissionDesk):
        async def store(self, db: Database, submission: Submission) -> Outcome:
            return Fate.STALE

    context = replace(corridor.context, desk=Stale())
    who = Principal("m", Role.ENTERPRISE_MEMBER, None, MINE, None, "t", 1 << 60)
    with pytest.raises(TemporarilyAway, match="nothing was stored"):
        await submit_jobs(context, who, submit(), lambda city, count: None)
    assert stored(corridor) == nothing


async def test_a_caller_that_leaves_does_not_disturb_the_others(corridor: Any, hold: Any) -> None:
    """What it handed in is stored; it will find its answer under its key."""
    desk, db, gate = corridor.context.desk, corridor.db, hold()
    calls = [
        asyncio.create_task(desk.store(db, prepared(corridor, str(uid), uid))) for uid in (1, 2, 3)
    ]
    await asyncio.sleep(0)
    calls[1].cancel()
    await asyncio.sleep(0)
    gate.open()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert (found[0], found[2]) == (Fate.STORED, Fate.STORED)
    assert isinstance(found[1], asyncio.CancelledError)
    assert corridor.rows("SELECT count(*) FROM job") == [(3,)]


async def test_keys_are_found_by_index(corridor: Any) -> None:
    """However many keys there are: no scan of them."""
    seen: list[str] = []

    def plan(connection: sa.Connection) -> list[str]:
        sa.event.listen(connection, "before_cursor_execute", _note(seen))
        submissions.find(connection, [Key("a", "b", b""), Key("c", "d", b"")])
        sql = seen[0].replace("(?, ?), (?, ?)", "('a', 'b'), ('c', 'd')")
        return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]

    steps = corridor.db.read_sync(plan)
    assert any(step.startswith("SEARCH k USING INDEX") for step in steps)
    assert not any(step.startswith("SCAN k") for step in steps)


def _note(seen: list[str]) -> Any:
    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    return note
