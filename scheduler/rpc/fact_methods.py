"""IdentityService, its methods about what subsidy rules ask of enterprises."""

from corridor.v1 import fact_pb2 as pb

from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc import caller
from scheduler.rpc import rule_messages as as_message
from scheduler.rpc.messages import CallContext, timestamp
from scheduler.services import enterprise_facts
from scheduler.services.context import Context
from scheduler.store.enterprise_facts import DatedFact, Fact, FactKind


class FactMethods:
    """Mixed into the servicer of IdentityService."""

    _context: Context

    async def ListEnterpriseFacts(
        self, request: pb.ListEnterpriseFactsRequest, context: CallContext
    ) -> pb.ListEnterpriseFactsResponse:
        found = await enterprise_facts.list_facts(
            self._context, caller.current(), request.enterprise, show_ended=request.show_ended
        )
        return pb.ListEnterpriseFactsResponse(facts=self._facts(found))

    async def AddEnterpriseFact(
        self, request: pb.AddEnterpriseFactRequest, context: CallContext
    ) -> pb.AddEnterpriseFactResponse:
        asked = request.fact
        added = await enterprise_facts.add(
            self._context,
            caller.current(),
            _fact(asked),
            from_ms=as_message.instant(asked.HasField("effective_time"), asked.effective_time),
            to_ms=as_message.instant(asked.HasField("end_time"), asked.end_time),
            source=asked.source,
            reason=request.reason,
            validate_only=request.validate_only,
        )
        return pb.AddEnterpriseFactResponse(fact=self._facts([added])[0])

    async def EndEnterpriseFact(
        self, request: pb.EndEnterpriseFactRequest, context: CallContext
    ) -> pb.EndEnterpriseFactResponse:
        ended = await enterprise_facts.end(
            self._context,
            caller.current(),
            _fact(request.fact),
            at_ms=as_message.instant(request.HasField("end_time"), request.end_time),
            reason=request.reason,
            validate_only=request.validate_only,
        )
        return pb.EndEnterpriseFactResponse(facts=self._facts(ended))

    def _facts(self, found: list[DatedFact]) -> list[pb.EnterpriseFact]:
        now_ms = self._context.clock.now_ms()
        return [_message(one, now_ms) for one in found]


def _fact(message: pb.EnterpriseFact) -> Fact:
    """Return what a message says; raises ``InvalidRequest`` if it says nothing."""
    match message.WhichOneof("fact"):
        case "related_party":
            names: tuple[str, ...] = (message.related_party.center,)
            return Fact(FactKind.RELATED_PARTY, message.enterprise, names)
        case "listed_project":
            listed = message.listed_project
            names = (listed.list, listed.project)
            return Fact(FactKind.LISTED_PROJECT, message.enterprise, names)
        case "earlier_support":
            support = message.earlier_support
            names = (support.programme,)
            return Fact(FactKind.EARLIER_SUPPORT, message.enterprise, names, support.since_year)
        case _:
            what = "give one of related_party, listed_project and earlier_support"
            raise InvalidRequest([FieldViolation("fact", what)])


def _message(one: DatedFact, now_ms: int) -> pb.EnterpriseFact:
    fact = one.fact
    said = pb.EnterpriseFact(
        enterprise=fact.enterprise,
        effective_time=timestamp(one.from_ms),
        end_time=timestamp(one.to_ms),
        source=one.source,
        state=as_message.term_state(one.state(now_ms)),
    )
    match fact.kind:
        case FactKind.RELATED_PARTY:
            said.related_party.center = fact.names[0]
        case FactKind.LISTED_PROJECT:
            said.listed_project.list, said.listed_project.project = fact.names
        case FactKind.EARLIER_SUPPORT:
            said.earlier_support.programme = fact.names[0]
            said.earlier_support.since_year = fact.since_year
    return said
