"""Who would pay a quoted job, as messages."""

from corridor.v1 import quote_pb2 as pb

from quota.charges import FOREVER_MS
from scheduler.rpc.messages import timestamp
from scheduler.services.funding import Funding, ProgrammeQuote, SourceLeft

_VOUCHER = "voucher:"


def funding_message(found: Funding | None) -> pb.Funding | None:
    """Return it as a message; None stays unset."""
    if found is None:
        return None
    return pb.Funding(
        programmes=[_programme(one) for one in found.programmes],
        refusals=[
            pb.ProgrammeRefusal(
                programme=refusal.programme,
                name=name,
                rule_version=refusal.rule_version,
                why=refusal.why,
                instead=refusal.than,
            )
            for refusal, name in found.refusals
        ],
        advance_fen=found.advance_fen,
        wallet_fen=found.wallet_fen,
        wallet_left_fen=found.wallet_left_fen,
        free_unit_seconds=found.free_unit_seconds,
        slices=[
            pb.QuotedSlice(
                start_time=timestamp(at.start_ms),
                end_time=timestamp(at.end_ms),
                unit_seconds=at.unit_seconds,
                gross_fen=gross_fen,
            )
            for at, gross_fen in found.slices
        ],
    )


def _programme(one: ProgrammeQuote) -> pb.ProgrammeQuote:
    rule = one.admitted.rule
    return pb.ProgrammeQuote(
        programme=rule.programme,
        name=one.name,
        rule_version=rule.version,
        mode=rule.mode,
        rate_bp=one.admitted.rate_bp,
        amount_fen=one.amount_fen,
        unit_seconds=one.unit_seconds,
        binding=one.telling.binding,
        bound_by=one.telling.bound_by,
        caps=[
            pb.CapLeft(
                year=cap.year, cap_fen=cap.cap_fen, left_fen=cap.left_fen, used_fen=cap.used_fen
            )
            for cap in one.caps
        ],
        sources=[_source(source) for source in one.sources],
        parts=[
            pb.SlicePart(slice=part.slice, amount_fen=part.amount_fen, binding=part.binding)
            for part in (one.parts if one.parts[1:] else ())
        ],
    )


def _source(one: SourceLeft) -> pb.SourceLeft:
    account = one.source.account
    until_ms = min(one.source.to_ms, one.source.expire_ms)
    return pb.SourceLeft(
        account=account,
        funder=one.source.funder,
        voucher_no=account.removeprefix(_VOUCHER) if account.startswith(_VOUCHER) else "",
        left=one.left,
        taken=one.taken,
        valid_until_time=timestamp(until_ms if until_ms < FOREVER_MS else None),
    )
