"""What all tests share: how long properties search, databases, where and how tests run in CI."""

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import memory
from tests import postgres as postgresql
from tests.postgres import NoServer, Postgres
from tests.simulation import inline_store
from tests.spreading import by_file
from tests.stores import PostgresStores, SqliteStores, Stores

# No deadlines: a machine that other work slows down must not fail a test.
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile(
    "ci", deadline=None, derandomize=True, print_blob=True, database=None
)
# A seeded fault is to be found, not shown at its simplest.
hypothesis.settings.register_profile(
    "fault",
    hypothesis.settings.get_profile("ci"),
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)
_PROFILE = "fault" if os.environ.get("CORRIDOR_FAULT") else "ci"
hypothesis.settings.load_profile(_PROFILE if os.environ.get("CORRIDOR_CI") else "dev")

if (_memory := memory.folder()) is not None:
    # Where pytest makes the folders of ``tmp_path``, unless whoever runs it said where.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_memory))


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    """Path for a database file that does not exist yet."""
    return tmp_path / "corridor.db"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole run; a test that needs one is skipped where none is."""
    try:
        with postgresql.running(memory.folder()) as server:
            yield server
    except NoServer as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=("sqlite", "postgresql"))
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """Where databases are made: the test runs once on files of SQLite, once on PostgreSQL."""
    made: Stores
    if request.param == "sqlite":
        made = SqliteStores(tmp_path)
    else:
        made = PostgresStores(request.getfixturevalue("postgres"))
    yield made
    made.remove()


@pytest.fixture(params=("sqlite", "postgresql"))
def each_store(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test's worlds (``tests.simulation.world.build``) in memory, then on PostgreSQL."""
    server = None if request.param == "sqlite" else request.getfixturevalue("postgres")
    with inline_store.on(server):
        yield request.param


@pytest.fixture(autouse=True)
def _worlds(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close a test's worlds after it: each is a database with threads.

    With CORRIDOR_WORLDS=postgresql put the worlds of all tests there (`make test-postgres`).
    """
    is_there = os.environ.get("CORRIDOR_WORLDS") == "postgresql"
    with inline_store.on(request.getfixturevalue("postgres") if is_there else None):
        yield


def may_skip(reason: str) -> bool:
    """Whether a test may be skipped in CI.

    It may for want of something outside the repository, if the reason names the variable
    CORRIDOR_... that would point to it, and that variable is not set.
    """
    named = re.findall(r"\bCORRIDOR_[A-Z_]+\b", reason)
    return any(name not in os.environ for name in named)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CORRIDOR_CI, make a failure of a skip that hides an untested promise."""
    report = yield
    if report.skipped and os.environ.get("CORRIDOR_CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not may_skip(reason):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} must not be skipped in CI: {reason}"
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Any:
    """Where tests run in several processes, spread them by file."""
    return by_file(config, log)
