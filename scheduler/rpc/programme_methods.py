"""SubsidyService, its methods about programmes and their rules."""

from corridor.v1 import approval_pb2
from corridor.v1 import rule_pb2 as pb
from corridor.v1 import subsidy_service_pb2 as subsidies

from scheduler.rpc import approval_methods, caller
from scheduler.rpc import rule_messages as as_message
from scheduler.rpc.messages import (
    CallContext,
    page_key,
    page_size,
    page_token,
    split_page,
)
from scheduler.services import programmes
from scheduler.services.context import Context
from scheduler.services.programmes import Command, Proposed
from scheduler.store.programmes import NewProgramme, ProgrammeInfo
from scheduler.store.rule_changes import RuleChange, RuleEnd

Asking = pb.CreateProgrammeRequest | pb.ProposeRuleVersionRequest | pb.EndProgrammeRequest


class ProgrammeMethods:
    """Mixed into the servicer of SubsidyService."""

    _context: Context

    async def ListProgrammes(
        self, request: subsidies.ListProgrammesRequest, context: CallContext
    ) -> subsidies.ListProgrammesResponse:
        found = await programmes.list_programmes(self._context, caller.current(), request.city)
        found.sort(key=lambda one: (one.city, one.name))
        return subsidies.ListProgrammesResponse(programmes=[_programme(one) for one in found])

    async def GetProgramme(
        self, request: pb.GetProgrammeRequest, context: CallContext
    ) -> pb.GetProgrammeResponse:
        now_ms = self._context.clock.now_ms()
        one = await programmes.get_programme(self._context, caller.current(), request.programme)
        return pb.GetProgrammeResponse(
            programme=one.code,
            city=one.city,
            display_name=one.name,
            document_ref=one.document_ref,
            sample=one.sample,
            state=as_message.term_state(one.state),
            current=as_message.maybe_version(one.current, now_ms),
            planned=as_message.maybe_version(one.planned, now_ms),
        )

    async def ListRuleVersions(
        self, request: pb.ListRuleVersionsRequest, context: CallContext
    ) -> pb.ListRuleVersionsResponse:
        size = page_size(request.page_size)
        (before,) = page_key(request.page_token, int) or (None,)
        found = await programmes.list_rule_versions(
            self._context, caller.current(), request.programme, size + 1, before
        )
        rows, more = split_page(found, size)
        now_ms = self._context.clock.now_ms()
        return pb.ListRuleVersionsResponse(
            versions=[as_message.rule_version(row, now_ms) for row in rows],
            next_page_token=page_token(rows[-1].rule.version) if more else "",
        )

    async def CreateProgramme(
        self, request: pb.CreateProgrammeRequest, context: CallContext
    ) -> pb.CreateProgrammeResponse:
        change = RuleChange(
            as_message.rule_of(request.rule, request.programme, request.city),
            as_message.instant(request.HasField("effective_time"), request.effective_time),
            as_message.instant(request.HasField("end_time"), request.end_time),
            "",
            NewProgramme(request.city, request.display_name, request.document_ref, request.sample),
        )
        done = await programmes.propose(self._context, caller.current(), change, _command(request))
        return pb.CreateProgrammeResponse(
            change_request=_asked(done, request.validate_only), version=self._made(done)
        )

    async def ProposeRuleVersion(
        self, request: pb.ProposeRuleVersionRequest, context: CallContext
    ) -> pb.ProposeRuleVersionResponse:
        of = await programmes.get_programme(self._context, caller.current(), request.programme)
        change = RuleChange(
            as_message.rule_of(request.rule, of.code, of.city),
            as_message.instant(request.HasField("effective_time"), request.effective_time),
            as_message.instant(request.HasField("end_time"), request.end_time),
            request.document_ref,
        )
        done = await programmes.propose(self._context, caller.current(), change, _command(request))
        return pb.ProposeRuleVersionResponse(
            change_request=_asked(done, request.validate_only), version=self._made(done)
        )

    async def EndProgramme(
        self, request: pb.EndProgrammeRequest, context: CallContext
    ) -> pb.EndProgrammeResponse:
        at_ms = as_message.instant(request.HasField("end_time"), request.end_time)
        wanted = RuleEnd(request.programme, at_ms, request.version)
        done = await programmes.end(self._context, caller.current(), wanted, _command(request))
        return pb.EndProgrammeResponse(change_request=_asked(done, request.validate_only))

    def _made(self, done: Proposed) -> pb.RuleVersion | None:
        return as_message.maybe_version(done.version, self._context.clock.now_ms())


def _programme(one: ProgrammeInfo) -> subsidies.Programme:
    found = subsidies.Programme(
        programme=one.code,
        city=one.city,
        display_name=one.name,
        document_ref=one.document_ref,
        sample=one.sample,
        mode=one.mode,
    )
    if one.current is not None:
        rule = one.current.rule
        found.rule_version = rule.version
        found.rate_bp = rule.rate_bp
        found.flavors.extend(rule.flavors)
        if rule.year_cap_fen is not None:
            found.enterprise_year_cap_fen = rule.year_cap_fen
        if rule.job_cap_fen is not None:
            found.job_cap_fen = rule.job_cap_fen
    return found


def _command(request: Asking) -> Command:
    return Command(request.request_id, request.reason, request.validate_only)


def _asked(done: Proposed, validate_only: bool) -> approval_pb2.ChangeRequest | None:
    """Return the request; one that was only checked has no number, for it is not kept."""
    return approval_methods.given(done.request, kept=not validate_only)
