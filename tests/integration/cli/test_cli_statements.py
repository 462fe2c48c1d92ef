"""Statements from the command line, against a real service over books that were closed."""

import hashlib
import sqlite3
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scheduler.auth import tokens
from scheduler.domain.principal import Role
from scheduler.store import identity
from scheduler.store.identity import TokenRow
from tests.integration.cli.conftest import Served
from tests.simulation.world import OPERATOR
from tests.unit.store.statement_hands import MONTH, charged, close

WHY = ("--reason", "a test")
CITY, ENTERPRISE = "CITY-wuhan-2026-09-R1", "ENTERPRISE-w1-2026-09-R1"


@pytest.fixture(scope="module")
def charges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service whose September was charged and closed before it started."""
    home = tmp_path_factory.mktemp("charged")
    it = charged()
    close(it, MONTH)
    secret = tokens.new_secret()
    forever = 1 << 42
    row = TokenRow(
        tokens.new_token_id(), "root", Role.OPERATOR, None, None, None, it.clock.ms, forever, None
    )
    it.db.do(lambda c: identity.create_token(c, OPERATOR, row, tokens.fingerprint(secret)))
    (home / "data").mkdir()
    copy = sqlite3.connect(home / "data" / "corridor.db")
    it.db._raw.backup(copy)
    copy.close()
    it.db.close()
    served = Served(home, token=secret)
    served.start()
    try:
        yield served
        served.stop()
    finally:
        if served.process is not None:
            served.kill()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are written by default."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_city_makes_shows_issues_and_pays_its_statement(charges: Served) -> None:
    made = charges.ok("statement", "create", MONTH, "--json", who="wuhan").json
    assert (made["number"], made["state"]) == (CITY, "DRAFT")
    said = charges.ok("statement", "show", CITY).out
    for words in ("city wuhan", "draft", "¥0.51", "¥0.15", "fund:wuhan-v:2026", made["created_by"]):
        assert words in said
    assert made["files"][0]["sha256"] in said
    chinese = charges.ok("statement", "show", CITY, "--lang", "zh").out
    for words in ("城市 wuhan", "草稿", "本单补贴", "末笔哈希"):
        assert words in chinese
    assert "issued" in charges.ok("statement", "issue", CITY, *WHY, who="wuhan").out
    paid = charges.ok("statement", "pay", CITY, "--ref", "bank-7", *WHY).out
    assert "paid" in paid
    assert "bank-7" in paid
    refused = charges.run("statement", "dispute", CITY, *WHY)
    assert refused.code == 1
    assert "is PAID" in refused.err
    listed = charges.ok("statement", "list", "--kind", "city", "--state", "paid").out
    assert CITY in listed
    assert "没有" in charges.ok("statement", "list", "--state", "disputed", "--lang", "zh").out


def test_files_are_written_whole_or_not_at_all(charges: Served, folder: Path) -> None:
    charges.ok("statement", "create", MONTH, "--enterprise", "w1")
    shown = charges.ok("statement", "show", ENTERPRISE, "--json").json
    told = {one["format"]: one for one in shown["files"]}
    for name in ("csv", "xlsx", "focus"):
        charges.ok("statement", "export", ENTERPRISE, "--format", name)
        data = (folder / told[name.upper()]["name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == told[name.upper()]["sha256"]
    assert not list(folder.glob(".*"))
    out = charges.ok("statement", "export", ENTERPRISE, "--out", str(folder / "mine.csv")).out
    assert told["CSV"]["sha256"] in out
    assert (folder / "mine.csv").read_bytes() == (folder / told["CSV"]["name"]).read_bytes()
    text = charges.ok("statement", "export", ENTERPRISE, "--out", "-").out
    assert text == (folder / "mine.csv").read_text(encoding="utf-8")
    wrong = charges.run("statement", "export", ENTERPRISE, "--format", "pdf")
    assert (wrong.code, "csv, xlsx, focus" in wrong.err) == (2, True)
    missing = charges.run("statement", "evidence", CITY)
    assert (missing.code, "CSV, FOCUS, XLSX" in missing.err) == (2, True)
    assert not list(folder.glob("*evidence*"))


def test_evidence_is_checked_with_sha256sum(charges: Served, folder: Path) -> None:
    charges.ok("statement", "create", MONTH, "--enterprise", "w1")
    charges.ok("statement", "evidence", ENTERPRISE, "--out", "evidence.zip")
    with zipfile.ZipFile("evidence.zip") as bundle:
        bundle.extractall(folder)
    subprocess.run(["sha256sum", "--check", "--quiet", "manifest.sha256"], cwd=folder, check=True)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("create", MONTH), 2, "say whose statement"),
        (("create", MONTH, "--city", "wuhan", "--center", "ai"), 2, "say whose statement"),
        (("create", "2027-01", "--center", "ai"), 1, "2027-01"),
        (("create", "soon", "--center", "ai"), 2, "is not a period"),
        (("list", "--kind", "moon"), 2, "city, enterprise, center"),
        (("show", "CITY-no"), 1, "corridor statement list"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    charges: Served, command: tuple[str, ...], code: int, said: str
) -> None:
    ran: Any = charges.run("statement", *command)
    assert ran.code == code
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
