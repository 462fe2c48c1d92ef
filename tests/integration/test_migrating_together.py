"""Several processes bring one database up to date at the same time, and what stands in the way."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from scheduler.store import leader, migrate, replicas, verification
from scheduler.store.database import BadDatabase, open_engine
from scheduler.store.engine import StoreLimits
from scheduler.store.leader import Candidate
from scheduler.store.replicas import Newcomer
from tests import first_release
from tests.postgres import Postgres
from tests.stores import Stores

TOGETHER = 10


@pytest.fixture
def opened() -> Iterator[Callable[[str], Engine]]:
    """Opens engines that are closed after the test."""
    engines: list[Engine] = []

    def open_one(url: str, limits: StoreLimits | None = None) -> Engine:
        engines.append(open_engine(url, limits or StoreLimits()))
        return engines[-1]

    yield open_one
    for one in engines:
        one.dispose()


def together(engines: list[Engine]) -> list[str]:
    """Let each bring the database up to date, at the same instant."""
    barrier = threading.Barrier(len(engines))

    def upgrade(engine: Engine) -> str:
        barrier.wait()
        return migrate.upgrade(engine)

    with ThreadPoolExecutor(len(engines)) as threads:
        return list(threads.map(upgrade, engines))


def test_replicas_that_start_at_once_migrate_once(
    stores: Stores, opened: Callable[[str], Engine]
) -> None:
    """From nothing, and from the first release with its rows."""
    for url, fill in ((stores.empty(), None), (stores.empty(), first_release.make)):
        if fill is not None:
            fill(opened(url))
        engines = [opened(url) for _ in range(TOGETHER)]
        assert together(engines) == [migrate.head()] * TOGETHER
        with engines[0].connect() as connection:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").all()
            assert [tuple(row) for row in found] == [(migrate.head(),)]
            jobs = connection.exec_driver_sql("SELECT count(*) FROM job").scalar_one()
            assert jobs == (4 if fill else 0)


def test_the_books_of_the_first_release_are_in_order_after_it(
    stores: Stores, opened: Callable[[str], Engine]
) -> None:
    engine = opened(stores.empty())
    first_release.make(engine)
    migrate.upgrade(engine)
    with engine.connect() as connection, connection.begin():
        found = verification.verify(connection)
    entries = first_release.ROWS.read_text("utf-8").count('INSERT INTO "transfer"')
    assert (found.problems, found.transfer_count) == ((), entries)


def test_what_would_be_done_is_shown_and_not_done(
    stores: Stores, opened: Callable[[str], Engine]
) -> None:
    engine = opened(stores.empty())
    plan = migrate.plan(engine)
    assert (plan.found, plan.head, plan.serving) == (None, migrate.head(), "")
    assert [one.revision for one in plan.steps] == migrate.revisions()
    assert all(one.words.endswith(".") for one in plan.steps)
    assert migrate.current(engine) is None
    first_release.make(engine)
    plan = migrate.plan(engine)
    assert (plan.found, plan.steps[0].revision, plan.steps[-1].revision) == (
        "0001", "0002", migrate.head(),
    )  # fmt: skip
    assert migrate.current(engine) == "0001"
    migrate.upgrade(engine)
    assert migrate.plan(engine).steps == ()


@pytest.fixture
def behind(postgres: Postgres, opened: Callable[[str], Engine]) -> Iterator[Engine]:
    """A database that is one revision behind."""
    name = postgres.create()
    engine = opened(postgres.url(name))
    with engine.begin() as connection:
        first_release.to_revision(connection, migrate.revisions()[-2])
    yield engine
    engine.dispose()
    postgres.drop(name)


def write(engine: Engine, call: Callable[..., object], *given: object) -> object:
    with engine.begin() as connection:
        return call(connection, *given, leader.database_ms(connection))


def test_no_schema_changes_under_a_leader(behind: Engine) -> None:
    before = migrate.revisions()[-2]
    write(behind, leader.take_lease, None, Candidate("h", "one", "db:1", 60_000))
    assert migrate.plan(behind).serving == "replica one leads"
    with pytest.raises(migrate.BadSchema, match="replica one leads, and goes on with the schema"):
        migrate.upgrade(behind)
    assert migrate.current(behind) == before
    with behind.begin() as connection:
        leader.release_lease(connection, 1, "h")
    assert migrate.upgrade(behind) == migrate.head()


def test_no_schema_changes_under_a_replica_that_only_follows(behind: Engine) -> None:
    write(behind, replicas.join, Newcomer("i", "two", "db:2", "1"))
    with pytest.raises(migrate.BadSchema, match="replica two serves"):
        migrate.upgrade(behind)
    write(behind, replicas.leave, "i")
    assert migrate.upgrade(behind) == migrate.head()


def test_who_waited_while_another_migrated_and_began_to_lead_is_content(
    behind: Engine, opened: Callable[..., Engine]
) -> None:
    waiting = opened(str(behind.url))
    with ThreadPoolExecutor(1) as thread:
        with behind.connect() as connection, connection.begin():
            migrate.wait_for_others(connection)
            upgraded = thread.submit(migrate.upgrade, waiting)
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while not connection.exec_driver_sql(waits).scalar_one():
                connection.exec_driver_sql("SELECT pg_sleep(0.01)")
            first_release.to_revision(connection, migrate.head())
            now_ms = leader.database_ms(connection)
            leader.take_lease(connection, None, Candidate("h", "one", "db:1", 60_000), now_ms)
        assert upgraded.result() == migrate.head()


def test_a_replica_that_begins_meanwhile_waits(behind: Engine) -> None:
    """It would read the schema that is about to change."""
    with behind.connect() as connection, connection.begin():
        migrate.wait_for_others(connection)
        assert migrate._serving(connection, alone=True) == ""
        hasty = open_engine(str(behind.url), StoreLimits(lock_ms=50))
        with pytest.raises(Exception, match="lock timeout"):
            write(hasty, replicas.join, Newcomer("i", "two", "db:2", "1"))
        hasty.dispose()


def test_a_table_that_somebody_holds_is_not_waited_for_without_end(
    behind: Engine, opened: Callable[..., Engine]
) -> None:
    hasty = opened(str(behind.url), StoreLimits(lock_ms=50))
    with behind.connect() as reader, reader.begin():
        reader.exec_driver_sql("LOCK TABLE alembic_version IN SHARE MODE")
        with pytest.raises(BadDatabase, match=r"lock timeout.*; nothing was changed"):
            migrate.upgrade(hasty)
    assert migrate.upgrade(hasty) == migrate.head()
