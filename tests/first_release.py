"""A database as the first release left it: its schema, and rows of its time, on either database.

``tests/data/first_release.sql`` is what its SQLite database held: a job that runs, one that lost
its node and waits for its second attempt, one that waits, one that is held, and the books of that.
"""

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from scheduler.store import migrate
from scheduler.store.database import open_engine

ROWS: Final = Path(__file__).parent / "data" / "first_release.sql"


def make(engine: Engine) -> None:
    """Make it in an empty database."""
    if engine.dialect.name == "sqlite":
        _fill(engine)
        return
    of_sqlite = open_engine("sqlite://")
    _fill(of_sqlite)
    with of_sqlite.connect() as source, engine.begin() as target:
        to_revision(target, "0001")
        _copy(source, target)
    of_sqlite.dispose()


def _fill(engine: Engine) -> None:
    with engine.connect() as raw:
        connection = raw.execution_options(corridor_write=True)
        with connection.begin():
            to_revision(connection, "0001")
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.executescript(f"PRAGMA foreign_keys=OFF; {ROWS.read_text('utf-8')}")
        driver.execute("PRAGMA foreign_keys=ON")
        assert not driver.execute("PRAGMA foreign_key_check").fetchall()


def to_revision(connection: Connection, revision: str) -> None:
    """Bring a schema up to a revision in the caller's transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _copy(source: Connection, target: Connection) -> None:
    """Copy all rows, each value as the type that its column has there."""
    schema = sa.MetaData()
    schema.reflect(target)
    for table in schema.sorted_tables:
        if table.name == "alembic_version":
            continue
        names = ", ".join(column.name for column in table.columns)
        rows = source.exec_driver_sql(f"SELECT {names} FROM {table.name}").all()
        if rows:
            target.execute(sa.insert(table), [_typed(table, row) for row in rows])
        for column in table.primary_key.columns:
            if column.server_default is not None:  # numbers go on behind those that are taken
                target.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'),"
                    f" coalesce(max({column.name}), 0) + 1, false) FROM {table.name}"
                )


def _typed(table: sa.Table, row: Any) -> dict[str, object]:
    def value(column: sa.Column[Any], given: object) -> object:
        return bool(given) if isinstance(column.type, sa.Boolean) and given is not None else given

    return {c.name: value(c, given) for c, given in zip(table.columns, row, strict=True)}
