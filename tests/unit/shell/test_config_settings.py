"""Settings: which source wins, and what each wrong value is told."""

from pathlib import Path

import pytest

from adapters.modelarts.job import RUN_VARIABLE, WALL_VARIABLE
from scheduler import databases
from scheduler.cli.profiles import PROFILE_VARIABLE, VARIABLES
from scheduler.config import BadConfig, load_settings
from scheduler.domain.arrays import ID_VARIABLE, INDEX_VARIABLE, SIZE_VARIABLE
from scheduler.settings import Settings
from scheduler.store.engine import StoreLimits


def config_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "corridor.toml"
    path.write_text(text, encoding="utf-8")
    return path


def value(settings: Settings, name: str) -> tuple[object, str]:
    return next((value, origin) for row, value, origin in settings.rows() if row == name)


def test_defaults_are_in_order() -> None:
    settings = load_settings(None, {}, {})
    assert settings == Settings()
    assert {origin for _, _, origin in settings.rows()} == {"default"}


def test_later_sources_win(tmp_path: Path) -> None:
    path = config_file(tmp_path, "[planner]\nshards = 3\n[loop]\ntick_s = 2\nfollow_s = 4\n")
    environment = {"CORRIDOR_LOOP_TICK_S": "5", "CORRIDOR_LOOP_FOLLOW_S": "6"}
    settings = load_settings(path, environment, {"loop.follow_s": 7.0, "loop.metrics_s": None})
    assert value(settings, "planner.shards") == (3, str(path))
    assert value(settings, "loop.tick_s") == (5.0, "environment CORRIDOR_LOOP_TICK_S")
    assert value(settings, "loop.follow_s") == (7.0, "flag")
    assert value(settings, "loop.metrics_s") == (2.0, "default")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("planner = 3\n", "'planner' must be a section"),
        ("[planner]\nshard = 3\n", "unknown setting 'planner.shard'"),
        ("[planner]\nshards = 'two'\n", "planner.shards must be a whole number, not 'two'"),
        ("[planner]\nshards = 2.5\n", "planner.shards must be a whole number, not 2.5"),
        ("[planner]\nshards = true\n", "planner.shards must be a whole number, not True"),
        ("[planner]\nray = 'on'\n", "planner.ray must be one of auto, off, not 'on'"),
        ("[server]\nlisten = 7443\n", "server.listen must be a text, not 7443"),
        ("[server]\ninsecure = 'maybe'\n", "server.insecure must be true or false"),
        ("[server]\ntls_cert = 'a.pem'\n", "give both server.tls_cert and server.tls_key"),
        ("[clock]\nspeed = nan\n", "clock.speed must be 0.001 to 1e+06, not nan"),
        ("[loop]\ntick_s = 0\n", "loop.tick_s must be 0.01 to 60, not 0"),
        ("[planner\n", "is not TOML"),
    ],
)
def test_wrong_files_are_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadConfig) as caught:
        load_settings(config_file(tmp_path, text), {}, {})
    assert told in caught.value.message


def test_a_wrong_value_names_where_it_came_from() -> None:
    with pytest.raises(BadConfig, match="environment CORRIDOR_PLANNER_SHARDS"):
        load_settings(None, {"CORRIDOR_PLANNER_SHARDS": "many"}, {})
    with pytest.raises(BadConfig, match=r"unknown setting 'planner.shard' \(flag\)"):
        load_settings(None, {}, {"planner.shard": 1})


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot read"):
        load_settings(tmp_path / "none.toml", {}, {})


def test_the_database_has_a_variable_of_its_own() -> None:
    url = "postgresql://corridor@db.example/corridor"
    settings = load_settings(None, {"CORRIDOR_DATABASE_URL": url}, {})
    assert value(settings, "store.url") == (url, "environment CORRIDOR_DATABASE_URL")
    both = {"CORRIDOR_DATABASE_URL": url, "CORRIDOR_STORE_URL": url}
    assert load_settings(None, both, {}).database_url == url
    both["CORRIDOR_STORE_URL"] = "sqlite:///other.db"
    with pytest.raises(BadConfig, match="name two databases; give one"):
        load_settings(None, both, {})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CORRIDOR_DATABSE_URL", "did you mean CORRIDOR_DATABASE_URL?"),
        ("CORRIDOR_PLANER_SHARDS", "did you mean CORRIDOR_PLANNER_SHARDS?"),
        ("CORRIDOR_TOKENS", "did you mean CORRIDOR_TOKEN?"),
        ("CORRIDOR_XYZZY", "`corridor config` lists all settings"),
    ],
)
def test_a_variable_that_means_nothing_is_refused(name: str, hint: str) -> None:
    with pytest.raises(BadConfig) as caught:
        load_settings(None, {"PATH": "/bin", name: "x"}, {})
    assert f"{name}, which means nothing here; {hint}" in caught.value.message


@pytest.mark.parametrize(
    "name",
    [
        *VARIABLES.values(),
        PROFILE_VARIABLE,
        *(INDEX_VARIABLE, SIZE_VARIABLE, ID_VARIABLE, RUN_VARIABLE, WALL_VARIABLE),
        *("CORRIDOR_SERVICE_HOST", "CORRIDOR_SERVICE_PORT_GRPC", "CORRIDOR_PORT"),
        *("CORRIDOR_API_PORT_7443_TCP_ADDR", "CORRIDORS", "_CORRIDOR_COMPLETE"),
    ],
)
def test_variables_of_others_are_left_alone(name: str) -> None:
    assert load_settings(None, {name: "1"}, {}) == Settings()


def test_a_password_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("p@ss/word\n", encoding="utf-8")
    given = {"store.url": "postgresql://u@db/c", "store.password_file": str(path)}
    settings = load_settings(None, {}, given)
    assert databases.url(settings) == "postgresql://u:p%40ss%2Fword@db/c"
    assert "p@ss" not in str(settings.rows())
    assert databases.opened(settings).engine.url.password == "p@ss/word"


@pytest.mark.parametrize(
    ("url", "password", "told"),
    [
        ("postgresql://u@db/c", None, "cannot read .*: No such file"),
        ("postgresql://u@db/c", "\n", "is empty"),
        ("postgresql://u:other@db/c", "p", "not in both"),
        ("", "p", "SQLite has no passwords"),
    ],
)
def test_a_password_that_cannot_be_used_is_refused(
    tmp_path: Path, url: str, password: str | None, told: str
) -> None:
    path = tmp_path / "password"
    if password is not None:
        path.write_text(password, encoding="utf-8")
    given = {"store.url": url, "store.password_file": str(path)}
    with pytest.raises(BadConfig, match=told):
        databases.url(load_settings(None, {}, given))


def test_limits_of_the_store_are_those_that_are_set() -> None:
    given = {"store.readers": 9, "store.connect_timeout_s": 3, "store.lock_timeout_s": 0.5}
    assert databases.limits(load_settings(None, {}, given)) == StoreLimits(
        readers=9, connect_s=3, lock_ms=500
    )
    assert databases.limits(Settings()) == StoreLimits()


def test_passwords_in_urls_are_hidden() -> None:
    url = "postgresql://corridor:se:cret@db.example/corridor"
    settings = load_settings(None, {}, {"store.url": url})
    assert settings.database_url == url
    assert value(settings, "store.url")[0] == "postgresql://corridor:***@db.example/corridor"
