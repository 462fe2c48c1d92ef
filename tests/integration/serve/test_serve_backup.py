"""``corridor backup`` and ``corridor restore``: what they print, and how they end."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scheduler.cli.main import app


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty directory, without settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CORRIDOR_CONFIG", raising=False)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result


def test_a_database_is_copied_and_made_again() -> None:
    run("init")
    out = run("backup", "backups/monday").output
    assert "Copied to backups/monday/corridor.db" in out
    assert "Verified: " in out
    made = json.loads(run("backup", "backups/tuesday", "--json").output)
    assert (made["problems"], made["database"], made["verified_runs"]) == ([], "sqlite", 0)
    assert "is not empty" in run("backup", "backups/monday", code=1).output
    again = json.loads(run("restore", "backups/monday", "--data-dir", "other", "--json").output)
    assert again["tables"] == made["tables"]
    assert "Data was left alone" in run("init", "--data-dir", "other").output
    said = run("restore", "backups/monday", "--data-dir", "other", code=1).output
    assert "other/corridor.db is there already; move it away" in said


def test_wrong_books_end_it_with_an_error_and_the_copy_is_kept() -> None:
    run("init")
    with sqlite3.connect("corridor-data/corridor.db") as raw:
        raw.execute("UPDATE account SET credits_posted = credits_posted + 5 WHERE kind = 'FUND'")
    raw.close()
    said = run("backup", "wrong", code=1).output
    assert "problems were found; keep all copies" in said
    assert "fund:" in said
    assert Path("wrong/corridor.db").is_file()


def test_what_was_recovered_otherwise_is_verified() -> None:
    run("init")
    assert "Recovered, revision" in run("restore", "--recovered").output
    assert json.loads(run("restore", "--recovered", "--json").output)["problems"] == []
    assert "give the folder of a backup, or --recovered" in run("restore", code=2).output


def test_nothing_to_copy_is_said() -> None:
    assert "run `corridor init` first" in run("backup", "backup", code=1).output
