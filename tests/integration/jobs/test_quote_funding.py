"""QuoteJobs says who pays, what is left, and why others give nothing; what it says is then held."""

from typing import Any

from corridor.v1 import job_pb2, quote_pb2, subsidy_service_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from scheduler.domain.ids import job_uid
from scheduler.domain.principal import Role
from scheduler.store import funds

NPU, CPU, GPU = "wuhan-ai/ascend-910b", "wuhan-sc/kunpeng-920", "wuhan-sc/accelerator"
NEW_YEAR_MS = 1_798_732_800_000  # 2027-01-01 in Shanghai
HOUR_MS = 3_600_000


def operator(corridor: Any) -> Any:
    """An operator whose token is valid over New Year too."""
    return corridor.token(Role.OPERATOR, expire_ms=NEW_YEAR_MS + HOUR_MS)


async def option(corridor: Any, enterprise: str, spec: Any) -> pb.OptionQuote:
    """The quote of a job's only option."""
    answer = await corridor.jobs.QuoteJobs(
        pb.QuoteJobsRequest(enterprise=enterprise, jobs=[spec]), metadata=operator(corridor)
    )
    (found,) = answer.quotes[0].options
    return found  # type: ignore[no-any-return]


async def funding(corridor: Any, enterprise: str, spec: Any) -> quote_pb2.Funding:
    """Who would pay a job."""
    return (await option(corridor, enterprise, spec)).funding


def reasons(found: quote_pb2.Funding) -> dict[str, str]:
    """Why programmes give nothing."""
    return {one.programme: one.why for one in found.refusals}


def given(found: quote_pb2.Funding) -> list[tuple[str, int]]:
    """What each programme gives."""
    return [(one.programme, one.amount_fen) for one in found.programmes]


async def test_free_hours_then_a_voucher_then_the_corridor(corridor: Any, new_spec: Any) -> None:
    """2,400 card-hours at 8 yuan: 2,000 are free, 60 % of the others come from a voucher."""
    spec = new_spec(units=8)
    spec.options[0].nodes = 2
    spec.wall_limit.CopyFrom(Duration(seconds=150 * 3600))
    found = await option(corridor, "sample-wuhan-2", spec)
    charge, money = found.charge, found.funding
    assert (charge.gross_fen, charge.unit_seconds) == (320_000, 400 * 3600)
    hours, voucher, shared = money.programmes
    assert (hours.programme, hours.unit_seconds, hours.binding) == (
        "wuhan-free-hours", 2_000 * 3600, "GRANT",
    )  # fmt: skip
    assert (voucher.programme, voucher.amount_fen, voucher.rate_bp) == (
        "wuhan-direct-voucher", 192_000, 6_000,
    )  # fmt: skip
    # Of two that expire on the same day the one with the lower number.
    [source] = voucher.sources
    assert (source.voucher_no, source.left, source.taken) == (
        "wuhan-direct-voucher-2026-000001", 500_000, 192_000,
    )  # fmt: skip
    assert not voucher.caps, "it was counted when they were issued"
    assert (shared.programme, shared.amount_fen) == ("corridor-shared", 32_000)
    [cap] = shared.caps
    assert (cap.year, cap.cap_fen, cap.left_fen, cap.used_fen) == (
        2026, 100_000_000, 100_000_000, 32_000,
    )  # fmt: skip
    assert money.free_unit_seconds == 2_000 * 3600
    assert (charge.self_pay_fen, money.wallet_fen, money.advance_fen) == (96_000, 96_000, 0)
    assert money.wallet_left_fen == 200_000_000
    assert [(one.programme, one.why, one.instead) for one in money.refusals] == [
        ("corridor-early", "SIZE_CLASS", ""),
        ("wuhan-startup", "EXCLUSIVE", "wuhan-direct-voucher"),
        ("wuhan-voucher", "EXCLUSIVE", "wuhan-direct-voucher"),
    ]


async def test_two_funders_share_and_a_claim_is_advanced(corridor: Any, new_spec: Any) -> None:
    """64 yuan: 40 % claimed back from a voucher, 20 % by city and province, 10 % of all cities."""
    money = await funding(corridor, "sample-huanggang-2", new_spec(contract="C-1"))
    assert given(money) == [
        ("huanggang-contract-voucher", 2_560), ("huanggang-joint", 1_280), ("corridor-shared", 640),
    ]  # fmt: skip
    claim, joint, _ = money.programmes
    assert (claim.mode, joint.mode) == ("REIMBURSE", "DEDUCT")
    assert [(one.funder, one.taken) for one in joint.sources] == [
        ("huanggang", 640), ("hubei", 640),
    ]  # fmt: skip
    assert (money.advance_fen, money.wallet_fen) == (2_560, 6_400 - 1_280 - 640)


async def test_a_contract_is_asked_for_and_used_once(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    """Another job of the contract gets nothing of it, also when the first has ended."""
    who = "sample-huanggang-2"
    without = await funding(corridor, who, new_spec())
    assert reasons(without)["huanggang-contract-voucher"] == "CONTRACT_MISSING"
    assert given(without)[0] == ("huanggang-voucher", 1_920)
    first, other = await hands.submit(who, new_spec(contract="C-1"), new_spec(contract="C-1"))
    await hands.run(first)
    assert "huanggang-contract-voucher" in held(corridor, first)
    used = await funding(corridor, who, new_spec(contract="C-1"))
    assert reasons(used)["huanggang-contract-voucher"] == "CONTRACT_USED"
    await hands.run(other)
    assert "huanggang-contract-voucher" not in held(corridor, other)
    await hands.succeed(first)
    again = await funding(corridor, who, new_spec(contract="C-1"))
    assert reasons(again)["huanggang-contract-voucher"] == "CONTRACT_USED"
    fresh = await funding(corridor, who, new_spec(contract="C-2"))
    assert given(fresh)[0][0] == "huanggang-contract-voucher"


async def test_of_two_jobs_of_a_contract_in_one_batch_one_is_supported(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    jobs = await hands.submit(
        "sample-huanggang-2", new_spec(contract="C-1"), new_spec(contract="C-1")
    )
    await hands.admit(*jobs)
    supported = [job for job in jobs if "huanggang-contract-voucher" in held(corridor, job)]
    assert supported == [jobs[0]]


async def test_a_run_that_costs_nothing_leaves_its_contract_free(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    who = "sample-huanggang-2"
    [job] = await hands.submit(who, new_spec(contract="C-1"))
    await hands.run(job)
    await hands.fail(job)
    money = await funding(corridor, who, new_spec(contract="C-1"))
    assert given(money)[0][0] == "huanggang-contract-voucher"


async def test_a_project_on_the_list_gets_the_higher_rate(corridor: Any, new_spec: Any) -> None:
    who = "sample-xianning-1"
    plain = await funding(corridor, who, new_spec(contract="C-1"))
    assert given(plain)[0] == ("xianning-projects", 3_200)
    listed = await funding(corridor, who, new_spec(contract="C-1", project="T-2026-01"))
    assert given(listed)[0] == ("xianning-projects", 3_840)
    assert listed.programmes[0].rate_bp == 6_000
    wrong = await funding(corridor, who, new_spec(contract="C-1", project="T-2026-02"))
    assert given(wrong)[0] == ("xianning-projects", 3_200)


async def test_more_for_hardware_of_domestic_make(corridor: Any, new_spec: Any) -> None:
    """And nothing below the minimum: 35 % would be more, but not of so little."""
    who = "sample-huangshi-2"
    domestic = await funding(corridor, who, new_spec())
    assert given(domestic)[0] == ("huangshi-domestic", 1_920)
    assert reasons(domestic)["huangshi-large"] == "MINIMUM"
    other = await funding(corridor, who, new_spec(flavor=GPU))
    assert given(other)[0][0] == "huangshi-voucher", "25 % are more than 20 %"


async def test_related_parties_get_nothing_at_that_center(corridor: Any, new_spec: Any) -> None:
    there = await funding(corridor, "sample-xianning-2", new_spec(flavor=CPU))
    assert given(there) == []
    assert reasons(there)["xianning-voucher"] == "RELATED_PARTY"
    assert reasons(there)["corridor-shared"] == "RELATED_PARTY"
    elsewhere = await funding(corridor, "sample-xianning-2", new_spec())
    assert given(elsewhere)[0][0] == "xianning-voucher"


async def test_who_wants_no_subsidy_is_told_so(corridor: Any, new_spec: Any) -> None:
    money = await funding(
        corridor, "sample-ezhou-1", new_spec(subsidy=job_pb2.SUBSIDY_PREFERENCE_NONE)
    )
    assert set(reasons(money).values()) == {"NOT_WANTED"}
    assert money.wallet_fen == 6_400


async def test_a_job_over_new_year_is_quoted_by_its_parts(corridor: Any, new_spec: Any) -> None:
    """A quarter of an hour of this year, the rest of the next, of which only one fund is open."""
    corridor.clock.ms = NEW_YEAR_MS - HOUR_MS // 4
    await corridor.db.write(lambda c: funds.open_period(c, "corridor-shared", "2027"))
    await corridor.subsidies.AppropriateFund(
        subsidy_service_pb2.AppropriateFundRequest(
            request_id="next",
            programme="corridor-shared",
            period="2027",
            amount_fen=100,
            reason="x",
        ),
        metadata=operator(corridor),
    )
    money = await funding(corridor, "sample-ezhou-1", new_spec())
    assert [one.gross_fen for one in money.slices] == [1_600, 4_800]
    assert [one.start_time.ToMilliseconds() for one in money.slices][1] == NEW_YEAR_MS
    city, shared = money.programmes
    assert [(one.amount_fen, one.binding) for one in city.parts] == [(320, "RATE"), (0, "NO_FUND")]
    assert (city.binding, city.bound_by) == ("NO_FUND", "ezhou")
    assert [(one.amount_fen, one.binding) for one in shared.parts] == [(160, "RATE"), (100, "FUND")]
    assert [(cap.year, cap.used_fen) for cap in shared.caps] == [(2026, 160), (2027, 100)]
    assert [one.account for one in shared.sources] == [
        "fund:corridor-shared:2027", "fund:corridor-shared:2026",
    ]  # fmt: skip


def held(corridor: Any, job_id: str) -> set[str]:
    """The programmes that hold something for a job."""
    rows = corridor.rows(f"SELECT programme FROM hold_leg WHERE job_uid = {job_uid(job_id)}")
    return {programme for (programme,) in rows if programme}


async def test_free_hours_are_told_of_what_is_held_and_of_what_was_charged(
    corridor: Any, hands: Any, new_spec: Any
) -> None:
    """2,008 card-hours of which 2,000 are granted; ten minutes of 8 cards use free hours alone."""
    long = new_spec(units=8)
    long.wall_limit.CopyFrom(Duration(seconds=251 * 3600))
    [job] = await hands.submit("sample-wuhan-2", long)
    await hands.run(job)
    charge = await charge_of(corridor, job)
    assert (charge.free_unit_seconds, charge.unit_seconds) == (2_000 * 3600, 8 * 3600)
    assert charge.gross_fen == 6_400
    await hands.succeed(job)
    charge = await charge_of(corridor, job)
    assert (charge.gross_fen, charge.unit_seconds, charge.free_unit_seconds) == (0, 0, 8 * 600)
    assert not charge.subsidies


async def charge_of(corridor: Any, job_id: str) -> job_pb2.Charge:
    """What a job costs."""
    answer = await corridor.jobs.GetJob(
        pb.GetJobRequest(job_id=job_id), metadata=operator(corridor)
    )
    return answer.job.charge  # type: ignore[no-any-return]
