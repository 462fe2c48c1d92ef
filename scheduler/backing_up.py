"""Copies a database while it is used, and makes one of a copy; each verified when it is done.

A backup is a folder: the copy, and a manifest of what is in it. SQLite is copied by its own online
backup, PostgreSQL by ``pg_dump`` on the snapshot that the manifest is read from. Restored is only
into an empty database, and what comes out is held against the manifest and verified from the first
entry.
"""

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

from scheduler import __version__, databases, openers, pg_programs
from scheduler.errors import CorridorError
from scheduler.settings import Settings
from scheduler.store import backups, guards, migrate
from scheduler.store.backups import Checked, Contents
from scheduler.store.database import BadDatabase
from scheduler.store.engine import open_engine

MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1
_FILES: Final = {"sqlite": "corridor.db", "postgresql": "corridor.dump"}
_BLOCK: Final = 1 << 20


class BadBackup(CorridorError):
    """A backup cannot be made or used; the message says what is wrong and what to do."""

    reason = "BAD_BACKUP"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup, and what was found when it was made or restored."""

    folder: Path
    kind: str
    version: str
    made_ms: int
    size_bytes: int
    sha256: str
    contents: Contents
    checked: Checked

    @property
    def file(self) -> Path:
        """The copy."""
        return self.folder / _FILES[self.kind]


def back_up(settings: Settings, folder: Path) -> Backup:
    """Copy the database into a new folder, also while services use it.

    Raises ``BadBackup``, ``BadDatabase``, ``BadSchema``; then there is no folder. What is wrong
    with the books themselves is in ``checked``, and they are copied all the same.
    """
    path = databases.sqlite_file(settings.database_url)
    if path is not None and not path.is_file():
        raise migrate.BadSchema(f"there is no database {path}; run `corridor init` first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadBackup(f"{folder} is not empty; name a folder that is not there yet")
    engine = open_engine(databases.url(settings), databases.limits(settings))
    try:
        if migrate.current(engine) is None:
            raise migrate.BadSchema("the database is empty; there is nothing to back up")
        with _made(folder) as made:
            return _copy(settings, engine, made, folder)
    finally:
        engine.dispose()


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """A folder beside the one that is wanted, which becomes that one if all goes well."""
    part = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700, parents=True)
        yield part
        _sync(part)
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
        _sync(folder.absolute().parent)
    except OSError as error:
        raise BadBackup(f"cannot write {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy(settings: Settings, engine: Engine, made: Path, folder: Path) -> Backup:
    kind = "sqlite" if engine.dialect.name == "sqlite" else "postgresql"
    file = made / _FILES[kind]
    made_ms = openers.wall_ms()
    if kind == "sqlite":
        found, checked = _copy_sqlite(engine, file)
    else:
        found, checked = _copy_postgresql(settings, engine, file)
    file.chmod(0o600)
    _sync(file)
    size, digest = file.stat().st_size, _digest(file)
    backup = Backup(folder, kind, __version__, made_ms, size, digest, found, checked)
    manifest = made / MANIFEST
    manifest.write_text(json.dumps(_manifest(backup), indent=2) + "\n", encoding="utf-8")
    _sync(manifest)
    return backup


def _copy_sqlite(engine: Engine, file: Path) -> tuple[Contents, Checked]:
    """Copy in one step, which is one snapshot however much is written meanwhile."""
    with engine.connect() as connection, contextlib.closing(sqlite3.connect(file)) as copy:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, that is whole by itself
    with _opened(f"sqlite:///{file}") as copied:
        found = backups.contents(copied), backups.verified(copied)
    for rest in ("-wal", "-shm"):
        file.with_name(file.name + rest).unlink(missing_ok=True)
    return found


def _copy_postgresql(settings: Settings, engine: Engine, file: Path) -> tuple[Contents, Checked]:
    reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with reading.connect() as connection, connection.begin():
        programs = pg_programs.found(backups.server_version(connection))
        snapshot = backups.export_snapshot(connection)
        found = backups.contents(connection), backups.verified(connection)
        pg_programs.dump(programs, databases.url(settings), snapshot, file)
    pg_programs.read_through(programs, file)
    return found


@contextlib.contextmanager
def _opened(url: str) -> Iterator[Connection]:
    engine = open_engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            yield connection
    finally:
        engine.dispose()


def _manifest(backup: Backup) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "database": backup.kind,
        "corridor": backup.version,
        "made_ms": backup.made_ms,
        "size_bytes": backup.size_bytes,
        "sha256": backup.sha256,
        **backup.contents.as_json(),
    }


def _digest(file: Path) -> str:
    digest = sha256()
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


# --- restoring ------------------------------------------------------------------------------------


def read(folder: Path) -> Backup:
    """Read the manifest of a backup and hold the copy against it. Raises ``BadBackup``."""
    manifest = folder / MANIFEST
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        if found["format"] != _FORMAT:
            raise BadBackup(f"{manifest} is of format {found['format']}, which is not known here")
        backup = Backup(
            folder, str(found["database"]), str(found["corridor"]), int(found["made_ms"]),
            int(found["size_bytes"]), str(found["sha256"]), Contents.of_json(found), Checked(),
        )  # fmt: skip
        file = backup.file
        whole = file.stat().st_size == backup.size_bytes and _digest(file) == backup.sha256
    except OSError as error:
        raise BadBackup(
            f"{folder} is no whole backup: {error.filename}: {error.strerror}"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadBackup(f"{manifest} is no manifest of a backup") from error
    if not whole:
        raise BadBackup(f"{file} is not what it was when it was made: use another backup")
    return backup


def restore(settings: Settings, folder: Path) -> Backup:
    """Make the database of the settings from a backup; it must be empty.

    What ``checked`` of the result names as wrong was found in what was restored. Raises
    ``BadBackup``, ``BadDatabase``, ``BadSchema``, ``DataInUse``.
    """
    backup = read(folder)
    openers.data_directory(settings)
    databases.check_folder(settings)
    path = databases.sqlite_file(settings.database_url)
    kind = "postgresql" if path is None else "sqlite"
    if kind != backup.kind:
        raise BadBackup(
            f"{folder} is a backup of {backup.kind}, and store.url names {kind}: give the URL of an"
            " empty database of that kind"
        )
    alone = contextlib.ExitStack()
    with alone:
        if path is not None:
            alone.enter_context(contextlib.closing(openers.data_lock(settings)))
            _restore_sqlite(backup, path)
        else:
            _restore_postgresql(settings, backup)
        return _check(settings, backup)


def _restore_sqlite(backup: Backup, path: Path) -> None:
    for one in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        if one.exists():
            raise BadBackup(f"{one} is there already; move it away, or give another store.data_dir")
    part = path.with_name(path.name + ".part")
    try:
        shutil.copyfile(backup.file, part)
        part.chmod(0o600)
        _sync(part)
        part.rename(path)
        _sync(path.absolute().parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BadBackup(f"cannot write {path}: {error.strerror}") from error


def _restore_postgresql(settings: Settings, backup: Backup) -> None:
    url = databases.url(settings)
    engine = open_engine(url, databases.limits(settings))
    try:
        migrate.check_empty(engine)
        with engine.connect() as connection:
            programs = pg_programs.found(backups.server_version(connection))
        pg_programs.restore(programs, url, backup.file)
        with engine.begin() as connection:
            guards.set_up(connection)
    except DatabaseError as error:
        raise BadDatabase(f"the database cannot be used: {error.orig}") from error
    finally:
        engine.dispose()


def _check(settings: Settings, backup: Backup) -> Backup:
    engine = open_engine(databases.url(settings), databases.limits(settings))
    try:
        found, checked = _verified(engine)
        wrong = backups.differences(backup.contents, found) + checked.problems
        if not wrong:
            _go_on(engine)
    finally:
        engine.dispose()
    told = Checked(checked.transfer_count, checked.run_count, wrong)
    return Backup(
        backup.folder, backup.kind, backup.version, backup.made_ms, backup.size_bytes,
        backup.sha256, found, told,
    )  # fmt: skip


def recovered(settings: Settings) -> tuple[Contents, Checked]:
    """Verify a database that the database's own tools brought back, and let it be gone on from.

    If ``problems`` are found, nothing is changed. Raises ``BadDatabase``, ``BadSchema`` (also while
    a replica lives), ``DataInUse``.
    """
    engine = open_engine(databases.url(settings), databases.limits(settings))
    alone = contextlib.ExitStack()
    try:
        if engine.dialect.name == "sqlite":
            alone.enter_context(contextlib.closing(openers.data_lock(settings)))
        with alone:
            migrate.check(engine)
            found, checked = _verified(engine)
            if not checked.problems:
                _go_on(engine)
            return found, checked
    finally:
        engine.dispose()


def _verified(engine: Engine) -> tuple[Contents, Checked]:
    with engine.connect() as connection, connection.begin():
        return backups.contents(connection), backups.verified(connection)


def _go_on(engine: Engine) -> None:
    with engine.connect() as raw:
        connection = raw.execution_options(corridor_write=True)
        with connection.begin():
            migrate.wait_for_others(connection)
            migrate.refuse_serving(connection)
            backups.go_on(connection)
