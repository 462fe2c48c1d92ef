"""What tests of deploy/ share: a command or a setting that is named there has to exist."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer.main

from scheduler.config import load_settings
from scheduler.environment import unknown
from scheduler.settings import Settings

DEPLOY: Final = Path(__file__).parents[1] / "deploy"
#: Where ports of the service, of agents, of metrics and of Ray are.
PORTS: Final = {"grpc": 7443, "agents": 7444, "metrics": 9464, "gcs-server": 6379}


def check_corridor(words: Sequence[str]) -> None:
    """Parse the words after ``corridor`` as the command line would; nothing is run.

    Raises ``click.UsageError`` for a command or an option that does not exist.
    """
    from scheduler.cli.main import app

    _check(typer.main.get_command(app), "corridor", words)


def check_ray(words: Sequence[str]) -> None:
    """Parse the words after ``ray`` as Ray's command line would; nothing is run."""
    from ray.scripts.scripts import cli

    _check(cli, "ray", words)


def _check(group: Any, name: str, words: Sequence[str]) -> None:
    outer = group.make_context(name, [words[0]], resilient_parsing=True)
    command = group.get_command(outer, words[0])
    assert command is not None, f"{name} has no command {words[0]}"
    command = getattr(command, "load", lambda: command)()
    command.make_context(words[0], list(words[1:]), parent=outer)


def settings_of(environment: Mapping[str, str], config: Path | None = None) -> Settings:
    """Return the settings that variables and a file give; raises for one that means nothing."""
    assert unknown(environment, Settings().names()) == []
    return load_settings(config, environment, {})


def pinned(images: Iterable[str]) -> bool:
    """Whether each image has a digest or the tag of one version."""
    return all("@sha256:" in one or _is_version(one.rpartition(":")[2]) for one in images)


def _is_version(tag: str) -> bool:
    """``15.14-bookworm`` is one, ``15``, ``latest`` and what is no tag are none."""
    number = tag.removeprefix("v").partition("-")[0].split(".")
    return "/" not in tag and len(number) >= 2 and all(part.isdecimal() for part in number)
