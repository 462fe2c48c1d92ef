"""What the doctor reads of real databases and files: servers, leases, the feed, secrets, keys.

It can change none of it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from scheduler.config import load_settings
from scheduler.doctor import read_files, read_service
from scheduler.doctor.read_files import AgentFiles
from scheduler.domain.events import EventKind
from scheduler.settings import Settings
from scheduler.signing import Signer
from scheduler.store import checkup, feed, guards, leader, lock, migrate, replicas
from scheduler.store.database import Database
from scheduler.store.engine import BadDatabase, open_engine
from scheduler.store.feed import EventRow
from scheduler.store.lease_line import LeaseLine
from scheduler.store.lock import DataLock
from scheduler.store.looking import Away, Looker
from scheduler.store.replicas import Newcomer
from scheduler.store.seed_centers import SeedCenter
from tests import first_release
from tests.authority import Authority
from tests.postgres import Postgres
from tests.stores import Stores

LIMIT_S = 60.0


Open = Callable[[str], Looker]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens what looks; each is closed after the test."""
    made: list[Looker] = []

    def looker(url: str) -> Looker:
        made.append(Looker(url, LIMIT_S))
        return made[-1]

    yield looker
    for one in made:
        one.close()


@pytest.fixture
def look(stores: Stores, opened: Open) -> Looker:
    return opened(stores.migrated())


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """As a service sees it: by the role that owns nothing."""
    name = postgres.lend()
    role = {"options": f"-c role={guards.SERVICE_ROLE}"}
    yield make_url(postgres.url(name)).update_query_dict(role).render_as_string(hide_password=False)
    postgres.give_back(name)


# --- it changes nothing ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO city (code, name_zh, name_en, weight) VALUES ('a', 'a', 'a', 1)",
        "CREATE TABLE mine (one INTEGER)",
        "DELETE FROM alembic_version",
    ],
)
def test_nothing_can_be_written(look: Looker, sql: str) -> None:
    for run in (look.read, look.snapshot):
        with pytest.raises(Away, match=r"read.?only"):
            run(lambda connection: connection.exec_driver_sql(sql))
    assert look.read(checkup.schema).found == migrate.head()


def test_no_file_is_made_beside_a_database_that_nobody_has_open(
    opened: Open, tmp_path: Path
) -> None:
    file = tmp_path / "data" / "corridor.db"
    file.parent.mkdir()
    engine = open_engine(f"sqlite:///{file}")
    migrate.upgrade(engine)
    engine.dispose()
    before = {one.name: one.read_bytes() for one in file.parent.iterdir()}
    looker = opened(f"sqlite:///{file}")
    assert looker.read(checkup.file).size_bytes == file.stat().st_size
    assert looker.read(checkup.file_flaws) == []
    assert {one.name: one.read_bytes() for one in file.parent.iterdir()} == before


def test_what_is_in_the_log_alone_is_seen_while_a_service_writes(
    opened: Open, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'corridor.db'}"
    engine = open_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    db = Database(url)
    event = EventRow(EventKind.CATALOG_CHANGED, 1, 0, "", "", "", 5)
    db.write_future(lambda c: feed.append(c, [event])).result()
    looker = opened(url)
    assert looker.read(checkup.time).newest_ms == 5
    db.close()


def test_a_database_that_is_not_there(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(BadDatabase, match="there is no database"):
        opened(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Away):
        opened("postgresql://nobody@127.0.0.1:1/none").read(checkup.server)


# --- the server -----------------------------------------------------------------------------------


def test_a_server_tells_what_it_is(opened: Open, url: str) -> None:
    found = opened(url).read(checkup.server)
    assert found.version >= 150_000
    assert found.connections_max == 60
    assert 1 <= found.connections <= 60
    assert (found.unsafe, found.is_standby, found.by_code_point) == ((), False, True)
    assert found.wal_bytes is None, "only an administrator may ask"
    assert found.size_bytes > 1_000_000


def test_what_a_server_may_lose_is_read(opened: Open, url: str) -> None:
    careless = make_url(url).update_query_dict({"options": "-c synchronous_commit=off"})
    looker = opened(careless.render_as_string(hide_password=False))
    assert looker.read(checkup.server).unsafe == ("synchronous_commit",)


def test_who_holds_a_transaction_open(opened: Open, postgres: Postgres, url: str) -> None:
    looker = opened(url)
    name = make_url(url).database or ""
    assert looker.read(checkup.server).idle is None
    engine = open_engine(postgres.url(name))
    with engine.connect() as connection, connection.begin():
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        as_owner = opened(postgres.url(name))
        found = as_owner.read(checkup.server)
        assert found.idle is not None
        assert found.oldest is not None
        assert (found.idle.pid, found.idle.program) == (pid, "corridor")
        assert (found.oldest.pid, found.idle.state) == (pid, "idle in transaction")
    engine.dispose()


def test_a_schema_of_the_first_release(opened: Open, stores: Stores) -> None:
    url = stores.empty()
    engine = open_engine(url)
    first_release.make(engine)
    engine.dispose()
    found = opened(url).read(checkup.schema)
    assert found.found == "0001"
    assert found.known.index(found.head) - found.known.index("0001") == len(found.known) - 1 > 20


# --- who leads ------------------------------------------------------------------------------------


def newcomer(name: str, version: str = "1") -> Newcomer:
    return Newcomer(name, name, f"{name}:1", version)


def test_who_leads_and_who_lives(opened: Open, url: str) -> None:
    looker = opened(url)
    assert looker.read(checkup.lead) == ("", 0, 0, 0, ())
    line, other = (
        LeaseLine(url, newcomer("a"), 60_000), LeaseLine(url, newcomer("b", "2"), 60_000),
    )  # fmt: skip
    for one in (line, other):
        one.join()
    assert line.take(None) == 1
    found = looker.read(checkup.lead)
    assert (found.holder, found.epoch, found.lasts_ms) == ("a", 1, 60_000)
    assert [(one.name, one.version) for one in found.replicas] == [("a", "1"), ("b", "2")]
    line.release(1)
    assert looker.read(checkup.lead).holder == ""
    other.leave()
    assert [one.name for one in looker.read(checkup.lead).replicas] == ["a"]
    for one in (line, other):
        one.close()


def test_a_replica_that_was_killed_is_silent(opened: Open, url: str) -> None:
    db = Database(url)
    now_ms = db.read_sync(leader.database_ms)
    db.write_future(lambda c: replicas.join(c, newcomer("a"), now_ms - 300_000)).result()
    db.close()
    [one] = opened(url).read(checkup.lead).replicas
    assert 300_000 <= one.silent_ms < 3_600_000


def test_who_has_the_data_directory(tmp_path: Path) -> None:
    assert lock.holder(tmp_path) is None
    held = DataLock(tmp_path)
    assert lock.holder(tmp_path) == os.getpid()
    assert lock.holder(tmp_path, tmp_path / "no-such-list") == os.getpid()
    held.close()
    assert lock.holder(tmp_path) is None
    (tmp_path / lock.LOCK_NAME).write_text(f"{os.getpid()}\n")  # of one that was killed
    assert lock.holder(tmp_path) is None


# --- the feed -------------------------------------------------------------------------------------


def test_who_holds_up_the_feed(opened: Open, postgres: Postgres, url: str) -> None:
    name = make_url(url).database or ""
    slow, quick = Database(postgres.url(name)), Database(url)
    looker = opened(postgres.url(name))
    event = EventRow(EventKind.CATALOG_CHANGED, 1, 0, "", "", "", 5)
    with slow._transaction() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        for _ in range(3):
            quick.write_future(lambda c: feed.append(c, [event])).result()
        found = looker.read(lambda c: checkup.feed(c, 10))
        assert found.writer is not None
        assert found.writer.pid == pid
        assert found.last - found.horizon == 3
    found = looker.read(lambda c: checkup.feed(c, 10))
    assert (found.writer, found.last - found.horizon) == (None, 0)
    for one in (slow, quick):
        one.close()


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'corridor.db'}")
    migrate.upgrade(db.engine)
    event = EventRow(EventKind.CATALOG_CHANGED, 1, 0, "", "", "", 5)
    db.write_future(lambda c: feed.append(c, [event])).result()
    found = db.read_sync(lambda c: checkup.feed(c, 10))
    assert (found.last, found.horizon, found.writer) == (1, 1, None)
    db.close()


# --- files ----------------------------------------------------------------------------------------


def settings(folder: Path, **flags: object) -> Settings:
    given = {name.replace("__", "."): str(value) for name, value in flags.items()}
    return load_settings(None, {}, {"store.data_dir": str(folder), **given})


def test_a_key_of_another_certificate_is_found(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.pair("a.example")
    other, _ = authority.pair("b.example")
    given = settings(tmp_path, server__tls_cert=cert, server__tls_key=key)
    [found] = read_files.certificates(given, [], AgentFiles())
    assert (found.name, found.problem, found.names) == ("server.tls_cert", "", ("a.example",))
    given = settings(tmp_path, server__tls_cert=other, server__tls_key=key)
    [found] = read_files.certificates(given, [], AgentFiles(cert, key))[:1]
    assert "is not the key of the first certificate" in found.problem
    assert not (tmp_path / "ledger-key.pem").exists()


def test_files_that_centers_and_agents_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.pair("sc")
    ca, token = tmp_path / "ca.pem", tmp_path / "token"
    ca.write_bytes(authority.pem)
    token.write_text("secret")
    token.chmod(0o644)
    key.chmod(0o600)
    given = {"ca_file": str(ca), "token": {"file": str(token)}, "logs": {"directory": "/x"}}
    center = SeedCenter("sc", "sc", "sc", "slurm", False, given, ())
    agent = AgentFiles(cert, key, tmp_path / "none", tmp_path)
    certificates = read_files.certificates(settings(tmp_path), [center], agent)
    assert [one.name for one in certificates] == ["--agent-cert", "sc: ca_file"]
    secrets = read_files.secrets(settings(tmp_path), "", [center], agent)
    found = {one.name: (one.mode, one.is_needed) for one in secrets}
    assert found["sc: token"] == (0o644, True)
    assert found["--agent-key"] == (0o600, True)
    assert found["--agent-token"] == (None, True)
    assert found["planner.ray_token_file"] == (None, False)


def test_a_file_of_settings_with_a_password_in_it_is_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "corridor.toml"
    for url, names in (
        ("postgresql://me:word@h/n", ["store.url"]), ("postgresql://me@h/n", []),
    ):  # fmt: skip
        file.write_text(f'[store]\nurl = "{url}"\n[planner]\nray = "off"\n')
        secrets = read_files.secrets(load_settings(file, {}, {}), str(file), [], AgentFiles())
        assert [one.name for one in secrets if one.name != "ledger.key_file"] == names


def test_each_disk_is_looked_at_once_and_one_that_will_be_made_in_its_place(tmp_path: Path) -> None:
    found = read_files.spaces(settings(tmp_path / "later"), AgentFiles(state_dir=tmp_path))
    assert [one.name for one in found] == ["store.data_dir"]
    room = os.statvfs(tmp_path)
    assert (found[0].size_bytes, found[0].problem) == (room.f_blocks * room.f_frsize, "")
    assert not (tmp_path / "later").exists()


def test_the_key_of_the_ledger_is_read_and_never_made(tmp_path: Path) -> None:
    given = settings(tmp_path)
    assert read_files.key(given, "2026-11-26").is_there is False
    assert list(tmp_path.iterdir()) == []
    signer = Signer.of_file(tmp_path / "ledger-key.pem")
    found = read_files.key(given, "2026-11-26")
    assert (found.key_id, found.problem, found.is_filed) == (signer.key_id, "", False)
    (tmp_path / "digests").mkdir()
    (tmp_path / "digests" / "corridor-ledger-2026-11-26.txt").touch()
    assert read_files.key(given, "2026-11-26").is_filed
    (tmp_path / "ledger-key.pem").write_text("nonsense")
    assert "is no private key" in read_files.key(given, "").problem


# --- Ray and services -----------------------------------------------------------------------------


def test_a_cluster_that_is_away(tmp_path: Path) -> None:
    token = tmp_path / "token"
    flags = {"planner__ray_address": "127.0.0.1:1", "planner__ray_token_file": token}
    found = read_service.ray(settings(tmp_path, **flags), 5.0)
    assert (found.mode, "cannot read" in found.problem) == ("cluster", True)
    token.write_text("abc")
    found = read_service.ray(settings(tmp_path, **flags), 5.0)
    assert "is away: UNAVAILABLE" in found.problem
    assert read_service.ray(settings(tmp_path), 5.0).mode == "local"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["token"], "no token was made"


def test_metrics_that_nobody_serves() -> None:
    assert read_service.metrics("", 5.0).problem == "metrics.listen is empty"
    assert "refused" in read_service.metrics("127.0.0.1:1", 5.0).problem
