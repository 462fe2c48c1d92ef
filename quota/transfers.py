"""Ledger entries and their hash chain.

Double entry in two phases: PENDING reserves, POST takes up to what was reserved and frees the
rest, VOID frees all, DIRECT moves at once. Entries are only added. Each shard (one per fund
period, one per city's wallets) chains its entries: ``hash = sha256(previous hash + canonical
JSON)``, so that any later change is found.
"""

from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256
from json.encoder import encode_basestring as quoted
from typing import Any, Final, NamedTuple

GENESIS: Final = bytes(32)
#: What JSON escapes within a text, and how many there are in a canonical text of twelve texts.
_ESCAPED: Final = bytes(range(32)) + b'"\\'
_OWN_QUOTES: Final = 24


class Kind(StrEnum):
    """Phase of an entry."""

    PENDING = "PENDING"
    POST = "POST"
    VOID = "VOID"
    DIRECT = "DIRECT"


class Entry(NamedTuple):
    """One transfer of ``amount_fen`` from the debit to the credit account.

    A POST or VOID names by ``leg_id`` the PENDING entry that it resolves.
    """

    shard: str
    kind: Kind
    code: str
    debit_account: str
    credit_account: str
    amount_fen: int
    effective_ms: int
    idem_key: str
    job_uid: int = 0
    attempt: int = 0
    leg_id: str = ""
    reverses: str = ""
    ref_period: str = ""
    actor: str = ""
    reason: str = ""
    ledger: str = "CNY"


class Link(NamedTuple):
    """An entry in its place of the chain."""

    entry: Entry
    seq: int
    prev_hash: bytes
    hash: bytes


def canonical(seq: int, entry: "Entry | tuple[Any, ...]") -> str:
    """Return what is hashed: ``json.dumps([seq, *entry])`` without blanks, as UTF-8 text.

    Written by hand because it is written for every entry; a test compares it with ``json.dumps``.
    """
    (
        shard, kind, code, debit, credit, amount, effective_ms, idem_key, uid, attempt, leg_id,
        reverses, ref_period, actor, reason, ledger,
    ) = entry  # fmt: skip
    return (
        f"[{seq},{quoted(shard)},{quoted(kind)},{quoted(code)},{quoted(debit)},{quoted(credit)},"
        f"{amount},{effective_ms},{quoted(idem_key)},{uid},{attempt},{quoted(leg_id)},"
        f"{quoted(reverses)},{quoted(ref_period)},{quoted(actor)},{quoted(reason)},{quoted(ledger)}]"
    )


def is_canonical(text: bytes) -> bool:
    """Whether a canonical text of which nothing was escaped is right: nothing was to be escaped."""
    return len(text) - len(text.translate(None, _ESCAPED)) == _OWN_QUOTES


def entry_hash(prev: bytes, seq: int, entry: Entry) -> bytes:
    """Return the hash that chains an entry to what came before it."""
    return sha256(prev + canonical(seq, entry).encode()).digest()


def chain(entries: Iterable[Entry], seq: int, prev: bytes) -> list[Link]:
    """Chain entries of one shard after its head (``seq``, ``prev``)."""
    links = []
    for entry in entries:
        seq += 1
        digest = entry_hash(prev, seq, entry)
        links.append(Link(entry, seq, prev, digest))
        prev = digest
    return links


def fund_account(programme: str, period: str, funder: str = "") -> str:
    """Account of a programme's money in a period; ``funder`` "" is the programme's own city.

    The name of the own city's account is also the shard of all that concerns the fund.
    """
    return f"fund:{programme}:{period}" + (f":{funder}" if funder else "")


def appropriation_account(programme: str, period: str, funder: str = "") -> str:
    """Where a fund's money comes from, by funder as in ``fund_account``."""
    return f"appropriation:{programme}:{period}" + (f":{funder}" if funder else "")


def lapsed_account(programme: str, period: str, funder: str = "") -> str:
    """What was left of a fund when its period closed, by funder as in ``fund_account``."""
    return f"lapsed:{programme}:{period}" + (f":{funder}" if funder else "")


def voucher_account(voucher_no: str) -> str:
    """The money of one voucher."""
    return f"voucher:{voucher_no}"


def claim_account(enterprise: str, programme: str, period: str) -> str:
    """What a programme that reimburses owes an enterprise that paid all first."""
    return f"claim:{enterprise}:{programme}:{period}"


def grant_account(programme: str, period: str, enterprise: str) -> str:
    """Unit-seconds that an enterprise may use free of charge (ledger ``UNIT_S``)."""
    return f"grant:{programme}:{period}:{enterprise}"


def grant_pool_account(programme: str, period: str) -> str:
    """Where granted unit-seconds come from (ledger ``UNIT_S``)."""
    return f"grant_pool:{programme}:{period}"


def consumed_account(programme: str, period: str) -> str:
    """Where used unit-seconds of grants go (ledger ``UNIT_S``)."""
    return f"consumed:{programme}:{period}"


def write_off_account(center: str) -> str:
    """What nobody pays of a center's charges."""
    return f"write_off:{center}"


def forgone_account(programme: str, period: str, funder: str = "") -> str:
    """What a fund clawed back and nobody pays, by funder as in ``fund_account``."""
    return f"forgone:{programme}:{period}" + (f":{funder}" if funder else "")


def suspense_account(center: str) -> str:
    """Differences with a center's own records until they are resolved."""
    return f"suspense:{center}"


#: The bank: where money comes from and goes to outside these books.
EXTERNAL: Final = "external"
#: Ledgers: money in fen, and free unit-seconds.
CNY: Final = "CNY"
UNIT_S: Final = "UNIT_S"


def wallet_account(enterprise: str) -> str:
    """An enterprise's own money or credit line."""
    return f"wallet:{enterprise}"


def receivable_account(enterprise: str) -> str:
    """What an enterprise owes beyond what was held."""
    return f"receivable:{enterprise}"


def payable_account(center: str) -> str:
    """What is owed to a center."""
    return f"payable:{center}"


def wallet_shard(city: str) -> str:
    """Shard of the entries on wallets of a city's enterprises."""
    return f"wallets:{city}"
