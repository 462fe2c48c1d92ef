"""A statement as the FinOps Open Cost and Usage Specification (FOCUS) 1.2 has it, as CSV.

A charge is one row of ChargeCategory Usage; on an enterprise's statement each subsidy that is
deducted stands below it as a row of its own, ChargeCategory Credit, so that the sum of BilledCost
by InvoiceId is what is due on the statement. A subsidy that is claimed afterwards is no part of
what is billed; EffectiveCost shows what is left for the enterprise after it. A CITY statement bills
the city its share, a CENTER statement the gross but for what was written off.

ListCost is PricingQuantity x ListUnitPrice exactly, before it is rounded to a fen; corrections have
no prices. Columns that FOCUS does not know begin with ``x_``. Instants are UTC, ends exclusive.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from quota.calendar import period_bounds
from quota.statement_columns import SECONDS, decimal
from quota.statements import Line, StatementKind, due_of, money_text

COLUMNS: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency",
    "BillingPeriodStart", "BillingPeriodEnd", "ChargeCategory", "ChargeClass",
    "ChargeDescription", "ChargeFrequency", "ChargePeriodStart", "ChargePeriodEnd",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost",
    "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "RegionId", "ResourceId",
    "ServiceCategory", "ServiceName", "SkuId", "SkuPriceId", "SubAccountId", "x_City",
    "x_Programme", "x_RuleVersion", "x_FundShare", "x_Contract", "x_JobId", "x_LedgerEntries",
)  # fmt: skip
_CURRENCY: Final = "CNY"
#: A yuan is 10^8 micro-fen.
_UFEN_PLACES: Final = 8


@lru_cache(maxsize=4_096)
def _hour_text(hour: int) -> str:
    """Return an hour since the epoch in UTC: ``2026-09-21T02:``."""
    return datetime.fromtimestamp(hour * 3_600, UTC).isoformat()[:14]


def utc_text(at_ms: int) -> str:
    """Return an instant in UTC: ``2026-09-21T02:00:00Z``."""
    hour, rest_ms = divmod(at_ms, 3_600_000)
    return f"{_hour_text(hour)}{SECONDS[rest_ms // 1_000]}Z"


def rows_of(kind: StatementKind, line: Line, version: int) -> list[list[str]]:
    """Return the rows of a line, in the order of ``COLUMNS``; a name may be a formula.

    ``version`` is that of the statement's files.
    """
    off = line.written_off_fen if version > 1 else 0
    due = due_of(kind, line.gross_fen, line.share_fen, line.self_pay_fen, line.claim_fen, off)
    if kind is not StatementKind.ENTERPRISE:
        return [_row(line, "Usage", due, due, line.share_fen)]
    deducted = line.share_fen + line.others_fen - line.claim_fen
    listed = due + deducted
    rows = [_row(line, "Usage", listed, listed - line.claim_fen, line.claim_fen)]
    if deducted:
        rows.append(_row(line, "Credit", -deducted, -deducted, deducted))
    return rows


def _row(line: Line, category: str, billed: int, effective: int, share: int) -> list[str]:
    usage = category == "Usage"
    began_ms, ended_ms = line.start_ms, line.end_ms
    if began_ms is None or ended_ms is None:
        began_ms = ended_ms = line.booked_ms
    cost, price, quantity, priced, unit, price_id = money_text(billed), "", "", "", "", ""
    if not usage:
        cost = money_text(0)
    elif not line.correction and line.price_ufen is not None:
        charged = line.unit_seconds - line.free_unit_seconds
        cost = decimal(charged * line.price_ufen, _UFEN_PLACES)
        price = _price_text(line.price_ufen)
        quantity, priced = str(charged), "Standard"
        unit, price_id = f"{line.unit}-seconds", line.price_id
    return [
        money_text(billed), line.enterprise, line.enterprise_name, _CURRENCY,
        *_period_texts(line.period), category, "Correction" if line.correction else "",
        _describe(line, usage), "Usage-Based" if usage else "One-Time", utc_text(began_ms),
        utc_text(ended_ms), quantity, unit, cost, price,
        money_text(effective), line.statement, line.center, cost, price, priced, quantity,
        unit, "Corridor", line.center, line.center, line.run,
        "Compute", line.flavor, line.flavor, price_id,
        line.project, line.city, line.programme, line.rule_version,
        money_text(share), line.contract, line.job, line.entries,
    ]  # fmt: skip


@lru_cache(maxsize=64)
def _period_texts(period: str) -> tuple[str, ...]:
    return tuple(map(utc_text, period_bounds(period)))


@lru_cache(maxsize=4_096)
def _price_text(ufen: int) -> str:
    """Return micro-fen per unit-second as yuan per unit-second."""
    return decimal(ufen, _UFEN_PLACES)


def _describe(line: Line, usage: bool) -> str:
    what = f"run {line.run} on {line.flavor}" if usage else f"subsidy of run {line.run}"
    return f"correction of {what}" if line.correction else what


def billed_fen(rows: Sequence[Sequence[str]]) -> int:
    """Return the sum of BilledCost in fen: what is due on the statement."""
    return sum(int(row[0].replace(".", "")) for row in rows)
