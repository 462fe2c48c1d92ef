"""``corridor center check`` and ``kinds``: without a service, from a file alone."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from scheduler.cli.main import app

FLAVOR = {
    "flavor": "a/card", "name_zh": "卡", "name_en": "Card", "unit": "card",
    "architecture": "aarch64", "capacity_units": 24, "units_per_node": 8, "wall_limit_max_days": 14,
}  # fmt: skip
WRITTEN = {"flavors": [{"flavor": "a/card", "units": 20, "units_per_node": 8,
                        "architecture": "aarch64"}]}  # fmt: skip
#: A kind of another package: one that cannot be reached, and one that passes for real.
AWAY = """
from adapters.errors import Unauthorized
from adapters.simulated import SimulatedCenter, SimulatedSettings

class Away(SimulatedCenter):
    async def describe(self):
        raise Unauthorized("the token has ended")

def open_center(center, settings, now_ms, real_s):
    return Away(SimulatedSettings.parse(center, settings), now_ms, real_s)
"""
Write = Callable[..., str]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty directory, without settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CORRIDOR_CONFIG", raising=False)
    monkeypatch.delenv("CORRIDOR_CENTERS_FILE", raising=False)
    monkeypatch.setenv("CORRIDOR_LANG", "en")


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with the kind ``away``."""
    site = tmp_path / "site"
    (site / "corridor_away-2.0.dist-info").mkdir(parents=True)
    (site / "corridor_away.py").write_text(AWAY, "utf-8")
    info = site / "corridor_away-2.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: corridor-away\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(
        "[corridor.adapters]\naway = corridor_away:open_center\n", "utf-8"
    )
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop("corridor_away", None)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of centers, each the one of above with changes."""

    def put(*changed: dict[str, Any]) -> str:
        base = {"center": "a", "name_zh": "甲中心", "name_en": "Center A", "kind": "simulated",
                "settings": {}, "flavors": [FLAVOR]}  # fmt: skip
        path = tmp_path / "centers.yaml"
        path.write_text(yaml.safe_dump({"centers": [base | one for one in changed]}), "utf-8")
        return str(path)

    return put


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["center", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_a_center_that_is_ready(write: Write) -> None:
    out = run("check", write({})).output
    assert out.startswith("a Center A · simulated · API 1\n")
    assert "ok       flavor       a/card: 24 units declared, 24 found" in out
    assert "note     API          is simulated" in out
    assert out.endswith("1 centers checked, all ready.\n")


def test_in_chinese_too(write: Write) -> None:
    out = run("check", write({}), "--lang", "zh").output
    assert out.startswith("a 甲中心 · simulated · 接口 1\n")
    assert "全部就绪" in out


def test_a_center_that_refuses_us_is_an_error_with_advice(away: None, write: Write) -> None:
    away_center = {
        "center": "b",
        "kind": "away",
        "settings": WRITTEN,
        "flavors": [],
        "simulated": False,
    }
    out = run("check", write({}, away_center), code=1).output
    assert "error    credentials  describe: the center refuses who we are: the token has end" in out
    assert "→ renew what the settings refer to" in out
    assert "2 centers checked, 1 of them NOT ready." in out
    found = json.loads(run("check", write({}, away_center), "--json", code=1).output)
    assert found["ready"] is False
    assert [one["ready"] for one in found["centers"]] == [True, False]
    assert found["centers"][1]["package"] == "corridor-away 2.0"
    assert found["centers"][1]["api_version"] is None
    told = found["centers"][1]["findings"][0]
    assert (told["level"], told["topic"]) == ("ERROR", "CREDENTIALS")


def test_only_the_named_center_is_looked_at(away: None, write: Write) -> None:
    path = write({}, {"center": "b", "kind": "away", "simulated": False, "flavors": []})
    assert "1 centers checked, all ready" in run("check", path, "--center", "a").output
    told = run("check", path, "--center", "c", code=2).output
    assert "there is no center c in" in told
    assert "known are a, b" in told


def test_less_than_declared_is_a_warning_that_may_count(write: Write) -> None:
    path = write({"settings": WRITTEN})
    assert "warning  flavor       a/card: 24 units declared, 20 found" in run("check", path).output
    found = json.loads(run("check", path, "--strict", "--json", code=1).output)
    [flavor] = found["centers"][0]["flavors"]
    assert (flavor["declared_units"], flavor["found_units"]) == (24, 20)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kind": "cloud", "simulated": False}, "unknown kind 'cloud'; known are"),
        ({"settings": {"sede": 1}}, "unknown setting 'sede'"),
        ({"settings": {"gate": {"burst": 0}}}, "gate.burst: must be a whole number from 1, not 0"),
        ({"settings": {"gate": 3}}, "gate: must be a mapping of names to values"),
        ({"kind": "away", "simulated": False, "settings": WRITTEN}, "refuses who we are"),
    ],
)
def test_what_cannot_be_opened_is_told(
    away: None, write: Write, changed: dict[str, Any], told: str
) -> None:
    assert told in run("check", write(changed), code=1).output


def test_a_center_that_passes_for_real_is_found_out(
    tmp_path: Path, away: None, write: Write
) -> None:
    code = AWAY.replace("raise Unauthorized", "return await super().describe() or print")
    (tmp_path / "site" / "corridor_away.py").write_text(code, "utf-8")
    out = run(
        "check", write({"kind": "away", "simulated": False, "settings": WRITTEN}), code=1
    ).output
    assert "the file says simulated: false, and the center says true" in out


def test_a_center_reached_by_its_agent_is_checked_there(write: Write) -> None:
    out = run("check", write({"kind": "agent", "simulated": False})).output
    assert "is reached through its agent, which dials in" in out


def test_the_journal_of_a_simulated_center_is_left_alone(write: Write, tmp_path: Path) -> None:
    run("check", write({"settings": {"journal": str(tmp_path / "kept.journal")}}))
    assert not (tmp_path / "kept.journal").exists()


def test_the_file_may_come_from_the_settings(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run("check", code=2).output
    assert "give the FILE of centers, or name it in the setting centers.file" in told
    monkeypatch.setenv("CORRIDOR_CENTERS_FILE", write({}))
    assert "all ready" in run("check").output


def test_a_file_that_cannot_be_used_is_named(write: Write) -> None:
    path = write({"settings": {"token": "s3cr3t"}})
    told = run("check", path, code=2).output
    assert "centers.yaml.centers[0].settings.token: must not hold the secret itself" in told
    assert "s3cr3t" not in told
    assert "nowhere.yaml: cannot be read" in run("check", "nowhere.yaml", code=2).output


def test_kinds_say_whose_they_are(away: None) -> None:
    found = json.loads(run("kinds", "--json").output)["kinds"]
    assert {"kind": "away", "package": "corridor-away 2.0",
            "opener": "corridor_away:open_center"} in found  # fmt: skip
    assert "simulated  corridor" in run("kinds").output
