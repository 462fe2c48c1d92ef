"""Amounts as people write and read them: durations, sizes and money, exact in both directions.

Durations are whole seconds, sizes whole bytes, money whole fen; no float comes between.
"""

import re
from decimal import Decimal
from typing import Final

DURATION_PATTERN: Final = r"^(?=[0-9])([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,12}s)?$"
SIZE_PATTERN: Final = r"^[0-9]{1,19}(\.[0-9]{1,9})? ?([KMGTP]i?)?B$"
YUAN_PATTERN: Final = r"^[0-9]{1,14}(\.[0-9]{1,2})?$"

_DURATION: Final = re.compile(DURATION_PATTERN, re.ASCII)
_SIZE: Final = re.compile(SIZE_PATTERN, re.ASCII)
_YUAN: Final = re.compile(YUAN_PATTERN, re.ASCII)
_SECONDS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_BYTES: Final = {
    "": 1,
    **{f"{letter}": 1000 ** (at + 1) for at, letter in enumerate("KMGTP")},
    **{f"{letter}i": 1024 ** (at + 1) for at, letter in enumerate("KMGTP")},
}


def parse_duration(text: str) -> int | None:
    """Return the seconds of ``1d12h``, ``2h30m`` or ``3600s``; None if it is nothing such."""
    if _DURATION.fullmatch(text) is None:
        return None
    return sum(int(count) * _SECONDS[unit] for count, unit in re.findall(r"([0-9]+)([dhms])", text))


def duration_text(seconds: int) -> str:
    """Return ``seconds`` exactly, such as ``2h30m``; ``0s`` for none."""
    left = abs(seconds)
    parts = []
    for unit, size in _SECONDS.items():
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return ("-" if seconds < 0 else "") + ("".join(parts) or "0s")


def parse_size(text: str) -> int | None:
    """Return the bytes of ``10GiB``, ``1.5 TB`` or ``512B``; None if it is no whole number."""
    if _SIZE.fullmatch(text) is None:
        return None
    number, _, unit = text.partition(" ")
    if not unit:
        number = text.rstrip("KMGTPiB")
        unit = text[len(number) :]
    size = Decimal(number) * _BYTES[unit.removesuffix("B")]
    return int(size) if size == int(size) else None


def size_text(size_bytes: int) -> str:
    """Return ``size_bytes`` exactly, in the largest binary unit that divides it: ``10GiB``."""
    for letter in "PTGMK":
        factor = _BYTES[f"{letter}i"]
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{letter}iB"
    return f"{size_bytes}B"


def hours_text(unit_seconds: int) -> str:
    """Return unit-seconds as unit-hours for people: ``12,000 h``, rounded to a tenth ``0.5 h``."""
    tenths = (abs(unit_seconds) * 10 + 1_800) // 3_600
    sign = "-" if unit_seconds < 0 and tenths else ""
    part = f".{tenths % 10}" if tenths % 10 else ""
    return f"{sign}{tenths // 10:,}{part} h"


def parse_yuan(text: str) -> int | None:
    """Return the fen of ``100``, ``0.5`` or ``1234.50`` yuan; None if it is nothing such."""
    if _YUAN.fullmatch(text) is None:
        return None
    whole, _, part = text.partition(".")
    return int(whole) * 100 + int(part.ljust(2, "0") if part else 0)


def yuan_text(fen: int) -> str:
    """Return ``fen`` as plain yuan with two decimals, ``1234.50``."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def money(fen: int) -> str:
    """Return ``fen`` for people, ``¥1,234.50``."""
    sign = "-" if fen < 0 else ""
    return f"{sign}¥{abs(fen) // 100:,}.{abs(fen) % 100:02d}"
