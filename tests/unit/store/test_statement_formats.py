"""A statement keeps the version of its files' format, whatever the version is by now.

Each rule on SQLite and on PostgreSQL.
"""

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from quota.statement_files import Format
from quota.statements import FORMAT_VERSION, StatementKind
from quota.stating import Maker
from scheduler.services import statement_making
from scheduler.services.statement_making import Digest
from scheduler.store import statement_rows, statements
from scheduler.store.statement_rows import Source
from scheduler.store.statements import Made, StatementRow
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR
from tests.unit.store.statement_hands import MONTH, charged, close, context_of, export, make, run

pytestmark = pytest.mark.usefixtures("each_store")
NUMBER = "ENTERPRISE-w1-2026-09-R1"


@pytest.fixture
def books() -> Hands:
    """September, charged and closed."""
    it = charged()
    close(it, MONTH)
    return it


def _maker(it: Hands, source: Source) -> Maker:
    """As the service of before made it: its files do not say their version."""
    return it.db.do(
        lambda c: Maker(
            source.kind, source.owner, MONTH, NUMBER, "",
            own=statement_rows.own_accounts(c, source.owner),
            parties=statement_rows.parties(c),
            years=statement_rows.year_totals(c, source),
            format_version=1,
        )
    )  # fmt: skip


async def _of_before(it: Hands, now: StatementRow) -> Made:
    """A statement that was made when there was one version, with all its files.

    Of ``now`` it has only what the rows of all statements have.
    """
    source = Source(StatementKind.ENTERPRISE, "w1", now.start_ms, now.end_ms)
    context, maker = context_of(it), _maker(it, source)
    lines = (Format.CSV, Format.XLSX, Format.FOCUS)
    files = await statement_making.make_line_files(context, source, maker, lines)
    bundle = Digest()
    again = _maker(it, source)
    async for piece in statement_making.file_pieces(context, source, again, Format.EVIDENCE):
        bundle.take(piece)
    files.append(bundle.file(Format.EVIDENCE))
    sums: Any = maker.totals.as_dict()
    row = replace(
        now, number=NUMBER, kind="ENTERPRISE", owner="w1", city="wuhan", format_version=1, **sums
    )
    return Made(row, maker.totals, maker.ranges, maker.named, files)


def _facts(it: Hands, number: str) -> dict[str, object]:
    with zipfile.ZipFile(io.BytesIO(export(it, number, "EVIDENCE"))) as bundle:
        return dict(json.loads(bundle.read("statement.json")))


def test_one_of_before_gives_the_files_of_before(books: Hands) -> None:
    made = run(_of_before(books, make(books, "CENTER", "ai").row))
    books.db.do(lambda c: statements.insert(c, OPERATOR, made, books.clock.ms))
    for file_format in Format:  # each is compared with what was kept of it
        assert export(books, NUMBER, str(file_format))
    assert "format_version" not in _facts(books, NUMBER)


def test_one_of_now_says_its_version(books: Hands) -> None:
    row = make(books, "ENTERPRISE", "w1").row
    assert row.format_version == FORMAT_VERSION > 1
    assert _facts(books, row.number)["format_version"] == FORMAT_VERSION
    with zipfile.ZipFile(io.BytesIO(export(books, row.number, "XLSX"))) as book:
        assert "文件格式版本 Format version" in book.read("xl/worksheets/sheet2.xml").decode()


def test_the_version_of_a_statement_never_changes(books: Hands) -> None:
    make(books, "ENTERPRISE", "w1")
    with pytest.raises(DBAPIError, match="insert-only"):
        books.db.do(lambda c: c.exec_driver_sql("UPDATE statement SET format_version = 1"))
