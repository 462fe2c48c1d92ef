"""Brings the schema of a database to this version of the service, by Alembic's revisions.

Alembic is imported only where a schema changes: a service that starts has to look, and its start is
waited for. So a revision's file is called ``rev_<revision>_<what>.py``, in order.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DatabaseError

from scheduler.errors import CorridorError
from scheduler.store import guards
from scheduler.store.database import BadDatabase

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER: Final = Path(__file__).parent / "migrations"


class BadSchema(CorridorError):
    """The database's schema does not fit this version; the message says what to do."""

    reason = "BAD_SCHEMA"


def head() -> str:
    """Return the revision that this version of the service needs."""
    return _revisions()[-1]


def _revisions() -> list[str]:
    names = (path.name for path in (_FOLDER / "versions").glob("rev_*.py"))
    return sorted(name.split("_")[1] for name in names)


def current(engine: Engine) -> str | None:
    """Return the revision of a database, None for an empty one. Raises ``BadDatabase``."""
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            return None if found is None else str(found)
    except DatabaseError as error:
        shown = engine.url.render_as_string(hide_password=True)
        raise BadDatabase(f"the database {shown} cannot be read: {error.orig}") from error


def upgrade(engine: Engine) -> str:
    """Bring a database to ``head`` in one transaction; one that is there is left alone.

    Raises ``BadSchema`` for a database of a newer version, one with tables but no revision, or
    one that orders texts otherwise than by code point.
    """
    found = _known(engine)
    if found == head():
        return found
    if found is None:
        _refuse_foreign(engine)
        _refuse_other_order(engine)
    with engine.connect() as raw:
        connection = raw.execution_options(corridor_write=True)
        with connection.begin():
            _upgrade(connection, _config())
            guards.set_up(connection)
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


def _upgrade(connection: Connection, config: "Config") -> None:
    from alembic import command

    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _known(engine: Engine) -> str | None:
    """Return the revision of a database; ``BadSchema`` if this version does not know it."""
    found = current(engine)
    if found is not None and found not in _revisions():
        raise BadSchema(
            f"the database is at revision {found}, which this version ({head()}) does not know: it"
            " was used by a newer one; install that version or restore a backup"
        )
    return found


def _refuse_foreign(engine: Engine) -> None:
    tables = inspect(engine).get_table_names()
    if tables:
        raise BadSchema(
            f"the database has tables ({', '.join(sorted(tables)[:5])}) that this service did not"
            " make; give it a database of its own"
        )


def _refuse_other_order(engine: Engine) -> None:
    with engine.connect() as connection:
        if not guards.orders_by_code_point(connection):
            raise BadSchema(
                "the database orders texts by the rules of a language, or does not keep them in"
                " UTF-8; make it by CREATE DATABASE corridor TEMPLATE template0 ENCODING 'UTF8'"
                " LOCALE 'C.UTF-8'"
            )


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    # Alembic reads % as interpolation, and a path may hold one.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config
