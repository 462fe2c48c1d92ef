"""SubsidyService, its dry run of rules and prices."""

from dataclasses import replace
from typing import Final

from corridor.v1 import dry_run_pb2 as pb

from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc import caller
from scheduler.rpc import rule_messages as as_message
from scheduler.rpc.messages import CallContext
from scheduler.services import dry_runs, programmes
from scheduler.services.context import Context
from scheduler.services.dry_runs import EnterpriseEffect, ProgrammeEffect, Trial

_DAYS: Final = 28
_ENTERPRISES_MAX: Final = 1_000


class DryRunMethods:
    """Mixed into the servicer of SubsidyService."""

    _context: Context

    async def SimulateRule(
        self, request: pb.SimulateRuleRequest, context: CallContext
    ) -> pb.SimulateRuleResponse:
        who, rule = caller.current(), None
        if request.HasField("rule") != bool(request.programme):
            raise InvalidRequest(
                [FieldViolation("rule", "give the programme and its rule, or neither")]
            )
        if request.programme:
            of = await programmes.get_programme(self._context, who, request.programme)
            version = 1 if of.current is None else of.current.rule.version + 1
            rule = replace(as_message.rule_of(request.rule, of.code, of.city), version=version)
        prices = {one.flavor: one.price_ufen_per_unit_second for one in request.prices}
        found = await dry_runs.simulate(
            self._context, who, Trial(rule, prices, request.days or _DAYS)
        )
        return pb.SimulateRuleResponse(
            city=found.city,
            run_count=found.run_count,
            days=found.days,
            gross_today_fen=found.today.gross_fen,
            gross_proposed_fen=found.proposed.gross_fen,
            subsidy_today_fen=found.today.subsidy_fen,
            subsidy_proposed_fen=found.proposed.subsidy_fen,
            programmes=[_programme(one) for one in found.programmes],
            enterprises=[_enterprise(one) for one in found.enterprises[:_ENTERPRISES_MAX]],
        )


def _programme(one: ProgrammeEffect) -> pb.ProgrammeEffect:
    return pb.ProgrammeEffect(
        programme=one.programme,
        booked_fen=one.booked_fen,
        today_fen=one.today_fen,
        proposed_fen=one.proposed_fen,
        runs_today=one.runs_today,
        runs_proposed=one.runs_proposed,
        limits_today=one.limits_today,
        limits_proposed=one.limits_proposed,
        likely_date_today=one.likely_today,
        likely_date_proposed=one.likely_proposed,
    )


def _enterprise(one: EnterpriseEffect) -> pb.EnterpriseEffect:
    return pb.EnterpriseEffect(
        enterprise=one.enterprise,
        gross_today_fen=one.gross_today_fen,
        gross_proposed_fen=one.gross_proposed_fen,
        subsidy_today_fen=one.subsidy_today_fen,
        subsidy_proposed_fen=one.subsidy_proposed_fen,
    )
