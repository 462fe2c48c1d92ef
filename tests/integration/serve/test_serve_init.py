"""``corridor init`` and ``corridor config``: what they print, and that doing it again is safe."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scheduler.cli.main import app
from scheduler.store import migrate, seed
from scheduler.store.database import Database
from scheduler.store.lock import DataLock


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty directory, without settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CORRIDOR_CONFIG", raising=False)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result


def rows(sql: str) -> list[tuple[object, ...]]:
    db = Database("sqlite:///corridor-data/corridor.db")
    try:
        return [tuple(row) for row in db.read_sync(lambda c: c.exec_driver_sql(sql).all())]
    finally:
        db.close()


def test_the_first_time_makes_everything_and_says_how_to_go_on() -> None:
    out = run("init").output
    assert "made, schema at revision" in out
    assert "5 cities, 2 centers" in out
    token = next(line.strip() for line in out.splitlines() if line.strip().startswith("cor_"))
    assert f"export CORRIDOR_TOKEN={token}" in out
    assert rows("SELECT role FROM token") == [("OPERATOR",)]


def test_again_changes_nothing_and_shows_no_token() -> None:
    run("init")
    before = rows("SELECT * FROM city_quota"), rows("SELECT * FROM transfer")
    out = run("init").output
    assert "schema is up to date" in out
    assert "Data was left alone" in out
    assert "--new-token makes a further one" in out
    assert "cor_" not in out
    assert (rows("SELECT * FROM city_quota"), rows("SELECT * FROM transfer")) == before
    assert len(rows("SELECT * FROM token")) == 1


def test_a_further_token_is_made_when_asked_for() -> None:
    first = json.loads(run("init", "--json").output)
    second = json.loads(run("init", "--json", "--new-token").output)
    assert second["loaded"] == {}
    assert first["token"] != second["token"] != ""
    assert len(rows("SELECT * FROM token")) == 2


def test_data_files_add_what_is_missing(tmp_path: Path) -> None:
    run("init")
    data = tmp_path / "mine"
    shutil.copytree(seed.DATA, data)
    cities = data / "cities.yaml"
    cities.write_text(
        cities.read_text("utf-8")
        + "  - {city: xiaogan, name_zh: 孝感, name_en: Xiaogan, weight: 4}\n",
        "utf-8",
    )
    loaded = json.loads(run("init", "--json", "--data", str(data)).output)["loaded"]
    assert loaded["cities"] == 1
    assert loaded["enterprises"] == 0
    assert len(rows("SELECT * FROM city")) == 6


def test_wrong_data_files_load_nothing_and_are_named(tmp_path: Path) -> None:
    data = tmp_path / "mine"
    shutil.copytree(seed.DATA, data)
    (data / "prices.yaml").write_text("sample: true\nprices:\n  - {flavor: none/such}\n", "utf-8")
    result = run("init", "--data", str(data), code=1)
    assert "corridor init: prices.yaml" in result.output
    assert rows("SELECT * FROM city") == []
    assert rows("SELECT * FROM token") == []
    run("init")  # and what was interrupted is done the next time
    assert len(rows("SELECT * FROM city")) == 5


def test_the_schema_does_not_change_under_a_running_service(tmp_path: Path) -> None:
    data_dir = tmp_path / "corridor-data"
    data_dir.mkdir()
    lock = DataLock(data_dir)
    assert "is in use by another service" in run("init", code=1).output
    lock.close()
    run("init")
    lock = DataLock(data_dir)
    run("init", "--new-token")  # changes no schema
    lock.close()


def test_a_database_of_another_version_is_left_alone() -> None:
    run("init")
    db = Database("sqlite:///corridor-data/corridor.db")
    db.write_future(
        lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    ).result()
    with pytest.raises(migrate.BadSchema, match="used by a newer one"):
        migrate.check(db.engine)
    db.close()
    assert "which this version" in run("init", code=1).output


# --- corridor config ------------------------------------------------------------------------------


def test_config_says_where_each_setting_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corridor.toml").write_text("[planner]\nshards = 4\n", "utf-8")
    monkeypatch.setenv("CORRIDOR_LOOP_TICK_S", "2")
    found = json.loads(run("config", "--json", "--set", "log.level=debug").output)
    settings = found["settings"]
    assert found["file"] == "corridor.toml"
    assert settings["planner.shards"] == {"value": 4, "origin": "corridor.toml"}
    assert settings["loop.tick_s"] == {"value": 2.0, "origin": "environment CORRIDOR_LOOP_TICK_S"}
    assert settings["log.level"] == {"value": "debug", "origin": "flag"}
    assert settings["loop.follow_s"]["origin"] == "default"
    table = run("config").output
    assert "planner.shards" in table
    assert "corridor.toml" in table


def test_config_reads_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corridor.toml").write_text("[planner]\nshards = 4\n", "utf-8")
    for name, shards in (("flag.toml", 5), ("variable.toml", 6)):
        (tmp_path / name).write_text(f"[planner]\nshards = {shards}\n", "utf-8")
    monkeypatch.setenv("CORRIDOR_CONFIG", "variable.toml")
    assert json.loads(run("config", "--json").output)["settings"]["planner.shards"]["value"] == 6
    named = json.loads(run("config", "--json", "--config", "flag.toml").output)
    assert named["settings"]["planner.shards"]["value"] == 5


def test_config_hides_passwords() -> None:
    url = "postgresql://corridor:hunter2@db.example/corridor"
    out = run("config", "--set", f"store.url={url}").output
    assert "hunter2" not in out
    assert "corridor:***@db.example" in out.replace("\n", "")
