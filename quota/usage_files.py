"""Centers' own records of use, read from the files they export.

``sacct``: the output of ``sacct -X --duplicates -P`` with a header line and at least the columns
JobIDRaw, JobName, Submit, Start, End, AllocTRES (ElapsedRaw is taken for the seconds if it is
there). Its times have no zone: the caller says which. ``csv``: name, native_id, submit_time,
start_time, end_time, units and, if known, amount_yuan, with times in ISO 8601; what a bill of
ModelArts exports is brought into this form.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Final, NamedTuple

#: States of Slurm in which a record says nothing final.
_GOING_ON: Final = ("PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "STOPPED")
_NEVER: Final = ("", "NONE", "UNKNOWN")
_AMOUNT: Final = re.compile(r"(\d{1,13})(?:\.(\d{1,2}))?")


class BadUsageFile(ValueError):
    """A file cannot be read; the message names the line."""


class FileRecord(NamedTuple):
    """A stretch of use as a file has it; ``cores`` and ``cards`` count what it had of each kind."""

    line: int
    name: str
    native_id: str
    submit_ms: int
    start_ms: int
    end_ms: int
    cores: int
    cards: int
    amount_fen: int | None = None


def read(text: str, form: str, zone: tzinfo) -> list[FileRecord]:
    """Read a file's text; ``form`` is ``sacct`` or ``csv``. Raises ``BadUsageFile``."""
    if form == "sacct":
        return list(_read(text, "|", _SACCT, _of_sacct, zone))
    if form == "csv":
        return list(_read(text.removeprefix("\ufeff"), ",", _CSV, _of_csv, zone))
    raise BadUsageFile(f"the form must be sacct or csv, not {form!r}")


_SACCT: Final = ("JobIDRaw", "JobName", "Submit", "Start", "End", "AllocTRES")
_CSV: Final = ("name", "native_id", "submit_time", "start_time", "end_time", "units")


def _read(
    text: str,
    delimiter: str,
    wanted: tuple[str, ...],
    of: Callable[[int, Mapping[str, str], tzinfo], FileRecord | None],
    zone: tzinfo,
) -> Iterator[FileRecord]:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    try:
        for row in reader:
            if not row:
                continue
            if header is None:
                header = [name.strip() for name in row]
                missing = [name for name in wanted if name not in header]
                if missing:
                    raise BadUsageFile(
                        f"line 1: the header has no {', '.join(missing)}; it needs"
                        f" {delimiter.join(wanted)}"
                    )
                continue
            if len(row) < len(header):
                raise BadUsageFile(
                    f"line {reader.line_num}: has {len(row)} of {len(header)} columns"
                )
            try:
                record = of(reader.line_num, dict(zip(header, row, strict=False)), zone)
            except BadUsageFile:
                raise
            except ValueError as error:
                raise BadUsageFile(f"line {reader.line_num}: {error}") from error
            if record is not None:
                yield record
    except csv.Error as error:
        raise BadUsageFile(f"line {reader.line_num}: {error}") from error
    if header is None:
        raise BadUsageFile("line 1: the file is empty; it begins with a header")


def _of_sacct(line: int, row: Mapping[str, str], zone: tzinfo) -> FileRecord | None:
    """Return a record; None for a job that never began, or goes on."""
    state = row.get("State", "").partition(" ")[0]
    if state in _GOING_ON or row["Start"].upper() in _NEVER or row["End"].upper() in _NEVER:
        return None
    start_ms, end_ms = _instant(row["Start"], zone), _instant(row["End"], zone)
    elapsed = row.get("ElapsedRaw", "")
    if elapsed:
        if not elapsed.isdecimal():
            raise ValueError(f"ElapsedRaw must be whole seconds, not {elapsed!r}")
        end_ms = start_ms + int(elapsed) * 1000  # local time goes back an hour in some zones
    if end_ms < start_ms:
        raise ValueError(f"ends at {row['End']}, before it begins at {row['Start']}")
    cores, cards = _allocated(row["AllocTRES"])
    return FileRecord(
        line, row["JobName"], row["JobIDRaw"], _instant(row["Submit"], zone), start_ms, end_ms,
        cores, cards,
    )  # fmt: skip


def _allocated(text: str) -> tuple[int, int]:
    """Return (cores, cards) of ``cpu=64,mem=128G,node=1,gres/npu=8,gres/npu:910b=8``.

    A card is counted once, though Slurm may name it with its type as well.
    """
    cores, cards = 0, dict[str, int]()
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name == "cpu":
            cores = int(value)
        elif name.startswith("gres/"):
            kind = name.removeprefix("gres/").partition(":")[0]
            cards[kind] = max(cards.get(kind, 0), int(value))
    return cores, sum(cards.values())


def _of_csv(line: int, row: Mapping[str, str], zone: tzinfo) -> FileRecord:
    start_ms, end_ms = _instant(row["start_time"], zone), _instant(row["end_time"], zone)
    if end_ms < start_ms:
        raise ValueError(f"ends at {row['end_time']}, before it begins at {row['start_time']}")
    if not row["units"].isdecimal():
        raise ValueError(f"units must be a whole number, not {row['units']!r}")
    units = int(row["units"])
    return FileRecord(
        line, row["name"], row["native_id"], _instant(row["submit_time"], zone), start_ms, end_ms,
        units, units, _amount(row.get("amount_yuan", "")),
    )  # fmt: skip


def _amount(text: str) -> int | None:
    if not text:
        return None
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(
            f"amount_yuan must be yuan with at most two decimals, such as 1234.05, not {text!r}"
        )
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def _instant(text: str, zone: tzinfo) -> int:
    """Return an instant in epoch milliseconds; one without a zone is of ``zone``."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write 2026-03-05T14:00:00") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone)
    return round(at.timestamp() * 1000)
