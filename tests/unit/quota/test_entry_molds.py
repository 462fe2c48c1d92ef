"""An entry from a mold is the entry of which the mold was made, but for its run."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from quota.audit import leg_id
from quota.molds import Cast, Mold
from quota.transfers import Entry, Kind, canonical

TEXT = st.text(max_size=12)
NUMBER = st.integers(0, 1 << 62)


@dataclass(frozen=True)
class Of:
    """The run of an entry."""

    uid: int
    attempt: int
    leg: int
    at_ms: int


RUNS = st.builds(Of, NUMBER, st.integers(0, 9), st.integers(0, 9), NUMBER)


def written(texts: list[str], kind: Kind, amount: int, of: Of) -> Entry:
    """An entry written in full."""
    shard, code, debit, credit, reverses, period, actor, reason, ledger = texts
    name = leg_id(of.uid, of.attempt, 0, of.leg)
    return Entry(
        shard, kind, code, debit, credit, amount, of.at_ms, f"hold:{name}", of.uid, of.attempt,
        name, reverses, period, actor, reason, ledger,
    )  # fmt: skip


@given(st.lists(TEXT, min_size=9, max_size=9), st.sampled_from(Kind), NUMBER, RUNS, RUNS, NUMBER)
def test_a_cast_is_the_entry_written_in_full(
    texts: list[str], kind: Kind, amount: int, first: Of, other: Of, seq: int
) -> None:
    mold = Mold.of(written(texts, kind, amount, first))
    entry = written(texts, kind, amount, other)
    cast = Cast(
        mold.shard, mold, entry.effective_ms, entry.idem_key, entry.job_uid, entry.attempt,
        entry.leg_id,
    )  # fmt: skip
    assert cast.fields() == entry
    assert cast.canonical(seq) == canonical(seq, entry)
