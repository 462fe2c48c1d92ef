"""Programmes, funds and the ledger over the real server."""

from typing import Any

import grpc
import pytest
from corridor.v1 import subsidy_service_pb2 as pb

from scheduler.domain.principal import Role

YEAR = "2026"


def _pay(corridor: Any, metadata: Any, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "request_id": "r-1",
        "programme": "ezhou-voucher",
        "period": YEAR,
        "amount_fen": 1_000,
        "reason": "second instalment",
    }
    request = pb.AppropriateFundRequest(**{**values, **changes})
    return corridor.subsidies.AppropriateFund(request, metadata=metadata)


async def test_a_city_admin_pays_into_the_own_fund_once_per_request(
    corridor: Any, refusal: Any
) -> None:
    ezhou = corridor.city_admin("ezhou")
    [(before,)] = corridor.rows("SELECT count(*) FROM transfer")
    for _ in range(3):
        fund = (await _pay(corridor, ezhou)).fund
        assert fund.appropriated_fen == fund.available_fen == 500_001_000
        assert (fund.held_fen, fund.posted_fen, fund.state) == (0, 0, "OPEN")
    found = await refusal(_pay(corridor, ezhou, amount_fen=2_000))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert corridor.rows(
        "SELECT actor, target, city, reason FROM audit_event WHERE action = 'FUND_APPROPRIATED'"
    ) == [("admin of ezhou", "programmes/ezhou-voucher/funds/2026", "ezhou", "second instalment")]
    answer = await corridor.subsidies.VerifyLedger(pb.VerifyLedgerRequest(), metadata=ezhou)
    assert answer.ok, answer.problems
    [(shards,)] = corridor.rows("SELECT count(*) FROM ledger_shard")
    assert (answer.transfer_count, answer.shard_count) == (before + 1, shards)


@pytest.mark.parametrize("programme", ["wuhan-voucher", "corridor-shared", "no-such"])
async def test_no_city_pays_into_the_fund_of_another(
    corridor: Any, refusal: Any, programme: str
) -> None:
    before = corridor.rows("SELECT * FROM account ORDER BY account_id")
    found = await refusal(_pay(corridor, corridor.city_admin("ezhou"), programme=programme))
    assert found.code == grpc.StatusCode.NOT_FOUND
    assert corridor.rows("SELECT * FROM account ORDER BY account_id") == before


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount_fen": 0}, "amount_fen"),
        ({"amount_fen": -5}, "amount_fen"),
        ({"amount_fen": 1 << 62}, "amount_fen"),
        ({"request_id": ""}, "request_id"),
        ({"programme": ""}, "programme"),
        ({"period": ""}, "period"),
        ({"reason": ""}, "reason"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_paid(
    corridor: Any, refusal: Any, changes: dict[str, Any], field: str
) -> None:
    before = corridor.rows("SELECT count(*) FROM transfer")
    found = await refusal(_pay(corridor, corridor.operator(), **changes))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))
    assert corridor.rows("SELECT count(*) FROM transfer") == before


async def test_a_city_sees_its_own_programmes_funds_and_transfers(corridor: Any) -> None:
    ezhou = corridor.city_admin("ezhou")
    member = corridor.token(Role.ENTERPRISE_MEMBER, enterprise="sample-ezhou-1")
    for metadata in (ezhou, member):
        answer = await corridor.subsidies.ListProgrammes(
            pb.ListProgrammesRequest(), metadata=metadata
        )
        assert {one.city for one in answer.programmes} == {"corridor", "ezhou"}
        assert all(one.sample for one in answer.programmes)
        [ezhous] = [one for one in answer.programmes if one.city == "ezhou"]
        assert (ezhous.rate_bp, ezhous.enterprise_year_cap_fen) == (2000, 50_000_000)
        assert not ezhous.HasField("job_cap_fen")
    funds = await corridor.subsidies.ListFunds(pb.ListFundsRequest(), metadata=ezhou)
    assert {one.city for one in funds.funds} == {"corridor", "ezhou"}
    moved = await corridor.subsidies.ListTransfers(pb.ListTransfersRequest(), metadata=ezhou)
    assert [one.credit_account for one in moved.transfers] == ["fund:ezhou-voucher:2026"]


async def test_transfers_come_newest_first_in_pages(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    [(before,)] = corridor.rows("SELECT count(*) FROM transfer")
    for number in range(4):
        corridor.clock.ms += 1
        await _pay(corridor, operator, request_id=f"r-{number}")
    seen: list[Any] = []
    token = ""
    while True:
        request = pb.ListTransfersRequest(page_size=3, page_token=token)
        page = await corridor.subsidies.ListTransfers(request, metadata=operator)
        seen += page.transfers
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == before + 4
    assert len({(one.shard, one.sequence) for one in seen}) == before + 4
    times = [one.effective_time.ToMilliseconds() for one in seen]
    assert times == sorted(times, reverse=True)
    assert seen[0].code == "APPROPRIATE"
    request = pb.ListTransfersRequest(job_id="nonsense")
    found = await refusal(corridor.subsidies.ListTransfers(request, metadata=operator))
    assert found.fields == ("job_id",)


async def test_verification_finds_a_changed_balance(corridor: Any) -> None:
    corridor.db.write_future(
        lambda c: c.exec_driver_sql(
            "UPDATE account SET credits_posted = credits_posted + 1"
            " WHERE account_id = 'fund:ezhou-voucher:2026'"
        )
    ).result()
    auditor = corridor.token(Role.AUDITOR)
    answer = await corridor.subsidies.VerifyLedger(pb.VerifyLedgerRequest(), metadata=auditor)
    assert not answer.ok
    assert any("ezhou-voucher" in problem for problem in answer.problems)
