"""Files of vouchers to be issued: CSV with a heading, as spreadsheets write it."""

import csv
import io
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from corridor.v1 import voucher_pb2 as pb

from quota.calendar import day_ms
from scheduler.cli import amounts
from scheduler.cli.flaws import BadFile, Flaw
from scheduler.problem import Problem

#: Fields of requests that files call otherwise.
_COLUMNS: Final = {"face_fen": "face", "valid_to": "valid_until", "voucher_no": "number"}
_PLACE: Final = re.compile(r"vouchers\[(\d+)\]\.(\w+)")
MANDATORY: Final = ("enterprise", "face")
COLUMNS: Final = (*MANDATORY, "number", "valid_from", "valid_until")


@dataclass(frozen=True, slots=True)
class VoucherFile:
    """The vouchers that a file says, and the line of each."""

    file: str
    vouchers: list[pb.NewVoucher]
    lines: list[int]

    def raise_refusal(self, problem: Problem) -> None:
        """Raise ``BadFile`` where the service names vouchers of the file, with their lines."""
        flaws = []
        for one in problem.violations:
            place = _PLACE.fullmatch(one.field)
            if place is None:
                return
            line, field = self.lines[int(place[1])], _COLUMNS.get(place[2], place[2])
            flaws.append(Flaw(self.file, line, field, "field.service", {"words": one.description}))
        if flaws:
            raise BadFile(flaws)


def read(path: str) -> VoucherFile:
    """Return what a CSV file in UTF-8 says; raises ``BadFile`` naming each flaw.

    ``face`` is in yuan, ``valid_from`` and ``valid_until`` are the first and the last day.
    """
    try:
        text = Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise BadFile([Flaw(path, 0, "", "file.unreadable", {"why": error.strerror})]) from error
    except UnicodeDecodeError as error:
        raise BadFile([Flaw(path, 0, "", "file.not_utf8")]) from error
    rows = csv.reader(io.StringIO(text, newline=""))
    heading = [one.strip() for one in next(rows, [])]
    flaws = [Flaw(path, 1, one, "field.missing") for one in MANDATORY if one not in heading]
    flaws += [
        Flaw(path, 1, one, "field.unknown", {"known": ", ".join(COLUMNS)})
        for one in heading
        if one not in COLUMNS
    ]
    if flaws:
        raise BadFile(flaws)
    found: list[pb.NewVoucher] = []
    lines: list[int] = []
    for values in rows:
        if any(value.strip() for value in values):
            cells = dict(zip(heading, (value.strip() for value in values), strict=False))
            found.append(_voucher(path, rows.line_num, cells, flaws))
            lines.append(rows.line_num)
    if not found and not flaws:
        flaws.append(Flaw(path, 0, "", "file.no_vouchers"))
    if flaws:
        raise BadFile(flaws)
    return VoucherFile(path, found, lines)


def _voucher(path: str, line: int, cells: dict[str, str], flaws: list[Flaw]) -> pb.NewVoucher:
    """Return the voucher of a line; what is wrong with it goes to ``flaws``."""
    new = pb.NewVoucher(enterprise=cells["enterprise"], voucher_no=cells.get("number", ""))
    if not new.enterprise:
        flaws.append(Flaw(path, line, "enterprise", "field.empty"))
    fen = amounts.parse_yuan(cells.get("face", ""))
    if fen:
        new.face_fen = fen
    else:
        flaws.append(Flaw(path, line, "face", "field.yuan"))
    for column, field, after in (
        ("valid_from", new.valid_from_time, 0),
        ("valid_until", new.valid_to_time, 1),
    ):
        given = cells.get(column, "")
        at_ms = day_after(given, after) if given else None
        if at_ms is not None:
            field.FromMilliseconds(at_ms)
        elif given:
            flaws.append(Flaw(path, line, column, "field.day"))
    return new


def day_after(given: str, days: int) -> int | None:
    """Return the midnight in Shanghai that begins a day (2026-11-30) or so many after it.

    None if it is no day.
    """
    try:
        return day_ms(date.fromordinal(date.fromisoformat(given).toordinal() + days))
    except ValueError:
        return None
