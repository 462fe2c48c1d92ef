"""Which changes need a second person, and from which amount on."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ChangeKind(StrEnum):
    """What a change request asks for."""

    APPROPRIATE = "APPROPRIATE"
    LOWER = "LOWER"
    RULE_VERSION = "RULE_VERSION"
    RULE_END = "RULE_END"
    PRICE_VERSION = "PRICE_VERSION"
    WRITE_OFF = "WRITE_OFF"
    CORRECTION = "CORRECTION"


class ChangeState(StrEnum):
    """What became of a change request; all but PENDING are final."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    WITHDRAWN = "WITHDRAWN"


#: Kinds that change terms rather than move an amount: the size of nothing excuses them.
TERMS: Final = frozenset({ChangeKind.RULE_VERSION, ChangeKind.RULE_END, ChangeKind.PRICE_VERSION})


@dataclass(frozen=True, slots=True)
class Approvals:
    """Settings of the rule of two persons.

    Amounts of at least ``threshold_fen`` need a second person, and so does every change of rules
    and prices unless ``two_person`` is false. What one person did alone on one target within
    ``window_days`` counts together; 0 looks at each amount by itself.
    """

    threshold_fen: int = 100_000_000
    two_person: bool = True
    window_days: int = 30

    def needed(self, kind: ChangeKind, amount_fen: int = 0, alone_fen: int = 0) -> bool:
        """Whether a change waits for another person.

        ``amount_fen`` is its size, of any sign, ``alone_fen`` what the same person did alone on the
        same target within the window.
        """
        if kind in TERMS:
            return self.two_person
        return abs(amount_fen) + alone_fen >= self.threshold_fen
