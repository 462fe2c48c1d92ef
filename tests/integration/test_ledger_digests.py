"""Signed digests: one a day, chained, and any rewriting of what they stand for is found."""

from pathlib import Path

import pytest

from quota.digests import parse
from scheduler.control.digesting import DigestDesk
from scheduler.signing import Signer, is_signed
from scheduler.store import digests, funds, leader
from scheduler.store.digests import StoredDigest
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

DAY_MS = 86_400_000


@pytest.fixture
def hands(each_store: str) -> Hands:
    """A ledger with a settled run, on each store."""
    it = Hands(worlds.build())
    (uid,) = it.world.submit("w1", [job(NPU)])
    it.run(uid)
    it.end(uid, 100)
    return it


def made(hands: Hands, desk: DigestDesk) -> StoredDigest | None:
    """What the leader makes now."""
    epoch, now_ms = hands.epoch, hands.clock.ms
    return hands.db.do(lambda c: digests.make(c, epoch, now_ms, desk.sign))


def problems(hands: Hands) -> list[str]:
    """What verification says."""
    return list(hands.db.do(funds.verify).problems)


def test_one_digest_a_day_each_naming_the_one_before(hands: Hands, tmp_path: Path) -> None:
    desk = DigestDesk(Signer.new(), tmp_path)
    first = made(hands, desk)
    assert first is not None
    assert made(hands, desk) is None
    hands.clock.ms += DAY_MS
    second = made(hands, desk)
    assert second is not None
    assert parse(second.body).previous == first.sha256
    assert is_signed(second.public_pem, second.body, second.signature)
    stored = hands.db.do(lambda c: digests.list_newest(c, 10))
    assert stored == [second, first]
    assert hands.db.do(lambda c: digests.find(c, first.day)) == first
    assert problems(hands) == []


def test_who_leads_no_more_signs_nothing(hands: Hands, tmp_path: Path) -> None:
    desk = DigestDesk(Signer.new(), tmp_path)
    with pytest.raises(leader.Fenced):
        hands.db.do(lambda c: digests.make(c, hands.epoch - 1, hands.clock.ms, desk.sign))
    assert hands.db.do(lambda c: digests.list_newest(c, 10)) == []


def test_entries_that_were_written_since_are_in_order(hands: Hands, tmp_path: Path) -> None:
    first = made(hands, DigestDesk(Signer.new(), tmp_path))
    assert first is not None
    (uid,) = hands.world.submit("w1", [job(NPU)])
    hands.run(uid)
    heads = parse(first.body).heads
    assert hands.db.do(lambda c: digests.check_heads(c, heads)) == []


def test_a_rewritten_chain_disagrees_with_a_digest_that_was_kept(
    hands: Hands, tmp_path: Path
) -> None:
    kept = made(hands, DigestDesk(Signer.new(), tmp_path))
    assert kept is not None
    heads = dict(parse(kept.body).heads)
    shard = max(heads, key=lambda one: heads[one][0])
    sequence, head = heads[shard]
    heads[shard] = (sequence, bytes(32))  # as if the chain had been made anew
    assert hands.db.do(lambda c: digests.check_heads(c, heads)) == [
        f"shard {shard}: entry #{sequence} or one before it was rewritten"
    ]
    heads[shard] = (sequence + 1, head)
    assert hands.db.do(lambda c: digests.check_heads(c, heads)) == [
        f"shard {shard}: entry #{sequence + 1} is missing"
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("body = replace(body, 'entries', 'entry')", "was changed after it was written: line 5"),
        ("sha256 = 'x'", "was changed after it was written"),
        ("day = '2020-01-01'", "its text is of"),
    ],
)
def test_a_changed_digest_is_found(change: str, said: str, tmp_path: Path) -> None:
    hands = Hands(worlds.build())
    assert made(hands, DigestDesk(Signer.new(), tmp_path)) is not None
    hands.db.do(lambda c: c.exec_driver_sql("DROP TRIGGER ledger_digest_no_update"))
    hands.db.do(lambda c: c.exec_driver_sql(f"UPDATE ledger_digest SET {change}"))
    assert any(one.startswith("ledger_digest ") and said in one for one in problems(hands))


def test_a_digest_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    hands = Hands(worlds.build())
    desk = DigestDesk(Signer.new(), tmp_path)
    for _ in range(3):
        assert made(hands, desk) is not None
        hands.clock.ms += DAY_MS
    hands.db.do(lambda c: c.exec_driver_sql("DROP TRIGGER ledger_digest_no_delete"))
    gone = "DELETE FROM ledger_digest WHERE day = (SELECT min(day) FROM ledger_digest)"
    hands.db.do(lambda c: c.exec_driver_sql(gone))
    assert any("does not follow the digest before it" in one for one in problems(hands))


def test_files_are_left_for_others_to_keep(tmp_path: Path) -> None:
    hands = Hands(worlds.build())
    desk = DigestDesk(Signer.new(), tmp_path / "digests")
    digest = made(hands, desk)
    assert digest is not None
    desk.write(digest)
    files = {path.name: path.read_bytes() for path in desk.directory.iterdir()}
    name = f"corridor-ledger-{digest.day}.txt"
    assert files == {
        name: digest.body.encode(),
        f"{name}.sig": digest.signature,
        f"corridor-ledger-{digest.key_id}.pub.pem": digest.public_pem,
    }
