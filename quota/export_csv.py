"""CSV files of statements: UTF-8 with a byte order mark, so that Excel reads Chinese; lines end
as RFC 4180 wants.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

BOM: Final = b"\xef\xbb\xbf"


def rows_bytes(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
