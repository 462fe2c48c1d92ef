"""Opens the database that the settings name; a wrong setting is ``BadConfig``."""

from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from scheduler.config import BadConfig
from scheduler.settings import Settings
from scheduler.store.database import Database
from scheduler.store.engine import StoreLimits

_SQLITE: Final = "sqlite:///"


def limits(settings: Settings) -> StoreLimits:
    """Return how many read at a time, and how long one may take."""
    given = settings.store
    return StoreLimits(
        readers=given.readers,
        connect_s=given.connect_timeout_s,
        read_ms=round(given.read_timeout_s * 1_000),
        write_ms=round(given.write_timeout_s * 1_000),
        lock_ms=round(given.lock_timeout_s * 1_000),
        idle_ms=round(given.idle_timeout_s * 1_000),
    )


def url(settings: Settings) -> str:
    """Return the URL of the database, with the password of ``store.password_file`` if given."""
    name = settings.store.password_file
    if not name:
        return settings.database_url
    try:
        password = Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadConfig(f"store.password_file: cannot read {name}: {why}") from error
    if not password:
        raise BadConfig(f"store.password_file: {name} is empty")
    try:
        parsed = make_url(settings.database_url)
    except ArgumentError as error:
        raise BadConfig(f"store.url: {error}") from error
    if parsed.drivername == "sqlite":
        raise BadConfig("store.password_file: SQLite has no passwords; give store.url, or leave it")
    if parsed.password is not None:
        raise BadConfig("give the password in store.password_file or in store.url, not in both")
    return parsed.set(password=password).render_as_string(hide_password=False)


def opened(settings: Settings) -> Database:
    """Open the database; connects to nothing and creates nothing."""
    return Database(url(settings), limits(settings))


def check_folder(settings: Settings) -> None:
    """Raise ``BadConfig`` unless there is a folder for a database of SQLite."""
    path = sqlite_file(settings.database_url)
    if path is not None and not path.parent.is_dir():
        raise BadConfig(f"store.url: there is no directory {path.parent}")


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite URL; None for one in memory or another database."""
    name = url.removeprefix(_SQLITE)
    return Path(name) if name != url and name not in ("", ":memory:") else None
