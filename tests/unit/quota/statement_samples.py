"""Charges for tests of statements and their files, and a statement made of them."""

from quota.statements import FORMAT_VERSION, Charge, Given, Line, Party, Posting, StatementKind
from quota.stating import Maker

FUND, SHARED, VOUCHER = "fund:v:2026", "fund:shared:2026", "voucher:V-1"
WALLET, DEBT, CLAIM = "wallet:w1", "receivable:w1", "claim:w1:v:2026"
PAYABLE, WRITE_OFF = "payable:ai", "write_off:ai"
#: 2026-09-21 10:00 in Shanghai.
AT_MS = 1_789_956_000_000
NAMES = {
    ("enterprises", "w1"): Party("光谷智算 <一号> & Co", "91420100MA4K000001"),
    ("programmes", "v"): Party("武汉算力券", "武政规〔2025〕3号"),
    ("programmes", "shared"): Party("走廊共享", "样例"),
}
GIVEN = {
    FUND: Given("v", 2, "RATE", AT_MS),
    SHARED: Given("shared", 1, "YEAR_CAP", AT_MS),
    VOUCHER: Given("v", 2, "VOUCHER", AT_MS),
}


def posting(
    debit: str, credit: str, amount: int, *, seq: int = 1, code: str = "SETTLE",
    ledger: str = "CNY", shard: str = "", reverses: str = "", ref_period: str = "",
) -> Posting:  # fmt: skip
    """An entry; a fund's stands in its own shard."""
    where = shard or (debit if debit.startswith("fund:") else "wallets:wuhan")
    return Posting(
        where, seq, bytes([seq % 256]) * 32, code, debit, credit, amount, ledger, reverses,
        ref_period,
    )  # fmt: skip


def charge(*postings: Posting, number: int = 1, **changes: object) -> Charge:
    """An hour of eight cards, charged by these entries."""
    values: dict[str, object] = {
        "booked_ms": AT_MS + 3_600_000 + number,
        "job_id": f"j{number:013d}",
        "run_id": f"j{number:013d}.1",
        "enterprise": "w1",
        "city": "wuhan",
        "contract": "HT-1",
        "project": "P-1",
        "center": "ai",
        "flavor": "ai/npu",
        "unit": "card",
        "unit_seconds": 8 * 3_600,
        "price_ufen": 222_222,
        "price_ids": ("ai/npu@1",),
        "use_start_ms": AT_MS,
        "use_end_ms": AT_MS + 3_600_000,
        "postings": postings,
        "given": GIVEN,
    }
    return Charge(**{**values, **changes})  # type: ignore[arg-type]


def subsidised(
    number: int = 1, fund: int = 1_920, shared: int = 960, wallet: int = 3_520
) -> Charge:
    """A charge that two funds and the wallet bear."""
    return charge(
        posting(FUND, PAYABLE, fund, seq=number),
        posting(SHARED, PAYABLE, shared, seq=number),
        posting(WALLET, PAYABLE, wallet, seq=number),
        number=number,
    )


def maker(
    kind: str = "CITY",
    owner: str = "wuhan",
    own: tuple[str, ...] = (FUND, VOUCHER),
    version: int = FORMAT_VERSION,
) -> Maker:
    """A statement that is about to be made."""
    return Maker(
        StatementKind(kind), owner, "2026-09", f"{kind}-{owner}-2026-09-R1", "FP-7",
        frozenset(own), NAMES, {}, version,
    )  # fmt: skip


def lines_of(kind: str, *charges: Charge, owner: str = "wuhan") -> tuple[Maker, list[Line]]:
    """A statement and its lines."""
    made = maker(kind, owner)
    return made, made.lines(charges)
