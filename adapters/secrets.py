"""Where a secret is to be read: a file, a variable of the environment, or a command's output.

Settings hold such references and never a secret itself, so that a secret reaches no database, log
or answer of the API. It is read anew at each use, so that one that was renewed is found.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters import programs

_KINDS: Final = ("file", "env", "command")
_COMMAND_S: Final = 20.0


class BadSecret(Exception):
    """A secret cannot be had; the message says where it was looked for, never what was found."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """One reference: ``kind`` is file, env or command; ``target`` the path, name or arguments."""

    kind: str
    target: tuple[str, ...]

    @classmethod
    def of(cls, value: object) -> "SecretRef":
        """Return the reference that a setting holds. Raises ``BadSecret`` for anything else."""
        wanted = "must be {file: PATH}, {env: NAME} or {command: [PROGRAM, ...]}"
        if not isinstance(value, Mapping):
            raise BadSecret(f"{wanted}; a secret itself is never written into settings")
        if len(value) != 1 or next(iter(value)) not in _KINDS:
            raise BadSecret(wanted)
        ((kind, target),) = value.items()
        if kind == "command":
            if not isinstance(target, list) or not target:
                raise BadSecret("'command' must be a list: the program and its arguments")
            if not all(isinstance(part, str) for part in target):
                raise BadSecret("'command' must be a list of texts")
            return cls(kind, tuple(target))
        if not isinstance(target, str) or not target:
            raise BadSecret(f"{kind!r} must be a text")
        return cls(kind, (target,))

    def __str__(self) -> str:
        return f"{self.kind} {' '.join(self.target)}"

    async def read(self) -> str:
        """Return the secret without white space around it. Raises ``BadSecret``."""
        match self.kind:
            case "env":
                found = os.environ.get(self.target[0], "")
            case "file":
                found = self._read_file()
            case _:
                found = await self._run()
        if not found.strip():
            raise BadSecret(f"{self}: there is nothing in it")
        return found.strip()

    def _read_file(self) -> str:
        try:
            return Path(self.target[0]).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise BadSecret(f"{self}: cannot be read: {why}") from None

    async def _run(self) -> str:
        try:
            async with asyncio.timeout(_COMMAND_S):
                code, output, _ = await programs.run(self.target)
        except TimeoutError:
            raise BadSecret(f"{self}: did not end within {_COMMAND_S:g} s") from None
        except OSError as error:
            raise BadSecret(f"{self}: cannot be run: {error.strerror}") from None
        if code:
            raise BadSecret(f"{self}: ended with code {code}")
        return output.decode(errors="replace")
