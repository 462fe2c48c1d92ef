"""What must not be booked, over the real server: an error that says what may be, and no entry."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from corridor.v1 import (
    approval_pb2,
    charge_pb2,
    period_pb2,
    price_pb2,
    rule_pb2,
    statement_pb2,
    voucher_pb2,
)
from corridor.v1 import subsidy_service_pb2 as pb

from adapters.contract import Phase
from quota.rules import Rule
from scheduler.domain.ids import run_id
from scheduler.domain.principal import Role
from scheduler.store import book_months
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job
from tests.unit.store.statement_hands import MONTH, NEXT, close

#: 222222 micro-fen a unit-second: the run that was settled cost 67 fen, of that which goes on 133
#: fen are held, and the fund gives all.
RULES = (
    (Rule("pool", 1, "wuhan", 10_000), 1_000),
    (Rule("paper", 1, "wuhan", 5_000, issue="VOUCHER", validity_months=2, priority=1), 1_000),
)
WHY = "because"


@pytest.fixture
async def corridor(start_corridor: Any, tmp_path: Path) -> Any:
    """A service whose September is closed; in October a run was settled and another one runs.

    Its center states the use of the first one in two ways.
    """
    it = Hands(worlds.build(rules=RULES))
    it.db.do(lambda c: book_months.begin_due(c, it.clock.ms))
    close(it, MONTH)
    first, second = it.world.submit("w1", [job(NPU), job(NPU)])
    it.run(first)
    start_ms = it.clock.ms
    it.end(first, 300)
    differs = it.usage(first, start_ms, start_ms + 299_000)
    it.report(it.seen(first, Phase.SUCCEEDED, 2, usage=[differs]))
    it.run(second)
    path = tmp_path / "books.db"
    copy = sqlite3.connect(path)
    it.db._raw.backup(copy)
    copy.close()
    it.db.close()
    found = await start_corridor(data=path)
    found.clock.ms = it.clock.ms + 40 * 86_400_000
    found.settled = run_id(first, 1)
    return found


class Bad(NamedTuple):
    """A call that must be refused: with which code, and what the error says is allowed."""

    call: Callable[[Any, Any], Any]
    code: grpc.StatusCode
    says: tuple[str, ...]


def _at_ms(message: Any, name: str, at_ms: int) -> Any:
    getattr(message, name).FromMilliseconds(at_ms)
    return message


def _lower(corridor: Any, who: Any, fen: int, pending: bool = False) -> Any:
    request = pb.LowerFundRequest(
        request_id="l", programme="pool", period="2026", amount_fen=fen, reason=WHY,
        allow_pending=pending,
    )  # fmt: skip
    return corridor.subsidies.LowerFund(request, metadata=who)


def _shares(corridor: Any, who: Any) -> Any:
    funders = [
        rule_pb2.RuleFunder(funder="wuhan", share_bp=5_000),
        rule_pb2.RuleFunder(funder="hubei", share_bp=4_999),
    ]
    rule = rule_pb2.SubsidyRule(
        rate_bp=5_000, base="GROSS", mode="DEDUCT", issue="POOL", unit="FEN", boundary="SPLIT",
        cap_on="USE", ceiling_bp=10_000, funders=funders,
    )  # fmt: skip
    request = rule_pb2.ProposeRuleVersionRequest(
        request_id="r", programme="pool", reason=WHY, rule=rule
    )
    return corridor.subsidies.ProposeRuleVersion(request, metadata=who)


async def _overlap(corridor: Any, who: Any) -> Any:
    """A second price of a day for which one is there; the first is agreed on by two."""
    day_ms = corridor.clock.ms + 10 * 86_400_000

    def request(key: str, at_ms: int, ufen: int) -> Any:
        price = price_pb2.FlavorPrice(flavor=NPU, price_ufen_per_unit_second=ufen)
        return _at_ms(
            price_pb2.SetPricesRequest(request_id=key, center="ai", prices=[price], reason=WHY),
            "effective_time", at_ms,
        )  # fmt: skip

    await corridor.centers.SetPrices(request("p", day_ms, 5), metadata=who)
    second = corridor.token(Role.OPERATOR, subject="another operator", expire_ms=1 << 50)
    await corridor.subsidies.ApproveChangeRequest(
        approval_pb2.ApproveChangeRequestRequest(number=1, reason=WHY), metadata=second
    )
    return await corridor.centers.SetPrices(request("q", day_ms - 1, 6), metadata=who)


def _voucher(corridor: Any, who: Any) -> Any:
    one = voucher_pb2.NewVoucher(enterprise="w1", face_fen=100)
    _at_ms(one, "valid_to_time", corridor.clock.ms + 70 * 86_400_000)
    request = voucher_pb2.IssueVouchersRequest(
        request_id="i", programme="paper", period="2026", vouchers=[one], reason=WHY
    )
    return corridor.subsidies.IssueVouchers(request, metadata=who)


def _statement(corridor: Any, who: Any) -> Any:
    request = statement_pb2.CreateStatementRequest(
        kind=statement_pb2.STATEMENT_KIND_CITY, owner="wuhan", period=NEXT
    )
    return corridor.subsidies.CreateStatement(request, metadata=who)


def _raise(corridor: Any, who: Any) -> Any:
    request = charge_pb2.CorrectChargeRequest(
        request_id="c", run_id=corridor.settled, gross_fen=68, reason=WHY,
        code=charge_pb2.CORRECTION_CODE_GOODWILL,
    )  # fmt: skip
    return corridor.subsidies.CorrectCharge(request, metadata=who)


def _close(corridor: Any, who: Any) -> Any:
    request = period_pb2.CloseBookMonthRequest(month=NEXT, reason=WHY)
    return corridor.subsidies.CloseBookMonth(request, metadata=who)


_REFUSED = grpc.StatusCode.FAILED_PRECONDITION
_INVALID = grpc.StatusCode.INVALID_ARGUMENT
BAD = {
    "below what is held": Bad(
        lambda corridor, who: _lower(corridor, who, 801),
        _REFUSED,
        ("¥1.33 is held", "lower it by at most ¥8.00", "pending reduction"),
    ),
    "below what is spent": Bad(
        lambda corridor, who: _lower(corridor, who, 934, True),
        _REFUSED,
        ("¥0.67 is spent", "at most ¥8.00 can be taken out now", "up to ¥9.33"),
    ),
    "shares that do not add up": Bad(_shares, _INVALID, ("add up to 10000 (100 %), not 9999",)),
    "prices that overlap": Bad(_overlap, _INVALID, (f"{NPU}@2", "replace what is planned")),
    "a voucher past its validity": Bad(
        _voucher, _INVALID, ("beyond the longest validity", "leave it out")
    ),
    "a statement of an open period": Bad(
        _statement, _REFUSED, (f"the books of {NEXT} are not closed", "close them first")
    ),
    "a correction above the original": Bad(
        _raise, _INVALID, ("costs ¥0.67", "corrected to ¥0.00 up to below ¥0.67", "never raised")
    ),
    "a close with open differences": Bad(
        _close, _REFUSED, ("1 difference(s)", "resolve each before the month is closed")
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=[*BAD])
async def test_it_is_refused_with_what_is_allowed_and_no_entry_is_written(
    corridor: Any, refusal: Any, bad: Bad
) -> None:
    tables = ("transfer", "account", "cap_counter", "statement", "voucher", "fund_reduction")
    before = [corridor.rows(f"SELECT * FROM {name}") for name in tables]
    who = corridor.token(Role.OPERATOR, subject="operator", expire_ms=1 << 50)  # valid then
    found = await refusal(bad.call(corridor, who))
    assert found.code == bad.code, found
    for words in bad.says:
        assert words in found.message
    assert [corridor.rows(f"SELECT * FROM {name}") for name in tables] == before
    answer = await corridor.subsidies.VerifyLedger(pb.VerifyLedgerRequest(), metadata=who)
    assert answer.ok, answer.problems
