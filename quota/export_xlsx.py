"""XLSX files of statements, written row by row in flat memory, the same bytes every time.

Amounts are numbers, everything else is text: a long number that is a name must not be rounded. A
sheet has a million lines at most; what is more goes on another sheet.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from quota.export_zip import ZipWriter
from quota.statement_columns import COLUMNS, Column, Kind, titles

SHEET_ROWS_MAX: Final = 1_000_000
#: Height of a row of heads, which take up to three lines.
_HEAD_PT: Final = 45
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
#: Numbers of the cell styles below.
_BOLD, _MONEY, _COUNT, _PRICE = 1, 2, 3, 4
_STYLES: Final = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}">'
    '<numFmts count="2"><numFmt numFmtId="164" formatCode="#,##0.00;[Red]-#,##0.00"/>'
    '<numFmt numFmtId="165" formatCode="#,##0.000000"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="5"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"'
    ' applyAlignment="1"><alignment wrapText="1" vertical="top"/></xf>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="3" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>"
)
#: Sheets are what is no other part: so the types can stand first, before their number is known.
_TYPES: Final = (
    f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels"'
    ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/styles.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>'
)
_ROOT: Final = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1"'
    f' Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)
_SHEET_END: Final = b'</sheetData><pageSetup orientation="landscape"/></worksheet>'
#: What XML cannot hold is shown as a replacement character.
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SPECIAL: Final = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TEXT_CELL: Final = '<c t="inlineStr"><is><t xml:space="preserve">%s</t></is></c>'
_STYLE: Final = {Kind.MONEY: _MONEY, Kind.COUNT: _COUNT, Kind.PRICE: _PRICE}


def escaped(text: str) -> str:
    """Return a text as XML holds it."""
    text = _UNFIT.sub("\ufffd", text)
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        text = text.replace(char, entity)
    return text


def xml_cells(cells: Sequence[str]) -> list[bytes]:
    """Return cells as XML holds them, in UTF-8: hardly ever anything must be escaped."""
    if _SPECIAL.search("\n".join(cells)) is not None:
        cells = [escaped(cell) for cell in cells]
    return [cell.encode() for cell in cells]


class Workbook:
    """A workbook under way: lines, then a summary sheet. Each call returns the bytes ready.

    ``rows_max`` is how many lines a sheet holds.
    """

    def __init__(
        self, title: str, columns: Sequence[Column] = COLUMNS, rows_max: int = SHEET_ROWS_MAX
    ) -> None:
        self._zip, self._title, self._rows_max = ZipWriter(), title, rows_max
        self._columns = tuple(columns)
        self._kinds = tuple(column.kind for column in columns)
        self._templates: dict[tuple[bool, ...], bytes] = {}
        self._sheets: list[str] = []
        self._rows = 0

    def begin(self) -> bytes:
        """Begin the file and its first sheet."""
        parts = [
            self._part("[Content_Types].xml", _TYPES),
            self._part("_rels/.rels", _ROOT),
            self._part("xl/styles.xml", _STYLES),
            self._lines_sheet(),
        ]
        return b"".join(parts)

    def rows(self, rows: Sequence[Sequence[bytes]]) -> bytes:
        """Add lines, with cells as ``xml_cells`` gives them."""
        ready, done = [], 0
        while done < len(rows):
            if self._rows == self._rows_max:
                ready += [self._zip.write(_SHEET_END), self._lines_sheet()]
            some = rows[done : done + self._rows_max - self._rows]
            ready.append(self._zip.write(b"".join(map(self._row, some))))
            done += len(some)
            self._rows += len(some)
        return b"".join(ready)

    def end(self, name: str, facts: Iterable[tuple[str, str, bool]]) -> bytes:
        """End the lines, add a sheet of facts (what, value, whether it is a number), and finish."""
        ready = [self._zip.write(_SHEET_END)]
        ready.append(self._begin_sheet(name, (34, 40), frozen=False))
        for what, value, is_number in facts:
            shown = f'<c s="{_MONEY}"><v>{value}</v></c>' if is_number else _text(value)
            ready.append(self._zip.write(f"<row>{_bold(what)}{shown}</row>".encode()))
        ready.append(self._zip.write(_SHEET_END))
        ready.append(self._part("xl/workbook.xml", self._workbook()))
        ready.append(self._part("xl/_rels/workbook.xml.rels", self._relations()))
        ready.append(self._zip.finish())
        return b"".join(ready)

    def _row(self, cells: Sequence[bytes]) -> bytes:
        filled = tuple(map(bool, cells))
        template = self._templates.get(filled)
        if template is None:
            template = self._templates[filled] = _template(self._kinds, filled)
        return template % tuple(filter(None, cells))

    def _part(self, name: str, text: str) -> bytes:
        return self._zip.begin(name) + self._zip.write(text.encode())

    def _lines_sheet(self) -> bytes:
        number = len(self._sheets) + 1
        self._rows = 0
        widths = [column.width for column in self._columns]
        begun = self._begin_sheet(self._title if number == 1 else f"{self._title} {number}", widths)
        head = "".join(map(_bold, titles(self._columns)))
        return begun + self._zip.write(
            f'<row ht="{_HEAD_PT}" customHeight="1">{head}</row>'.encode()
        )

    def _begin_sheet(self, name: str, widths: Sequence[int], *, frozen: bool = True) -> bytes:
        self._sheets.append(name)
        columns = "".join(
            f'<col min="{at}" max="{at}" width="{width}" customWidth="1"/>'
            for at, width in enumerate(widths, 1)
        )
        views = (
            '<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2"'
            ' activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
            if frozen
            else ""
        )
        text = f'{_HEAD}<worksheet xmlns="{_MAIN}">{views}<cols>{columns}</cols><sheetData>'
        return self._part(f"xl/worksheets/sheet{len(self._sheets)}.xml", text)

    def _workbook(self) -> str:
        sheets = "".join(
            f'<sheet name="{escaped(name)}" sheetId="{at}" r:id="rId{at}"/>'
            for at, name in enumerate(self._sheets, 1)
        )
        return (
            f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/>'
            f"</bookViews><sheets>{sheets}</sheets></workbook>"
        )

    def _relations(self) -> str:
        count = len(self._sheets)
        sheets = "".join(
            f'<Relationship Id="rId{at}" Type="{_OFFICE}/worksheet"'
            f' Target="worksheets/sheet{at}.xml"/>'
            for at in range(1, count + 1)
        )
        return (
            f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{sheets}'
            f'<Relationship Id="rId{count + 1}" Type="{_OFFICE}/styles" Target="styles.xml"/>'
            "</Relationships>"
        )


def _text(text: str) -> str:
    return _TEXT_CELL % escaped(text)


def _bold(text: str) -> str:
    return _text(text).replace("<c ", f'<c s="{_BOLD}" ', 1)


def _template(kinds: Sequence[Kind], filled: Sequence[bool]) -> bytes:
    """Return a row with a place for each cell that is not empty."""
    cells = []
    for kind, has in zip(kinds, filled, strict=True):
        style = _STYLE.get(kind)
        if not has:
            cells.append("<c/>")
        else:
            cells.append(_TEXT_CELL if style is None else f'<c s="{style}"><v>%s</v></c>')
    return f"<row>{''.join(cells)}</row>".encode()
