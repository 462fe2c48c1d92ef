"""Brings the schema of the database that the settings name up to date, by one process at a time."""

import contextlib

from sqlalchemy import Engine

from scheduler import databases, openers
from scheduler.settings import Settings
from scheduler.store import migrate
from scheduler.store.engine import open_engine
from scheduler.store.migrate import Plan


def planned(settings: Settings) -> Plan:
    """Say what ``migrated`` would do, and change nothing. Raises as it does."""
    path = databases.sqlite_file(settings.database_url)
    url = databases.url(settings)
    if path is not None and not path.exists():
        url = "sqlite://"  # as empty as the one that would be made
    engine = open_engine(url, databases.limits(settings))
    try:
        return migrate.plan(engine)
    finally:
        engine.dispose()


def migrated(settings: Settings) -> Plan:
    """Bring the schema up to date; returns what was to be done.

    Raises ``BadSchema``, ``BadDatabase``, and ``DataInUse`` if a service works on a database of
    SQLite.
    """
    openers.data_directory(settings)
    databases.check_folder(settings)
    engine = open_engine(databases.url(settings), databases.limits(settings))
    try:
        plan = migrate.plan(engine)
        upgrade(settings, engine)
        return plan
    finally:
        engine.dispose()


def upgrade(settings: Settings, engine: Engine) -> None:
    """Bring the schema of an open database up to date; raises as ``migrated`` does."""
    if migrate.current(engine) == migrate.head():
        return
    alone = contextlib.ExitStack()
    if engine.dialect.name == "sqlite":
        alone.enter_context(contextlib.closing(openers.data_lock(settings)))
    with alone:
        migrate.upgrade(engine)
