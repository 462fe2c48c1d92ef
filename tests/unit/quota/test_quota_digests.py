"""Texts of digests are read back as they were written, and no other text is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota.digests import NONE_BEFORE, BadDigest, Digest, last_day, parse

HEADS = {"wallets:wuhan": (7, bytes(range(32))), "fund:v:2026": (12, b"\xff" * 32)}
DIGEST = Digest("2026-03-05", 1_772_726_402_345, NONE_BEFORE, HEADS)


def test_a_digest_is_a_text_that_people_can_read() -> None:
    assert DIGEST.text().split("\n") == [
        "corridor ledger digest 1",
        "day 2026-03-05",
        "made 2026-03-05T16:00:02.345Z",
        f"previous {'0' * 64}",
        "entries 19",
        f"shard fund:v:2026\t12\t{'ff' * 32}",
        f"shard wallets:wuhan\t7\t{bytes(range(32)).hex()}",
        "",
    ]


@given(
    st.dictionaries(
        st.text("abc:-2026一", min_size=1),
        st.tuples(st.integers(0, 10**12), st.binary(min_size=32, max_size=32)),
        max_size=4,
    ),
    st.integers(0, 4 * 10**12),
)
def test_what_is_read_is_what_was_written(
    heads: dict[str, tuple[int, bytes]], made_ms: int
) -> None:
    digest = Digest(last_day(made_ms), made_ms, DIGEST.sha256(), heads)
    assert parse(digest.text()) == digest


@given(st.data())
def test_no_other_text_is_a_digest_of_the_same_heads(data: st.DataObject) -> None:
    text = DIGEST.text()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(("", "\n", "0", "x", text[at] * 2)))
    changed = text[:at] + other + text[at + 1 :]
    if changed == text:
        return
    try:
        found = parse(changed)
    except BadDigest:
        return
    assert found != DIGEST
    assert found.sha256() != DIGEST.sha256()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1: a digest begins with"),
        ("corridor ledger digest 1\nday x\n", "at least 5 lines"),
        (DIGEST.text().replace("day 2026", "date 2026"), "line 2: must begin with 'day '"),
        (DIGEST.text().replace("T16", "T96"), "line 3: "),
        (DIGEST.text().replace("\t12\t", "\tx\t"), "line 6: must have a shard"),
        (DIGEST.text().replace("entries 19", "entries 20"), "is not as a digest is written"),
    ],
)
def test_what_is_wrong_is_named(text: str, why: str) -> None:
    with pytest.raises(BadDigest, match=why):
        parse(text)


def test_a_day_ends_at_midnight_in_shanghai() -> None:
    midnight_ms = 1_772_726_400_000  # 2026-03-06 00:00 in Shanghai
    assert last_day(midnight_ms) == "2026-03-05"
    assert last_day(midnight_ms - 1) == "2026-03-04"
