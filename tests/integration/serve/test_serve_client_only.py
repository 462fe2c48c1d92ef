"""Without the ``server`` extra the client's commands work; the service's say what to install."""

import subprocess
import sys

import pytest

from scheduler.cli.extras import SERVER_PACKAGES

#: As on a machine without the extra: none of its packages can be found.
WITHOUT = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(SERVER_PACKAGES)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
from scheduler.cli.main import main
main()
"""


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["config"], ["replay", "--help"]])
def test_what_needs_no_service_works(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr


def test_a_client_command_gets_as_far_as_the_service() -> None:
    done = run("jobs", "--server", "127.0.0.1:1", "--token", "cor_" + "x" * 40, "--timeout", "1")
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["serve", "init"])
def test_the_services_commands_say_what_to_install(command: str) -> None:
    done = run(command, "--data-dir", "/nonexistent")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'corridor[server]'" in done.stderr
