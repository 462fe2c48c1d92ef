"""``corridor migrate``: what it shows, what it does, and that several at once are in order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scheduler.cli.main import app
from scheduler.store import migrate
from scheduler.store.database import open_engine
from scheduler.store.lock import DataLock
from tests import first_release
from tests.postgres import Postgres
from tests.stores import Stores


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty directory, without settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CORRIDOR_CONFIG", raising=False)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["migrate", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_it_makes_the_schema_and_says_what_it_did(tmp_path: Path) -> None:
    shown = run("--dry-run").output
    assert "The database is empty." in shown
    assert f"So it would come to revision {migrate.head()}. Nothing was changed." in shown
    assert not (tmp_path / "corridor-data").exists()
    done = run().output
    assert f"It is at revision {migrate.head()} now." in done
    assert run().output == f"The schema is up to date (revision {migrate.head()}).\n"
    made = CliRunner().invoke(app, ["init", "--json"])
    assert json.loads(made.output)["loaded"]["cities"] == 5, "init goes on from there"


def test_the_first_release_is_brought_up_to_date(stores: Stores) -> None:
    url = stores.empty()
    engine = open_engine(url)
    first_release.make(engine)
    shown = json.loads(run("--database", url, "--dry-run", "--json").output)
    assert (shown["revision_before"], shown["revision"]) == ("0001", migrate.head())
    assert len(shown["steps"]) == len(migrate.revisions()) - 1
    assert migrate.current(engine) == "0001"
    done = json.loads(run("--database", url, "--json").output)
    assert done == shown | {"dry_run": False}
    assert migrate.current(engine) == migrate.head()
    engine.dispose()


def test_processes_at_once_end_well(postgres: Postgres) -> None:
    environment = {**os.environ, "CORRIDOR_DATABASE_URL": postgres.url(postgres.create())}
    command = "from scheduler.cli.main import main; main()"
    several = [
        subprocess.Popen(
            [sys.executable, "-c", command, "migrate"], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    for one in several:
        out, err = one.communicate()
        assert (one.returncode, err) == (0, ""), out


def test_it_waits_for_no_service_on_a_database_of_sqlite(tmp_path: Path) -> None:
    (tmp_path / "corridor-data").mkdir()
    lock = DataLock(tmp_path / "corridor-data")
    assert "is in use by another service" in run(code=1).output
    lock.close()
    run()
    lock = DataLock(tmp_path / "corridor-data")
    assert "up to date" in run().output, "where nothing is to be done, nobody is in the way"
    lock.close()
