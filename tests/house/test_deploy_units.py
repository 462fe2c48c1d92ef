"""systemd units: they parse, are closed in, and start commands that exist with settings that do."""

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scheduler.settings import Settings
from tests.deploying import DEPLOY, check_corridor, check_ray, settings_of

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
#: Of systemd's own scale: 10 is all open, 2 and less it calls OK.
EXPOSURE_MAX = 2.0
#: What stands in env files of the operator's, as the comments of the units say.
GIVEN = {
    "${CENTER}": "wuhan-sc",
    "$SERVERS": "--server corridor-1.example:7443 --server corridor-2.example:7443",
    "$RAY_ROLE": "--head --port=6379",
    "${RAY_NODE_ADDRESS}": "192.0.2.11",
}


class Unit(configparser.RawConfigParser):
    """A unit file; ``many`` returns all values of a key."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, interpolation=None, delimiters=("=",))
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.text = path.read_text("utf-8").replace("\\\n", " ")
        self.read_string(self.text)

    def many(self, key: str) -> list[str]:
        """All values of a key of the service."""
        return re.findall(rf"^{key}=(.*)$", self.text, re.MULTILINE)

    def environment(self) -> dict[str, str]:
        """The variables that it sets."""
        return dict(one.split("=", 1) for one in self.many("Environment"))


@pytest.fixture(params=UNITS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    """Each unit."""
    found: Path = request.param
    return found


def analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run systemd-analyze, which needs no running systemd for this."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed; tests/testbed/install.sh installs it")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True)


def test_systemd_reads_it(path: Path, tmp_path: Path) -> None:
    here = tmp_path / path.name
    programs = str(Path(sys.executable).parent)
    here.write_text(path.read_text("utf-8").replace("/opt/corridor/bin", programs))
    ran = analyze("verify", "--man=no", str(here))
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_it_is_closed_in(path: Path) -> None:
    ran = analyze("security", "--offline=true", str(path))
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", ran.stdout)
    assert level is not None, ran.stdout + ran.stderr
    assert float(level[1]) <= EXPOSURE_MAX


def test_commands_exist(path: Path) -> None:
    (line,) = Unit(path).many("ExecStart")
    for name, given in GIVEN.items():
        line = line.replace(name, given)
    program, *words = shlex.split(line)
    assert program.startswith("/opt/corridor/bin/")
    (check_ray if program.endswith("/ray") else check_corridor)(words)


def test_settings_exist(path: Path) -> None:
    ours = {k: v for k, v in Unit(path).environment().items() if k.startswith("CORRIDOR_")}
    settings_of(ours)


def test_secrets_are_credentials_or_files_of_their_own(path: Path) -> None:
    unit = Unit(path)
    given = {one.split(":")[0] for one in unit.many("LoadCredential")}
    used = set(re.findall(r"%d/([\w.-]+)", unit.text))
    assert used == given
    for name, value in unit.environment().items():
        assert (
            not re.search("password|secret|token", name, re.I)
            or value.startswith("%d/")
            or (name == "RAY_AUTH_MODE")
        )


def test_services_come_back_and_root_is_nobodys(path: Path) -> None:
    service = Unit(path)["Service"]
    assert service.get("User") == "corridor" or service.get("DynamicUser") == "true"
    if service["Type"] != "oneshot":
        assert service["Restart"] in ("on-failure", "always")
        assert "StartLimitBurst" in Unit(path)["Unit"]


def test_the_service_may_finish_its_calls() -> None:
    service = Unit(DEPLOY / "systemd/corridor.service")["Service"]
    assert float(service["TimeoutStopSec"]) >= Settings().server.drain_s + 15


def test_ray_shows_its_token_everywhere() -> None:
    given = Unit(DEPLOY / "systemd/corridor-ray.service").environment()
    assert (given["RAY_AUTH_MODE"], given["RAY_AUTH_TOKEN_PATH"]) == ("token", "%d/ray-token")
