"""A database is brought back to a point in time by the commands of docs/postgresql.md."""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scheduler.cli.main import app
from scheduler.domain.events import EventKind
from scheduler.domain.principal import EVERYTHING
from scheduler.store import feed, funds, seed
from scheduler.store.database import Database
from scheduler.store.feed import EventRow
from tests.postgres import NoServer, Postgres, account, programs, running

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOW_MS = 1_790_000_000_000
PATIENCE_S = 120.0
PAGES = ("docs/postgresql.md", "docs/postgresql.zh-CN.md")


def section(page: str) -> str:
    """What a page says of continuous archiving."""
    text = (ROOT / page).read_text("utf-8")
    return re.split(r"\n### (?:Continuous archiving|连续归档)\n", text)[1].split("\n## ")[0]


def blocks(page: str, kind: str) -> list[str]:
    """The code of that section: ``ini`` for the server, ``sh`` for a shell."""
    return re.findall(rf"```{kind}\n(.*?)```", section(page), re.DOTALL)


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server of the test's own, for it is brought back as a whole."""
    try:
        with running() as made:
            yield made
    except NoServer as missing:
        pytest.skip(str(missing))


class Site:
    """The server at the places of the page, which are folders of the test."""

    def __init__(self, server: Postgres) -> None:
        self.server, self.who = server, account()
        self._places = {
            "/var/lib/postgresql/15/main": server.folder / "data",
            "/var/lib/postgresql/15/lost": server.folder / "lost",
            "/backups/base": server.folder / "backups" / "base",
            "/wal": server.folder / "wal",
        }
        for name in ("backups", "wal"):
            (server.folder / name).mkdir()
            os.chown(server.folder / name, self.who.pw_uid, self.who.pw_gid)
        self.ran: list[str] = []

    def here(self, text: str) -> str:
        """A text of the page with the test's places for its own."""
        for place, ours in self._places.items():
            text = re.sub(rf"{place}(?![\w-])", str(ours), text)
        return text

    def set(self, settings: str) -> None:
        """Add settings to those of the server."""
        with (self.server.folder / "data" / "postgresql.auto.conf").open("a") as file:
            file.write(self.here(settings))

    def run(self, block: str, corridor: Callable[[list[str]], None]) -> None:
        """Run the lines of a block, each as the page has it."""
        for line in block.strip().splitlines():
            words = shlex.split(self.here(line), comments=True)
            self.ran.append(words[0])
            match words:
                case ["systemctl", "stop", "postgresql"]:
                    self.server.stop("fast")
                case ["systemctl", "start", "postgresql"]:
                    self.server.start()
                case ["corridor", *more]:
                    corridor(more)
                case [program, *more]:
                    self._run(program, more)

    def _run(self, program: str, arguments: list[str]) -> None:
        found = programs() / program
        done = subprocess.run(
            [found if found.exists() else program, *arguments], cwd=self.server.folder,
            user=self.who.pw_uid, group=self.who.pw_gid,
            extra_groups=[] if os.geteuid() == 0 else None,
            env={**os.environ, "PGHOST": str(self.server.folder), "PGUSER": "corridor"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (program, arguments, done.stderr)

    def until(self, query: str) -> None:
        """Wait until the server says that something is so."""
        end_s = time.monotonic() + PATIENCE_S
        with self.server.session() as connection:
            while connection.execute(query.encode()).fetchone() != (True,):
                assert time.monotonic() < end_s, query
                time.sleep(0.05)


def pay(db: Database, number: int) -> None:
    """A city pays in; an entry with its place in a chain, an event, and an audit event."""

    def call(connection: Any) -> None:
        row = EventRow(EventKind.ENTERPRISE_CHANGED, 0, 0, "", "", "", NOW_MS)
        feed.append(connection, [row])
        funds.appropriate(
            connection, EVERYTHING, programme="wuhan-voucher", period="2026",
            amount_fen=1_000 + number, request_id=f"pay-{number}", actor="test", reason="test",
            now_ms=NOW_MS,
        )  # fmt: skip

    db.write_future(call).result()


def paid(db: Database) -> list[int]:
    """Which payments are in the books."""
    rows = db.read_sync(lambda c: c.exec_driver_sql("SELECT idem_key FROM transfer").all())
    return sorted(int(name.rpartition(":pay-")[2]) for (name,) in rows if ":pay-" in name)


def test_pages_in_both_languages_run_the_same() -> None:
    english, chinese = (blocks(page, "ini") + blocks(page, "sh") for page in PAGES)
    assert english == chinese
    assert len(english) == 5


def test_a_database_goes_back_to_a_point_in_time(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(server)
    archive, recovery = blocks(PAGES[0], "ini")
    back_up, put_in_place, go_on = blocks(PAGES[0], "sh")
    url = server.url(server.migrated())
    monkeypatch.setenv("CORRIDOR_STORE_URL", url)
    monkeypatch.setenv("CORRIDOR_STORE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CORRIDOR_CONFIG", raising=False)
    told: list[str] = []

    def corridor(words: list[str]) -> None:
        done = CliRunner().invoke(app, words)
        told.append(done.output)
        assert done.exit_code == 0, done.output

    server.stop("fast")
    site.set(archive)
    server.start()
    with closing(Database(url)) as db:
        db.write_future(lambda c: seed.load(c, seed.DATA, NOW_MS)).result()
        pay(db, 0)
        site.run(back_up, corridor)
        pay(db, 1)
        pay(db, 2)
        with server.session() as connection:
            found = connection.execute(b"SELECT clock_timestamp()::text").fetchone()
        assert found is not None
        pay(db, 3)  # what is to be undone
        assert paid(db) == [0, 1, 2, 3]
    with server.session() as connection:
        row = connection.execute(b"SELECT pg_walfile_name(pg_switch_wal())").fetchone()
    assert row is not None
    site.until(f"SELECT last_archived_wal >= '{row[0]}' FROM pg_stat_archiver")

    site.run(put_in_place, corridor)
    target = re.sub(r"(?<=recovery_target_time = ').*?(?=')", found[0], recovery)
    assert target != recovery
    site.set(target)
    site.run(go_on.splitlines()[0], corridor)
    site.until("SELECT NOT pg_is_in_recovery()")
    with closing(Database(url)) as db:
        newest = db.read_sync(feed.newest)
    site.run(go_on.splitlines()[1], corridor)
    assert "Recovered, revision" in told[-1]
    with closing(Database(url)) as db:
        assert paid(db) == [0, 1, 2], "all until then, and nothing that came after"
        assert db.read_sync(funds.verify).ok
        pay(db, 4)
        assert db.read_sync(feed.newest) > newest + 1_000, "it is gone on from"
    assert set(site.ran) == {
        "pg_basebackup", "pg_verifybackup", "systemctl", "mv", "cp", "touch", "corridor"
    }  # fmt: skip
