"""Quotes and budgets over a real server: what is quoted is held, what is over budget is refused."""

import random
from typing import Any

import pytest
from corridor.v1 import budget_pb2, job_pb2
from corridor.v1 import job_service_pb2 as pb

from quota.calendar import period_bounds

NPU, CPU = "wuhan-ai/ascend-910b", "wuhan-sc/kunpeng-920"
EZHOU, HOUR = "sample-ezhou-1", 3_600
OCT_MS = period_bounds("2026-10")[0]


async def allot(corridor: Any, amount: int | None, period: str = "", **owner: Any) -> None:
    """Set a budget of the NPUs for the first time, as an operator."""
    budget = budget_pb2.Budget(flavor=NPU, allotted_unit_seconds=amount, period=period, **owner)
    request = budget_pb2.UpdateBudgetRequest(budget=budget, reason="a test")
    await corridor.quotas.UpdateBudget(request, metadata=corridor.operator())


async def set_terms(corridor: Any, **terms: Any) -> None:
    """Change how Ezhou's budgets work, as an operator."""
    asked = budget_pb2.GetBudgetSettingsRequest(city="ezhou")
    answer = await corridor.quotas.GetBudgetSettings(asked, metadata=corridor.operator())
    for name, value in terms.items():
        setattr(answer.settings, name, value)
    update = budget_pb2.UpdateBudgetSettingsRequest(settings=answer.settings, reason="a test")
    await corridor.quotas.UpdateBudgetSettings(update, metadata=corridor.operator())


async def quoted(corridor: Any, spec: Any) -> Any:
    """The quote of a job's one option, as the enterprise sees it."""
    request = pb.QuoteJobsRequest(jobs=[spec])
    answer = await corridor.jobs.QuoteJobs(request, metadata=corridor.member(EZHOU))
    ((option,),) = [quote.options for quote in answer.quotes]
    return option


def free(held: Any) -> tuple[int | None, int | None]:
    """What the enterprise and the city would have free; None without a limit."""
    names = ("enterprise_free_unit_seconds", "city_free_unit_seconds")
    own, city = (getattr(held, name) if held.HasField(name) else None for name in names)
    return own, city


async def test_where_there_are_no_budgets_nothing_is_said_of_them(
    corridor: Any, new_spec: Any
) -> None:
    found = await quoted(corridor, new_spec())
    assert not found.budget_holds
    assert not found.background


async def test_what_would_be_held_and_what_is_free_then(corridor: Any, new_spec: Any) -> None:
    await allot(corridor, 100 * HOUR, city="ezhou")
    await allot(corridor, None, enterprise=EZHOU)
    found = await quoted(corridor, new_spec())
    (held,) = found.budget_holds
    worst = 8 * (HOUR + 60)  # eight cards for an hour and a minute of grace
    assert (held.period, held.unit_seconds) == ("2026-09", worst)
    assert free(held) == (None, 100 * HOUR - worst)
    assert not found.HasField("reason")


async def test_over_budget_names_whose_and_by_how_much(corridor: Any, new_spec: Any) -> None:
    await allot(corridor, 100 * HOUR, city="ezhou")
    await allot(corridor, 8 * HOUR, enterprise=EZHOU)
    found = await quoted(corridor, new_spec())
    assert not found.budget_holds
    reason = found.reason
    assert reason.code == job_pb2.REASON_CODE_BUDGET_ENTERPRISE
    assert reason.node == f"enterprises/{EZHOU}"
    assert (reason.limit, reason.requested, reason.short_by) == (8 * HOUR, 8 * HOUR + 480, 480)
    assert reason.next_event_time.ToMilliseconds() == OCT_MS
    assert found.charge.gross_fen == 6_400, "it is priced all the same"


async def test_a_job_that_is_to_start_later_is_judged_by_the_budget_of_then(
    corridor: Any, new_spec: Any
) -> None:
    await allot(corridor, 100 * HOUR, city="ezhou")
    await allot(corridor, 100 * HOUR, "2026-10", city="ezhou")
    await set_terms(corridor, enterprises_free=True)
    later = new_spec()
    later.start_not_before.FromMilliseconds(OCT_MS + 1_000)
    (held,) = (await quoted(corridor, later)).budget_holds
    assert held.period == "2026-10"


async def test_a_period_that_nobody_opened_yet_is_quoted_as_it_will_be(
    corridor: Any, new_spec: Any
) -> None:
    """What is left over is counted in, and a quote writes nothing."""
    await allot(corridor, 100 * HOUR, city="ezhou")
    await allot(corridor, HOUR, "2026-10", city="ezhou")
    await set_terms(corridor, enterprises_free=True, roll_over=True)
    corridor.clock.ms = OCT_MS + 1_000
    before = corridor.rows("SELECT * FROM budget_entry")
    (held,) = (await quoted(corridor, new_spec())).budget_holds
    assert free(held) == (None, 101 * HOUR - 8 * (HOUR + 60))
    assert corridor.rows("SELECT * FROM budget_entry") == before


MODES = (
    budget_pb2.BUDGET_MODE_HARD,
    budget_pb2.BUDGET_MODE_OVERBURN,
    budget_pb2.BUDGET_MODE_OBSERVE,
)


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_quoted_of_budgets_is_what_admission_does(
    corridor: Any, hands: Any, new_spec: Any, seed: int
) -> None:
    """In every mode, over the end of the month, set or not."""
    rng = random.Random(seed)
    corridor.clock.ms = OCT_MS - rng.choice((1_800_000, 20 * 86_400_000))
    for period in ("2026-09", "2026-10")[: rng.randint(1, 2)]:
        for owner in ({"city": "ezhou"}, {"enterprise": EZHOU}):
            await allot(corridor, rng.choice((None, 200 * HOUR, 400 * HOUR)), period, **owner)
    await set_terms(corridor, mode=MODES[seed], overburn_bps=2_000, carry=bool(seed % 2))
    seen = set()
    for _ in range(20):
        asked = new_spec(
            units=rng.randint(1, 8), flavor=NPU, subsidy=job_pb2.SUBSIDY_PREFERENCE_NONE
        )
        asked.wall_limit.seconds = rng.randint(1, 10 * HOUR)
        found = await quoted(corridor, asked)
        (job_id,) = await hands.submit(EZHOU, asked)
        refused = (await hands.admit(job_id)).refused
        if found.HasField("reason"):
            (refusal,) = refused
            assert job_pb2.ReasonCode.Name(found.reason.code) == f"REASON_CODE_{refusal[2]}"
            assert not found.budget_holds
            seen.add(str(refusal[2]))
            continue
        assert not refused
        stored = corridor.rows(
            "SELECT period, unit_seconds, background FROM budget_hold"
            " ORDER BY created_ms DESC, job_uid DESC, part"
        )[: len(found.budget_holds)]
        assert [(p, n) for p, n, _ in stored] == [
            (one.period, one.unit_seconds) for one in found.budget_holds
        ]
        assert {bool(mark) for *_, mark in stored} == {found.background}
        for one in found.budget_holds:
            rows = corridor.rows(
                "SELECT allotted_unit_seconds + received_unit_seconds - given_unit_seconds"
                f" - held_unit_seconds - settled_unit_seconds FROM budget WHERE flavor = '{NPU}'"
                f" AND period = '{one.period}' ORDER BY enterprise DESC"
            )
            assert free(one) == tuple(left for (left,) in rows)
        seen.add("HELD")
    assert "HELD" in seen
