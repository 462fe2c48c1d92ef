"""``corridor doctor`` beside real services, on SQLite and on PostgreSQL: all well, and not."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as jobs
from corridor.v1 import subsidy_service_pb2 as pb
from typer.testing import CliRunner

from scheduler.cli.main import app
from scheduler.config import load_settings
from scheduler.doctor import running
from scheduler.doctor.case import Ask, Case
from scheduler.doctor.checks import CHECKS
from scheduler.doctor.read_files import AgentFiles
from scheduler.doctor.read_service import Door
from scheduler.store import leader, migrate, replicas
from scheduler.store.database import Connection, Database
from scheduler.store.engine import open_engine
from scheduler.store.replicas import Newcomer
from tests import first_release
from tests.integration.serve.doctor_home import WORLD, Home, Told, served
from tests.postgres import Postgres

#: Disks of machines that run tests are as they are.
CHECKED = ",".join(one.name for one in CHECKS if one.name != "disk")

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
