"""Unified social credit codes (统一社会信用代码), GB 32100-2015.

18 characters of 31 (no I, O, S, V, Z): 17 that say who, and a check character C with
``C = 31 - (sum of value[i] * 3^i mod 31, i = 0..16) mod 31``, 31 standing for 0.
"""

from typing import Final

LENGTH: Final = 18
ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VALUE: Final = {char: value for value, char in enumerate(ALPHABET)}


def check_character(first17: str) -> str:
    """Return the check character of the first 17; KeyError for a character that is not used."""
    total = sum(_VALUE[char] * pow(3, place, 31) for place, char in enumerate(first17))
    return ALPHABET[(31 - total % 31) % 31]


def problem(code: str) -> str | None:
    """Say what is wrong with a code, or None if it is well-formed."""
    if len(code) != LENGTH:
        return f"must have {LENGTH} characters, not {len(code)}"
    wrong = next((char for char in code if char not in _VALUE), None)
    if wrong is not None:
        return f"{wrong!r} is not used in credit codes (digits and capitals without I, O, S, V, Z)"
    if check_character(code[:-1]) != code[-1]:
        return "the last character does not check; look for a typing error"
    return None
