"""The rule of two persons as the service is told it: by its settings, over a restart."""

from typing import Any

import pytest
from corridor.v1 import approval_pb2, price_pb2, subsidy_service_pb2

from scheduler.config import load_settings


async def _pay(client: Any, fen: int, request_id: str) -> Any:
    funds = await client.subsidies.ListFunds(
        subsidy_service_pb2.ListFundsRequest(programme="ezhou-voucher")
    )
    request = subsidy_service_pb2.AppropriateFundRequest(
        request_id=request_id,
        programme="ezhou-voucher",
        period=funds.funds[0].period,
        amount_fen=fen,
        reason="test",
    )
    return await client.subsidies.AppropriateFund(request)


async def test_the_settings_say_what_needs_a_second_person(installed: Any, serve: Any) -> None:
    """What waits under one setting is not made by another: only a decision makes it."""
    strict = installed.with_flags({"approvals.threshold_fen": 1_000})
    async with serve(strict) as (_, client):
        assert not (await _pay(client, 999, "a")).HasField("change_request")
        assert (await _pay(client, 1_000, "b")).change_request.number == 1
        assert (await _pay(client, 1, "with what was paid alone")).change_request.number == 2
    singly = installed.with_flags({"approvals.threshold_fen": 1_000, "approvals.window_days": 0})
    async with serve(singly) as (_, client):
        assert not (await _pay(client, 999, "by itself")).HasField("change_request")
    lax = installed.with_flags({"approvals.threshold_fen": 10**15, "approvals.two_person": False})
    async with serve(lax) as (_, client):
        assert not (await _pay(client, 10**9, "c")).HasField("change_request")
        price = price_pb2.FlavorPrice(flavor="wuhan-sc/accelerator", price_ufen_per_unit_second=1)
        made = await client.centers.SetPrices(
            price_pb2.SetPricesRequest(
                request_id="p", center="wuhan-sc", prices=[price], reason="test"
            )
        )
        assert made.prices[0].price_ufen_per_unit_second == 1
        waiting = await client.subsidies.GetChangeRequest(
            approval_pb2.GetChangeRequestRequest(number=1)
        )
        assert waiting.change_request.state == approval_pb2.CHANGE_STATE_PENDING


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("CORRIDOR_APPROVALS_THRESHOLD_FEN", "500"),
        ("CORRIDOR_APPROVALS_TWO_PERSON", "false"),
        ("CORRIDOR_APPROVALS_WINDOW_DAYS", "7"),
    ],
)
def test_they_are_read_from_the_environment_too(name: str, given: str) -> None:
    approvals = load_settings(None, {name: given}, {}).approvals
    known = (approvals.threshold_fen, approvals.two_person, approvals.window_days)
    assert given in [str(one).lower() for one in known]
