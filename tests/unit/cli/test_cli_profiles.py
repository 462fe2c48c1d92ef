"""Profiles: kept for their owner only, read back as they were, chosen by precedence."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from scheduler.cli.given import Given
from scheduler.cli.main import app
from scheduler.cli.profiles import (
    BadProfile,
    Profile,
    Profiles,
    is_open_to_others,
    language,
    read_profiles,
    write_profiles,
)
from scheduler.cli.session import Session

SECRET = "cor_0123456789abcdefghijABCDEFGHIJ0123456789"


def corridor(home: Path, *args: str, input: str = "", **env: str) -> "tuple[int, str, str]":
    """Run a command with its profiles in ``home``; returns exit code, stdout and stderr."""
    clean = {name: None for name in os.environ if name.startswith("CORRIDOR_")}
    given = {**clean, "XDG_CONFIG_HOME": str(home), "CORRIDOR_LANG": "en", **env}
    result = CliRunner().invoke(app, list(args), input=input, env=given)
    return result.exit_code, result.stdout, result.stderr


def test_profiles_are_made_used_listed_and_removed(tmp_path: Path) -> None:
    def run(*args: str, input: str = "") -> tuple[int, str, str]:
        return corridor(tmp_path, "profile", *args, input=input)

    token = ("--token", "-")
    assert run("set", "lab", "--server", "lab:7443", *token, input=f"{SECRET}\n")[0] == 0
    assert run("set", "prod", "--server", "prod:7443", "--city", "ezhou", "--lang", "zh")[0] == 0
    file = tmp_path / "corridor/config.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_profiles(file) == Profiles(
        "lab",
        {
            "lab": Profile(server="lab:7443", token=SECRET),
            "prod": Profile(server="prod:7443", city="ezhou", lang="zh"),
        },
    )
    code, listed, _ = run("list")
    assert code == 0
    assert SECRET not in listed
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["PROFILE", "SERVICE"],
        ["*", "lab"],
        ["prod", "prod:7443"],
    ]
    assert run("use", "prod")[0] == 0
    assert read_profiles(file).default == "prod"
    assert run("remove", "prod")[0] == 0
    assert read_profiles(file) == Profiles("", {"lab": Profile(server="lab:7443", token=SECRET)})


@pytest.mark.parametrize("given", ["", "two words", "令牌"])
def test_what_is_no_token_is_not_kept(tmp_path: Path, given: str) -> None:
    code, _, told = corridor(tmp_path, "profile", "set", "lab", "--token", "-", input=f"{given}\n")
    assert (code, "is no token" in told) == (2, True)
    assert not (tmp_path / "corridor/config.toml").exists()
    if given:
        code, _, told = corridor(tmp_path, "jobs", CORRIDOR_TOKEN=given)
        assert (code, "is no token" in told) == (2, True)


def test_what_is_not_there_or_not_given_is_told(tmp_path: Path) -> None:
    code, _, told = corridor(tmp_path, "profile", "use", "nope")
    assert (code, told.startswith("corridor profile use: there is no profile nope")) == (2, True)
    code, _, told = corridor(tmp_path, "jobs", "--profile", "nope")
    assert (code, told.startswith("corridor jobs: there is no profile nope")) == (2, True)
    code, _, told = corridor(tmp_path, "profile", "set", "lab")
    assert (code, told.startswith("corridor profile set: nothing to set")) == (2, True)


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("default = ", "profile.not_toml"),
        ("default = 7", "profile.shape"),
        ("profiles = 7", "profile.shape"),
        ("[profiles]\nlab = 7", "profile.shape"),
        ("[profiles.lab]\nsrever = 'x'", "profile.setting"),
        ("[profiles.lab]\nserver = 7", "profile.value"),
        ("[profiles.lab]\ninsecure = 'yes'", "profile.value"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, written: str, key: str) -> None:
    file = tmp_path / "corridor/config.toml"
    file.parent.mkdir()
    file.write_text(written)
    with pytest.raises(BadProfile) as caught:
        read_profiles(file)
    assert caught.value.key == key
    code, _, told = corridor(tmp_path, "jobs")
    assert (code, told.count("\n")) == (2, 1)
    assert str(file) in told


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
profiles = st.builds(
    Profile, server=names, token=names, city=names, enterprise=names, lang=names, tls_ca=names,
    tls_name=names, insecure=st.booleans(),
)  # fmt: skip


@given(named=st.dictionaries(names, profiles, max_size=3))
def test_whatever_is_kept_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, named: dict[str, Profile]
) -> None:
    path = tmp_path_factory.getbasetemp() / "profiles.toml"
    kept = Profiles(next(iter(named), ""), named)
    write_profiles(path, kept)
    assert read_profiles(path) == kept


def test_a_file_that_others_may_read_is_told_once_a_token_is_used(tmp_path: Path) -> None:
    corridor(tmp_path, "profile", "set", "lab", "--server", "127.0.0.1:1", "--token", SECRET)
    file = tmp_path / "corridor/config.toml"
    assert not is_open_to_others(file)
    file.chmod(0o640)
    code, _, told = corridor(tmp_path, "jobs")
    assert code == 5
    assert told.splitlines()[0] == f"others can read {file}, which holds tokens: chmod 600 it"


def test_flag_beats_environment_beats_profile_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "corridor/config.toml"
    write_profiles(file, Profiles("lab", {"lab": Profile(server="lab", city="ezhou", lang="zh")}))
    home = {"XDG_CONFIG_HOME": str(tmp_path)}

    def session(given: Given, **more: str) -> Session:
        return Session("jobs", given, {**home, **more})

    env = {"CORRIDOR_SERVER": "env", "CORRIDOR_CITY": "wuhan", "CORRIDOR_LANG": "en"}
    assert session(Given(server="flag"), **env).server == "flag"
    assert session(Given(), **env).server == "env"
    assert session(Given(), **env).city == "wuhan"
    assert session(Given(), **env).lang == "en"
    assert session(Given(lang="zh"), **env).lang == "zh"
    assert (session(Given()).server, session(Given()).city) == ("lab", "ezhou")
    assert session(Given()).lang == "zh"
    nowhere = {"XDG_CONFIG_HOME": str(tmp_path / "none")}
    assert Session("jobs", Given(), nowhere).server == "127.0.0.1:7443"


def test_the_language_comes_from_the_locale_last() -> None:
    assert language(None, {"LANG": "zh_CN.UTF-8"}, Profile()) == "zh"
    assert language(None, {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, Profile()) == "en"
    assert language(None, {"LANG": "de_DE"}, Profile()) == "en"
    assert language(None, {}, Profile()) == "en"
    assert language("en", {"CORRIDOR_LANG": "zh"}, Profile(lang="zh")) == "en"
