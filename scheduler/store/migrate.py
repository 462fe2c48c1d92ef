"""Brings the schema of a database to this version of the service, by Alembic's revisions."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect

from scheduler.errors import CorridorError

_FOLDER: Final = Path(__file__).parent / "migrations"


class BadSchema(CorridorError):
    """The database's schema does not fit this version; the message says what to do."""

    reason = "BAD_SCHEMA"


def head() -> str:
    """Return the revision that this version of the service needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def current(engine: Engine) -> str | None:
    """Return the revision of a database, None for an empty one."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine) -> str:
    """Bring a database to ``head`` in one transaction; one that is there is left alone.

    Raises ``BadSchema`` for a database of a newer version, or one with tables but no revision.
    """
    found = _known(engine)
    if found == head():
        return found
    if found is None:
        _refuse_foreign(engine)
    config = _config()
    with engine.connect() as raw:
        connection = raw.execution_options(corridor_write=True)
        with connection.begin():
            _upgrade(connection, config)
    return head()


def check(engine: Engine) -> None:
    """Raise ``BadSchema`` unless the database is exactly at ``head``."""
    found = _known(engine)
    if found is None:
        raise BadSchema("the database is empty; run `corridor init` first")
    if found != head():
        raise BadSchema(
            f"the database is at revision {found}, this version needs {head()}; stop the service,"
            " back the database up and run `corridor init` to bring it up to date"
        )


def _upgrade(connection: Connection, config: Config) -> None:
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _known(engine: Engine) -> str | None:
    """Return the revision of a database; ``BadSchema`` if this version does not know it."""
    found = current(engine)
    if found is None:
        return None
    try:
        ScriptDirectory.from_config(_config()).get_revision(found)
    except CommandError as error:
        raise BadSchema(
            f"the database is at revision {found}, which this version ({head()}) does not know: it"
            " was used by a newer one; install that version or restore a backup"
        ) from error
    return found


def _refuse_foreign(engine: Engine) -> None:
    tables = inspect(engine).get_table_names()
    if tables:
        raise BadSchema(
            f"the database has tables ({', '.join(sorted(tables)[:5])}) that this service did not"
            " make; give it a database of its own"
        )


def _config() -> Config:
    config = Config()
    # Alembic reads % as interpolation, and a path may hold one.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config
