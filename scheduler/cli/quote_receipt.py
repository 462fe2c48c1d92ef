"""A quote as a receipt: what it costs, who pays, what is left, and why others give nothing."""

from corridor.v1 import job_service_pb2 as pb
from corridor.v1 import quote_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from quota.calendar import in_shanghai
from scheduler.cli import amounts
from scheduler.cli.job_views import price_basis
from scheduler.cli.output import Cell, Column, Output

_INDENT = "  "
_MONEY = (
    Column("charge.item", flex=20),
    Column("charge.amount", right=True),
    Column("charge.note", flex=16, rank=1),
)
_LEFT = (
    Column("receipt.source", flex=48),
    Column("receipt.left_now", right=True),
    Column("receipt.this_job", right=True),
    Column("receipt.left_then", right=True, rank=1),
    Column("receipt.until", rank=2),
)


def show(out: Output, option: pb.OptionQuote) -> None:
    """Print the money of a quoted option, if it has a price."""
    if not option.HasField("charge"):
        return
    funding = option.funding
    out.table(_MONEY, _charge_rows(out, option, funding))
    if funding.slices:
        out.line()
        out.line(out.t("receipt.parts"), "bold")
        _slices(out, funding)
    rows = _left_rows(out, funding)
    if rows:
        out.line()
        out.line(out.t("receipt.left"), "bold")
        out.table(_LEFT, rows)
    if funding.refusals:
        out.line()
        out.line(out.t("receipt.nothing"), "bold")
        out.table(
            (Column("receipt.programme", flex=16), Column("receipt.why", flex=24)),
            [[_name(out, one), _why(out, one, funding)] for one in funding.refusals],
        )
    out.line()


def rate(rate_bp: int) -> str:
    """Return basis points as people read them: ``30%``, ``33.33%``."""
    whole, part = divmod(rate_bp, 100)
    return f"{whole}.{part:02d}%" if part else f"{whole}%"


def _name(out: Output, one: quote_pb2.ProgrammeQuote | quote_pb2.ProgrammeRefusal) -> str:
    """Names are Chinese; in English a programme is told by its code."""
    return one.name if out.lang == "zh" and one.name else one.programme


def _charge_rows(
    out: Output, option: pb.OptionQuote, funding: quote_pb2.Funding
) -> list[list[str | Cell]]:
    charge = option.charge
    rows: list[list[str | Cell]] = []
    for one in funding.programmes:
        if one.unit_seconds:
            label = out.t("receipt.free_hours", programme=_name(out, one))
            rows.append([label, amounts.hours_text(one.unit_seconds), _note(out, one)])
    rows.append([out.t("charge.gross"), amounts.money(charge.gross_fen), price_basis(out, charge)])
    for one in funding.programmes:
        if one.amount_fen:
            label = out.t("charge.subsidy", programme=_name(out, one))
            rows.append([label, amounts.money(-one.amount_fen), _note(out, one)])
    own = Cell(out.t("charge.self_pay"), "bold")
    rows.append([own, Cell(amounts.money(charge.self_pay_fen), "bold"), ""])
    if funding.advance_fen:
        back = out.t("receipt.comes_back", money=amounts.money(funding.advance_fen))
        rows.append([out.t("receipt.pay_first"), amounts.money(funding.wallet_fen), back])
    return rows


def _note(out: Output, one: quote_pb2.ProgrammeQuote) -> str:
    said = {"rate": rate(one.rate_bp), "version": one.rule_version}
    if one.binding == "RATE":
        note = out.t("receipt.rate", **said)
    else:
        note = out.t("receipt.bound", binding=out.word("binding.", one.binding), **said)
    return out.t("receipt.claim", note=note) if one.mode == "REIMBURSE" else note


def _slices(out: Output, funding: quote_pb2.Funding) -> None:
    given = [0] * len(funding.slices)
    limits: list[list[str]] = [[] for _ in funding.slices]
    for one in funding.programmes:
        for part in one.parts:
            given[part.slice] += part.amount_fen
            if part.binding != "RATE":
                bound = out.word("binding.", part.binding)
                limits[part.slice].append(f"{_name(out, one)}: {bound}")
    columns = [
        Column("receipt.from"),
        Column("receipt.to", rank=2),
        Column("receipt.hours", right=True, rank=1),
        Column("receipt.gross", right=True),
        Column("receipt.given", right=True),
        Column("receipt.limits", flex=12, rank=3),
    ]
    out.table(
        columns,
        [
            [
                f"{in_shanghai(at.start_time.ToMilliseconds()):%Y-%m-%d %H:%M}",
                f"{in_shanghai(at.end_time.ToMilliseconds()):%Y-%m-%d %H:%M}",
                amounts.hours_text(at.unit_seconds),
                amounts.money(at.gross_fen),
                amounts.money(given[number]),
                ", ".join(limits[number]),
            ]
            for number, at in enumerate(funding.slices)
        ],
    )


def _left_rows(out: Output, funding: quote_pb2.Funding) -> list[list[str | Cell]]:
    """Under each programme its accounts and caps; the wallet comes last."""
    rows: list[list[str | Cell]] = []
    for one in funding.programmes:
        rows.append([_name(out, one), "", "", "", ""])
        show_amount = amounts.hours_text if one.unit_seconds else amounts.money
        for source in one.sources:
            figures = (source.left, source.taken, source.left - source.taken)
            label = _INDENT + _source(out, one, source)
            until = _last_day(source.valid_until_time)
            rows.append([label, *(show_amount(figure) for figure in figures), until])
        for cap in one.caps:
            label = out.t("receipt.cap", year=cap.year, cap=amounts.money(cap.cap_fen))
            figures = (cap.left_fen, cap.used_fen, cap.left_fen - cap.used_fen)
            rows.append([_INDENT + label, *(amounts.money(figure) for figure in figures), ""])
    figures = (
        funding.wallet_left_fen, funding.wallet_fen, funding.wallet_left_fen - funding.wallet_fen,
    )  # fmt: skip
    rows.append([out.t("receipt.wallet"), *(amounts.money(figure) for figure in figures), ""])
    return rows


def _source(out: Output, one: quote_pb2.ProgrammeQuote, source: quote_pb2.SourceLeft) -> str:
    if source.voucher_no:
        return out.t("receipt.voucher", number=source.voucher_no)
    if one.unit_seconds:
        return out.t("receipt.grant")
    if len(one.sources) > 1:
        return out.t("receipt.fund_of", funder=source.funder)
    return out.t("receipt.fund")


def _last_day(until: Timestamp) -> str:
    """Return the last day on which something is valid, where periods of money are cut."""
    if not until.seconds:
        return ""
    return f"{in_shanghai(until.ToMilliseconds() - 1):%Y-%m-%d}"


def _why(out: Output, one: quote_pb2.ProgrammeRefusal, funding: quote_pb2.Funding) -> str:
    if one.why != "EXCLUSIVE":
        return out.word("refused.", one.why)
    instead = next((p for p in funding.programmes if p.programme == one.instead), None)
    name = one.instead if instead is None else _name(out, instead)
    return out.t("refused.EXCLUSIVE", instead=name)
