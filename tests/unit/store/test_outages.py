"""Which errors of the store pass by waiting, what is told of them, and how they are logged."""

import io
import json
import sqlite3
import sys
from typing import Any

import psycopg
import pytest
import structlog
from psycopg import errors
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError

from scheduler import logs
from scheduler.store import outages


def lite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("it says so")
    error.sqlite_errorcode = code
    return error


def of(kind: Any, orig: BaseException) -> Any:
    return kind("SELECT 1", None, orig)


@pytest.mark.parametrize(
    "error",
    [
        of(OperationalError, psycopg.OperationalError("connection refused")),
        of(OperationalError, errors.AdminShutdown("terminating connection")),
        of(OperationalError, errors.CannotConnectNow("the database system is starting up")),
        of(OperationalError, errors.TooManyConnections("sorry, too many clients already")),
        of(ProgrammingError, errors.ReadOnlySqlTransaction("cannot execute INSERT")),
        of(OperationalError, lite(sqlite3.SQLITE_BUSY)),
        of(OperationalError, lite(sqlite3.SQLITE_IOERR_WRITE)),
        of(OperationalError, lite(sqlite3.SQLITE_FULL)),
    ],
)
def test_trouble_that_passes_is_said_to_pass(error: BaseException) -> None:
    told = outages.told(error)
    assert told is not None
    assert "does not answer, and nothing was stored" in told.message


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a defect"),
        of(IntegrityError, errors.UniqueViolation("duplicate key")),
        of(DataError, errors.NumericValueOutOfRange("out of range")),
        of(ProgrammingError, errors.UndefinedTable("no such table")),
        of(OperationalError, lite(sqlite3.SQLITE_ERROR)),
    ],
)
def test_a_defect_is_none_of_them(error: BaseException) -> None:
    assert outages.told(error) is None


@pytest.mark.parametrize(
    "orig", [errors.QueryCanceled("statement timeout"), errors.LockNotAvailable("lock timeout")]
)
def test_what_took_too_long_is_said_to_have(orig: BaseException) -> None:
    told = outages.told(of(OperationalError, orig))
    assert told is not None
    assert "took too long" in told.message


def test_what_may_be_stored_is_not_said_to_be_lost() -> None:
    error = of(OperationalError, errors.AdminShutdown("terminating connection"))
    error.add_note(outages.COMMITTING)
    told = outages.told(error)
    assert told is not None
    assert "it may be stored or not" in told.message
    assert "nothing was stored" not in told.message


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is logged as JSON, read when asked for."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.set_up("json", "info")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


def test_an_outage_is_logged_in_one_line_and_a_defect_with_all_it_has(lines: Any) -> None:
    log = structlog.get_logger()
    for error in (
        of(OperationalError, psycopg.OperationalError("refused\nis it running?")),
        ValueError("a defect"),
    ):
        try:
            raise error
        except Exception:
            log.exception("failed")
    outage, defect = lines()
    assert "exception" not in outage
    assert outage["database_away"] == "(psycopg.OperationalError) refused"
    assert "Traceback" in defect["exception"]
