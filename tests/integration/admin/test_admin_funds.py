"""Funds, vouchers, granted hours, wallets and months over the real server."""

from typing import Any

import grpc
import pytest
from corridor.v1 import approval_pb2, period_pb2, voucher_pb2, wallet_pb2
from corridor.v1 import subsidy_service_pb2 as pb

from quota.calendar import period_bounds, period_of
from quota.rules import Rule
from scheduler.domain.principal import EVERYTHING, Role
from scheduler.store import funds, programmes

ISSUE = voucher_pb2.IssueVouchersRequest
WHY = "why"


def member(corridor: Any, enterprise: str) -> Any:
    """Somebody of an enterprise."""
    return corridor.token(Role.ENTERPRISE_MEMBER, enterprise=enterprise)


def add_programme(corridor: Any, rule: Rule, fund_fen: int) -> None:
    """A programme of another kind than the samples', with money."""

    def write(c: Any) -> None:
        now_ms = corridor.clock.ms
        programmes.create_programme(
            c,
            city=rule.city,
            name=rule.programme,
            document_ref="",
            sample=True,
            rule=rule,
            now_ms=now_ms,
        )
        funds.open_period(c, rule.programme, "2026")
        if fund_fen:
            funds.appropriate(
                c,
                EVERYTHING,
                programme=rule.programme,
                period="2026",
                amount_fen=fund_fen,
                request_id="first",
                actor="test",
                reason="test",
                now_ms=now_ms,
            )

    corridor.db.write_future(write).result()  # fmt: skip


async def test_a_fund_is_opened_paid_into_and_lowered(corridor: Any, refusal: Any) -> None:
    ezhou = corridor.city_admin("ezhou")
    opened = await corridor.subsidies.OpenFund(
        pb.OpenFundRequest(programme="ezhou-voucher", period="2027", reason=WHY), metadata=ezhou
    )
    assert (opened.fund.state, opened.fund.available_fen) == ("OPEN", 0)
    assert [one.funder for one in opened.fund.funders] == ["ezhou"]
    paid = await corridor.subsidies.AppropriateFund(
        pb.AppropriateFundRequest(
            request_id="a", programme="ezhou-voucher", period="2027", amount_fen=5_000, reason=WHY
        ),
        metadata=ezhou,
    )
    assert paid.fund.available_fen == 5_000

    def lowered(fen: int, **changes: Any) -> Any:
        values = {
            "request_id": "l", "programme": "ezhou-voucher", "period": "2027", "amount_fen": fen,
            "reason": WHY,
        }  # fmt: skip
        request = pb.LowerFundRequest(**{**values, **changes})
        return corridor.subsidies.LowerFund(request, metadata=ezhou)

    found = await refusal(lowered(6_000))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FUND_SPENT")
    assert "¥50.00 can be taken out now" in found.message
    answer = await lowered(2_000)
    assert (answer.fund.available_fen, answer.HasField("change_request")) == (3_000, False)
    found = await refusal(lowered(1, request_id="m", funder="province"))
    assert (found.code, "it has ezhou" in found.message) == (grpc.StatusCode.NOT_FOUND, True)
    assert corridor.rows(
        "SELECT action, actor FROM audit_event WHERE target = 'programmes/ezhou-voucher/funds/2027'"
        " ORDER BY seq"
    ) == [
        ("FUND_OPENED", "admin of ezhou"),
        ("FUND_APPROPRIATED", "admin of ezhou"),
        ("FUND_LOWERED", "admin of ezhou"),
    ]


async def test_a_large_reduction_waits_for_another_person(corridor: Any) -> None:
    request = pb.LowerFundRequest(
        request_id="l", programme="ezhou-voucher", period="2026", amount_fen=100_000_000,
        reason=WHY,
    )  # fmt: skip
    answer = await corridor.subsidies.LowerFund(request, metadata=corridor.city_admin("ezhou"))
    assert answer.change_request.state == approval_pb2.CHANGE_STATE_PENDING
    assert answer.fund.appropriated_fen == 500_000_000
    await corridor.subsidies.ApproveChangeRequest(
        approval_pb2.ApproveChangeRequestRequest(
            number=answer.change_request.number, reason="seen"
        ),
        metadata=corridor.operator(),
    )
    funds = await corridor.subsidies.ListFunds(
        pb.ListFundsRequest(programme="ezhou-voucher"), metadata=corridor.operator()
    )
    assert [one.appropriated_fen for one in funds.funds] == [400_000_000]


async def test_vouchers_are_issued_listed_shown_and_revoked(corridor: Any, refusal: Any) -> None:
    rule = Rule("vouchers", 1, "ezhou", 5_000, issue="VOUCHER", validity_months=6)
    add_programme(corridor, rule, 10_000)
    ezhou, enterprise = corridor.city_admin("ezhou"), member(corridor, "sample-ezhou-1")
    new = [
        voucher_pb2.NewVoucher(enterprise="sample-ezhou-1", face_fen=1_000),
        voucher_pb2.NewVoucher(enterprise="sample-ezhou-1", face_fen=500, voucher_no="E-1"),
    ]
    new[1].valid_to_time.FromMilliseconds(corridor.clock.ms + 86_400_000)
    request = ISSUE(request_id="i", programme="vouchers", period="2026", vouchers=new, reason=WHY)
    for _ in range(2):
        answer = await corridor.subsidies.IssueVouchers(request, metadata=ezhou)
        assert [one.face_fen for one in answer.vouchers] == [1_000, 500]
    asked = voucher_pb2.ListVouchersRequest(page_size=1)
    first = await corridor.subsidies.ListVouchers(asked, metadata=enterprise)
    assert [one.voucher_no for one in first.vouchers] == ["E-1"]
    asked.page_token = first.next_page_token
    second = await corridor.subsidies.ListVouchers(asked, metadata=enterprise)
    assert [one.voucher_no for one in second.vouchers] == [answer.vouchers[0].voucher_no]
    assert second.next_page_token == ""
    other = member(corridor, "sample-wuhan-1")
    assert not (await corridor.subsidies.ListVouchers(asked, metadata=other)).vouchers
    found = await refusal(
        corridor.subsidies.GetVoucher(
            voucher_pb2.GetVoucherRequest(voucher_no="E-1"), metadata=other
        )
    )
    assert found.code == grpc.StatusCode.NOT_FOUND
    revoked = await corridor.subsidies.RevokeVoucher(
        voucher_pb2.RevokeVoucherRequest(voucher_no="E-1", reason="moved away"), metadata=ezhou
    )
    assert revoked.voucher.state == voucher_pb2.VOUCHER_STATE_REVOKED
    shown = await corridor.subsidies.GetVoucher(
        voucher_pb2.GetVoucherRequest(voucher_no="E-1"), metadata=enterprise
    )
    assert (shown.voucher.returned_fen, shown.voucher.end_reason) == (500, "moved away")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"vouchers": []}, "vouchers"),
        ({"reason": " "}, "reason"),
        ({"request_id": ""}, "request_id"),
        ({"vouchers": [voucher_pb2.NewVoucher(face_fen=1)]}, "vouchers[0].enterprise"),
        (
            {"vouchers": [voucher_pb2.NewVoucher(enterprise="sample-ezhou-1")]},
            "vouchers[0].face_fen",
        ),
    ],
)
async def test_a_wrong_field_of_an_issue_is_named(
    corridor: Any, refusal: Any, changes: dict[str, Any], field: str
) -> None:
    values: dict[str, Any] = {
        "request_id": "i", "programme": "ezhou-voucher", "period": "2026", "reason": WHY,
        "vouchers": [voucher_pb2.NewVoucher(enterprise="sample-ezhou-1", face_fen=1)],
    }  # fmt: skip
    request = ISSUE(**{**values, **changes})
    found = await refusal(
        corridor.subsidies.IssueVouchers(request, metadata=corridor.city_admin("ezhou"))
    )
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))


async def test_hours_are_granted_by_a_programme_of_hours(corridor: Any, refusal: Any) -> None:
    request = voucher_pb2.GrantHoursRequest(
        request_id="g", programme="ezhou-voucher", period="2026", enterprise="sample-ezhou-1",
        unit_seconds=7_200, reason=WHY,
    )  # fmt: skip
    ezhou = corridor.city_admin("ezhou")
    found = await refusal(corridor.subsidies.GrantHours(request, metadata=ezhou))
    assert (found.code, "unit: UNIT_S" in found.message) == (
        grpc.StatusCode.FAILED_PRECONDITION, True,
    )  # fmt: skip
    add_programme(corridor, Rule("hours", 1, "ezhou", 10_000, unit="UNIT_S"), 0)
    request.programme = "hours"
    granted = (await corridor.subsidies.GrantHours(request, metadata=ezhou)).grant
    assert (granted.granted_unit_seconds, granted.left_unit_seconds) == (7_200, 7_200)
    listed = await corridor.subsidies.ListHourGrants(
        voucher_pb2.ListHourGrantsRequest(), metadata=member(corridor, "sample-ezhou-1")
    )
    assert [one.enterprise for one in listed.grants] == ["sample-ezhou-1"]


async def test_wallets_are_topped_up_and_given_credit_by_operators(
    corridor: Any, refusal: Any
) -> None:
    operator, own = corridor.operator(), member(corridor, "sample-ezhou-1")
    request = wallet_pb2.TopUpWalletRequest(
        request_id="t", enterprise="sample-ezhou-1", amount_fen=700, reason=WHY
    )
    for _ in range(2):
        answer = await corridor.subsidies.TopUpWallet(request, metadata=operator)
        assert answer.wallet.paid_in_fen == 700
    credit = wallet_pb2.SetWalletCreditRequest(
        enterprise="sample-ezhou-1", credit_limit_fen=50, reason=WHY
    )
    found = await refusal(corridor.subsidies.SetWalletCredit(credit, metadata=own))
    assert found.code == grpc.StatusCode.PERMISSION_DENIED
    wallet = (await corridor.subsidies.SetWalletCredit(credit, metadata=operator)).wallet
    assert (wallet.credit_limit_fen, wallet.available_fen) == (50, 750)
    seen = await corridor.subsidies.ListWallets(wallet_pb2.ListWalletsRequest(), metadata=own)
    assert [one.enterprise for one in seen.wallets] == ["sample-ezhou-1"]
    all_pages, token = [], ""
    while True:
        page = await corridor.subsidies.ListWallets(
            wallet_pb2.ListWalletsRequest(page_size=3, page_token=token), metadata=operator
        )
        all_pages += [one.enterprise for one in page.wallets]
        token = page.next_page_token
        if not token:
            break
    assert all_pages == [
        code for (code,) in corridor.rows("SELECT code FROM enterprise ORDER BY code")
    ]


async def test_a_fund_is_closed_when_its_period_is_over(corridor: Any, refusal: Any) -> None:
    ezhou = corridor.city_admin("ezhou")
    year = pb.CloseFundRequest(programme="ezhou-voucher", period="2026", reason=WHY)
    found = await refusal(corridor.subsidies.CloseFund(year, metadata=ezhou))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PERIOD_RUNNING")
    corridor.clock.ms = period_bounds("2027-01")[0]
    ezhou = corridor.token(Role.CITY_ADMIN, city="ezhou", expire_ms=1 << 50)  # still valid then
    closed = await corridor.subsidies.CloseFund(year, metadata=ezhou)
    assert (closed.fund.state, closed.fund.lapsed_fen) == ("CLOSED", 500_000_000)
    verified = await corridor.subsidies.VerifyLedger(pb.VerifyLedgerRequest(), metadata=ezhou)
    assert verified.ok, verified.problems


async def test_a_month_is_closed_by_an_operator_after_those_before_it(
    corridor: Any, refusal: Any
) -> None:
    operator = corridor.operator()
    first = period_of(corridor.clock.ms, 1)
    corridor.clock.ms = period_bounds(first)[1]
    now = period_of(corridor.clock.ms, 1)

    def close(month: str, metadata: Any) -> Any:
        request = period_pb2.CloseBookMonthRequest(month=month, reason=WHY)
        return corridor.subsidies.CloseBookMonth(request, metadata=metadata)

    found = await refusal(close(first, corridor.city_admin("ezhou")))
    assert found.code == grpc.StatusCode.PERMISSION_DENIED
    found = await refusal(close(now, operator))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MONTH_RUNNING")
    assert (await refusal(close("2020-01", operator))).code == grpc.StatusCode.NOT_FOUND
    month = (await close(first, operator)).month
    assert (month.state, month.reason) == (period_pb2.BOOK_MONTH_STATE_CLOSED, WHY)
    listed = await corridor.subsidies.ListBookMonths(
        period_pb2.ListBookMonthsRequest(), metadata=corridor.token(Role.AUDITOR)
    )
    assert [(one.month, one.state) for one in listed.months] == [
        (now, period_pb2.BOOK_MONTH_STATE_OPEN),
        (first, period_pb2.BOOK_MONTH_STATE_CLOSED),
    ]
