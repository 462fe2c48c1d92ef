"""Brings the schema of a database to this version of the service, by Alembic's revisions.

Alembic is imported only where a schema changes: a service that starts has to look, and its start is
waited for. So a revision's file is called ``rev_<revision>_<what>.py``, in order.

Of several processes that start at once one changes the schema, under a lock of PostgreSQL that has
no table; the others wait for it and find nothing left to do. On SQLite whoever calls holds the lock
of the data directory. No schema changes under a replica that lives: it would go on with the old
one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DatabaseError

from scheduler.domain.leases import is_over
from scheduler.errors import CorridorError
from scheduler.store import guards, leader, replicas
from scheduler.store.database import BadDatabase

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER: Final = Path(__file__).parent / "migrations"
#: Two numbers, as only this lock of ours has: those of the feed are one.
_LOCK: Final = "SELECT pg_advisory_xact_lock(1129271890, 1296648018)"


class BadSchema(CorridorError):
    """The database's schema does not fit this version; the message says what to do."""

    reason = "BAD_SCHEMA"


@dataclass(frozen=True, slots=True)
class Step:
    """A revision that is to come, and what it does in a line."""

    revision: str
    words: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``upgrade`` would do: from revision ``found`` (None: empty) by ``steps`` to ``head``.

    ``serving`` says which replicas live, for whose sake it would refuse; empty if none does.
    """

    found: str | None
    head: str
    steps: tuple[Step, ...]
    serving: str


def head() -> str:
    """Return the revision that this version of the service needs."""
    return revisions()[-1]


def revisions() -> list[str]:
    """Return all revisions that this version of the service knows, in order."""
    names = (path.name for path in (_FOLDER / "versions").glob("rev_*.py"))
    return sorted(name.split("_")[1] for name in names)


def current(engine: Engine) -> str | None:
    """Return the revision of a database, None for an empty one. Raises ``BadDatabase``."""
    try:
        with engine.connect() as connection:
            return revision(connection)
    except DatabaseError as error:
        shown = engine.url.render_as_string(hide_password=True)
        raise BadDatabase(f"the database {shown} cannot be read: {error.orig}") from error


def revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def plan(engine: Engine) -> Plan:
    """Say what ``upgrade`` would do, and change nothing. Raises as it does, but for replicas."""
    found = _known(engine)
    if found is None:
        _refuse_foreign(engine)
        _refuse_other_order(engine)
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_config())
    coming = [] if found == head() else script.iterate_revisions(head(), found or "base")
    steps = [
        Step(one.revision, " ".join((one.doc or "").partition("\n\n")[0].split())) for one in coming
    ]
    with engine.connect() as connection:
        return Plan(found, head(), tuple(reversed(steps)), _serving(connection))


def upgrade(engine: Engine) -> str:
    """Bring a database to ``head`` in one transaction; one that is there is left alone.

    Whoever else does so is waited for. Raises ``BadSchema`` for a database of a newer version, one
    with tables but no revision, one that orders texts otherwise than by code point, or one that a
    replica is serving; ``BadDatabase`` if the database would not do it. Then nothing was changed.
    """
    found = _known(engine)
    if found == head():
        return found
    if found is None:
        _refuse_foreign(engine)
        _refuse_other_order(engine)
    try:
        with engine.connect() as raw:
            connection = raw.execution_options(corridor_write=True)
            with connection.begin():
                _upgrade_alone(connection)
    except DatabaseError as error:
        said = str(error.orig).partition("\n")[0]
        raise BadDatabase(
            f"the database would not change its schema: {said}; nothing was changed"
        ) from error
    return head()


def wait_for_others(connection: Connection) -> None:
    """Wait, until this transaction ends, for others that set up this database."""
    if connection.dialect.name == "sqlite":
        return
    run = connection.exec_driver_sql
    limit = run("SHOW lock_timeout").scalar_one()
    run("SET LOCAL statement_timeout = 0")  # rows of years may be written anew
    run("SET LOCAL lock_timeout = 0")
    run(_LOCK)
    run(f"SET LOCAL lock_timeout = '{limit}'")


def _upgrade_alone(connection: Connection) -> None:
    wait_for_others(connection)
    if revision(connection) == head():
        return  # another one did it meanwhile
    refuse_serving(connection)
    _upgrade(connection, _config())
    guards.set_up(connection)


def refuse_serving(connection: Connection) -> None:
    """Raise ``BadSchema`` if a replica lives; none begins until this transaction is over."""
    serving = _serving(connection, alone=True)
    if serving:
        raise BadSchema(
            f"{serving}, and goes on with the schema that it knows: stop every service on this"
            f" database first; one that was killed is forgotten after {replicas.SILENT_MS // 1000}"
            " s"
        )


def _serving(connection: Connection, *, alone: bool = False) -> str:
    """Say which replica lives; empty if none. With ``alone`` none begins until this is over."""
    if connection.dialect.name == "sqlite" or not inspect(connection).has_table("leader_lease"):
        return ""
    if alone:
        connection.exec_driver_sql("LOCK TABLE replica, leader_lease IN SHARE ROW EXCLUSIVE MODE")
    now_ms = leader.database_ms(connection)
    lease = leader.read_lease(connection)
    if lease is not None and not is_over(lease, now_ms):
        return f"replica {lease.name} leads"
    for one in replicas.present(connection, now_ms - replicas.SILENT_MS):
        return f"replica {one.name} serves"
    return ""


def check_empty(engine: Engine) -> None:
    """Raise ``BadSchema`` unless there is nothing in a database, and it orders texts as it must."""
    found = current(engine)
    if found is not None:
        raise BadSchema(f"the database is not empty: it is at revision {found}; give another one")
    _refuse_foreign(engine)
    _refuse_other_order(engine)


def check(engine: Engine) -> None:
    """Raise ``BadSchema`` unless the database is exactly at ``head``."""
    found = _known(engine)
    if found is None:
        raise BadSchema("the database is empty; run `corridor init` first")
    if found != head():
        raise BadSchema(
            f"the database is at revision {found}, this version needs {head()}; stop every service,"
            " back the database up and run `corridor migrate` to bring it up to date"
        )


def _upgrade(connection: Connection, config: "Config") -> None:
    from alembic import command

    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _known(engine: Engine) -> str | None:
    """Return the revision of a database; ``BadSchema`` if this version does not know it."""
    found = current(engine)
    if found is not None and found not in revisions():
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
