"""Checks of single fields that several use cases share."""

from typing import Final

from scheduler.errors import FieldViolation

REASON_MAX: Final = 1000
UNITS_MAX: Final = 1 << 40
MONEY_MAX_FEN: Final = 10**15  # ten trillion yuan: whatever is above is a mistake


def reason(text: str) -> list[FieldViolation]:
    """Check the mandatory reason of a change."""
    if not text.strip():
        return [FieldViolation("reason", "is mandatory: say why, it is kept in the audit log")]
    if len(text) > REASON_MAX:
        return [FieldViolation("reason", f"must not be above {REASON_MAX} characters")]
    return []


def whole(field: str, value: int | None, most: int, least: int = 0) -> list[FieldViolation]:
    """Check a whole number within limits; None is in order."""
    if value is not None and not least <= value <= most:
        return [FieldViolation(field, f"must be {least}..{most}, not {value}")]
    return []


def given(field: str, value: str, most: int = 256) -> list[FieldViolation]:
    """Check a mandatory text."""
    if not value.strip():
        return [FieldViolation(field, "is mandatory")]
    if len(value) > most:
        return [FieldViolation(field, f"must not be above {most} characters")]
    return []
