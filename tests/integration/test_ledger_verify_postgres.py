"""Verification on PostgreSQL: what its superuser changes past all guards is found and named."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from quota.rules import Rule
from quota.transfers import Entry, Kind
from scheduler.store import funds
from scheduler.store.bookings import book
from tests.postgres import Postgres
from tests.simulation import inline_store
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, job

#: Past triggers and foreign keys, as a superuser may; checks hold even then.
ABOVE = "SET session_replication_role = replica"


@pytest.fixture
def it(postgres: Postgres) -> Iterator[Hands]:
    """A ledger with holds and settlements."""
    with inline_store.on(postgres):
        rules = (
            (Rule("v", 1, "wuhan", 3000, year_cap_fen=5_000), 10_000),
            (Rule("shared", 1, "corridor", 2000, priority=1, base="REMAINING"), 10_000),
        )
        it = Hands(worlds.build(rules=rules))
        uids = it.world.submit("w1", [job(NPU), job(NPU), job(CPU, 8)])
        it.run(*uids)
        it.end(uids[0], 100)
        it.verify()
        yield it


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE transfer SET amount_fen = amount_fen + 1 WHERE shard = 'fund:v:2026'"
         " AND seq = 2", "transfer fund:v:2026#2"),
        ("UPDATE transfer SET reason = 'x' WHERE shard = 'wallets:wuhan' AND seq = 1",
         "transfer wallets:wuhan#1"),
        ("DELETE FROM transfer WHERE shard = 'wallets:wuhan' AND seq = 1",
         "transfer wallets:wuhan#2"),
        ("UPDATE ledger_shard SET hash = sha256('x') WHERE shard = 'fund:v:2026'",
         "shard fund:v:2026"),
        ("UPDATE account SET debits_posted = debits_posted + 1 WHERE account_id = 'wallet:w1'",
         "account wallet:w1"),
        ("UPDATE cap_counter SET posted_fen = posted_fen + 1", "cap_counter v/w1"),
        ("UPDATE rated_line SET gross_fen = gross_fen + 1", "rated_line"),
        ("UPDATE usage_record SET end_ms = end_ms + 1000", "of run"),
        ("DELETE FROM subsidy_line", "subsidy_line"),
        ("UPDATE rule_version SET body = body || ' ' WHERE programme = 'v'", "rule_version v/1"),
    ],
)  # fmt: skip
def test_what_a_superuser_changes_is_named(it: Hands, change: str, named: str) -> None:
    beside = it.db.beside()
    beside.execute(ABOVE)
    assert beside.execute(change).rowcount > 0
    problems = it.db.read_sync(funds.verify).problems
    assert any(named in problem for problem in problems), problems


def test_a_chain_longer_than_what_is_fetched_at_once_is_verified_whole(it: Hands) -> None:
    entries = [
        Entry("wallets:wuhan", Kind.DIRECT, "WALLET_TOP_UP", "external", "wallet:w1", 1, 0, f"{n}")
        for n in range(10_050)
    ]
    it.db.do(lambda c: c.exec_driver_sql(
        "INSERT INTO account (account_id, ledger, kind, owner, city, limited, credit_limit_fen,"
        " debits_pending, debits_posted, credits_pending, credits_posted)"
        " VALUES ('external', 'CNY', 'EXTERNAL', '', '', FALSE, 0, 0, 0, 0, 0)"
        " ON CONFLICT DO NOTHING"
    ))  # fmt: skip
    it.db.do(lambda c: book(c, entries))
    before = it.db.rows("SELECT count(*) FROM transfer")[0][0]
    found = it.db.read_sync(funds.verify)
    assert (found.transfer_count, found.problems) == (before, ())
    beside = it.db.beside()
    beside.execute(ABOVE)
    beside.execute("UPDATE transfer SET actor = 'x' WHERE shard = 'wallets:wuhan' AND seq = 10001")
    assert it.db.read_sync(funds.verify).problems[0].startswith("transfer wallets:wuhan#10001")


def test_entries_whose_texts_need_escapes_are_verified_as_they_were_hashed(it: Hands) -> None:
    words = ('算力券 "A"', "a,b", "a\\b", "a\nb\x01", "'", "")
    entries = [
        Entry("wallets:wuhan", Kind.DIRECT, "WALLET_TOP_UP", "external", "wallet:w1", 1, 0, f"t{n}",
              reason=word, actor=word)
        for n, word in enumerate(words)
    ]  # fmt: skip
    it.db.do(lambda c: c.exec_driver_sql(
        "INSERT INTO account (account_id, ledger, kind, owner, city, limited, credit_limit_fen,"
        " debits_pending, debits_posted, credits_pending, credits_posted)"
        " VALUES ('external', 'CNY', 'EXTERNAL', '', '', FALSE, 0, 0, 0, 0, 0)"
        " ON CONFLICT DO NOTHING"
    ))  # fmt: skip
    it.db.do(lambda c: book(c, entries))
    assert it.db.read_sync(funds.verify).problems == ()
    beside = it.db.beside()
    beside.execute(ABOVE)
    beside.execute("UPDATE transfer SET reason = 'a\\' WHERE reason = 'a,b'")
    (first, *_) = it.db.read_sync(funds.verify).problems
    assert "was changed after it was written" in first


def test_both_connections_of_a_verification_read_one_snapshot(it: Hands) -> None:
    beside = it.db.beside()
    beside.execute(ABOVE)

    def verify(connection: Connection) -> tuple[str, ...]:
        assert connection.exec_driver_sql("SELECT count(*) FROM rated_line").scalar_one()
        beside.execute("UPDATE rated_line SET gross_fen = gross_fen + 1")
        return funds.verify(connection).problems

    assert it.db.read_sync(verify) == ()
    assert it.db.read_sync(funds.verify).problems
