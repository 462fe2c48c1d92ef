"""The lease and the numbers of replicas on a real PostgreSQL, with leaders that hold locks."""

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, make_url
from sqlalchemy.exc import OperationalError

from scheduler.domain.ids import REPLICA_BITS
from scheduler.domain.leases import Lease
from scheduler.store import guards, leader, replicas
from scheduler.store.database import Database
from scheduler.store.engine import open_engine
from scheduler.store.lease_line import LeaseLine, LineLost, application_of, with_application
from scheduler.store.replicas import Newcomer, TooManyReplicas
from tests.postgres import Postgres

NOW_MS = 10_000_000
#: Of the role that services have, which may end only what the same login began.
AS_SERVICE = f"-c role={guards.SERVICE_ROLE}"


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    name = postgres.lend()
    as_service = make_url(postgres.url(name)).update_query_dict({"options": AS_SERVICE})
    yield as_service.render_as_string(hide_password=False)
    postgres.give_back(name)


def newcomer(name: str) -> Newcomer:
    return Newcomer(name, name, f"{name}:1", "1")


@pytest.fixture
def lines(url: str) -> Iterator[list[LeaseLine]]:
    """Lines of two replicas, whose leases are over at once: so the other may always take it."""
    made = [LeaseLine(url, newcomer(name), 1) for name in ("a", "b")]
    yield made
    for line in made:
        line.close()


@contextlib.contextmanager
def leading_write(url: str, of: str, epoch: int) -> Iterator[Connection]:
    """A write of a leader that has checked its epoch and goes no further."""
    engine = open_engine(with_application(url, application_of(of)))
    try:
        with engine.connect() as connection:
            connection.begin()
            leader.check(connection, epoch)
            yield connection
    finally:
        engine.dispose()


def test_one_takes_it_and_the_other_sees_so(lines: list[LeaseLine]) -> None:
    a, b = lines
    nobody, _ = b.look()
    assert a.take(None) == 1
    assert b.take(nobody) is None, "it is not what was judged"
    lease, now_ms = b.look()
    assert lease is not None
    assert lease == Lease(1, "a", "a", "a:1", 1, lease.renewed_ms, 1)
    assert now_ms - lease.renewed_ms < 60_000
    assert a.renew(1)
    assert b.take(lease) is None, "it was renewed since"
    lease, _ = b.look()
    assert b.take(lease) == 2
    assert not a.renew(1)


def test_renewing_waits_for_no_write(url: str, lines: list[LeaseLine]) -> None:
    a, _ = lines
    assert a.take(None) == 1
    with leading_write(url, "a", 1) as write:
        assert a.renew(1)
        write.commit()


def test_a_write_that_has_just_begun_is_waited_for(url: str) -> None:
    a, b = (LeaseLine(url, newcomer(name), 3_600_000) for name in ("a", "b"))
    assert a.take(None) == 1
    lease, _ = b.look()
    with leading_write(url, "a", 1) as write:
        with pytest.raises(LineLost, match="lock timeout"):
            b.take(lease)
        write.commit()
    assert b.take(lease) == 2
    a.close()
    b.close()


def test_a_stopped_leaders_write_is_ended_and_nothing_of_it_stored(
    url: str, lines: list[LeaseLine]
) -> None:
    a, b = lines
    assert a.take(None) == 1
    lease, _ = b.look()
    with leading_write(url, "a", 1) as write:
        write.exec_driver_sql("UPDATE leader SET holder = 'late'")
        write.exec_driver_sql("SELECT pg_sleep(0.01)")  # older than half of the lease
        assert b.take(lease) == 2
        with pytest.raises(OperationalError):
            write.commit()
    db = Database(url)
    holder = db.read_sync(lambda c: c.exec_driver_sql("SELECT holder FROM leader").scalar_one())
    db.close()
    assert holder == "b"


def test_numbers_are_given_out_and_lost(url: str) -> None:
    db = Database(url)
    last = 1 << REPLICA_BITS

    def join(name: str, now_ms: int) -> int:
        return db.write_future(lambda c: replicas.join(c, newcomer(name), now_ms)).result()

    try:
        assert [join(f"{number}", NOW_MS) for number in range(3)] == [0, 1, 2]
        assert db.write_future(lambda c: replicas.seen(c, 1, "1", NOW_MS + 5)).result()
        assert not db.write_future(lambda c: replicas.seen(c, 1, "0", NOW_MS)).result()
        db.write_future(lambda c: replicas.leave(c, "2", NOW_MS + 6)).result()
        listed = db.read_sync(lambda c: replicas.present(c, NOW_MS))
        assert [(row.number, row.seen_ms) for row in listed] == [(0, NOW_MS), (1, NOW_MS + 5)]
        for number in range(3, last):
            assert join(f"{number}", NOW_MS + 7) == number
        assert join("late", NOW_MS + 8) == 2, "the only one whose replica ended"
        with pytest.raises(TooManyReplicas, match=f"{last} replicas live on this database"):
            join("later", NOW_MS + 9)
    finally:
        db.close()
