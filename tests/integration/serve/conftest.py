"""The whole service in this process: initialized sample data, real ports, no Ray."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from scheduler import bootstrap
from scheduler.bootstrap import Service
from scheduler.client import AsyncClient
from scheduler.config import load_settings
from scheduler.settings import Settings
from tests.integration.serve.doctor_home import Home
from tests.postgres import Postgres


@dataclass(frozen=True)
class Installed:
    """An initialized data directory: its settings, and an operator's token."""

    settings: Settings
    token: str

    def with_flags(self, flags: Mapping[str, object]) -> "Installed":
        """The same data under other settings."""
        known = {name: value for name, value, origin in self.settings.rows() if origin == "flag"}
        return Installed(load_settings(None, {}, {**known, **flags}), self.token)


class Serve(Protocol):
    """Starts a service and a client of it; both end with the block."""

    def __call__(
        self, installed: Installed, **replaced: Any
    ) -> AbstractAsyncContextManager[tuple[Service, AsyncClient]]: ...


_FLAGS: Mapping[str, object] = {
    "server.listen": "127.0.0.1:0",
    "metrics.listen": "127.0.0.1:0",
    "planner.ray": "off",
    "clock.speed": 1000,
    "loop.tick_s": 0.05,
    "loop.follow_s": 0.1,
    "loop.metrics_s": 0.05,
}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Made once; tests work on copies."""
    directory = tmp_path_factory.mktemp("template")
    settings = load_settings(None, {}, {**_FLAGS, "store.data_dir": str(directory)})
    return Installed(settings, bootstrap.initialize(settings).token)


@pytest.fixture
def installed(template: Installed, tmp_path: Path) -> Installed:
    """Sample data in a directory of the test's own."""
    shutil.copytree(template.settings.store.data_dir, tmp_path / "data")
    return template.with_flags({"store.data_dir": str(tmp_path / "data")})


@pytest.fixture
def serve() -> Serve:
    """Start a service on an installation; what is given by name goes to ``start_service``."""

    @contextlib.asynccontextmanager
    async def start(
        installed: Installed, **replaced: Any
    ) -> AsyncIterator[tuple[Service, AsyncClient]]:
        service = await bootstrap.start_service(installed.settings, **replaced)
        try:
            async with AsyncClient(service.address, installed.token) as client:
                yield service, client
        finally:
            await service.stop(drain=False)

    return start


@pytest.fixture(params=("sqlite", "postgresql"))
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A database with the sample data, on either kind of store."""
    if request.param == "sqlite":
        template: Installed = request.getfixturevalue("template")
        shutil.copytree(template.settings.store.data_dir, tmp_path / "data")
        made = Home(tmp_path, "", template.token)
        made.write()
        yield made
        return
    server: Postgres = request.getfixturevalue("postgres")
    first, token = request.getfixturevalue("filled")
    name = server.create(first)
    made = Home(tmp_path, server.url(name), token)
    made.write()
    yield made
    server.drop(name)


@pytest.fixture(scope="session")
def filled(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A database of PostgreSQL with the sample data, to be copied, and an operator's token."""
    name = postgres.create()
    made = Home(tmp_path_factory.mktemp("filled"), postgres.url(name))
    made.write()
    return name, bootstrap.initialize(load_settings(Path(made.file), {}, {})).token
