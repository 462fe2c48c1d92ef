"""``corridor doctor`` beside real services, on SQLite and on PostgreSQL, with real faults."""

import asyncio
import contextlib
import datetime
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as jobs
from corridor.v1 import subsidy_service_pb2 as pb
from typer.testing import CliRunner

from scheduler import bootstrap
from scheduler.bootstrap import Service
from scheduler.cli.main import app
from scheduler.client import AsyncClient
from scheduler.config import load_settings
from scheduler.doctor import running
from scheduler.doctor.case import Ask, Case
from scheduler.doctor.checks import CHECKS
from scheduler.doctor.read_files import AgentFiles
from scheduler.doctor.read_service import Door
from scheduler.signing import Signer
from scheduler.store import leader, migrate, replicas
from scheduler.store.database import Connection, Database
from scheduler.store.engine import open_engine
from scheduler.store.replicas import Newcomer
from tests import first_release
from tests.authority import DAY, Authority
from tests.postgres import Postgres

#: Disks of machines that run tests are as they are.
CHECKED = ",".join(one.name for one in CHECKS if one.name != "disk")
WORLD = {"PATH": os.environ["PATH"], "CORRIDOR_LANG": "en", "TZ": "UTC"}


@dataclass(frozen=True)
class Home:
    """Settings in a file, as an operator has them, and who asks."""

    folder: Path
    url: str
    token: str = ""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def write(self, **given: object) -> None:
        """Write the file of settings; ``section__key`` of what is set otherwise."""
        known: dict[str, object] = {
            "store__data_dir": self.data, "planner__ray": "off", "server__listen": "127.0.0.1:0",
            "metrics__listen": "127.0.0.1:0", "loop__metrics_s": 0.05, "leader__lease_s": 60,
            "leader__renew_s": 1, **({"store__url": self.url} if self.url else {}), **given,
        }  # fmt: skip
        lines = []
        for name, value in known.items():
            section, _, key = name.partition("__")
            shown = json.dumps(str(value)) if isinstance(value, str | Path) else json.dumps(value)
            lines.append(f"{section}.{key} = {shown}")
        (self.folder / "corridor.toml").write_text("\n".join(lines) + "\n")

    @property
    def file(self) -> str:
        return str(self.folder / "corridor.toml")

    async def doctor(self, *words: str, **env: str) -> "Told":
        """Run the command beside what runs in this process."""
        return await asyncio.to_thread(self.doctor_now, *words, **env)

    def doctor_now(self, *words: str, **env: str) -> "Told":
        clean: dict[str, str | None] = dict.fromkeys(os.environ)
        given = {**clean, **WORLD, "HOME": str(self.folder), "CORRIDOR_TOKEN": self.token, **env}
        asked = ["doctor", "--config", self.file, "--json", "--timeout", "60", *words]
        ran = CliRunner().invoke(app, asked, env={k: v for k, v in given.items() if v != ""})
        assert ran.stdout, ran.stderr
        # A service in this process may log beside it.
        said = ran.stdout[ran.stdout.index("{\n") :]
        return Told(ran.exit_code, json.loads(said), ran.stdout)


@dataclass(frozen=True)
class Told:
    """What the doctor said, and its exit code."""

    code: int
    json: dict[str, Any]
    text: str

    def of(self, check: str) -> list[str]:
        """``LEVEL finding`` of a check."""
        [found] = [one for one in self.json["checks"] if one["check"] == check]
        return [f"{one['level']} {one['finding']}" for one in found["findings"]]

    def words(self, finding: str) -> str:
        """What was said of a finding."""
        [one] = [
            one for check in self.json["checks"] for one in check["findings"]
            if one["finding"] == finding
        ]  # fmt: skip
        return str(one["what"])

    @property
    def wrong(self) -> list[str]:
        """All that is not well."""
        return [
            f"{one['level']} {one['finding']}"
            for check in self.json["checks"]
            for one in check["findings"]
            if one["level"] in ("WARNING", "FAILURE")
        ]


@pytest.fixture(params=("sqlite", "postgresql"))
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A database with the sample data, on either kind of store."""
    url, name = "", ""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        name = server.create()
        url = server.url(name)
    made = Home(tmp_path, url)
    made.write()
    token = bootstrap.initialize(load_settings(tmp_path / "corridor.toml", {}, {})).token
    yield replace(made, token=token)
    if name:
        server.drop(name)


async def until(holds: Callable[[], bool]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(120):
        while not holds():  # noqa: ASYNC110 - of a file, seen from outside
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def served(home: Home, **given: object) -> AsyncIterator[tuple[Service, AsyncClient]]:
    """Serve, write into the settings where, and wait until the leader has signed a digest."""
    home.write(**given)
    service = await bootstrap.start_service(load_settings(home.folder / "corridor.toml", {}, {}))
    try:
        at = {"server__listen": service.address, "metrics__listen": service.metrics_address}
        home.write(**{**given, **at})
        async with AsyncClient(service.address, home.token, timeout_s=60) as client:
            await until(lambda: bool(list(home.data.glob("digests/*.txt"))))
            yield service, client
    finally:
        await service.stop(drain=False)


# --- all is well ----------------------------------------------------------------------------------


async def test_a_service_that_is_well(home: Home) -> None:
    async with served(home) as (service, client):
        spec = job_pb2.JobSpec(display_name="one", image="image", command=["run"])
        spec.options.add(flavor="wuhan-sc/kunpeng-920", units_per_node=1)
        spec.wall_limit.seconds = 600
        asked = jobs.SubmitJobsRequest(request_id="r", enterprise="sample-wuhan-1")
        asked.jobs.append(spec)
        await client.jobs.SubmitJobs(asked)
        await client.subsidies.VerifyLedger(pb.VerifyLedgerRequest())
        told = await home.doctor("--deep", "--only", CHECKED)
        assert (told.wrong, told.code) == ([], 0), told.text
        assert told.of("service") == ["OK serving"]
        assert told.of("ledger") == ["OK key", "OK books_verified"]
        assert told.of("books")[-1] == "OK ledger_whole"
        assert told.of("centers") == ["OK center_simulated", "OK center_heard"] * 2
        assert told.of("leader") == ["OK leader" if home.url else "OK serves_alone"]
        assert told.of("clock") == ["OK clock" if home.url else "SKIPPED clock_same"]
        assert service.address in told.words("serving")
    assert home.token not in told.text


async def test_it_is_told_in_two_languages_with_what_to_do(home: Home) -> None:
    runner = CliRunner()
    env = {**WORLD, "HOME": str(home.folder)}
    only = ("doctor", "--config", home.file, "--only", "schema,leader")
    english = await asyncio.to_thread(runner.invoke, app, [*only], env=env)
    chinese = await asyncio.to_thread(runner.invoke, app, [*only, "--lang", "zh"], env=env)
    assert (english.exit_code, chinese.exit_code) == (1, 1)
    assert "→ start " in english.stdout
    assert "see docs/runbooks/service.md#corridordown" in english.stdout
    assert "→ 启动服务" in chinese.stdout
    assert "见 docs/runbooks/service.zh-CN.md#corridordown" in chinese.stdout
    assert english.stdout.endswith("Checked: 2. Failed: 1, with warnings: 0.\n")


async def test_nothing_is_written(home: Home) -> None:
    before = {one: one.stat().st_mtime_ns for one in home.data.rglob("*")}
    await home.doctor("--deep")
    assert {one: one.stat().st_mtime_ns for one in home.data.rglob("*")} == before


# --- the database ---------------------------------------------------------------------------------


async def test_a_database_that_is_away(home: Home) -> None:
    if home.url:
        word = "s3cretword"
        home.write(store__url=f"postgresql://me:{word}@127.0.0.1:1/none")
    else:
        home.write(store__data_dir=home.folder / "elsewhere")
    told = await home.doctor()
    finding = "database_away" if home.url else "database_none"
    assert told.of("database") == [f"FAILURE {finding}"]
    for name in ("schema", "leader", "feed", "clock", "runs", "queue", "alerts", "ledger"):
        assert told.of(name) == ["SKIPPED no_database"], told.text
    assert told.code == 1
    assert "s3cretword" not in told.text
    assert not (home.folder / "elsewhere").exists()


async def test_a_database_of_the_first_release(home: Home, postgres: Postgres) -> None:
    name = postgres.create() if home.url else ""
    url = postgres.url(name) if name else f"sqlite:///{home.folder / 'old.db'}"
    engine = open_engine(url)
    first_release.make(engine)
    engine.dispose()
    home.write(store__url=url)
    told = await home.doctor()
    assert told.of("schema") == ["FAILURE schema_behind"]
    assert told.words("schema_behind").startswith("at revision 0001, ")
    assert told.of("runs") == ["SKIPPED no_schema"]
    engine = open_engine(url)
    assert migrate.current(engine) == "0001", "it migrates nothing"
    engine.dispose()
    if name:
        postgres.drop(name)


async def test_a_database_that_was_never_made(home: Home, postgres: Postgres) -> None:
    if home.url:
        name = postgres.create()
        home.write(store__url=postgres.url(name))
        assert (await home.doctor()).of("schema") == ["FAILURE schema_none"]
        postgres.drop(name)


def test_a_database_that_accepts_and_says_nothing_holds_up_nobody(tmp_path: Path) -> None:
    """In a process of its own: what hangs must not keep it from ending."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        home = Home(tmp_path, f"postgresql://me@127.0.0.1:{port}/none")
        home.write()
        asked = (
            sys.executable, "-c", "from scheduler.cli.main import main; main()", "doctor", "--json",
            "--config", home.file, "--timeout", "1", "--only", "configuration,database,runs",
        )  # fmt: skip
        env = {**WORLD, "HOME": str(tmp_path)}
        ran = subprocess.run(asked, capture_output=True, text=True, timeout=300, env=env)
        told = Told(ran.returncode, json.loads(ran.stdout), ran.stdout)
    assert told.of("configuration") == ["OK settings"]
    assert told.of("database") == ["FAILURE hangs"]
    assert told.of("runs") == ["FAILURE hangs"]
    assert ran.returncode == 1


# --- who leads, and clocks ------------------------------------------------------------------------


async def test_nobody_serves(home: Home) -> None:
    told = await home.doctor("--only", "leader,service,schema")
    assert told.of("leader") == [f"FAILURE {'no_service' if home.url else 'nobody_serves'}"]
    assert told.of("schema") == ["OK schema"]
    assert told.code == 1


def joined(connection: Connection, one: Newcomer, now_ms: int) -> int:
    return replicas.join(connection, one, now_ms)


def wall_ms(behind_s: int) -> int:
    """A clock that is behind."""
    return time.time_ns() // 1_000_000 - behind_s * 1000


async def test_replicas_live_and_nobody_leads(home: Home) -> None:
    if not home.url:
        return
    db = Database(home.url)
    now_ms = db.read_sync(leader.database_ms)
    for name, version in (("a", "0.9"), ("b", "0.8")):
        one = Newcomer(name, name, "", version)
        db.write_future(partial(joined, one=one, now_ms=now_ms)).result()
    by = leader.Candidate("a", "a", "", 1_000)
    db.write_future(lambda c: leader.take_lease(c, None, by, now_ms - 90_000)).result()
    db.close()
    told = await home.doctor("--only", "leader")
    assert told.of("leader") == ["FAILURE no_leader", "WARNING versions_differ"]
    assert told.words("no_leader").startswith("nobody leads: the lease was last renewed 1m 3")


async def test_clocks_that_differ(home: Home) -> None:
    settings = load_settings(Path(home.file), {}, {})
    found = {}
    for skew_s in (0, 5, 300):
        ask = Ask(
            settings, home.file, (), Door(""), None, AgentFiles(), 60.0, deep=False,
            wall_ms=partial(wall_ms, skew_s),
        )  # fmt: skip
        with contextlib.closing(Case(ask)) as case:
            [result] = running.run([one for one in CHECKS if one.name == "clock"], case)
        found[skew_s] = [f"{one.level} {one.key}" for one in result.findings]
    ahead = ["WARNING doctor.clock_ahead"]  # the sample data were loaded five minutes from then
    if home.url:
        assert found[0] == ["OK doctor.clock"]
        assert found[5] == ["WARNING doctor.clock_skew"]
        assert found[300] == ["FAILURE doctor.clock_skew", *ahead]
    else:
        assert found[5] == ["SKIPPED doctor.clock_same"]
        assert found[300] == ["SKIPPED doctor.clock_same", *ahead]


# --- settings, certificates, secrets --------------------------------------------------------------


async def test_settings_that_a_service_would_refuse(home: Home) -> None:
    home.write(server__listen="0.0.0.0:7443")
    told = await home.doctor("--only", "configuration,schema")
    assert told.of("configuration")[0] == "FAILURE settings_refused"
    assert "tokens would travel in plain text" in told.words("settings_refused")
    assert told.of("schema") == ["OK schema"]


async def test_a_variable_that_means_nothing_hides_nothing_else(home: Home) -> None:
    told = await home.doctor("--only", "configuration,schema", CORRIDOR_STOER_URL="x")
    assert told.of("configuration") == ["FAILURE settings_refused"]
    assert "CORRIDOR_STOER_URL" in told.words("settings_refused")
    assert told.of("schema") == ["OK schema"]


def test_settings_that_cannot_be_read(tmp_path: Path) -> None:
    home = Home(tmp_path, "")
    (tmp_path / "corridor.toml").write_text("server.lisen = 'a'\n")
    told = home.doctor_now()
    assert told.of("configuration") == ["FAILURE settings_refused"]
    assert told.of("database") == ["SKIPPED no_settings"]
    assert set(told.wrong) == {"FAILURE settings_refused"}


@pytest.mark.parametrize(
    ("lasts", "expected"),
    [
        (30 * DAY, "OK certificate"),
        (10 * DAY, "WARNING certificate_ends"),
        (DAY, "FAILURE certificate_ends"),
        (-DAY, "FAILURE certificate_over"),
    ],
)
def test_certificates_that_end(tmp_path: Path, lasts: datetime.timedelta, expected: str) -> None:
    home, authority = Home(tmp_path, ""), Authority(tmp_path)
    files = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    for file, content in zip(files, authority.signed("a.example", lasts), strict=True):
        file.write_bytes(content)
        file.chmod(0o600)
    home.write(server__tls_cert=files[0], server__tls_key=files[1])
    told = home.doctor_now("--only", "certificates,secrets")
    assert told.of("certificates") == [expected]
    assert told.of("secrets") == ["OK secrets"]
    assert told.code == {"OK": 0, "WARNING": 6, "FAILURE": 1}[expected.partition(" ")[0]]


def test_a_key_that_does_not_belong_and_is_open_to_all(tmp_path: Path) -> None:
    home, authority = Home(tmp_path, ""), Authority(tmp_path)
    cert, key = authority.pair("a.example")
    other, _ = authority.pair("b.example")
    key.chmod(0o644)
    home.write(server__tls_cert=other, server__tls_key=key)
    told = home.doctor_now("--only", "certificates,secrets,configuration")
    assert told.of("certificates") == ["FAILURE certificate_bad"]
    assert told.of("configuration") == ["FAILURE settings_refused"]
    assert told.of("secrets") == ["FAILURE secret_open"]
    home.write()
    mine = ("--agent-cert", str(cert), "--agent-key", str(key), "--agent-dir", str(tmp_path))
    told = home.doctor_now("--only", "certificates,secrets,disk", *mine)
    assert told.of("certificates") == ["FAILURE certificate_ends"]
    assert told.of("secrets") == ["FAILURE secret_open"]


async def test_a_service_behind_its_certificate(home: Home) -> None:
    authority = Authority(home.folder)
    cert, key = authority.pair("corridor.example")
    ca = home.folder / "ca.pem"
    ca.write_bytes(authority.pem)
    key.chmod(0o600)
    tls = {"server__tls_cert": cert, "server__tls_key": key}
    home.write(**tls, server__peers_ca=ca)
    service = await bootstrap.start_service(load_settings(Path(home.file), {}, {}))
    try:
        at = {"server__listen": service.address}
        home.write(**tls, **at, server__peers_ca=ca)
        asked = await home.doctor("--only", "service")
        home.write(**tls, **at)
        strange = await home.doctor("--only", "service")
        named = ("--tls-ca", str(ca), "--tls-name", "corridor.example")
        given = await home.doctor("--only", "service", "--server", service.address, *named)
    finally:
        await service.stop(drain=False)
    assert asked.of("service")[0] == "OK serving"
    assert strange.of("service")[0] == "FAILURE unreachable"
    assert given.of("service")[0] == "OK serving"


# --- the ledger's key -----------------------------------------------------------------------------


async def test_a_key_that_is_missing_or_another(home: Home) -> None:
    async with served(home):
        pass
    key = home.data / "ledger-key.pem"
    kept = key.read_bytes()
    key.unlink()
    told = await home.doctor("--only", "ledger")
    assert told.of("ledger")[0] == "FAILURE key_missing"
    assert not key.exists(), "it makes none"
    signer = Signer.of_file(key)
    told = await home.doctor("--only", "ledger")
    assert told.of("ledger")[0] == "FAILURE key_other"
    assert signer.key_id in told.words("key_other")
    key.write_bytes(kept)
    told = await home.doctor("--only", "ledger")
    assert told.of("ledger")[0] == "OK key"
    assert "PRIVATE" not in told.text


# --- centers --------------------------------------------------------------------------------------

CENTERS = """
centers:
  - center: wuhan-sc
    name_zh: 武汉超算中心
    name_en: Wuhan Supercomputing Center
    kind: {kind}
    settings: {settings}
    flavors:
      - flavor: wuhan-sc/kunpeng-920
        name_zh: 鲲鹏 920
        name_en: Kunpeng 920
        unit: core
        architecture: aarch64
        capacity_units: 3328
        units_per_node: 64
        wall_limit_max_days: 14
"""


async def test_an_agent_that_never_came_and_a_center_that_is_closed(home: Home) -> None:
    file = home.folder / "centers.yaml"
    file.write_text(CENTERS.format(kind="agent", settings="{}"))
    async with served(home, centers__file=file):
        told = await home.doctor("--only", "centers")
        assert "FAILURE agent_never" in told.of("centers")
        without = await replace(home, token="").doctor("--only", "centers")
        assert "FAILURE agent_away" in without.of("centers"), "the leader's metrics tell it"
    engine = open_engine(home.url or f"sqlite:///{home.data / 'corridor.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE center SET state = 'CORDONED'")
    engine.dispose()
    told = await home.doctor("--only", "centers")
    assert told.of("centers").count("WARNING center_closed") == 2
    assert "SKIPPED not_answered" in told.of("centers")


async def test_a_center_that_is_away(home: Home) -> None:
    secret = home.folder / "token"
    secret.write_text("not-a-token")
    file = home.folder / "centers.yaml"
    settings = {
        "endpoint": "http://127.0.0.1:1", "user": "corridor", "token": {"file": str(secret)},
        "partitions": {"wuhan-sc/kunpeng-920": "cpu"},
    }  # fmt: skip
    file.write_text(CENTERS.format(kind="slurm", settings=json.dumps(settings)))
    home.write(centers__file=file)
    told = await home.doctor("--only", "centers")
    assert "FAILURE center_bad" in told.of("centers")
    assert "not-a-token" not in told.text


# --- use ------------------------------------------------------------------------------------------


def test_an_unknown_check_is_wrong_use(tmp_path: Path) -> None:
    Home(tmp_path, "").write()
    asked = ["doctor", "--config", str(tmp_path / "corridor.toml"), "--only", "databse"]
    ran = CliRunner().invoke(app, asked, env=WORLD)
    assert (ran.exit_code, ran.stderr.count("\n")) == (2, 1)
    assert "databse" in ran.stderr
    assert "database, schema" in ran.stderr


def test_the_checks_are_listed() -> None:
    ran = CliRunner().invoke(app, ["doctor", "--list", "--json"], env=WORLD)
    assert [one["check"] for one in json.loads(ran.stdout)["checks"]] == [
        one.name for one in CHECKS
    ]
