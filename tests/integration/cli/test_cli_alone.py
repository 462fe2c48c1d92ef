"""The command line where only the client is installed, and in shells that complete it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: Stands for a machine without the ``server`` extra.
WITHOUT_SERVER = """
import sys
from importlib.abc import MetaPathFinder
from scheduler.cli.extras import SERVER_PACKAGES

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in SERVER_PACKAGES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""
CORRIDOR = str(Path(sys.executable).with_name("corridor"))
RUN = WITHOUT_SERVER + "from scheduler.cli.main import main; main()"


def python(code: str, *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run code in a fresh interpreter."""
    return run(sys.executable, "-c", code, *args, **env)


def run(*command: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with nothing of this machine's settings."""
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "COLUMNS": "80", **env}
    return subprocess.run(command, capture_output=True, text=True, env=clean, cwd=ROOT)


def test_the_client_needs_nothing_of_the_service() -> None:
    ran = python(WITHOUT_SERVER + "import scheduler.client; print(*sys.modules)")
    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stdout.split())
    assert "scheduler.client" in loaded
    assert not {"ray", "sqlalchemy", "structlog", "prometheus_client", "numpy"} & loaded


def test_every_command_of_the_client_loads_without_the_service() -> None:
    code = WITHOUT_SERVER + (
        "from scheduler.cli.commands import COMMANDS\n"
        "from scheduler.cli.groups import Stub\n"
        "print(*(Stub(name, lazy).load().name for name, lazy in COMMANDS.items()))"
    )
    ran = python(code)
    assert ran.returncode == 0, ran.stderr
    assert {"submit", "watch", "profile", "token", "serve", "init"} <= set(ran.stdout.split())


def test_a_command_of_the_client_works_without_the_service() -> None:
    ran = python(RUN, "jobs", "--server", "127.0.0.1:1")
    assert (ran.returncode, ran.stderr.count("\n")) == (5, 1), ran.stderr


def test_a_command_of_the_service_says_what_is_missing() -> None:
    ran = python(RUN, "serve")
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "pip install 'corridor[server]'" in ran.stderr


def test_help_imports_nothing_that_only_commands_need() -> None:
    code = (
        "import sys\n"
        "from scheduler.cli.main import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as ended:\n    print(ended.code)\n"
        "heavy = {'grpc', 'yaml', 'numpy', 'google', 'asyncio', 'corridor', 'ray'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = python(code)
    assert ran.stdout.splitlines()[-2:] == ["0", "[]"], ran.stdout[-200:]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str) -> None:
    script = run(
        CORRIDOR, "--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    )
    assert script.returncode == 0, script.stderr
    assert "_CORRIDOR_COMPLETE" in script.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("corridor qu", {"quote", "quota"}),
        ("corridor quota s", {"set", "show", "simulate", "stops"}),
        ("corridor jobs --state r", {"running", "rejected"}),
        ("corridor token create x --role op", {"operator"}),
        ("corridor submit --dry", {"--dry-run"}),
    ],
)
def test_words_are_completed(words: str, expected: set[str]) -> None:
    ran = run(
        CORRIDOR,
        _CORRIDOR_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(words.count(" ")),
    )
    assert set(ran.stdout.split()) == expected, ran.stderr
