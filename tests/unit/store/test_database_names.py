"""A database has one name, whoever asks, and no other has it."""

from sqlalchemy import Connection, Engine

from scheduler.store.database import open_engine
from scheduler.store.database_names import name_of
from tests.stores import Stores


def asked(engine: Engine) -> str:
    with engine.connect() as connection:
        return name_of(connection)


def test_each_database_has_a_name_of_its_own(stores: Stores) -> None:
    urls = [stores.empty(), stores.empty()]
    engines = [open_engine(url) for url in (*urls, urls[0])]
    try:
        first, second, again = map(asked, engines)
    finally:
        for engine in engines:
            engine.dispose()
    assert first == again != second
    assert len(first) == 12


def as_a_plain_role(connection: Connection) -> str:
    run = connection.exec_driver_sql
    run("CREATE ROLE corridor_plain")
    run("SET ROLE corridor_plain")
    found = name_of(connection)
    connection.rollback()
    return found


def test_whoever_may_connect_may_ask(stores: Stores) -> None:
    engine = open_engine(stores.empty())
    try:
        with engine.connect() as connection:
            if stores.kind == "postgresql":
                assert as_a_plain_role(connection) == name_of(connection)
            assert name_of(connection)
    finally:
        engine.dispose()
