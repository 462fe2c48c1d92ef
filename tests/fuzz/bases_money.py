"""The base requests of the subsidy service; see ``tests.fuzz.bases``."""

from collections.abc import Mapping
from typing import Any, Final

from tests.fuzz.bases import Base, fixed, named, new
from tests.fuzz.world import CLOSED, DAY_MS, ENDED, EZHOU, MONTH, WHY, World, at
from tests.integration.jobs.conftest import NPU

_FUND: Final = {"programme": "ezhou-voucher", "period": "2026", "reason": WHY}
_PAST: Final = {"programme": "ezhou-voucher", "period": "2025", "reason": WHY}
_RULE: Final = {
    "rate_bp": 2_500,
    "tiers": [{"rate_bp": 3_000, "startup": True, "size_classes": ["SMALL"], "sectors": ["ai"]}],
    "priority": 1,
    "exclusive_group": "ezhou",
    "flavors": [NPU],
    "size_classes": ["SMALL", "MEDIUM"],
    "sectors": ["ai"],
    "job_cap_fen": 10**7,
    "year_cap_fen": 60_000_000,
    "minimum_fen": 1,
    "ceiling_bp": 8_000,
}  # fmt: skip


def _rule_version(w: World) -> Mapping[str, Any]:
    return {
        "request_id": w.new(), "programme": "ezhou-voucher", "rule": _RULE, "reason": WHY,
        "effective_time": at(w.now_ms + DAY_MS), "end_time": at(w.now_ms + 9 * DAY_MS),
        "document_ref": "a document",
    }  # fmt: skip


def _programme(w: World) -> Mapping[str, Any]:
    return {
        **_rule_version(w), "programme": f"ezhou-{w.new()}", "city": "ezhou",
        "display_name": "示例", "sample": True,
    }  # fmt: skip


def _vouchers(w: World) -> Mapping[str, Any]:
    return {
        "request_id": w.new(), "programme": "wuhan-direct-voucher", "period": "2026",
        "reason": WHY,
        "vouchers": [{"enterprise": "sample-wuhan-2", "face_fen": 100,
                      "voucher_no": f"v-{w.new()}", "valid_from_time": at(w.now_ms),
                      "valid_to_time": at(w.now_ms + DAY_MS)}],
    }  # fmt: skip


def _decision(number: int) -> Any:
    return lambda w: {"number": w.of["changes"][number], "reason": WHY}


_CHARGED: Final = {"programme": "ezhou-voucher", "amount_fen": 1, "reason": WHY}

SUBSIDIES: Final[Mapping[str, Base]] = {
    "ListProgrammes": Base("member", fixed(city="ezhou")),
    "ListFunds": Base("city", fixed(city="ezhou", programme="ezhou-voucher")),
    "AppropriateFund": Base("city", new(**_FUND, amount_fen=100, funder="ezhou")),
    "ListTransfers": Base("city", lambda w: {
        "account": "fund:ezhou-voucher:2026", "page_size": 1,
    }),
    "VerifyLedger": Base("city"),
    "ListLedgerDigests": Base("city", fixed(page_size=1)),
    "GetLedgerDigest": Base("city", named("day", "day")),
    "VerifyLedgerHeads": Base("city", fixed(
        heads=[{"shard": "fund:ezhou-voucher:2026", "sequence": 1, "hash": b"\0" * 32}]
    )),
    "ListAlerts": Base("member", fixed(show_ended=True, page_size=1)),
    "ForecastFunds": Base("city", fixed(city="ezhou", programme="ezhou-voucher")),
    "SimulateRule": Base("city", fixed(
        programme="ezhou-voucher", rule=_RULE, days=1,
        prices=[{"flavor": NPU, "price_ufen_per_unit_second": 1_000}],
    )),
    "ListChangeRequests": Base("city", fixed(states=[1], kinds=[1], city="ezhou", page_size=1)),
    "GetChangeRequest": Base("city", lambda w: {"number": w.of["changes"][0]}),
    "ApproveChangeRequest": Base("city2", _decision(0)),
    "DenyChangeRequest": Base("city2", _decision(1)),
    "WithdrawChangeRequest": Base("city", _decision(2)),
    "GetProgramme": Base("member", fixed(programme="ezhou-voucher")),
    "ListRuleVersions": Base("member", fixed(programme="ezhou-voucher", page_size=1)),
    "CreateProgramme": Base("city", _programme),
    "ProposeRuleVersion": Base("city", _rule_version),
    "EndProgramme": Base("city", lambda w: {
        "request_id": w.new(), "programme": "ezhou-voucher", "version": 1, "reason": WHY,
        "end_time": at(w.now_ms + DAY_MS),
    }),
    "OpenFund": Base("city", fixed(programme="ezhou-voucher", period="2028", reason=WHY)),
    "LowerFund": Base("city", new(**_FUND, amount_fen=1, funder="ezhou", allow_pending=True)),
    "CloseFund": Base("city", fixed(**_PAST)),
    "ListBookMonths": Base("city"),
    "CloseBookMonth": Base("operator", fixed(month=MONTH, reason=WHY), ENDED),
    "IssueVouchers": Base("wuhan", _vouchers),
    "GetVoucher": Base("wuhan", named("voucher_no", "voucher")),
    "ListVouchers": Base("wuhan", fixed(
        programme="wuhan-direct-voucher", period="2026", enterprise="sample-wuhan-2",
        show_ended=True, page_size=1,
    )),
    "RevokeVoucher": Base("wuhan", named("voucher_no", "voucher", reason=WHY)),
    "GrantHours": Base("wuhan", new(
        programme="wuhan-free-hours", period="2026", enterprise="sample-wuhan-2",
        unit_seconds=3_600, reason=WHY,
    )),
    "ListHourGrants": Base("wuhan", fixed(
        programme="wuhan-free-hours", period="2026", enterprise="sample-wuhan-2"
    )),
    "ListWallets": Base("city", fixed(city="ezhou", enterprise=EZHOU, page_size=1)),
    "TopUpWallet": Base("operator", new(enterprise=EZHOU, amount_fen=100, reason=WHY)),
    "SetWalletCredit": Base("operator", fixed(
        enterprise=EZHOU, credit_limit_fen=10**9, reason=WHY
    )),
    "GetRunCharge": Base("member", named("run_id", "run")),
    "CorrectCharge": Base("city", lambda w: {
        "request_id": w.new(), "run_id": w.of["run"], "gross_fen": 1, "code": 1, "reason": WHY,
    }),
    "WriteOffDebt": Base("operator", lambda w: {
        "request_id": w.new(), "run_id": w.of["debt-run"], "amount_fen": 1, "reason": WHY,
    }),
    "ClawBackSubsidy": Base("city", lambda w: {
        "request_id": w.new(), "run_id": w.of["run"], **_CHARGED,
    }),
    "BlockEnterprise": Base("city", fixed(enterprise=EZHOU, blocked=True, reason=WHY)),
    "CreateStatement": Base("city", fixed(
        kind=2, owner="sample-ezhou-2", period=MONTH, invoice="FP-1"
    ), CLOSED),
    "GetStatement": Base("city", named("number", "statement-draft"), CLOSED),
    "ListStatements": Base("city", fixed(
        kind=1, owner="ezhou", period=MONTH, states=[1], page_size=1
    ), CLOSED),
    "IssueStatement": Base("city", named("number", "statement-draft", reason=WHY), CLOSED),
    "PayStatement": Base("operator", named(
        "number", "statement-issued", payment_ref="bank-1", reason=WHY
    ), CLOSED),
    "DisputeStatement": Base("admin", named("number", "statement-issued", reason=WHY), CLOSED),
    "ReadStatementFile": Base("city", named("number", "statement-draft", format=1), CLOSED),
}  # fmt: skip
