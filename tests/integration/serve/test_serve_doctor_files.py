"""``corridor doctor`` on settings, certificates, secrets, the ledger's key and centers."""

import datetime
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scheduler import bootstrap
from scheduler.cli.main import app
from scheduler.config import load_settings
from scheduler.doctor.checks import CHECKS
from scheduler.signing import Signer
from scheduler.store.engine import open_engine
from tests.authority import DAY, Authority
from tests.integration.serve.doctor_home import WORLD, Home, served

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
