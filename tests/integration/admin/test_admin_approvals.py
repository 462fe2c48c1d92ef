"""Changes that need two persons, over the real server."""

import asyncio
from typing import Any

import grpc
import pytest
from corridor.v1 import approval_pb2 as pb
from corridor.v1 import subsidy_service_pb2

from scheduler.domain.approving import Approvals
from scheduler.domain.principal import Role

MILLION_FEN = 100_000_000
FUND = "programmes/ezhou-voucher/funds/2026"


def _pay(corridor: Any, metadata: Any, amount_fen: int = MILLION_FEN, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "request_id": "r-1",
        "programme": "ezhou-voucher",
        "period": "2026",
        "reason": "second instalment",
    }
    request = subsidy_service_pb2.AppropriateFundRequest(
        **{**values, "amount_fen": amount_fen, **changes}
    )
    return corridor.subsidies.AppropriateFund(request, metadata=metadata)


def _approve(corridor: Any, metadata: Any, number: int = 1, **changes: Any) -> Any:
    values = {"number": number, "reason": "the council agreed", **changes}
    request = pb.ApproveChangeRequestRequest(**values)
    return corridor.subsidies.ApproveChangeRequest(request, metadata=metadata)


def _deny(corridor: Any, metadata: Any, number: int = 1, reason: str = "not this year") -> Any:
    request = pb.DenyChangeRequestRequest(number=number, reason=reason)
    return corridor.subsidies.DenyChangeRequest(request, metadata=metadata)


def _withdraw(corridor: Any, metadata: Any, number: int = 1, reason: str = "a typing error") -> Any:
    request = pb.WithdrawChangeRequestRequest(number=number, reason=reason)
    return corridor.subsidies.WithdrawChangeRequest(request, metadata=metadata)


def _entries(corridor: Any) -> int:
    return int(corridor.rows("SELECT count(*) FROM transfer WHERE code = 'APPROPRIATE'")[0][0])


def _in_fund(corridor: Any) -> int:
    account = "fund:ezhou-voucher:2026"
    query = f"SELECT credits_posted FROM account WHERE account_id = '{account}'"
    return int(corridor.rows(query)[0][0])


async def test_a_large_payment_waits_for_another_person_and_is_made_once(
    corridor: Any, refusal: Any
) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    entries, before_fen = _entries(corridor), _in_fund(corridor)
    other = corridor.token(Role.CITY_ADMIN, city="ezhou", subject="other admin of ezhou")
    small = await _pay(corridor, other, MILLION_FEN - 1, request_id="small")
    assert not small.HasField("change_request")
    assert _in_fund(corridor) == before_fen + MILLION_FEN - 1
    for _ in range(2):  # repeating the call is the same request
        answer = await _pay(corridor, ezhou)
        found = answer.change_request
        assert (found.number, found.state) == (1, pb.CHANGE_STATE_PENDING)
        assert (found.kind, found.target, found.city) == (
            pb.CHANGE_KIND_APPROPRIATE, FUND, "ezhou",
        )  # fmt: skip
        assert (found.requester, found.requester_role, found.reason) == (
            "admin of ezhou", "CITY_ADMIN", "second instalment",
        )  # fmt: skip
        assert found.amount_fen == MILLION_FEN
        assert found.before_json == f'{{"appropriated_fen": {before_fen + MILLION_FEN - 1}}}'
        assert found.after_json == f'{{"appropriated_fen": {before_fen + 2 * MILLION_FEN - 1}}}'
    assert _entries(corridor) == entries + 1
    refused = await refusal(_pay(corridor, ezhou, MILLION_FEN + 1))
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED",
    )  # fmt: skip

    tried = await _approve(corridor, operator, validate_only=True)
    assert tried.change_request.state == pb.CHANGE_STATE_APPROVED
    assert _entries(corridor) == entries + 1
    made = (await _approve(corridor, operator)).change_request
    assert (made.state, made.decided_by, made.decision_reason) == (
        pb.CHANGE_STATE_APPROVED, "operator", "the council agreed",
    )  # fmt: skip
    assert made.HasField("decide_time")
    assert _in_fund(corridor) == before_fen + 2 * MILLION_FEN - 1
    again = await refusal(_approve(corridor, operator))
    assert again.code == grpc.StatusCode.FAILED_PRECONDITION
    assert "APPROVED" in again.message
    after = await _pay(corridor, ezhou)
    assert after.change_request.state == pb.CHANGE_STATE_APPROVED
    assert _entries(corridor) == entries + 2
    assert corridor.rows(
        "SELECT actor, reason FROM transfer WHERE idem_key = 'appropriate:ezhou-voucher:2026:r-1'"
    ) == [("admin of ezhou", "second instalment")]


async def test_every_step_is_in_the_audit_log(corridor: Any) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    for number in (1, 2, 3):
        await _pay(corridor, ezhou, request_id=f"r-{number}")
    await _approve(corridor, operator, 1)
    await _deny(corridor, operator, 2)
    await _withdraw(corridor, ezhou, 3)
    assert corridor.rows(
        "SELECT action, actor, target, city, reason FROM audit_event"
        " WHERE action LIKE 'CHANGE_%' OR action LIKE 'FUND_%' ORDER BY seq"
    ) == [
        ("CHANGE_REQUESTED", "admin of ezhou", FUND, "ezhou", "second instalment"),
        ("CHANGE_REQUESTED", "admin of ezhou", FUND, "ezhou", "second instalment"),
        ("CHANGE_REQUESTED", "admin of ezhou", FUND, "ezhou", "second instalment"),
        ("CHANGE_APPROVED", "operator", FUND, "ezhou", "the council agreed"),
        ("FUND_APPROPRIATED", "operator", FUND, "ezhou", "the council agreed"),
        ("CHANGE_DENIED", "operator", FUND, "ezhou", "not this year"),
        ("CHANGE_WITHDRAWN", "admin of ezhou", FUND, "ezhou", "a typing error"),
    ]


async def test_nobody_decides_the_own_request(corridor: Any, refusal: Any) -> None:
    """It is the person who counts, not the token: another token of the same one does not do."""
    ezhou, other = corridor.city_admin("ezhou"), corridor.city_admin("ezhou")
    await _pay(corridor, ezhou)
    for decide in (_approve, _deny):
        found = await refusal(decide(corridor, other))
        assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SAME_PERSON")
    colleague = corridor.token(Role.CITY_ADMIN, city="ezhou", subject="another admin of ezhou")
    found = await refusal(_withdraw(corridor, colleague))
    assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_THE_REQUESTER")
    made = (await _approve(corridor, colleague)).change_request
    assert made.decided_by == "another admin of ezhou"


async def test_a_city_decides_and_sees_its_own_alone(corridor: Any, refusal: Any) -> None:
    ezhou, wuhan, operator = (
        corridor.city_admin("ezhou"), corridor.city_admin("wuhan"), corridor.operator(),
    )  # fmt: skip
    await _pay(corridor, ezhou)
    await _pay(corridor, operator, programme="corridor-shared")
    for decide in (_approve, _deny, _withdraw):
        for number in (1, 2):
            found = await refusal(decide(corridor, wuhan, number))
            assert found.code == grpc.StatusCode.NOT_FOUND
    seen = corridor.subsidies.ListChangeRequests
    everything = pb.ListChangeRequestsRequest()
    for who, numbers in ((ezhou, [1]), (wuhan, []), (corridor.token(Role.AUDITOR), [2, 1])):
        found = await seen(everything, metadata=who)
        assert [one.number for one in found.change_requests] == numbers
    get = corridor.subsidies.GetChangeRequest
    one = await get(pb.GetChangeRequestRequest(number=1), metadata=ezhou)
    assert one.change_request.target == FUND
    found = await refusal(get(pb.GetChangeRequestRequest(number=2), metadata=ezhou))
    assert found.code == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "role", [Role.AUDITOR, Role.ENTERPRISE_ADMIN, Role.ENTERPRISE_MEMBER, Role.AGENT]
)
async def test_no_other_role_decides(corridor: Any, refusal: Any, role: Role) -> None:
    await _pay(corridor, corridor.city_admin("ezhou"))
    metadata = corridor.token(role, enterprise="sample-ezhou-1", center="wuhan-ai")
    for decide in (_approve, _deny, _withdraw):
        found = await refusal(decide(corridor, metadata))
        assert found.code == grpc.StatusCode.PERMISSION_DENIED
    assert corridor.rows("SELECT state FROM change_request") == [("PENDING",)]


async def test_decisions_need_a_reason_and_a_number(corridor: Any, refusal: Any) -> None:
    operator = corridor.operator()
    await _pay(corridor, corridor.city_admin("ezhou"))
    for call in (
        _approve(corridor, operator, reason=" "),
        _deny(corridor, operator, reason=""),
        _withdraw(corridor, operator, reason=""),
    ):
        found = await refusal(call)
        assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("reason",))
    for number in (0, -1):
        found = await refusal(_approve(corridor, operator, number))
        assert found.fields == ("number",)
    found = await refusal(_approve(corridor, operator, 99))
    assert found.code == grpc.StatusCode.NOT_FOUND


async def test_what_no_longer_fits_is_refused_and_waits_on(corridor: Any, refusal: Any) -> None:
    await _pay(corridor, corridor.city_admin("ezhou"))
    entries = _entries(corridor)
    corridor.db.write_future(
        lambda c: c.exec_driver_sql("UPDATE fund_period SET state = 'CLOSING'")
    ).result()
    found = await refusal(_approve(corridor, corridor.operator()))
    assert "CLOSING" in found.message
    assert corridor.rows("SELECT state FROM change_request") == [("PENDING",)]
    assert corridor.rows("SELECT 1 FROM audit_event WHERE action = 'CHANGE_APPROVED'") == []
    assert _entries(corridor) == entries


async def test_of_approvers_that_race_one_decides(corridor: Any) -> None:
    await _pay(corridor, corridor.city_admin("ezhou"))
    entries = _entries(corridor)
    people = [corridor.token(Role.OPERATOR, subject=f"operator {n}") for n in range(8)]
    calls = [
        (_approve if n % 2 else _deny)(corridor, metadata) for n, metadata in enumerate(people)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    done = [one for one in answers if not isinstance(one, BaseException)]
    assert len(done) == 1
    assert {one.code() for one in answers if isinstance(one, grpc.aio.AioRpcError)} == {
        grpc.StatusCode.FAILED_PRECONDITION
    }
    approved = done[0].change_request.state == pb.CHANGE_STATE_APPROVED
    assert _entries(corridor) == entries + approved


async def test_requests_come_newest_first_by_pages_and_filters(corridor: Any, refusal: Any) -> None:
    ezhou, operator = corridor.city_admin("ezhou"), corridor.operator()
    for number in range(5):
        await _pay(corridor, ezhou, request_id=f"r-{number}")
    await _pay(corridor, operator, programme="wuhan-voucher")
    await _deny(corridor, operator, 2)

    async def numbers(**wanted: Any) -> list[int]:
        found, token = list[int](), ""
        while True:
            request = pb.ListChangeRequestsRequest(page_size=2, page_token=token, **wanted)
            page = await corridor.subsidies.ListChangeRequests(request, metadata=operator)
            found += [one.number for one in page.change_requests]
            token = page.next_page_token
            if not token:
                return found

    assert await numbers() == [6, 5, 4, 3, 2, 1]
    assert await numbers(states=[pb.CHANGE_STATE_DENIED]) == [2]
    assert await numbers(city="wuhan") == [6]
    assert await numbers(target="programmes/ezhou-voucher") == [5, 4, 3, 2, 1]
    assert await numbers(target="programmes/ezhou") == []
    assert await numbers(kinds=[pb.CHANGE_KIND_PRICE_VERSION]) == []
    for wrong in ({"states": [0]}, {"kinds": [99]}):
        request = pb.ListChangeRequestsRequest(**wrong)  # type: ignore[arg-type]
        found = await refusal(corridor.subsidies.ListChangeRequests(request, metadata=operator))
        assert found.fields == (next(iter(wrong)),)


async def test_the_threshold_is_a_setting(start_corridor: Any) -> None:
    corridor = await start_corridor(approvals=Approvals(threshold_fen=5_000))
    ezhou = corridor.city_admin("ezhou")
    small = await _pay(corridor, ezhou, 4_999, request_id="a")
    large = await _pay(corridor, ezhou, 5_000, request_id="b")
    assert not small.HasField("change_request")
    assert large.change_request.number == 1
