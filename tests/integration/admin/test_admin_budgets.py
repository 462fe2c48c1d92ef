"""Budgets and loans over the API: who may see and set what, under which etag, and what is kept."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from corridor.v1 import budget_pb2 as pb

NPU = "wuhan-ai/ascend-910b"
HOUR = 3_600
Refusal = Callable[[Awaitable[Any]], Awaitable[Any]]
EZHOU_1, WUHAN_1 = "sample-ezhou-1", "sample-wuhan-1"


async def allot(
    corridor: Any, hours: int | None, caller: Any = None, *, etag: str = "", **owner: str
) -> pb.Budget:
    """Set a budget of this month."""
    amount = None if hours is None else hours * HOUR
    budget = pb.Budget(flavor=NPU, allotted_unit_seconds=amount, etag=etag, **owner)  # type: ignore[arg-type]
    request = pb.UpdateBudgetRequest(budget=budget, reason="a test")
    answer = await corridor.quotas.UpdateBudget(request, metadata=caller or corridor.operator())
    found: pb.Budget = answer.budget
    return found


@pytest.fixture
async def both(corridor: Any) -> Any:
    """Wuhan and Ezhou with budgets, and one enterprise of each."""
    for city in ("wuhan", "ezhou"):
        await allot(corridor, 10_000, city=city)
    for enterprise in (EZHOU_1, WUHAN_1):
        await allot(corridor, 100, enterprise=enterprise)
    return corridor


async def seen(corridor: Any, caller: Any, **filters: str) -> set[str]:
    """Whose budgets a caller sees, page by page."""
    owners: set[str] = set()
    token = ""
    while True:
        request = pb.ListBudgetsRequest(page_size=1, page_token=token, **filters)
        answer = await corridor.quotas.ListBudgets(request, metadata=caller)
        owners |= {row.enterprise or row.city for row in answer.budgets}
        token = answer.next_page_token
        if not token:
            return owners


async def test_everyone_sees_their_own_and_nothing_of_others(both: Any, refusal: Refusal) -> None:
    assert await seen(both, both.operator()) == {"wuhan", "ezhou", EZHOU_1, WUHAN_1}
    assert await seen(both, both.city_admin("ezhou")) == {"ezhou", EZHOU_1}
    assert await seen(both, both.member(EZHOU_1)) == {"ezhou", EZHOU_1}
    assert await seen(both, both.member("sample-ezhou-2")) == {"ezhou"}
    assert await seen(both, both.city_admin("ezhou"), city="wuhan") == set()
    request = pb.GetBudgetRequest(city="wuhan", flavor=NPU)
    told = await refusal(both.quotas.GetBudget(request, metadata=both.city_admin("ezhou")))
    assert told.code is grpc.StatusCode.NOT_FOUND
    settings = pb.GetBudgetSettingsRequest(city="wuhan")
    told = await refusal(both.quotas.GetBudgetSettings(settings, metadata=both.member(EZHOU_1)))
    assert told.code is grpc.StatusCode.NOT_FOUND


async def test_a_city_admin_sets_the_own_enterprises_within_the_citys(
    both: Any, refusal: Refusal
) -> None:
    admin = both.city_admin("ezhou")
    made = await allot(both, 9_900, admin, enterprise="sample-ezhou-2")
    assert (made.city, made.free_unit_seconds, made.etag) == ("ezhou", 9_900 * HOUR, "1")
    told = await refusal(allot(both, 9_901, admin, etag="1", enterprise="sample-ezhou-2"))
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "ABOVE_CITY_BUDGET")
    assert f"at most {9_900 * HOUR}" in told.message
    assert (await allot(both, None, admin, etag="1", enterprise="sample-ezhou-2")).etag == "2"
    for owner in ({"enterprise": WUHAN_1}, {"city": "ezhou"}):
        told = await refusal(allot(both, 1, admin, etag="1", **owner))
        assert told.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED)
    told = await refusal(allot(both, 1, both.city_admin("huangshi"),
                               enterprise="sample-huangshi-1"))  # fmt: skip
    assert (told.code, told.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION, "CITY_BUDGET_MISSING",
    )  # fmt: skip


async def test_of_two_who_read_the_same_etag_one_wins(both: Any, refusal: Refusal) -> None:
    told = await refusal(allot(both, 5, city="wuhan"))
    assert (told.code, told.info["etag"]) == (grpc.StatusCode.ABORTED, "1")
    await allot(both, 5_000, etag="1", city="wuhan")
    told = await refusal(allot(both, 6_000, etag="1", city="wuhan"))
    assert told.code is grpc.StatusCode.ABORTED


async def test_changes_are_kept_with_who_and_why(both: Any) -> None:
    await allot(both, None, etag="1", city="wuhan")
    rows = both.rows(
        "SELECT actor, target, city, before, after, reason FROM audit_event"
        " WHERE action = 'BUDGET_CHANGED' ORDER BY seq"
    )
    assert rows[-1] == (
        "operator", f"cities/wuhan/budgets/{NPU}/2026-09", "wuhan",
        f'{{"allotted_unit_seconds":{10_000 * HOUR}}}', '{"allotted_unit_seconds":null}', "a test",
    )  # fmt: skip
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("budget", "field"),
    [
        (pb.Budget(city="wuhan", flavor="x/y"), "quota.flavor"),
        (pb.Budget(flavor=NPU), "city"),
        (pb.Budget(city="wuhan", flavor=NPU, period="2026-08"), "budget.period"),
        (pb.Budget(city="wuhan", flavor=NPU, period="soon"), "budget.period"),
        (pb.Budget(city="wuhan", flavor=NPU, allotted_unit_seconds=-1),
         "budget.allotted_unit_seconds"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named(
    both: Any, refusal: Refusal, budget: pb.Budget, field: str
) -> None:
    request = pb.UpdateBudgetRequest(budget=budget, reason="a test")
    told = await refusal(both.quotas.UpdateBudget(request, metadata=both.operator()))
    assert (told.code, told.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))
    request = pb.UpdateBudgetRequest(budget=pb.Budget(city="wuhan", flavor=NPU), reason=" ")
    told = await refusal(both.quotas.UpdateBudget(request, metadata=both.operator()))
    assert told.fields == ("reason",)


async def test_a_budget_is_not_set_below_what_is_in_use(both: Any, refusal: Refusal) -> None:
    def use(connection: Any) -> None:
        connection.exec_driver_sql(
            "UPDATE budget SET settled_unit_seconds = 7200 WHERE enterprise = ''"
        )

    both.db.write_future(use).result()
    told = await refusal(allot(both, 1, etag="1", city="wuhan"))
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUDGET_IN_USE")
    assert "at least 7200" in told.message
    lowest = await allot(both, 2, etag="1", city="wuhan")
    assert (lowest.free_unit_seconds, lowest.burnt_bps) == (0, 10_000)


async def test_a_loan_is_agreed_by_the_other_side_alone(both: Any, refusal: Refusal) -> None:
    wuhan, ezhou = both.city_admin("wuhan"), both.city_admin("ezhou")
    ask = pb.LendHoursRequest(
        lender="ezhou", borrower="wuhan", flavor=NPU, unit_seconds=1_000 * HOUR, reason="a test"
    )
    told = await refusal(both.quotas.LendHours(ask, metadata=both.city_admin("huangshi")))
    assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_A_PARTY")
    loan = (await both.quotas.LendHours(ask, metadata=wuhan)).loan
    assert loan.state == pb.LOAN_STATE_REQUESTED
    accept = pb.AcceptLoanRequest(loan_id=loan.loan_id, reason="a test")
    told = await refusal(both.quotas.AcceptLoan(accept, metadata=wuhan))
    assert told.reason == "NOT_THE_OTHER_SIDE"
    told = await refusal(both.quotas.AcceptLoan(accept, metadata=both.operator()))
    assert told.reason == "ROLE_NOT_ALLOWED", "nothing is lent without the lender"
    told = await refusal(both.quotas.AcceptLoan(accept, metadata=both.city_admin("huangshi")))
    assert told.code is grpc.StatusCode.NOT_FOUND
    assert (
        await both.quotas.AcceptLoan(accept, metadata=ezhou)
    ).loan.decided_by == "admin of ezhou"
    told = await refusal(both.quotas.AcceptLoan(accept, metadata=ezhou))
    assert told.code is grpc.StatusCode.FAILED_PRECONDITION
    figures = {
        city: (await both.quotas.GetBudget(
            pb.GetBudgetRequest(city=city, flavor=NPU), metadata=both.operator()
        )).budget
        for city in ("wuhan", "ezhou")
    }  # fmt: skip
    assert figures["wuhan"].received_unit_seconds == 1_000 * HOUR
    assert figures["wuhan"].owed_unit_seconds == 1_000 * HOUR
    assert figures["ezhou"].given_unit_seconds == 1_000 * HOUR
    verify = pb.VerifyBudgetsRequest()
    verified = await both.quotas.VerifyBudgets(verify, metadata=both.operator())
    own = await both.quotas.VerifyBudgets(verify, metadata=ezhou)
    assert verified.ok, verified.problems
    assert own.ok, own.problems
    assert (verified.budget_count, own.budget_count) == (4, 2), "a city verifies its own alone"


async def test_who_offers_more_than_it_can_spare_is_told_how_much(
    both: Any, refusal: Refusal
) -> None:
    offer = pb.LendHoursRequest(
        lender="ezhou", borrower="wuhan", flavor=NPU, unit_seconds=9_900 * HOUR, reason="a test"
    )
    told = await refusal(both.quotas.LendHours(offer, metadata=both.city_admin("ezhou")))
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "NOT_LENDABLE")
    spare = pb.GetBudgetRequest(city="ezhou", flavor=NPU)
    found = (await both.quotas.GetBudget(spare, metadata=both.operator())).budget
    assert f"at most {found.lendable_unit_seconds} " in told.message


async def test_loans_expire_with_their_period(both: Any, refusal: Refusal) -> None:
    wuhan, ezhou = both.city_admin("wuhan"), both.city_admin("ezhou")
    offer = pb.LendHoursRequest(
        lender="ezhou", borrower="wuhan", flavor=NPU, unit_seconds=HOUR, reason="a test"
    )
    loan = (await both.quotas.LendHours(offer, metadata=ezhou)).loan
    both.clock.ms += 800_000_000  # to October
    accept = pb.AcceptLoanRequest(loan_id=loan.loan_id, reason="a test")
    told = await refusal(both.quotas.AcceptLoan(accept, metadata=wuhan))
    assert "is over" in told.message
    await allot(both, 10_000, city="wuhan")  # the next to come opens the month
    found = await both.quotas.ListLoans(pb.ListLoansRequest(), metadata=wuhan)
    assert [one.state for one in found.loans] == [pb.LOAN_STATE_EXPIRED]


async def test_an_enterprise_that_moves_takes_its_budget_with_it(
    both: Any, refusal: Refusal
) -> None:
    def move(connection: Any) -> None:
        connection.exec_driver_sql(f"UPDATE enterprise SET city = 'wuhan' WHERE code = '{EZHOU_1}'")

    both.db.write_future(move).result()
    assert await seen(both, both.city_admin("ezhou")) == {"ezhou"}
    assert await seen(both, both.city_admin("wuhan")) == {"wuhan", WUHAN_1, EZHOU_1}
    told = await refusal(allot(both, 50, both.city_admin("ezhou"), etag="1", enterprise=EZHOU_1))
    assert told.code is grpc.StatusCode.NOT_FOUND
    made = await allot(both, 9_900, both.city_admin("wuhan"), etag="1", enterprise=EZHOU_1)
    assert (made.city, made.etag) == ("wuhan", "2")
    told = await refusal(allot(both, 101, both.city_admin("wuhan"), etag="1", enterprise=WUHAN_1))
    assert told.reason == "ABOVE_CITY_BUDGET"
