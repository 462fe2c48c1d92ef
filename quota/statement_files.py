"""The files of a statement, made while its lines come: CSV, XLSX and FOCUS.

Each is begun, given lines as they are made, and ended with the maker, which then knows the totals.
Every call returns the bytes that are ready, so that nothing is kept. The state of a statement and
the time of its making are in no file: so it is the same bytes whenever it is made. What changes in
how files are made has a new ``FORMAT_VERSION``; a statement of before keeps its own.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Protocol

from quota import export_focus
from quota.export_csv import BOM, plain_bytes, rows_bytes
from quota.export_xlsx import Workbook, xml_cells
from quota.statement_columns import all_plain, cells, titles
from quota.statements import Line, StatementKind, money_text
from quota.stating import Maker


class Format(StrEnum):
    """A kind of file."""

    CSV = "CSV"
    XLSX = "XLSX"
    FOCUS = "FOCUS"
    EVIDENCE = "EVIDENCE"


_ENDINGS: Final = {
    Format.CSV: ".csv",
    Format.XLSX: ".xlsx",
    Format.FOCUS: "-focus.csv",
    Format.EVIDENCE: "-evidence.zip",
}
_KINDS: Final = {
    StatementKind.CITY: "城市结算单 City statement",
    StatementKind.ENTERPRISE: "企业结算单 Enterprise statement",
    StatementKind.CENTER: "算力中心结算单 Center statement",
}
_DUE: Final = {
    StatementKind.CITY: "城市应付(元) Due from the city (yuan)",
    StatementKind.ENTERPRISE: "企业应付(元) Due from the enterprise (yuan)",
    StatementKind.CENTER: "中心应收(元) Due to the center (yuan)",
}
_SUMS: Final = (
    ("gross_fen", "总费用(元) Gross (yuan)"),
    ("share_fen", "本单补贴(元) Subsidy stated (yuan)"),
    ("others_fen", "其他补贴(元) Other funders (yuan)"),
    ("self_pay_fen", "企业自付(元) Self-pay (yuan)"),
    ("claim_fen", "其中待兑付(元) Of the subsidy, to be redeemed (yuan)"),
    ("written_off_fen", "核销(元) Written off (yuan)"),
)


def file_name(number: str, file_format: Format, version: int) -> str:
    """Return the name of a statement's file, which says its version since there is more than one.

    CSV has no other place for it beside its lines; the SHA-256 of the file leads to its statement.
    """
    return f"{number}{f'-v{version}' if version > 1 else ''}{_ENDINGS[file_format]}"


def formats_of(kind: StatementKind) -> tuple[Format, ...]:
    """Return which files a statement has: evidence is of enterprises."""
    evidence = (Format.EVIDENCE,) if kind is StatementKind.ENTERPRISE else ()
    return (Format.CSV, Format.XLSX, Format.FOCUS, *evidence)


class Block:
    """Lines that are added to files at one go; they are written once for all that ask."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines

    @property
    def rows(self) -> list[list[str]]:
        """The lines as they are written: see ``statement_columns``."""
        return self._written[0]

    @property
    def plain(self) -> bytes | None:
        """The rows as CSV if all cells are plain: then they are in a workbook as they are, too."""
        return self._written[1]

    @cached_property
    def _written(self) -> tuple[list[list[str]], bytes | None]:
        rows = [cells(line) for line in self.lines]
        text = plain_bytes(rows)
        return (rows, text) if text is not None else (list(map(all_plain, rows)), None)


class LineFile(Protocol):
    """A file of lines under way."""

    def begin(self) -> bytes:
        """Begin it."""
        ...

    def add(self, block: Block) -> bytes:
        """Add lines."""
        ...

    def end(self, maker: Maker) -> bytes:
        """End it."""
        ...


class CsvFile:
    """The lines as CSV."""

    def begin(self) -> bytes:
        return BOM + rows_bytes([titles()])

    def add(self, block: Block) -> bytes:
        return rows_bytes(block.rows) if block.plain is None else block.plain

    def end(self, maker: Maker) -> bytes:
        return b""


class FocusFile:
    """The lines as FOCUS has them."""

    def __init__(self, kind: StatementKind, version: int) -> None:
        self._kind, self._version = kind, version

    def begin(self) -> bytes:
        return BOM + rows_bytes([export_focus.COLUMNS])

    def add(self, block: Block) -> bytes:
        kind, version = self._kind, self._version
        rows = [row for line in block.lines for row in export_focus.rows_of(kind, line, version)]
        plain = plain_bytes(rows)
        return rows_bytes(map(all_plain, rows)) if plain is None else plain

    def end(self, maker: Maker) -> bytes:
        return b""


class XlsxFile:
    """The lines as a workbook, with a sheet of the totals and of the places in the ledger."""

    def __init__(self) -> None:
        self._book = Workbook("明细 Lines")

    def begin(self) -> bytes:
        return self._book.begin()

    def add(self, block: Block) -> bytes:
        if block.plain is None:
            return self._book.rows(list(map(xml_cells, block.rows)))
        return self._book.rows([row.split(b",") for row in block.plain.splitlines()])

    def end(self, maker: Maker) -> bytes:
        return self._book.end("汇总 Summary", summary(maker))


def line_file(file_format: Format, kind: StatementKind, version: int) -> LineFile:
    """Return a file of lines to be made; not for evidence, which has more than lines."""
    if file_format is Format.XLSX:
        return XlsxFile()
    return FocusFile(kind, version) if file_format is Format.FOCUS else CsvFile()


def summary(maker: Maker) -> list[tuple[str, str, bool]]:
    """Return what a statement comes to: (what, value, whether it is an amount)."""
    party = maker.named.get(("enterprises", maker.owner))
    total = maker.totals
    facts = [
        ("结算单号 Statement no.", maker.number, False),
        ("类型 Kind", _KINDS[maker.kind], False),
        ("归属 Owner", maker.owner, False),
        ("结算期 Period", maker.period, False),
        ("发票号 Invoice no.", maker.invoice, False),
        ("行数 Lines", str(total.lines), False),
        ("费用笔数 Charges", str(total.charges), False),
        ("更正笔数 Corrections", str(total.corrections), False),
    ]
    if maker.kind is StatementKind.ENTERPRISE and party is not None:
        facts[3:3] = [
            ("企业名称 Enterprise name", party.name, False),
            ("统一社会信用代码 Credit code", party.ref, False),
        ]
    if maker.format_version > 1:
        facts.append(("文件格式版本 Format version", str(maker.format_version), False))
    sums = total.as_dict()
    facts += [(title, money_text(sums[name]), True) for name, title in _SUMS]
    facts.append((_DUE[maker.kind], money_text(total.due_fen), True))
    facts += [
        (f"账目 Ledger {shard}", f"#{one.seq_from}-{one.seq_to}  {one.head.hex()}", False)
        for shard, one in sorted(maker.ranges.items())
    ]
    return facts


def facts_of(maker: Maker) -> dict[str, Any]:
    """Return the same for machines, money in fen."""
    version = {"format_version": maker.format_version} if maker.format_version > 1 else {}
    return {
        **version,
        "statement": maker.number,
        "kind": str(maker.kind),
        "owner": maker.owner,
        "period": maker.period,
        "invoice": maker.invoice,
        "totals": maker.totals.as_dict(),
        "ledger": {
            shard: {
                "seq_from": one.seq_from,
                "seq_to": one.seq_to,
                "entries": one.entries,
                "amount_fen": one.amount,
                "head": one.head.hex(),
            }
            for shard, one in maker.ranges.items()
        },
    }
