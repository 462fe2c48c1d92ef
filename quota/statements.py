"""Statements: what a city's funds paid, an enterprise owes, or a center is owed in a closed period.

A statement takes all entries of runs that were booked in its period. The entries of one run that
were booked together are a charge; each charge is stated as lines. Nothing is believed but entries:
what a line says of money is the sum of its entries, so the totals of a statement are those of the
ledger between its bounds, and made again they are the same.

Of a charge each account's net is what it gave (debits less credits). All nets add up to 0, so

    gross = subsidies + self-pay + written off

whatever kinds of entries there are. A programme that reimburses owes the enterprise a claim: then
the enterprise paid the gross to the center, and its self-pay is what is left after the claim.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple


class StatementKind(StrEnum):
    """Whose statement it is."""

    CITY = "CITY"
    ENTERPRISE = "ENTERPRISE"
    CENTER = "CENTER"


class StatementState(StrEnum):
    """How far it is. A statement that is disputed is followed by a new revision."""

    DRAFT = "DRAFT"
    ISSUED = "ISSUED"
    PAID = "PAID"
    DISPUTED = "DISPUTED"


MOVES: Final[Mapping[StatementState, frozenset[StatementState]]] = {
    StatementState.DRAFT: frozenset({StatementState.ISSUED}),
    StatementState.ISSUED: frozenset({StatementState.PAID, StatementState.DISPUTED}),
    StatementState.PAID: frozenset(),
    StatementState.DISPUTED: frozenset(),
}
#: How files of statements are made now. A statement keeps the version with which it was made, so
#: that its files are the same bytes for ever. 1: files do not say their version, and a center is
#: due the gross. 2: their names do, the summary of a workbook and the facts of a bundle, and a
#: center is not due what was written off.
FORMAT_VERSION: Final = 2
#: Accounts by the part of a charge that they bear: the first word of their names.
SUBSIDY_KINDS: Final = frozenset({"fund", "voucher", "lapsed", "forgone"})
SELF_PAY_KINDS: Final = frozenset({"wallet", "receivable", "claim"})
GRANT_KIND: Final = "grant"
MONEY: Final = "CNY"
#: Parts of a yuan as they are written.
_FEN: Final = tuple(f".{fen:02d}" for fen in range(100))
#: Codes of entries that settle a run; what others say of it corrects that.
SETTLING: Final = frozenset({"OVERRUN", "SETTLE", "TOP_UP"})


def statement_number(kind: StatementKind, owner: str, period: str, revision: int) -> str:
    """Return the number of a statement, which is also the name of its files."""
    return f"{kind}-{owner}-{period}-R{revision}"


@lru_cache(maxsize=65_536)
def kind_of(account: str) -> str:
    """Return the kind of an account: the first word of its name."""
    return account.partition(":")[0]


def money_text(fen: int) -> str:
    """Return fen as yuan: ``1234.05``."""
    if fen < 0:
        return "-" + money_text(-fen)
    return f"{fen // 100}{_FEN[fen % 100]}"


class Posting(NamedTuple):
    """One entry of the ledger that moved ``amount``: fen, or unit-seconds of a grant."""

    shard: str
    seq: int
    hash: bytes
    code: str
    debit_account: str
    credit_account: str
    amount: int
    ledger: str = MONEY
    reverses: str = ""
    ref_period: str = ""


class Given(NamedTuple):
    """What is known of an account that subsidised a charge."""

    programme: str
    rule_version: int = 0
    binding: str = ""
    start_ms: int = 0


class Charge(NamedTuple):
    """What was booked together for one run, with what the lines say of the run.

    ``price_ufen`` is None if nothing was rated or at several prices, ``unit_seconds`` what was
    billed (below 0: taken back).
    """

    booked_ms: int
    job_id: str
    run_id: str
    enterprise: str
    city: str
    contract: str
    project: str
    center: str
    flavor: str
    unit: str
    unit_seconds: int
    price_ufen: int | None
    price_ids: tuple[str, ...]
    use_start_ms: int | None
    use_end_ms: int | None
    postings: tuple[Posting, ...]
    given: Mapping[str, Given]


def nets(postings: Iterable[Posting], ledger: str = MONEY) -> dict[str, int]:
    """Return what each account gave, by account in order; those that gave nothing are out."""
    found: dict[str, int] = {}
    for _, _, _, _, debit, credit, amount, of, _, _ in postings:
        if of == ledger:
            found[debit] = found.get(debit, 0) + amount
            found[credit] = found.get(credit, 0) - amount
    return {account: net for account, net in sorted(found.items()) if net}


class Party(NamedTuple):
    """Name of an enterprise or programme, with its credit code or document."""

    name: str
    ref: str


UNKNOWN: Final = Party("", "")


class Line(NamedTuple):
    """One line of a statement; the columns of its files in their order.

    Money in fen, instants in epoch milliseconds. None is shown as nothing.
    """

    statement: str
    number: int
    period: str
    use_period: str
    programme: str
    programme_name: str
    document_ref: str
    city: str
    enterprise: str
    enterprise_name: str
    uscc: str
    contract: str
    project: str
    job: str
    run: str
    center: str
    flavor: str
    unit: str
    start_ms: int | None
    end_ms: int | None
    unit_seconds: int
    free_unit_seconds: int
    price_ufen: int | None
    price_id: str
    gross_fen: int
    share_fen: int
    by_programme: str
    accounts: str
    others_fen: int
    self_pay_fen: int
    claim_fen: int
    written_off_fen: int
    rule_version: str
    binding: str
    year_total_fen: int
    correction: str
    reference: str
    invoice: str
    booked_ms: int
    entries: str
    hash: str


@dataclass
class Totals:
    """Sums of a statement, in fen. The gross of a charge counts once, however many lines it has.

    ``due_fen`` is what the owner has to pay (of a center: to get): see ``due_of``.
    """

    lines: int = 0
    charges: int = 0
    gross_fen: int = 0
    share_fen: int = 0
    others_fen: int = 0
    self_pay_fen: int = 0
    claim_fen: int = 0
    written_off_fen: int = 0
    due_fen: int = 0
    corrections: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the sums by name."""
        return dict(vars(self))


@dataclass
class Range:
    """Entries of one shard that a statement rests on, from the first to the last."""

    seq_from: int
    seq_to: int
    head: bytes
    entries: int = 0
    amount: int = 0


def due_of(
    kind: StatementKind, gross: int, share: int, self_pay: int, claim: int, written_off: int
) -> int:
    """Return what is to be paid on a statement, in fen.

    A city pays its share (to the center, or to the enterprise that claims it), an enterprise its
    self-pay and what it advances, and a center gets the gross but for what was written off.
    """
    if kind is StatementKind.CITY:
        return share
    return self_pay + claim if kind is StatementKind.ENTERPRISE else gross - written_off
