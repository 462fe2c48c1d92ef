"""What PostgreSQL itself refuses: changes of what is only ever added to, by whoever asks."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError, ProgrammingError

from scheduler.domain.principal import EVERYTHING
from scheduler.store import funds, guards, migrate
from scheduler.store.database import Database, open_engine
from tests.postgres import Postgres
from tests.simulation import inline_store
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

AS_SERVICE = f"&options=-c role={guards.SERVICE_ROLE}"


@pytest.fixture
def engine(postgres: Postgres) -> Iterator[Engine]:
    """The owner's connection to a migrated database."""
    engine = open_engine(postgres.url(postgres.migrated()))
    yield engine
    engine.dispose()


@pytest.fixture
def world(postgres: Postgres) -> Iterator[Hands]:
    """A corridor in which a job ran and was paid for."""
    with inline_store.on(postgres):
        it = Hands(worlds.build())
        uids = it.world.submit("w1", [job(NPU), job(NPU)])
        it.run(*uids)
        it.end(uids[0], 100)
        yield it


def test_the_ledger_is_among_what_is_only_added_to(engine: Engine) -> None:
    with engine.begin() as connection:
        found = guards.insert_only(connection)
    assert {"transfer", "usage_record", "rated_line", "subsidy_line", "audit_event"} <= {*found}


def test_not_even_the_owner_empties_a_table_of_facts(world: Hands) -> None:
    [(count,)] = world.db.rows("SELECT count(*) FROM transfer")
    assert count > 0
    with world.db.engine.connect() as connection:
        for table in guards.insert_only(connection):
            with pytest.raises(IntegrityError, match=f"{table} is insert-only"):
                connection.exec_driver_sql(f"TRUNCATE {table} CASCADE")
            connection.rollback()
    assert world.db.rows("SELECT count(*) FROM transfer") == [(count,)]


def test_the_services_role_moves_money_and_cannot_change_what_it_wrote(world: Hands) -> None:
    service = Database(world.db.url + AS_SERVICE)
    [uid] = world.world.submit("w1", [job(NPU)])
    world.run(uid)
    service.write_future(
        lambda c: funds.appropriate(
            c, EVERYTHING, programme="wuhan-v", period="2026", amount_fen=100, request_id="again",
            actor="test", reason="test", now_ms=world.clock.ms,
        )
    ).result()  # fmt: skip
    for table in service.read_sync(guards.insert_only):
        column = sa.inspect(service.engine).get_columns(table)[0]["name"]
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
        ):
            with pytest.raises(ProgrammingError, match=f"permission denied for table {table}"):
                service.write_future(lambda c, s=statement: c.exec_driver_sql(s)).result()  # type: ignore[misc]
    for statement in (
        "DROP TRIGGER transfer_no_update ON transfer",
        "ALTER TABLE transfer DISABLE TRIGGER ALL",
        "UPDATE alembic_version SET version_num = '0001'",
    ):
        with pytest.raises(ProgrammingError, match=r"must be owner|permission denied"):
            service.write_future(lambda c, s=statement: c.exec_driver_sql(s)).result()  # type: ignore[misc]
    assert service.read_sync(funds.verify).ok
    service.close()


def test_an_owner_who_may_make_no_roles_goes_without(postgres: Postgres) -> None:
    name = postgres.create()
    with postgres.session(name) as connection:
        connection.execute("DROP ROLE IF EXISTS plain")
        connection.execute("CREATE ROLE plain LOGIN")
        connection.execute(f"ALTER DATABASE {name} OWNER TO plain")
        connection.execute("ALTER SCHEMA public OWNER TO plain")
    engine = open_engine(postgres.url(name).replace("corridor@", "plain@"))
    assert migrate.upgrade(engine) == migrate.head()
    with engine.connect() as connection, pytest.raises(IntegrityError, match="insert-only"):
        connection.exec_driver_sql("TRUNCATE transfer")
    engine.dispose()


@pytest.mark.parametrize(
    "made",
    ["LOCALE_PROVIDER icu ICU_LOCALE 'zh-CN'", "ENCODING 'SQL_ASCII' LOCALE 'C'"],
    ids=["chinese", "ascii"],
)
def test_a_database_with_another_order_of_texts_is_refused(postgres: Postgres, made: str) -> None:
    engine = open_engine(postgres.url(postgres.create(made=made)))
    try:
        with pytest.raises(migrate.BadSchema, match=r"LOCALE 'C\.UTF-8'"):
            migrate.upgrade(engine)
        assert migrate.current(engine) is None
    finally:
        engine.dispose()


def test_texts_are_ordered_by_code_point(engine: Engine) -> None:
    names = ["B", "a", "Z", "_", "-", "-a", "武汉", "鄂州", "é"]
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO city VALUES (:code, :code, :code, 1)"),
            [{"code": name} for name in names],
        )
        found = connection.exec_driver_sql("SELECT code FROM city ORDER BY code").scalars().all()
    assert found == sorted(names)


def test_guarding_twice_changes_nothing(engine: Engine) -> None:
    def state() -> list[tuple[object, ...]]:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT tgname::text, tgrelid::regclass::text FROM pg_trigger UNION ALL"
                " SELECT relname::text, relacl::text FROM pg_class ORDER BY 1, 2"
            )
            return [tuple(row) for row in rows]

    before = state()
    with engine.begin() as connection:
        guards.set_up(connection)
    assert state() == before


@pytest.mark.parametrize(
    ("table", "ends"),
    [
        ("hold", "state = 'SETTLED', posted_fen = 5, resolved_ms = 9"),
        ("hold_leg", "posted_fen = 5"),
        ("budget_hold", "used_unit_seconds = 5, settled_ms = 9"),
    ],
)
def test_the_end_of_a_hold_is_written_beside_it(engine: Engine, table: str, ends: str) -> None:
    """More rows than a page has, all changed: no index had to be told of the new ones."""
    with engine.begin() as connection:
        run = connection.exec_driver_sql
        run(_HOLDS[table])
        assert run(f"UPDATE {table} SET {ends}").rowcount == 1_000
        beside = f"SELECT pg_stat_get_xact_tuples_hot_updated('{table}'::regclass)"
        assert run(beside).scalar_one() == 1_000
        connection.rollback()


_HOLDS = {
    "hold": "INSERT INTO hold (job_uid, attempt, rev, state, price_id, price_ufen, frozen, units,"
    " from_s, wall_limit_s, gross_fen, posted_fen, created_ms) SELECT n, 1, 0, 'HELD', 'p', 1,"
    " '{}', 1, 0, 60, 9, 0, 1 FROM generate_series(1, 1000) n",
    "hold_leg": "INSERT INTO hold_leg (job_uid, attempt, rev, leg, kind, debit_account,"
    " credit_account, amount_fen, posted_fen) SELECT n, 1, 0, 0, 'WALLET', 'wallet:w',"
    " 'payable:c', 9, 0 FROM generate_series(1, 1000) n",
    "budget_hold": "INSERT INTO budget_hold (job_uid, attempt, part, city, enterprise, flavor,"
    " period, unit_seconds, background, created_ms) SELECT n, 1, 0, 'c', 'e', 'f', '2026-01', 9,"
    " false, 1 FROM generate_series(1, 1000) n",
}
