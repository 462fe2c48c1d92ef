"""Backups, taken also while others write; what is restored is held against them."""

import json
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scheduler import backing_up, databases, pg_programs
from scheduler.backing_up import MANIFEST, BadBackup
from scheduler.config import load_settings
from scheduler.domain.events import EventKind
from scheduler.domain.principal import EVERYTHING
from scheduler.pg_programs import NoProgram
from scheduler.settings import Settings
from scheduler.store import backups, feed, funds, guards, leader, migrate, seed
from scheduler.store.backups import Contents
from scheduler.store.database import Database, open_engine
from scheduler.store.feed import EventRow
from scheduler.store.leader import Candidate
from scheduler.store.lock import DataInUse, DataLock
from tests import first_release
from tests.postgres import Postgres
from tests.stores import SqliteStores, Stores

NOW_MS = 1_790_000_000_000


def settings_of(url: str, folder: Path) -> Settings:
    """Settings with a database and a data directory."""
    return load_settings(None, {}, {"store.url": url, "store.data_dir": str(folder)})


@pytest.fixture
def source(stores: Stores, tmp_path: Path) -> Settings:
    """A database of the samples, in which somebody paid."""
    url = stores.migrated()
    with closing(Database(url)) as db:
        db.write_future(lambda c: seed.load(c, seed.DATA, NOW_MS)).result()
        for number in range(3):
            pay(db, number)
    return settings_of(url, tmp_path / "source")


@pytest.fixture
def target(stores: Stores, tmp_path: Path) -> Settings:
    """Where nothing is yet."""
    return settings_of(stores.empty(), tmp_path / "target")


def pay(db: Database, number: int) -> None:
    """An enterprise pays in; an entry with its place in a chain, an event, and an audit event."""

    def call(connection: Any) -> None:
        row = EventRow(EventKind.ENTERPRISE_CHANGED, 0, 0, "", "", "", NOW_MS)
        feed.append(connection, [row])
        funds.appropriate(
            connection, EVERYTHING, programme="wuhan-voucher", period="2026",
            amount_fen=number + 1, request_id=f"pay-{number}", actor="test", reason="test",
            now_ms=NOW_MS,
        )  # fmt: skip

    db.write_future(call).result()


def everything(settings: Settings) -> dict[str, list[Any]]:
    """All rows of all tables, in order."""
    engine = open_engine(settings.store.url)
    try:
        with engine.connect() as connection:
            return {
                name: sorted(map(repr, connection.exec_driver_sql(f"SELECT * FROM {name}")))
                for name in backups.contents(connection).tables
            }
    finally:
        engine.dispose()


def test_what_is_restored_is_what_was_there(
    source: Settings, target: Settings, tmp_path: Path
) -> None:
    before = everything(source)
    made = backing_up.back_up(source, tmp_path / "backup")
    assert made.checked.problems == []
    assert made.checked.transfer_count == made.contents.tables["transfer"] > 3
    assert sorted(one.name for one in (tmp_path / "backup").iterdir()) == sorted(
        [made.file.name, MANIFEST]
    )
    assert made.file.stat().st_mode & 0o077 == 0, "it is for its owner alone"
    done = backing_up.restore(target, tmp_path / "backup")
    assert (done.checked.problems, done.contents) == ([], made.contents)
    assert everything(target) == before
    with closing(databases.opened(target)) as db:
        migrate.check(db.engine)
        pay(db, 100)
        assert db.read_sync(funds.verify).ok, "it is gone on from"


def test_what_comes_after_a_restore_is_not_taken_for_what_was_lost(
    source: Settings, target: Settings, tmp_path: Path
) -> None:
    """Centers obey no lower epoch, and a watcher may have been told of events that are gone."""
    with closing(databases.opened(source)) as db:
        db.write_future(lambda c: leader.take_over(c, "one", 0)).result()
        backing_up.back_up(source, tmp_path / "backup")
        pay(db, 7)
        lost = db.read_sync(feed.newest)
        epoch = db.write_future(lambda c: leader.take_over(c, "two", 0)).result()
    backing_up.restore(target, tmp_path / "backup")
    with closing(databases.opened(target)) as db:
        pay(db, 7)
        assert db.read_sync(feed.newest) > lost + 1_000
        assert db.write_future(lambda c: leader.take_over(c, "three", 0)).result() > epoch + 1_000


def test_a_database_that_its_own_tools_brought_back_is_gone_on_from(source: Settings) -> None:
    """As after a recovery to a point in time."""
    with closing(databases.opened(source)) as db:
        epoch = db.write_future(lambda c: leader.take_over(c, "one", 0)).result()
        newest = db.read_sync(feed.newest)
        if not db.is_sqlite:
            who = Candidate("h", "one", "db:1", 60_000)
            db.write_future(
                lambda c: leader.take_lease(c, None, who, leader.database_ms(c))
            ).result()
            with pytest.raises(migrate.BadSchema, match="replica one leads"):
                backing_up.recovered(source)
            db.write_future(lambda c: leader.release_lease(c, epoch + 1, "h")).result()
        found, checked = backing_up.recovered(source)
        assert (checked.problems, checked.transfer_count) == ([], found.tables["transfer"])
        pay(db, 8)
        assert db.read_sync(feed.newest) > newest + 1_000
        assert db.write_future(lambda c: leader.take_over(c, "two", 0)).result() > epoch + 1_000


def test_wrong_books_are_not_gone_on_from(source: Settings) -> None:
    with closing(databases.opened(source)) as db:
        db.write_future(
            lambda c: c.exec_driver_sql("UPDATE account SET credits_posted = credits_posted + 1"
                                        " WHERE account_id LIKE 'fund:%'").close()
        ).result()  # fmt: skip
        epoch = db.write_future(lambda c: leader.take_over(c, "one", 0)).result()
        assert backing_up.recovered(source)[1].problems
        assert db.write_future(lambda c: leader.take_over(c, "two", 0)).result() == epoch + 1


def test_a_backup_that_is_taken_while_others_write_is_of_one_moment(
    source: Settings, target: Settings, tmp_path: Path
) -> None:
    stop = threading.Event()
    with closing(databases.opened(source)) as db:
        began = threading.Event()

        def write() -> None:
            number = 10
            while not stop.is_set():
                pay(db, number)
                number += 1
                began.set()

        writer = threading.Thread(target=write)
        writer.start()
        began.wait()
        made = backing_up.back_up(source, tmp_path / "backup")
        at_end = db.read_sync(feed.newest)
        stop.set()
        writer.join()
    assert made.checked.problems == []
    events = made.contents.tables["event"]
    assert 4 <= events <= at_end
    done = backing_up.restore(target, tmp_path / "backup")
    assert (done.checked.problems, done.contents) == ([], made.contents)


def test_a_copy_that_was_changed_is_not_restored(
    source: Settings, target: Settings, tmp_path: Path
) -> None:
    made = backing_up.back_up(source, tmp_path / "backup")
    data = bytearray(made.file.read_bytes())
    data[len(data) // 2] ^= 1
    made.file.write_bytes(data)
    with pytest.raises(BadBackup, match="is not what it was when it was made"):
        backing_up.restore(target, tmp_path / "backup")
    made.file.unlink()
    with pytest.raises(BadBackup, match="No such file"):
        backing_up.restore(target, tmp_path / "backup")


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"format": 2}', '{"format": 1, "database": "oracle"}']
)
def test_what_is_no_manifest_is_said(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(BadBackup, match="manifest"):
        backing_up.read(tmp_path)


def test_what_differs_from_the_manifest_is_named() -> None:
    wanted = Contents("0002", {"a": 1, "b": 2}, {"s": (3, "ff"), "t": (1, "aa")}, "digest")
    assert backups.differences(wanted, Contents.of_json(wanted.as_json())) == []
    found = Contents("0001", {"a": 1, "b": 3, "c": 0}, {"s": (3, "fe")}, "")
    assert backups.differences(wanted, found) == [
        "the schema is at revision 0001, not 0002",
        "table b: has 3 rows, not 2",
        "table c: has 0 rows, not None",
        "shard s: its head is another one",
        "shard t: its head is another one",
        "the newest digest of the ledger is another one",
    ]


def test_a_restored_database_is_held_against_the_manifest(
    source: Settings, target: Settings, tmp_path: Path
) -> None:
    backing_up.back_up(source, tmp_path / "backup")
    manifest = tmp_path / "backup" / MANIFEST
    found = json.loads(manifest.read_text("utf-8"))
    found["tables"]["transfer"] += 1
    manifest.write_text(json.dumps(found), encoding="utf-8")
    done = backing_up.restore(target, tmp_path / "backup")
    assert len(done.checked.problems) == 1
    assert "table transfer: has" in done.checked.problems[0]


def test_books_that_are_wrong_are_copied_and_said_to_be_wrong(
    source: Settings, tmp_path: Path
) -> None:
    with closing(databases.opened(source)) as db:
        db.write_future(
            lambda c: c.exec_driver_sql("UPDATE account SET credits_posted = credits_posted + 1"
                                        " WHERE account_id LIKE 'fund:%'").close()
        ).result()  # fmt: skip
    made = backing_up.back_up(source, tmp_path / "backup")
    assert "fund:" in made.checked.problems[0]
    assert made.file.is_file()


def test_nothing_is_restored_over_a_database(source: Settings, tmp_path: Path) -> None:
    backing_up.back_up(source, tmp_path / "backup")
    before = everything(source)
    with pytest.raises((BadBackup, migrate.BadSchema), match=r"is there already|is not empty"):
        backing_up.restore(source, tmp_path / "backup")
    assert everything(source) == before


def test_a_backup_goes_into_no_folder_that_has_something(source: Settings, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "mine").touch()
    with pytest.raises(BadBackup, match="is not empty"):
        backing_up.back_up(source, tmp_path / "backup")
    (tmp_path / "backup" / "mine").unlink()
    backing_up.back_up(source, tmp_path / "backup")


def test_a_database_of_an_older_revision_is_copied_and_brought_up_later(
    stores: Stores, target: Settings, tmp_path: Path
) -> None:
    """As one does before an upgrade, when the new version is installed already."""
    url = stores.empty()
    engine = open_engine(url)
    first_release.make(engine)
    engine.dispose()
    made = backing_up.back_up(settings_of(url, tmp_path / "old"), tmp_path / "backup")
    assert (made.contents.revision, made.checked.transfer_count) == ("0001", None)
    done = backing_up.restore(target, tmp_path / "backup")
    assert done.checked.problems == []
    engine = open_engine(target.store.url)
    migrate.upgrade(engine)
    with engine.connect() as connection, connection.begin():
        assert backups.verified(connection).problems == []
    engine.dispose()


def test_who_serves_may_back_up(postgres: Postgres, tmp_path: Path) -> None:
    """With the rights of the service's role and no others."""
    url = postgres.url(postgres.migrated())
    with closing(Database(url)) as db:
        db.write_future(lambda c: seed.load(c, seed.DATA, NOW_MS)).result()
    as_service = f"{url}&options=-c%20role%3D{guards.SERVICE_ROLE}"
    made = backing_up.back_up(settings_of(as_service, tmp_path), tmp_path / "backup")
    assert made.checked.problems == []
    assert made.contents.tables["city"] == 5


# --- one database alone ---------------------------------------------------------------------------


@pytest.fixture
def sqlite(tmp_path: Path) -> Settings:
    """A database of SQLite."""
    return settings_of(SqliteStores(tmp_path).migrated(), tmp_path)


def test_a_service_that_works_there_keeps_a_backup_from_being_restored(
    sqlite: Settings, tmp_path: Path
) -> None:
    backing_up.back_up(sqlite, tmp_path / "backup")
    folder = tmp_path / "other"
    folder.mkdir()
    with closing(DataLock(folder)), pytest.raises(DataInUse):
        backing_up.restore(settings_of("", folder), tmp_path / "backup")


def test_what_was_left_of_another_database_is_not_taken_for_a_part_of_it(
    sqlite: Settings, tmp_path: Path
) -> None:
    backing_up.back_up(sqlite, tmp_path / "backup")
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "corridor.db-wal").touch()
    with pytest.raises(BadBackup, match=r"corridor.db-wal is there already"):
        backing_up.restore(settings_of("", folder), tmp_path / "backup")


def test_a_backup_of_one_kind_is_not_restored_into_another(
    sqlite: Settings, tmp_path: Path
) -> None:
    backing_up.back_up(sqlite, tmp_path / "backup")
    with pytest.raises(BadBackup, match=r"is a backup of sqlite, and store.url names postg"):
        backing_up.restore(settings_of("postgresql://x@/y", tmp_path / "b"), tmp_path / "backup")


def test_a_folder_that_cannot_be_written_is_named(sqlite: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadBackup, match="cannot write"):
        backing_up.back_up(sqlite, tmp_path / "file" / "backup")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Makes the only pg_dump of this machine one of a version."""

    def make(version: int) -> Path:
        folder = tmp_path / f"bin-{version}"
        folder.mkdir()
        program = folder / "pg_dump"
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}.4'\n", "utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setattr(pg_programs, "VERSIONS", tmp_path / "none")
        return folder

    return make


def test_an_older_client_is_not_used(programs: Callable[[int], Path]) -> None:
    folder = programs(14)
    with pytest.raises(NoProgram, match=r"is PostgreSQL 15, .* \(14 in .*install postgresql-c"):
        pg_programs.found(15)
    assert pg_programs.found(14) == folder


def test_a_newer_client_is_used(programs: Callable[[int], Path]) -> None:
    folder = programs(17)
    assert pg_programs.found(15) == folder


def test_a_password_is_not_on_the_command_line(tmp_path: Path) -> None:
    program = tmp_path / "pg_restore"
    program.write_text(
        f"#!/bin/sh\necho \"$PGPASSWORD $*\" > {tmp_path / 'said'}\necho 'no room' >&2\nexit 1\n",
        "utf-8",
    )
    program.chmod(0o755)
    url = "postgresql+psycopg://u:s%20cret@/c?host=/x"
    with pytest.raises(NoProgram, match="pg_restore failed: no room"):
        pg_programs.restore(tmp_path, url, tmp_path / "file")
    said = (tmp_path / "said").read_text("utf-8")
    assert said.startswith("s cret --dbname=dbname=c user=u host=/x --no-password ")
    assert said.count("cret") == 1
