"""Tokens that are renewed: from a file or a program, taken up while a command goes on."""

import os
import sys
from pathlib import Path

import pytest

from scheduler.cli.failures import Failed
from scheduler.cli.given import Given
from scheduler.cli.profiles import Profile, Profiles, config_path, write_profiles
from scheduler.cli.session import Session
from scheduler.cli.token_sources import CommandToken, FileToken
from tests.issuer import by_hand

FIRST, SECOND = "cor_" + "a" * 40, "cor_" + "b" * 40


def test_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{FIRST}\n")
    source = FileToken(path)
    assert source() == source() == FIRST
    fresh = tmp_path / "fresh"
    fresh.write_text(SECOND)
    os.replace(fresh, path)
    assert source() == SECOND


@pytest.mark.parametrize("held", ["", "two words", "ü", None])
def test_a_file_without_a_token_is_told_by_its_name(tmp_path: Path, held: str | None) -> None:
    path = tmp_path / "token"
    if held is not None:
        path.write_text(held, encoding="utf-8")
    with pytest.raises(Failed) as caught:
        FileToken(path)()
    assert caught.value.key == "option.token_file"
    assert caught.value.values["path"] == path


class Program:
    """A program that prints what a file holds, and counts how often it ran."""

    def __init__(self, folder: Path) -> None:
        self._held, self._ran = folder / "held", folder / "ran"
        script = folder / "print.py"
        script.write_text(
            f"open({str(self._ran)!r}, 'a').write('x'); print(open({str(self._held)!r}).read())"
        )
        self.command = f"{sys.executable} {script}"

    def hold(self, token: str) -> None:
        self._held.write_text(token)

    @property
    def ran(self) -> int:
        return len(self._ran.read_text())


def jwt_until(at_s: float) -> str:
    return by_hand({"alg": "ES256"}, {"exp": at_s}, b"signature")


def test_a_program_is_asked_anew_before_its_token_ends(tmp_path: Path) -> None:
    program, now_s = Program(tmp_path), [1_000.0]
    source = CommandToken(program.command, lambda: now_s[0])
    program.hold(jwt_until(2_000))
    assert source() == source() == jwt_until(2_000)
    assert program.ran == 1
    program.hold(jwt_until(3_000))
    now_s[0] = 1_969
    assert source() == jwt_until(2_000)
    now_s[0] = 1_970
    assert source() == jwt_until(3_000)
    assert program.ran == 2


def test_a_token_that_does_not_say_when_it_ends_is_kept_for_minutes(tmp_path: Path) -> None:
    program, now_s = Program(tmp_path), [1_000.0]
    source = CommandToken(program.command, lambda: now_s[0])
    program.hold(FIRST)
    source()
    program.hold(SECOND)
    now_s[0] += 299
    assert source() == FIRST
    now_s[0] += 1
    assert source() == SECOND


@pytest.mark.parametrize(
    "command", ["/no/such/program", "false", "echo two words", "'unclosed", "  "]
)
def test_a_program_that_fails_is_told_without_what_it_printed(command: str) -> None:
    with pytest.raises(Failed) as caught:
        CommandToken(command)()
    assert caught.value.key == "option.token_command"
    assert "two words" not in str(caught.value.values["why"])


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    with pytest.raises(Failed):
        CommandToken(f"echo {FIRST}; touch {tmp_path / 'touched'}")()
    assert not (tmp_path / "touched").exists()


def token_of(environment: dict[str, str], profile: Profile, given: Given | None = None) -> object:
    """What a command would use."""
    write_profiles(config_path(environment), Profiles("mine", {"mine": profile}))
    source = Session("whoami", given or Given(), environment)._token()
    return source() if callable(source) else source


def test_flags_come_before_variables_and_those_before_profiles(tmp_path: Path) -> None:
    path, home = tmp_path / "token", {"XDG_CONFIG_HOME": str(tmp_path)}
    path.write_text(SECOND)
    path.chmod(0o600)
    filed, kept = Profile(token_file=str(path)), Profile(token=FIRST)
    asked = Profile(token_command=f"echo {SECOND}")
    assert token_of(home, filed) == SECOND
    assert token_of(home, asked) == SECOND
    assert token_of(home, kept) == FIRST
    assert token_of({**home, "CORRIDOR_TOKEN_FILE": str(path)}, kept) == SECOND
    assert token_of({**home, "CORRIDOR_TOKEN_COMMAND": f"echo {SECOND}"}, kept) == SECOND
    assert token_of({**home, "CORRIDOR_TOKEN": FIRST}, filed) == FIRST
    assert token_of({**home, "CORRIDOR_TOKEN": FIRST}, kept, Given(token=SECOND)) == SECOND
    assert token_of(home, Profile()) is None
