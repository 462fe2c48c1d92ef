"""Files of statements: what they hold, read back by others' readers, and always the same bytes."""

import csv
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.dom import minidom

import openpyxl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quota import export_focus
from quota.export_csv import BOM, plain_bytes, rows_bytes
from quota.export_evidence import MANIFEST, Bundle, UsageRow, entry_bytes, usage_bytes
from quota.export_xlsx import Workbook, escaped, xml_cells
from quota.export_zip import ZipWriter
from quota.statement_columns import (
    COLUMNS,
    Kind,
    all_plain,
    decimal,
    plain,
    price_text,
    time_text,
)
from quota.statement_files import Block, Format, file_name, formats_of, line_file
from quota.statements import FORMAT_VERSION, Charge, Party, StatementKind, money_text
from quota.transfers import GENESIS, Entry, chain
from quota.transfers import Kind as EntryKind
from tests.unit.quota.statement_samples import (
    CLAIM,
    FUND,
    NAMES,
    PAYABLE,
    SHARED,
    WALLET,
    charge,
    maker,
    posting,
    subsidised,
)

CHARGES = [
    subsidised(1),
    subsidised(2, 333, 77, 1),
    charge(posting(WALLET, PAYABLE, 1_000), posting(FUND, CLAIM, 300, seq=4), number=3),
    charge(
        posting(PAYABLE, FUND, 20, code="CORRECT", shard=FUND, reverses="settle:1.1.0.0"),
        posting(PAYABLE, WALLET, 30, code="CORRECT"),
        number=4, unit_seconds=-100,
    ),
    charge(posting(WALLET, PAYABLE, 12), number=5, price_ufen=None, price_ids=(), use_start_ms=None,
           use_end_ms=None, unit_seconds=0),
]  # fmt: skip


def made(
    file_format: Format,
    kind: str = "ENTERPRISE",
    charges: Sequence[Charge] = CHARGES,
    block: int = 2,
    version: int = FORMAT_VERSION,
) -> bytes:
    """A file, made in blocks."""
    it = maker(kind, "w1" if kind == "ENTERPRISE" else "wuhan", version=version)
    file = line_file(file_format, it.kind, it.format_version)
    pieces = [file.begin()]
    for first in range(0, len(charges), block):
        pieces.append(file.add(Block(it.lines(charges[first : first + block]))))
    pieces.append(file.end(it))
    return b"".join(pieces)


def table(data: bytes) -> list[dict[str, str]]:
    """A CSV file's rows by their heads."""
    assert data.startswith(BOM)
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


# --- how values are written -----------------------------------------------------------------------


@given(st.integers(-(10**15), 10**15))
def test_money_and_decimals_are_exact(fen: int) -> None:
    assert Decimal(money_text(fen)) == Decimal(fen) / 100
    assert money_text(fen) == decimal(fen, 2)
    assert Decimal(decimal(fen, 8)) * 10**8 == fen


def test_prices_and_times_are_those_people_know() -> None:
    assert price_text(222_222) == "7.999992"  # yuan an hour
    assert price_text(None) == time_text(None) == ""
    assert time_text(1_789_956_000_000) == "2026-09-21 10:00:00"  # Shanghai


instants = st.integers(0, 4_102_444_800_000)


@given(instants)
@example(1_789_956_000_000 - 1)
def test_times_are_those_of_a_calendar(at_ms: int) -> None:
    """Each hour is written once; a calendar writes each second."""
    shanghai = datetime.fromtimestamp(at_ms // 1000, timezone(timedelta(hours=8)))
    if at_ms >= 700_000_000_000:  # there was summer time before
        assert time_text(at_ms) == shanghai.strftime("%Y-%m-%d %H:%M:%S")
    utc = datetime.fromtimestamp(at_ms // 1000, UTC)
    assert export_focus.utc_text(at_ms) == utc.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- plain cells ----------------------------------------------------------------------------------

safe = st.text(st.sampled_from("a1 .;:#/_%'-+=@，光"), max_size=4)
odd = st.text(st.characters(codec="utf-8"), max_size=3)
some_rows = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(safe | odd, min_size=width, max_size=width), max_size=3)
)


@given(some_rows)
def test_plain_rows_are_as_they_are_written_cell_by_cell(rows: list[list[str]]) -> None:
    text = plain_bytes(rows)
    if text is not None:
        assert text == rows_bytes([[plain(cell) for cell in row] for row in rows])
        assert [row.split(b",") for row in text.splitlines()] == [
            [escaped(cell).encode() for cell in row] for row in rows
        ]


@given(some_rows)
def test_rows_that_are_not_plain_are_written_with_their_marks(rows: list[list[str]]) -> None:
    for row in rows:
        assert all_plain(row) == [plain(cell) for cell in row]
        assert xml_cells(row) == [escaped(cell).encode() for cell in row]


@pytest.mark.parametrize("cell", ["", "-1", "-12.50", "光谷，智算 a-b '#1; 2'", "1+1=2"])
def test_common_cells_are_plain(cell: str) -> None:
    rows = [[cell, "x"], ["x", cell]]
    assert plain_bytes(rows) == rows_bytes(rows)


@pytest.mark.parametrize(
    "char", [*',"&<>\r\n\t\x00\x1f\ufffe\uffff', "=1", "+1", "@1", "-a", "-1-1"]
)
def test_a_cell_with_a_mark_is_not_plain(char: str) -> None:
    for row in (["x", char], [char, "x"], ["x", f"{char}x", "x"]):
        assert plain_bytes([["x"] * len(row), row]) is None


# --- CSV ------------------------------------------------------------------------------------------


def test_csv_has_a_mark_for_excel_heads_in_both_languages_and_a_line_each() -> None:
    rows = table(made(Format.CSV))
    assert list(rows[0]) == [f"{one.zh} {one.en}" for one in COLUMNS]
    assert len(rows) == len(CHARGES)
    first = rows[0]
    assert first["企业名称 Enterprise name"] == "光谷智算 <一号> & Co"
    assert first["统一社会信用代码 Credit code"] == "91420100MA4K000001"
    assert (first["总费用(元) Gross (yuan)"], first["企业自付(元) Self-pay (yuan)"]) == (
        "64.00",
        "35.20",
    )
    assert first["数量(单位·秒) Quantity (unit-seconds)"] == "28800"
    assert (first["合同编号 Contract no."], first["发票号 Invoice no."]) == ("HT-1", "FP-7")
    assert rows[3]["更正 Correction"] == "CORRECT"
    assert rows[3]["总费用(元) Gross (yuan)"] == "-0.50"
    assert rows[4]["单价(元/单位·时) Price (yuan/unit-hour)"] == ""


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1+1", "-A1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_name_is_taken_for_a_formula(name: str) -> None:
    it = maker("ENTERPRISE", "w1")
    it.parties = {**NAMES, ("enterprises", "w1"): Party(name, "-0x")}
    [written] = Block(it.lines([CHARGES[3]])).rows
    row = dict(zip((one.key for one in COLUMNS), written, strict=True))
    assert row["enterprise_name"] == f"'{name}"
    assert row["uscc"] == "'-0x"
    assert row["gross_fen"] == "-0.50"  # a number is a number


# --- XLSX -----------------------------------------------------------------------------------------


def test_a_workbook_has_amounts_as_numbers_and_names_as_text() -> None:
    book = openpyxl.load_workbook(io.BytesIO(made(Format.XLSX)))
    sheet, summary = book.worksheets
    assert (sheet.title, summary.title) == ("明细 Lines", "汇总 Summary")
    assert sheet.freeze_panes == "A2"
    head, *rows = sheet.iter_rows()
    assert [cell.value for cell in head] == [one.title for one in COLUMNS]
    written = table(made(Format.CSV))
    assert len(rows) == len(written)
    for row, line in zip(rows, written, strict=True):
        for cell, column in zip(row, COLUMNS, strict=True):
            text = line[column.title]
            if not text:
                assert cell.value is None
            elif column.kind in (Kind.MONEY, Kind.COUNT, Kind.PRICE):
                assert cell.data_type == "n"
                assert Decimal(str(cell.value)) == Decimal(text)
            else:
                assert (cell.data_type, cell.value) == ("s", text)
    facts = {row[0].value: row[1].value for row in summary.iter_rows()}
    assert facts["企业应付(元) Due from the enterprise (yuan)"] == 45.03
    assert facts["企业名称 Enterprise name"] == "光谷智算 <一号> & Co"
    assert str(facts[f"账目 Ledger {FUND}"]).startswith("#1-4  04")


def test_lines_beyond_a_sheet_go_on_another() -> None:
    book = Workbook("L", COLUMNS[:2], rows_max=3)
    data = book.begin() + book.rows([(b"a", b"1"), (b"b", b"2")]) + book.rows(
        [(b"c", b"3"), (b"d", b"4"), (b"e", b"5"), (b"f", b"6"), (b"g", b"7")]
    ) + book.end("S", [])  # fmt: skip
    sheets = openpyxl.load_workbook(io.BytesIO(data)).worksheets
    assert [one.title for one in sheets] == ["L", "L 2", "L 3", "S"]
    assert [[row[0].value for row in one.iter_rows(min_row=2)] for one in sheets[:3]] == [
        ["a", "b", "c"], ["d", "e", "f"], ["g"],
    ]  # fmt: skip


@given(st.text(st.characters(codec=None, min_codepoint=0, max_codepoint=0x10FFFF), max_size=20))
def test_any_text_is_well_formed_in_a_workbook(text: str) -> None:
    shown = minidom.parseString(f"<t>{escaped(text)}</t>".encode()).documentElement
    assert shown is not None
    found = "".join(node.data for node in shown.childNodes if isinstance(node, minidom.Text))
    assert len(found) == len(text)


# --- FOCUS ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(StatementKind))
def test_what_focus_bills_is_what_is_due(kind: str) -> None:
    it = maker(kind, "w1" if kind == "ENTERPRISE" else "wuhan")
    it.lines(CHARGES)
    rows = table(made(Format.FOCUS, kind))
    billed = sum((Decimal(row["BilledCost"]) for row in rows), Decimal())
    assert billed == Decimal(it.totals.due_fen) / 100
    assert {row["InvoiceId"] for row in rows} == {it.number}
    assert list(rows[0]) == list(export_focus.COLUMNS)


def test_focus_has_subsidies_as_credits_and_prices_that_multiply_out() -> None:
    rows = table(made(Format.FOCUS))
    use, credit = rows[:2]
    assert (use["ChargeCategory"], credit["ChargeCategory"]) == ("Usage", "Credit")
    assert (use["BilledCost"], credit["BilledCost"]) == ("64.00", "-28.80")
    claimed = rows[4]  # what is claimed later is billed, and no credit here
    assert (claimed["BilledCost"], claimed["EffectiveCost"]) == ("10.00", "7.00")
    priced = [row for row in rows if row["ListUnitPrice"]]
    for row in priced:
        assert Decimal(row["ListUnitPrice"]) * int(row["PricingQuantity"]) == Decimal(
            row["ListCost"]
        )
    assert len(priced) == 3
    corrected = [row for row in rows if row["ChargeClass"] == "Correction"]
    assert {row["ListUnitPrice"] for row in corrected} == {""}
    assert (use["ChargePeriodStart"], use["BillingPeriodEnd"]) == (
        "2026-09-21T02:00:00Z", "2026-09-30T16:00:00Z",
    )  # fmt: skip


amounts = st.integers(0, 10**9)


@settings(max_examples=50)
@given(st.lists(st.tuples(amounts, amounts, amounts, amounts), max_size=6))
def test_what_focus_bills_is_what_is_due_whatever_is_charged(
    found: list[tuple[int, int, int, int]],
) -> None:
    some = [
        charge(posting(FUND, PAYABLE, a), posting(SHARED, PAYABLE, b), posting(WALLET, PAYABLE, c),
               posting(FUND, CLAIM, min(c, d)), number=at)
        for at, (a, b, c, d) in enumerate(found, 1)
    ]  # fmt: skip
    it = maker("ENTERPRISE", "w1")
    rows = [row for line in it.lines(some) for row in export_focus.rows_of(it.kind, line, 2)]
    assert export_focus.billed_fen(rows) == it.totals.due_fen
    effective = export_focus.COLUMNS.index("EffectiveCost")
    kept = sum(int(row[effective].replace(".", "")) for row in rows)
    assert kept == it.totals.self_pay_fen


# --- zip and evidence -----------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.lists(st.lists(st.binary(max_size=300), max_size=4), min_size=1, max_size=4))
def test_others_read_our_zip_files(members: list[list[bytes]]) -> None:
    writer = ZipWriter()
    data = b""
    for number, pieces in enumerate(members):
        data += writer.begin(f"{number}.bin") + b"".join(map(writer.write, pieces))
    data += writer.finish()
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        assert read.testzip() is None
        assert [read.read(f"{n}.bin") for n in range(len(members))] == [
            b"".join(p) for p in members
        ]
        assert {one.date_time for one in read.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_nothing_is_written_before_a_member_begins() -> None:
    with pytest.raises(ValueError, match="no member"):
        ZipWriter().write(b"x")


def test_a_bundle_is_checked_by_sha256sum(tmp_path: Path) -> None:
    entry = Entry(FUND, EntryKind.POST, "SETTLE", FUND, PAYABLE, 5, 1_789_956_000_000, "settle:1")
    [link] = chain([entry], 6, GENESIS)
    use = UsageRow("j1", "j1.1", "ai", "=cmd", 0, 0, 0, 1_000, 61_000, 2, 8, "ab" * 32, "sacct")
    bundle = Bundle()
    data = (
        bundle.begin("usage.csv", usage_bytes([(1, use)]))
        + bundle.begin("entries.csv", entry_bytes([(1, link)]))
        + bundle.write(b"more\n")
        + bundle.finish()
    )
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        read.extractall(tmp_path)
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", MANIFEST],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert checked.stdout.count(": OK") == 2
    assert "'=cmd" in (tmp_path / "usage.csv").read_text()
    row = next(csv.reader([(tmp_path / "entries.csv").read_text().splitlines()[0]]))
    prev, digest, text = row[-3:]
    assert hashlib.sha256(bytes.fromhex(prev) + text.encode()).hexdigest() == digest


# --- the same bytes -------------------------------------------------------------------------------

_AGAIN = """
import hashlib, sys
from tests.unit.quota.test_statement_files import made
from quota.statement_files import Format
for name in ("CSV", "XLSX", "FOCUS"):
    for kind in ("CITY", "ENTERPRISE", "CENTER"):
        print(hashlib.sha256(made(Format(name), kind, block=int(sys.argv[1]))).hexdigest())
"""


def test_files_are_the_same_bytes_in_another_process_time_zone_and_locale() -> None:
    here = [
        hashlib.sha256(made(Format(name), kind)).hexdigest()
        for name in ("CSV", "XLSX", "FOCUS")
        for kind in ("CITY", "ENTERPRISE", "CENTER")
    ]
    assert len(set(here)) == 9
    for zone, locale, block in (
        ("America/New_York", "C", "1"),
        ("Asia/Kolkata", "de_DE.UTF-8", "9"),
    ):
        there = subprocess.run(
            [sys.executable, "-c", _AGAIN, block], capture_output=True, text=True, check=True,
            env={**os.environ, "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": block,
                 "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert there.stdout.split() == here


def test_only_enterprises_have_evidence_and_files_are_named_by_the_number() -> None:
    assert Format.EVIDENCE in formats_of(StatementKind.ENTERPRISE)
    assert Format.EVIDENCE not in (
        *formats_of(StatementKind.CITY),
        *formats_of(StatementKind.CENTER),
    )
    for version, mark in ((1, ""), (2, "-v2")):
        names: list[Any] = [file_name("CITY-a-2026-R1", one, version) for one in Format]
        assert names == [
            f"CITY-a-2026-R1{mark}.csv", f"CITY-a-2026-R1{mark}.xlsx",
            f"CITY-a-2026-R1{mark}-focus.csv", f"CITY-a-2026-R1{mark}-evidence.zip",
        ]  # fmt: skip
