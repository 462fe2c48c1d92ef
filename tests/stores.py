"""Databases for tests, on SQLite or PostgreSQL: empty ones, and ones with this version's schema."""

import shutil
from pathlib import Path
from typing import Protocol

from scheduler.store import migrate
from scheduler.store.database import open_engine
from tests.postgres import Postgres


class Stores(Protocol):
    """Makes databases of one kind; what it made goes with it."""

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""

    def empty(self) -> str:
        """URL of a new database with nothing in it."""

    def migrated(self) -> str:
        """URL of a new database with this version's schema."""

    def copy_of(self, url: str) -> str:
        """URL of a new copy of one that nobody is connected to."""

    def remove(self) -> None:
        """Remove all that was made, whoever is still connected to it."""


class SqliteStores:
    """Files in a folder."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def empty(self) -> str:
        self._count += 1
        return f"sqlite:///{self._folder / f'corridor-{self._count}.db'}"

    def migrated(self) -> str:
        url = self.empty()
        engine = open_engine(url)
        migrate.upgrade(engine)
        engine.dispose()
        return url

    def copy_of(self, url: str) -> str:
        copy = self.empty()
        shutil.copyfile(url.removeprefix("sqlite:///"), copy.removeprefix("sqlite:///"))
        return copy

    def remove(self) -> None:
        """The folder's owner removes it."""


class PostgresStores:
    """Databases of one server."""

    kind = "postgresql"

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._made: list[str] = []

    def empty(self) -> str:
        return self._url(self._server.create())

    def migrated(self) -> str:
        return self._url(self._server.migrated())

    def copy_of(self, url: str) -> str:
        name = url.partition("@/")[2].partition("?")[0]
        return self._url(self._server.create(name))

    def remove(self) -> None:
        while self._made:
            self._server.drop(self._made.pop())

    def _url(self, name: str) -> str:
        self._made.append(name)
        return self._server.url(name)
