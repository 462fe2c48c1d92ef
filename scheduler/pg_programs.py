"""PostgreSQL's own programs that copy a database: found on this machine, and run.

A password goes by the environment, where other users of the machine do not see it.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from scheduler.errors import CorridorError

#: Where Debian and its kin keep the programs of each version.
VERSIONS: Final = Path("/usr/lib/postgresql")
_SAID_MAX: Final = 600


class NoProgram(CorridorError):
    """A program of PostgreSQL is missing, too old, or failed; the message says what to do."""

    reason = "NO_PROGRAM"


def found(server: int) -> Path:
    """Return the folder of ``pg_dump`` and ``pg_restore`` of the server's version or a newer one.

    ``server`` is a major version. Raises ``NoProgram``.
    """
    folders = [Path(path).parent for path in (shutil.which("pg_dump"),) if path]
    folders += sorted((one.parent for one in VERSIONS.glob("*/bin/pg_dump")), reverse=True)
    versions = {folder: _version(folder) for folder in dict.fromkeys(folders)}
    for folder, version in versions.items():
        if version >= server:
            return folder
    there = ", ".join(f"{version} in {folder}" for folder, version in versions.items())
    raise NoProgram(
        f"the server is PostgreSQL {server}, and its pg_dump is not on this machine"
        + (f" ({there})" if there else "")
        + f": install postgresql-client-{server}, or copy it there with the server's own tools"
        " (docs/postgresql.md)"
    )


def _version(folder: Path) -> int:
    try:
        said = subprocess.run(
            [folder / "pg_dump", "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return 0
    number = re.search(r"\d+", said)
    return int(number[0]) if number else 0


def dump(folder: Path, url: str, snapshot: str, file: Path) -> None:
    """Copy the database as it is seen by a snapshot that is held open. Raises ``NoProgram``."""
    _run(folder / "pg_dump", url, "--format=custom", f"--snapshot={snapshot}", f"--file={file}",
         "--no-owner", "--no-privileges")  # fmt: skip


def read_through(folder: Path, file: Path) -> None:
    """Read the whole copy once, as restoring it would. Raises ``NoProgram``."""
    _run(folder / "pg_restore", "", f"--file={os.devnull}", str(file))


def restore(folder: Path, url: str, file: Path) -> None:
    """Put the copy into an empty database, all of it or nothing. Raises ``NoProgram``."""
    _run(folder / "pg_restore", url, "--single-transaction", "--exit-on-error", "--no-owner",
         "--no-privileges", str(file))  # fmt: skip


def _run(program: Path, url: str, *arguments: str) -> None:
    environment = dict(os.environ)
    command = [str(program), "--no-password" if url else "--verbose", *arguments]
    if url:
        parsed = make_url(url)
        given: dict[str, Any] = {
            **parsed.translate_connect_args(database="dbname", username="user"),
            **parsed.query,
        }
        password = given.pop("password", None)
        if password is not None:
            environment["PGPASSWORD"] = str(password)
        # Not as a URL: libpq takes a plus in one for a plus, where others mean a space.
        command.insert(1, f"--dbname={make_conninfo('', **given)}")
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, errors="replace", check=False,
        )  # fmt: skip
    except OSError as error:
        raise NoProgram(f"{program} cannot be run: {error.strerror}") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-_SAID_MAX:]
        raise NoProgram(f"{program.name} failed: {said}")
