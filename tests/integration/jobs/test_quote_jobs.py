"""QuoteJobs over a real server: what is quoted is what is then held."""

import random
from typing import Any

import grpc
import pytest
from corridor.v1 import job_pb2, subsidy_service_pb2
from corridor.v1 import job_service_pb2 as pb
from google.rpc import error_details_pb2

from scheduler.domain.principal import Role
from scheduler.domain.reasons import PendingReason, ReasonCode
from scheduler.placement.model import Explanation

EZHOU = "sample-ezhou-1"
NPU, CPU, GPU = "wuhan-ai/ascend-910b", "wuhan-sc/kunpeng-920", "wuhan-sc/accelerator"


async def quote(corridor: Any, *specs: Any, who: Any = None, enterprise: str = EZHOU) -> Any:
    request = pb.QuoteJobsRequest(enterprise=enterprise, jobs=specs)
    answer = await corridor.jobs.QuoteJobs(request, metadata=who or corridor.operator())
    return answer.quotes


async def reason_of(corridor: Any, spec: Any) -> Any:
    ((found,),) = [one.options for one in await quote(corridor, spec)]
    assert found.HasField("reason")
    return found.reason


def tables(corridor: Any) -> list[tuple[Any, ...]]:
    """Everything a quote might have changed."""
    names = ("job", "run", "hold", "transfer", "request_key", "cap_counter", "account")
    changed = [corridor.rows(f"SELECT * FROM {name} ORDER BY 1, 2") for name in names]
    seqs = corridor.rows("SELECT count(*) FROM event")
    return [*map(tuple, changed), *seqs]


async def test_each_option_is_priced_with_who_pays(corridor: Any, new_spec: Any) -> None:
    asked = new_spec(units=8)
    asked.options.add(flavor=CPU, units_per_node=64, nodes=2, memory_mib_per_node=1024)
    before = tables(corridor)
    (found,) = await quote(corridor, asked)
    assert (found.index, found.HasField("error")) == (0, False)
    npu, cpu = found.options
    assert [one.option for one in found.options] == [
        job_pb2.ResourceOption(flavor=NPU, units_per_node=8, nodes=1),
        asked.options[1],
    ]
    assert (npu.charge.gross_fen, npu.charge.self_pay_fen) == (6400, 4480)
    assert (npu.charge.price_ufen_per_unit_second, npu.charge.unit_seconds) == (222_222, 28_800)
    lines = [(one.programme, one.rule_version, one.binding) for one in npu.charge.subsidies]
    assert lines == [("ezhou-voucher", 1, "RATE"), ("corridor-shared", 1, "RATE")]
    assert (cpu.charge.gross_fen, cpu.charge.unit_seconds) == (1280, 128 * 3600)
    assert npu.charge.price_version != cpu.charge.price_version
    # The planner is away: no estimate, and nothing else is missing.
    assert not npu.HasField("reason")
    assert not npu.HasField("start_likely_time")
    assert tables(corridor) == before


async def test_what_the_planner_expects(corridor: Any, planner: Any, new_spec: Any) -> None:
    def told(job: Any) -> Explanation:
        free = job.options[0].flavor == NPU
        code = ReasonCode.NOT_EVALUATED if free else ReasonCode.POOL_FULL
        return Explanation(
            job.uid, PendingReason(code, start_earliest_ms=1, start_likely_ms=2), 1, 1
        )

    planner.estimates = told
    asked = new_spec(priority=3)
    asked.options.add(flavor=CPU, units_per_node=64)
    (found, again) = await quote(corridor, asked, asked)
    at_once, later = found.options
    assert not at_once.HasField("reason")
    assert later.reason.code == job_pb2.REASON_CODE_POOL_FULL
    for one in (at_once, later):
        assert one.start_earliest_time.ToMilliseconds() == 1
        assert one.start_likely_time.ToMilliseconds() == 2
    assert list(again.options) == list(found.options)
    # Options that are alike are asked for once, as a job of the enterprise that comes now.
    assert [(job.city, job.enterprise, job.priority) for job in planner.asked] == [
        ("ezhou", EZHOU, 3)
    ] * 2
    assert planner.asked[0].queued_ms == corridor.clock.ms


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_quoted_is_what_is_held(
    corridor: Any, hands: Any, new_spec: Any, seed: int
) -> None:
    """Also where a fund, a cap of the year or the wallet runs short."""
    rng = random.Random(seed)
    limits = f"credit_limit_fen = {rng.randint(200_000, 3_000_000)}"
    funds = f"credits_posted = {rng.randint(1_000, 30_000)}"
    await corridor.db.write(
        lambda c: (
            c.exec_driver_sql(f"UPDATE account SET {limits} WHERE kind = 'WALLET'"),
            c.exec_driver_sql(f"UPDATE account SET {funds} WHERE account_id LIKE 'fund:ezhou%'"),
        )
    )
    bindings, refused = set(), set()
    for _ in range(25):
        most = rng.choice((None, 50_000))
        asked = new_spec(
            flavor=rng.choice((NPU, CPU, GPU)),
            units=rng.randint(1, 8),
            subsidy=rng.choice(list(job_pb2.SubsidyPreference.values())),
            self_pay_max_fen=most,
        )
        asked.wall_limit.seconds = rng.randint(1, 14 * 86_400)
        ((quoted,),) = [one.options for one in await quote(corridor, asked)]
        (job_id,) = await hands.submit(EZHOU, asked)
        admitted = (await hands.admit(job_id)).refused
        answer = await corridor.jobs.GetJob(
            pb.GetJobRequest(job_id=job_id), metadata=corridor.operator()
        )
        if quoted.HasField("reason"):
            (refusal,) = admitted
            assert job_pb2.ReasonCode.Name(quoted.reason.code) == f"REASON_CODE_{refusal[2]}"
            refused.add(refusal[2])
            continue
        assert not admitted
        assert answer.job.charge == quoted.charge
        bindings |= {one.binding for one in quoted.charge.subsidies}
    assert refused
    assert {"RATE", "FUND"} <= bindings


async def test_why_a_job_would_not_start(
    corridor: Any, hands: Any, planner: Any, new_spec: Any
) -> None:
    planner.estimates = lambda job: Explanation(job.uid, PendingReason(ReasonCode.POOL_FULL), 1, 1)
    reason = await reason_of(corridor, new_spec(self_pay_max_fen=4_000))
    assert reason.code == job_pb2.REASON_CODE_SELF_PAY_ABOVE_MAX
    assert (reason.limit, reason.requested, reason.short_by) == (4_000, 4_480, 480)
    assert reason.node == f"enterprises/{EZHOU}"

    credit = "UPDATE account SET credit_limit_fen = 4000"
    await corridor.db.write(lambda c: c.exec_driver_sql(credit))
    reason = await reason_of(corridor, new_spec())
    assert reason.code == job_pb2.REASON_CODE_WALLET_SHORT
    assert (reason.limit, reason.requested, reason.short_by) == (4_000, 4_480, 480)

    await corridor.db.write(lambda c: c.exec_driver_sql("UPDATE programme SET status = 'CLOSED'"))
    reason = await reason_of(corridor, new_spec(subsidy=job_pb2.SUBSIDY_PREFERENCE_REQUIRED))
    assert reason.code == job_pb2.REASON_CODE_SUBSIDY_SHORT

    await corridor.db.write(
        lambda c: c.exec_driver_sql(
            f"UPDATE price_version SET effective_to_ms = effective_from_ms WHERE flavor = '{GPU}'"
        )
    )
    (found,) = await quote(corridor, new_spec(flavor=GPU))
    assert found.options[0].reason.code == job_pb2.REASON_CODE_MISCONFIGURED
    assert not found.options[0].HasField("charge")

    await corridor.db.write(
        lambda c: c.exec_driver_sql(f"UPDATE enterprise SET blocked = true WHERE code = '{EZHOU}'")
    )
    assert (await reason_of(corridor, new_spec())).code == job_pb2.REASON_CODE_DEACTIVATED
    assert not planner.asked


async def test_what_is_too_large_is_priced_and_refused(corridor: Any, new_spec: Any) -> None:
    huge = new_spec(flavor=GPU)
    huge.options[0].nodes = 4
    patient = new_spec(flavor=GPU, wait_if_too_large=True)
    patient.options[0].nodes = 4
    refused, waits, small = await quote(corridor, huge, patient, new_spec())
    for found in (refused, waits):
        (option,) = found.options
        assert option.charge.gross_fen == 19_200
        assert option.reason.code == job_pb2.REASON_CODE_EXCEEDS_MAX
        assert (option.reason.limit, option.reason.requested, option.reason.short_by) == (24, 32, 8)
    assert refused.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert not waits.HasField("error")
    assert [one.index for one in (refused, waits, small)] == [0, 1, 2]


async def test_what_is_wrong_is_named_and_has_no_price(corridor: Any, new_spec: Any) -> None:
    wrong = new_spec(flavor="wuhan-ai/abacus")
    wrong.ClearField("wall_limit")
    (good, bad) = await quote(corridor, new_spec(), wrong)
    assert good.options
    assert not good.HasField("error")
    assert not bad.options
    assert bad.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    told = error_details_pb2.BadRequest()
    assert any(detail.Unpack(told) for detail in bad.error.details)
    fields = {violation.field for violation in told.field_violations}
    assert fields == {"jobs[1].options[0].flavor", "jobs[1].wall_limit"}


async def test_for_whom_one_may_ask(corridor: Any, new_spec: Any, refusal: Any) -> None:
    mine = await quote(corridor, new_spec(), who=corridor.member(EZHOU), enterprise="")
    for who in (corridor.member(EZHOU), corridor.city_admin("ezhou"), corridor.token(Role.AUDITOR)):
        assert await quote(corridor, new_spec(), who=who) == mine
    for who in (corridor.member("sample-ezhou-2"), corridor.city_admin("wuhan")):
        found = await refusal(quote(corridor, new_spec(), who=who))
        assert found.code == grpc.StatusCode.NOT_FOUND
    found = await refusal(quote(corridor, new_spec(), enterprise=""))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("enterprise",))
    for specs in ([], [new_spec()] * 101):
        found = await refusal(quote(corridor, *specs))
        assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("jobs",))


async def test_money_that_comes_is_quoted_at_once(corridor: Any, new_spec: Any) -> None:
    await corridor.db.write(
        lambda c: c.exec_driver_sql(
            "UPDATE account SET credits_posted = 0 WHERE account_id LIKE 'fund:ezhou%'"
        )
    )
    ((before,),) = [one.options for one in await quote(corridor, new_spec())]
    assert [line.programme for line in before.charge.subsidies] == ["corridor-shared"]
    refused = {one.programme: one.why for one in before.funding.refusals}
    assert refused == {"ezhou-voucher": "FUND", "corridor-early": "SIZE_CLASS"}
    await corridor.subsidies.AppropriateFund(
        subsidy_service_pb2.AppropriateFundRequest(
            request_id="r", programme="ezhou-voucher", period="2026", amount_fen=1_000, reason="x"
        ),
        metadata=corridor.operator(),
    )
    ((after,),) = [one.options for one in await quote(corridor, new_spec())]
    given = after.charge.subsidies[0]
    assert (given.amount_fen, given.binding) == (1_000, "FUND")


def wait_for(spec: Any, *others: str) -> Any:
    """The job, once others have ended."""
    for other in others:
        spec.depends_on.add(job=other)
    return spec


async def test_of_a_job_that_waits_for_others_no_start_is_quoted(
    corridor: Any, hands: Any, planner: Any, new_spec: Any
) -> None:
    planner.estimates = lambda job: Explanation(
        job.uid, PendingReason(ReasonCode.NOT_EVALUATED, start_likely_ms=2), 1, 1
    )
    done, waiting = await hands.submit(EZHOU, new_spec(), new_spec())
    await hands.succeed(done)
    call = (
        new_spec("first"),
        wait_for(new_spec(), "first", waiting),
        wait_for(new_spec(), done),
        wait_for(new_spec(), "first"),
    )
    call[3].options[0].nodes = 500
    quotes = await quote(corridor, *call)
    first, behind, ready, large = (one.options[0] for one in quotes)
    for one in (first, ready):  # what has ended is waited for no more
        assert not one.HasField("reason")
        assert one.HasField("start_likely_time")
    assert behind.reason == job_pb2.PendingReason(
        code=job_pb2.REASON_CODE_DEPENDENCY, node=f"jobs/#0,{waiting}", requested=2,
        start_outlook=job_pb2.START_OUTLOOK_NONE,
    )  # fmt: skip
    assert not behind.HasField("start_likely_time")
    assert behind.charge == first.charge
    assert large.reason.code == job_pb2.REASON_CODE_EXCEEDS_MAX
    assert large.reason.start_outlook == job_pb2.START_OUTLOOK_NONE


async def test_what_waits_in_a_circle_or_for_nobody_is_refused_a_quote_as_in_submitting(
    corridor: Any, new_spec: Any
) -> None:
    call = [
        wait_for(new_spec("a"), "b"), wait_for(new_spec("b"), "a"),
        wait_for(new_spec("c"), "nobody"), wait_for(new_spec("d"), "c"), new_spec("e"),
    ]  # fmt: skip
    quotes = await quote(corridor, *call)
    answer = await corridor.jobs.SubmitJobs(
        pb.SubmitJobsRequest(request_id="circle", enterprise=EZHOU, jobs=call),
        metadata=corridor.operator(),
    )
    assert [one.error for one in quotes] == [one.error for one in answer.results]
    assert [one.HasField("error") for one in quotes] == [True, True, True, True, False]
