"""Figures of the demonstration's tables, from rows worked out by hand."""

from dataclasses import replace

import pytest

from quota.transfers import Entry, Kind, chain
from scheduler.demo.checks import Holding
from scheduler.demo.journals import Stay
from scheduler.demo.report import (
    EVERYONE,
    NOWHERE,
    EndedJob,
    Jobs,
    Use,
    jobs_by_city,
    quantile,
    total_jobs,
    use_by_city,
)
from scheduler.store.evidence import RunRow

CARD = "wuhan-ai/ascend-910b"
CORE = "wuhan-sc/kunpeng-920"


def run(uid: int, attempt: int, flavor: str, start_ms: int | None, city: str = "wuhan") -> RunRow:
    center = flavor.partition("/")[0]
    return RunRow(uid, attempt, city, "e1", center, flavor, 4, "SUCCEEDED", 0, start_ms, 9, 9, None)


RUNS = [
    run(1, 1, CARD, 3_000),
    run(1, 2, CORE, 9_000),
    run(2, 1, CARD, 2_000),
    run(3, 1, CARD, None),
    run(5, 1, CORE, 500, "ezhou"),
]


def test_jobs_stand_with_the_center_of_their_last_run_and_wait_for_their_first() -> None:
    jobs = [
        EndedJob(1, "wuhan", "SUCCEEDED", 1_000),
        EndedJob(2, "wuhan", "FAILED", 1_000),
        EndedJob(3, "wuhan", "CANCELLED", 1_000),
        EndedJob(4, "wuhan", "EXPIRED", 1_000),
        EndedJob(5, "ezhou", "SUCCEEDED", 100),
    ]
    found = jobs_by_city(jobs, RUNS)
    assert list(found) == [
        ("ezhou", "wuhan-sc"), ("wuhan", "wuhan-ai"), ("wuhan", "wuhan-sc"), ("wuhan", NOWHERE)
    ]  # fmt: skip
    assert found["wuhan", "wuhan-sc"] == Jobs({"SUCCEEDED": 1}, [2_000])  # type: ignore[arg-type]
    assert found["wuhan", "wuhan-ai"].by_state == {"FAILED": 1, "CANCELLED": 1}
    assert found["wuhan", "wuhan-ai"].waits_ms == [1_000]
    assert found["wuhan", NOWHERE] == Jobs({"EXPIRED": 1}, [])  # type: ignore[arg-type]
    total = total_jobs(found.values())
    assert (total.count, sorted(total.waits_ms)) == (5, [400, 1_000, 2_000])


def test_use_is_what_the_centers_metered_and_money_what_was_posted() -> None:
    def stay(uid: int, attempt: int, flavor: str, start_ms: int | None, end_ms: int) -> Stay:
        return Stay(
            "c", f"{uid}.{attempt}", uid, attempt, "wuhan", "e1", flavor, 4, 0, 0, "SUCCEEDED",
            start_ms, end_ms,
        )  # fmt: skip

    def post(kind: Kind, debit: str, amount: int, uid: int, attempt: int = 1) -> Entry:
        return Entry("s", kind, "SETTLE", debit, "payable:c", amount, 0, "k", uid, attempt)

    stays = [
        stay(1, 1, CARD, 0, 1_800_000),
        stay(1, 2, CORE, 0, 3_600_000),
        stay(3, 1, CARD, None, 9),
    ]
    entries = [
        post(Kind.PENDING, "fund:p:2026", 99, 1),
        post(Kind.POST, "fund:p:2026", 30, 1),
        post(Kind.POST, "wallet:e1", 70, 1),
        post(Kind.DIRECT, "receivable:e1", 5, 1, 2),
        post(Kind.VOID, "wallet:e1", 0, 2),
        post(Kind.DIRECT, "appropriation:p:2026", 1_000, 0),
    ]
    nominal = {("wuhan", CARD): 10, ("ezhou", CARD): 2, ("wuhan", CORE): 8}
    held = [Holding("wuhan", CARD, 9, 0, 5), Holding("ezhou", CARD, 3, 4, 9)]
    found = use_by_city(RUNS, stays, chain(entries, 0, bytes(32)), held, nominal)
    cards, cores = Use(4 * 1_800_000, 9, 10, 30, 70), Use(4 * 3_600_000, 0, 8, 0, 5)
    assert found == {
        (CARD, EVERYONE): replace(cards, peak_units=12, nominal_units=12),
        (CARD, "ezhou"): Use(0, 3, 2),
        (CARD, "wuhan"): cards,
        (CORE, EVERYONE): cores,
        (CORE, "ezhou"): Use(),
        (CORE, "wuhan"): cores,
    }
    assert found[CARD, "wuhan"].unit_hours == 2
    assert found[CARD, "wuhan"].gross_fen == 100


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([7], 0.95, 7),
        ([4, 1, 3, 2], 0.5, 2),
        (list(range(1, 101)), 0.95, 95),
        (list(range(1, 21)), 0.95, 19),
    ],
)
def test_quantiles(values: list[int], share: float, expected: int | None) -> None:
    assert quantile(values, share) == expected
