"""A real PostgreSQL server for tests: on a socket of its own, with fsync on, gone after the run.

Its files may lie in memory (``tests/memory.py``): then a commit waits for no disk, and all else is
as on a disk. No test cuts the power of the machine, which alone would show the difference; what
processes that are killed had committed is there in both.

It needs the server's programs on this machine (``tests/testbed/install.sh`` installs them), and an
unprivileged user if the tests run as root, for the server refuses to run as root.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg

from scheduler.store import migrate
from scheduler.store.database import open_engine

#: fsync and full pages are on, as they are by default: what is acknowledged is on the disk.
_SETTINGS: Final = """
listen_addresses = '{listen}'
unix_socket_directories = '{folder}'
max_connections = 60
deadlock_timeout = 100ms
max_wal_size = 4GB
"""
#: Empties every table, past the guards of what is only ever added to, and counts anew.
_CLEAN: Final = """
DO $$ DECLARE one record; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema()
        AND tablename <> 'alembic_version'
    LOOP EXECUTE format('DELETE FROM %I', one.tablename); END LOOP;
    FOR one IN SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()
    LOOP PERFORM setval(one.sequencename::regclass, 1, false); END LOOP;
END $$
"""
_USER: Final = "corridor"
_PREFIX: Final = "corridor-pg-"
#: File in a server's folder: the process that started it.
_OWNER: Final = "owner"
_TEMPLATE: Final = "corridor_empty"


class NoServer(Exception):
    """No PostgreSQL can be started here; the message says what is missing."""


@dataclass
class Postgres:
    """A running server; its socket is in ``folder``."""

    folder: Path
    _run: Callable[..., None]
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _migrated: bool = False
    _used: list[str] = field(default_factory=list)

    def url(self, name: str) -> str:
        """URL of a database of this server."""
        return f"postgresql://{_USER}@/{name}?host={self.folder}"

    def stop(self, mode: str = "immediate") -> None:
        """End the server as a crash would: nobody is told, and nothing is cleared away.

        With ``mode`` "fast" it hangs up on all, undoes what was open, and ends in order.
        """
        if (self.folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-w", "-m", mode)

    def kill(self) -> None:
        """Kill all its processes with SIGKILL, the first of them first."""
        data = self.folder / "data"
        first = int((data / "postmaster.pid").read_text("ascii").split()[0])
        os.kill(first, signal.SIGKILL)
        # Until it is buried, too: a new one would take it for one that lives.
        while (left := _of_folder(data)) or _is_zombie(first):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def start(self) -> None:
        """Start it again with all that was committed; returns once it answers."""
        self._run("pg_ctl", "start", "-w", "-l", str(self.folder / "server.log"))

    @contextlib.contextmanager
    def session(self, name: str = "postgres") -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
        """A superuser's connection, beside the store's machinery; each statement commits."""
        with psycopg.connect(
            host=str(self.folder), user=_USER, dbname=name, autocommit=True
        ) as connection:
            yield connection

    def create(self, template: str = "template0", made: str = "") -> str:
        """Make a database, a copy of ``template`` with what ``made`` says; returns its name."""
        name = f"test_{next(self._numbers)}"
        self._copy(template, name, made)
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        with self.session() as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    def migrated(self) -> str:
        """Make a database with this version's schema and nothing in it; returns its name."""
        if not self._migrated:
            self._copy("template0", _TEMPLATE)
            engine = open_engine(self.url(_TEMPLATE))
            migrate.upgrade(engine)
            engine.dispose()
            self._migrated = True
        return self.create(_TEMPLATE)

    def lend(self) -> str:
        """Return a database like a migrated one, and as empty: one that was given back if any.

        To make one takes half a second of syncing files, to empty one some milliseconds.
        """
        if not self._used:
            return self.migrated()
        name = self._used.pop()
        with self.session(name) as connection:
            connection.execute(_CLEAN)
        return name

    def give_back(self, name: str) -> None:
        """Lend a database again whose schema is as it was, and to which nobody is connected."""
        self._used.append(name)

    def _copy(self, template: str, name: str, made: str = "") -> None:
        with self.session() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {made}'.encode())


def _of_folder(data: Path) -> list[int]:
    """Processes of a server that live."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is a zombie
            if Path(os.readlink(folder / "cwd")) == data:
                found.append(int(folder.name))
    return found


def _is_zombie(pid: int) -> bool:
    """Whether a server's process has ended, and nobody has heard of it yet."""
    with contextlib.suppress(OSError):
        name, _, fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")
        return name.endswith("(postgres") and fields.split()[0] == "Z"
    return False


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where a server runs: ``within`` are words before each program that bring it there (root),
    ``listen`` is the address at which it listens to all of ``network``, ``more`` are further
    variables of its environment.
    """

    within: Sequence[str]
    listen: str
    network: str
    more: Mapping[str, str]


@contextlib.contextmanager
def running(parent: Path | None = None, elsewhere: Elsewhere | None = None) -> Iterator[Postgres]:
    """Start a server of one's own and stop it at the end; its files lie in a folder of ``parent``,
    or of the system's own for temporary files. Raises ``NoServer``.
    """
    bin_folder, owner = programs(), account()
    before: list[str] = []
    if elsewhere is not None:  # it takes root to get there
        who = (f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups")
        before = [*elsewhere.within, "setpriv", *who]
    for left in _forsaken(parent or Path(tempfile.gettempdir())):
        _clear_away(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    (folder / _OWNER).write_text(str(os.getpid()), "ascii")
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*before, bin_folder / program, "-D", data, *arguments],
            user=None if before else owner.pw_uid, group=None if before else owner.pw_gid,
            extra_groups=[] if os.geteuid() == 0 and not before else None, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=None if elsewhere is None else {**os.environ, **elsewhere.more},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    try:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        run("initdb", "-U", _USER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        with (data / "postgresql.auto.conf").open("a") as settings:
            listen = "" if elsewhere is None else elsewhere.listen
            settings.write(_SETTINGS.format(folder=folder, listen=listen))
        if elsewhere is not None:
            with (data / "pg_hba.conf").open("a") as trusted:
                trusted.write(f"host all all {elsewhere.network} trust\n")
        server = Postgres(folder, run)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _forsaken(parent: Path) -> Iterator[Path]:
    """Folders of servers whose runs were killed before they could stop them."""
    for owner in parent.glob(f"{_PREFIX}*/{_OWNER}"):
        with contextlib.suppress(OSError, ValueError):
            if not Path(f"/proc/{int(owner.read_text('ascii'))}").exists():
                yield owner.parent


def _clear_away(folder: Path) -> None:
    """End the server of a folder, if it still runs, and remove the folder."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int((folder / "data" / "postmaster.pid").read_text("ascii").split()[0])
        if Path(os.readlink(f"/proc/{pid}/cwd")) == folder / "data":
            os.kill(pid, signal.SIGQUIT)  # at once, as `pg_ctl stop -m immediate` does
    shutil.rmtree(folder, ignore_errors=True)


def programs() -> Path:
    """Where the server's programs are: on the PATH, or the newest of Debian's versions."""
    found = shutil.which("pg_ctl")
    if found is not None:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    if newest is None:
        raise NoServer("PostgreSQL is not installed: run tests/testbed/install.sh as root")
    return newest.parent


def account() -> pwd.struct_passwd:
    """Who the server runs as."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoServer("PostgreSQL does not run as root, and there is no user postgres or nobody")
