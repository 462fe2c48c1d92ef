"""IdentityService: messages in, use cases, messages out."""

from collections.abc import Callable
from typing import Final

from corridor.v1 import identity_service_pb2 as pb
from corridor.v1 import identity_service_pb2_grpc, replica_pb2

from scheduler.domain.principal import Role
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc import caller
from scheduler.rpc.fact_methods import FactMethods
from scheduler.rpc.messages import (
    CallContext,
    milliseconds,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.services import audit, identity, replicas
from scheduler.services.context import Context
from scheduler.store.audit_trail import AuditRow, Wanted
from scheduler.store.identity import EnterpriseRow, NewEnterprise, TokenRow

_ROLE_TO_MESSAGE: Final = {role: pb.Role.Value(f"ROLE_{role}") for role in Role}
_ROLE_FROM_MESSAGE: Final = {number: role for role, number in _ROLE_TO_MESSAGE.items()}


class IdentityServicer(FactMethods, identity_service_pb2_grpc.IdentityServiceServicer):
    """See ``identity_service.proto``; ``on_revoke`` is called after a token was revoked here."""

    def __init__(self, context: Context, on_revoke: Callable[[], None]) -> None:
        self._context = context
        self._on_revoke = on_revoke

    async def WhoAmI(self, request: pb.WhoAmIRequest, context: CallContext) -> pb.WhoAmIResponse:
        who = caller.current()
        return pb.WhoAmIResponse(
            subject=who.subject,
            role=_ROLE_TO_MESSAGE[who.role],
            city=who.city or "",
            enterprise=who.enterprise or "",
            expire_time=timestamp(who.expire_ms),
            service_version=self._context.version,
            simulated=self._context.simulated,
            now=timestamp(self._context.clock.now_ms()),
            issuer=who.issuer,
        )

    async def ListCities(
        self, request: pb.ListCitiesRequest, context: CallContext
    ) -> pb.ListCitiesResponse:
        rows = await identity.list_cities(self._context)
        return pb.ListCitiesResponse(
            cities=[
                pb.City(
                    city=row.city,
                    display_name_zh=row.name_zh,
                    display_name_en=row.name_en,
                    weight=row.weight,
                )
                for row in rows
            ]
        )

    async def ListReplicas(
        self, request: replica_pb2.ListReplicasRequest, context: CallContext
    ) -> replica_pb2.ListReplicasResponse:
        answer = replica_pb2.ListReplicasResponse()
        for row, epoch in await replicas.list_replicas(self._context):
            one = answer.replicas.add(
                name=row.name, address=row.address, leads=bool(epoch), epoch=epoch,
                version=row.version, number=row.number,
            )  # fmt: skip
            one.start_time.FromMilliseconds(row.started_ms)
            one.seen_time.FromMilliseconds(row.seen_ms)
        return answer

    async def CreateEnterprise(
        self, request: pb.CreateEnterpriseRequest, context: CallContext
    ) -> pb.CreateEnterpriseResponse:
        asked = request.enterprise
        row = await identity.create_enterprise(
            self._context,
            caller.current(),
            NewEnterprise(
                asked.enterprise,
                asked.city,
                asked.display_name,
                asked.uscc,
                asked.startup,
                asked.size_class or "SMALL",
                asked.sector,
                asked.blocked,
                asked.credit_limit_fen,
            ),
        )
        return pb.CreateEnterpriseResponse(enterprise=_enterprise(row))

    async def ListEnterprises(
        self, request: pb.ListEnterprisesRequest, context: CallContext
    ) -> pb.ListEnterprisesResponse:
        size = page_size(request.page_size)
        after = page_key(request.page_token, str) or ("",)
        found = await identity.list_enterprises(
            self._context, caller.current(), request.city, size + 1, after[0]
        )
        rows, more = split_page(found, size)
        return pb.ListEnterprisesResponse(
            enterprises=[_enterprise(row) for row in rows],
            next_page_token=page_token(rows[-1].enterprise) if more else "",
        )

    async def CreateToken(
        self, request: pb.CreateTokenRequest, context: CallContext
    ) -> pb.CreateTokenResponse:
        asked = request.token
        role = _ROLE_FROM_MESSAGE.get(asked.role)
        if role is None:
            raise InvalidRequest([FieldViolation("token.role", "is mandatory")])
        row, secret = await identity.create_token(
            self._context,
            caller.current(),
            subject=asked.subject,
            role=role,
            city=asked.city,
            enterprise=asked.enterprise,
            center=asked.center,
            expire_ms=milliseconds(asked.expire_time),
        )
        return pb.CreateTokenResponse(token=_token(row), secret=secret)

    async def ListTokens(
        self, request: pb.ListTokensRequest, context: CallContext
    ) -> pb.ListTokensResponse:
        size = page_size(request.page_size)
        before = page_key(request.page_token, int, str)
        found = await identity.list_tokens(
            self._context,
            caller.current(),
            size + 1,
            None if before is None else (before[0], before[1]),
        )
        rows, more = split_page(found, size)
        return pb.ListTokensResponse(
            tokens=[_token(row) for row in rows],
            next_page_token=page_token(rows[-1].created_ms, rows[-1].token_id) if more else "",
        )

    async def RevokeToken(
        self, request: pb.RevokeTokenRequest, context: CallContext
    ) -> pb.RevokeTokenResponse:
        row = await identity.revoke_token(self._context, caller.current(), request.token_id)
        self._on_revoke()
        return pb.RevokeTokenResponse(token=_token(row))

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, context: CallContext
    ) -> pb.ListAuditEventsResponse:
        size = page_size(request.page_size)
        before = page_key(request.page_token, int)
        wanted = Wanted(request.target, request.action, request.actor, request.city)
        found = await audit.list_events(
            self._context, caller.current(), wanted, size + 1, None if before is None else before[0]
        )
        rows, more = split_page(found, size)
        return pb.ListAuditEventsResponse(
            events=[_audit_event(row) for row in rows],
            next_page_token=page_token(rows[-1].seq) if more else "",
        )


def _audit_event(row: AuditRow) -> pb.AuditEvent:
    return pb.AuditEvent(
        event_id=row.seq,
        time=timestamp(row.at_ms),
        actor=row.actor,
        role=_ROLE_TO_MESSAGE[Role(row.role)],
        action=row.action,
        target=row.target,
        city=row.city,
        enterprise=row.enterprise,
        before=row.before,
        after=row.after,
        reason=row.reason,
        issuer=row.issuer,
    )


def _enterprise(row: EnterpriseRow) -> pb.Enterprise:
    return pb.Enterprise(
        enterprise=row.enterprise,
        city=row.city,
        display_name=row.name,
        uscc=row.uscc,
        startup=row.startup,
        size_class=row.size_class,
        sector=row.sector,
        blocked=row.blocked,
        credit_limit_fen=row.credit_limit_fen,
        credit_used_fen=row.credit_used_fen,
    )


def _token(row: TokenRow) -> pb.Token:
    return pb.Token(
        token_id=row.token_id,
        subject=row.subject,
        role=_ROLE_TO_MESSAGE[row.role],
        city=row.city or "",
        enterprise=row.enterprise or "",
        center=row.center or "",
        create_time=timestamp(row.created_ms),
        expire_time=timestamp(row.expire_ms),
        revoke_time=timestamp(row.revoked_ms),
        last_use_time=timestamp(row.last_used_ms),
    )
