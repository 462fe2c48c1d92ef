"""Tokens that are renewed: read from a file, or asked of a program, whenever a call needs one.

A token of an issuer of logins lives for minutes. So a profile names where to get one, and a command
that goes on for long (``corridor watch``) takes up the new one by itself.
"""

import base64
import json
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scheduler.cli import exits
from scheduler.cli.failures import Failed
from scheduler.cli.profiles import is_token

#: A program that asks somebody may take so long.
_PATIENCE_S: Final = 120.0
#: A token is asked for anew so long before it ends, or so long after it was given if nobody knows.
_BEFORE_S: Final = 30.0
_KEPT_S: Final = 300.0


class FileToken:
    """The token in a file, read anew when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path, self._token = path, ""
        self._mark: tuple[int, int, int] | None = None

    def __call__(self) -> str:
        """Return the token; raises ``Failed``."""
        try:
            found = self._path.stat()
            mark = found.st_mtime_ns, found.st_size, found.st_ino
            if mark != self._mark:
                self._token = _only(self._path.read_text(encoding="ascii"))
                self._mark = mark
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise Failed("option.token_file", exits.USAGE, path=self._path, why=why) from error
        return self._token


class CommandToken:
    """The token that a program prints, asked for anew before it ends; without a shell."""

    def __init__(self, command: str, now_s: Callable[[], float] = time.time) -> None:
        self._command, self._now_s = command, now_s
        self._token, self._until_s = "", 0.0

    def __call__(self) -> str:
        """Return the token; raises ``Failed``."""
        if not self._token or self._now_s() >= self._until_s:
            self._token = self._ask()
            self._until_s = _ends_s(self._token, self._now_s() + _KEPT_S)
        return self._token

    def _ask(self) -> str:
        try:
            ran = subprocess.run(
                shlex.split(self._command), stdout=subprocess.PIPE, text=True, timeout=_PATIENCE_S,
                check=True, encoding="ascii",
            )  # fmt: skip
            return _only(ran.stdout)
        except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
            # Not the error itself: it may quote what the program printed.
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Failed(
                "option.token_command", exits.USAGE, command=self._command, why=why
            ) from None


def _only(text: str) -> str:
    """Return the one word of a text; raises ``ValueError`` if it is no token."""
    words = text.split()
    if len(words) != 1 or not is_token(words[0]):
        raise ValueError("it holds no token")
    return words[0]


def _ends_s(token: str, otherwise_s: float) -> float:
    """Return when to ask anew: before a JWT ends, as it says itself."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return float(claims["exp"]) - _BEFORE_S
    except (IndexError, KeyError, TypeError, ValueError):
        return otherwise_s
