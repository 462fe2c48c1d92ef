"""The hash chain and the audit of it: each kind of tampering is found, and the first row named."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota.audit import Auditor, Balance, leg_id
from quota.transfers import GENESIS, Entry, Kind, Link, canonical, chain

FUND, PAYABLE, SOURCE, WALLET = "fund:p:2026", "payable:c", "appropriation:p:2026", "wallet:e"


def entry(kind: Kind, amount: int, leg: str = "", **more: Any) -> Entry:
    """An entry from the fund to a center."""
    key = f"{kind}:{leg}:{amount}"
    return Entry(FUND, kind, "T", FUND, PAYABLE, amount, 1_000, key, 7, 1, leg)._replace(**more)


#: 1000 fen are given; two legs are held: one is posted in part, the other voided; a third is open.
ENTRIES = [
    entry(Kind.DIRECT, 1000, debit_account=SOURCE, credit_account=FUND, job_uid=0, attempt=0),
    entry(Kind.PENDING, 300, leg_id(7, 1, 0, 0)),
    entry(Kind.PENDING, 200, leg_id(8, 1, 0, 0)),
    entry(Kind.POST, 250, leg_id(7, 1, 0, 0)),
    entry(Kind.VOID, 0, leg_id(8, 1, 0, 0)),
    entry(Kind.PENDING, 100, leg_id(9, 1, 0, 0)),
]
BALANCES = {
    SOURCE: Balance(0, 1000, 0, 0),
    FUND: Balance(100, 250, 0, 1000),
    PAYABLE: Balance(0, 0, 100, 250),
    WALLET: Balance(),
}


def audit(
    links: list[Link],
    balances: dict[str, Balance] | None = None,
    heads: dict[str, tuple[int, bytes]] | None = None,
    legs: dict[str, int] | None = None,
) -> list[str]:
    """All that an audit says."""
    auditor = Auditor()
    for link in links:
        auditor.take(link)
    last = LINKS[-1]
    auditor.compare(
        BALANCES if balances is None else balances,
        {FUND: (last.seq, last.hash), "wallets:wuhan": (0, GENESIS)} if heads is None else heads,
        {leg_id(9, 1, 0, 0): 100} if legs is None else legs,
    )
    return auditor.problems


LINKS = chain(ENTRIES, 0, GENESIS)


def rechained(entries: list[Entry]) -> list[Link]:
    """As somebody would forge it who also computes the hashes anew."""
    return chain(entries, 0, GENESIS)


def test_a_sound_ledger_has_no_problems() -> None:
    assert audit(LINKS) == []


texts = st.text(max_size=8)


@given(
    st.builds(
        Entry, texts, st.sampled_from(Kind), texts, texts, texts, st.integers(0), st.integers(),
        texts, st.integers(0), st.integers(0), texts, texts, texts, texts, texts, texts,
    ),
    st.integers(1),
)  # fmt: skip
def test_what_is_hashed_is_canonical_json(one: Entry, seq: int) -> None:
    expected = json.dumps([seq, *one], ensure_ascii=False, separators=(",", ":"))
    assert canonical(seq, one) == expected


@pytest.mark.parametrize("row", range(len(LINKS)))
@pytest.mark.parametrize("name", Entry._fields)
def test_a_changed_field_is_found_in_its_row(row: int, name: str) -> None:
    before = getattr(LINKS[row].entry, name)
    after: Any = before + 1 if isinstance(before, int) else before + "x"
    changed = LINKS[row]._replace(entry=LINKS[row].entry._replace(**{name: after}))
    problems = audit([*LINKS[:row], changed, *LINKS[row + 1 :]])
    # A row that names another shard is missing in its own: there its successor shows it.
    expected = f"{after}#{row + 1}" if name == "shard" else f"{FUND}#{row + 1}"
    assert expected in problems[0]


@pytest.mark.parametrize("value", [None, b"x", "abc", 1.5])
@pytest.mark.parametrize("name", ["amount_fen", "kind", "debit_account", "leg_id"])
def test_a_value_of_another_type_is_a_problem_and_no_crash(name: str, value: Any) -> None:
    changed = LINKS[3]._replace(entry=LINKS[3].entry._replace(**{name: value}))
    problems = audit([*LINKS[:3], changed, *LINKS[4:]])
    assert f"{FUND}#4" in problems[0]


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (lambda links: links[:2] + links[3:], f"{FUND}#4"),
        (lambda links: links[:-1], f"shard {FUND}"),
        (lambda links: [links[0], *links[2:3], links[1], *links[3:]], f"{FUND}#3"),
        (lambda links: [*links[:3], links[2], *links[3:]], f"{FUND}#3"),
        (lambda links: [*links[:2], links[2]._replace(hash=bytes(32)), *links[3:]], f"{FUND}#3"),
        (lambda links: [*links[:2], links[2]._replace(prev_hash=bytes(32)), *links[3:]],
         f"{FUND}#3"),
        (lambda links: [links[0]._replace(seq=9), *links[1:]], f"{FUND}#9"),
    ],
    ids=["deleted", "last deleted", "swapped", "doubled", "hash", "previous hash", "sequence"],
)  # fmt: skip
def test_a_changed_chain_is_found_at_its_first_wrong_row(
    tamper: Callable[[list[Link]], list[Link]], named: str
) -> None:
    problems = audit(tamper(list(LINKS)))
    assert named in next(text for text in problems if "account" not in text)


@pytest.mark.parametrize(
    ("forge", "named"),
    [
        (lambda e: [*e[:3], e[3]._replace(amount_fen=301), *e[4:]], "leg 7.1.0.0"),
        (lambda e: [*e[:3], e[3]._replace(credit_account=WALLET), *e[4:]], "leg 7.1.0.0"),
        (lambda e: [*e[:4], e[3]._replace(idem_key="again"), *e[4:]], "leg 7.1.0.0"),
        (lambda e: [*e[:2], e[1]._replace(idem_key="again"), *e[2:]], "leg 7.1.0.0"),
        (lambda e: e[:-1], "leg 9.1.0.0"),
        (lambda e: [e[0]._replace(amount_fen=2000), *e[1:]], f"account {SOURCE}"),
    ],
    ids=["posts too much", "posts elsewhere", "posts twice", "holds twice", "no hold", "money"],
)  # fmt: skip
def test_forged_entries_with_good_hashes_are_still_found(
    forge: Callable[[list[Entry]], list[Entry]], named: str
) -> None:
    links = rechained(forge(list(ENTRIES)))
    problems = audit(links, heads={FUND: (links[-1].seq, links[-1].hash)})
    assert any(named in text for text in problems)


@pytest.mark.parametrize("account", BALANCES)
@pytest.mark.parametrize("side", Balance._fields)
def test_a_changed_balance_is_named(account: str, side: str) -> None:
    changed = BALANCES[account]._replace(**{side: getattr(BALANCES[account], side) + 1})
    problems = audit(LINKS, balances={**BALANCES, account: changed})
    assert len(problems) == 1
    assert f"account {account}:" in problems[0]


def test_a_missing_account_is_named() -> None:
    rest = {name: balance for name, balance in BALANCES.items() if name != PAYABLE}
    assert any(f"account {PAYABLE}" in text for text in audit(LINKS, balances=rest))


@pytest.mark.parametrize(
    "heads",
    [{}, {FUND: (0, GENESIS)}, {FUND: (6, bytes(32))}, {FUND: (5, LINKS[4].hash)}],
    ids=["gone", "reset", "another hash", "behind"],
)
def test_a_changed_head_is_named(heads: dict[str, tuple[int, bytes]]) -> None:
    assert any(f"shard {FUND}" in text for text in audit(LINKS, heads=heads))


@pytest.mark.parametrize(
    "legs",
    [{}, {leg_id(9, 1, 0, 0): 99}, {leg_id(9, 1, 0, 0): 100, leg_id(5, 1, 0, 0): 1}],
    ids=["gone", "another amount", "one more"],
)
def test_open_legs_must_be_those_of_the_holds(legs: dict[str, int]) -> None:
    assert audit(LINKS, legs=legs) != []


def test_no_more_problems_are_kept_than_asked_for() -> None:
    auditor = Auditor(problems_max=3)
    for link in LINKS:
        auditor.take(link._replace(hash=bytes(32)))
    assert (len(auditor.problems), auditor.count) == (3, len(LINKS))
