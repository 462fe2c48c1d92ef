"""One key, one set of jobs: whatever calls come together, in whatever order they are served."""

import asyncio
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.clock import WallClock
from scheduler.domain.ids import IdGenerator, job_uid
from scheduler.domain.principal import Principal, Role
from scheduler.errors import RequestIdReused
from scheduler.rpc.job_submission import submit_jobs
from scheduler.services.context import Context
from scheduler.services.submission_desk import SubmissionDesk
from scheduler.store.database import Database

NOW_MS = 1_790_000_000_000
calls = st.tuples(
    st.sampled_from(["sample-ezhou-1", "sample-ezhou-2"]),
    st.sampled_from("xyz"),  # request id
    st.integers(1, 3),  # jobs in the payload
    st.integers(0, 6),  # turns of the event loop before it is sent
)
Call = tuple[str, str, int, int]


class Service:
    """The submit path over a database, without a server; an event loop and a desk an example."""

    def __init__(self, db: Database) -> None:
        self.db, self.examples, self.seen = db, 0, set[int]()
        self.ids = IdGenerator(0, lambda: NOW_MS)

    def run(self, calls: list[Call], job: Any, submit: Any) -> list[Any]:
        """Make all calls at once; returns an answer or a refusal for each."""
        self.examples += 1
        views: Any = None
        context = Context(
            self.db, WallClock(), lambda: NOW_MS, self.ids, views, views, True, "test",
            SubmissionDesk(),
        )  # fmt: skip

        async def send(enterprise: str, request_id: str, count: int, turns: int) -> Any:
            who = Principal("m", Role.ENTERPRISE_MEMBER, None, enterprise, None, "t", 1 << 60)
            request = submit(*[job(str(count))] * count, request_id=f"{self.examples}-{request_id}")
            for _ in range(turns):
                await asyncio.sleep(0)
            try:
                return await submit_jobs(context, who, request, lambda city, stored: None)
            except RequestIdReused as error:
                return error

        async def together() -> list[Any]:
            return await asyncio.gather(*[send(*call) for call in calls])

        return asyncio.run(together())

    def new_jobs(self) -> set[int]:
        """Return the jobs that were stored, with an event each, since this was last asked."""
        sql = "SELECT j.uid FROM job j JOIN event e ON e.job_uid = j.uid AND e.kind = 'SUBMITTED'"
        stored = [row[0] for row in self.db.read_sync(lambda c: c.exec_driver_sql(sql).all())]
        assert len(stored) == len(set(stored))
        before, self.seen = self.seen, set(stored)
        return self.seen - before


@pytest.fixture
def service(seeded_database: Path, tmp_path: Path) -> Iterator[Service]:
    shutil.copyfile(seeded_database, tmp_path / "corridor.db")
    db = Database(f"sqlite:///{tmp_path / 'corridor.db'}")
    yield Service(db)
    db.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(calls, min_size=1, max_size=25))
def test_any_interleaving_makes_one_set_of_jobs_for_each_key(
    service: Service, job: Any, submit: Any, sent: list[Call]
) -> None:
    answers = service.run(sent, job, submit)
    sets: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    firsts: dict[tuple[str, str], int] = defaultdict(int)
    won: dict[tuple[str, str], int] = {}
    for (enterprise, request_id, count, _), answer in zip(sent, answers, strict=True):
        key = enterprise, request_id
        if not isinstance(answer, RequestIdReused):
            sets[key].add(tuple(one.job_id for one in answer.results))
            firsts[key] += not answer.replayed
            won.setdefault(key, count)
    # Each key has one set of jobs, made by one call and told to all with that payload.
    assert set(sets) == {(enterprise, request_id) for enterprise, request_id, *_ in sent}
    assert {len(ids) for ids in sets.values()} == {1}
    assert set(firsts.values()) == {1}
    for (enterprise, request_id, count, _), answer in zip(sent, answers, strict=True):
        assert isinstance(answer, RequestIdReused) == (won[enterprise, request_id] != count)
    told = {job_uid(one) for ids in sets.values() for one in next(iter(ids))}
    assert len(told) == sum(won.values())
    assert service.new_jobs() == told
