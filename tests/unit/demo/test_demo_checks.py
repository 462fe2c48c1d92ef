"""Each check of the demonstration holds for a sound history and fails for each way to be wrong."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from quota.transfers import Entry, Kind, Link, chain
from scheduler.demo.checks import (
    Charged,
    Holding,
    Limits,
    Seen,
    holdings,
    ledger_holds,
    no_run_doubled,
    none_lost,
    nothing_went_wrong,
    peaks,
    quota_kept,
)
from scheduler.demo.journals import Stay
from scheduler.store.evidence import AccountRow, RunRow

FLAVOR = "center-a/card"
PRICES = {FLAVOR: 250_000}  # 0.25 fen a second


def stay(uid: int, attempt: int, accept_ms: int, end_ms: int | None, **more: Any) -> Stay:
    made = Stay(
        "center-a", f"corridor-{uid}.{attempt}", uid, attempt, "wuhan", "e1", FLAVOR, 2,
        accept_ms, 10_000, "SUCCEEDED", accept_ms, end_ms,
    )  # fmt: skip
    return replace(made, **more)


def run(uid: int, attempt: int, admit_ms: int, end_ms: int | None, **more: Any) -> RunRow:
    made = RunRow(
        uid, attempt, "wuhan", "e1", "center-a", FLAVOR, 2, "SUCCEEDED", admit_ms, admit_ms,
        end_ms, end_ms, None,
    )  # fmt: skip
    return made._replace(**more)


# --- no run doubled -------------------------------------------------------------------------------

STAYS = [stay(1, 1, 100, 5_100, outcome="NODE"), stay(1, 2, 6_000, 16_000), stay(2, 1, 100, 900)]
RUNS = [run(1, 1, 90, 5_100), run(1, 2, 5_900, 16_000), run(2, 1, 90, 900)]


def test_a_sound_history_doubles_nothing() -> None:
    check = no_run_doubled(STAYS, RUNS)
    assert check.ok
    assert check.counts == {"runs": 3, "accepted": 3}


@pytest.mark.parametrize(
    ("stays", "runs", "problem"),
    [
        ([*STAYS, stay(2, 1, 100, 900)], RUNS, "accepted corridor-2.1 2 times"),
        ([*STAYS, stay(2, 1, 950, 960, center="b")], RUNS, "by center-a and by b"),
        ([*STAYS, stay(3, 1, 100, 900)], RUNS, "a run that the store does not know"),
        (STAYS, [*RUNS, run(3, 1, 90, 900)], "no center ever accepted it"),
        ([*STAYS[:2], stay(2, 1, 100, None)], RUNS, "still has corridor-2.1"),
        (STAYS, [*RUNS[:2], run(2, 1, 90, 900, state="UNKNOWN")], "is still UNKNOWN"),
        (STAYS, [*RUNS, run(2, 1, 90, 900)], "1 runs are in the store twice"),
        (STAYS, [RUNS[0], run(1, 2, 5_000, 16_000), RUNS[2]], "two active runs at 5000 ms"),
        ([STAYS[0], stay(1, 2, 5_000, 16_000), STAYS[2]], RUNS, "by the journals"),
    ],
)
def test_a_doubled_run_is_found(stays: list[Stay], runs: list[RunRow], problem: str) -> None:
    check = no_run_doubled(stays, runs)
    assert any(problem in text for text in check.problems), check.problems


# --- the ledger -----------------------------------------------------------------------------------


def entry(kind: Kind, amount: int, leg: str, uid: int = 1, **more: Any) -> Entry:
    made = Entry(
        "wallets:wuhan", kind, "HOLD", "wallet:e1", "payable:a", amount, 7, f"{kind}:{leg}",
        uid, 1, leg,
    )  # fmt: skip
    return made._replace(**more)


#: Run 1.1 held 9 fen and used 2 units x 5 s = 2.5, rounded to 3; run 2.1 was its node's fault.
ENTRIES = [
    entry(Kind.PENDING, 9, "1.1.0.0"),
    entry(Kind.PENDING, 4, "2.1.0.0", 2),
    entry(Kind.POST, 3, "1.1.0.0"),
    entry(Kind.VOID, 0, "2.1.0.0", 2),
]
METERED = [stay(1, 1, 100, 5_100), stay(2, 1, 100, 900, outcome="NODE")]
ACCOUNTS = [AccountRow("payable:a", 0, 0, 0, 3), AccountRow("wallet:e1", 0, 3, 0, 0)]
CHARGED = [Charged(1, 3, 0, 3), Charged(2, 0, 0, 0)]


def links(entries: Iterable[Entry]) -> list[Link]:
    return chain(entries, 0, bytes(32))


def test_a_sound_ledger_holds() -> None:
    check = ledger_holds(links(ENTRIES), ACCOUNTS, 0, METERED, PRICES, CHARGED)
    assert check.ok, check.problems
    assert check.counts == {"transfers": 4, "shards": 1, "charged": 1, "gross_fen": 3}


def test_a_cancelled_run_is_billed_for_its_use_whatever_it_would_have_become() -> None:
    cancelled = [stay(1, 1, 100, 5_100, outcome="NODE", cancelled=True), METERED[1]]
    assert ledger_holds(links(ENTRIES), ACCOUNTS, 0, cancelled, PRICES, CHARGED).ok


def test_what_the_platform_ended_is_not_billed() -> None:
    ended = [stay(1, 1, 100, 5_100, cancelled=True), METERED[1]]
    ended[0].told = True
    check = ledger_holds(links(ENTRIES), ACCOUNTS, 0, ended, PRICES, CHARGED)
    assert "run 1.1: the ledger posted 3 fen, its use at the price is 0" in check.problems


def changed(index: int, **more: Any) -> Callable[[], list[Link]]:
    def make() -> list[Link]:
        made = links(ENTRIES)
        made[index] = made[index]._replace(entry=made[index].entry._replace(**more))
        return made

    return make


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (changed(2, amount_fen=2), "entry 3 of wallets:wuhan does not follow"),
        (changed(2, reason="better"), "entry 3 of wallets:wuhan does not follow"),
        (lambda: links(ENTRIES)[1:], "does not follow"),
        (lambda: links(ENTRIES[:2] + ENTRIES[3:]), "run 1.1: the ledger posted 0 fen"),
        (lambda: links([*ENTRIES, ENTRIES[2]]), "resolves what is not held"),
        (lambda: links([*ENTRIES, entry(Kind.PENDING, 5, "3.1.0.0", 3)]), "its entries come to"),
        (lambda: links([entry(Kind.DIRECT, 1, "", 0, debit_account="x")]), "is not there"),
    ],
)
def test_a_wrong_entry_is_found(made: Callable[[], list[Link]], problem: str) -> None:
    check = ledger_holds(made(), ACCOUNTS, 0, METERED, PRICES, CHARGED)
    assert any(problem in text for text in check.problems), check.problems


@pytest.mark.parametrize(
    ("accounts", "holds", "stays", "charged", "problem"),
    [
        (ACCOUNTS, 1, METERED, CHARGED, "1 holds are open"),
        ([ACCOUNTS[0], AccountRow("wallet:e1", 0, 4, 0, 0)], 0, METERED, CHARGED, "debits and"),
        ([ACCOUNTS[0], AccountRow("wallet:e1", 5, 3, 0, 0)], 0, METERED, CHARGED, "still holds 5"),
        (ACCOUNTS, 0, [stay(1, 1, 100, 9_100), METERED[1]], CHARGED, "its use at the price is 5"),
        (ACCOUNTS, 0, [METERED[0], stay(2, 1, 100, 3_000)], CHARGED, "run 2.1: the ledger"),
        (ACCOUNTS, 0, [*METERED, METERED[0]], CHARGED, "its use at the price is 6"),
        (ACCOUNTS, 0, METERED, [Charged(1, 4, 1, 3), CHARGED[1]], "job 1: costs (4, 1, 3)"),
        (ACCOUNTS, 0, METERED, [Charged(1, 3, 1, 3), CHARGED[1]], "job 1: costs (3, 1, 3)"),
    ],
)
def test_what_the_ledger_does_not_cover_is_found(
    accounts: list[AccountRow], holds: int, stays: list[Stay], charged: list[Charged], problem: str
) -> None:
    check = ledger_holds(links(ENTRIES), accounts, holds, stays, PRICES, charged)
    assert any(problem in text for text in check.problems), check.problems


# --- quotas ---------------------------------------------------------------------------------------

LIMITS = {
    ("wuhan", FLAVOR): Limits(6, borrow=2),
    ("ezhou", FLAVOR): Limits(4, lend=2),
}
HELD = [
    Holding("wuhan", FLAVOR, 6, 0, 100),
    Holding("wuhan", FLAVOR, 2, 50, 100),
    Holding("wuhan", FLAVOR, 8, 100, 200),
    Holding("ezhou", FLAVOR, 2, 0, 300),
]


def test_quotas_that_were_kept_hold_at_every_instant() -> None:
    assert quota_kept(HELD, LIMITS, {FLAVOR: 10}).ok
    assert peaks(HELD) == {("wuhan", FLAVOR): 8, ("ezhou", FLAVOR): 2}


@pytest.mark.parametrize(
    ("more", "capacity", "problem"),
    [
        (Holding("wuhan", FLAVOR, 1, 99, 101), 12, "wuhan held 9 of"),
        (Holding("ezhou", FLAVOR, 1, 100, 101), 10, "11 of center-a/card were held at 100"),
        (Holding("huangshi", FLAVOR, 1, 250, 260), 10, "has no quota of it"),
    ],
)
def test_a_quota_that_was_exceeded_is_found(more: Holding, capacity: int, problem: str) -> None:
    check = quota_kept([*HELD, more], LIMITS, {FLAVOR: capacity})
    assert any(problem in text for text in check.problems), check.problems


def test_what_is_guaranteed_to_others_may_not_be_held() -> None:
    wuhan_alone = [Holding("wuhan", FLAVOR, 8, 0, 100)]
    assert quota_kept(wuhan_alone, LIMITS, {FLAVOR: 10}).ok
    check = quota_kept(wuhan_alone, LIMITS, {FLAVOR: 9})
    assert "10 held or guaranteed of 9" in check.problems[0]


def test_a_run_holds_from_admission_to_the_end_at_its_center() -> None:
    runs = [run(1, 1, 90, 5_500), run(2, 1, 90, 700), run(3, 1, 90, None)]
    assert holdings(runs, [stay(1, 1, 100, 5_100)]) == [
        Holding("wuhan", FLAVOR, 2, 90, 5_100),
        Holding("wuhan", FLAVOR, 2, 90, 700),
    ]


# --- acknowledged jobs ----------------------------------------------------------------------------

ACKNOWLEDGED = {"j1": ("e1", 11), "j2": ("e2", 12)}
SEEN = [Seen("j1", "e1", "11", "SUCCEEDED", True), Seen("j2", "e2", "12", "EXPIRED", True)]


def test_all_acknowledged_jobs_are_there() -> None:
    check = none_lost(ACKNOWLEDGED, SEEN)
    assert check.ok
    assert check.counts == {"acknowledged": 2, "ended": 2}


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        (SEEN[:1], "j2 was acknowledged and is not there"),
        ([*SEEN, Seen("j3", "e1", "13", "FAILED", True)], "j3 is there and was never"),
        ([*SEEN, SEEN[0]], "j1 is listed 2 times"),
        ([SEEN[0], SEEN[1]._replace(number="11")], "j2 is not the job that was sent"),
        ([SEEN[0], SEEN[1]._replace(enterprise="e1")], "j2 is not the job that was sent"),
        ([SEEN[0], SEEN[1]._replace(state="RUNNING")], "j2 is RUNNING"),
        ([SEEN[0], SEEN[1]._replace(settled=False)], "j2 is EXPIRED, not settled"),
    ],
)
def test_a_lost_or_foreign_job_is_found(seen: list[Seen], problem: str) -> None:
    assert any(problem in text for text in none_lost(ACKNOWLEDGED, seen).problems)


def test_a_job_acknowledged_under_two_ids_is_found() -> None:
    twice = ACKNOWLEDGED | {"j3": ("e1", 11)}
    seen = [*SEEN, Seen("j3", "e1", "11", "SUCCEEDED", True)]
    assert "job 11 of the trace was acknowledged under 2 ids" in none_lost(twice, seen).problems


def test_many_problems_are_counted_not_listed() -> None:
    check = none_lost({f"j{n}": ("e1", n) for n in range(100)}, [])
    assert len(check.problems) == 21
    assert check.problems[-1] == "and 80 more"


# --- the log --------------------------------------------------------------------------------------


def test_errors_in_the_log_are_found_and_grouped() -> None:
    log = [
        '{"event": "serving", "level": "info"}',
        "what a library prints",
        "{broken",
        '{"event": "center_away", "level": "warning", "error": "Unavailable"}',
    ]
    assert nothing_went_wrong(log).ok
    failed = '{"event": "loop_failed", "level": "error", "exception": "Traceback\\nKeyError: 72"}'
    check = nothing_went_wrong([*log, failed, failed, '{"event": "orphan", "level": "error"}'])
    assert check.counts == {"lines": 7}
    assert check.problems == ("2 times: loop_failed KeyError: 72", "1 times: orphan")
