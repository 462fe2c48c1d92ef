"""Metered use that comes late, odd, twice or revised: each run is charged once, and rightly."""

import pytest

from adapters.contract import FailureClass, Phase
from quota.rules import Rule
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import job
from tests.unit.store.ingest_hands import PRICE_UFEN, cancel, running, without_programmes


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return without_programmes()


def test_late_usage_settles_the_attempt_it_is_of(it: Hands) -> None:
    """The first attempt ends unmetered; the second one runs when its usage comes."""
    uid = running(it, retry_on=frozenset({FailureClass.USER_CODE}))
    start_ms = it.clock.ms
    it.end(uid, 100, Phase.FAILED, FailureClass.USER_CODE, metered=False)
    it.clock.ms = it.job(uid, "not_before_ms")
    it.run(uid)
    first = it.seen(
        uid, Phase.FAILED, 2, attempt=1, start_ms=start_ms, end_ms=start_ms + 100_000,
        failure=FailureClass.USER_CODE,
        usage=[it.usage(uid, start_ms, start_ms + 100_000, attempt=1)],
    )  # fmt: skip
    it.report(first)
    assert it.job(uid, "state, attempt, gross_fen, settled") == ("RUNNING", 2, 22, 0)
    assert it.db.rows("SELECT attempt, settled_ms IS NULL FROM run ORDER BY 1") == [(1, 0), (2, 1)]
    it.end(uid, 50)
    assert it.job(uid, "state, gross_fen, settled") == ("SUCCEEDED", 33, 1)
    it.verify()


@pytest.mark.parametrize("together", [False, True])
def test_a_job_is_settled_once_all_its_attempts_are(it: Hands, together: bool) -> None:
    """The second attempt is settled first, or both in one batch."""
    uid = running(it, retry_on=frozenset({FailureClass.USER_CODE}))
    start_ms = it.clock.ms
    it.end(uid, 100, Phase.FAILED, FailureClass.USER_CODE, metered=False)
    it.clock.ms = it.job(uid, "not_before_ms")
    it.run(uid)
    again_ms = it.clock.ms
    late = it.seen(
        uid, Phase.FAILED, 2, attempt=1, failure=FailureClass.USER_CODE,
        usage=[it.usage(uid, start_ms, start_ms + 100_000, attempt=1)],
    )  # fmt: skip
    last = it.seen(
        uid, Phase.SUCCEEDED, 2, start_ms=again_ms, end_ms=again_ms + 50_000,
        usage=[it.usage(uid, again_ms, again_ms + 50_000)],
    )  # fmt: skip
    it.clock.ms += 60_000
    if together:
        it.report(last, late)
    else:
        it.report(last)
        assert it.job(uid, "state, gross_fen, settled") == ("SUCCEEDED", 11, 0)
        it.report(late)
    assert it.job(uid, "state, gross_fen, settled") == ("SUCCEEDED", 33, 1)
    states = [state for (state,) in it.db.rows("SELECT state FROM event WHERE kind = 'SETTLED'")]
    assert states == ["SUCCEEDED", "SUCCEEDED"]
    it.verify()


def test_usage_that_makes_no_sense_bills_nothing_and_frees_nothing(it: Hands) -> None:
    uid = running(it)
    at_ms = it.clock.ms
    it.end(uid, 100, metered=False)
    for wrong in (
        [it.usage(uid, at_ms, at_ms - 1)],
        [it.usage(uid, at_ms, at_ms + 9_000, units=0)],
        [
            it.usage(uid, at_ms, at_ms + 9_000),
            it.usage(uid, at_ms + 8_000, at_ms + 9_500, segment=1),
        ],
    ):
        it.report(it.seen(uid, Phase.SUCCEEDED, 2, usage=wrong))
        assert it.job(uid, "state, settled") == ("SUCCEEDED", 0)
    assert it.db.rows("SELECT state FROM hold") == [("HELD",)]
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, usage=[it.usage(uid, at_ms, at_ms + 100_000)]))
    assert it.job(uid, "settled, gross_fen") == (1, 22)
    it.verify()


def test_the_newest_revision_of_each_segment_is_billed(it: Hands) -> None:
    uid = running(it)
    at_ms = it.clock.ms
    it.end(uid, 100, metered=False)
    usage = [
        it.usage(uid, at_ms + 60_000, at_ms + 100_000, segment=1, revision=2),
        it.usage(uid, at_ms, at_ms + 30_000, segment=0, revision=1),
        it.usage(uid, at_ms + 60_000, at_ms + 300_000, segment=1, revision=1),
        it.usage(uid, at_ms, at_ms + 30_000, segment=0, revision=1),
    ]
    it.report(it.seen(uid, Phase.SUCCEEDED, 2, usage=usage))
    assert it.db.rows("SELECT segment, revision FROM usage_record ORDER BY segment") == [
        (0, 1), (1, 2),
    ]  # fmt: skip
    assert it.job(uid, "gross_fen") == (2 * 70 * PRICE_UFEN + 1_000_000) // 2_000_000
    it.verify()


def beyond(fund_fen: int, credit_fen: int) -> tuple[Hands, int]:
    """A run of 60 s at most, for which a fund holds 6 fen and the wallet 7, and that used 20."""
    it = Hands(
        worlds.build(rules=((Rule("v", 1, "wuhan", 5000), fund_fen),), credit={"w1": credit_fen})
    )
    [uid] = it.world.submit("w1", [job(wall_s=60)])
    it.run(uid)
    it.end(uid, 90)
    it.verify()
    return it, uid


def debits(it: Hands) -> list[int]:
    """What the fund, the wallet, and the enterprise's debt gave."""
    names = ("fund:v:2026", "wallet:w1", "receivable:w1")
    found = dict(it.db.rows("SELECT account_id, debits_posted FROM account"))
    return [found[name] for name in names]


@pytest.mark.parametrize(
    ("fund_fen", "credit_fen", "expected"),
    [
        (10**6, 10**6, [10, 10, 0]),
        (6, 10**6, [6, 14, 0]),
        (8, 9, [8, 9, 3]),
        (6, 7, [6, 7, 7]),
    ],
)
def test_what_was_metered_beyond_the_wall_limit_is_paid_by_fund_wallet_and_debt(
    fund_fen: int, credit_fen: int, expected: list[int]
) -> None:
    """Each as far as it has anything left: a fund never owes (T7)."""
    it, uid = beyond(fund_fen, credit_fen)
    assert debits(it) == expected
    assert it.job(uid, "gross_fen, subsidy_fen") == (20, expected[0])
    codes = it.db.rows(
        "SELECT code, sum(amount_fen) FROM transfer WHERE kind <> 'PENDING'"
        " AND job_uid <> 0 GROUP BY code ORDER BY code"
    )
    assert sum(fen for _, fen in codes) == 20


def test_a_settlement_frees_what_one_that_ran_over_may_take() -> None:
    """In one batch, whatever the order: what is freed pays for what was used beyond a hold."""
    for order in (1, -1):
        it = Hands(worlds.build(rules=(), credit={"w1": 26}))
        uids = it.world.submit("w1", [job(wall_s=60), job(wall_s=60)])
        it.run(*uids)
        start_ms = it.clock.ms
        it.clock.ms += 100_000
        reports = [
            it.seen(
                uid, Phase.SUCCEEDED, 2, start_ms=start_ms, end_ms=start_ms + used_s * 1000,
                usage=[it.usage(uid, start_ms, start_ms + used_s * 1000)],
            )
            for uid, used_s in zip(uids, (30, 90), strict=True)
        ]  # fmt: skip
        it.report(*reports[::order])
        rows = it.db.rows(
            "SELECT account_id, debits_posted FROM account"
            " WHERE account_id IN ('wallet:w1', 'receivable:w1') ORDER BY account_id"
        )
        assert rows == [("receivable:w1", 1), ("wallet:w1", 26)]
        it.verify()


def test_a_run_that_never_started_costs_nothing(it: Hands) -> None:
    [uid] = it.world.submit("w1", [job()])
    it.admit(uid)
    it.send(uid)
    it.accept(uid)
    cancel(it, uid)
    it.report(it.seen(uid, Phase.CANCELLED, 2, end_ms=it.clock.ms, usage=[]))
    assert it.job(uid, "state, gross_fen, settled") == ("CANCELLED", 0, 1)
    it.verify()
