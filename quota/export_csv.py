"""CSV files of statements: UTF-8 with a byte order mark, so that Excel reads Chinese; lines end
as RFC 4180 wants.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

BOM: Final = b"\xef\xbb\xbf"
#: What CSV must quote or XML must escape; the marks between cells and rows are among it.
_MARKS: Final = bytes([*range(0x20), *b',"&<>'])
#: What a spreadsheet would take for a formula at the beginning of a cell; a number below 0 is none.
#: What stands before it is looked for much faster than one of both.
_RISK: Final = rb"(?:[=+@]|-(?!\d+(?:\.\d+)?[,\r]))"
_RISKS: Final = (re.compile(b"\n" + _RISK), re.compile(b"," + _RISK))


def rows_bytes(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def plain_bytes(rows: Sequence[Sequence[str]]) -> bytes | None:
    """Return rows, all of two cells or more, as CSV if all their cells are plain, None otherwise.

    A plain cell is written as it is, in CSV as in XML, and no spreadsheet takes it for a formula.
    Hardly any are not, so all are looked at together: it takes a third of the time.
    """
    text = "".join([",".join(row) + "\r\n" for row in rows])
    if "\ufffe" in text or "\uffff" in text:  # which XML takes for no characters
        return None
    data = text.encode()
    between = sum(map(len, rows)) + len(rows)
    if len(data) - len(data.translate(None, _MARKS)) != between:
        return None
    return None if any(risk.search(b"\n" + data) for risk in _RISKS) else data
