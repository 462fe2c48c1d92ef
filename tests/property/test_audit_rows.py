"""The quick way through stored rows finds what the plain audit of each entry finds."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from quota.audit import Auditor, Balance
from quota.transfers import GENESIS, Entry, Kind, Link, canonical, chain, is_canonical

_KINDS = (*Kind, "SEIZE")
_ACCOUNTS = ("fund:a:2026", "payable:c", "wallet:e")
_SHARDS = ("fund:a:2026", "wallets:w")

_entries = st.builds(
    Entry,
    shard=st.sampled_from(_SHARDS),
    kind=st.sampled_from(_KINDS),
    code=st.just("T"),
    debit_account=st.sampled_from(_ACCOUNTS),
    credit_account=st.sampled_from(_ACCOUNTS),
    amount_fen=st.integers(0, 3),
    effective_ms=st.just(1_000),
    idem_key=st.just("k"),
    leg_id=st.sampled_from(("1.1.0.0", "1.1.0.1", "")),
    reason=st.sampled_from(("", '算力券 "quoted"', "a,b", "a\\", "a\nb\x01", "算力券")),
)


@st.composite
def _ledgers(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Rows of a ledger, chained as they should be; a few of them changed afterwards, or gone."""
    entries = draw(st.lists(_entries, max_size=12))
    rows: list[list[Any]] = [
        [*link.entry, link.seq, link.prev_hash, link.hash]
        for shard in _SHARDS
        for link in chain([one for one in entries if one.shard == shard], 0, GENESIS)
    ]
    for _ in range(draw(st.integers(0, 2)) if rows else 0):
        row = rows[draw(st.integers(0, len(rows) - 1))]
        at = draw(st.integers(1, len(row) - 1))
        row[at] = draw(st.sampled_from(_others(row[at])))
    if draw(st.booleans()) and rows:
        del rows[draw(st.integers(0, len(rows) - 1))]
    return [tuple(row) for row in rows]


def _others(value: object) -> tuple[object, ...]:
    """What a column may hold instead: SQLite keeps text in a column of numbers."""
    if isinstance(value, bytes):
        return (b"", bytes(32))
    return ("x", 7) if isinstance(value, str) else (7, 0)


def _chained(*entries: Entry) -> list[tuple[Any, ...]]:
    return [(*one.entry, one.seq, one.prev_hash, one.hash) for one in chain(entries, 0, GENESIS)]


_HELD = Entry("s", Kind.PENDING, "T", "wallet:e", "payable:c", 2, 1_000, "h", leg_id="1.1.0.0")
_PAID = _HELD._replace(kind=Kind.POST, amount_fen=1)


def _findings(auditor: Auditor) -> tuple[int, list[str]]:
    auditor.compare({"wallet:e": Balance()}, {}, {})
    return auditor.count, auditor.problems


@given(_ledgers())
@example(_chained(_HELD, _PAID._replace(amount_fen=3)))
@example(_chained(_HELD, _PAID._replace(debit_account="fund:a:2026")))
@example(_chained(_HELD, _PAID._replace(kind=Kind.VOID)))
@example(_chained(_HELD, _HELD))
@example(_chained(_HELD, _PAID, _PAID))
@example([*_chained(_HELD), *[(*_PAID, 2, bytes(32), bytes(32))]])
def test_rows_are_judged_as_the_plain_audit_judges_them(rows: list[tuple[Any, ...]]) -> None:
    plain, quick = Auditor(), Auditor()
    for *entry, seq, prev, digest in rows:
        plain.take(Link(Entry._make(entry), seq, prev, digest))
    quick.take_rows(rows)
    assert _findings(quick) == _findings(plain)


def _typed(row: tuple[Any, ...]) -> bool:
    """Whether a database that minds types could store a row."""
    *entry, seq, _, _ = row
    numbers = (seq, *(entry[Entry._fields.index(name)] for name in _NUMBERS))
    texts = (one for name, one in zip(Entry._fields, entry, strict=True) if name not in _NUMBERS)
    return all(type(one) is int for one in numbers) and all(isinstance(one, str) for one in texts)


_NUMBERS = ("amount_fen", "effective_ms", "job_uid", "attempt")


def _text(seq: int, entry: tuple[Any, ...]) -> str:
    """A canonical text of which nothing is escaped."""
    shown = (
        f"{one}" if name in _NUMBERS else f'"{one}"'
        for name, one in zip(Entry._fields, entry, strict=True)
    )
    return f"[{seq},{','.join(shown)}]"


@given(_ledgers())
@example(_chained(_HELD, _PAID._replace(amount_fen=3)))
@example(_chained(_HELD, _PAID._replace(reason='a","b')))
@example(_chained(_HELD, _PAID._replace(kind=Kind.VOID, amount_fen=0), _PAID))
@example([*_chained(_HELD), *[(*_PAID, 2, bytes(32), bytes(32))]])
def test_texts_are_judged_as_the_plain_audit_judges_their_entries(
    rows: list[tuple[Any, ...]],
) -> None:
    rows = [row for row in rows if _typed(row)]
    plain, quick = Auditor(), Auditor()
    links = [Link(Entry._make(entry), *rest) for *entry, rest in ((*r[:16], r[16:]) for r in rows)]
    for link in links:
        plain.take(link)
    left = iter(links)

    def read(shard: str, seq: int) -> Link:
        return next(one for one in left if (one.entry.shard, one.seq) == (shard, seq))

    quick.take_texts(
        (
            (e.shard, seq, e.amount_fen, _text(seq, e), prev, digest)
            for e, seq, prev, digest in links
        ),
        read,
    )
    assert _findings(quick) == _findings(plain)


@given(_entries, st.text(st.characters(max_codepoint=0x2FF) | st.sampled_from('"\\算'), max_size=9))
def test_a_text_is_canonical_if_nothing_in_it_was_to_be_escaped(one: Entry, word: str) -> None:
    entry = one._replace(reason=word)
    made = _text(7, entry)
    assert is_canonical(made.encode()) == (made == canonical(7, entry))
