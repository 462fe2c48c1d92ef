"""SubsidyService, its methods about charges of settled runs."""

from collections.abc import Sequence
from typing import Final

from corridor.v1 import charge_pb2 as pb

from scheduler.domain.ids import run_id
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc import caller
from scheduler.rpc.approval_methods import change_request
from scheduler.rpc.messages import CallContext, timestamp
from scheduler.services import charging
from scheduler.services.context import Context
from scheduler.store.charge_book import Charge
from scheduler.store.charge_history import Past
from scheduler.store.charge_orders import Code, Lowering
from scheduler.store.debts import Clawback, WriteOff
from scheduler.store.frozen import FrozenRule

_CODES: Final = {pb.CorrectionCode.Value(f"CORRECTION_CODE_{code}"): code for code in Code}


class ChargeMethods:
    """Mixed into the servicer of SubsidyService."""

    _context: Context

    async def GetRunCharge(
        self, request: pb.GetRunChargeRequest, context: CallContext
    ) -> pb.GetRunChargeResponse:
        told = await charging.show(self._context, caller.current(), request.run_id)
        return pb.GetRunChargeResponse(charge=_charge(told.charge, told.past, told.answers))

    async def CorrectCharge(
        self, request: pb.CorrectChargeRequest, context: CallContext
    ) -> pb.CorrectChargeResponse:
        code = _CODES.get(request.code)
        if code is None:
            allowed = ", ".join(Code)
            raise InvalidRequest([FieldViolation("code", f"is mandatory: one of {allowed}")])
        order = Lowering(request.run_id, request.gross_fen, code, request.request_id)
        made = await charging.correct(
            self._context, caller.current(), order, request.reason,
            validate_only=request.validate_only,
        )  # fmt: skip
        return pb.CorrectChargeResponse(
            before=_charge(made.before),
            after=_charge(made.after),
            done=made.done,
            change_request=None if made.request is None else change_request(made.request),
        )

    async def WriteOffDebt(
        self, request: pb.WriteOffDebtRequest, context: CallContext
    ) -> pb.WriteOffDebtResponse:
        order = WriteOff(request.run_id, request.amount_fen, request.request_id)
        made = await charging.write_off(self._context, caller.current(), order, request.reason)
        return pb.WriteOffDebtResponse(
            charge=_charge(made.charge),
            done=made.done,
            change_request=None if made.request is None else change_request(made.request),
        )

    async def ClawBackSubsidy(
        self, request: pb.ClawBackSubsidyRequest, context: CallContext
    ) -> pb.ClawBackSubsidyResponse:
        order = Clawback(request.run_id, request.programme, request.amount_fen, request.request_id)
        made = await charging.claw_back(self._context, caller.current(), order, request.reason)
        return pb.ClawBackSubsidyResponse(charge=_charge(made.charge))

    async def BlockEnterprise(
        self, request: pb.BlockEnterpriseRequest, context: CallContext
    ) -> pb.BlockEnterpriseResponse:
        blocked = await charging.block(
            self._context, caller.current(), request.enterprise, request.blocked, request.reason
        )
        return pb.BlockEnterpriseResponse(blocked=blocked)


def _charge(
    one: Charge, past: Sequence[Past] = (), answers: Sequence[FrozenRule] = ()
) -> pb.RunCharge:
    shares: dict[tuple[str, str, str], int] = {}
    for entry in one.entries:
        place = (entry.debit, entry.credit, entry.ledger)
        shares[place] = shares.get(place, 0) + entry.amount
    return pb.RunCharge(
        run_id=run_id(one.run.uid, one.run.attempt),
        city=one.run.city,
        enterprise=one.run.enterprise,
        center=one.run.center,
        revision=one.revision,
        settled_fen=one.settled_fen,
        gross_fen=one.gross_fen,
        subsidy_fen=one.subsidy_fen,
        self_pay_fen=one.self_pay_fen,
        debt_fen=one.debt_fen,
        written_off_fen=one.written_off_fen,
        clawed_back_fen=one.clawed_back_fen,
        free_unit_seconds=sum(line.free for line in one.rated),
        shares=[
            pb.ChargeShare(
                account=debit, credit_account=credit, amount=amount, unit_seconds=ledger == "UNIT_S"
            )
            for (debit, credit, ledger), amount in shares.items()
            if amount
        ],
        uses=[
            pb.ChargeUse(
                start_time=timestamp(line.start_ms),
                end_time=timestamp(line.end_ms),
                seconds=line.seconds,
                units=line.units,
                free_unit_seconds=line.free,
                price_version=line.price_id,
                gross_fen=line.gross_fen,
            )
            for line in one.rated
        ],
        corrections=[
            pb.ChargeCorrection(
                revision=row.revision,
                code=row.code,
                gross_fen=row.gross_fen,
                subsidy_fen=row.subsidy_fen,
                actor=row.actor,
                reason=row.reason,
                book_time=timestamp(row.booked_ms),
                month_of_use=row.month,
            )
            for row in past
        ],
        answers=[
            pb.ChargeAnswer(
                programme=row.programme,
                rule_version=row.version,
                rate_bp=row.rate_bp or 0,
                binding=row.binding,
            )
            for row in answers
        ],
    )
